"""What a peer of the mesh says to the proxy's own port: the header that names the true port, right, wrong, and never whole."""

import struct

import pytest

from lib.mesh import INBOUND
from lib.netns import available
from lib.wait import until
from proxy.test_environment import value
from proxy.test_hostile import got, recorder

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")

ALPN = "transport.l5d.io/v1"
PREFACE = b"transport.l5d.io/v1\r\n\r\n"
REQUEST = b"GET /direct HTTP/1.1\r\nHost: web\r\n\r\n"


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def header(port, more=b""):
    message = b"\x08" + varint(port) + more
    return PREFACE + struct.pack(">I", len(message)) + message


def ended(sock):
    """What came until the proxy closed the connection."""
    answer = b""
    try:
        while more := sock.recv(65536):
            answer += more
    except OSError:
        pass
    return answer


def refused(peer, reason):
    return value(peer.web, "proxy_errors_total", f'reason="{reason}"')


def test_named_port(meshed_peer):
    """In one piece, and byte by byte; an unknown field is passed over."""
    app = recorder(meshed_peer.web)
    for data, step in ((header(8080), 1000), (header(8080), 1), (header(8080, b"\x7a\x03abc"), 1000)):
        sock = meshed_peer.tls(INBOUND, ALPN)
        assert sock.selected_alpn_protocol() == ALPN
        for at in range(0, len(data), step):
            sock.sendall(data[at:at + step])
        sock.sendall(REQUEST)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
    assert len(got(app)) == 3


def test_loop(meshed_peer):
    """The proxy's own port is nobody's application."""
    sock = meshed_peer.tls(INBOUND, ALPN)
    sock.sendall(header(INBOUND) + REQUEST)
    assert ended(sock) == b""
    until(lambda: refused(meshed_peer, "loop") == 1)


WRONG = {
    "another preface": b"transport.l5d.io/v2\r\n\r\n" + struct.pack(">I", 3) + b"\x08\x90\x3f",
    "HTTP": REQUEST,
    "garbage": b"\xff" * 200,
    "length beyond the limit": PREFACE + struct.pack(">I", 0x7fffffff) + b"\x08\x90\x3f",
    "port 0": header(0),
    "port too high": header(65536),
    "port of many bytes": PREFACE + struct.pack(">I", 11) + b"\x08" + b"\xff" * 9 + b"\x01",
    "no port": PREFACE + struct.pack(">I", 0),
    "no protobuf": PREFACE + struct.pack(">I", 4) + b"\xff\xff\xff\xff",
    "field longer than the message": header(8080, b"\x12\x7fab"),
}


def test_wrong(meshed_peer):
    """Closed without a byte; nothing reaches the application, and the right ones are served."""
    app, wrong = recorder(meshed_peer.web), []
    for name, data in WRONG.items():
        sock = meshed_peer.tls(INBOUND, ALPN)
        sock.sendall(data + REQUEST)
        if answer := ended(sock):
            wrong.append(f"{name}: {answer[:100]!r}")
    assert not wrong and not got(app), "\n".join(wrong + got(app))
    until(lambda: refused(meshed_peer, "transport-header-invalid") == len(WRONG))
    sock = meshed_peer.tls(INBOUND, ALPN)
    sock.sendall(header(8080) + REQUEST)
    assert sock.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_name_is_for_gateways(meshed_peer):
    sock = meshed_peer.tls(INBOUND, ALPN)
    sock.sendall(header(8080, b"\x12\x03web") + REQUEST)
    assert ended(sock) == b""
    until(lambda: refused(meshed_peer, "route-not-found") == 1)


def test_nobody_without_an_identity(meshed_peer):
    """In plaintext, the proxy's own port forwards nothing."""
    app = recorder(meshed_peer.web)
    for data in (header(8080) + REQUEST, REQUEST):
        with meshed_peer.sender.connect(meshed_peer.web.host.ip4, INBOUND, 20) as sock:
            sock.sendall(data)
            assert b"200" not in ended(sock)
    assert not got(app)
