"""What Linkerd's destination and policy services promise, as tables: a question, and the answer or the status."""

import json

import grpc
import pytest

from control.test_destination import addresses
from control.test_policy import authorizations, code_of, service_route
from lib.manifests import meta, pod, policy, route, server, service
from lib.scripted import messages

CODE = grpc.StatusCode
WEB = "web.default.svc.cluster.local"
CLUSTER = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8"


def profile(namespace="default", name=WEB, **spec):
    return {"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def namespace(name, **annotations):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations}}


# --- authorities ---


@pytest.mark.parametrize("component", ["Get", "GetProfile"])
def test_authorities(control, component):
    control.write("web.yaml", service(), pod(), service("outside", type="ExternalName", externalName="example.com", ip=None))
    control.start()
    watch = control.watch_endpoints if component == "Get" else control.watch_profile
    for path, code in (
            (f"{WEB}", None), (f"{WEB}:80", None), (f"{WEB}:81", None),
            (f"{WEB}:0", CODE.INVALID_ARGUMENT), (f"{WEB}:65536", CODE.INVALID_ARGUMENT), (f"{WEB}:http", CODE.INVALID_ARGUMENT),
            (f"{WEB}:", CODE.INVALID_ARGUMENT), (f"{WEB}:-1", CODE.INVALID_ARGUMENT), (f"{WEB}.:80", CODE.INVALID_ARGUMENT),
            ("web.default.svc:80", CODE.INVALID_ARGUMENT), ("web.default:80", CODE.INVALID_ARGUMENT), ("web:80", CODE.INVALID_ARGUMENT),
            ("web.default.pod.cluster.local:80", CODE.INVALID_ARGUMENT), ("web.default.svc.cluster.example:80", CODE.INVALID_ARGUMENT),
            ("a.b.web.default.svc.cluster.local:80", CODE.INVALID_ARGUMENT), ("..svc.cluster.local:80", CODE.INVALID_ARGUMENT),
            ("outside.default.svc.cluster.local:80", CODE.INVALID_ARGUMENT), ("none.default.svc.cluster.local:80", CODE.NOT_FOUND),
            ("web.none.svc.cluster.local:80", CODE.NOT_FOUND), ("", CODE.INVALID_ARGUMENT)):
        if code is None:
            assert watch(path).next() is not None, path
        else:
            assert watch(path).end() == code, path
    for path in ("10.1.0.1:8080", "[fd00::1]:80"):
        assert component == "GetProfile" or watch(path).end() == CODE.INVALID_ARGUMENT, path


def test_context_tokens(control):
    """All forms name the client's namespace; what cannot be read names none."""
    control.write("web.yaml", service(), profile("shop", routes=[{"name": "mine", "condition": {"pathRegex": "/"}}]),
                  profile("default", routes=[{"name": "theirs", "condition": {"pathRegex": "/"}}]))
    control.start()
    for token, wanted in (('{"ns":"shop"}', "mine"), ('{"ns":"shop","nodeName":"n","pod":"p"}', "mine"), ("ns:shop", "mine"),
                          ('{"ns":"other"}', "theirs"), ("ns:other", "theirs"), ("", "theirs"), ("shop", "theirs"), ("{", "theirs"),
                          ('{"ns":7}', "theirs"), ("[]", "theirs"), ("ns:", "theirs"), ("\n", "theirs")):
        route_, = control.watch_profile(f"{WEB}:80", token).next().routes
        assert route_.metrics_labels["route"] == wanted, token


# --- endpoints ---


def test_what_is_told_of_endpoints(control):
    ports = "linkerd.io/inject"
    skip = pod("skip", "10.1.0.2", annotations={"config.linkerd.io/skip-inbound-ports": "8080,9000-9010"})
    foreign = pod("foreign", "10.1.0.3", meshed=False, labels={"linkerd.io/control-plane-ns": "another"})
    elsewhere = pod("elsewhere", "10.1.0.4", serviceAccountName="books", annotations={ports: "enabled"})
    external = {"apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload", "metadata": meta("vm", labels={"app": "web"}),
                "spec": {"meshTLS": {"identity": "spiffe://root/vm", "serverName": "vm.example"}, "workloadIPs": [{"ip": "10.2.0.1"}],
                         "ports": [{"name": "http", "port": 8080}]},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    control.write("web.yaml", service(), pod(), skip, foreign, elsewhere, external)
    control.start()
    update = control.watch_endpoints(f"{WEB}:80").next()
    found = {item.metric_labels["pod"] or item.metric_labels.get("external_workload", "vm"): item for item in update.add.addrs}
    assert set(found) == {"web-0", "skip", "foreign", "elsewhere", "vm"}
    assert all(item.weight == 10000 for item in found.values())
    identity = "{}.default.serviceaccount.identity.linkerd.cluster.local"
    assert found["web-0"].tls_identity.dns_like_identity.name == identity.format("web")
    assert found["elsewhere"].tls_identity.server_name.name == identity.format("books")
    assert not found["skip"].HasField("tls_identity") and not found["skip"].HasField("protocol_hint"), "the port bypasses its proxy"
    assert not found["foreign"].HasField("tls_identity"), "of another control plane"
    assert found["vm"].tls_identity.uri_like_identity.uri == "spiffe://root/vm"
    assert found["vm"].tls_identity.server_name.name == "vm.example"


def external(name="vm", ip="10.2.0.1", labels=None, annotations=None, **spec):
    return {"apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload",
            "metadata": meta(name, labels={"app": "web", **(labels or {})}, annotations=annotations),
            "spec": {"meshTLS": {"identity": f"{name}.example.identity", "serverName": f"{name}.example"}, "workloadIPs": [{"ip": ip}],
                     "ports": [{"name": "http", "port": 8080}, {"name": "linkerd-proxy", "port": 5143}], **spec}}


def test_external_workloads(control):
    east = {"topology.kubernetes.io/zone": "east"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "labels": east}}
    headless = service("bare", "None", selector={"app": "web"})
    away = {**external("away", "10.2.0.2"), "status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    control.write("web.yaml", service(), headless, external(labels=east, annotations={"config.linkerd.io/opaque-ports": "8080"}), away,
                  external("elsewhere", "10.2.0.3", ports=[{"name": "http", "port": 9090}]),
                  node, pod())
    control.start()
    stream = control.watch_endpoints(f"{WEB}:80", '{"ns":"default","nodeName":"node-1"}')
    found = {item.metric_labels.get("external_workload", "pod"): item for item in stream.next().add.addrs}
    assert set(found) == {"pod", "vm"}, "neither what is not ready nor what does not list the port"
    vm = found["vm"]
    assert vm.tls_identity.dns_like_identity.name == "vm.example.identity" and vm.tls_identity.server_name.name == "vm.example"
    assert vm.metric_labels["zone"] == "east" and vm.metric_labels["zone_locality"] == "local"
    assert vm.protocol_hint.HasField("opaque") and vm.protocol_hint.opaque_transport.inbound_port == 5143
    # One of a headless Service by its name, and by its address.
    for profile_ in (control.watch_profile("vm.bare.default.svc.cluster.local:8080").next(), control.watch_profile("10.2.0.1:8080").next()):
        assert profile_.opaque_protocol and profile_.endpoint.tls_identity.server_name.name == "vm.example"
        assert profile_.endpoint.metric_labels["external_workload"] == "vm" and profile_.endpoint.metric_labels["zone"] == "east"
    control.write("web.yaml", service(), headless, external("other", "10.2.0.9"), node, pod())
    assert addresses(stream.next().add.addrs) >= {"10.2.0.9:8080"}


def test_transport_header_for_all(control):
    control.write("web.yaml", service(), pod())
    control.start("--outbound-transport-mode=transport-header")
    hint = control.watch_endpoints(f"{WEB}:80").next().add.addrs[0].protocol_hint
    assert hint.HasField("h2") and hint.opaque_transport.inbound_port == 4143


def test_only_what_differs_is_sent(control):
    pods = [pod(f"web-{i}", f"10.1.0.{i + 1}") for i in range(4)]
    control.write("web.yaml", service(), *pods)
    control.start()
    stream = control.watch_endpoints(f"{WEB}:80")
    assert len(addresses(stream.next().add.addrs)) == 4
    pods[2] = pod("web-2", "10.1.0.3", serviceAccountName="other")  # described anew
    control.write("web.yaml", service(), *pods)
    assert addresses(stream.next().add.addrs) == {"10.1.0.3:8080"}
    pods[0] = pod("web-0", "10.1.0.9")  # one comes, one goes
    control.write("web.yaml", service(), *pods)
    updates = [stream.next(), stream.next()]
    assert addresses(updates[0].add.addrs) == {"10.1.0.9:8080"} and addresses(updates[1].remove.addrs) == {"10.1.0.1:8080"}
    control.write("web.yaml", service(), *reversed(pods))  # another order is no change
    control.write("last.yaml", pod("web-9", "10.1.0.19"))
    assert addresses(stream.next().add.addrs) == {"10.1.0.19:8080"} and stream.quiet()


# --- profiles ---


def test_what_profiles_say(control):
    written = profile(retryBudget={"retryRatio": 0.5, "minRetriesPerSecond": 3, "ttl": "7s"}, opaquePorts=["80"],
                      routes=[{"name": "slow", "condition": {"all": [{"method": "POST"}, {"not": {"pathRegex": "/a"}}]},
                               "isRetryable": True, "timeout": "300ms",
                               "responseClasses": [{"condition": {"status": {"min": 500, "max": 599}}, "isFailure": True}]},
                              {"name": "plain", "condition": {"pathRegex": "/b"}}],
                      dstOverrides=[{"authority": "canary.default.svc.cluster.local", "weight": "100m"},
                                    {"authority": "web.default.svc.cluster.local:8080", "weight": "900m"}])
    control.write("web.yaml", service())
    control.start()
    stream = control.watch_profile("10.99.0.1:80")
    plain = stream.next()
    assert plain.retry_budget.retry_ratio == pytest.approx(0.2) and plain.retry_budget.min_retries_per_second == 10
    assert plain.retry_budget.ttl.seconds == 10 and not plain.opaque_protocol and not plain.HasField("endpoint")
    control.write("profile.yaml", written)
    found = stream.next()
    assert found.retry_budget.retry_ratio == 0.5 and found.retry_budget.min_retries_per_second == 3 and found.retry_budget.ttl.seconds == 7
    assert found.opaque_protocol and found.profile_ref.resource.kind == "ServiceProfile"
    slow, other = found.routes
    assert slow.is_retryable and slow.timeout.nanos == 300000000 and not other.HasField("timeout") and not other.is_retryable
    assert slow.condition.all.matches[0].method.registered == 1 and slow.response_classes[0].is_failure
    assert [(each.authority, each.weight) for each in found.dst_overrides] == [
        ("canary.default.svc.cluster.local:80", 1000), ("web.default.svc.cluster.local:8080", 9000)]


def test_profiles_of_instances(control):
    """The pod of a StatefulSet by its own name."""
    instance = pod("web-0", "10.1.0.1", hostname="web-0", subdomain="web")
    control.write("web.yaml", service(ip="None"), instance)
    control.start()
    found = control.watch_profile(f"web-0.{WEB}:8080").next()
    assert addresses([found.endpoint]) == {"10.1.0.1:8080"} and found.endpoint.metric_labels["pod"] == "web-0"
    assert control.watch_profile(f"web-7.{WEB}:8080").end() == CODE.NOT_FOUND
    assert addresses(control.watch_endpoints(f"web-0.{WEB}:80").next().add.addrs) == {"10.1.0.1:8080"}
    assert control.watch_endpoints(f"web-7.{WEB}:80").next().no_endpoints.exists


OPAQUE = "config.linkerd.io/opaque-ports"


@pytest.mark.parametrize("service_says,namespace_says,port,opaque", [
    (None, None, 3306, True), (None, None, 80, False),
    ("80", None, 80, True), ("80", None, 3306, False), ("", None, 3306, False),
    (None, "80", 80, True), (None, "80", 3306, False), ("3306", "80", 80, False), ("70-90", None, 80, True)])
def test_opaque_ports_of_services(control, service_says, namespace_says, port, opaque):
    """The Service's annotation, else the namespace's, else the default list; each replaces, none extends."""
    control.write("ns.yaml", namespace("default", **({OPAQUE: namespace_says} if namespace_says is not None else {})))
    control.write("web.yaml", service(ports=((80, 80), (3306, 3306)), annotations={OPAQUE: service_says} if service_says is not None else None))
    control.start()
    assert control.watch_profile(f"10.99.0.1:{port}").next().opaque_protocol == opaque
    assert (control.get_target(f"10.99.0.1:{port}").protocol.WhichOneof("kind") == "opaque") == opaque


# --- outbound ---


@pytest.mark.parametrize("protocol,routes,wanted", [
    (None, (), "detect"), ("http", (), "http1"), ("kubernetes.io/h2c", (), "http2"), ("kubernetes.io/h2c", ("GRPCRoute",), "grpc"),
    ("linkerd.io/opaque", (), "opaque"), ("linkerd.io/tcp", (), "opaque"), ("example.com/odd", (), "opaque"),
    ("http", ("GRPCRoute",), "http1"), (None, ("HTTPRoute",), "detect"), (None, ("HTTPRoute", "GRPCRoute"), "grpc")])
@pytest.mark.parametrize("annotated", [False, True], ids=["", "annotated as opaque"])
def test_protocols(control, protocol, routes, wanted, annotated):
    """appProtocol beats the annotation, the annotation beats routes, GRPCRoutes beat HTTPRoutes."""
    port = {"name": "p", "port": 80, "targetPort": 8080, **({"appProtocol": protocol} if protocol else {})}
    control.write("web.yaml", service(ports=(port,), annotations={OPAQUE: "80"} if annotated else None),
                  *[service_route(f"r-{kind.lower()}", [{"backendRefs": [{"name": "web", "port": 80}]}], kind=kind) for kind in routes])
    control.start()
    found = control.get_target("10.99.0.1:80").protocol.WhichOneof("kind")
    assert found == ("opaque" if annotated and not protocol else wanted)


def http_names(control, target="10.99.0.1:80", ns="default"):
    return [each.metadata.resource.name for each in control.get_target(target, ns).protocol.detect.http1.routes]


def test_routes_of_both_groups_in_order(control):
    def dated(name, when, version):
        made = {**service_route(name, [{}]), "apiVersion": version}
        made["metadata"] = {**made["metadata"], **({"creationTimestamp": when} if when else {})}
        return made

    control.write("web.yaml", service())
    control.write("routes.yaml", dated("young", "2024-03-01T00:00:00Z", "gateway.networking.k8s.io/v1"),
                  dated("b-same", "2024-02-01T00:00:00Z", "policy.linkerd.io/v1beta3"),
                  dated("a-same", "2024-02-01T00:00:00Z", "policy.linkerd.io/v1beta3"),
                  dated("old", "2024-01-01T00:00:00Z", "policy.linkerd.io/v1beta2"))
    control.start()
    assert http_names(control) == ["old", "a-same", "b-same", "young"]
    groups = [each.metadata.resource.group for each in control.get_target("10.99.0.1:80").protocol.detect.http1.routes]
    assert groups == ["policy.linkerd.io"] * 3 + ["gateway.networking.k8s.io"]


def test_timeouts_and_headers(control):
    annotations = {"timeout.linkerd.io/request": "5s", "timeout.linkerd.io/response": "3s", "timeout.linkerd.io/idle": "1m"}
    own = service_route("own", [{}])
    own["metadata"]["annotations"] = {"timeout.linkerd.io/request": "1s"}
    control.write("web.yaml", service(annotations=annotations), service("plain", "10.99.0.2"))
    control.start("--allow-l5d-request-headers")
    rule, = control.get_target("10.99.0.1:80").protocol.detect.http1.routes[0].rules
    assert (rule.timeouts.request.seconds, rule.timeouts.response.seconds, rule.timeouts.idle.seconds) == (5, 3, 60)
    rule, = control.get_target("10.99.0.2:80").protocol.detect.http1.routes[0].rules
    assert not rule.HasField("timeouts") or not rule.timeouts.HasField("request")
    stream = control.watch_target("10.99.0.1:80")
    stream.next()
    control.write("own.yaml", own)
    rule, = stream.next().protocol.detect.http1.routes[0].rules
    assert rule.timeouts.request.seconds == 1 and rule.allow_l5d_request_headers, "of routes that somebody wrote"


def test_targets(control):
    egress = policy("EgressNetwork", "wide", "v1alpha1", {"trafficPolicy": "Allow", "networks": [{"cidr": "0.0.0.0/0"}]}, "linkerd-egress")
    narrow = policy("EgressNetwork", "narrow", "v1alpha1", {"trafficPolicy": "Allow", "networks": [{"cidr": "192.0.2.0/24"}]}, "linkerd-egress")
    mine = policy("EgressNetwork", "mine", "v1alpha1", {"trafficPolicy": "Deny", "networks": [{"cidr": "198.51.100.0/24"}]}, "shop")
    control.write("web.yaml", service(), pod(), egress, narrow, mine)
    control.start()
    for target, ns, wanted in (
            ("web.default.svc.cluster.local", "default", "web"), ("web.default.svc:80", "shop", "web"), ("10.99.0.1:80", "shop", "web"),
            ("203.0.113.1:443", "default", "wide"), ("192.0.2.9:443", "default", "narrow"),
            ("198.51.100.1:443", "shop", "mine"), ("198.51.100.1:443", "default", "wide")):
        assert control.get_target(target, ns).metadata.resource.name == wanted, (target, ns)
    for target, code in (("10.99.0.77:80", CODE.NOT_FOUND), ("10.1.0.1:8080", CODE.NOT_FOUND), ("web.other.svc:80", CODE.NOT_FOUND),
                         ("web.default:80", CODE.NOT_FOUND), ("web.default.svc.elsewhere:80", CODE.NOT_FOUND), ("10.99.0.1:0", CODE.INVALID_ARGUMENT)):
        assert code_of(lambda: control.get_target(target)) == code, target
    undefined = control.get_target("web.default.svc:99").protocol.opaque.routes[0].rules[0]
    assert undefined.filters[0].HasField("forbidden")


# --- inbound ---


@pytest.mark.parametrize("name,who", [
    ("all-unauthenticated", {"all-unauthenticated": "anybody"}), ("all-authenticated", {"all-authenticated": "*"}),
    ("cluster-unauthenticated", {"cluster-unauthenticated": f"anybody from {CLUSTER}"}),
    ("cluster-authenticated", {"cluster-authenticated": f"* from {CLUSTER}"}), ("deny", {}), ("audit", {"audit": "anybody"})])
def test_default_policies_from_everywhere(control, name, who):
    """The pod's annotation beats the namespace's, that beats the flag; a Server's accessPolicy takes the same words."""
    key = "config.linkerd.io/default-inbound-policy"
    other = "deny" if name != "deny" else "all-unauthenticated"
    control.write("ns.yaml", namespace("annotated", **{key: name}), namespace("other", **{key: other}))
    control.write("pods.yaml", pod("by-flag", "10.1.0.1", "flag"), pod("by-ns", "10.1.0.2", "ns", "annotated"),
                  pod("by-pod", "10.1.0.3", "pod", "other", annotations={key: name}),
                  pod("odd", "10.1.0.5", "odd", annotations={key: "whatever"}),
                  pod("by-server", "10.1.0.4", "srv", "other"), server("srv", app="srv", namespace="other", accessPolicy=name))
    control.start(f"--default-policy={name}")
    for pod_name, ns in (("by-flag", "default"), ("by-ns", "annotated"), ("by-pod", "other"), ("odd", "default"), ("by-server", "other")):
        found = control.get_port(pod_name, 8080, ns)
        assert authorizations(found.authorizations) == who, pod_name
        assert found.labels["name"] == ("srv" if pod_name == "by-server" else name)


@pytest.mark.parametrize("protocol,kind", [("HTTP/1", "http1"), ("HTTP/2", "http2"), ("gRPC", "grpc"), ("opaque", "opaque"),
                                           ("TLS", "tls"), ("unknown", "detect"), (None, "detect")])
def test_protocols_of_servers(control, protocol, kind):
    control.write("web.yaml", pod(), server(**({"proxyProtocol": protocol} if protocol else {})))
    control.start()
    assert control.get_port("web-0", 8080).protocol.WhichOneof("kind") == kind


def test_inbound_routes_of_both_groups(control):
    def made(name, group):
        return route(name, "web-http", [{"matches": [{"path": {"type": "PathPrefix", "value": f"/{name}"}}]}], version=group)

    control.write("web.yaml", pod(container={"livenessProbe": {"httpGet": {"path": "/live", "port": 8080}}}), server(),
                  made("a", "policy.linkerd.io/v1beta3"), made("b", "gateway.networking.k8s.io/v1"),
                  policy("AuthorizationPolicy", "only-a", "v1alpha1", {
                      "targetRef": {"group": "policy.linkerd.io", "kind": "HTTPRoute", "name": "a"}, "requiredAuthenticationRefs": []}))
    control.start("--probe-networks=203.0.113.0/24")
    found = control.get_port("web-0", 8080)
    routes = {each.metadata.resource.name: each for each in found.protocol.detect.http_routes}
    assert set(routes) == {"a", "b"}, "routes replace the default route and that of probes"
    assert authorizations(routes["a"].authorizations) == {"only-a": "anybody"} and not routes["b"].authorizations
    assert not found.authorizations


def test_workload_forms(control):
    control.write("web.yaml", pod())
    control.start()
    spec, stub = messages()["inbound"].PortSpec, control.inbound()
    for text, code in (('{"ns":"default","pod":"web-0"}', None), ("default:web-0", None), ('{"ns":"default","pod":"none"}', CODE.NOT_FOUND),
                       ("default:none", CODE.NOT_FOUND), ("web-0", CODE.INVALID_ARGUMENT), ('{"pod":"web-0"}', CODE.INVALID_ARGUMENT),
                       ('{"ns":"default","external_workload":"web-0"}', CODE.NOT_FOUND), (json.dumps(["default", "web-0"]), CODE.INVALID_ARGUMENT)):
        if code is None:
            assert stub.GetPort(spec(workload=text, port=80), timeout=10).labels["name"] == "all-unauthenticated"
        else:
            assert code_of(lambda: stub.GetPort(spec(workload=text, port=80), timeout=10)) == code, text
