"""Peers that mean harm, or are broken: refused with the right answer, nothing of theirs reaches the application, and
others are served on."""

import contextlib
import re
import select
import socket
import struct
import subprocess
import time

import pytest

from lib.h2_frames import (ACK, CONTINUATION, DATA, END, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY,
                           RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, narrow)
from lib.http import get
from lib.mesh import ADMIN, INBOUND, OUTBOUND
from lib.netns import available
from lib.scripted import Feed, server
from proxy.test_environment import value
from proxy.test_pair import folder  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")

# An application that prints what it gets, one line for each read, and answers each head with 200.
RECORDER = r"""
import socket, sys, threading
s = socket.create_server(('0.0.0.0', int(sys.argv[1])), backlog=256)
ANSWER = (b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nl5d-proxy-error: forged\r\nl5d-reason: forged\r\n'
          b'l5d-client-id: forged\r\nl5d-server-id: forged\r\nl5d-remote-ip: 6.6.6.6\r\n'
          b'l5d-proxy-connection: close\r\nx-app: yes\r\n\r\nok\n')
def go(c):
    seen = b''
    try:
        while (b := c.recv(65536)):
            print('GOT', repr(b), flush=True)
            seen += b
            while b'\r\n\r\n' in seen:
                seen = seen.partition(b'\r\n\r\n')[2]
                c.sendall(ANSWER)
    except OSError:
        pass
    c.close()
print('listening', flush=True)
while True:
    threading.Thread(target=go, args=(s.accept()[0],), daemon=True).start()
"""


def recorder(pod, port=8080):
    app = pod.start_app(["/usr/bin/python3", "-c", RECORDER, port], name="recorder")
    app.wait_line("listening")
    return app


def got(app):
    return [line for line in app.lines if line.startswith("GOT")]


def exchange(host, address, port, request, timeout=10, end=False):
    """What is answered until the peer ends the connection, or a whole answer without body came."""
    try:
        sock = host.connect(address, port, timeout)
    except ConnectionResetError:  # accepted and ended, before the caller knew that it was connected
        return b""
    with sock:
        with contextlib.suppress(OSError):  # reset, or not connected any more: the peer was quicker
            sock.sendall(request)
            if end:
                sock.shutdown(socket.SHUT_WR)
        return everything(sock)


def everything(sock):
    answer = b""
    try:
        while chunk := sock.recv(65536):
            answer += chunk
            if head := re.match(rb"HTTP/1\.1 (?!1)\d+ .*?\r\n\r\n", answer, re.S):
                length = re.search(rb"(?i)content-length: (\d+)", head[0])
                if length and len(answer) >= head.end() + int(length[1]):
                    break
    except ConnectionError:
        pass
    return answer


@pytest.fixture(params=["inbound", "outbound"])
def road(request, pair, network):
    """send(bytes) through the inbound proxy from an unmeshed host, or through the client's outbound proxy alone."""
    pair.service(meshed=False)
    pair.service(port=81, target=8081, meshed=False)
    inbound = request.param == "inbound"
    pair.app = recorder(pair.web)
    pair.control.start([pair.web.host if inbound else pair.client.host])
    pair.proxied = pair.web if inbound else pair.client
    pair.sender = network.host("stranger") if inbound else pair.client.host
    pair.address, pair.port = (pair.web.host.ip4, 8080) if inbound else ("10.99.0.1", 80)
    pair.port2 = 8081 if inbound else 81
    pair.direction = request.param

    def start(**env):
        pair.proxied.redirect()
        pair.proxied.start_proxy(pair.control.env("web" if inbound else "client", **env))
        return pair

    pair.go = start
    pair.send = lambda request, **more: exchange(pair.sender, pair.address, pair.port, request, **more)
    return pair


def served(road):
    assert road.send(b"GET /fine HTTP/1.1\r\nHost: web\r\n\r\n").startswith(b"HTTP/1.1 200")


