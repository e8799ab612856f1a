"""InboundServerPolicies and OutboundPolicies over a directory of manifests."""

import ipaddress
import json

import grpc
import pytest

from lib.manifests import pod, policy, route, server, service
from lib.scripted import messages


def code_of(call):
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code()


def network(net):
    ip = net.net.ip
    address = ipaddress.IPv4Address(ip.ipv4) if ip.WhichOneof("ip") == "ipv4" else ipaddress.IPv6Address(
        ip.ipv6.first << 64 | ip.ipv6.last)
    return f"{address}/{net.net.prefix_len}"


def authorizations(items):
    """name -> who, as short text."""
    found = {}
    for item in items:
        permit = item.authentication
        if permit.HasField("unauthenticated"):
            who = "anybody"
        elif permit.meshTLS.HasField("unauthenticated"):
            who = "tls"
        else:
            clients = permit.meshTLS.clients if hasattr(permit.meshTLS, "clients") else permit.meshTLS.identities
            who = " ".join([each.name for each in clients.identities] + ["*" + "".join("." + part for part in each.parts)
                                                                         for each in clients.suffixes])
        nets = ",".join(network(net) for net in item.networks)
        found[item.labels["name"]] = who if nets == "0.0.0.0/0,::/0" else f"{who} from {nets}"
    return found


def test_default_policies(control):
    control.write("pods.yaml", pod(), pod("strict", "10.1.0.2", annotations={"config.linkerd.io/default-inbound-policy": "deny"}),
                  pod("id", "10.1.0.3", annotations={"config.linkerd.io/proxy-require-identity-inbound-ports": "8080,metrics"},
                      ports=[("metrics", 9090)]),
                  {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "closed", "annotations": {
                      "config.linkerd.io/default-inbound-policy": "cluster-authenticated"}}},
                  pod("inside", "10.1.0.4", namespace="closed"))
    control.start()
    web = control.get_port("web-0", 8080)
    assert dict(web.labels) == {"group": "", "kind": "default", "name": "all-unauthenticated"}
    assert authorizations(web.authorizations) == {"all-unauthenticated": "anybody"}
    assert web.protocol.detect.timeout.seconds == 10
    assert [each.metadata.default for each in web.protocol.detect.http_routes] == ["default"]
    assert web.protocol.detect.http_routes[0].rules[0].matches[0].path.prefix == "/"
    assert control.get_port("web-0", 3306).protocol.HasField("opaque")
    assert authorizations(control.get_port("strict", 8080).authorizations) == {}
    assert control.get_port("strict", 8080).labels["name"] == "deny"
    assert authorizations(control.get_port("id", 8080).authorizations) == {"all-authenticated": "*"}
    assert authorizations(control.get_port("id", 9090).authorizations) == {"all-authenticated": "*"}
    assert authorizations(control.get_port("id", 8081).authorizations) == {"all-unauthenticated": "anybody"}
    inside = control.get_port("inside", 80, "closed")
    assert authorizations(inside.authorizations) == {
        "cluster-authenticated": "* from 10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8"}


def test_what_is_not_there(control):
    control.write("pods.yaml", pod(), service())
    control.start()
    spec = messages()["inbound"].PortSpec
    stub = control.inbound()
    for bad in (spec(workload="", port=80), spec(workload="nonsense", port=80), spec(workload='{"ns":"default"}', port=80),
                spec(workload="default:web-0", port=0), spec(workload="default:web-0", port=65536)):
        assert code_of(lambda: stub.GetPort(bad, timeout=10)) == grpc.StatusCode.INVALID_ARGUMENT, bad
    assert code_of(lambda: control.get_port("nobody", 80)) == grpc.StatusCode.NOT_FOUND
    assert control.watch_port("nobody", 80).end() == grpc.StatusCode.NOT_FOUND
    assert stub.GetPort(spec(workload="default:web-0", port=80), timeout=10).labels["name"] == "all-unauthenticated", "the older form"
    for target, code in (("none.default.svc:80", grpc.StatusCode.NOT_FOUND), ("example.com:80", grpc.StatusCode.NOT_FOUND),
                         ("10.99.0.200:80", grpc.StatusCode.NOT_FOUND), ("10.99.0.1:0", grpc.StatusCode.INVALID_ARGUMENT)):
        assert code_of(lambda: control.get_target(target)) == code, target
    bad = messages()["outbound"].TrafficSpec(source_workload="?", authority="web.default.svc:80")
    assert code_of(lambda: control.outbound().Get(bad, timeout=10)) == grpc.StatusCode.INVALID_ARGUMENT
    bad = messages()["outbound"].TrafficSpec(source_workload="default:web-0")
    assert code_of(lambda: control.outbound().Get(bad, timeout=10)) == grpc.StatusCode.INVALID_ARGUMENT


