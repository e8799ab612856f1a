"""The whole mesh on one machine, without Kubernetes: linkerd-controller behind a proxy of its own, reading a directory; tokens and
certificates made by `linkerd`; two workloads."""

import pathlib
import re
import shutil
import tempfile
import time

import pytest

from lib.http import get
from lib.mesh import ADMIN
from lib.own_mesh import DOMAIN, OwnMesh, identity_of
from lib.wait import until
from lib.worlds import key_and_request
from proxy.test_foreign_proxy import PROXY
from proxy.test_pair import NGINX

MANIFESTS = """
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec:
  clusterIP: 10.96.0.10
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
---
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  namespace: shop
  labels: {{app: web, linkerd.io/control-plane-ns: linkerd}}
spec: {{serviceAccountName: web, containers: [{{name: web, ports: [{{name: http, containerPort: 8080}}]}}]}}
status: {{podIP: {web}, podIPs: [{{ip: {web}}}], phase: Running}}
---
apiVersion: v1
kind: Pod
metadata:
  name: client-1
  namespace: shop
  labels: {{app: client, linkerd.io/control-plane-ns: linkerd}}
spec: {{serviceAccountName: client, containers: [{{name: client}}]}}
status: {{podIP: {client}, podIPs: [{{ip: {client}}}], phase: Running}}
---
apiVersion: v1
kind: Pod
metadata:
  name: control-1
  namespace: linkerd
  labels: {{app: control, linkerd.io/control-plane-ns: linkerd}}
spec: {{serviceAccountName: linkerd-controller, containers: [{{name: controller}}]}}
status: {{podIP: {control}, podIPs: [{{ip: {control}}}], phase: Running}}
"""

DENY = """
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, port: http, proxyProtocol: HTTP/1}
"""


class Mesh:
    """lib/own_mesh.py with the manifests above; Linkerd's own proxy beside the workloads that `foreign` names."""

    def __init__(self, pod, binaries, programs):
        self.control, self.client, self.web = pod("control"), pod("client"), pod("web")
        self.folder = tempfile.TemporaryDirectory(prefix="clinkerd-mesh-")
        self.path = pathlib.Path(self.folder.name)
        self.path.chmod(0o755)
        self.source = self.path / "manifests"
        self.source.mkdir()
        self.own = OwnMesh(self.control, binaries, programs, self.path, self.source)
        self.linkerd = self.own.linkerd
        self.env = {}  # for all proxies, besides what they need
        self.foreign = ()

    def write(self, name, text):
        """In one step, as an editor or a deployment tool does it."""
        temporary = self.path / name
        temporary.write_text(text)
        temporary.rename(self.source / name)

    def manifests(self, without=None):
        """All of them, but for the objects of that name."""
        text = MANIFESTS.format(web=self.web.host.ip4, client=self.client.host.ip4, control=self.control.host.ip4)
        return "\n---\n".join(part for part in text.split("\n---\n") if not without or f"name: {without}" not in part)

    def start_control_plane(self, *flags, without=None):
        self.own.make_keys()
        self.write("mesh.yaml", self.manifests(without))
        self.controller = self.own.start_controller(*flags)
        self.own.start_control_proxy("control-1", **self.env)

    def start_proxy(self, pod, name, namespace, account):
        if name in self.foreign:
            pod.binaries = {**pod.binaries, "linkerd-proxy": self.foreign_proxy(name, identity_of(account, namespace))}
        self.own.start_proxy(pod, name, namespace, account, **self.env)

    def foreign_proxy(self, name, identity):
        """A copy that the proxy's user may run, and beside the token the key that it wants to find."""
        folder = self.path / name
        folder.mkdir()
        key_and_request(folder, identity)
        copy = folder / "linkerd2-proxy"
        shutil.copy(PROXY, copy)
        copy.chmod(0o755)
        return copy

    def curl(self, *args):
        return self.client.host.run(["curl", "-sS", "--max-time", "20", *args, "http://10.96.0.10/"], uid=1000)


@pytest.fixture
def mesh(network, pod, binaries, programs):
    mesh = Mesh(pod, binaries, programs)
    yield mesh
    mesh.folder.cleanup()


