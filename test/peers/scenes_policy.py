"""Objects, and what is asked of a policy component about them; as scenes_destination.py."""

from lib.both import Port, Target
from lib.manifests import meta
from peers.scenes_destination import host, namespace, pod, service, workload

GROUP = "policy.linkerd.io"
GATEWAY = "gateway.networking.k8s.io"
PORTS = (("http", 8080), ("admin", 9090), ("db", 3306))


def linkerd(kind, ns, name, spec, version="v1alpha1", labels=None, annotations=None):
    return {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": meta(name, ns, labels, annotations), "spec": spec}


def server(ns, name, app, port, labels=None, **spec):
    return linkerd("Server", ns, name, {"podSelector": {"matchLabels": {"app": app}}, "port": port, **spec}, "v1beta3", labels)


def authorize(ns, name, target, *references, kind="Server"):
    group = "core" if kind == "Namespace" else GATEWAY if kind == "GatewayRoute" else GROUP
    return linkerd("AuthorizationPolicy", ns, name, {"targetRef": {"group": group, "kind": kind.replace("GatewayRoute", "HTTPRoute"), "name": target},
                                                    "requiredAuthenticationRefs": list(references)})


def reference(kind, name, ns=None):
    return {"group": "core" if kind == "ServiceAccount" else GROUP, "kind": kind, "name": name, **({"namespace": ns} if ns else {})}


def asked(ns, *pods, ports=(8080, 9090, 3306, 4191, 1)):
    return [Port(ns, name, port) for name in pods for port in ports]


# --- inbound ---

def defaults():
    """Default policies of pods and namespaces, required identities, opaque ports, probes."""
    policies = ("all-unauthenticated", "all-authenticated", "cluster-authenticated", "cluster-unauthenticated", "deny", "audit")
    things, questions = [], []
    ns = "defaults"
    forms = {name: {"annotations": {"config.linkerd.io/default-inbound-policy": name}} for name in policies}
    forms |= {
        "nothing": {}, "wrong": {"annotations": {"config.linkerd.io/default-inbound-policy": "everybody"}},
        "identity": {"annotations": {"config.linkerd.io/proxy-require-identity-inbound-ports": "8080,3306"}},
        "identity-name": {"annotations": {"config.linkerd.io/proxy-require-identity-inbound-ports": "http"}},
        "identity-audit": {"annotations": {"config.linkerd.io/proxy-require-identity-inbound-ports": "8080", "config.linkerd.io/default-inbound-policy": "audit"}},
        "identity-deny": {"annotations": {"config.linkerd.io/proxy-require-identity-inbound-ports": "8080", "config.linkerd.io/default-inbound-policy": "deny"}},
        "opaque": {"annotations": {"config.linkerd.io/opaque-ports": "8080,9000-9100"}}, "opaque-name": {"annotations": {"config.linkerd.io/opaque-ports": "http"}},
        "opaque-none": {"annotations": {"config.linkerd.io/opaque-ports": ""}},
        "probes": {"extra": {"livenessProbe": {"httpGet": {"path": "/live", "port": 8080}}, "readinessProbe": {"httpGet": {"path": "/ready?x=1", "port": "http"}},
                             "startupProbe": {"httpGet": {"port": 9090}}}},
        "other-probes": {"extra": {"livenessProbe": {"tcpSocket": {"port": 8080}}, "readinessProbe": {"grpc": {"port": 9090}}, "startupProbe": {"exec": {"command": ["true"]}}}},
        "probes-denied": {"annotations": {"config.linkerd.io/default-inbound-policy": "deny"}, "extra": {"livenessProbe": {"httpGet": {"path": "/live", "port": 8080}}}},
        "plain": {"mesh": None},
    }
    for number, (name, form) in enumerate(forms.items(), 1):
        things.append(pod(ns, name, f"10.89.1.{number}", ports=PORTS, **form))
        questions += asked(ns, name)
    return things, questions


def servers():
    """Each protocol, each access policy, ports by name, the oldest of two, external workloads."""
    ns = "servers"
    things, questions = [], []
    for number, protocol in enumerate(("unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"), 1):
        things += [pod(ns, f"p{number}", f"10.89.2.{number}", labels={"app": f"p{number}"}, ports=PORTS),
                   server(ns, f"p{number}", f"p{number}", "http", proxyProtocol=protocol),
                   server(ns, f"p{number}-open", f"p{number}", 9090, proxyProtocol=protocol,
                                                                                                accessPolicy="all-unauthenticated")]
        questions += asked(ns, f"p{number}")
    for number, access in enumerate(("all-unauthenticated", "all-authenticated", "cluster-authenticated", "cluster-unauthenticated", "deny", "audit"), 11):
        things += [pod(ns, f"p{number}", f"10.89.2.{number}", labels={"app": f"p{number}"}, ports=PORTS,
                       extra={"livenessProbe": {"httpGet": {"path": "/live", "port": 8080}}}),
                   server(ns, f"p{number}", f"p{number}", 8080, accessPolicy=access)]
        questions += asked(ns, f"p{number}")
    things += [workload(ns, "vm", ["192.0.2.1"], labels={"app": "vm"}, ports=PORTS), workload(ns, "free", ["192.0.2.2"], ports=PORTS),
               linkerd("Server", ns, "vm", {"externalWorkloadSelector": {"matchLabels": {"app": "vm"}}, "port": "http", "proxyProtocol": "HTTP/1"}, "v1beta3"),
               linkerd("Server", ns, "expressed", {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["p1"]},
                                                                                      {"key": "gone", "operator": "DoesNotExist"}]}, "port": 3306}, "v1beta3")]
    questions += [Port(8080, workload=f'{{"ns":"{ns}","external_workload":"{name}"}}') for name in ("vm", "free", "nobody")]
    questions += [Port(port, workload=text) for port, text in ((8080, f"{ns}:p1"), (8080, "nonsense"), (0, f"{ns}:p1"), (70000, f"{ns}:p1"), (8080, "{}"), (8080, f"{ns}:"),
                                                              (8080, '{"ns":"servers","pod":"gone"}'))]
    return things, questions


