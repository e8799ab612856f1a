"""A mesh put together as its users do without Kubernetes: certificates and tokens made by `linkerd`, our controller reading a
directory of manifests behind a proxy of its own, and proxies beside workloads. The demo and the tests of test/mesh share it.

    mesh = OwnMesh(pod, binaries, programs, folder, source)     # pod: the controller's (lib/mesh.py)
    mesh.make_keys()
    mesh.start_controller()
    mesh.start_control_proxy("control-1")
    mesh.start_proxy(other_pod, "web-1", "shop", "web")         # namespace and service account
"""

import json
import pathlib

DOMAIN = "cluster.local"
CONTROL_NAMESPACE, CONTROL_ACCOUNT = "linkerd", "linkerd-controller"
PORTS = {"DESTINATION": 8086, "IDENTITY": 8080, "POLICY": 8090}
ADMIN_PORT = 9990


def identity_of(account, namespace):
    return f"{account}.{namespace}.serviceaccount.identity.{CONTROL_NAMESPACE}.{DOMAIN}"


class OwnMesh:
    def __init__(self, pod, binaries, programs, folder, source):
        self.pod, self.binaries, self.programs = pod, binaries, programs
        self.folder, self.source = pathlib.Path(folder), source
        self.controller = None

    def linkerd(self, *args):
        return self.pod.host.run([self.binaries["linkerd"], *args])

    def make_keys(self):
        p = self.folder
        self.linkerd("certs", "anchor", "--out", p / "anchor")
        self.linkerd("certs", "issuer", "--ca", p / "anchor/ca.crt", "--ca-key", p / "anchor/ca.key", "--out", p / "issuer")
        (p / "tokens").mkdir()
        self.linkerd("token", "key", "--out", p / "tokens")

    def start_controller(self, *flags):
        p = self.folder
        addresses = [f"--{service.lower()}-addr=0.0.0.0:{port}" for service, port in PORTS.items()]
        self.controller = self.programs.start(
            [self.binaries["linkerd-controller"], "all", "--source", self.source, "--issuer", p / "issuer", "--token-key",
             p / "tokens/token.pub", *addresses, f"--admin-addr=127.0.0.1:{ADMIN_PORT}", *flags],
            namespace=self.pod.host, name="controller")
        self.controller.wait_line("start: ready")
        return self.controller

    def start_control_proxy(self, name, **more):
        """The controller's own: it asks its neighbour over loopback, everybody else goes through it."""
        return self.start_proxy(self.pod, name, CONTROL_NAMESPACE, CONTROL_ACCOUNT, address="localhost", **more)

    def environment(self, name, namespace, account, address=None):
        """What the proxy of a workload is told; its folder with the token is made."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        self.linkerd("token", "issue", "--key", self.folder / "tokens/token.key", "--namespace", namespace, "--service-account",
                     account, "--out", folder / "token")
        (folder / "token").chmod(0o644)  # proxies run as another user
        env = {
            "LINKERD2_PROXY_IDENTITY_DIR": folder,
            "LINKERD2_PROXY_IDENTITY_TOKEN_FILE": folder / "token",
            "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS": (self.folder / "anchor/ca.crt").read_text(),
            "LINKERD2_PROXY_IDENTITY_LOCAL_NAME": identity_of(account, namespace),
            "LINKERD2_PROXY_POLICY_WORKLOAD": json.dumps({"ns": namespace, "pod": name}),
            "LINKERD2_PROXY_DESTINATION_CONTEXT": json.dumps({"ns": namespace, "pod": name}),
            "LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS": "10.0.0.0/8,fd00::/8",
        }
        for service, port in PORTS.items():
            env[f"LINKERD2_PROXY_{service}_SVC_ADDR"] = f"{address or self.pod.host.ip4}:{port}"
            env[f"LINKERD2_PROXY_{service}_SVC_NAME"] = identity_of(CONTROL_ACCOUNT, CONTROL_NAMESPACE)
        return env

    def start_proxy(self, pod, name, namespace, account, address=None, ready=True, **more):
        env = self.environment(name, namespace, account, address)
        pod.redirect()
        return pod.start_proxy({**env, **more}, ready)