def authn(name, *identities, namespace="default", refs=()):
    spec = {"identities": list(identities)} if identities else {"identityRefs": list(refs)}
    return policy("MeshTLSAuthentication", name, "v1alpha1", spec, namespace)


def authz(name, kind, target, *refs, namespace="default", group="policy.linkerd.io"):
    return policy("AuthorizationPolicy", name, "v1alpha1", {
        "targetRef": {"group": group, "kind": kind, "name": target},
        "requiredAuthenticationRefs": [{"group": "policy.linkerd.io", "kind": each[0], "name": each[1], **each[2]} if len(each) > 2 else
                                       {"group": "policy.linkerd.io", "kind": each[0], "name": each[1]} for each in refs]}, namespace)


def test_servers_and_their_authorizations(control):
    control.write("pods.yaml", pod(ports=[("http", 8080)]))
    control.start()
    stream = control.watch_port("web-0", 8080)
    assert stream.next().labels["name"] == "all-unauthenticated"
    # A Server: from now on nobody, but who is authorized.
    control.write("server.yaml", server(port="http", proxyProtocol="HTTP/1", labels={"tier": "front"}))
    first = stream.next()
    assert dict(first.labels) == {"group": "policy.linkerd.io", "kind": "server", "name": "web-http"}
    assert first.protocol.HasField("http1") and not first.authorizations
    control.write("authz.yaml", policy("ServerAuthorization", "front", "v1beta1", {
        "server": {"selector": {"matchLabels": {"tier": "front"}}},
        "client": {"networks": [{"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}],
                   "meshTLS": {"serviceAccounts": [{"name": "books"}], "identities": ["*.team.serviceaccount.identity.linkerd.cluster.local"]}}}))
    second = stream.next()
    assert authorizations(second.authorizations) == {
        "front": "books.default.serviceaccount.identity.linkerd.cluster.local *.team.serviceaccount.identity.linkerd.cluster.local"
                 " from 10.0.0.0/8"}
    assert second.authorizations[0].metadata.resource.kind == "serverauthorization"
    assert len(getattr(second.authorizations[0].networks[0], "except")) == 1
    control.remove("authz.yaml")
    assert not stream.next().authorizations
    # A policy whose authentication is somewhere else and comes later: until then it allows nobody.
    control.write("policy.yaml", authz("shop", "Server", "web-http", ("MeshTLSAuthentication", "shop", {"namespace": "other"})))
    control.write("other.yaml", authn("shop", "shop.other.serviceaccount.identity.linkerd.cluster.local", namespace="other"))
    third = stream.next()
    assert authorizations(third.authorizations) == {"shop": "shop.other.serviceaccount.identity.linkerd.cluster.local"}
    assert third.authorizations[0].labels["kind"] == "authorizationpolicy"
    control.write("other.yaml", authn("shop", namespace="other", refs=[{"kind": "Namespace", "name": "other"},
                                                                        {"kind": "ServiceAccount", "name": "a"}]))
    assert authorizations(stream.next().authorizations) == {
        "shop": "a.other.serviceaccount.identity.linkerd.cluster.local *.other.serviceaccount.identity.linkerd.cluster.local"}
    control.remove("server.yaml")
    assert stream.next().labels["name"] == "all-unauthenticated"
    control.remove("pods.yaml")
    assert stream.end() == grpc.StatusCode.NOT_FOUND


def test_required_authentications(control):
    net = policy("NetworkAuthentication", "office", "v1alpha1", {"networks": [{"cidr": "192.0.2.0/24"}]})
    control.write("all.yaml", pod(), server(), net, authn("a", "a.default"), authn("b", "b.default"), authn("any", "*"),
                  authz("both", "Server", "web-http", ("MeshTLSAuthentication", "a"), ("NetworkAuthentication", "office")),
                  authz("two", "Server", "web-http", ("MeshTLSAuthentication", "a"), ("MeshTLSAuthentication", "b")),
                  authz("missing", "Server", "web-http", ("MeshTLSAuthentication", "none")),
                  authz("open", "Server", "web-http"), authz("elsewhere", "Server", "other"),
                  authz("whole", "Namespace", "default", ("MeshTLSAuthentication", "any"), group=""))
    control.start()
    assert authorizations(control.get_port("web-0", 8080).authorizations) == {
        "both": "a.default from 192.0.2.0/24", "open": "anybody", "whole": "*"}


def test_access_policy_and_the_oldest_server(control):
    control.write("a.yaml", pod(), server("first", accessPolicy="audit", proxyProtocol="gRPC"))
    control.write("b.yaml", server("second", accessPolicy="all-unauthenticated"))
    control.start()
    stream = control.watch_port("web-0", 8080)
    first = stream.next()
    assert first.labels["name"] == "first" and authorizations(first.authorizations) == {"audit": "anybody"}
    assert first.protocol.HasField("grpc") and first.protocol.grpc.routes[0].metadata.default == "default"
    control.program.wait_line(r"WARN policy: port 8080 of default/web-0: Server second is ignored, the older Server first selects it")
    control.write("a.yaml", pod())
    assert stream.next().labels["name"] == "second"


def test_routes_of_servers(control):
    probe = {"httpGet": {"path": "/healthz?full=1", "port": "http"}}
    control.write("web.yaml", pod(ports=[("http", 8080)], container={
        "livenessProbe": probe, "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
        "startupProbe": {"httpGet": {"path": "/elsewhere", "port": 9999}}}), server())
    control.start("--probe-networks=203.0.113.0/24")
    stream = control.watch_port("web-0", 8080)
    default, probes = stream.next().protocol.detect.http_routes
    assert default.metadata.default == "default" and probes.metadata.default == "probe"
    assert [(each.path.exact, each.method.registered) for each in probes.rules[0].matches] == [("/healthz", 0), ("/ready", 0)]
    assert authorizations(probes.authorizations) == {"probe": "anybody from 203.0.113.0/24"}
    control.write("route.yaml", route("books", "web-http", [{"matches": [{"path": {"type": "Exact", "value": "/books"}, "method": "GET"}],
                                                             "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {
                                                                 "set": [{"name": "x-a", "value": "1"}]}}]}], hostnames=["books.example"]))
    only, = stream.next().protocol.detect.http_routes
    assert only.metadata.resource.kind == "HTTPRoute" and only.metadata.resource.group == "gateway.networking.k8s.io"
    assert only.metadata.resource.name == "books" and only.hosts[0].exact == "books.example"
    assert only.rules[0].filters[0].request_header_modifier.set.headers[0].value == b"1" and not only.authorizations
    control.write("authz.yaml", authn("a", "a.default"),
                  authz("for-books", "HTTPRoute", "books", ("MeshTLSAuthentication", "a"), group="gateway.networking.k8s.io"))
    only, = stream.next().protocol.detect.http_routes
    assert authorizations(only.authorizations) == {"for-books": "a.default"}
    control.write("route.yaml", route("books", "another", [{}]))
    assert len(stream.next().protocol.detect.http_routes) == 2


