"""Objects, and what is asked of a destination component about them. A scene is a function that gives both; each has a namespace of its own.

Nodes node-a (zone east), node-b (zone west) and node-c (no zone) are there for all.
"""

from lib.both import Get, Profile
from lib.manifests import meta

NODES = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}} for name, labels in
         (("node-a", {"topology.kubernetes.io/zone": "east"}), ("node-b", {"topology.kubernetes.io/zone": "west"}), ("node-c", {}))]
ALL_NODES = ("node-a", "node-b", "node-c", "", "nowhere")


def namespace(name, annotations=None):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations or {}}}


def pod(ns, name, ips, node="node-a", mesh="linkerd", labels=None, annotations=None, owners=None, ports=(("http", 8080),), proxy=True, phase="Running",
        ready=True, host_ports=(), conditions=None, extra=None, account="web", **spec):
    """As the injector makes it; mesh None: without a proxy."""
    ips = [ips] if isinstance(ips, str) else list(ips)
    containers = [{"name": "app", "image": "app", "ports": [{"name": key, "containerPort": value, **({"hostPort": value} if key in host_ports else {})}
                                                            for key, value in ports], **(extra or {})}]
    if mesh and proxy:
        containers.insert(0, {"name": "linkerd-proxy", "image": "proxy", "ports": [{"name": "linkerd-proxy", "containerPort": 4143}],
                              "env": [{"name": f"LINKERD2_PROXY_{which}_LISTEN_ADDR", "value": f"0.0.0.0:{port}"} for which, port in
                                      (("INBOUND", 4143), ("ADMIN", 4191), ("CONTROL", 4190))]})
    mesh_labels = {"linkerd.io/control-plane-ns": mesh, "linkerd.io/workload-ns": ns} if mesh else {}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, ns, {**mesh_labels, **(labels or {})}, annotations),
            "spec": {"serviceAccountName": account, "automountServiceAccountToken": False, "containers": containers, **({"nodeName": node} if node else {}), **spec},
            "status": {"phase": phase, "podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips], "hostIP": HOST_IP[node], "hostIPs": [{"ip": HOST_IP[node]}],
                       "conditions": conditions or [{"type": "Ready", "status": "True" if ready else "False"}]}}
    if owners:
        made["metadata"]["ownerReferences"] = [{"apiVersion": version, "kind": kind, "name": who, "uid": f"uid-{who}", "controller": True}
                                               for version, kind, who in owners]
    return made


HOST_IP = {"node-a": "172.18.0.1", "node-b": "172.18.0.2", "node-c": "172.18.0.3", None: "172.18.0.9"}


def service(ns, name, ports=((80, 8080),), ip=None, annotations=None, labels=None, **spec):
    """Without a selector: whoever makes it makes its slices."""
    items = [each if isinstance(each, dict) else {"name": f"p{each[0]}", "port": each[0], "targetPort": each[1]} for each in ports]
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name, ns, labels, annotations), "spec": {**({"clusterIP": ip} if ip else {}), "ports": items, **spec}}


ZONES = {"node-a": "east", "node-b": "west"}


def endpoint(address, pod=None, node="node-a", zone=True, conditions=None, hints=None, kind="Pod", ns=None, **more):
    """zone True: that of the node, as Kubernetes writes it."""
    found = {"addresses": [address], "conditions": conditions if conditions is not None else {"ready": True}, **more}
    zone = ZONES.get(node) if zone is True else zone
    if node:
        found["nodeName"] = node
    if zone:
        found["zone"] = zone
    if pod:
        found["targetRef"] = {"kind": kind, "name": pod, **({"namespace": ns} if ns else {})}
    if hints:
        found["hints"] = {"forZones": [{"name": each} for each in hints]}
    return found


