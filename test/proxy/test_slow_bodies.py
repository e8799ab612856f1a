"""Bodies that come a byte at a time, or never end, and clients that vanish in the middle: others are served, and nothing is left."""

import contextlib
import pathlib
import re
import socket
import struct
import sys

import pytest

import lib.stall
from lib.h2_frames import DATA, END_STREAM, RawH2, frame
from lib.netns import available
from lib.wait import until
from proxy.test_hostile import everything
from proxy.test_slow_readers import gone, in_flight

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not available(), reason="making network namespaces needs root")]

POST = ((":method", "POST"), (":scheme", "http"), (":authority", "web"))
CHUNKED = b"Host: web\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def slow(pair):
    """A pair before the application that takes its time (lib/stall.py)."""
    pair.service()
    pair.web.start_app([sys.executable, pathlib.Path(lib.stall.__file__), "8080"], port=8080, uid=0, name="stall")
    pair.start()
    pair.connect = lambda: pair.client.host.connect("10.99.0.1", 80, 20)
    return pair


def others(pair):
    with pair.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        assert everything(sock).endswith(b"ok\n")


def read_until(sock, end):
    seen = b""
    while not seen.endswith(end):
        more = sock.recv(1)
        assert more, seen
        seen += more
    return seen


def test_a_byte_at_a_time(slow):
    """Each way, one byte answered by one, while others come and go."""
    with slow.connect() as sock:
        sock.sendall(b"POST /drip HTTP/1.1\r\n" + CHUNKED)
        read_until(sock, b"\r\n\r\n")
        for i in range(40):
            for byte in b"1\r\nx\r\n":
                sock.sendall(bytes([byte]))
            read_until(sock, b"1\r\n.\r\n")
            if i % 10 == 0:
                others(slow)
        sock.sendall(b"0\r\n\r\n")
        read_until(sock, b"0\r\n\r\n")
    gone(slow)


def http1(pair, stack, path):
    sock = stack.enter_context(pair.connect())
    sock.sendall(b"POST /" + path.encode() + b" HTTP/1.1\r\n" + CHUNKED + b"1\r\nx\r\n")
    return sock


def http2(pair, stack, path):
    sock = stack.enter_context(pair.connect())
    h2 = RawH2(sock)
    h2.request(1, *POST, (":path", "/" + path), end=False)
    h2.send(frame(DATA, 0, 1, b"x"))
    return sock


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


VANISH = {"FIN": lambda sock: sock.close(), "RST": reset}


@pytest.mark.parametrize("how", VANISH)
@pytest.mark.parametrize("path", ["never", "half"])  # before the answer, within it
@pytest.mark.parametrize("begin", [http1, http2], ids=lambda begin: begin.__name__)
def test_vanish_within_bodies(slow, begin, path, how):
    with contextlib.ExitStack() as stack:
        socks = [begin(slow, stack, path) for _ in range(20)]
        until(lambda: in_flight(slow.web) >= 20)
        if path == "half":
            for sock in socks:
                assert sock.recv(1)
        for sock in socks:
            VANISH[how](sock)
        gone(slow)
        until(lambda: open_connections(slow.client) == 0, slow.client.metrics)
        others(slow)


def test_cancels_do_not_end_what_others_share(slow):
    """Calls that clients give up before an answer, more than twice what a peer takes from one connection (LIMIT_H2_RESETS in 30 s):
    an exchange that began before on that connection goes on."""
    with slow.connect() as sock:
        sock.sendall(b"POST /drip HTTP/1.1\r\n" + CHUNKED + b"1\r\nx\r\n")
        read_until(sock, b"1\r\n.\r\n")
        for _ in range(15):
            with contextlib.ExitStack() as stack:
                for _ in range(30):
                    http1(slow, stack, "never")
                until(lambda: in_flight(slow.client) == 31)
            until(lambda: in_flight(slow.client) == 1)
            others(slow)
        sock.sendall(b"1\r\nx\r\n0\r\n\r\n")
        read_until(sock, b"0\r\n\r\n")
    gone(slow)


def open_connections(pod):
    """Of applications, as the metrics say."""
    found = re.findall(r'^tcp_open_connections\{direction="outbound",peer="src".* (\d+)$', pod.metrics(), re.M)
    assert found, "no such series"
    return sum(int(number) for number in found)


@pytest.mark.slow
def test_a_body_that_never_ends_after_its_answer(slow):
    """The client has its answer; what it still says is read away for a while, and then it is let go."""
    with slow.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\n" + CHUNKED + b"1\r\nx\r\n")
        assert everything(sock).endswith(b"ok\n")
        gone(slow)
        sock.settimeout(1)
        with contextlib.suppress(ConnectionError):
            until(lambda: send_or_end(sock), "the connection is kept for a body that does not end", 30)
    with slow.connect() as sock:
        h2 = RawH2(sock)
        h2.request(1, *POST, (":path", "/"), end=False)
        answer = h2.answer(1)
        assert answer.status == "200", answer
        gone(slow)
        h2.send(frame(DATA, 0, 1, b"late"))
        h2.request(3, *POST, (":path", "/"))
        assert h2.answer(3).status == "200", h2.answer(3)
    others(slow)


def send_or_end(sock):
    """True once the proxy has ended the connection."""
    sock.sendall(b"1\r\nx\r\n")
    try:
        return not sock.recv(100)
    except TimeoutError:
        return False