def authorizations():
    """ServerAuthorizations and AuthorizationPolicies of all forms; several at once."""
    ns = "authorized"
    cidr = [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidr": "192.168.0.0/16"}]
    clients = {
        "unauthenticated": {"unauthenticated": True}, "networks": {"networks": cidr, "unauthenticated": True}, "tls": {"meshTLS": {"unauthenticatedTLS": True}},
        "identities": {"meshTLS": {"identities": ["*", "*.x.example", "a.b.example"]}},
        "accounts": {"meshTLS": {"serviceAccounts": [{"name": "web"}, {"name": "api", "namespace": "other"}]}},
        "both": {"networks": cidr, "meshTLS": {"identities": ["one.example"], "serviceAccounts": [{"name": "web"}]}}, "nothing": {},
    }
    things, questions = [], []
    for number, (name, client) in enumerate(clients.items(), 1):
        things += [pod(ns, name, f"10.89.3.{number}", labels={"app": name}, ports=PORTS), server(ns, name, name, 8080, labels={"kind": name}),
                   linkerd("ServerAuthorization", ns, name, {"server": {"name": name}, "client": client}, "v1beta1"),
                   linkerd("ServerAuthorization", ns, f"{name}-selected", {"server": {"selector": {"matchLabels": {"kind": name}}}, "client": client}, "v1beta1")]
        questions += asked(ns, name, ports=(8080,))
    things += [
        linkerd("MeshTLSAuthentication", ns, "some", {"identities": ["*.some.example", "one.example"]}),
        linkerd("MeshTLSAuthentication", ns, "refs", {"identityRefs": [
            {"kind": "ServiceAccount", "name": "web"}, {"kind": "ServiceAccount", "name": "api", "namespace": "other"}, {"kind": "Namespace", "name": "friends"}]}),
        linkerd("MeshTLSAuthentication", ns, "all", {"identities": ["*"]}),
        linkerd("NetworkAuthentication", ns, "nets", {"networks": cidr}),
        linkerd("MeshTLSAuthentication", "other-authorized", "far", {"identities": ["far.example"]}), namespace("other-authorized")]
    required = {
        "none": (), "mtls": (reference("MeshTLSAuthentication", "some"),), "any": (reference("MeshTLSAuthentication", "all"),),
        "net": (reference("NetworkAuthentication", "nets"),), "two": (reference("MeshTLSAuthentication", "some"), reference("NetworkAuthentication", "nets")),
        "account": (reference("ServiceAccount", "web"),), "far-account": (reference("ServiceAccount", "web", "elsewhere"),),
        "far": (reference("MeshTLSAuthentication", "far", "other-authorized"),), "missing": (reference("MeshTLSAuthentication", "gone"),),
        "refs": (reference("MeshTLSAuthentication", "refs"),), "missing-net": (reference("NetworkAuthentication", "gone"),),
            "two-lists": (reference("MeshTLSAuthentication", "some"), reference("MeshTLSAuthentication", "all")),
    }
    for number, (name, references) in enumerate(required.items(), 50):
        name = f"r-{name}"
        things += [pod(ns, name, f"10.89.3.{number}", labels={"app": name}, ports=PORTS), server(ns, name, name, 8080), authorize(ns, name, name, *references)]
        questions += asked(ns, name, ports=(8080,))
    return things, questions


def namespace_wide():
    """An AuthorizationPolicy for the namespace goes for all of its Servers."""
    ns = "namespace-wide"
    return [pod(ns, "one", "10.89.4.1", labels={"app": "one"}, ports=PORTS), server(ns, "one", "one", 8080), server(ns, "two", "one", 9090, accessPolicy="audit"),
            linkerd("MeshTLSAuthentication", ns, "all", {"identities": ["*"]}), authorize(ns, "wide", ns, reference("MeshTLSAuthentication", "all"), kind="Namespace")], asked(ns, "one")


def limits():
    """HTTPLocalRateLimitPolicies."""
    ns = "limits"
    things, questions = [], []
    forms = {"total": {"total": {"requestsPerSecond": 100}}, "identity": {"identity": {"requestsPerSecond": 10}},
             "all": {"total": {"requestsPerSecond": 100}, "identity": {"requestsPerSecond": 10}, "overrides": [
                 {"requestsPerSecond": 50, "clientRefs": [{"kind": "ServiceAccount", "name": "web"}, {"kind": "ServiceAccount", "name": "api", "namespace": "other"}]}]}}
    for number, (name, form) in enumerate(forms.items(), 1):
        things += [pod(ns, name, f"10.89.5.{number}", labels={"app": name}, ports=PORTS), server(ns, name, name, 8080, proxyProtocol="HTTP/1"), server(ns, f"{name}-db", name, 3306),
                   linkerd("HTTPLocalRateLimitPolicy", ns, name, {"targetRef": {"group": GROUP, "kind": "Server", "name": name}, **form})]
        questions += asked(ns, name)
    return things, questions


def parent(name, kind="Server", ns=None, port=None):
    return {"group": "core" if kind == "Service" else GROUP, "kind": kind, "name": name, **({"namespace": ns} if ns else {}), **({"port": port} if port else {})}


def route(ns, name, parents, rules, kind="HTTPRoute", version=f"{GATEWAY}/v1", hostnames=None, annotations=None):
    return {"apiVersion": version, "kind": kind, "metadata": meta(name, ns, annotations=annotations),
            "spec": {"parentRefs": parents if isinstance(parents, list) else [parents], "rules": rules, **({"hostnames": hostnames} if hostnames else {})}}


MATCHES = [{"path": {"type": "Exact", "value": "/exact"}, "method": "GET"}, {"path": {"type": "PathPrefix", "value": "/prefix"}},
           {"path": {"type": "RegularExpression", "value": "/re/[a-z]+"}}, {"headers": [{"name": "x-a", "value": "1"}, {"name": "x-b", "type": "RegularExpression", "value": "^b+$"}]},
           {"queryParams": [{"name": "q", "value": "1"}, {"name": "r", "type": "RegularExpression", "value": "x*"}], "method": "POST"}]
FILTERS = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-set", "value": "s"}], "add": [{"name": "x-add", "value": "a"}], "remove": ["x-gone"]}},
           {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "hostname": "example.com", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}, "port": 8443,
                                                           "statusCode": 301}}]