def slice_(ns, of, endpoints, ports=(("p80", 8080),), family="IPv4", name=None, labels=None):
    for each in endpoints:
        if "targetRef" in each:
            each["targetRef"].setdefault("namespace", ns)
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family, "endpoints": endpoints,
            "metadata": meta(name or f"{of}-{family.lower()}", ns, {"kubernetes.io/service-name": of, **(labels or {})}),
            "ports": [{"name": key, "port": value, "protocol": "TCP"} if not isinstance(key, dict) else key for key, value in ports]}


def host(name, ns, port=80):
    return f"{name}.{ns}.svc.cluster.local:{port}"


def everywhere(path):
    return [Get(path, node=node) for node in ALL_NODES]


# --- endpoints ---

def families():
    """IPv4, IPv6 and both; a pod that is there with both counts once."""
    ns = "families"
    pods = [pod(ns, "four", "10.88.1.1"), pod(ns, "six", "fd88::1:2"), pod(ns, "both", ["10.88.1.3", "fd88::1:3"])]
    things = [*pods, service(ns, "web"),
              slice_(ns, "web", [endpoint("10.88.1.1", "four"), endpoint("10.88.1.3", "both")]),
              slice_(ns, "web", [endpoint("fd88::1:2", "six"), endpoint("fd88::1:3", "both")], family="IPv6"),
              service(ns, "only4"), slice_(ns, "only4", [endpoint("10.88.1.3", "both")]),
              service(ns, "only6"), slice_(ns, "only6", [endpoint("fd88::1:3", "both")], family="IPv6"),
              service(ns, "dual", ip="10.96.1.1", clusterIPs=["10.96.1.1", "fd96::101"], ipFamilyPolicy="RequireDualStack", ipFamilies=["IPv4", "IPv6"]),
              slice_(ns, "dual", [endpoint("10.88.1.3", "both")])]
    return things, [*(Get(host(name, ns)) for name in ("web", "only4", "only6", "dual")),
                    *(Profile(path) for path in ("10.96.1.1:80", "[fd96::101]:80", "10.88.1.1:8080", "[fd88::1:2]:8080", "[fd88::1:3]:8080", "10.88.1.3:8080"))]


def conditions():
    """Ready, serving and terminating, each as they come; with and without publishNotReadyAddresses."""
    ns = "conditions"
    forms = {"none": {}, "ready": {"ready": True, "serving": True, "terminating": False}, "not-ready": {"ready": False, "serving": False, "terminating": False},
             "ending": {"ready": False, "serving": True, "terminating": True}, "ended": {"ready": False, "serving": False, "terminating": True},
             "said-ready": {"ready": True, "serving": True, "terminating": True}}
    things, questions = [], []
    for number, (name, form) in enumerate(forms.items(), 1):
        for more, spec in (("", {}), ("-published", {"publishNotReadyAddresses": True})):
            things += [service(ns, name + more, **spec), slice_(ns, name + more, [endpoint(f"10.88.2.{number}", name, conditions=form),
                                                                                 endpoint("10.88.2.99", "steady")])]
            questions.append(Get(host(name + more, ns)))
        things.append(pod(ns, name, f"10.88.2.{number}", ready=form.get("ready", True)))
    return [*things, pod(ns, "steady", "10.88.2.99")], questions


def ports():
    """Several, by name and number, of several protocols; one that is not there."""
    ns = "ports"
    named = [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "admin", "port": 9999, "targetPort": 9090}, {"name": "dns", "port": 53, "protocol": "UDP"},
             {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 5353}, {"name": "grpc", "port": 50051, "appProtocol": "kubernetes.io/h2c"}]
    things = [pod(ns, "one", "10.88.3.1"), pod(ns, "two", "10.88.3.2", ports=(("http", 8888),)), service(ns, "many", named, ip="10.96.3.1"),
              slice_(ns, "many", [endpoint("10.88.3.1", "one")], (("http", 8080), ("admin", 9090), ("dns-tcp", 5353), ("grpc", 50051),
                                                               ({"name": "dns", "port": 53, "protocol": "UDP"}, 0))),
              slice_(ns, "many", [endpoint("10.88.3.2", "two")], (("http", 8888), ("admin", 9090)), name="many-other"),
              service(ns, "nameless", [{"port": 80, "targetPort": 8080}]), slice_(ns, "nameless", [endpoint("10.88.3.1", "one")], (("", 8080),))]
    asked = (80, 9999, 53, 50051, 8080, 4191, 1234)
    return things, [*(Get(host("many", ns, port)) for port in asked), *(Profile(host("many", ns, port)) for port in asked),
                    *(Profile(f"10.96.3.1:{port}") for port in asked), Get(host("nameless", ns)), Get(host("nameless", ns, 81)), Get("nameless.ports.svc.cluster.local")]


