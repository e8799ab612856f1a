"""`linkerd diagnostics` and `linkerd identity` against servers that are not ours: grpcio and Python's ssl."""

import contextlib
import json
import socket
import ssl
import threading
from concurrent import futures

import grpc
import pytest

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
                           "--api-addr names the destination service\n")
    done = linkerd("diagnostics", "profile", "--api-addr", destination.address, "nonsense")
    assert done.returncode == 1 and f"{destination.address}: InvalidArgument: no such address" in done.stderr
    done = linkerd("diagnostics", "profile", "--api-addr", "nonsense", "x")
    assert done.returncode == 1 and '"nonsense" is no address; expected HOST:PORT' in done.stderr
    done = linkerd("diagnostics", "policy", "x")
    assert done.returncode == 2 and done.stderr == "linkerd: diagnostics policy is not available yet\n"


def test_profile(linkerd, destination):
    destination.profile = messages()["destination"].DestinationProfile(fully_qualified_name="web.emoji.svc",
                                                                        opaque_protocol=True)
    destination.profile.routes.add(metrics_labels={"route": "GET /"}, is_retryable=True)
    destination.profile.routes[0].condition.path.regex = "/"
    said = json.loads(linkerd("diagnostics", "profile", "--api-addr", destination.address, "10.0.0.1:80").stdout)
    assert said == {"fullyQualifiedName": "web.emoji.svc", "opaqueProtocol": True, "dstOverrides": [],
                    "routes": [{"labels": {"route": "GET /"}, "isRetryable": True, "timeoutMs": said["routes"][0]["timeoutMs"]}]}


def test_proxy_metrics(linkerd, admin):
    address = admin({"/metrics": (200, "a 1\n")})
    done = linkerd("diagnostics", "proxy-metrics", address)
    assert done.stdout == f"#\n# PROXY {address} (1 of 1)\n#\na 1\n"
    done = linkerd("diagnostics", "proxy-metrics", "127.0.0.1:1", address)
    assert done.returncode == 1 and "127.0.0.1:1: cannot connect" in done.stderr and "a 1\n" in done.stdout
    bad = admin({})
    assert f"{bad}: /metrics answers 404" in linkerd("diagnostics", "proxy-metrics", bad).stderr


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