PREFIX = {"type": "RequestRedirect", "requestRedirect": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/other"}, "statusCode": 302}}
RESPONSE = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-set", "value": "s"}], "add": [{"name": "x-add", "value": "a"}], "remove": ["x-gone"]}}
HTTP_VERSIONS = {"linkerd": f"{GROUP}/v1beta3", "gateway": f"{GATEWAY}/v1"}


def inbound_routes():
    """Routes of both groups and gRPC ones on Servers, with authorizations of their own."""
    ns = "inbound-routes"
    things, questions = [linkerd("MeshTLSAuthentication", ns, "all", {"identities": ["*"]})], []
    for number, (name, version) in enumerate(HTTP_VERSIONS.items(), 1):
        things += [pod(ns, name, f"10.89.6.{number}", labels={"app": name}, ports=PORTS, extra={"livenessProbe": {"httpGet": {"path": "/live", "port": 8080}}}),
                   server(ns, name, name, 8080, proxyProtocol="HTTP/1"), server(ns, f"{name}-free", name, 9090),
                   route(ns, f"{name}-a", parent(name), [{"matches": MATCHES, "filters": FILTERS}, {"filters": [PREFIX]}], version=version, hostnames=["a.example", "*.b.example"]),
                   route(ns, f"{name}-b", [parent(name), parent(f"{name}-free")], [{}], version=version), authorize(ns, name, f"{name}-b", reference("MeshTLSAuthentication", "all"),
                                                                             kind="HTTPRoute" if name == "linkerd" else "GatewayRoute")]
        questions += asked(ns, name)
    things += [pod(ns, "grpc", "10.89.6.9", labels={"app": "grpc"}, ports=PORTS), server(ns, "grpc", "grpc", 8080, proxyProtocol="gRPC"), server(ns, "grpc-free", "grpc", 9090),
               route(ns, "grpc", [parent("grpc"), parent("grpc-free")], GRPC_RULES, kind="GRPCRoute", hostnames=["g.example"])]
    return things, questions + asked(ns, "grpc")


GRPC_RULES = [{"matches": [{"method": {"service": "a.B", "method": "C"}}, {"method": {"service": "a.B"}}, {"method": {"method": "D"}}, {"headers": [{"name": "x", "value": "1"}]}],
               "filters": [FILTERS[0]]}, {}]


# --- outbound ---

def services():
    """Protocols of ports, opaque ports, ports that are not there, addresses of nobody."""
    ns = "out-services"
    ports = [{"name": name, "port": number, **({"appProtocol": protocol} if protocol else {})} for number, (name, protocol) in enumerate((
        ("none", None), ("http", "http"), ("h2c", "kubernetes.io/h2c"), ("opaque", "linkerd.io/opaque"), ("tcp", "linkerd.io/tcp"), ("odd", "example.com/odd"), ("https", "https"),
        ("grpc", "grpc")), 80)]
    things = [service(ns, "web", ports, ip="10.96.50.1"), service(ns, "marked", ports, ip="10.96.50.2", annotations={"config.linkerd.io/opaque-ports": "80-82"}),
              service(ns, "headless", ports, ip="None"), service(ns, "elsewhere", type="ExternalName", externalName="example.com"),
              service(ns, "db", [(3306, 3306)], ip="10.96.50.3"), pod(ns, "one", "10.89.7.1"),
              service(ns, "dual", ip="10.96.50.4", clusterIPs=["10.96.50.4", "fd96::204"], ipFamilyPolicy="RequireDualStack", ipFamilies=["IPv4", "IPv6"])]
    numbers = [*range(80, 88), 99]
    return things, [*(Target(host("web", ns, n)) for n in numbers), *(Target(f"10.96.50.{who}:{n}") for who in (1, 2) for n in numbers), Target("10.96.50.3:3306"),
                    Target(host("headless", ns)), Target(host("elsewhere", ns)), Target(host("never", ns)), Target("web.out-services.svc.cluster.local"),
                    Target("web.out-services.svc:80"), Target("web.out-services:80"), Target("web"), Target("example.com:80"), Target("10.89.7.1:8080"),
                    Target("10.96.50.99:80"), Target("[fd96::204]:80"), Target("203.0.113.1:443"), Target("[2001:db8::1]:443"), Target("10.96.50.1:0")]


BACKENDS = [{"name": "one", "port": 80, "weight": 9}, {"name": "two", "port": 8080}, {"name": "far", "namespace": "out-elsewhere", "port": 80, "weight": 0}]
BROKEN = [{"name": "gone", "port": 80}, {"name": "one"}, {"name": "one", "port": 99}, {"group": GROUP, "kind": "EgressNetwork", "name": "x", "port": 80},
          {"group": "example.com", "kind": "Thing", "name": "x", "port": 80}]


def outbound_base(ns, number):
    return [service(ns, "one", ip=f"10.96.{number}.1"), service(ns, "two", [(8080, 8080)], ip=f"10.96.{number}.2"), namespace("out-elsewhere"),
            service("out-elsewhere", "far", ip=None)]


def outbound_routes():
    """HTTPRoutes of both groups on Services: matches, filters, backends that are and are not there, ports of parents."""
    things, questions = [], []
    for number, (name, version) in enumerate(HTTP_VERSIONS.items(), 51):
        ns = f"out-{name}"
        things += [*outbound_base(ns, number),
                   route(ns, "a", parent("one", "Service"), [{"matches": MATCHES, "filters": FILTERS, "backendRefs": BACKENDS},
                       {"filters": [PREFIX] + ([RESPONSE] if name == "gateway" else [])}, {}], version=version,
                         hostnames=["one.example", "*.two.example"]),
                   route(ns, "b", parent("one", "Service", port=80), [{"backendRefs": BROKEN}, {"backendRefs": [{**BACKENDS[0], "filters": [FILTERS[0]]}], "timeouts": {"request": "3s"}}],
                         version=version),
                   route(ns, "c", parent("one", "Service", port=81), [{}], version=version),
                   route(ns, "d", [parent("two", "Service"), parent("one", "Service", port=82)], [{"backendRefs": BACKENDS[:1]}], version=version)]
        questions += [Target(f"10.96.{number}.1:80"), Target(host("one", ns)), Target(f"10.96.{number}.2:8080"), Target(f"10.96.{number}.1:80", ns="somebody")]
    return things, questions


def consumers():
    """Routes of the client's own namespace. Backends say their namespace: without it, theirs takes the Service's, not the route's."""
    ns, client = "out-producer", "out-consumer"
    things = [*outbound_base(ns, 53), namespace(client), route(ns, "producer", parent("one", "Service"), [{"backendRefs": BACKENDS[:2]}]),
              route(client, "consumer", parent("one", "Service", ns), [{"backendRefs": [{"name": "two", "namespace": ns, "port": 8080}]}]),
              route(client, "consumer-two", parent("two", "Service", ns), [{"backendRefs": [{"name": "own", "namespace": client, "port": 80}]}]), service(client, "own")]
    return things, [Target(f"10.96.53.{n}", ns=who) for n in ("1:80", "2:8080") for who in (ns, client, "somebody")]


def other_routes():
    """GRPCRoutes, TLSRoutes and TCPRoutes, and which of several counts."""
    ns = "out-other"
    things, questions = [*outbound_base(ns, 54)], []
    kinds = {"grpc": ("GRPCRoute", f"{GATEWAY}/v1", [{**GRPC_RULES[0], "backendRefs": BACKENDS}, {"backendRefs": BROKEN}], ["g.example"]),
             "tls": ("TLSRoute", f"{GATEWAY}/v1alpha2", [{"backendRefs": BACKENDS}], ["a.example", "*.b.example"]),
             "tcp": ("TCPRoute", f"{GATEWAY}/v1alpha2", [{"backendRefs": BACKENDS}], None), "http": ("HTTPRoute", f"{GATEWAY}/v1", [{}], None)}
    ports = [{"name": "p", "port": 80}, {"name": "opaque", "port": 81, "appProtocol": "linkerd.io/opaque"}, {"name": "h2c", "port": 82, "appProtocol": "kubernetes.io/h2c"},
             {"name": "http", "port": 83, "appProtocol": "http"}]
    sets = [("grpc",), ("tls",), ("tcp",), ("grpc", "http"), ("http", "tls", "tcp"), ("tls", "tcp"), ("grpc", "tcp")]
    for number, names in enumerate(sets, 10):
        of = "-".join(names)
        things.append(service(ns, of, ports, ip=f"10.96.54.{number}"))
        for name in names:
            kind, version, rules, hosts = kinds[name]
            things.append(route(ns, f"{of}-{name}", parent(of, "Service"), rules, kind, version, hosts))
        # Of several kinds, theirs accepts one for all ports, by its status; ours reads each port's own.
        questions += [Target(f"10.96.54.{number}:{port}") for port in ((80, 81, 82, 83) if len(names) == 1 else (80,))]
    return things, questions


def annotations():
    """Timeouts, retries, failure accrual and the rest, on Services and on routes."""
    ns = "out-annotated"
    accrual, alpha, retry, timeout = "balancer.linkerd.io/failure-accrual", "balancer.alpha.linkerd.io/", "retry.linkerd.io/", "timeout.linkerd.io/"
    consecutive = f"{accrual}-consecutive-"
    rate = f"{alpha}failure-accrual-success-rate-"
    forms = {
        "none": {}, "consecutive": {accrual: "consecutive"},
        "tuned": {accrual: "consecutive", f"{consecutive}max-failures": "3", f"{consecutive}min-penalty": "2s", f"{consecutive}max-penalty": "1m", f"{consecutive}jitter-ratio": "0.25"},
        "odd-mode": {accrual: "sometimes"}, "odd-number": {accrual: "consecutive", f"{consecutive}max-failures": "many"},
        "odd-penalties": {accrual: "consecutive", f"{consecutive}min-penalty": "2m", f"{consecutive}max-penalty": "1m"},
        "odd-jitter": {accrual: "consecutive", f"{consecutive}jitter-ratio": "101"}, "odd-duration": {accrual: "consecutive", f"{consecutive}min-penalty": "1.5s"},
        "unified": {accrual: "unified"},
        "unified-tuned": {accrual: "unified", f"{consecutive}max-failures": "0", f"{rate}threshold": "0.5", f"{rate}window": "20s", f"{rate}min-requests": "9",
                          f"{alpha}failure-accrual-honor-retry-after": "true"},
        "unified-off": {accrual: "unified", f"{rate}threshold": "0", f"{rate}window": "1ms"}, "unified-short": {accrual: "unified", f"{rate}window": "9ms"},
        "unified-high": {accrual: "unified", f"{rate}threshold": "1.1"}, "unified-many": {accrual: "unified", f"{rate}min-requests": "1000001"},
        "honor": {accrual: "consecutive", f"{alpha}failure-accrual-honor-retry-after": "true"}, "honor-odd": {accrual: "unified", f"{alpha}failure-accrual-honor-retry-after": "yes"},
        "penalize": {f"{alpha}penalize-failures": "true"},
        "penalize-tuned": {f"{alpha}penalize-failures": "T", f"{alpha}load-biaser-penalty": "7s", f"{alpha}load-biaser-max-retry-after": "10m"},
        "penalize-not": {f"{alpha}penalize-failures": "false", f"{alpha}load-biaser-penalty": "7s"}, "penalize-odd": {f"{alpha}penalize-failures": "yes"},
        "penalize-long": {f"{alpha}penalize-failures": "true", f"{alpha}load-biaser-penalty": "50d"},
        "retry-http": {f"{retry}http": "5xx,gateway-error,429,400-404"}, "retry-limit": {f"{retry}limit": "3"}, "retry-zero": {f"{retry}limit": "0"},
        "retry-timeout": {f"{retry}timeout": "300ms"}, "retry-odd": {f"{retry}http": "6xx"}, "retry-odd-limit": {f"{retry}limit": "70000", f"{retry}http": "5xx"},
        "retry-all": {f"{retry}http": "503", f"{retry}grpc": "cancelled,deadline-exceeded,internal,resource-exhausted,unavailable", f"{retry}limit": "2", f"{retry}timeout": "1s"},
        "retry-grpc": {f"{retry}grpc": "unavailable"}, "retry-grpc-odd": {f"{retry}grpc": "unknown"},
        "timeouts": {f"{timeout}request": "10s", f"{timeout}response": "500ms", f"{timeout}idle": "1h"}, "timeouts-odd": {f"{timeout}request": "1.5s", f"{timeout}idle": "2s"},
    }
    more = [{"name": "p", "port": 80}, {"name": "opaque", "port": 81, "appProtocol": "linkerd.io/opaque"}, {"name": "h2c", "port": 82, "appProtocol": "kubernetes.io/h2c"}]
    own = {f"{timeout}request": "1s", f"{retry}http": "500", f"{retry}limit": "9", f"{retry}grpc": "internal"}
    odd = {f"{timeout}request": "soon"}
    things, questions = [], []
    for number, (name, found) in enumerate(forms.items(), 1):
        for where, (third, routes) in enumerate((("plain", []), ("http", [("HTTPRoute", None)]), ("grpc", [("GRPCRoute", None)]), ("own", [("HTTPRoute", own)]), ("own-grpc", [("GRPCRoute", own)]))):
            if where > 2 and name not in ("none", "timeouts", "retry-all"):
                continue
            full, ip = f"{name}-{third}", f"10.96.{60 + where}.{number}"
            things.append(service(ns, full, more, ip=ip, annotations=found))
            for kind, said in routes:
                rules = [{"backendRefs": [{"name": full, "port": 80}]}] + ([{"timeouts": {"request": "9s"}}] if kind == "HTTPRoute" else [])
                things.append(route(ns, full, parent(full, "Service"), rules, kind, annotations=said))
            questions += [Target(f"{ip}:{port}") for port in ((80, 81, 82) if not where else (80,))]
    things += [service(ns, "odd-route", ip="10.96.66.1"), route(ns, "odd-route", parent("odd-route", "Service"), [{}], annotations=odd)]
    return things, questions


def egress():
    """EgressNetworks of the client's namespace and the global one, the most special; policies; routes."""
    ns, shared = "out-egress", "linkerd-egress"

    def network(where, name, policy, nets=None, said=None):
        return linkerd("EgressNetwork", where, name, {"trafficPolicy": policy, **({"networks": nets} if nets else {})}, annotations=said)

    things = [network(ns, "allow", "Allow", [{"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"]}]), network(ns, "deny", "Deny", [{"cidr": "198.51.100.16/28"}]),
              network(ns, "routed", "Deny", [{"cidr": "203.0.113.0/28"}]), network(ns, "tls", "Allow", [{"cidr": "203.0.113.16/28"}]), network(ns, "tcp", "Deny", [{"cidr": "203.0.113.32/28"}]),
              network(ns, "six", "Allow", [{"cidr": "2001:db8::/32"}]), network(ns, "grpc", "Allow", [{"cidr": "203.0.113.48/28"}]),
              network(ns, "careful", "Allow", [{"cidr": "203.0.113.64/28"}], {"balancer.linkerd.io/failure-accrual": "consecutive", "timeout.linkerd.io/request": "3s",
                                                                              "retry.linkerd.io/http": "5xx"}),
              network(shared, "everything", "Deny"), service(ns, "inside", ip="10.96.70.1"),
              route(ns, "routed", parent("routed", "EgressNetwork", port=80), [{"matches": MATCHES[:1], "backendRefs": [{"group": GROUP, "kind": "EgressNetwork", "name": "routed"}]},
                                                                     {"backendRefs": [{"name": "inside", "port": 80}, {"group": GROUP, "kind": "EgressNetwork", "name": "allow"}]}, {}]),
              route(ns, "tls", parent("tls", "EgressNetwork", port=443), [{"backendRefs": [{"group": GROUP, "kind": "EgressNetwork",
                  "name": "tls"}]}], "TLSRoute", f"{GATEWAY}/v1alpha2", ["a.example"]),
              route(ns, "tcp", parent("tcp", "EgressNetwork", port=5432), [{"backendRefs": [{"group": GROUP, "kind": "EgressNetwork", "name": "tcp"}]}], "TCPRoute", f"{GATEWAY}/v1alpha2"),
              route(ns, "grpc", parent("grpc", "EgressNetwork", port=80), [{"backendRefs": [{"group": GROUP, "kind": "EgressNetwork", "name": "grpc"}]}], "GRPCRoute")]
    addresses = ("198.51.100.1:80", "198.51.100.17:443", "198.51.100.200:80", "203.0.113.1:80", "203.0.113.17:443", "203.0.113.33:5432", "203.0.113.33:80", "203.0.113.49:80", "203.0.113.65:80",
                 "[2001:db8::9]:80", "192.0.9.9:80")
    return things, [Target(address, ns=who) for address in addresses for who in (ns, "somebody", shared)]


SCENES = [defaults, servers, authorizations, namespace_wide, limits, inbound_routes, services, outbound_routes, consumers, other_routes, annotations, egress]