def headless():
    """Without hostnames, and as StatefulSets have them."""
    ns = "headless"
    things = [*(pod(ns, f"db-{n}", f"10.88.4.{n}", labels={"statefulset.kubernetes.io/pod-name": f"db-{n}"}, owners=[("apps/v1", "StatefulSet", "db")],
                    hostname=f"db-{n}", subdomain="db") for n in (1, 2)),
              service(ns, "db", [(5432, 5432), (80, 8080)], ip="None"),
              slice_(ns, "db", [endpoint(f"10.88.4.{n}", f"db-{n}", hostname=f"db-{n}") for n in (1, 2)], (("p5432", 5432), ("p80", 8080))),
              pod(ns, "free", "10.88.4.9"), service(ns, "plain", ip="None"), slice_(ns, "plain", [endpoint("10.88.4.9", "free")])]
    names = (host("db", ns), host("db-1.db", ns), host("db-2.db", ns), host("db-3.db", ns), host("plain", ns), host("db-1.db", ns, 5432), host("db-1.db", ns, 81),
             host("free.plain", ns))
    return things, [*(Get(name) for name in names), *(Profile(name) for name in names if "db-3" not in name and "free" not in name and ":81" not in name)]


def odd_services():
    """ExternalName, no endpoints, no targetRef, targets that are not there, names that are no names."""
    ns = "odd"
    things = [service(ns, "elsewhere", type="ExternalName", externalName="example.com"), service(ns, "empty", ip="10.96.5.1"),
              service(ns, "bare"), slice_(ns, "bare", [endpoint("10.88.5.1"), endpoint("10.88.5.2", node="node-b", zone="west"), endpoint("192.0.2.1", node=None)]),
              service(ns, "gone"), slice_(ns, "gone", [endpoint("10.88.5.3", "nobody"), endpoint("10.88.5.4", "somebody")]), pod(ns, "somebody", "10.88.5.4"),
              service(ns, "sliceless-port"), slice_(ns, "sliceless-port", [endpoint("10.88.5.4", "somebody")], (("other", 8080),)),
              service(ns, "twice"), slice_(ns, "twice", [endpoint("10.88.5.4", "somebody")]), slice_(ns, "twice", [endpoint("10.88.5.4", "somebody")], name="twice-again")]
    names = ("elsewhere", "empty", "bare", "gone", "sliceless-port", "twice", "never")
    paths = ["web.odd", "web", "bare.odd.svc", "bare.odd.svc.cluster.local.", "bare.odd.svc.cluster.local:0", "bare.odd.svc.cluster.local:70000",
             "bare.odd.svc.cluster.local:x", "bare.odd.pod.cluster.local", "a.b.bare.odd.svc.cluster.local", "10.88.5.4:80", "example.com:80", "", ":80",
             "Bare.odd.svc.cluster.local:80", "bare.odd.svc.other.domain:80"]
    return things, [*(Get(host(name, ns)) for name in names), *(Profile(host(name, ns)) for name in names), *(Get(path) for path in paths),
                    *(Profile(path) for path in paths if not path.startswith(("10.", ":")) and path)]


