"""Every thread at work at once: two workers and the control thread of each proxy, under many connections of each protocol, while
certificates are renewed, policies and endpoints change, metrics are read and the log level is set; then a take-over and a drain. Built
with ThreadSanitizer (`scripts/run-tests --build tsan`) a race ends the program, and the test with it; in other builds it shows that
nothing is lost."""

import contextlib
import re
import signal
import threading
from types import SimpleNamespace

import pytest

from lib.http import get
from lib.mesh import ADMIN
from lib.own_mesh import ADMIN_PORT
from mesh.test_own_control_plane import Mesh
from proxy.test_lifecycle import read_until
from proxy.test_pair import echo_server, nginx
from proxy.test_takeover import Load

SERVICE = """
apiVersion: v1
kind: Service
metadata:
  name: all
  namespace: shop
  annotations: {{config.linkerd.io/opaque-ports: "7000", turn: "{turn}"}}
spec:
  clusterIP: 10.99.0.1
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: 8080}}, {{name: echo, port: 82, targetPort: 8082}}, {{name: tcp, port: 7000, targetPort: 7000}}]
"""
SERVER = """
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {{name: http, namespace: shop}}
spec: {{podSelector: {{matchLabels: {{app: web}}}}, port: {port}, accessPolicy: all-unauthenticated}}
"""
RENEWALS = 3


class Operator:
    """Looks at everything and changes what may be changed, again and again, until told to end."""

    def __init__(self, mesh):
        self.mesh, self.pods, self.failures, self.turns = mesh, (mesh.control, mesh.client, mesh.web), [], 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.over.is_set():
                self.turn()
                self.turns += 1
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a failure)
            self.failures.append(repr(error))

    def turn(self):
        for pod in self.pods:
            level = ("warn,linkerd=debug", "info", "warn,linkerd=trace")[self.turns % 3].encode()
            with contextlib.suppress(ConnectionError):  # in the moment in which the admin port changes hands
                assert "process_start_time_seconds" in pod.metrics()
                assert get(pod.host, "127.0.0.1", ADMIN, "/proxy-log-level", "PUT", level).status == 204
                assert get(pod.host, "127.0.0.1", ADMIN, "/connections").status == 200
        assert get(self.mesh.control.host, "127.0.0.1", ADMIN_PORT, "/metrics").status == 200
        self.mesh.write("all.yaml", SERVICE.format(turn=self.turns))
        self.mesh.write("server.yaml", SERVER.format(port=(8080, 8082, 7000)[self.turns % 3]))

    def end(self):
        self.over.set()
        self.thread.join(30)
        assert not self.failures, self.failures
        assert self.turns >= RENEWALS, self.turns


def value(pod, name):
    found = re.search(rf"^{name} ([0-9.e+]+)$", pod.metrics(), re.M)
    return float(found.group(1)) if found else 0


@pytest.fixture
def mesh(network, pod, binaries, programs):
    mesh = Mesh(pod, binaries, programs)
    mesh.env = {"LINKERD2_PROXY_CORES": "2", "LINKERD2_PROXY_CORES_MIN": "2", "LINKERD2_PROXY_IDENTITY_MIN_REFRESH": "1s"}
    yield mesh
    mesh.folder.cleanup()


def start(mesh):
    work = mesh.path / "work"
    work.mkdir()
    work.chmod(0o777)
    nginx(mesh.web, work)
    echo_server(mesh.web, 7000)
    mesh.web.start_app([mesh.web.binaries["http-echo"], "0.0.0.0:8082"], port=8082)
    mesh.write("all.yaml", SERVICE.format(turn="start"))
    mesh.start_control_plane("--identity-issuance-lifetime=3s", "--identity-clock-skew-allowance=1s")
    mesh.env["CLINKERD_PROXY_TAKEOVER_SOCKET"] = work / "takeover.sock"
    mesh.start_proxy(mesh.web, "web-1", "shop", "web")
    mesh.env.pop("CLINKERD_PROXY_TAKEOVER_SOCKET")
    mesh.start_proxy(mesh.client, "client-1", "shop", "client")
    return work


def renewed(mesh, load):
    """Certificates are renewed while the load goes on, in both proxies."""
    for pod in (mesh.web, mesh.client):
        for _ in range(RENEWALS):
            before = value(pod, "control_identity_cert_refresh_timestamp_seconds")
            while value(pod, "control_identity_cert_refresh_timestamp_seconds") == before:
                load.wait(1)


def successor(mesh, work):
    old = mesh.web.proxy
    env = mesh.own.environment("web-1", "shop", "web")
    mesh.web.start_proxy({**env, **mesh.env, "CLINKERD_PROXY_TAKEOVER_SOCKET": work / "takeover.sock"}, ready=False)
    mesh.web.proxy.wait_line("start: ready")
    old.wait_line("the successor accepts")
    mesh.web.wait_ready()
    return old


def drained(pod):
    """Nothing is open any more, so it ends at once."""
    pod.proxy.kill(signal.SIGTERM)
    pod.proxy.wait_line("draining")
    for _ in range(1000):
        if not pod.proxy.running():
            break
        with contextlib.suppress(ConnectionError):
            still_open = get(pod.host, "127.0.0.1", ADMIN, "/connections").body.decode()
    assert not pod.proxy.running(), f"{still_open}\n{pod.proxy.output}"
    assert pod.proxy.process.returncode == 0, pod.proxy.output


def many(mesh, stack):
    """Connections that stay open, shared out among the workers."""
    http, opaque = (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200"), (b"\0\r\n", b"\0\r\n")
    kinds = [(80, *http), (82, *http), (7000, *opaque)] * 20
    socks = [stack.enter_context(mesh.client.host.connect("10.99.0.1", port)) for port, _, _ in kinds]
    for sock, (_, say, _) in zip(socks, kinds):
        sock.sendall(say)
    for sock, (_, _, answer) in zip(socks, kinds):
        read_until(sock, answer)


@pytest.mark.slow
def test_everything_at_once(mesh):
    work = start(mesh)
    load = Load(SimpleNamespace(client=mesh.client))
    operator = Operator(mesh)
    with contextlib.ExitStack() as stack:
        many(mesh, stack)
        renewed(mesh, load)
    old = successor(mesh, work)
    load.wait(5)
    operator.end()
    load.end()
    assert old.process.wait(30) == 0, old.output
    drained(mesh.client)
