"""The end of a proxy: what it serves while it drains, when it ends, and that it gives everything back (under ASan, LeakSanitizer
looks at the exit). docs/lifecycle.md says what is to be true."""

import contextlib
import signal
import socket
import ssl
import threading
import time

import pytest

from lib.h2_frames import ACK, DATA, GOAWAY, PING, frame
from lib.http import get
from lib.mesh import ADMIN, INBOUND
from proxy.test_pair import echo_server, folder, nginx  # noqa: F401 (a fixture)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def http2_get(path="/", stream=1, authority="10.99.0.1"):
    """A HEADERS frame with literal fields that nobody indexes."""
    block = bytes([0x82, 0x86])  # :method GET, :scheme http
    for index, value in ((4, path), (1, authority)):
        block += bytes([index, len(value)]) + value.encode()
    return len(block).to_bytes(3, "big") + bytes([1, 5]) + stream.to_bytes(4, "big") + block


def slow_server(pod, port):
    """HTTP/1 that answers the head and then a byte now and then, for as long as anybody listens."""
    code = ("import socket,threading,sys,time\n"
            "s=socket.create_server(('0.0.0.0',int(sys.argv[1])),backlog=1024)\n"
            "def go(c):\n"
            "    try:\n"
            "        c.recv(65536); c.sendall(b'HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n')\n"
            "        while True: c.sendall(b'1\\r\\nx\\r\\n'); time.sleep(0.02)\n"
            "    except OSError: pass\n"
            "while True: threading.Thread(target=go,args=(s.accept()[0],),daemon=True).start()\n")
    return pod.start_app(["/usr/bin/python3", "-c", code, str(port)], port=port, name="slow")


def read_until(sock, what, seconds=10):
    sock.settimeout(seconds)
    seen = b""
    while what not in seen:
        more = sock.recv(65536)
        assert more, f"closed before {what}: {seen}"
        seen += more
    return seen


def read_bytes(sock, count, seconds=10):
    sock.settimeout(seconds)
    seen = b""
    while len(seen) < count:
        more = sock.recv(65536)
        assert more, f"closed after {seen}"
        seen += more


