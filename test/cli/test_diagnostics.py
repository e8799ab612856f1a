"""`linkerd diagnostics` and `linkerd identity` against servers that are not ours: grpcio and Python's ssl."""

import contextlib
import hashlib
import json
import socket
import ssl
import threading
from concurrent import futures

import grpc
import pytest
import yaml

from lib import scripted
from lib.scripted import messages


@pytest.fixture
def destination():
    """A destination service that answers with `updates` or `profile`, then stays silent as ours does; its address."""
    m = messages()
    over = threading.Event()

    class Service(m["destination_grpc"].DestinationServicer):
        updates, profile, asked = [], None, []

        def Get(self, request, context):
            self.asked.append((request.path, request.context_token))
            yield from self.updates
            over.wait(30)

        def GetProfile(self, request, context):
            self.asked.append((request.path, request.context_token))
            if not self.profile:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such address")
            yield self.profile
            over.wait(30)

    service = Service()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    m["destination_grpc"].add_DestinationServicer_to_server(service, server)
    service.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    over.set()
    server.stop(0).wait()


POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: linkerd, labels: {{{labels}}}}}
spec: {{containers: [{{name: c}}]}}
status: {{podIP: {ip}}}
---
"""


def test_source(linkerd, tmp_path):
    """The directory of resources says where the control plane is; nobody listens there, so that the answer shows where it was asked."""
    manifests = tmp_path / "all.yaml"

    def said(*pods, more=()):
        manifests.write_text("".join(POD.format(name=name, ip=ip, labels=labels) for name, ip, labels in pods))
        done = linkerd("diagnostics", "endpoints", "--source", tmp_path, *more, "web.shop.svc.cluster.local:80")
        assert done.returncode == 1
        return done.stderr

    component = "linkerd.io/control-plane-component: destination"
    assert "127.0.0.77:8086: cannot connect" in said(("controller", "127.0.0.77", ""))
    assert "127.0.0.78:8086: cannot connect" in said(("metrics", "127.0.0.77", ""), ("controller", "127.0.0.78", component))
    assert "2 Pods in the namespace linkerd: label that of the control plane" in said(("a", "127.0.0.77", ""), ("b", "127.0.0.78", ""))
    assert "no Pod with status.podIP in the namespace linkerd" in said()
    assert "not both" in said(more=["--api-addr", "127.0.0.1:1"])
    done = linkerd("diagnostics", "policy", "--source", tmp_path / "none", "svc/web", "80")
    assert done.returncode == 1 and f"cannot read the directory {tmp_path / 'none'}" in done.stderr
    manifests.write_text(POD.format(name="controller", ip="127.0.0.77", labels=""))
    assert "127.0.0.77:8090" in linkerd("diagnostics", "policy", "--source", tmp_path, "svc/web", "80").stderr
    assert "127.0.0.77:8086" in linkerd("diagnostics", "profile", "--source", tmp_path, "10.0.0.1:80").stderr


def add(ip, pod):
    d = messages()["destination"]
    update = d.Update()
    update.add.metric_labels.update({"namespace": "emoji", "service": "web-svc"})
    one = update.add.addrs.add(weight=10000)
    one.addr.ip.ipv4 = int.from_bytes(socket.inet_aton(ip))
    one.addr.port = 8080
    one.metric_labels["pod"] = pod
    return update


def test_endpoints(linkerd, destination):
    destination.updates = [add("10.0.0.20", "web-2"), add("10.0.0.3", "web-1")]
    ask = ["diagnostics", "endpoints", "--api-addr", destination.address, "web-svc.emoji.svc.cluster.local:80"]
    done = linkerd(*ask, "--token", "ns:x")
    assert done.stderr == ""
    assert done.stdout == ("NAMESPACE   IP          PORT    POD     SERVICE\n"
                           "emoji       10.0.0.3    8080    web-1   web-svc.emoji\n"
                           "emoji       10.0.0.20   8080    web-2   web-svc.emoji\n")
    assert destination.asked == [("web-svc.emoji.svc.cluster.local:80", "ns:x")]
    rows = json.loads(linkerd(*ask, "-o", "json").stdout)
    assert rows[0] == {"namespace": "emoji", "ip": "10.0.0.3", "port": 8080, "pod": "web-1",
                       "service": "web-svc.emoji", "weight": 10000, "labels": {"pod": "web-1"}}
    assert linkerd("dg", "ep", *ask[2:]).stdout == done.stdout


def test_no_endpoints(linkerd, destination):
    update = messages()["destination"].Update()
    update.no_endpoints.exists = False
    destination.updates = [update]
    done = linkerd("diagnostics", "endpoints", "--api-addr", destination.address, "x:1")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "linkerd: diagnostics endpoints: x:1: no such service\nNo endpoints found.\n"


def test_errors(linkerd, destination):
    done = linkerd("diagnostics", "endpoints", "--api-addr", destination.address, "--wait", "200ms", "x:1")
    assert done.returncode == 1 and f"{destination.address}: no answer within 200ms" in done.stderr
    done = linkerd("diagnostics", "profile", "--api-addr", "127.0.0.1:1", "10.0.0.1:80")
    assert done.stderr == ("linkerd: diagnostics profile: 127.0.0.1:1: cannot connect: Connection refused; "
                           "--api-addr or --source names the destination service\n")
    done = linkerd("diagnostics", "profile", "--api-addr", destination.address, "nonsense")
    assert done.returncode == 1 and f"{destination.address}: InvalidArgument: no such address" in done.stderr
    done = linkerd("diagnostics", "profile", "--api-addr", "nonsense", "x")
    assert done.returncode == 1 and '"nonsense" is no address; expected HOST:PORT' in done.stderr


def test_profile(linkerd, destination):
    destination.profile = messages()["destination"].DestinationProfile(fully_qualified_name="web.emoji.svc",
                                                                        opaque_protocol=True)
    destination.profile.routes.add(metrics_labels={"route": "GET /"}, is_retryable=True)
    destination.profile.routes[0].condition.path.regex = "/"
    said = json.loads(linkerd("diagnostics", "profile", "--api-addr", destination.address, "10.0.0.1:80").stdout)
    assert said == {"fullyQualifiedName": "web.emoji.svc", "opaqueProtocol": True, "dstOverrides": [],
                    "routes": [{"labels": {"route": "GET /"}, "isRetryable": True, "timeoutMs": said["routes"][0]["timeoutMs"]}]}


@pytest.fixture
def policies():
    """Policy services that answer with `server` and `policy` and keep the requests; their address."""
    m = messages()

    class Service(m["inbound_grpc"].InboundServerPoliciesServicer, m["outbound_grpc"].OutboundPoliciesServicer):
        asked, answer = [], None

        def GetPort(self, request, context):
            self.asked.append((request.workload, request.port))
            return self.answer or context.abort(grpc.StatusCode.NOT_FOUND, "unknown pod")

        def Get(self, request, context):
            self.asked.append((request.source_workload, request.authority or (request.addr.ip.ipv4, request.addr.port)))
            return self.answer or context.abort(grpc.StatusCode.NOT_FOUND, "No such service")

    service = Service()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    m["inbound_grpc"].add_InboundServerPoliciesServicer_to_server(service, server)
    m["outbound_grpc"].add_OutboundPoliciesServicer_to_server(service, server)
    service.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(0).wait()


def test_policy_of_a_pod(linkerd, policies):
    policies.answer = scripted.server(authorizations=[scripted.authorization(networks=("10.0.0.0/8", "fd00::/8"), tls="clients",
                                                                            identities=["web.shop"], suffixes=[[]])])
    ask = ["diagnostics", "policy", "--api-addr", policies.address, "-n", "shop", "po/web-1", "8080"]
    done = linkerd(*ask)
    assert (done.returncode, done.stderr) == (0, "")
    assert policies.asked == [('{"ns":"shop","pod":"web-1"}', 8080)]
    said = yaml.safe_load(done.stdout)
    assert said["protocol"] == {"detect": {"timeout": "10s"}}
    assert said["labels"] == {"group": "", "kind": "default", "name": "all-unauthenticated"}
    one, = said["authorizations"]
    assert [(each["net"]["ip"], each["net"]["prefix_len"]) for each in one["networks"]] == [("10.0.0.0", 8), ("fd00::", 8)]
    assert one["authentication"]["meshTLS"]["identities"] == {"identities": [{"name": "web.shop"}], "suffixes": [{}]} or \
        one["authentication"]["meshTLS"]["clients"] == {"identities": [{"name": "web.shop"}], "suffixes": [{}]}
    assert json.loads(linkerd(*ask, "-o", "json").stdout) == said
    assert linkerd("dg", "policy", "--api-addr", policies.address, "externalworkload/vm", "80").returncode == 0
    assert policies.asked[-1] == ('{"ns":"default","external_workload":"vm"}', 80)


def test_policy_of_a_service(linkerd, policies):
    policies.answer = scripted.service_policy("web.shop.svc.cluster.local:80")
    ask = ["diagnostics", "policy", "--api-addr", policies.address]
    done = linkerd(*ask, "--namespace=shop", "svc/web", "80")
    said = yaml.safe_load(done.stdout)
    assert said["metadata"]["resource"] == {"group": "core", "kind": "Service", "name": "web", "namespace": "shop", "port": 80}
    rule, = said["protocol"]["detect"]["http1"]["routes"][0]["rules"]
    assert rule["matches"] == [{"path": {"prefix": "/"}}]
    backend = rule["backends"]["first_available"]["backends"][0]["backend"]
    assert backend["balancer"]["discovery"] == {"dst": {"path": "web.shop.svc.cluster.local:80"}}
    assert backend["balancer"]["peak_ewma"] == {"default_rtt": "30ms", "decay": "10s"}
    assert json.loads(linkerd(*ask, "-o", "json", "-n", "shop", "service/web", "80").stdout) == said
    assert linkerd(*ask, "--token", "shop:me", "10.0.0.1", "80").returncode == 0
    assert policies.asked == [("default:diagnostics", "web.shop.svc:80")] * 2 + [("shop:me", (10 << 24 | 1, 80))]


def test_policy_errors(linkerd, policies):
    ask = ["diagnostics", "policy", "--api-addr", policies.address]
    for words, text in ((("pod/none", "80"), "NotFound: unknown pod; --api-addr or --source names the policy service"),
                        (("svc/none", "80"), "NotFound: No such service"),
                        (("svc/web", "0"), 'the port "0" is not valid: expected 1 to 65535\n'),
                        (("deploy/web", "80"), "expected svc/NAME, pod/NAME, externalworkload/NAME or an IP address\n"),
                        (("svc/", "80"), "expected svc/NAME"), (("svc/web",), "an argument is missing: expected RESOURCE PORT")):
        done = linkerd(*ask, *words)
        assert done.returncode == 1 and done.stdout == "" and text in done.stderr, (words, done.stderr)


def test_metrics_without_names(linkerd, admin):
    """What the pages say of their owner are digests, equal ones for equal names."""
    address = admin({"/metrics": (200, '# HELP x Total.\nx{direction="inbound",dst_namespace="shop",src="shop",pod="web"} 1\nstrange "shop"\n')})
    done = linkerd("diagnostics", "proxy-metrics", "--obfuscate", address)
    assert done.returncode == 0 and "shop" not in done.stdout and "web" not in done.stdout and address not in done.stdout
    digest = hashlib.sha256(b"shop").hexdigest()
    assert f'x{{direction="inbound",dst_namespace="{digest}",src="{digest}",pod="' in done.stdout and "# HELP x Total.\n" in done.stdout


def test_proxy_metrics(linkerd, admin):
    address = admin({"/metrics": (200, "a 1\n")})
    done = linkerd("diagnostics", "proxy-metrics", address)
    assert done.stdout == f"#\n# PROXY {address} (1 of 1)\n#\na 1\n"
    done = linkerd("diagnostics", "proxy-metrics", "127.0.0.1:1", address)
    assert done.returncode == 1 and "127.0.0.1:1: cannot connect" in done.stderr and "a 1\n" in done.stdout
    bad = admin({})
    assert f"{bad}: /metrics answers 404" in linkerd("diagnostics", "proxy-metrics", bad).stderr


def test_controller_metrics(linkerd, admin):
    address = admin({"/metrics": (200, "a 1\n")})
    for words in (["diagnostics", "controller-metrics", "--api-addr", address], ["dg", "controller-metrics", f"--api-addr={address}"],
                  ["--api-addr", address, "diagnostics", "controller-metrics"], [f"--api-addr={address}", "dg", "controller-metrics"]):
        done = linkerd(*words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "a 1\n", ""), words
    done = linkerd("diagnostics", "controller-metrics", "--api-addr", "127.0.0.1:1")
    assert done.returncode == 1 and "127.0.0.1:1: cannot connect" in done.stderr and "--source" in done.stderr
    bad = admin({})
    assert f"{bad}: /metrics answers 404" in linkerd("diagnostics", "controller-metrics", "--api-addr", bad).stderr


def test_identity_of_a_server(linkerd, tmp_path):
    linkerd("certs", "anchor")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "ca.key")
    names = []
    context.sni_callback = lambda connection, name, ctx: names.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with contextlib.suppress(OSError):
                context.wrap_socket(listener.accept()[0], server_side=True).close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        done = linkerd("identity", address, "--server-name", "web.emoji.serviceaccount.identity.linkerd.cluster.local")
        thread.join(10)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{address} (1 of 1)\nSubject:     CN=root.linkerd.cluster.local\n")
    assert names == ["web.emoji.serviceaccount.identity.linkerd.cluster.local"]


def test_identity_of_a_stranger(linkerd, admin):
    address = admin({})
    done = linkerd("identity", address, "--wait", "2s")
    assert done.returncode == 1 and done.stderr.startswith(f"linkerd: identity: {address}: ")
