"""A pair of pods on a network: `client` and `web`, each with a proxy, under a control plane that the test scripts."""

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
