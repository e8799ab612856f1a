"""HTTP/2 applications that answer wrongly, frame by frame: the client sees 502 or a reset, never a wrong answer or another's, and its
proxy serves on within its memory."""

import contextlib
import pathlib
import struct
import sys

import pytest

import lib.h2_wrong
from lib.h2_frames import (CONTINUATION, DATA, END, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
                           WINDOW_UPDATE, RawH2, block, frame)
from lib.netns import available
from lib.scripted import Feed, server
from proxy.test_hostile import resident, road, sanitized  # noqa: F401 (a fixture)
from proxy.test_pair import folder  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not available(), reason="making network namespaces needs root")]

PUSH_PROMISE = 5
STATUS = (":status", "200")
FORGED = ("x", "forged")


def head(*fields, flags=END_HEADERS):
    return (HEADERS, flags, None, block(*fields))


def data(payload, flags=0):
    return (DATA, flags, None, payload)


def rst(code):
    return (RST_STREAM, 0, None, struct.pack(">I", code))


def goaway(last, code=0):
    return (GOAWAY, 0, 0, struct.pack(">II", last, code))


OPEN = head(STATUS, ("content-length", "6"))
# No answer of these may come to the client as one: 502 or a reset instead.
REFUSED = {
    "no status": [head(FORGED, flags=END)],
    "empty head": [(HEADERS, END, None, b"")],
    "two statuses": [head(STATUS, (":status", "201"), FORGED, flags=END)],
    "late status": [head(FORGED, STATUS, flags=END)],
    "status of letters": [head((":status", "abc"), FORGED, flags=END)],
    "status too short": [head((":status", "20"), FORGED, flags=END)],
    "status too long": [head((":status", "2000"), FORGED, flags=END)],
    "status with a line": [head((":status", "200\r\nx: forged"), flags=END)],
    "status 0": [head((":status", "000"), FORGED, flags=END)],
    "upgrade": [head((":status", "101"), FORGED, flags=END_HEADERS)],
    "pseudo-header of requests": [head(STATUS, (":path", "/forged"), flags=END)],
    "unknown pseudo-header": [head(STATUS, (":forged", "yes"), flags=END)],
    "upper case": [head(STATUS, ("X", "forged"), flags=END)],
    "line feed in a value": [head(STATUS, ("x", "a\nx: forged"), flags=END)],
    "CRLF in a value": [head(STATUS, ("x", "a\r\n\r\nforged"), flags=END)],
    "NUL in a value": [head(STATUS, ("x", "forged\0"), flags=END)],
    "CRLF in a name": [head(STATUS, ("x: forged\r\ny", "z"), flags=END)],
    "empty name": [head(STATUS, ("", "forged"), flags=END)],
    "connection": [head(STATUS, FORGED, ("connection", "close"), flags=END)],
    "transfer-encoding": [head(STATUS, FORGED, ("transfer-encoding", "chunked"), flags=END)],
    "two lengths": [head(STATUS, FORGED, ("content-length", "3"), ("content-length", "6")), data(b"forged", END_STREAM)],
    "length with a sign": [head(STATUS, FORGED, ("content-length", "+6")), data(b"forged", END_STREAM)],
    "length without a body": [head(STATUS, FORGED, ("content-length", "6"), flags=END)],
    "data before the head": [data(b"forged"), head(STATUS), data(b"", END_STREAM)],
    "interim that ends": [head((":status", "103"), FORGED, flags=END)],
    "interims without end": [head((":status", "103"), ("x", str(i))) for i in range(100)],
    "nothing but an end": [data(b"", END_STREAM)],
    "broken HPACK": [(HEADERS, END, None, b"\xff\xff\xff\xff\xff\xff")],
    "index out of the table": [(HEADERS, END, None, b"\xfe")],
    "table larger than allowed": [(HEADERS, END, None, b"\x3f\xe1\xff\x03" + block(STATUS, FORGED))],
    "head too large": [head(STATUS, *(("x", "v" * 2000) for _ in range(8)), flags=0),
                       *[(CONTINUATION, 0, None, block(*[("x", "v" * 2000)] * 8)) for _ in range(20)]],
    "head of a hundred frames": [head(STATUS, flags=0), *[(CONTINUATION, 0, None, block(("x", "y"))) for _ in range(1000)]],
    "head interrupted": [head(STATUS, FORGED, flags=0), (PING, 0, 0, b"12345678")],
    "reset": [rst(2)],
    "reset without error": [rst(0)],
    "refused for ever": [rst(7)],
    "told to calm down": [rst(11)],
    "goodbye, nothing processed": [goaway(0), "close"],
    "goodbye with an error": [goaway(0, 11), "close"],
    "goodbye and silence cut": [goaway((1 << 31) - 1), "close"],
    "goodbyes": [goaway(0) for _ in range(2000)] + ["close"],
    "closed": ["close"],
    "broken": ["reset"],
    "closed within the head": [head(STATUS, FORGED, flags=0), "close"],
    "promise": [(PUSH_PROMISE, END_HEADERS, None, struct.pack(">I", 2) + block((":path", "/forged")))],
    "settings": [(SETTINGS, 0, 0, b"") for _ in range(3000)],
    "settings of a bad size": [(SETTINGS, 0, 0, b"abc")],
    "frame size of nothing": [(SETTINGS, 0, 0, struct.pack(">HI", 5, 0))],
    "pings": [(PING, 0, 0, b"12345678") for _ in range(3000)],
    "priorities": [(PRIORITY, 0, None, b"\0\0\0\0\x10") for _ in range(3000)],
    "unknown frames": [(0xfa, 0, None, b"x") for _ in range(3000)],
    "window of nothing": [(WINDOW_UPDATE, 0, None, b"\0\0\0\0")],
    "window of the connection of nothing": [(WINDOW_UPDATE, 0, 0, b"\0\0\0\0")],
    "window overflow": [(WINDOW_UPDATE, 0, None, b"\x7f\xff\xff\xff")],
    "window overflow of the connection": [(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")],
    "initial window too big": [(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31))],
    "a stream of its own": [(HEADERS, END, 2, block(STATUS, FORGED))],
    "an answer to nobody": [(HEADERS, END, 999999, block(STATUS, FORGED))],
    "frame too long": [(DATA, 0, None, b"x" * 20000)],
}
# The head may have passed; what follows ends in a reset, and the body is not what a client takes for whole.
CUT = {
    "closed within the body": [OPEN, data(b"for"), "close"],
    "broken within the body": [OPEN, data(b"for"), "reset"],
    "reset within the body": [OPEN, data(b"for"), rst(2)],
    "refused after the head": [OPEN, rst(7)],
    "cut without error": [OPEN, data(b"for"), rst(0)],
    "short": [OPEN, data(b"for", END_STREAM)],
    "short with trailers": [OPEN, data(b"for"), head(FORGED, flags=END)],
    "long": [OPEN, data(b"forgedmore", END_STREAM)],
    "long in two": [OPEN, data(b"sixsix"), data(b"forged", END_STREAM)],
    "trailers with a status": [head(STATUS), data(b"x"), head(STATUS, FORGED, flags=END)],
    "trailers with a path": [head(STATUS), data(b"x"), head((":path", "/forged"), flags=END)],
    "trailers with CRLF": [head(STATUS), data(b"x"), head(("x", "a\r\nforged"), flags=END)],
    "trailers without an end": [head(STATUS), data(b"x"), head(FORGED)],
    "a second head": [head(STATUS), head((":status", "201"), FORGED, flags=END)],
    "a body for 204": [head((":status", "204")), data(b"forged", END_STREAM)],
    "a body for 304": [head((":status", "304")), data(b"forged", END_STREAM)],
    "more than the window": [head(STATUS), *[data(b"x" * 16384) for _ in range(400)]],
    "padding longer than the frame": [head(STATUS), (DATA, 8, None, b"\xffabc")],
    "goodbye within the body": [OPEN, data(b"for"), goaway(0), "close"],
    "promise within the body": [OPEN, (PUSH_PROMISE, END_HEADERS, None, struct.pack(">I", 2) + block((":path", "/forged")))],
    "empty data": [head(STATUS), *[data(b"") for _ in range(3000)]],
    "window too big": [head(STATUS), (WINDOW_UPDATE, 0, None, b"\x7f\xff\xff\xff")],
}


def path_of(name):
    return name.replace(" ", "-").replace(",", "")


@pytest.fixture
def wrong_server(road, folder):  # noqa: F811
    table = folder / "steps.txt"
    table.write_text(repr({path_of(name): steps for name, steps in {**REFUSED, **CUT}.items()}))
    table.chmod(0o644)
    road.control.ports[8081] = Feed(server(protocol="http2"))
    road.web.start_app([sys.executable, pathlib.Path(lib.h2_wrong.__file__), 8081, table], port=8081, uid=0, name="wrong")
    road.go()
    road.connect = lambda: road.sender.connect(road.address, road.port2, 20)
    return road


def ask(h2, stream, path):
    h2.request(stream, (":method", "GET"), (":scheme", "http"), (":path", "/" + path), (":authority", "web"))


class Client:
    """Asks over one connection, and over another once that has ended."""

    def __init__(self, wrong_server, stack):
        self.server, self.stack, self.h2 = wrong_server, stack, None

    def get(self, path):
        if not self.h2 or self.h2.gone or self.h2.goaway is not None:
            self.h2, self.stream = RawH2(self.stack.enter_context(self.server.connect())), -1
        self.stream += 2
        ask(self.h2, self.stream, path)
        return self.h2.answer(self.stream)


def is_forged(answer):
    return b"forged" in answer.body or any("forged" in str(field) for head in answer.heads for field in head)


@pytest.mark.parametrize("kind", ["refused", "cut"])
def test_wrong_answers(wrong_server, kind):
    wrong, pid = [], wrong_server.proxied.proxy.pid
    with contextlib.ExitStack() as stack:
        one, other = Client(wrong_server, stack), Client(wrong_server, stack)
        assert other.get("fine").body == b"ok\n"
        before = resident(pid)
        for name in {"refused": REFUSED, "cut": CUT}[kind]:
            answer = one.get(path_of(name))
            refused = answer.reset is not None or answer.status == "502" or one.h2.gone
            if kind == "cut" and answer.ended and name.startswith("a body for"):
                refused = answer.body == b""
            if not refused or is_forged(answer):
                wrong.append(f"{name}: {answer}")
            fine = other.get("fine")
            if fine.status != "200" or fine.body != b"ok\n":
                wrong.append(f"after {name}: {fine}")
        grown = resident(pid) - before
    assert not wrong, "\n".join(wrong)
    assert grown < 16 << 20 or sanitized(pid), grown
