"""Clients that do not read, or hardly: what they are owed is held within bounds, and nobody else waits for them, neither at the same
proxy nor on the connection that two proxies share."""

import contextlib
import re
import socket
import struct
import sys

import pytest

from lib.h2_frames import WINDOW_UPDATE, RawH2, frame, narrow
from lib.http import get
from lib.mesh import ADMIN
from lib.netns import available
from lib.wait import until
from proxy.test_hostile import everything, resident, sanitized
from proxy.test_pair import folder  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not available(), reason="making network namespaces needs root")]

# HTTP/1 on 8080, HTTP/2 on 8081; /big is far more than every buffer on the way together.
NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir};
  scgi_temp_path {dir}; keepalive_requests 100000; http2_max_concurrent_streams 1000; send_timeout 600s;
  server {{ listen 8080 sndbuf=16k; listen 8081 http2; root {dir}/files; }}
}}
"""
BIG = 256 << 20
# Answers GET; of a POST it reads the head, and not a byte more.
DEAF = r"""
import socket, threading
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('0.0.0.0', 8082)); s.listen(256)
def go(c):
    while True:
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            head += c.recv(1)
        if head.startswith(b'POST'):
            forever.wait()
        c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\n')
forever = threading.Event()
while True:
    threading.Thread(target=go, args=(s.accept()[0],), daemon=True).start()
"""
WINDOW = 65535  # of a stream between the proxies: LIMIT_H2_STREAM_WINDOW
SLOW = 48       # three times as many as fill a connection window of 1 MiB
CROWD = 1200    # twice as many as a worker keeps a window for (LIMIT_H2_KEPT), and more than fill its pages
INITIAL_WINDOW = 4


def window(size):
    return struct.pack(">HI", INITIAL_WINDOW, size)


@pytest.fixture
def shared(pair, folder):  # noqa: F811
    """A pair of proxies before an application with a big file; connect() is to the service, as the client's application does."""
    files = folder / "files"
    files.mkdir()
    (files / "fine").write_text("fine\n")
    with open(files / "big", "wb") as file:
        file.truncate(BIG)
    for path in (files, files / "fine", files / "big"):
        path.chmod(0o755)
    (folder / "nginx.conf").write_text(NGINX.format(dir=folder))
    pair.web.start_app(["nginx", "-c", folder / "nginx.conf"], port=8080, uid=1000, name="nginx")
    pair.service()
    pair.service(port=81, target=8081)
    pair.start()
    pair.connect = lambda port: pair.client.host.connect("10.99.0.1", port, 20)
    fine(pair)
    return pair


def fine(pair):
    """Others are served, over either protocol."""
    with pair.connect(80) as sock:
        sock.sendall(b"GET /fine HTTP/1.1\r\nHost: web\r\n\r\n")
        assert everything(sock).endswith(b"fine\n")
    with pair.connect(81) as sock:
        h2 = RawH2(sock)
        h2.request(1, *GET_FINE)
        assert h2.answer(1).body == b"fine\n", h2.answer(1)


def get_of(path):
    return ((":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "web"))


GET_FINE = get_of("/fine")


def read_from_the_peer(pair):
    """Bytes that the client's proxy has read from the server's."""
    found = re.findall(r'^tcp_read_bytes_total\{direction="outbound",peer="dst".* (\d+)$', pair.client.metrics(), re.M)
    return sum(int(number) for number in found)


def http1_that_stop(pair, stack):
    for _ in range(SLOW):
        sock = narrow(stack.enter_context(pair.connect(80)))
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: web\r\n\r\n")


def http2_without_a_window(pair, stack):
    """One connection, all of its streams."""
    h2 = RawH2(stack.enter_context(pair.connect(81)), window(0))
    for i in range(SLOW):
        h2.request(2 * i + 1, *get_of("/big"))


def http2_that_stop(pair, stack):
    """A connection each, of which none is read; the windows say that much would be."""
    for _ in range(SLOW):
        h2 = RawH2(narrow(stack.enter_context(pair.connect(81))), window((1 << 31) - 1))
        h2.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30)))
        h2.request(1, *get_of("/big"))


def http2_by_the_byte(pair, stack):
    """The window opens by one byte for each that came."""
    h2 = RawH2(stack.enter_context(pair.connect(81)), window(1))
    for i in range(SLOW):
        h2.request(2 * i + 1, *get_of("/big"))
    for _ in range(5):
        for i in range(SLOW):
            until(lambda i=i: h2.answers.get(2 * i + 1) and h2.answers[2 * i + 1].body or h2.read())
            h2.answers[2 * i + 1].body = b""
            h2.send(frame(WINDOW_UPDATE, 0, 2 * i + 1, struct.pack(">I", 1)))


