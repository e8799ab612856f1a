"""The work that a change makes: counted, not timed."""

import grpc
import pytest

from lib.controller import Stream
from lib.manifests import pod, server, service
from lib.scripted import messages

SERVICES = 40


def counters(control, component):
    """remade, sent, overflows"""
    found = {}
    for line in control.http("/metrics")[1].splitlines():
        if line.startswith("control_") and f'component="{component}"' in line:
            found[line.split("{")[0]] = int(float(line.split()[-1]))
    return [found[name] for name in ("control_views_remade_total", "control_updates_sent_total", "control_queue_overflow_total")]


def grown(control, component, before):
    return [now - then for now, then in zip(counters(control, component), before)]


def write_service(control, number, pods=1):
    name = f"svc-{number}"
    control.write(f"{name}.yaml", service(name, f"10.99.1.{number}"),
                  *[pod(f"{name}-{i}", f"10.1.{number}.{i + 1}", name) for i in range(pods)])


def test_a_change_of_one_service_is_the_work_of_one(control):
    for number in range(SERVICES):
        write_service(control, number)
    control.start()
    streams = [[control.watch_endpoints(f"svc-{number}.default.svc.cluster.local:80") for _ in range(3)] for number in range(SERVICES)]
    profiles = [control.watch_profile(f"10.99.1.{number}:80") for number in range(SERVICES)]
    targets = [control.watch_target(f"10.99.1.{number}:80") for number in range(SERVICES)]
    ports = [control.watch_port(f"svc-{number}-0", 8080) for number in range(SERVICES)]
    for stream in (*[one for three in streams for one in three], *profiles, *targets, *ports):
        stream.next()
    destination, policy = counters(control, "destination"), counters(control, "policy")
    assert destination[1:] == [0, 0] and policy[1:] == [0, 0], "first answers are no updates"
    # One more pod of one service: its one view is made anew, once, and said to its three subscribers.
    write_service(control, 7, pods=2)
    for stream in streams[7]:
        update = stream.next()
        assert len(update.add.addrs) == 1 and update.add.addrs[0].metric_labels["pod"] == "svc-7-1"
    remade, sent, _ = grown(control, "destination", destination)
    assert sent == 3 and remade <= 2, (remade, sent)
    assert grown(control, "policy", policy)[1:] == [0, 0] and grown(control, "policy", policy)[0] <= 1
    # One away again: removed, and nothing else.
    write_service(control, 7, pods=1)
    for stream in streams[7]:
        assert len(stream.next().remove.addrs) == 1
    assert grown(control, "destination", destination)[1] == 6
    # A Server of one workload's port: its policy alone is said anew.
    policy = counters(control, "policy")
    control.write("server.yaml", server("svc-3-http", app="svc-3", accessPolicy="all-unauthenticated"))
    assert ports[3].next().labels["name"] == "svc-3-http"
    assert grown(control, "policy", policy)[1] == 1
    # A file written again as it was: nothing at all.
    destination, policy = counters(control, "destination"), counters(control, "policy")
    write_service(control, 9)
    write_service(control, 11, pods=2)  # heard after it
    assert streams[11][0].next()
    assert grown(control, "destination", destination)[1] <= 3
    for number, three in enumerate(streams):
        assert number in (7, 11) or all(stream.quiet() for stream in three), number
    assert all(stream.quiet() for number, stream in enumerate(ports) if number not in (3, 7, 11))
    assert all(stream.quiet() for stream in profiles) and all(stream.quiet() for stream in targets)


@pytest.mark.slow
def test_a_subscriber_that_does_not_read_begins_anew(control, wait_for):
    """Its call ends in order when its queue is full; others are not held up; the next call gets what is there then."""
    control.write("web.yaml", service(), pod())
    control.start("--stream-queue-capacity=2")
    slow = control.destination().Get(messages()["destination"].GetDestination(scheme="k8s", path="web.default.svc.cluster.local:80"))
    slow.initial_metadata()  # it is under way, and nothing is read
    quick = control.watch_endpoints("web.default.svc.cluster.local:80")
    quick.next()
    count, label = 0, "x" * 200
    while counters(control, "destination")[2] == 0:
        count += 1
        assert count < 400, "it was never ended"
        control.write("more.yaml", *[pod(f"more-{i}", f"10.2.{i}.1", "web", labels={f"l-{count}": label[:60]},
                                         serviceAccountName=f"account-{count}-{'y' * 40}") for i in range(60)])
        quick.next()
    seen = 0
    try:
        for _ in slow:
            seen += 1
    except grpc.RpcError as error:
        raise AssertionError(f"it ended with {error.code()}") from None
    assert slow.code() == grpc.StatusCode.OK and seen >= 1
    again = Stream(control.destination().Get(messages()["destination"].GetDestination(scheme="k8s", path="web.default.svc.cluster.local:80")))
    assert len(again.next().add.addrs) == 61