def hints():
    """Topology hints as Kubernetes sets them: for all, for some, for a zone that nobody is in."""
    ns = "hints"
    things = [pod(ns, "east", "10.88.6.1"), pod(ns, "west", "10.88.6.2", node="node-b"), pod(ns, "lost", "10.88.6.3", node="node-c")]
    forms = {"all": (["east"], ["west"], ["west"]), "some": (["east"], ["west"], None), "north": (["north"], ["north"], ["north"]),
             "shared": (["east", "west"], ["west"], ["east"]), "never": (None, None, None)}
    for name, (east, west, lost) in forms.items():
        for policy in ({}, {"trafficDistribution": "PreferClose"}):
            full = name + ("-close" if policy else "")
            things += [service(ns, full, **policy), slice_(ns, full, [
                endpoint("10.88.6.1", "east", "node-a", "east", hints=east), endpoint("10.88.6.2", "west", "node-b", "west", hints=west),
                endpoint("10.88.6.3", "lost", "node-c", hints=lost)])]
    return things, [question for name in forms for full in (name, f"{name}-close") for question in everywhere(host(full, ns))]


def local():
    """internalTrafficPolicy: Local, with endpoints on the node, on others, and of no node."""
    ns = "local"
    things = [pod(ns, "east", "10.88.7.1"), pod(ns, "west", "10.88.7.2", node="node-b"), service(ns, "web", internalTrafficPolicy="Local"),
              slice_(ns, "web", [endpoint("10.88.7.1", "east"), endpoint("10.88.7.2", "west", "node-b")])]
    return things, [Get(host("web", ns), node=node) for node in ("node-a", "node-b", "node-c", "nowhere")]


def replica_set(ns, name, deployment=None):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    owner = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment, "uid": f"uid-{deployment}", "controller": True}] if deployment else []
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {**meta(name, ns), "ownerReferences": owner},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}


def metadata():
    """Owners, accounts, other control planes, ports without a proxy, what is opaque: what is told of an endpoint."""
    ns = "metadata"
    things, questions = [replica_set(ns, "deployed-abc12", "deployed"), replica_set(ns, "replicated")], []
    forms = {
        "plain": {"mesh": None}, "meshed": {}, "other-mesh": {"mesh": "linkerd2"}, "skipped": {"annotations": {"config.linkerd.io/skip-inbound-ports": "8080,9000"}},
        "skipped-range": {"annotations": {"config.linkerd.io/skip-inbound-ports": "8000-8100"}}, "opaque": {"annotations": {"config.linkerd.io/opaque-ports": "8080"}},
        "opaque-range": {"annotations": {"config.linkerd.io/opaque-ports": "8079-8081,25"}}, "opaque-name": {"annotations": {"config.linkerd.io/opaque-ports": "http"}},
        "opaque-none": {"annotations": {"config.linkerd.io/opaque-ports": ""}}, "opaque-wrong": {"annotations": {"config.linkerd.io/opaque-ports": "x,8080"}},
        "deployed": {"labels": {"pod-template-hash": "abc12"}, "owners": [("apps/v1", "ReplicaSet", "deployed-abc12")]},
        "replicated": {"owners": [("apps/v1", "ReplicaSet", "replicated")]}, "daemon": {"owners": [("apps/v1", "DaemonSet", "daemon")]},
        "job": {"owners": [("batch/v1", "Job", "job")]}, "rc": {"owners": [("v1", "ReplicationController", "rc")]}, "custom": {"owners": [("example.com/v1", "Thing", "thing")]},
        "account": {"account": "special"}, "far": {"node": "node-b"}, "zoneless": {"node": "node-c"},
    }
    for number, (name, form) in enumerate(forms.items(), 1):
        ip = f"10.88.8.{number}"
        things += [pod(ns, name, ip, **form), service(ns, name, [(80, 8080), (4191, 4191), (3306, 3306)]),
                   slice_(ns, name, [endpoint(ip, name, node=form.get("node", "node-a"))],
                          (("p80", 8080), ("p4191", 4191), ("p3306", 3306)))]
        questions += [Get(host(name, ns, port), node="node-a") for port in (80, 4191, 3306)] + [Profile(f"{ip}:{port}") for port in (8080, 4191, 4190, 4143, 3306, 1)]
    return things, questions


