"""A Kubernetes cluster on this machine, from packages alone: its own network, one or more nodes, real pods.

    with Cluster(nodes=1) as cluster:
        cluster.load("build/images/proxy.tar")
        cluster.kubectl("get", "nodes")
        cluster.inside(["linkerd", "check"])       a command where the API server can be reached, KUBECONFIG set

Nothing is made in the network namespace of the caller, and no file outside one folder; leaving the `with` ends every
process, and removes namespaces, cgroups, mounts and the folder.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE.parent), str(ROOT / "images")]

from cluster.control_plane import ControlPlane  # noqa: E402
from lib import netns  # noqa: E402
from lib.proc import Programs  # noqa: E402
from cluster.node import Node  # noqa: E402
from oci import Image  # noqa: E402
from cluster.pki import Pki  # noqa: E402

START_SECONDS = 120


def _programs():
    done = subprocess.run([ROOT / "scripts" / "deps", "where", "cluster"], check=True, capture_output=True, text=True)
    return done.stdout.strip().split(":")


def missing_programs():
    """The folders of programs that are not built yet."""
    return [folder for folder in _programs() if not (pathlib.Path(folder).parent / ".complete").exists()]


class Cluster:
    def __init__(self, nodes=1, taints=""):
        """taints: that nodes are born with, as the kubelet's --register-with-taints has them."""
        if missing_programs():
            raise SystemExit("cluster: its programs are not built yet (ten minutes, once): scripts/deps cluster")
        os.environ["PATH"] = ":".join([*_programs(), os.environ["PATH"], "/usr/sbin", "/sbin"])
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="clinkerd-cluster-", dir="/var/tmp"))
        (self.folder / "log").mkdir()
        self.network = netns.Network()
        self.programs = Programs(self.folder / "log")
        self.nodes, self.closing, self.taints = [], False, taints
        try:
            self._start(nodes)
        except BaseException:
            self.close()
            raise

    def _start(self, nodes):
        host = self.network.host("control")
        (self.folder / "control").mkdir()
        self.pki = Pki(self.folder / "pki")
        self.control = ControlPlane(host, self.programs, self.pki, self.folder / "control")
        self.control.start_etcd()
        self.control.start_apiserver()
        pause = self._pause_image()
        for number in range(1, nodes + 1):
            self.nodes.append(Node(f"node{number}", number, self))
        for node in self.nodes:
            for other in [host, *(peer.host for peer in self.nodes if peer is not node)]:
                node.route(other)
        self.until(lambda: "ok" == self.kubectl("get", "--raw=/readyz", check=False).strip(), "the API server")
        self.control.start_others()
        self.control.start_dns()
        for node in self.nodes:
            node.start()
            node.load(pause)
        for node in self.nodes:
            self.until(lambda: self.kubectl("get", "node", node.name, check=False), f"node {node.name}")
            self.kubectl("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=60s", timeout=70)
        self.until(lambda: self.kubectl("get", "serviceaccount", "default", check=False), "the default service account")

    def _pause_image(self):
        binary, tar = self.folder / "pause", self.folder / "pause.tar"
        subprocess.run(["cc", "-Os", "-static", "-s", "-o", binary, HERE / "pause.c"], check=True)
        image = Image("localhost/pause:1", entrypoint=["/pause"], user=65535)
        image.file("/pause", binary, mode=0o755)
        image.write(tar)
        return tar

    def kubectl(self, *args, **options):
        return self.control.kubectl(*args, **options)

    def inside(self, argv, **options):
        """Runs a command beside the API server, KUBECONFIG set; routes lead to pods, not to services."""
        return self.control.host.run(["env", f"KUBECONFIG={self.control.admin}", *argv], **options)

    def load(self, *tars):
        for node in self.nodes:
            for tar in tars:
                node.load(pathlib.Path(tar).resolve())

    def until(self, condition, what, timeout=START_SECONDS):
        """Until the condition is true; its value. Not later than the timeout, nor the end of any program, unless closing."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for program in self.programs.all:
                if not program.running() and not self.closing:
                    raise RuntimeError(f"cluster: {program.name} ended:\n" + "\n".join(program.output.splitlines()[-30:]))
            if value := condition():
                return value
            time.sleep(0.1)  # between questions to programs that tell nobody when they are ready
        said = "\n".join(f"{one.name}: {line}" for one in self.programs.all for line in one.output.splitlines()[-5:])
        raise TimeoutError(f"cluster: {what} was not ready in {timeout} s\n{said}")

    def kill(self, pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def close(self):
        """Ends all of it. Pods are killed, not asked."""
        complaints, self.closing = [], True
        try:
            for node in self.nodes:
                for program in self.programs.all:
                    if program.name.startswith(f"{node.name}-kubelet"):
                        program.stop()
                node.remove()
            with contextlib.suppress(AssertionError):
                self.programs.close()
        except (OSError, TimeoutError) as error:
            complaints.append(str(error))
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        if complaints:
            raise RuntimeError("cluster: " + "; ".join(complaints))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