POST = b"POST /refused HTTP/1.1\r\nHost: web\r\n"
SMUGGLED = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n"
REFUSED = {
    "both framings": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    "both, reversed": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + SMUGGLED,
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": POST + b"Content-Length: 4, 5\r\n\r\nabcde",
    "length +": POST + b"Content-Length: +4\r\n\r\nabcd",
    "length -": POST + b"Content-Length: -4\r\n\r\nabcd",
    "length hex": POST + b"Content-Length: 0x4\r\n\r\nabcd",
    "length empty": POST + b"Content-Length: \r\n\r\nabcd",
    "length huge": POST + b"Content-Length: 18446744073709551617\r\n\r\nabcd",
    "length in two words": POST + b"Content-Length: 4 4\r\n\r\nabcd",
    "coding unknown": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED,
    "coding identity last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + SMUGGLED,
    "coding twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + SMUGGLED,
    "coding in two fields": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + SMUGGLED,
    "coding with a control byte": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + SMUGGLED,
    "coding empty": POST + b"Transfer-Encoding:\r\n\r\n" + SMUGGLED,
    "coding in HTTP/1.0": b"POST /refused HTTP/1.0\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + SMUGGLED,
    "folded": POST + b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    "folded first": b"POST /refused HTTP/1.1\r\n Host: web\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"GET /refused HTTP/1.1\nHost: web\n\n",
    "bare carriage return": b"GET /refused HTTP/1.1\r\nHost: web\r\nX: a\rContent-Length: 9\r\n\r\n",
    "nul": b"GET /refused HTTP/1.1\r\nHost: web\r\nX: a\0b\r\n\r\n",
    "name with a space": b"GET /refused HTTP/1.1\r\nHost: web\r\nX Y: a\r\n\r\n",
    "name empty": b"GET /refused HTTP/1.1\r\nHost: web\r\n: a\r\n\r\n",
    "line without colon": b"GET /refused HTTP/1.1\r\nHost: web\r\nnothing\r\n\r\n",
    "no host": b"GET /refused HTTP/1.1\r\nX: a\r\n\r\n",
    "two hosts": b"GET /refused HTTP/1.1\r\nHost: web\r\nHost: other\r\n\r\n",
    "host with user": b"GET /refused HTTP/1.1\r\nHost: a@web\r\n\r\n",
    "two spaces": b"GET  /refused HTTP/1.1\r\nHost: web\r\n\r\n",
    "space in the target": b"GET /refu sed HTTP/1.1\r\nHost: web\r\n\r\n",
    "version 2": b"GET /refused HTTP/2.0\r\nHost: web\r\n\r\n",
    "version without dot": b"GET /refused HTTP/1\r\nHost: web\r\n\r\n",
}


def test_refused_heads(road):
    """400 (501 and 505 where RFC 9112 asks for them), the connection ends, and nothing reached the application."""
    road.go()
    wrong = []
    for name, request in REFUSED.items():
        answer = road.send(request)
        if not re.match(rb"HTTP/1\.1 (400|501|505) ", answer):
            wrong.append(f"{name}: {answer[:60]!r}")
    passed_on = [line for line in got(road.app) if "refused" in line or "smuggled" in line]
    assert not wrong and not passed_on, "\n".join(wrong + passed_on)
    served(road)


CHUNKS = {
    "size is no number": b"zz\r\nhello\r\n",
    "size with 0x": b"0x5\r\nhello\r\n",
    "size too big": b"fffffffffffffffff\r\nhello\r\n",
    "size negative": b"-5\r\nhello\r\n",
    "bare line feed": b"5\nhello\r\n",
    "data longer than said": b"5\r\nhelloX\r\n",
    "extension with a line feed": b"5;a\nb\r\nhello\r\n",
    "bad trailer": b"0\r\nbad trailer\r\n\r\n",
    "framing in the trailer": b"0\r\n Content-Length: 5\r\n\r\n",
}


def test_refused_chunks(road):
    """The head may have been passed on already; what follows never is."""
    road.go()
    wrong = []
    for name, chunk in CHUNKS.items():
        answer = road.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + SMUGGLED)
        if b"HTTP/1.1 200" in answer.partition(b"\r\n\r\n")[2]:
            wrong.append(f"{name}: {answer!r}")
    passed_on = [line for line in got(road.app) if "smuggled" in line]
    assert not wrong and not passed_on, "\n".join(wrong + passed_on)
    served(road)


def test_too_long(road):
    """414 for the request line, 431 for the fields."""
    road.go()
    line = b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: web\r\n\r\n"
    assert road.send(line).startswith(b"HTTP/1.1 414 ")
    fields = b"GET /refused HTTP/1.1\r\nHost: web\r\n" + b"".join(
        b"x-%d: %s\r\n" % (i, b"v" * 1000) for i in range(300)) + b"\r\n"
    assert road.send(fields).startswith(b"HTTP/1.1 431 ")
    many = b"GET /refused HTTP/1.1\r\nHost: web\r\n" + b"a: b\r\n" * 20_000 + b"\r\n"
    assert road.send(many).startswith(b"HTTP/1.1 431 ")
    assert not got(road.app)
    served(road)


