"""A newer proxy takes over the listeners of the one that runs, under load, without losing a connection or a request."""

import contextlib
import os
import signal
import socket
import threading

import pytest

from lib.h2_load import H2Client
from lib.http import get
from lib.mesh import ADMIN, INBOUND, PROXY_UID
from proxy.test_lifecycle import read_until, tell
from proxy.test_pair import echo_server, folder, nginx  # noqa: F401 (a fixture)


class Taken:
    """The pair, of which `web` is replaced by newer proxies."""

    def __init__(self, pair, folder):
        self.pair, self.folder = pair, folder

    def start(self):
        self.pair.service()
        self.pair.service(port=7000, target=7000, protocol="opaque", opaque=True)
        nginx(self.pair.web, self.folder)
        echo_server(self.pair.web, 7000)
        self.pair.control.start([self.pair.client.host, self.pair.web.host])
        for pod, name in ((self.pair.client, "client"), (self.pair.web, "web")):
            pod.redirect()
            pod.start_proxy(self.env(name))
        return self

    def path(self, name="web"):
        return str(self.folder / f"{name}.sock")

    def env(self, name="web", **more):
        return self.pair.control.env(name, **{"CLINKERD_PROXY_TAKEOVER_SOCKET": self.path(name), **more})

    def successor(self, pod=None, name="web", **env):
        pod = pod or self.pair.web
        return pod.start_proxy(self.env(name, **env), ready=False)

    def replace(self, pod=None, name="web"):
        pod = pod or self.pair.web
        old = pod.proxy
        new = self.successor(pod, name)
        new.wait_line("start: ready")
        old.wait_line("the successor accepts")
        pod.wait_ready()
        return old, new


@pytest.fixture
def taken(pair, folder):
    return Taken(pair, folder).start()


class Load:
    """Clients that ask on and on and check each answer; what failed stands in `failures`."""

    def __init__(self, pair):
        self.pair, self.failures, self.counts, self.over = pair, [], {}, threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(work,), daemon=True)
                        for work in (self.kept, self.kept, self.fresh, self.http2, self.opaque)]
        for thread in self.threads:
            thread.start()

    def _run(self, work):
        try:
            work()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a failure)
            self.failures.append(f"{work.__name__}: {error!r}")

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def kept(self):
        """HTTP/1 keep-alive; a new connection only where the last answer said that it was the last."""
        sock = None
        while not self.over.is_set():
            sock = sock or self.pair.client.host.connect("10.99.0.1", 80)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = read_until(sock, b"HTTP/1.1\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            self.count("kept")
            if b"onnection: close" in answer:
                sock.close()
                sock = None

    def fresh(self):
        while not self.over.is_set():
            with self.pair.client.host.connect("10.99.0.1", 80) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert b"hello from nginx" in read_until(sock, b"HTTP/1.1\n")
            self.count("fresh")

    def http2(self):
        client = H2Client(lambda: self.pair.client.host.connect("10.99.0.1", 82))
        while not self.over.is_set():
            assert client.ask(["/bytes/10"] * 5) == [(200, 10)] * 5
            self.count("http2")
        client.close()

    def opaque(self):
        """One stream that lives through everything, beside short ones."""
        with self.pair.client.host.connect("10.99.0.1", 7000) as long:
            while not self.over.is_set():
                long.sendall(b"\0abc")
                assert read_until(long, b"\0abc") == b"\0abc"
                with self.pair.client.host.connect("10.99.0.1", 7000) as short:
                    short.sendall(b"\0xyz")
                    assert read_until(short, b"\0xyz") == b"\0xyz"
                self.count("opaque")

    def wait(self, more):
        """Until each has done so many more, or one has failed."""
        wanted = {name: self.counts.get(name, 0) + more for name in ("kept", "fresh", "http2", "opaque")}
        for _ in range(3000):
            if self.failures or all(self.counts.get(name, 0) >= count for name, count in wanted.items()):
                break
            self.over.wait(0.01)  # between looks
        assert not self.failures, self.failures
        assert all(self.counts.get(name, 0) >= count for name, count in wanted.items()), (wanted, self.counts)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.failures, self.failures


@pytest.mark.parametrize("who", ["web", "client"])
def test_two_in_a_row_under_load(taken, who):
    pair = taken.pair
    pair.service(port=82, target=8082)
    pair.web.start_app([pair.web.binaries["http-echo"], "0.0.0.0:8082"], port=8082)
    pod = getattr(pair, who)
    load = Load(pair)
    load.wait(5)
    first = pod.proxy
    old, new = taken.replace(pod, who)
    assert old is first
    load.wait(5)
    assert first.running()  # the long stream is still its own
    second, third = taken.replace(pod, who)
    assert second is new
    load.wait(5)
    load.end()
    for program in (first, second):
        assert program.process.wait(20) == 0, program.output
        program.wait_line("drained")
    assert third.running() and get(pod.host, "127.0.0.1", ADMIN, "/ready").status == 200


def test_connections_in_the_queue_are_served_by_the_successor(taken):
    """The old one cannot even accept any more; what waits in the queue is shared."""
    pair = taken.pair
    old, new = taken.replace()
    assert old.process.wait(10) == 0
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(pair.client.host.connect("10.99.0.1", 80)) for _ in range(20)]
        for sock in socks:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for sock in socks:
            read_until(sock, b"hello from nginx")
    assert new.running()


