"""The private machine of the demo: process 1 of namespaces that demo/run made, in which nothing that is mounted, started or
written can be seen from outside, and which are gone when this process is.

    files     ROOT, a file system in memory: tree (this repository), python (the environment), build, log, a folder for each Pod
    network   a switch and a host for each Pod (test/lib/netns.py), with the addresses of the manifests
    names     each Pod has a mount namespace of its own for its /etc/resolv.conf, held open by a process called
              "clinkerd-demo POD", by which demo/in finds it from outside
"""

import os
import pathlib
import re
import subprocess

from lib.netns import Host, Network

ROOT = pathlib.Path("/run/demo")
OUTER_PROC = ROOT / "outer-proc"  # processes by the numbers that they have outside
HOLDER = "clinkerd-demo"


def _mount(*args, fd=None):
    done = subprocess.run(["mount", *[str(arg) for arg in args]], capture_output=True, text=True, pass_fds=[fd] if fd else [])
    if done.returncode:
        raise RuntimeError(f"mount {' '.join(map(str, args))}: {done.stderr.strip()}")


def _bind(folder, target):
    """folder: a descriptor, since what lay below /run is not to be found by its name any more."""
    target.mkdir(parents=True)
    _mount("--no-canonicalize", "--bind", f"/proc/self/fd/{folder}", target, fd=folder)
    os.close(folder)


def prepare(tree, environment, build):
    """Private mounts. The repository, the environment and what was built are seen through ROOT, so that other users than root can run what
    is in them wherever they lie."""
    _mount("--make-rprivate", "/")
    resolv = pathlib.Path(os.path.realpath("/etc/resolv.conf"))
    outer_proc = os.open("/proc", os.O_PATH)
    folders = {name: os.open(path, os.O_PATH) for name, path in (("tree", tree), ("python", environment), ("build", build))}
    _mount("-t", "tmpfs", "-o", "mode=755", "clinkerd-demo", "/run")  # no other's locks, namespaces or name caches
    for name, fd in folders.items():
        _bind(fd, ROOT / name)
    _bind(outer_proc, OUTER_PROC)
    _mount("-t", "proc", "proc", "/proc")
    if not resolv.exists():  # it lay below /run
        resolv.parent.mkdir(parents=True, exist_ok=True)
        resolv.touch()
    (ROOT / "log").mkdir()


def outer_pid(pid):
    """The number by which a process of ours is known outside, or None."""
    for path in OUTER_PROC.glob("[0-9]*/status"):
        try:
            found = re.search(r"^NSpid:\s+(.*)$", path.read_text(), re.MULTILINE)
            numbers = found[1].split() if found else []
            if numbers[-1:] == [str(pid)] and len(numbers) > 1 and _same_namespace(path.parent):
                return int(numbers[0])
        except OSError:
            continue  # ended meanwhile
    return None


def _same_namespace(folder):
    return os.readlink(folder / "ns/pid") == os.readlink("/proc/self/ns/pid")


class PodHost(Host):
    """A host whose programs see a resolv.conf of their own."""

    holder = None

    def hold(self, pod, nameserver):
        folder = ROOT / pod
        folder.mkdir()
        folder.chmod(0o777)  # the Pod's own: its programs are of several users
        (folder / "resolv.conf").write_text(
            f"nameserver {nameserver}\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n")
        script = 'mount --bind "$1" /etc/resolv.conf && exec -a "$2" sleep infinity'
        self.holder = subprocess.Popen(
            ["nsenter", f"--net={self.path}", "unshare", "--mount", "bash", "-c", script, "bash", folder / "resolv.conf",
             f"{HOLDER} {pod}"], stdin=subprocess.DEVNULL)
        return folder

    def held(self):
        """True when the holder has its mounts: from then on programs may be started."""
        try:
            return pathlib.Path(f"/proc/{self.holder.pid}/cmdline").read_bytes().startswith(HOLDER.encode())
        except OSError:
            return False

    def wrap(self, argv, uid=None, gid=None):
        command = super().wrap(argv, uid, gid)
        return [command[0], f"--mount=/proc/{self.holder.pid}/ns/mnt", *command[1:]] if self.holder else command


class Machine(Network):
    host_class = PodHost
