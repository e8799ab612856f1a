"""Destination.Get and Destination.GetProfile over a directory of manifests."""

import ipaddress

import grpc
import pytest

from lib.manifests import pod, service

WEB = "web.default.svc.cluster.local:80"


def addresses(items):
    found = set()
    for item in items:
        addr = getattr(item, "addr", item)
        ip = ipaddress.ip_address(addr.ip.ipv4) if addr.ip.WhichOneof("ip") == "ipv4" else ipaddress.ip_address(
            addr.ip.ipv6.first << 64 | addr.ip.ipv6.last)
        found.add(f"{ip}:{addr.port}")
    return found


def test_endpoints_follow_the_files(control):
    control.write("web.yaml", service(), pod())
    control.start()
    stream = control.watch_endpoints(WEB)
    update = stream.next()
    assert addresses(update.add.addrs) == {"10.1.0.1:8080"}
    assert update.add.metric_labels == {"namespace": "default", "service": "web"}
    web = update.add.addrs[0]
    identity = "web.default.serviceaccount.identity.linkerd.cluster.local"
    assert web.tls_identity.dns_like_identity.name == identity and web.tls_identity.server_name.name == identity
    assert web.protocol_hint.HasField("h2") and web.weight == 10000
    assert web.metric_labels["pod"] == "web-0" and web.metric_labels["serviceaccount"] == "web"
    # A second pod: only it is added. Then the first goes: only it is removed.
    control.write("more.yaml", pod("web-1", "10.1.0.2", meshed=False))
    update = stream.next()
    assert addresses(update.add.addrs) == {"10.1.0.2:8080"}
    assert not update.add.addrs[0].HasField("tls_identity") and not update.add.addrs[0].HasField("protocol_hint")
    control.write("web.yaml", service())
    update = stream.next()
    assert addresses(update.remove.addrs) == {"10.1.0.1:8080"}
    control.remove("more.yaml")
    assert addresses(stream.next().remove.addrs) == {"10.1.0.2:8080"}
    assert stream.quiet()


def test_what_is_not_there(control):
    control.write("web.yaml", service(), service("outside", type="ExternalName", externalName="example.com", ip=None))
    control.start()
    update = control.watch_endpoints(WEB).next()
    assert update.no_endpoints.exists, "the first answer comes at once"
    for path, code in (("none.default.svc.cluster.local:80", grpc.StatusCode.NOT_FOUND),
                       ("outside.default.svc.cluster.local:80", grpc.StatusCode.INVALID_ARGUMENT),
                       ("10.99.0.1:80", grpc.StatusCode.INVALID_ARGUMENT), ("example.com:80", grpc.StatusCode.INVALID_ARGUMENT),
                       ("web.default.svc.cluster.local:0", grpc.StatusCode.INVALID_ARGUMENT),
                       ("web.default.svc.cluster.local.:80", grpc.StatusCode.INVALID_ARGUMENT), ("", grpc.StatusCode.INVALID_ARGUMENT)):
        assert control.watch_endpoints(path).end() == code, path


def test_a_service_comes_and_goes(control):
    control.write("web.yaml", service(), pod())
    control.start()
    stream = control.watch_endpoints(WEB)
    assert stream.next().HasField("add")
    control.write("web.yaml", pod())
    update = stream.next()
    assert update.HasField("no_endpoints") and not update.no_endpoints.exists
    control.write("web.yaml", service(), pod())
    assert addresses(stream.next().add.addrs) == {"10.1.0.1:8080"}


def test_a_broken_file_keeps_the_last_good(control):
    control.write("web.yaml", service(), pod())
    control.start()
    stream = control.watch_endpoints(WEB)
    stream.next()
    control.write("web.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec: {ports: [{port: eighty}]}\n", pod())
    control.program.wait_line(r"ERROR source: web\.yaml:\d+: .*spec\.ports\[0\]\.port")
    control.write("other.yaml", pod("web-1", "10.1.0.2"))
    assert addresses(stream.next().add.addrs) == {"10.1.0.2:8080"}, "the service is still there, and nothing else was said"
    control.write("web.yaml", "kind: [", pod())
    control.program.wait_line(r"ERROR source: web\.yaml:1")
    control.write("third.yaml", pod("web-2", "10.1.0.3"))
    assert addresses(stream.next().add.addrs) == {"10.1.0.3:8080"}
    assert control.http("/ready")[0] == 200


def node(zone, name="node-1"):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}}


def locality(stream):
    return {item.metric_labels["pod"]: item.metric_labels["zone_locality"] for item in stream.next().add.addrs}


