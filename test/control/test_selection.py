"""Which of a Service's endpoints a client is told of: families, hints, its node, conditions, names of instances. Slices as Kubernetes writes them."""

import json

import grpc
import pytest

from control.test_destination import addresses
from lib.manifests import meta, pod, service

WEB = "web.default.svc.cluster.local"


def node(name, zone):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}}


def endpoint(ip, name=None, on="node-a", hints=(), hostname=None, **conditions):
    found = {"addresses": [ip], "nodeName": on, "conditions": conditions}
    if name:
        found["targetRef"] = {"kind": "Pod", "namespace": "default", "name": name}
    if hints:
        found["hints"] = {"forZones": [{"name": each} for each in hints]}
    if hostname:
        found["hostname"] = hostname
    return found


def slice_of(name, *endpoints, family="IPv4", service_name="web"):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta(name, labels={"kubernetes.io/service-name": service_name}),
            "addressType": family, "ports": [{"name": "p80", "port": 8080, "protocol": "TCP"}], "endpoints": list(endpoints)}


def told(control, path=f"{WEB}:80", on=None):
    token = json.dumps({"ns": "default", **({"nodeName": on} if on else {})})
    stream = control.watch_endpoints(path, token)
    update = stream.next()
    stream.call.cancel()
    return addresses(update.add.addrs)


NODES = [node("node-a", "a"), node("node-b", "b"), node("node-c", "c")]
ONE, TWO, THREE = "10.1.0.1:8080", "10.1.0.2:8080", "10.1.0.3:8080"


def test_hints(control):
    hinted = [endpoint("10.1.0.1", hints="a"), endpoint("10.1.0.2", on="node-b", hints="b"), endpoint("10.1.0.3", hints="ab")]
    control.write("web.yaml", service(), *NODES, slice_of("one", *hinted[:2]), slice_of("two", hinted[2]))
    control.start()
    assert told(control, on="node-a") == {ONE, THREE}
    assert told(control, on="node-b") == {TWO, THREE}
    assert told(control, on="node-c") == {ONE, TWO, THREE}, "no hint is for its zone"
    assert told(control) == told(control, on="unknown") == {ONE, TWO, THREE}
    # One without a hint: the hints of all count for nothing. They count again when that one is not ready.
    stream = control.watch_endpoints(f"{WEB}:80", '{"ns":"default","nodeName":"node-a"}')
    stream.next()
    control.write("more.yaml", slice_of("three", endpoint("10.1.0.4")))
    assert addresses(stream.next().add.addrs) == {TWO, "10.1.0.4:8080"}
    control.write("more.yaml", slice_of("three", endpoint("10.1.0.4", ready=False)))
    assert addresses(stream.next().remove.addrs) == {TWO, "10.1.0.4:8080"}


def test_hints_for_nodes(control):
    """As Kubernetes sets them for PreferSameNode, beside those for zones: the node's, else the zone's."""
    def hinted(ip, on, zone):
        found = endpoint(ip, on=on, hints=[zone])
        found["hints"]["forNodes"] = [{"name": on}]
        return found

    both = [hinted("10.1.0.1", "node-a", "a"), hinted("10.1.0.2", "node-b", "b")]
    control.write("web.yaml", service(), *NODES, node("node-d", "b"), slice_of("one", *both))
    control.start()
    assert told(control, on="node-a") == {ONE} and told(control, on="node-b") == {TWO}
    assert told(control, on="node-d") == {TWO}, "none is for its node, one is for its zone"
    assert told(control, on="node-c") == told(control) == {ONE, TWO}
    stream = control.watch_endpoints(f"{WEB}:80", '{"ns":"default","nodeName":"node-d"}')
    stream.next()
    control.write("web.yaml", service(), *NODES, node("node-d", "b"), slice_of("one", *both, endpoint("10.1.0.3", hints=["b"])))
    assert addresses(stream.next().add.addrs) == {THREE}, "one has no hint for nodes: those for zones count"
    control.write("web.yaml", service(), *NODES, node("node-d", "b"), slice_of("one", endpoint("10.1.0.1"), endpoint("10.1.0.2", on="node-b")))
    assert stream.end() == grpc.StatusCode.OK, "it is told by zone now, and asks anew"
    assert told(control, on="node-d") == {ONE, TWO}


def test_the_clients_node(control):
    control.write("web.yaml", service(internalTrafficPolicy="Local"), *NODES, slice_of("one", endpoint("10.1.0.1"), endpoint("10.1.0.2", on="node-b")))
    control.start()
    assert told(control, on="node-a") == {ONE} and told(control, on="node-b") == {TWO} and told(control, on="node-c") == set()
    assert told(control) == {ONE, TWO}, "nobody knows where it is"
    stream = control.watch_endpoints(f"{WEB}:80", '{"ns":"default","nodeName":"node-a"}')
    stream.next()
    control.write("web.yaml", service(internalTrafficPolicy="Cluster"), *NODES, slice_of("one", endpoint("10.1.0.1"), endpoint("10.1.0.2", on="node-b")))
    assert stream.end() == grpc.StatusCode.OK, "it is told by zone now, and asks anew"
    assert told(control, on="node-a") == {ONE, TWO}


