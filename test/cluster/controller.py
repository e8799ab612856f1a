"""linkerd-controller beside an API server (cluster.api), reading from it; asked through a relay."""

import subprocess
import urllib.error
import urllib.request

import grpc
import yaml

from lib.controller import Controller
from lib.relay import Relay


RIGHTS = {"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def install_rights(api, binaries):
    """The namespace, service accounts and roles of the chart, as `linkerd install` prints them."""
    done = subprocess.run([binaries["linkerd"], "install", "--ignore-cluster"], capture_output=True, text=True, check=True, timeout=60)
    api.apply(*(each for each in yaml.safe_load_all(done.stdout) if each and each["kind"] in RIGHTS))


def kubeconfig_of(api, account, path):
    """As a pod with this service account of the namespace linkerd comes."""
    token = api.kubectl("create", "token", account, "--namespace=linkerd").strip()
    path.write_text(f"""current-context: pod
clusters: [{{name: c, cluster: {{server: '{api.control.server}', certificate-authority: {api.control.pki.folder}/ca.crt}}}}]
users: [{{name: u, user: {{token: '{token}'}}}}]
contexts: [{{name: pod, context: {{cluster: c, user: u}}}}]
""")
    return path


class ClusterController(Controller):
    """All components beside the API server, reading from it; asked through a relay."""

    def __init__(self, api, directory, programs, binaries):
        super().__init__(directory, programs, binaries)
        self.api, self.host, self.relays = api, "127.0.0.1", {}

    def start(self, *more, kubeconfig=None):
        self.program = self.programs.start([
            self.binaries["linkerd-controller"], self.component, "--kubeconfig", kubeconfig or self.api.control.admin, "--issuer",
            self.issuer.directory, *more],
            namespace=self.api.host, name="controller")
        return self

    def ready(self):
        self.program.wait_line("start: ready")
        return self

    def port(self, port):
        if port not in self.relays:
            self.relays[port] = Relay(self.api.host, self.host, port)
        return self.relays[port].port

    def channel(self, port):
        if port not in self.channels:
            self.channels[port] = grpc.insecure_channel(f"127.0.0.1:{self.port(port)}")
        return self.channels[port]

    def http(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port(9990)}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def close(self):
        super().close()
        for relay in self.relays.values():
            relay.close()