def test_rate_limits(control):
    limit = policy("HTTPLocalRateLimitPolicy", "slow", "v1alpha1", {
        "targetRef": {"group": "policy.linkerd.io", "kind": "Server", "name": "web-http"}, "total": {"requestsPerSecond": 100},
        "identity": {"requestsPerSecond": 20},
        "overrides": [{"requestsPerSecond": 50, "clientRefs": [{"kind": "ServiceAccount", "name": "books", "namespace": "shop"}]}]})
    control.write("web.yaml", pod(), server(), limit)
    control.start()
    found = control.get_port("web-0", 8080).protocol.detect.http_local_rate_limit
    assert found.metadata.resource.name == "slow" and found.total.requestsPerSecond == 100
    assert found.overrides[0].clients.identities[0].name == "books.shop.serviceaccount.identity.linkerd.cluster.local"


# --- outbound ---


def test_outbound_services(control):
    control.write("web.yaml", service(ports=((80, 8080), {"name": "db", "port": 3306},
                                             {"name": "h2", "port": 81, "appProtocol": "kubernetes.io/h2c"},
                                             {"name": "h1", "port": 82, "appProtocol": "http"},
                                             {"name": "odd", "port": 83, "appProtocol": "example.com/odd"})))
    control.start()
    web = control.get_target("10.99.0.1:80")
    assert web.metadata.resource.kind == "Service" and web.metadata.resource.name == "web" and web.metadata.resource.port == 80
    found = web.protocol.detect
    assert found.timeout.seconds == 10
    http, = found.http1.routes
    assert http.metadata.default == "http"
    backend = http.rules[0].backends.first_available.backends[0].backend
    assert backend.balancer.discovery.dst.path == "web.default.svc.cluster.local:80"
    assert backend.balancer.peak_ewma.default_rtt.ToMilliseconds() == 30 and backend.queue.capacity == 100
    assert found.opaque.routes[0].metadata.default == "opaq"
    assert control.get_target("web.default.svc.cluster.local:80") == web == control.get_target("web.default.svc:80")
    kinds = {port: control.get_target(f"10.99.0.1:{port}").protocol.WhichOneof("kind") for port in (3306, 81, 82, 83, 9999)}
    assert kinds == {3306: "opaque", 81: "http2", 82: "http1", 83: "opaque", 9999: "opaque"}
    undefined = control.get_target("10.99.0.1:9999").protocol.opaque.routes[0]
    assert undefined.rules[0].filters[0].HasField("forbidden")
    outside = control.get_target("192.0.2.7:443")
    assert outside.metadata.default == "egress-fallback"
    assert outside.protocol.detect.http1.routes[0].rules[0].backends.first_available.backends[0].backend.HasField("forward")