def servers():
    """Servers that say that a port is opaque, or is not."""
    ns = "opaque-servers"
    things, questions = [], []
    for number, protocol in enumerate(("unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"), 1):
        name, ip = f"s{number}", f"10.88.9.{number}"
        things += [pod(ns, name, ip, labels={"app": name}, ports=(("http", 8080), ("db", 3306))), service(ns, name, [(80, 8080), (3306, 3306)]),
                   slice_(ns, name, [endpoint(ip, name)], (("p80", 8080), ("p3306", 3306))),
                   *({"apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server", "metadata": meta(f"{name}-{port}", ns),
                      "spec": {"podSelector": {"matchLabels": {"app": name}}, "port": port, "proxyProtocol": protocol}} for port in ("http", 3306))]
        questions += [Get(host(name, ns, port)) for port in (80, 3306)] + [Profile(f"{ip}:{port}") for port in (8080, 3306)]
    return things, questions


def opaque_services():
    """Opaque ports by the Service, by its namespace, by default."""
    ns, other = "opaque-services", "opaque-by-namespace"
    ports = [(80, 8080), (3306, 3306), (8000, 8000)]
    things = [namespace(other, {"config.linkerd.io/opaque-ports": "8000"}),
              service(ns, "says", ports, annotations={"config.linkerd.io/opaque-ports": "80,7999-8001"}), service(ns, "says-nothing", ports),
              service(ns, "says-none", ports, annotations={"config.linkerd.io/opaque-ports": ""})]
    return things, [Profile(host(name, ns, port)) for name in ("says", "says-nothing", "says-none") for port in (80, 3306, 8000)]


def host_network():
    """Pods with the node's address: by their Service, by the address with a hostPort, and without one."""
    ns = "hostnet"
    things = [pod(ns, "agent", "172.18.0.2", node="node-b", mesh=None, ports=(("metrics", 9100),), host_ports=("metrics",), hostNetwork=True),
              pod(ns, "mapped", "10.88.11.1", node="node-b", ports=(("http", 8080), ("web", 8443)), host_ports=("web",)),
              service(ns, "agent", [(80, 9100)]), slice_(ns, "agent", [endpoint("172.18.0.2", "agent", "node-b", "west")], (("p80", 9100),))]
    return things, [*everywhere(host("agent", ns)), *(Profile(f"172.18.0.2:{port}") for port in (9100, 8443, 8080, 1)), Profile("10.88.11.1:8443"), Profile("10.88.11.1:8080")]


def ended():
    """Pods that have ended and pods that wait have an address too, which may be another pod's by now."""
    ns = "ended"
    things = [pod(ns, "done", "10.88.12.1", phase="Succeeded", ready=False), pod(ns, "failed", "10.88.12.2", phase="Failed", ready=False),
              pod(ns, "waiting", "10.88.12.3", phase="Pending", ready=False), pod(ns, "new", "10.88.12.1")]
    return things, [Profile(f"10.88.12.{n}:8080") for n in (1, 2, 3, 4)]


# --- profiles ---

def profile(ns, name, spec):
    return {"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile", "metadata": {"name": name, "namespace": ns}, "spec": spec}


