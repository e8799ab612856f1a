"""What is compared: two pods on a network of their own, the same servers in one of them, and a pair of proxies between
(or none). The redirect rules are those of linkerd-init for every pair.

    scene = Ours(network, programs, binaries, folder, certs)
    scene.start()               servers, rules and proxies; scene.ready_ms says how long each proxy took
    scene.use("tcp")            before a load of another mode: only HAProxy needs it
    host, port = scene.address("h1")
    scene.pids                  {"client": pid, "server": pid}; empty without proxies
    scene.restart()             new proxies, for figures of memory
"""

import pathlib
import sys
import time

from lib.mesh import INBOUND, OUTBOUND, PROXY_UID, Pod
from lib.scripted import Feed, ScriptedControl, add, authorization, server, service_policy, weighted

HERE = pathlib.Path(__file__).resolve().parent
SERVICE = "10.99.0.1"
PORTS = {"h1": (80, 8080), "h2": (81, 8081), "tcp": (7000, 7000)}  # of the service, and of the server
NAMES = {name: f"{name}.default.serviceaccount.identity.linkerd.cluster.local" for name in ("client", "web")}


class Certs:
    """A folder with ca.pem, client.pem and web.pem (certificate and key), signed by the authority of the run."""

    def __init__(self, authority, folder):
        self.authority, self.folder = authority, folder
        folder.mkdir()
        (folder / "ca.pem").write_text(authority.pem)
        for name, identity in NAMES.items():
            path = folder / f"{name}.pem"
            authority.workload(path, identity)
            path.chmod(0o644)  # short-lived and of this run only; proxies run as another user
        folder.chmod(0o755)


class Scene:
    """No proxy at all: the client dials the server."""

    name = "none"
    proxied = False

    def __init__(self, network, programs, binaries, folder, certs):
        self.programs, self.certs, self.folder = programs, certs, folder
        self.client, self.web = (Pod(network.host(label), binaries, programs) for label in ("client", "web"))
        self.tester = network.host("tester")  # outside the mesh, without rules
        self.proxies, self.ready_ms = {}, {}

    def address(self, kind):
        service, target = PORTS[kind]
        return (SERVICE, service) if self.proxied else (self.web.host.ip4, target)

    @property
    def pids(self):
        return {side: proxy.pid for side, proxy in self.proxies.items()}

    def start(self):
        self._start_servers()
        if self.proxied:
            for pod in (self.client, self.web):
                pod.redirect()
        self.start_proxies()

    def _start_servers(self):
        folder = self.folder / self.name
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "nginx.conf").write_text((HERE / "conf/nginx.conf").read_text().replace("@DIR@", str(folder)))
        self.web.start_app(["nginx", "-c", folder / "nginx.conf"], port=8080, name="nginx")
        self.web.start_app([sys.executable, HERE / "bulk.py", "serve", "7000"], port=7000, uid=0, name="bulk")

    def start_proxies(self):
        pass

    def use(self, mode):
        pass

    def restart(self):
        self.stop()
        self.start_proxies()

    def stop(self):
        for proxy in self.proxies.values():
            proxy.stop()
        self.proxies.clear()

    def close(self):
        pass

    def _timed(self, side, pod, argv, port, env=None):
        """Starts a foreign proxy; ready is when its port accepts."""
        begin = time.monotonic()
        proxy = self.programs.start(argv, namespace=pod.host, uid=PROXY_UID, env=env, name=f"{self.name}-{side}")
        proxy.wait_port(port)
        self.ready_ms.setdefault(side, []).append((time.monotonic() - begin) * 1000)
        self.proxies[side] = proxy


class Ours(Scene):
    """Under a control plane that is not ours; identity, discovery, metrics on; only the client's identity is allowed."""

    name = "clinkerd"
    proxied = True

    def __init__(self, *args):
        super().__init__(*args)
        self.control = ScriptedControl(self.certs.authority)
        for kind, (port, target) in PORTS.items():
            opaque = kind == "tcp"
            path = f"web.default.svc.cluster.local:{port}"
            self.control.targets[f"{SERVICE}:{port}"] = Feed(service_policy(path, "opaque" if opaque else "detect"))
            self.control.endpoints[path] = Feed(add(
                weighted(self.web.host.ip4, target, identity=NAMES["web"], opaque_port=INBOUND, opaque=opaque,
                         labels={"pod": "web"}), labels={"namespace": "default", "service": "web"}))
            self.control.ports[target] = Feed(server("opaque" if opaque else "detect", authorizations=[
                authorization(tls="clients", identities=[NAMES["client"]], name="the-client")]))
        self.control.start([self.client.host, self.web.host])

    def start_proxies(self):
        for side, pod, name in (("client", self.client, "client"), ("server", self.web, "web")):
            begin = time.monotonic()
            self.proxies[side] = pod.start_proxy(self.control.env(name, LINKERD2_PROXY_LOG="warn"))
            self.ready_ms.setdefault(side, []).append((time.monotonic() - begin) * 1000)

    def close(self):
        self.control.stop()


class HAProxy(Scene):
    name = "haproxy"
    proxied = True
    mode = "http"

    def start_proxies(self):
        sides = (("client", self.client, OUTBOUND, "client"), ("server", self.web, INBOUND, "server"))
        for side, pod, port, config in sides:
            http, tcp = (port, 4150) if self.mode == "http" else (4150, port)
            env = {"WEB": self.web.host.ip4, "WEB_NAME": NAMES["web"], "CERTS": self.certs.folder, "HTTP_PORT": http,
                   "TCP_PORT": tcp}
            self._timed(side, pod, ["haproxy", "-db", "-f", HERE / f"conf/haproxy-{config}.cfg"], port, env)

    def use(self, mode):
        if mode != self.mode:
            self.mode = mode
            self.restart()


class Envoy(Scene):
    name = "envoy"
    proxied = True
    binary = None

    def start_proxies(self):
        for side, pod, port in (("server", self.web, INBOUND), ("client", self.client, OUTBOUND)):
            text = (HERE / f"conf/envoy-{side}.yaml").read_text()
            for key, value in (("@WEB@", self.web.host.ip4), ("@NAME@", NAMES["web"]), ("@CERTS@", str(self.certs.folder))):
                text = text.replace(key, value)
            path = self.folder / self.name / f"{side}.yaml"
            path.write_text(text)
            self._timed(side, pod, [self.binary, "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l",
                                    "error"], port)


SCENES = {scene.name: scene for scene in (Ours, HAProxy, Envoy, Scene)}