def service_route(name, rules, namespace="default", kind="HTTPRoute"):
    made = route(name, "web", rules, kind=kind, namespace=namespace, parent_kind="Service", group="core", port=80)
    made["spec"]["parentRefs"][0]["namespace"] = "default"
    return made


def test_outbound_routes_follow_the_files(control):
    control.write("web.yaml", service(), service("canary", "10.99.0.2"))
    control.start()
    stream, other = control.watch_target("10.99.0.1:80"), control.watch_target("10.99.0.1:80", "shop")
    assert stream.next().protocol.detect.http1.routes[0].metadata.default == "http"
    other.next()
    rule = {"backendRefs": [{"name": "web", "port": 80, "weight": 9}, {"name": "canary", "port": 80, "weight": 1}],
            "timeouts": {"request": "2s"}}
    control.write("route.yaml", service_route("split", [rule]))
    for each in (stream, other):
        found, = each.next().protocol.detect.http1.routes
        assert found.metadata.resource.name == "split" and found.rules[0].timeouts.request.seconds == 2
        backends = found.rules[0].backends.random_available.backends
        assert [(item.weight, item.backend.backend.balancer.discovery.dst.path) for item in backends] == [
            (9, "web.default.svc.cluster.local:80"), (1, "canary.default.svc.cluster.local:80")]
    # A backend that goes away keeps its weight and fails; it comes back.
    control.write("web.yaml", service())
    broken = stream.next().protocol.detect.http1.routes[0].rules[0].backends.random_available.backends[1]
    assert broken.weight == 1 and broken.backend.filters[0].failure_injector.status == 500
    other.next()
    control.write("web.yaml", service(), service("canary", "10.99.0.2"))
    assert not stream.next().protocol.detect.http1.routes[0].rules[0].backends.random_available.backends[1].backend.filters
    other.next()
    # A route of the client's own namespace is for clients of that namespace alone.
    control.write("consumer.yaml", service_route("mine", [{}], "shop"))
    assert [each.metadata.resource.name for each in other.next().protocol.detect.http1.routes] == ["mine"]
    control.write("grpc.yaml", service_route("rpc", [{"matches": [{"method": {"service": "a.B", "method": "C"}}]}], kind="GRPCRoute"))
    found = stream.next()
    assert found.protocol.grpc.routes[0].rules[0].matches[0].rpc.service == "a.B"
    control.remove("web.yaml")
    assert stream.end() == grpc.StatusCode.NOT_FOUND


