"""HTTP/2 that a proxy hands to an application as HTTP/1: from a peer of the mesh that says l5d-orig-proto and lies in all
the ways that would read differently there. Nothing of it reaches the application, and other streams go on."""

import pytest

from lib.h2_frames import CONTINUATION, DATA, END, END_HEADERS, END_STREAM, HEADERS, RawH2, block, frame
from lib.netns import available
from lib.wait import until
from proxy.test_hostile import got, recorder

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")

OLD = (("l5d-orig-proto", "HTTP/1.1"),)
BASE = ((":method", "POST"), (":scheme", "http"), (":path", "/refused"), (":authority", "web"))


def with_(name, value):
    """BASE with another value of a pseudo-header."""
    return tuple((key, value if key == name else old) for key, old in BASE) + OLD


def plus(*fields):
    return BASE + OLD + fields


HEADS = {  # no stream of these may reach the application
    "line feed in a value": plus(("x", "a\nsmuggled: yes")),
    "CRLF in a value": plus(("x", "a\r\nsmuggled: yes")),
    "request in a value": plus(("x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n")),
    "carriage return in a value": plus(("x", "a\rb")),
    "NUL in a value": plus(("x", "a\0b")),
    "CRLF in a name": plus(("x: a\r\nsmuggled", "yes")),
    "colon in a name": plus(("smuggled:", "yes")),
    "space in a name": plus(("smuggled now", "yes")),
    "NUL in a name": plus(("smuggled\0", "yes")),
    "empty name": plus(("", "smuggled")),
    "upper case in a name": plus(("Smuggled", "yes")),
    "space and CRLF in the path": with_(":path", "/ HTTP/1.1\r\nsmuggled: yes\r\n\r\n"),
    "space in the path": with_(":path", "/refused HTTP/1.1"),
    "NUL in the path": with_(":path", "/\0refused"),
    "empty path": with_(":path", ""),
    "path without a slash": with_(":path", "refused"),
    "fragment of another line": with_(":path", "/\n/refused"),
    "space in the method": with_(":method", "GET /smuggled HTTP/1.1\r\nx: y"),
    "empty method": with_(":method", ""),
    "CRLF in the authority": with_(":authority", "web\r\nsmuggled: yes"),
    "path in the authority": with_(":authority", "web/refused"),
    "user in the authority": with_(":authority", "me@web"),
    "space in the authority": with_(":authority", "web refused"),
    "another host": plus(("host", "other")),
    "two hosts": plus(("host", "web"), ("host", "web")),
    "two paths": BASE + ((":path", "/smuggled"),) + OLD,
    "two methods": BASE + ((":method", "GET"),) + OLD,
    "two authorities": BASE + ((":authority", "other"),) + OLD,
    "no path": tuple(pair for pair in BASE if pair[0] != ":path") + OLD,
    "no method": tuple(pair for pair in BASE if pair[0] != ":method") + OLD,
    "no scheme": tuple(pair for pair in BASE if pair[0] != ":scheme") + OLD,
    "late pseudo-header": BASE[:3] + OLD + BASE[3:],
    "unknown pseudo-header": BASE + ((":smuggled", "yes"),) + OLD,
    "pseudo-header of answers": BASE + ((":status", "200"),) + OLD,
    "protocol without CONNECT": BASE + ((":protocol", "websocket"),) + OLD,
    "transfer-encoding": plus(("transfer-encoding", "chunked")),
    "connection": plus(("connection", "close")),
    "keep-alive": plus(("keep-alive", "5")),
    "upgrade": plus(("upgrade", "websocket")),
    "proxy-connection": plus(("proxy-connection", "close")),
    "te that is no trailers": plus(("te", "chunked")),
    "two lengths": plus(("content-length", "4"), ("content-length", "5")),
    "list of lengths": plus(("content-length", "4, 5")),
    "length with a sign": plus(("content-length", "+4")),
    "length of letters": plus(("content-length", "four")),
    "length too big": plus(("content-length", "18446744073709551617")),
    "length without a body": plus(("content-length", "4")),
}