def profiles():
    """All that a ServiceProfile can say; the client's own first."""
    ns, client = "profiles", "profiles-client"
    get = {"method": "GET", "pathRegex": "/a/[^/]*"}
    forms = {
        "routes": {"routes": [
            {"name": "GET /a/{id}", "condition": get, "isRetryable": True, "timeout": "250ms"},
            {"name": "all", "condition": {"all": [{"method": "POST"}, {"not": {"pathRegex": "/b"}}]}, "responseClasses": [
                {"condition": {"status": {"min": 500, "max": 599}}, "isFailure": True}, {"condition": {"not": {"status": {"min": 400}}}, "isFailure": False},
                {"condition": {"all": [{"status": {"min": 200, "max": 299}}, {"any": [{"status": {"min": 204}}]}]}}]},
            {"name": "any", "condition": {"any": [{"method": "PUT"}, {"pathRegex": "/c.*"}]}, "timeout": "1s500ms"}]},
        "budget": {"retryBudget": {"retryRatio": 0.5, "minRetriesPerSecond": 7, "ttl": "30s"}},
        "overrides": {"dstOverrides": [{"authority": "v1.profiles.svc.cluster.local.:8080", "weight": "500m"}, {"authority": "v2.profiles.svc.cluster.local", "weight": 2}]},
        "empty": {},
    }
    things, questions = [], []
    for number, (name, spec) in enumerate(forms.items(), 1):
        things += [service(ns, name, ip=f"10.96.14.{number}"), profile(ns, f"{name}.{ns}.svc.cluster.local", spec)]
        questions += [Profile(host(name, ns)), Profile(f"10.96.14.{number}:80"), Profile(host(name, ns, 81))]
    things += [namespace(client), profile(client, f"routes.{ns}.svc.cluster.local", {"routes": [{"name": "mine", "condition": {"method": "GET"}}]})]
    return things, questions + [Profile(host("routes", ns), ns=who) for who in (client, ns, "nobody", "")] + [
        Profile(host("routes", ns), token=token) for token in (f"ns:{client}", f"ns:{ns}", "nonsense", "{", '{"ns": 1}', f'{{"ns":"{client}","more":true}}')]


# --- external workloads ---

def workload(ns, name, ips, labels=None, annotations=None, ready=True, ports=(("http", 8080),), owners=None, identity="spiffe://root/vm", server="vm.example", **spec):
    made = {"apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload", "metadata": meta(name, ns, labels, annotations),
            "spec": {"meshTLS": {"identity": identity, "serverName": server}, "workloadIPs": [{"ip": ip} for ip in ips],
                     "ports": [{"name": key, "port": value} for key, value in ports], **spec},
            "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}
    if owners:
        made["metadata"]["ownerReferences"] = [{"apiVersion": version, "kind": kind, "name": who, "uid": f"uid-{who}", "controller": True}
                                               for version, kind, who in owners]
    return made


def workloads():
    """By slices that somebody wrote, and by address."""
    ns = "workloads"
    forms = {"plain": {}, "proxy-port": {"ports": (("http", 8080), ("linkerd-proxy", 4999))}, "opaque": {"annotations": {"config.linkerd.io/opaque-ports": "8080"}},
             "zone": {"labels": {"topology.kubernetes.io/zone": "east"}}, "db": {"ports": (("http", 8080), ("db", 3306))},
             "owned": {"owners": [("example.com/v1", "Group", "fleet")]}, "served": {"labels": {"app": "served"}}}
    things, questions = [], []
    for number, (name, form) in enumerate(forms.items(), 1):
        ip = f"192.0.3.{number}"
        things += [workload(ns, name, [ip], **form), service(ns, name, [(80, 8080), (3306, 3306)]),
                   slice_(ns, name, [endpoint(ip, name, node=None, kind="ExternalWorkload", zone="east" if name == "zone" else None)], (("p80", 8080), ("p3306", 3306)))]
        questions += [Get(host(name, ns, port), node="node-a") for port in (80, 3306)] + [Profile(f"{ip}:{port}") for port in (8080, 3306, 4143)]
    things.append({"apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server", "metadata": meta("served", ns),
                   "spec": {"externalWorkloadSelector": {"matchLabels": {"app": "served"}}, "port": "http", "proxyProtocol": "opaque"}})
    return things, questions


SCENES = [families, conditions, ports, headless, odd_services, hints, local, metadata, servers, opaque_services, host_network, ended, profiles, workloads]