def test_spoofed_fields(road):
    """What only proxies may say is removed from an application's, or an unmeshed client's, requests and from answers."""
    road.go()
    names = ["l5d-client-id", "L5D-Client-ID", "l5d-remote-ip", "l5d-server-id", "l5d-reason", "l5d-proxy-error",
             "l5d-proxy-connection", "l5d-orig-proto"]
    fields = "".join(f"{name}: forged\r\n" for name in names).encode()
    answer = road.send(b"GET /spoof HTTP/1.1\r\nHost: web\r\n" + fields + b"x-kept: yes\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200") and b"x-app: yes" in answer
    text = "".join(got(road.app)).lower()
    assert "x-kept: yes" in text
    assert "forged" not in text, text
    assert b"forged" not in answer.lower() and b"6.6.6.6" not in answer, answer


def test_orig_proto_of_a_stranger(road, network):
    """HTTP/2 from nobody of the mesh stays HTTP/2, whatever it says that it was: no way to HTTP/1 around the checks for it."""
    if road.direction != "inbound":
        pytest.skip("an application's own proxy takes the field out, as test_spoofed_fields shows")
    road.go()
    done = road.sender.run(["curl", "-sS", "--max-time", "10", "--http2-prior-knowledge", "-H", "l5d-orig-proto: HTTP/1.1", "-o",
                            "/dev/null", "-w", "%{http_code}", f"http://{road.address}:{road.port}/h2"])
    assert done.stdout == "502"  # the recorder speaks no HTTP/2
    heard = "".join(got(road.app))
    assert "PRI * HTTP/2.0" in heard and "HTTP/1.1" not in heard and "orig-proto" not in heard, heard


def test_garbage(road):
    """Bytes that are no HTTP, on the proxy's own ports and on the application's, while others are served."""
    road.go()
    garbage = [b"\0" * 4096, b"\x16\x03\x01\xff\xff" + b"\xff" * 3000, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\r\n" * 5000,
               b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
               bytes(range(256)) * 64, b"proxy.l5d.io/connect\r\n\r\n\xff\xff\xff\xff" + b"x" * 100, b"G", b""]
    own = [(road.proxied.host, "127.0.0.1", port) for port in (INBOUND, OUTBOUND, ADMIN)]
    for host, address, port in [*own, (road.sender, road.address, road.port)]:
        for data in garbage:
            exchange(host, address, port, data, end=True)
    assert road.proxied.proxy.running()
    served(road)
    assert get(road.proxied.host, "127.0.0.1", ADMIN, "/ready").status == 200


def test_slow_head(road):
    """A head that does not come is answered 408 after the detection timeout; it never holds others up."""
    road.go(**{f"LINKERD2_PROXY_{road.direction.upper()}_DETECT_TIMEOUT": "300ms"})
    begin = time.monotonic()
    with road.sender.connect(road.address, road.port, 60) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHo")
        served(road)
        answer = everything(slow)
        assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert time.monotonic() - begin < 10  # that of a whole request is longer
    assert not any("Ho'" in line for line in got(road.app))


def test_half_open(road):
    """An end after the whole request is no reason not to answer; an end within is not waited on."""
    road.go()
    assert road.send(b"GET /half HTTP/1.1\r\nHost: web\r\n\r\n", end=True).startswith(b"HTTP/1.1 200")
    cut = road.send(b"GET /refused HTTP/1.1\r\nHost: w", end=True)
    assert cut == b"" or cut.startswith(b"HTTP/1.1 4"), cut
    for _ in range(50):  # vanish with a reset, at several places
        for data in (b"GET / HT", b"GET /gone HTTP/1.1\r\nHost: web\r\n\r\n", b"POST /gone HTTP/1.1\r\nHost: web\r\nContent-Length: 9\r\n\r\n1"):
            sock = road.sender.connect(road.address, road.port)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(data)
            sock.close()
    assert not any("/refused" in line for line in got(road.app))
    served(road)


# --- HTTP/2, frame by frame ---

GET = b"\x82\x86\x84\x41\x03web"  # HPACK: GET, http, /, authority "web"


def rapid_reset(i):
    return frame(HEADERS, 5, 2 * i + 1, GET) + frame(RST_STREAM, 0, 2 * i + 1, struct.pack(">I", 8))


def continuation(i):
    return frame(HEADERS, 1, 1, GET) if i == 0 else frame(CONTINUATION, 0, 1)