def memory(pair):
    return [resident(pod.proxy.pid) for pod in (pair.client, pair.web)]


# For each of the slow: what its connection may have queued (LIMIT_CONN_OUT), and twice a stream's window, in either proxy.
MOST = SLOW * ((256 << 10) + 2 * WINDOW) + (8 << 20)


@pytest.mark.parametrize("slow", [http1_that_stop, http2_without_a_window, http2_that_stop, http2_by_the_byte],
                         ids=lambda slow: slow.__name__)
def test_answers_that_nobody_reads(shared, slow):
    before, read = memory(shared), read_from_the_peer(shared)
    with contextlib.ExitStack() as stack:
        slow(shared, stack)
        # All of them have been given as much as there is room for.
        until(lambda: read_from_the_peer(shared) - read >= SLOW * WINDOW, lambda: f"{read_from_the_peer(shared) - read} bytes came")
        for _ in range(3):
            fine(shared)
        grown = [now - then for now, then in zip(memory(shared), before)]
    assert max(grown) < MOST or sanitized(shared.client.proxy.pid), grown
    gone(shared)


def test_a_crowd_that_stops(shared):
    """More than there are buffers for: each gets less, the slowest are given up, others are served."""
    before = memory(shared)
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            sock = narrow(stack.enter_context(shared.connect(80)))
            sock.sendall(b"GET /big HTTP/1.1\r\nHost: web\r\n\r\n")
        until(lambda: in_flight(shared.client) < CROWD - 100, lambda: connections(shared.client)[-1000:], 60)
        for _ in range(3):
            fine(shared)
        grown = [now - then for now, then in zip(memory(shared), before)]
    assert max(grown) < 256 << 20 or sanitized(shared.client.proxy.pid), grown
    gone(shared)


def gone(pair):
    """Nothing is left of the clients that went away."""
    for pod in (pair.client, pair.web):
        until(lambda pod=pod: in_flight(pod) == 0, lambda pod=pod: connections(pod))


def connections(pod):
    return get(pod.host, "127.0.0.1", ADMIN, "/connections").body.decode()


def in_flight(pod):
    """Requests on all connections, as /connections says."""
    return sum(int(line.split()[6]) for line in connections(pod).splitlines() if line.startswith(("inbound ", "outbound ")))


def pump(sock):
    """As much as goes now."""
    with contextlib.suppress(BlockingIOError):
        while sock.send(b"x" * 65536):
            pass


def test_bodies_that_the_application_does_not_read(pair):
    """Uploads that stand still do not hold up those on the same connection between the proxies."""
    pair.service(target=8082)
    pair.web.start_app([sys.executable, "-c", DEAF], port=8082, name="deaf")
    pair.start()

    def others():
        with pair.client.host.connect("10.99.0.1", 80, 20) as sock:
            sock.sendall(b"GET /fine HTTP/1.1\r\nHost: web\r\n\r\n")
            assert everything(sock).endswith(b"fine\n")

    others()
    before, socks = memory(pair), []
    with contextlib.ExitStack() as stack:
        for _ in range(SLOW):
            sock = stack.enter_context(pair.client.host.connect("10.99.0.1", 80, 20))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            # Its end is a reset: a FIN would wait behind what nobody reads, so that no proxy could know.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(b"POST /deaf HTTP/1.1\r\nHost: web\r\nContent-Length: 99999999999\r\n\r\n")
            sock.setblocking(False)
            socks.append(sock)

        written = []  # at each look; how much goes is the kernel's business as well

        def all_full():
            for sock in socks:
                pump(sock)
            written.append(written_to_the_peer(pair))
            return len(written) > 20 and written[-20] == written[-1] >= SLOW * WINDOW

        until(all_full, lambda: f"{written} bytes went")
        for _ in range(3):
            others()
        grown = [now - then for now, then in zip(memory(pair), before)]
    assert max(grown) < 2 * MOST or sanitized(pair.client.proxy.pid), grown
    gone(pair)


def written_to_the_peer(pair):
    found = re.findall(r'^tcp_write_bytes_total\{direction="outbound",peer="dst".* (\d+)$', pair.client.metrics(), re.M)
    return sum(int(number) for number in found)