def test_refused_without_being_asked(taken):
    """The same address, but no path: it is taken."""
    pair = taken.pair
    first = pair.web.proxy
    second = taken.successor(CLINKERD_PROXY_TAKEOVER_SOCKET="")
    assert second.process.wait(10) == 71
    second.wait_line("another proxy runs here")
    pair.web.proxy = first
    assert "hello from nginx" in pair.curl().stdout


def test_another_user_is_refused(taken):
    pair = taken.pair
    first = pair.web.proxy
    path = taken.path()
    first_line = len(first.lines)
    assert os.stat(path).st_mode & 0o777 == 0o600
    env = {**taken.env(), "LINKERD2_PROXY_INBOUND_LISTEN_ADDR": f"0.0.0.0:{INBOUND}"}
    for uid, said in ((1000, "Permission denied"), (0, "another user listens there")):
        other = pair.web.programs.start([pair.web.binaries["linkerd-proxy"]], namespace=pair.web.host, uid=uid, env=env)
        other.wait_line(said)
        assert other.process.wait(10) == 71
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:  # one that does not look who answers
        sock.connect(path)
        answer, control, _, _ = sock.recvmsg(65536, 1024)
    assert b"it runs as another user" in answer and not control
    assert PROXY_UID != os.geteuid()
    first.wait_line("a successor is refused", start=first_line)
    assert "hello from nginx" in pair.curl().stdout


def test_one_successor_at_a_time(taken):
    import grpc
    pair = taken.pair
    first = pair.web.proxy
    pair.control.refuse_identity = (grpc.StatusCode.UNAVAILABLE, "not yet")
    second = taken.successor()
    second.wait_line("not certified")
    third = taken.successor()
    assert third.process.wait(10) == 71
    third.wait_line("another successor is starting")
    pair.control.refuse_identity = None
    second.wait_line("start: ready")
    first.wait_line("the successor accepts")
    pair.web.proxy = second
    pair.web.wait_ready()
    assert "hello from nginx" in pair.curl().stdout


def as_proxy(path, message):
    """A process of the proxy's user that is given the sockets, says this, and waits for the end."""
    return ("import socket,sys\n"
            f"s=socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(10); s.connect({path!r})\n"
            f"s.recvmsg(65536,1024); s.sendall({message!r})\n"
            "try: print(s.recvmsg(65536,1024)[0][:100])\n"
            "except ConnectionResetError: print('reset')\n")


@pytest.mark.parametrize("message", [
    b"garbage",
    b"CLKDTAKE\x02\0\x02\0\0\0\0\0",  # ready, in another version
    b"CLKDTAKE\x01\0\x03\0\0\0\0\0",  # what only a predecessor says
    b"CLKDTAKE\x01\0\x02\0\0\0\0\0more",
], ids=["garbage", "version", "gone", "too long"])
def test_nonsense_changes_nothing(taken, message):
    pair = taken.pair
    pair.web.host.run(["/usr/bin/python3", "-c", as_proxy(taken.path(), message)], uid=PROXY_UID)
    pair.web.proxy.wait_line("ended before it was ready")
    assert "hello from nginx" in pair.curl().stdout
    old, new = taken.replace()  # and a true one is still served
    assert new.running()


@pytest.mark.parametrize("how", ["killed", "wrong environment", "no certificate"])
def test_a_successor_that_fails_leaves_everything_as_it_was(taken, how):
    import grpc
    pair = taken.pair
    first = pair.web.proxy
    if how == "wrong environment":
        bad = taken.successor(LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS="none")
        assert bad.process.wait(10) in (64, 71)
    else:
        pair.control.refuse_identity = (grpc.StatusCode.UNAVAILABLE, "not yet")
        bad = taken.successor()
        first.wait_line("a successor starts")
        bad.wait_line("not certified")
        assert "hello from nginx" in pair.curl().stdout
        assert get(pair.web.host, "127.0.0.1", ADMIN, "/ready").status == 200  # the first one's answer
        tell(bad, *([signal.SIGKILL] if how == "killed" else [signal.SIGTERM, signal.SIGINT]))
        bad.process.wait(10)
        first.wait_line("ended before it was ready")
        pair.control.refuse_identity = None
    pair.web.proxy = first
    for _ in range(3):
        assert "hello from nginx" in pair.curl().stdout
    assert first.running()
    old, new = taken.replace()
    assert old is first and first.process.wait(20) == 0


def test_a_successor_knows_the_ports_that_were_used(taken):
    """Told to end right after the switch, it waits for the application that only its predecessor was asked for."""
    pair = taken.pair
    assert "hello from nginx" in pair.curl().stdout
    old, new = taken.replace()
    tell(new, signal.SIGTERM)
    new.wait_line("draining")
    assert "hello from nginx" in pair.curl().stdout
    assert new.running()