def big_list(i):
    """One field of 8 KiB a frame: a literal without indexing, name "a", length 8192 as HPACK says it."""
    field = b"\x00\x01a\x7f\x81\x3f" + b"v" * 8192
    return frame(HEADERS, 1, 1, GET + field) if i == 0 else frame(CONTINUATION, 0, 1, field)


UPLOAD = GET.replace(b"\x82", b"\x83")  # POST
UNKNOWN = 0xfa
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 1, 4


def made_to_reset(*what):
    """On a new stream each: a request whose body is under way, and what makes the proxy reset it."""
    return lambda i: frame(HEADERS, END_HEADERS, 2 * i + 1, UPLOAD) + b"".join(
        frame(kind, flags, 2 * i + 1, payload(2 * i + 1) if callable(payload) else payload) for kind, flags, payload in what)


def setting(number, values):
    return lambda i: frame(SETTINGS, 0, 0, struct.pack(">HI", number, values[i % len(values)]))


def on_open(make):
    """After ten requests that stay open."""
    return lambda i: b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, UPLOAD) for n in range(10)) if i == 0 else make(i)


FLOODS = {
    "priorities": lambda i: frame(PRIORITY, 0, 2 * i + 1, b"\0\0\0\0\x10"),
    "window updates": lambda i: frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
    "window updates of a stream": on_open(lambda i: frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1")),
    "unknown frames": lambda i: frame(UNKNOWN, 0, i % 7, b"what is this"),
    "trailers without an end": made_to_reset((HEADERS, END_HEADERS, b"")),
    "data after the end": made_to_reset((DATA, END_STREAM, b"x"), (DATA, 0, b"x")),
    "short window update": made_to_reset((WINDOW_UPDATE, 0, b"\0\0\1")),
    "window update beyond the most": made_to_reset((WINDOW_UPDATE, 0, b"\x7f\xff\xff\xff")),
    "depends on itself": made_to_reset((PRIORITY, 0, lambda stream: struct.pack(">IB", stream, 0))),
    "data beyond content-length": lambda i: frame(HEADERS, END_HEADERS, 2 * i + 1, UPLOAD + b"\x0f\x0d\x011") + frame(
        DATA, 0, 2 * i + 1, b"22"),
    "resets of what is closed": lambda i: frame(HEADERS, END, 1, GET) if i == 0 else frame(RST_STREAM, 0, 1, b"\0\0\0\x08"),
    "requests beyond the most": made_to_reset(),
    "header table sizes": setting(HEADER_TABLE_SIZE, (0, 4096, 0xffffffff)),
    "initial windows": on_open(setting(INITIAL_WINDOW_SIZE, (0, 65535, 0x7fffffff))),
    "acknowledgements": lambda i: frame(SETTINGS, ACK) + frame(PING, ACK, 0, b"12345678"),
    "goodbyes": lambda i: frame(GOAWAY, 0, 0, b"\0" * 8),
    "continuations with a little": lambda i: frame(HEADERS, END_STREAM, 1, GET) if i == 0 else frame(
        CONTINUATION, 0, 1, b"\x00\x01a\x01b"),
    "rapid reset": rapid_reset,
    "pings": lambda i: frame(PING, 0, 0, b"12345678"),
    "settings": lambda i: frame(SETTINGS),
    "empty continuations": continuation,
    "empty data": lambda i: frame(HEADERS, 4, 1, GET.replace(b"\x82", b"\x83")) if i == 0 else frame(DATA, 0, 1),
    "resets by error": lambda i: frame(HEADERS, 5, 2 * i + 1, GET) + frame(WINDOW_UPDATE, 0, 2 * i + 1, b"\0\0\0\0"),
    "big header list": big_list,
}


def flood(sock, make, limit=400_000, seconds=20, reads=True):
    """True when the peer ended the connection, within `limit` frames and that many seconds."""
    sock.setblocking(False)
    waiting, at, deadline = PREFACE + frame(SETTINGS), 0, time.monotonic() + seconds
    try:
        while at < limit and time.monotonic() < deadline:
            readable, writable, _ = select.select([sock] if reads else [], [sock], [], 1)
            if readable and not sock.recv(1 << 16):
                return True
            if writable:
                if not waiting:
                    waiting, at = b"".join(make(i) for i in range(at, at + 100)), at + 100
                waiting = waiting[sock.send(waiting):]
        sock.settimeout(10)
        while sock.recv(1 << 16):  # what was sent may still be on its way
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"^Rss:\s+(\d+)", file.read(), re.M)[1]) * 1024


