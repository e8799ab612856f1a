"""A node as a CNI runtime sees it: cnitool, Debian's bridge and loopback plugins and ours in one chain, pods in namespaces of
their own, and an API server that knows Pods and Namespaces (a small one of the test, over TLS).

    node = Node(network, binaries, folder)
    node.pod("web", injected())                       # what the API server says of it
    result = node.add("web")                          # cnitool add; .returncode, .stdout, .stderr
"""

import contextlib
import http.server
import json
import pathlib
import shutil
import socketserver
import ssl
import threading

from cluster.pki import Pki
from lib.netns import Namespace

PLUGINS = pathlib.Path("/usr/lib/cni")
SUBNET = "10.88.0.0/16"


def injected(annotations=None, containers=("web", "linkerd-proxy"), inits=(), labels=None):
    return {"kind": "Pod", "metadata": {"annotations": annotations or {}, "labels": labels or {}},
            "spec": {"containers": [{"name": name} for name in containers], "initContainers": [{"name": name} for name in inits]}}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        found = server.objects.get(self.path)
        status = server.status or (200 if found else 404)
        body = json.dumps(found if status == 200 else {"kind": "Status", "message": f"no such thing: {self.path}", "code": status}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class ApiServer(http.server.ThreadingHTTPServer):
    """objects: path -> what is answered; status: given to all instead; asked: the paths."""

    def __init__(self, host, pki):
        self.objects, self.asked, self.status = {}, [], None
        with host.inside():
            super().__init__((host.ip4, 0), _Handler)
        self.server_port = self.server_address[1]
        pki.certificate("server", "kube-apiserver", names=[host.ip4])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.folder / "server.crt", pki.folder / "server.key")
        context.set_alpn_protocols(["http/1.1"])
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://{host.ip4}:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # http.server's own asks DNS for the name of this machine, and there is no DNS

    def stop(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Pod:
    def __init__(self, name):
        self.name, self.namespace = name, Namespace(f"pod-{name[:12]}")

    @property
    def address(self):
        return next(one["local"] for one in json.loads(self.namespace.ip("-j", "-4", "address", "show", "eth0"))[0]["addr_info"])

    def rules(self, family=4, mode="nft"):
        text = self.namespace.run([f"ip{'6' if family == 6 else ''}tables-{mode}-save", "-t", "nat"]).stdout
        return [line for line in text.splitlines() if line.startswith("-A") and "PROXY_INIT" in line]


class Node:
    def __init__(self, network, binaries, cnitool, folder, version="1.0.0"):
        self.host, self.cnitool, self.folder, self.version = network.host("node"), cnitool, folder, version
        self.host.set("ipv4/ip_forward", 1)
        self.pki = Pki(folder / "pki")
        self.api = ApiServer(self.host, self.pki)
        self.api.objects["/api/v1/namespaces/default"] = {"kind": "Namespace", "metadata": {"name": "default"}}
        self.kubeconfig = self.pki.kubeconfig("linkerd-cni", self.api.url, "linkerd-cni")
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("bridge", "loopback", "host-local"):
            (self.bin / name).symlink_to(PLUGINS / name)
        shutil.copy(binaries["linkerd-cni"], self.bin / "linkerd-cni")
        self.pods = {}
        self.linkerd = {"incoming-proxy-port": 4143, "outgoing-proxy-port": 4140, "proxy-uid": 2102, "ports-to-redirect": [],
                        "inbound-ports-to-ignore": ["4191", "4190"], "iptables-mode": "nft", "ipv6": True, "simulate": False}
        self.chain = [{"type": "bridge", "bridge": "cni0", "isGateway": True,
                       "ipam": {"type": "host-local", "subnet": SUBNET, "dataDir": str(folder / "ipam"), "routes": [{"dst": "0.0.0.0/0"}]}}]

    def plugin(self):
        return {"type": "linkerd-cni", "log_level": "debug", "policy": {"type": "k8s"},
                "kubernetes": {"kubeconfig": str(self.kubeconfig)}, "linkerd": self.linkerd}

    def pod(self, name, said=None, namespace="default"):
        self.pods[name] = pod = Pod(name)
        if said is not None:
            self.api.objects[f"/api/v1/namespaces/{namespace}/pods/{name}"] = said
        return pod

    def write(self):
        folder = self.folder / "net.d"
        folder.mkdir(exist_ok=True)
        (folder / "10-test.conflist").write_text(json.dumps(
            {"cniVersion": self.version, "name": "test", "plugins": [*self.chain, self.plugin()]}))
        return folder

    def tool(self, command, name, namespace="default", pod=None, check=True):
        args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={pod or name}"
        done = self.host.run(["env", f"NETCONFPATH={self.write()}", f"CNI_PATH={self.bin}", f"CNI_ARGS={args}", self.cnitool, command,
                              "test", self.pods[name].namespace.path], check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def call(self, command, config, **variables):
        """The plugin alone, as a runtime calls it; the ended process, and what it printed as JSON (None: nothing)."""
        done = self.host.run(["env", "-i", f"CNI_COMMAND={command}", *(f"{key}={value}" for key, value in variables.items()),
                              self.bin / "linkerd-cni"], check=False, input=json.dumps(config))
        return done, json.loads(done.stdout) if done.stdout.strip() else None

    def close(self):
        self.api.stop()
        for pod in self.pods.values():
            with contextlib.suppress(FileNotFoundError):
                pod.namespace.close()
