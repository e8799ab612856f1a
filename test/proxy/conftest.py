"""A pair of pods on a network: `client` and `web`, each with a proxy, under a control plane that the test scripts."""

import ssl

import pytest

from lib.scripted import Feed, ScriptedControl, add, service_policy, weighted

SERVICE = "10.99.0.1"


class Pair:
    """client -> SERVICE:port -> web:port. Tables of `control` may be changed before start()."""

    def __init__(self, network, pod):
        self.client, self.web = pod("client"), pod("web")
        self.control = ScriptedControl()
        self.identity = "web.default.serviceaccount.identity.linkerd.cluster.local"
        self.client_identity = "client.default.serviceaccount.identity.linkerd.cluster.local"

    def service(self, port=80, target=8080, protocol="detect", meshed=True, opaque_port=4143, opaque=False, address=SERVICE,
                **policy):
        path = f"web.default.svc.cluster.local:{port}"
        self.control.targets[f"{address}:{port}"] = Feed(service_policy(path, protocol, **policy))
        self.control.endpoints[path] = Feed(add(
            weighted(self.web.host.ip4, target, identity=self.identity if meshed else None, opaque_port=opaque_port,
                     opaque=opaque, labels={"pod": "web"}), labels={"namespace": "default", "service": "web"}))
        return path

    def start(self, web=True, **env):
        pods = [self.client, *([self.web] if web else [])]
        self.control.start([pod.host for pod in pods])
        for pod, name in zip(pods, ("client", "web")):
            pod.redirect()
            pod.start_proxy(self.control.env(name, **env))
        return self

    def curl(self, *args, address=SERVICE, port=80, path="/", check=True, timeout=30):
        return self.client.host.run(["curl", "-sS", "--max-time", "20", *args, f"http://{address}:{port}{path}"], uid=1000,
                                    check=check, timeout=timeout)


@pytest.fixture
def pair(network, pod):
    pair = Pair(network, pod)
    yield pair
    pair.control.stop()


@pytest.fixture
def meshed_peer(pair, network, tmp_path):
    """A pair of which only the server's proxy runs; tls(port, alpn) -> a connection to it of the client's identity, but no proxy."""
    pair.control.start([pair.web.host])
    pair.web.redirect()
    pair.web.start_proxy(pair.control.env("web"))
    pair.sender, open_ones = network.host("peer"), []
    anchors, chain = tmp_path / "ca.pem", tmp_path / "client.pem"
    anchors.write_text(pair.control.authority.pem)
    pair.control.authority.workload(chain, pair.client_identity)

    def tls(port, *alpn):
        context = ssl.create_default_context(cafile=anchors)
        context.load_cert_chain(chain)
        if alpn:
            context.set_alpn_protocols(alpn)
        sock = context.wrap_socket(pair.sender.connect(pair.web.host.ip4, port, 20), server_hostname=pair.identity)
        open_ones.append(sock)
        return sock

    pair.tls = tls
    yield pair
    for sock in open_ones:
        sock.close()