def test_clients_of_a_node_begin_anew_when_its_zone_changes(control):
    """Those of other nodes go on, and share what is said with the rest of their zone."""
    control.write("web.yaml", service(), pod())
    control.write("nodes.yaml", node("a"), node("a", "node-2"), node("b", "node-3"))
    control.start()
    one, two, three = (control.watch_endpoints(WEB, f'{{"ns":"default","nodeName":"node-{number}"}}') for number in (1, 2, 3))
    assert [locality(stream) for stream in (one, two, three)] == [{"web-0": "local"}, {"web-0": "local"}, {"web-0": "remote"}]
    control.write("nodes.yaml", node("a"), node("b", "node-2"), node("b", "node-3"))
    assert two.end() == grpc.StatusCode.OK
    two = control.watch_endpoints(WEB, '{"ns":"default","nodeName":"node-2"}')
    assert locality(two) == {"web-0": "remote"} and one.quiet() and three.quiet()
    control.write("more.yaml", pod("web-1", "10.1.0.2", nodeName="node-3"))
    assert [locality(stream) for stream in (one, two, three)] == [{"web-1": "remote"}, {"web-1": "local"}, {"web-1": "local"}]


def test_traffic_that_stays_on_the_node(control):
    control.write("pods.yaml", pod(), pod("web-1", "10.1.0.2", nodeName="node-2"))
    control.write("web.yaml", service(internalTrafficPolicy="Local"))
    control.start()
    one, two = (control.watch_endpoints(WEB, f'{{"ns":"default","nodeName":"node-{number}"}}') for number in (1, 2))
    assert addresses(one.next().add.addrs) == {"10.1.0.1:8080"} and addresses(two.next().add.addrs) == {"10.1.0.2:8080"}
    control.write("web.yaml", service())  # everywhere from now on: the calls end, and who comes back sees all
    assert one.end() == grpc.StatusCode.OK and two.end() == grpc.StatusCode.OK
    one = control.watch_endpoints(WEB, '{"ns":"default","nodeName":"node-1"}')
    assert addresses(one.next().add.addrs) == {"10.1.0.1:8080", "10.1.0.2:8080"}


def test_opaque_ports(control):
    control.write("db.yaml", service("db", "10.99.0.2", ((3306, 3306), (80, 80))), pod("db-0", "10.1.0.9", "db"),
                  pod("db-1", "10.1.0.10", "db", annotations={"config.linkerd.io/opaque-ports": "80,9000-9010"}))
    control.start()
    by_port = {port: {item.metric_labels["pod"]: item.protocol_hint for item in
                      control.watch_endpoints(f"db.default.svc.cluster.local:{port}").next().add.addrs} for port in (3306, 80)}
    assert by_port[3306]["db-0"].HasField("opaque") and by_port[3306]["db-0"].opaque_transport.inbound_port == 4143
    assert by_port[3306]["db-1"].HasField("h2"), "an annotation replaces the default list"
    assert by_port[80]["db-0"].HasField("h2") and by_port[80]["db-1"].HasField("opaque")


def test_profiles(control):
    profile = {"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
               "metadata": {"name": "web.default.svc.cluster.local", "namespace": "default"},
               "spec": {"routes": [{"name": "GET /books", "condition": {"method": "GET", "pathRegex": "/books"}}]}}
    control.write("web.yaml", service(), pod())
    control.start()
    stream = control.watch_profile("10.99.0.1:80")
    first = stream.next()
    assert first.fully_qualified_name == "web.default.svc.cluster.local" and not first.routes
    assert first.parent_ref.resource.kind == "Service" and first.parent_ref.resource.name == "web"
    assert first.retry_budget.min_retries_per_second == 10
    control.write("profile.yaml", profile)
    second = stream.next()
    assert [dict(each.metrics_labels) for each in second.routes] == [{"route": "GET /books"}]
    control.remove("profile.yaml")
    assert not stream.next().routes
    # A port that the service does not have: a completely empty profile. A pod, and an address of nobody: endpoints.
    assert control.watch_profile("10.99.0.1:81").next().ByteSize() == 0
    endpoint = control.watch_profile("10.1.0.1:8080").next().endpoint
    assert endpoint.metric_labels["pod"] == "web-0" and endpoint.HasField("tls_identity")
    nobody = control.watch_profile("192.0.2.1:443").next()
    assert addresses([nobody.endpoint]) == {"192.0.2.1:443"} and not nobody.endpoint.HasField("tls_identity")


@pytest.mark.parametrize("second", ["10.99.0.1"])
def test_two_services_with_one_address(control, second):
    control.write("web.yaml", service(), service("twin", second))
    control.start()
    assert control.watch_profile("10.99.0.1:80").end() == grpc.StatusCode.FAILED_PRECONDITION