def test_changes_elsewhere_are_not_heard(control):
    control.write("web.yaml", service(), pod(), server())
    control.start()
    target, port = control.watch_target("10.99.0.1:80"), control.watch_port("web-0", 8080)
    target.next(), port.next()
    control.write("other.yaml", service("other", "10.99.0.7"), pod("other-0", "10.1.0.7", "other"), server("other-http", app="other"),
                  authz("open", "Server", "other-http"))
    control.write("last.yaml", server("web-admin", 9000), authz("all", "Server", "web-http"))
    assert authorizations(port.next().authorizations) == {"all": "anybody"}
    assert target.quiet() and port.quiet()


def test_egress_networks(control):
    egress = policy("EgressNetwork", "all-out", "v1alpha1", {"trafficPolicy": "Deny", "networks": [{"cidr": "0.0.0.0/0"}]}, "linkerd-egress")
    control.start()
    stream = control.watch_target("192.0.2.7:443")
    assert stream.next().metadata.default == "egress-fallback"
    control.write("egress.yaml", egress)
    denied = stream.next()
    assert denied.metadata.resource.kind == "EgressNetwork"
    assert denied.protocol.detect.opaque.routes[0].rules[0].filters[0].HasField("forbidden")
    database = control.watch_target("192.0.2.7:3306").next()
    assert database.protocol.opaque.routes[0].rules[0].filters[0].HasField("forbidden"), "a default opaque port"
    control.write("egress.yaml", policy("EgressNetwork", "all-out", "v1alpha1", {"trafficPolicy": "Allow", "networks": [{"cidr": "0.0.0.0/0"}]},
                                        "linkerd-egress"))
    assert not stream.next().protocol.detect.opaque.routes[0].rules[0].filters
    control.remove("egress.yaml")
    assert stream.next().metadata.default == "egress-fallback"


def test_workloads_as_json(control):
    external = {"apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload", "metadata": {"name": "vm", "namespace": "default",
                "labels": {"app": "vm"}},
                "spec": {"meshTLS": {"identity": "spiffe://root/vm", "serverName": "vm.example"}, "workloadIPs": [{"ip": "10.2.0.1"}],
                         "ports": [{"name": "http", "port": 80}]}}
    control.write("vm.yaml", external, policy("Server", "vm-http", "v1beta3", {
        "externalWorkloadSelector": {"matchLabels": {"app": "vm"}}, "port": "http", "accessPolicy": "all-authenticated"}))
    control.start()
    spec = messages()["inbound"].PortSpec(workload=json.dumps({"ns": "default", "external_workload": "vm"}), port=80)
    found = control.inbound().GetPort(spec, timeout=10)
    assert found.labels["name"] == "vm-http" and authorizations(found.authorizations) == {"all-authenticated": "*"}