@pytest.fixture
def peer(meshed_peer):
    """connect() -> a connection of a workload of the mesh to the server's proxy, HTTP/2 over TLS."""
    meshed_peer.app = recorder(meshed_peer.web)
    meshed_peer.connect = lambda **more: RawH2(meshed_peer.tls(8080), **more)
    return meshed_peer


FINE = ((":method", "GET"), (":scheme", "http"), (":path", "/fine"), (":authority", "web")) + OLD


def served(h2, stream):
    h2.request(stream, *FINE)
    assert h2.answer(stream).status == "200", h2.answer(stream)


def test_the_way_is_open(peer):
    """What the others here send is right but for one thing: this arrives, as HTTP/1."""
    h2 = peer.connect()
    h2.request(1, *plus(("content-length", "4"), ("x", "y")), end=False)
    h2.send(frame(DATA, END_STREAM, 1, b"body"))
    assert h2.answer(1).status == "200", h2.answer(1)
    heard = until(lambda: "body" in "".join(got(peer.app)) and "".join(got(peer.app)))
    assert "POST /refused HTTP/1.1\\r\\n" in heard and "x: y" in heard, heard


def test_heads(peer):
    wrong, h2, stream = [], peer.connect(), 1
    for name, fields in HEADS.items():
        h2.request(stream, *fields)
        if not h2.answer(stream).refused():
            wrong.append(f"{name}: {h2.answer(stream)}")
        stream += 2
        if h2.gone:
            wrong.append(f"{name}: the whole connection ended, GOAWAY {h2.goaway}")
            h2, stream = peer.connect(), 1
        served(h2, stream)
        stream += 2
    wrong += [line for line in got(peer.app) if "refused" in line or "smuggled" in line]
    assert not wrong, "\n".join(wrong)


BODIES = {  # frames after a head that says "content-length: 4"
    "short": [(DATA, END_STREAM, b"abc")],
    "long": [(DATA, END_STREAM, b"abcdGET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n")],
    "long in two": [(DATA, 0, b"abcd"), (DATA, END_STREAM, b"GET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n")],
    "none": [(DATA, END_STREAM, b"")],
    "trailers with a pseudo-header": [(DATA, 0, b"abcd"), (HEADERS, END, block((":path", "/smuggled")))],
    "trailers with CRLF": [(DATA, 0, b"abcd"), (HEADERS, END, block(("x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")))],
    "trailers without an end": [(DATA, 0, b"abcd"), (HEADERS, END_HEADERS, block(("x", "smuggled")))],
    "trailers of a connection": [(DATA, 0, b"abcd"), (HEADERS, END, block(("transfer-encoding", "smuggled")))],
}


def test_bodies(peer):
    """The head may have been passed on; what is wrong never completes the request, and never becomes another."""
    wrong, h2, stream = [], peer.connect(), 1
    for name, frames in BODIES.items():
        h2.request(stream, *plus(("content-length", "4")), end=False)
        h2.send(b"".join(frame(kind, flags, stream, payload) for kind, flags, payload in frames))
        answer = h2.answer(stream)
        if not answer.refused() and answer.status != "200":  # the application answers a head before the body is there
            wrong.append(f"{name}: {answer}")
        stream += 2
        if h2.gone:
            wrong.append(f"{name}: the whole connection ended, GOAWAY {h2.goaway}")
            h2, stream = peer.connect(), 1
        served(h2, stream)
        stream += 2
    wrong += [line for line in got(peer.app) if "smuggled" in line]
    assert not wrong, "\n".join(wrong)


def test_fields_in_pieces(peer):
    """A head in many CONTINUATIONs is one head, checked as one."""
    h2 = peer.connect()
    data = block(*plus(("x", "a\r\nsmuggled: yes")))
    h2.send(frame(HEADERS, END_STREAM, 1, data[:7]) + frame(CONTINUATION, 0, 1, data[7:20])
            + frame(CONTINUATION, END_HEADERS, 1, data[20:]))
    assert h2.answer(1).refused(), h2.answer(1)
    served(h2, 3)
    assert not [line for line in got(peer.app) if "smuggled" in line]
