"""Network namespaces for tests.

A Network is a switch of its own (a bridge in a namespace) with Hosts on it, each a namespace with one address of each
family and a default route that leads to the switch and no further. Nothing is made in the namespace of the caller.

    with Network() as net:
        a, b = net.host("a"), net.host("b")
        a.run(["ping", "-c1", b.ip4])
        with a.inside():
            sock = socket.create_connection((b.ip4, 80))

Names are ck-PID-NUMBER-LABEL, so that what a killed run left can be recognised (sweep()). Leaving the `with` kills, by
pid, what still runs in the namespaces and deletes them; processes found there are reported by close() as its result.
"""

import contextlib
import ctypes
import itertools
import os
import re
import signal
import socket
import subprocess
import time

PREFIX = "ck"
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def available():
    """Whether this process may make namespaces."""
    return os.geteuid() == 0


def _ip(*args, check=True):
    done = subprocess.run(["ip", *args], capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def existing(pid=None):
    """The names of test namespaces, all or those made by one process."""
    pattern = re.compile(rf"^{PREFIX}-(\d+)-\d+-")
    names = [line.split()[0] for line in _ip("netns", "list").splitlines() if line.strip()]
    found = [(name, pattern.match(name)) for name in names]
    return [name for name, match in found if match and (pid is None or int(match[1]) == pid)]


def sweep():
    """Deletes what runs that no longer exist have left behind."""
    for name in existing():
        owner = int(name.split("-")[1])
        if owner != os.getpid() and not os.path.exists(f"/proc/{owner}"):
            with contextlib.suppress(RuntimeError):
                _delete(name)


def _pids(name):
    return [int(pid) for pid in _ip("netns", "pids", name, check=False).split()]


def _command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _delete(name):
    """Kills what runs inside, deletes the namespace, and says what was running."""
    running = []
    for pid in _pids(name):
        if pid == os.getpid():
            continue
        running.append(f"{pid}: {_command_line(pid)}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _ip("netns", "del", name)
    return running


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


class Namespace:
    """One namespace, without interfaces but lo, which is up."""

    def __init__(self, label):
        self.mounts = {}  # path -> what programs see there instead, as a container has files of its own
        self.name = f"{PREFIX}-{os.getpid()}-{next(_numbers)}-{label}"
        self.path = f"/run/netns/{self.name}"
        _ip("netns", "add", self.name)
        try:
            self.ip("link", "set", "lo", "up")
        except BaseException:
            _delete(self.name)
            raise

    def ip(self, *args):
        return _ip("-n", self.name, *args)

    def wrap(self, argv, uid=None, gid=None):
        """The command line that runs argv inside; the pid stays the same, and it dies with its parent."""
        user = []
        if uid is not None:
            user = [f"--reuid={uid}", f"--regid={gid if gid is not None else uid}", "--clear-groups"]
        return ["nsenter", f"--net={self.path}", "--", *self._mounting(), "setpriv", *user, "--pdeathsig=KILL", "--",
                *[str(arg) for arg in argv]]

    def _mounting(self):
        if not self.mounts:
            return []
        script = "".join(f"mount --bind '{source}' '{path}' && " for path, source in self.mounts.items()) + 'exec "$@"'
        return ["unshare", "--mount", "--propagation=private", "--", "sh", "-c", script, "sh"]

    def run(self, argv, uid=None, gid=None, check=True, timeout=60, **options):
        """Runs to the end, output captured as text. Raises with both outputs when the status is not 0 and check."""
        done = subprocess.run(self.wrap(argv, uid, gid), capture_output=True, text=True, timeout=timeout, **options)
        if check and done.returncode:
            words = " ".join(str(arg) for arg in argv)
            raise RuntimeError(f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace; sockets made here stay there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield self
            finally:
                _setns(home)
        finally:
            os.close(home)

    def connect(self, host, port, timeout=10):
        """A connected TCP socket."""
        with self.inside():
            return socket.create_connection((host, port), timeout)

    def listen(self, host, port=0, backlog=128):
        """A listening TCP socket; [::] takes both families."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with self.inside():
            return socket.create_server((host, port), family=family, backlog=backlog,
                                        dualstack_ipv6=host == "::")

    def answers(self, host, port, deadline):
        """Waits until the port accepts connections; False after the deadline (time.monotonic())."""
        while time.monotonic() < deadline:
            try:
                self.connect(host, port, max(0.01, deadline - time.monotonic())).close()
                return True
            except OSError:
                time.sleep(0.01)  # between attempts; the deadline bounds them
        return False

    def set(self, key, value):
        """A sysctl, by its path below /proc/sys/net."""
        with self.inside(), open(f"/proc/sys/net/{key}", "w") as file:
            file.write(str(value))

    def close(self):
        return _delete(self.name) if os.path.exists(self.path) else []


class Host(Namespace):
    """A namespace on the switch: eth0 with ip4 and ip6, and default routes."""

    def __init__(self, label, net, number):
        super().__init__(label)
        self.ip4, self.ip6 = f"10.77.{number >> 8}.{number & 255}", f"fd77::{number:x}"
        port = f"p{number}"
        try:
            net.switch.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            net.switch.ip("link", "set", port, "master", "br0", "up")
            self.ip("link", "set", "eth0", "up")
            self.ip("address", "add", f"{self.ip4}/16", "dev", "eth0")
            self.ip("-6", "address", "add", f"{self.ip6}/64", "dev", "eth0", "nodad")
            self.ip("route", "add", "default", "via", net.gateway4)
            self.ip("-6", "route", "add", "default", "via", net.gateway6)
        except BaseException:
            self.close()
            raise

    def add_address(self, address):
        """One more address (with its prefix length), such as that of a service on this host."""
        self.ip("address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))


class Network:
    gateway4, gateway6 = "10.77.255.254", "fd77::ffff"
    host_class = Host

    def __init__(self):
        self.hosts = []
        self.switch = Namespace("switch")
        try:
            # STP and address detection off: a port that is up forwards at once.
            self.switch.ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
            self.switch.ip("link", "set", "br0", "up")
            self.switch.ip("address", "add", f"{self.gateway4}/16", "dev", "br0")
            self.switch.ip("-6", "address", "add", f"{self.gateway6}/64", "dev", "br0", "nodad")
        except BaseException:
            self.switch.close()
            raise

    def host(self, label="host", number=None):
        """Its addresses are 10.77.NUMBER and fd77::NUMBER: the next one where no number is given."""
        host = self.host_class(label, self, number or len(self.hosts) + 1)
        self.hosts.append(host)
        return host

    def close(self):
        """Deletes everything; returns what still ran in the namespaces (it is killed)."""
        running = []
        for namespace in [*self.hosts, self.switch]:
            running += [f"{namespace.name}: {line}" for line in namespace.close()]
        self.hosts.clear()
        return running

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