def wait_for_status(mesh, status, seconds=15):
    deadline = time.monotonic() + seconds
    while (seen := mesh.curl("-o", "/dev/null", "-w", "%{http_code}").stdout) != status:
        assert time.monotonic() < deadline, f"still {seen}"


FOREIGN = pytest.mark.skipif(not PROXY.exists(), reason="LINKERD_PEERS names no folder with linkerd2-proxy")


@pytest.mark.parametrize("foreign", [
    pytest.param((), id="ours"),
    pytest.param(("client-1",), id="foreign client", marks=FOREIGN),
    pytest.param(("web-1",), id="foreign server", marks=FOREIGN),
    pytest.param(("client-1", "web-1"), id="foreign both", marks=FOREIGN),
])
def test_two_workloads(mesh, foreign):
    mesh.foreign = foreign
    folder = mesh.path / "nginx"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "nginx.conf").write_text(NGINX.format(dir=folder, port=8080))
    mesh.web.start_app(["nginx", "-c", folder / "nginx.conf"], port=8080, uid=1000, name="nginx")
    mesh.start_control_plane()
    mesh.start_proxy(mesh.web, "web-1", "shop", "web")
    mesh.start_proxy(mesh.client, "client-1", "shop", "client")

    answer = mesh.curl("-i").stdout
    assert answer.startswith("HTTP/1.1 200") and "hello from nginx over HTTP/1.1" in answer
    assert f"x-client-id: client.shop.serviceaccount.identity.linkerd.{DOMAIN}" in answer

    mesh.write("policy.yaml", DENY)  # a Server without authorizations denies
    wait_for_status(mesh, "403")
    mesh.write("policy.yaml", "this: is: no: manifest\n")  # broken: what was in force stays in force
    mesh.controller.wait_line("policy.yaml")
    assert mesh.curl("-o", "/dev/null", "-w", "%{http_code}").stdout == "403"
    (mesh.source / "policy.yaml").unlink()
    wait_for_status(mesh, "200")

    mesh.controller.process.kill()  # what worked goes on working without the control plane
    mesh.controller.process.wait()
    for _ in range(5):
        assert mesh.curl("-o", "/dev/null", "-w", "%{http_code}").stdout == "200"


def test_ready_when_policies_are_known(mesh):
    """Those of the ports that it is told of: before that nobody would be let in, so the application is not to be started yet."""
    mesh.start_control_plane(without="web-1")
    proxy = mesh.own.start_proxy(mesh.web, "web-1", "shop", "web", ready=False, LINKERD2_PROXY_INBOUND_PORTS="8080")
    proxy.wait_line("start: ready")
    answer = get(mesh.web.host, "127.0.0.1", ADMIN, "/ready")
    assert answer.status == 503
    assert re.fullmatch(rb"not ready: the policy service at \S+, port \d+, has not said who may reach port 8080 yet\n", answer.body), answer
    mesh.write("mesh.yaml", mesh.manifests())
    mesh.web.wait_ready()


@pytest.mark.parametrize("variable", ["LIFETIME", "IDLE_TIMEOUT"])
def test_streams_are_opened_anew(mesh, variable):
    """Streams of a control plane on another machine, by their age or their silence; nobody notices."""
    def begun():
        lines = get(mesh.control.host, "127.0.0.1", 9990, "/metrics").body.decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines
                   if line.startswith("grpc_server_started_total{") and 'grpc_method="Watch"' in line)

    mesh.env = {"LINKERD2_PROXY_CONTROL_STREAM_" + variable: "300ms"}
    mesh.web.start_app([mesh.web.binaries["http-echo"], "0.0.0.0:8080"], port=8080, uid=1000)
    mesh.start_control_plane()
    mesh.start_proxy(mesh.web, "web-1", "shop", "web")
    mesh.start_proxy(mesh.client, "client-1", "shop", "client")
    wait_for_status(mesh, "200")
    before = begun()
    until(lambda: begun() >= before + 3)
    assert mesh.curl("-o", "/dev/null", "-w", "%{http_code}").stdout == "200"