def sanitized(pid):
    with open(f"/proc/{pid}/maps") as file:
        return "asan" in file.read()


@pytest.mark.parametrize("reads", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["read", "unread"])
def test_http2_floods(road, folder, reads):  # noqa: F811
    """Each ends its own connection, whether what it is answered is read or not; memory stays bounded."""
    (folder / "index.html").write_text("fine\n")
    road.control.ports[8081] = Feed(server(protocol="http2"))
    road.web.start_app(["nghttpd", "--no-tls", "-d", str(folder), "8081"], port=8081, name="nghttpd")
    road.go()
    url = f"http://{road.address}:{road.port2}/index.html"
    fine = ["curl", "-sS", "--max-time", "20", "--http2-prior-knowledge", url]
    assert road.sender.run(fine, uid=1000).stdout == "fine\n"
    before, survived = resident(road.proxied.proxy.pid), []
    for name, make in FLOODS.items():
        with road.sender.connect(road.address, road.port2) as sock:
            if not flood(sock if reads else narrow(sock), make, reads=reads):
                survived.append(name)
            assert road.sender.run(fine, uid=1000).stdout == "fine\n", name
    assert not survived
    assert value(road.proxied, "proxy_errors_total", 'reason="flood"') > 0
    grown = resident(road.proxied.proxy.pid) - before
    assert grown < 32 << 20 or sanitized(road.proxied.proxy.pid), grown


def test_memory_in_a_crowd(road):
    """Connections that begin something big and stop cost what the limits say."""
    road.go()
    pid = road.proxied.proxy.pid
    served(road)
    before = resident(pid)
    with contextlib.ExitStack() as stack:
        for i in range(300):
            sock = stack.enter_context(road.sender.connect(road.address, road.port))
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                sock.send(b"POST /big HTTP/1.1\r\nHost: web\r\nx: " + b"v" * 20_000)
        served(road)
        grown = resident(pid) - before
    assert grown < 64 << 20 or sanitized(pid), grown


@pytest.fixture
def bare(binaries, tmp_path):
    """bare(env) -> the ended run of a proxy with nothing else in its environment."""
    return lambda env: subprocess.run([binaries["linkerd-proxy"]], env=env, capture_output=True, text=True, timeout=30)


BAD_ENVIRONMENT = {
    "LINKERD2_PROXY_LOG_FORMAT": "xml", "LINKERD2_PROXY_ACCESS_LOG": "nginx", "LINKERD2_PROXY_INBOUND_LISTEN_ADDR": "4143",
    "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR": "localhost", "LINKERD2_PROXY_ADMIN_LISTEN_ADDR": "0.0.0.0:99999",
    "LINKERD2_PROXY_CONTROL_LISTEN_ADDR": ":", "LINKERD2_PROXY_INBOUND_DETECT_TIMEOUT": "10", "LINKERD2_PROXY_OUTBOUND_CONNECT_TIMEOUT": "soon",
    "LINKERD2_PROXY_INBOUND_HTTP_QUEUE_CAPACITY": "-1", "LINKERD2_PROXY_INBOUND_PORTS": "80,http",
    "LINKERD2_PROXY_INBOUND_DEFAULT_POLICY": "allow", "LINKERD2_PROXY_POLICY_CLUSTER_NETWORKS": "10.0.0.0/33",
    "LINKERD2_PROXY_DESTINATION_SVC_ADDR": "nowhere", "LINKERD2_PROXY_CORES_MAX_RATIO": "2",
    "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED": "maybe", "LINKERD2_PROXY_INBOUND_SERVER_HTTP2_MAX_FRAME_SIZE": "1",
}
MISSING = ["LINKERD2_PROXY_IDENTITY_SVC_ADDR", "LINKERD2_PROXY_IDENTITY_LOCAL_NAME", "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS",
           "LINKERD2_PROXY_IDENTITY_TOKEN_FILE", "LINKERD2_PROXY_IDENTITY_DIR"]


def test_invalid_environment(bare):
    done = bare(BAD_ENVIRONMENT)
    assert done.returncode == 64, done.stderr
    unnamed = [name for name in [*BAD_ENVIRONMENT, *MISSING] if not re.search(rf"^{name}\b", done.stderr, re.M)]
    assert not unnamed, done.stderr


def test_invalid_log_filter(bare, pair):
    env = pair.control.env("client", LINKERD2_PROXY_LOG="loud,=,x=y")
    done = bare(env)
    assert done.returncode == 64 and "LINKERD2_PROXY_LOG" in done.stderr, done.stderr