def open_everything(pair, network, stack):
    """Connections of every kind through both proxies, each in the middle of something."""
    outside = network.host("outside")

    def connect(port, first=b"", host=pair.client.host, address="10.99.0.1"):
        sock = stack.enter_context(host.connect(address, port))
        if first:
            sock.sendall(first)
        return sock

    streams = connect(82, PREFACE + http2_get("/bytes/9999999") + http2_get("/bytes/9999999", stream=3))
    read_bytes(streams, 5000)                                                      # HTTP/2 streams under way
    for _ in range(8):
        read_until(connect(80, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), b"x")       # a response under way, over HTTP/2 between the pair
        idle = connect(81, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")                 # idle, kept alive
        read_until(idle, b"hello")
        read_until(connect(7000, b"\0opaque"), b"\0opaque")                        # opaque bytes
        connect(80, b"GET / HT")                                                   # half a request line
        connect(80, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        connect(80)                                                                # silent: the server's side is opened early
        connect(90, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")                        # a dial that nobody answers
        connect(91, b"\0opaque")                                                   # the same, opaque
        connect(9999, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")                      # a destination that nobody knows
        hello = ssl.MemoryBIO()
        tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname=pair.identity)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        connect(INBOUND, hello.read(), outside, address=pair.web.host.ip4)                  # a handshake half way
        connect(8080, b"\x16\x03\x01", outside, address=pair.web.host.ip4)                  # half a client hello
        connect(ADMIN, b"GET /met", host=pair.web.host, address="127.0.0.1")


def start_busy_pair(pair, folder, **env):
    pair.service()
    pair.service(port=81, target=8081)
    pair.service(port=82, target=8082)
    pair.service(port=7000, target=7000, protocol="opaque", opaque=True)
    # Endpoints in the network's range that no host has: a connect waits for an answer.
    for port, protocol in ((90, "detect"), (91, "opaque")):
        path = pair.service(port=port, target=8080, protocol=protocol, meshed=False)
        pair.control.endpoints[path].latest[0].add.addrs[0].addr.ip.ipv4 = 0x0A4DC8C8
    slow_server(pair.web, 8080)
    conf = folder / "nginx"
    conf.mkdir()
    conf.chmod(0o777)
    nginx(pair.web, conf, 8081)
    echo_server(pair.web, 7000)
    pair.web.start_app([pair.web.binaries["http-echo"], "0.0.0.0:8082"], port=8082)
    pair.start(LINKERD2_PROXY_OUTBOUND_CONNECT_TIMEOUT="60s", LINKERD2_PROXY_INBOUND_CONNECT_TIMEOUT="60s", **env)


def tell(program, *numbers):
    for number in numbers:
        program.kill(number)


@pytest.mark.parametrize("control", ["up", "down"])
@pytest.mark.parametrize("cores", ["1", "2"])
@pytest.mark.parametrize("how", ["at once", "told again", "grace"])
def test_the_end_in_the_middle_of_everything(pair, network, folder, how, cores, control):
    """Whatever is under way, the process ends with 0 and has given everything back."""
    grace = "300ms" if how == "grace" else "60s"
    start_busy_pair(pair, folder, LINKERD2_PROXY_CORES=cores, LINKERD2_PROXY_CORES_MIN=cores,
                    LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD=grace)
    with contextlib.ExitStack() as stack:
        open_everything(pair, network, stack)
        if control == "down":
            pair.control.server.stop(0).wait()
        for pod in (pair.client, pair.web):
            tell(pod.proxy, signal.SIGTERM, *([signal.SIGINT] if how == "at once" else []))
            if how == "told again":
                pod.proxy.wait_line("draining")
                tell(pod.proxy, signal.SIGTERM)
            assert pod.proxy.process.wait(20) == 0, pod.proxy.output
            pod.proxy.wait_line({"grace": "the grace period is over"}.get(how, "told again: ending at once"))
    if control == "down":
        pair.control.server = None


def test_end_before_the_first_certificate(pair):
    import grpc
    pair.service()
    pair.control.refuse_identity = (grpc.StatusCode.UNAVAILABLE, "not yet")
    pair.control.start([pair.web.host])
    pair.web.redirect()
    pair.web.start_proxy(pair.control.env("web"), ready=False)
    assert get(pair.web.host, "127.0.0.1", ADMIN, "/connections").status == 200  # there are no workers to ask yet
    tell(pair.web.proxy, signal.SIGTERM)
    assert pair.web.proxy.process.wait(10) == 0


def ask(sock, path="/"):
    """One request over a connection that stays; (head, closed as the head says)."""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return read_until(sock, b"hello").decode()


def test_a_policy_service_beside_it_is_not_waited_for(pair):
    """The control plane's own pod: where its containers begin when the proxy is ready, nothing would ever begin (what is not so is
    test_ready_when_policies_are_known of test/mesh)."""
    pair.control.start([pair.web.host])
    env = pair.control.env("web", LINKERD2_PROXY_INBOUND_PORTS="8080", LINKERD2_PROXY_POLICY_SVC_ADDR="localhost.:8090")
    pair.web.start_proxy(env, ready=False)
    pair.web.wait_ready()


@pytest.mark.parametrize("by", ["signal", "admin"])
def test_serves_until_the_application_has_ended(pair, network, folder, by):
    pair.service()
    app = nginx(pair.web, folder)
    pair.start(LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED="true")
    outside, direct = network.host("outside"), (pair.web.host.ip4, 8080)
    with outside.connect(*direct) as kept, outside.connect(*direct) as idle:
        assert "onnection: close" not in ask(kept)
        assert "onnection: close" not in ask(idle)
        if by == "signal":
            tell(pair.web.proxy, signal.SIGTERM)
        else:
            assert get(pair.web.host, "127.0.0.1", ADMIN, "/shutdown", method="POST").status == 200
        pair.web.proxy.wait_line("draining")
        answer = get(pair.web.host, "127.0.0.1", ADMIN, "/ready")
        assert answer.status == 503 and answer.body.startswith(b"not ready: shutting down"), answer
        assert get(pair.web.host, "127.0.0.1", ADMIN, "/live").status == 200
        assert "onnection: close" in ask(kept)  # the next answer says so, and is the last
        assert kept.recv(1) == b""
        for _ in range(3):  # new connections are served, meshed and not
            assert "hello from nginx" in pair.curl().stdout
            with outside.connect(*direct) as fresh:
                assert "onnection: close" in ask(fresh)
        assert pair.web.proxy.running()
        app.stop()
        assert pair.web.proxy.process.wait(10) == 0, pair.web.proxy.output
        idle.settimeout(5)
        assert idle.recv(1) == b""  # closed in order
    pair.web.proxy.wait_line("drained")


def test_ends_at_once_where_there_is_nothing_to_wait_for(pair):
    """Never used and nothing listens on a port that is known."""
    pair.service()
    pair.start(LINKERD2_PROXY_INBOUND_PORTS="8080,4191")
    started = time.monotonic()
    tell(pair.web.proxy, signal.SIGTERM)
    assert pair.web.proxy.process.wait(10) == 0
    pair.web.proxy.wait_line("drained")
    assert time.monotonic() - started < 5


def test_a_named_port_that_is_listened_on_is_waited_for(pair, folder):
    """Nothing was forwarded yet, but the environment names the port."""
    pair.service()
    app = nginx(pair.web, folder)
    pair.start(LINKERD2_PROXY_INBOUND_PORTS="8080")
    tell(pair.web.proxy, signal.SIGTERM)
    pair.web.proxy.wait_line("draining")
    assert "hello from nginx" in pair.curl().stdout
    app.stop()
    assert pair.web.proxy.process.wait(10) == 0


def test_outbound_is_served_while_the_application_lives(pair, folder):
    pair.service()
    nginx(pair.web, folder)
    listener = pair.client.host.listen("0.0.0.0", 8080)
    pair.start(LINKERD2_PROXY_INBOUND_PORTS="8080")
    with pair.client.host.connect("10.99.0.1", 80) as kept:
        ask(kept)
        tell(pair.client.proxy, signal.SIGTERM)
        pair.client.proxy.wait_line("draining")
        assert "hello from nginx" in pair.curl().stdout
        listener.close()
        # It listens no more, and still finishes what it does: its own idle connection is its own to close.
        assert "onnection: close" in ask(kept)
    assert pair.client.proxy.process.wait(10) == 0


def test_open_bytes_are_waited_for(pair):
    pair.service(port=7000, target=7000, protocol="opaque", opaque=True)
    app = echo_server(pair.web, 7000)
    pair.start()
    with pair.client.host.connect("10.99.0.1", 7000) as sock:
        sock.sendall(b"one")
        read_until(sock, b"one")
        tell(pair.client.proxy, signal.SIGTERM)
        pair.client.proxy.wait_line("draining")
        sock.sendall(b"two")
        read_until(sock, b"two")
        assert pair.client.proxy.running()
    assert pair.client.proxy.process.wait(10) == 0
    app.stop()


class Frames:
    """What an HTTP/2 connection says, frame by frame."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""
        sock.settimeout(10)

    def next(self, wanted):
        """The payload of the next frame of this kind."""
        while True:
            while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
                more = self.sock.recv(65536)
                assert more, f"closed before a frame of kind {wanted}"
                self.buffer += more
            end = 9 + int.from_bytes(self.buffer[:3], "big")
            kind, payload, self.buffer = self.buffer[3], self.buffer[9:end], self.buffer[end:]
            if kind == wanted:
                return payload


def test_http2_is_told_in_two_steps(pair):
    """First that there will be an end, then which streams are answered: what is on its way between them is not lost."""
    pair.service(port=82, target=8082)
    pair.web.start_app([pair.web.binaries["http-echo"], "0.0.0.0:8082"], port=8082)
    pair.start()
    with pair.client.host.connect("10.99.0.1", 82) as sock:
        sock.sendall(PREFACE + http2_get("/bytes/9999999"))  # under way for as long as nobody opens the window
        frames = Frames(sock)
        frames.next(DATA)
        tell(pair.client.proxy, signal.SIGTERM)
        assert int.from_bytes(frames.next(GOAWAY)[:4], "big") == 2**31 - 1
        sock.sendall(frame(PING, ACK, 0, frames.next(PING)))  # all that was on its way has come when this does
        assert int.from_bytes(frames.next(GOAWAY)[:4], "big") == 1