def test_zones(control):
    control.write("web.yaml", service(), *NODES, pod("web-0", "10.1.0.1"), slice_of("one", endpoint("10.1.0.1", "web-0"), endpoint("10.1.0.2", on="node-b")))
    control.start()
    stream = control.watch_endpoints(f"{WEB}:80", '{"ns":"default","nodeName":"node-a"}')
    found = {item.metric_labels.get("pod", ""): dict(item.metric_labels) for item in stream.next().add.addrs}
    assert found["web-0"]["zone"] == "a" and found["web-0"]["zone_locality"] == "local" and found[""]["zone_locality"] == "remote"
    control.write("nodes.yaml", node("node-d", "d"))
    control.write("web.yaml", service(), node("node-a", "b"), node("node-b", "b"), pod("web-0", "10.1.0.1"),
                  slice_of("one", endpoint("10.1.0.1", "web-0"), endpoint("10.1.0.2", on="node-b")))
    assert stream.end() == grpc.StatusCode.OK, "the client has another zone, and asks anew"
    stream = control.watch_endpoints(f"{WEB}:80", '{"ns":"default","nodeName":"node-a"}')
    assert {item.metric_labels["zone_locality"] for item in stream.next().add.addrs} == {"local"}


@pytest.mark.parametrize("conditions,usual,published", [
    ({}, True, True), ({"ready": True}, True, True), ({"ready": True, "serving": True, "terminating": False}, True, True),
    ({"ready": False}, False, True), ({"ready": False, "serving": False}, False, True), ({"ready": False, "serving": True, "terminating": True}, False, True),
], ids=["unset", "ready", "serving", "unready", "failing", "terminating"])
def test_conditions(control, conditions, usual, published):
    control.write("web.yaml", service(), slice_of("one", endpoint("10.1.0.1", **conditions)), service("eager", "10.99.0.2", publishNotReadyAddresses=True),
                  slice_of("two", endpoint("10.1.0.1", **conditions), service_name="eager"))
    control.start()
    assert told(control) == ({ONE} if usual else set())
    assert told(control, "eager.default.svc.cluster.local:80") == ({ONE} if published else set())


def test_both_families(control):
    control.write("pods.yaml", pod("web-0", "10.1.0.1"), pod("web-1", "10.1.0.2"), pod("web-7", "10.1.0.3"))
    six = slice_of("six", endpoint("fd00::1", "web-0"), endpoint("fd00::7", "web-7", ready=False), family="IPv6")
    control.write("web.yaml", service(), slice_of("four", endpoint("10.1.0.1", "web-0"), endpoint("10.1.0.2", "web-1"), endpoint("10.1.0.3", "web-7")), six)
    control.start()
    assert told(control) == {"fd00::1:8080", TWO, THREE}, "a pod counts once, with its IPv6 address if that is ready"
    stream = control.watch_endpoints(f"{WEB}:80")
    stream.next()
    control.write("web.yaml", service(), slice_of("four", endpoint("10.1.0.1", "web-0"), endpoint("10.1.0.2", "web-1"), endpoint("10.1.0.3", "web-7")))
    assert addresses(stream.next().add.addrs) == {ONE} and addresses(stream.next().remove.addrs) == {"fd00::1:8080"}


def test_one_family(control):
    control.write("web.yaml", service(), pod(), slice_of("four", endpoint("10.1.0.1", "web-0")), slice_of("six", endpoint("fd00::1", "web-0"), family="IPv6"))
    control.start("--enable-ipv6=false")
    assert told(control) == {ONE}


def test_instances(control):
    named = [endpoint("10.1.0.1", "db-0", hostname="db-0"), endpoint("10.1.0.2", "db-1", hostname="db-1", ready=False), endpoint("10.1.0.3", "db-2")]
    control.write("db.yaml", service("web", "None"), slice_of("one", *named), *(pod(f"db-{i}", f"10.1.0.{i + 1}", "web") for i in range(3)))
    control.start()
    assert told(control) == {ONE, THREE}
    assert told(control, f"db-0.{WEB}:80") == {ONE}
    assert told(control, f"db-1.{WEB}:80") == told(control, f"db-9.{WEB}:80") == set()


def test_who_is_not_known(control):
    """Slices and pods come one after the other; in between nothing says that a pod has a proxy, and nobody must reach it without."""
    control.write("web.yaml", service(), slice_of("one", endpoint("10.1.0.1", "web-0"), endpoint("10.1.0.9")))
    control.start()
    stream = control.watch_endpoints(f"{WEB}:80")
    assert addresses(stream.next().add.addrs) == {"10.1.0.9:8080"}
    control.write("pod.yaml", pod())
    (item,) = stream.next().add.addrs
    assert addresses([item]) == {ONE} and item.HasField("tls_identity")
    control.remove("pod.yaml")
    assert addresses(stream.next().remove.addrs) == {ONE}
