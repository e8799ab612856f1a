"""The mesh of the demo: Pods as the manifests describe them, control plane, proxies, application, load."""

import os
import re
import time

import shop
import yaml
from edges import Reading
from lib.mesh import Pod
from lib.own_mesh import OwnMesh
from lib.proc import Programs
from machine import ROOT, Machine, outer_pid

CONTROLLER = "controller"  # the Pod
PROGRAMS = {"linkerd": "cli/linkerd", "linkerd-init": "init/linkerd-init", "linkerd-proxy": "proxy/linkerd-proxy",
            "linkerd-controller": "control/linkerd-controller"}
WAIT = 30  # seconds
_COMPLAINT = re.compile(r"(?:ERROR|WARN)\S* +source: (.*)")


class Manifests:
    """The few things that the demo itself has to know of them."""

    def __init__(self, directory):
        documents = [document for path in sorted(directory.glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())
                     if document]
        self.pods = {each["metadata"]["name"]: each for each in documents if each["kind"] == "Pod"}
        self.services = {each["metadata"]["name"]: self._selected(each["spec"].get("selector") or {}) for each in documents
                         if each["kind"] == "Service"}
        for name in (CONTROLLER, *shop.SERVERS, *shop.LOADS):
            if name not in self.pods:
                raise RuntimeError(f"{directory} has no Pod {name}, in which a program of the demo runs")

    def _selected(self, selector):
        return {name for name, pod in self.pods.items() if selector and
                selector.items() <= pod["metadata"].get("labels", {}).items()}


class Mesh:
    def __init__(self, directory, say):
        self.directory, self.say = directory, say
        self.manifests = Manifests(directory)
        self.services = self.manifests.services
        self.programs = Programs(ROOT / "log")
        self.binaries = {name: ROOT / "build/src" / path for name, path in PROGRAMS.items()}
        for path in self.binaries.values():
            if not path.exists():
                raise RuntimeError(f"{path.relative_to(ROOT)} is not built: make build")
        self.pods, self.apps, self.loads = {}, {}, {}
        self._heard, self._said = 0, []

    # --- starting ---

    def start(self):
        self._make_pods()
        self._start_control_plane()
        self._start_proxies()
        self.say("Starting nginx, Redis, a gRPC and a WebSocket service, and their load.")
        self.apps = shop.start_servers(self.pods)
        self.outer = {name: outer_pid(app.pid) for name, app in self.apps.items()}
        self.loads = shop.start_loads(self.pods)

    def _make_pods(self):
        self.say(f"Making {len(self.manifests.pods)} Pods: a network namespace each.")
        network = Machine()
        nameserver = self.manifests.pods[CONTROLLER]["status"]["podIP"]
        for name, manifest in self.manifests.pods.items():
            host = network.host(name, _number(manifest["status"]["podIP"]))
            host.hold(name, nameserver)
            self.pods[name] = Pod(host, self.binaries, self.programs)
        deadline = time.monotonic() + WAIT
        while not all(pod.host.held() for pod in self.pods.values()):
            if time.monotonic() > deadline:
                raise RuntimeError("a Pod did not get a /etc/resolv.conf of its own: does this machine have that file?")
            time.sleep(0.01)  # between looks

    def _start_control_plane(self):
        self.say("Making certificates and tokens, starting the control plane behind a proxy of its own.")
        folder = ROOT / "mesh"
        folder.mkdir()
        self.own = OwnMesh(self.pods[CONTROLLER], self.binaries, self.programs, folder, self.directory)
        self.own.make_keys()
        self.own.start_controller(f"--dns-addr={self.own.pod.host.ip4}:53")
        self.own.start_control_proxy(CONTROLLER)

    def _start_proxies(self):
        self.say("Redirecting each Pod's traffic to its proxy, starting the proxies.")
        for name, manifest in self.manifests.pods.items():
            if name != CONTROLLER:
                self.own.start_proxy(self.pods[name], name, manifest["metadata"]["namespace"], manifest["spec"]["serviceAccountName"])

    # --- running ---

    def read(self, before=None):
        reading = Reading(time.monotonic())
        for name, pod in self.pods.items():
            if name != CONTROLLER and pod.proxy.running():
                reading.add(name, pod.metrics())
        return reading.settle(before)

    def ended(self):
        """Sentences about programs that ended, though nobody of us told them."""
        named = {**{name: (f"the application of {name}", app) for name, app in self.apps.items()},
                 **{f"load {name}": (f"the load of {name}", load) for name, load in self.loads.items()},
                 **{f"proxy {name}": (f"the proxy of {name}", pod.proxy) for name, pod in self.pods.items()},
                 "controller": ("the controller", self.own.controller)}
        return [f"{what} has ended with status {program.process.returncode}" for what, program in named.values()
                if program and not program.running()]

    def stop_loads(self):
        return shop.stop_loads(self.loads)

    def complaints(self, since):
        """What the controller said about manifests that it cannot use, after that time (time.monotonic())."""
        lines = self.own.controller.lines
        for line in lines[self._heard:]:
            if found := _COMPLAINT.search(line):
                self._said.append((time.monotonic(), found[1]))
        self._heard = len(lines)
        return [f"manifests: {text}" for at, text in self._said if at >= since]

    def hints(self, here):
        """Lines that can be typed in another terminal, from where the demo was started."""
        inside, manifests = _typed(here / "in"), _typed(self.directory)
        hints = [
            "Look further, in another terminal (as root, from this folder):",
            f"  {inside} shopper curl -s http://web.shop.svc.cluster.local/",
            f"  {inside} web-v1 curl -s localhost:4191/connections",
            f"  {inside} mobile curl -s localhost:4191/metrics | grep ^response_total",
            "Change something, and see it here:",
            f"  edit {manifests}/web.yaml, weight: 90 and 10 to 50 and 50",
            "      requests move from web-v1 to web-v2",
            f"  edit {manifests}/quotes.yaml, identityRefs: mobile to visitor",
            "      mobile is refused by quotes (PermissionDenied) until it is back",
        ]
        if self.apps["quotes-1"].running():
            hints += [f"  kill {self.outer['quotes-1']}", "      quotes-1 is gone: a few calls fail, then quotes-2 answers all"]
        return hints


def _typed(path):
    """As short as it can be written from where the user is."""
    relative = os.path.relpath(path, os.environ.get("PWD", os.getcwd()))
    return str(path) if relative.startswith("..") else relative


def _number(ip):
    """Of a host in test/lib/netns.py: the last two bytes of its address."""
    parts = [int(part) for part in ip.split(".")]
    if parts[:2] != [10, 77]:
        raise RuntimeError(f"podIP {ip}: the demo's Pods have addresses 10.77.x.y")
    return parts[2] << 8 | parts[3]
