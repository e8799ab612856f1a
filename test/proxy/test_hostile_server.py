"""Applications and servers that answer wrongly, or never: the client gets 502 or 504 with its reason, or an answer that is
visibly cut; never bytes that a second parser would read as another answer, and the next request is served."""

import re

import pytest

from lib.netns import available
from proxy.test_environment import value
from proxy.test_hostile import everything, resident, road, sanitized  # noqa: F401 (road is a fixture)
from proxy.test_pair import folder  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
FORGED = b"HTTP/1.1 200 OK\r\nx-forged: yes\r\nContent-Length: 6\r\n\r\nforged"

REFUSED = {  # the whole answer is wrong: 502
    "no HTTP": b"hello\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>",
    "version 2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 1.10": b"HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 \r\nContent-Length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status of letters": b"HTTP/1.1 two OK\r\nContent-Length: 0\r\n\r\n",
    "status 0": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 3\r\nContent-Length: 60\r\n\r\nok\n" + FORGED,
    "list of lengths": HEAD + b"Content-Length: 3, 60\r\n\r\nok\n" + FORGED,
    "length with a sign": HEAD + b"Content-Length: +3\r\n\r\nok\n",
    "length of letters": HEAD + b"Content-Length: three\r\n\r\nok\n",
    "length too big": HEAD + b"Content-Length: 18446744073709551617\r\n\r\nok\n",
    "both framings": HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "carriage return in a value": HEAD + b"x: a\rb\r\nContent-Length: 3\r\n\r\nok\n",
    "NUL in a value": HEAD + b"x: a\0b\r\nContent-Length: 3\r\n\r\nok\n",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\nContent-Length: 3\r\n\r\nok\n",
    "folded field": HEAD + b"x: a\r\n b\r\nContent-Length: 3\r\n\r\nok\n",
    "space before the colon": HEAD + b"Content-Length : 3\r\n\r\nok\n",
    "space in a name": HEAD + b"Content Length: 3\r\n\r\nok\n",
    "no name": HEAD + b": 3\r\nContent-Length: 3\r\n\r\nok\n",
    "101 that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + FORGED,
    "head too large": HEAD + b"x: " + b"v" * 300_000 + b"\r\nContent-Length: 3\r\n\r\nok\n",
    "fields without end": HEAD + b"a: b\r\n" * 50_000,
    "head cut off": HEAD + b"Content-Le",
    "nothing at all": b"",
    "interim answers without end": b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n" * 100_000,
}

CUT = {  # the head is right, the body is not: the client sees that it was cut
    "chunk size of letters": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "chunk size too big": CHUNKED + b"fffffffffffffffff\r\nhello\r\n",
    "chunk longer than said": CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n" + FORGED,
    "chunk with a bare line feed": CHUNKED + b"5\nhello\r\n0\r\n\r\n" + FORGED,
    "chunks cut off": CHUNKED + b"5\r\nhello\r\n",
    "trailer that is none": CHUNKED + b"0\r\nno trailer\r\n\r\n" + FORGED,
    "body cut off": HEAD + b"Content-Length: 300\r\n\r\nhello",
}

WHOLE = {  # what comes behind the end of the answer is not another's answer
    "more than its length": OK + FORGED,
    "body of a 204": b"HTTP/1.1 204 No Content\r\n\r\n" + FORGED,
    "body of a 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 80\r\n\r\n" + FORGED,
    "line ends behind it": OK + b"\r\n\r\n" + FORGED,
    "after the last chunk": CHUNKED + b"0\r\n\r\n" + FORGED,
}

# Answers /NAME with what the table says, then ends the connection if the table says so; anything else with OK.
SERVER = r"""
import ast, socket, sys, threading
table, ok = ast.literal_eval(open(sys.argv[2]).read())
s = socket.create_server(('0.0.0.0', int(sys.argv[1])), backlog=256)
def go(c):
    seen = b''
    try:
        while (b := c.recv(65536)):
            seen += b
            while b'\r\n\r\n' in seen:
                head, _, seen = seen.partition(b'\r\n\r\n')
                answer, end = table.get(head.split(b' ')[1][1:].decode(), (ok, False))
                c.sendall(answer)
                if end: c.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    c.close()
print('listening', flush=True)
while True:
    threading.Thread(target=go, args=(s.accept()[0],), daemon=True).start()
"""


def path_of(name):
    return name.replace(" ", "-").replace("/", "-")


@pytest.fixture
def wrong_server(road, folder):  # noqa: F811
    """ask(sock, path) of connect(): the path chooses what the server answers."""
    table = folder / "answers.txt"
    ends = {"HTTP/0.9", "head cut off", "nothing at all", "chunks cut off", "body cut off", "no HTTP"}
    table.write_text(repr(({path_of(name): (answer, name in ends) for name, answer in {**REFUSED, **CUT, **WHOLE}.items()}, OK)))
    table.chmod(0o644)
    app = road.web.start_app(["/usr/bin/python3", "-c", SERVER, 8081, table], name="wrong")
    app.wait_line("listening")
    road.go()

    def ask(sock, path, method=b"GET"):
        sock.sendall(method + b" /" + path.encode() + b" HTTP/1.1\r\nHost: web\r\n\r\n")

    road.ask = ask
    road.connect = lambda: road.sender.connect(road.address, road.port2, 20)
    return road


def still_served(road):  # noqa: F811
    """The next requests, as many as the pool may have connections to offer: none of them gets what was forged."""
    for _ in range(3):
        with road.connect() as sock:
            road.ask(sock, "fine")
            answer = everything(sock)
            assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\nok\n"), answer


def test_refused(wrong_server):
    wrong, pid = [], wrong_server.proxied.proxy.pid
    still_served(wrong_server)
    before = resident(pid)
    for name in REFUSED:
        with wrong_server.connect() as sock:
            wrong_server.ask(sock, path_of(name))
            answer = re.sub(rb"HTTP/1\.1 1\d\d [^\n]*\r\n(?:[^\r\n]+\r\n)*\r\n", b"", everything(sock))  # interim ones may pass
        if not answer.startswith(b"HTTP/1.1 502 ") or b"forged" in answer:
            wrong.append(f"{name}: {answer[:200]!r}")
        still_served(wrong_server)
    assert not wrong, "\n".join(wrong)
    lost = sum(name in ("head cut off", "nothing at all") for name in REFUSED)
    assert value(wrong_server.proxied, "proxy_errors_total", 'reason="connection-lost"') == lost
    assert value(wrong_server.proxied, "proxy_errors_total", 'reason="bad-response"') == len(REFUSED) - lost
    grown = resident(pid) - before
    assert grown < 16 << 20 or sanitized(pid), grown


def is_whole(answer):
    """Whether a client would take the answer for complete."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if length := re.search(rb"(?i)content-length: (\d+)", head):
        return len(body) >= int(length[1])
    return body.endswith(b"0\r\n\r\n")


def test_cut(wrong_server):
    wrong = []
    for name in CUT:
        with wrong_server.connect() as sock:
            wrong_server.ask(sock, path_of(name))
            answer = everything(sock)
        if b"forged" in answer or (not answer.startswith(b"HTTP/1.1 502 ") and is_whole(answer)):
            wrong.append(f"{name}: {answer[:200]!r}")
        still_served(wrong_server)
    assert not wrong, "\n".join(wrong)


def test_what_follows(wrong_server):
    """On the client's kept connection too: its second request gets its own answer."""
    wrong = []
    for name in WHOLE:
        with wrong_server.connect() as sock:
            wrong_server.ask(sock, path_of(name))
            if name.startswith("body of"):
                first = head_of(sock)
            else:
                first = one_answer(sock)
            wrong_server.ask(sock, "fine")
            second = one_answer(sock)
        if b"forged" in first + second or not second.startswith(b"HTTP/1.1 200"):
            wrong.append(f"{name}: {first!r}, then {second!r}")
        still_served(wrong_server)
    assert not wrong, "\n".join(wrong)


def head_of(sock):
    """Not a byte more."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    return head


def one_answer(sock):
    """A whole answer, by its length or its last chunk."""
    answer = b""
    while not (b"\r\n\r\n" in answer and is_whole(answer)):
        if not (more := sock.recv(65536)):
            break
        answer += more
    return answer


def test_head_request(wrong_server):
    """A body in the answer to HEAD is not there for anybody."""
    with wrong_server.connect() as sock:
        wrong_server.ask(sock, path_of("more than its length"), b"HEAD")
        head_of(sock)
        wrong_server.ask(sock, "fine")
        second = one_answer(sock)
    assert second.startswith(b"HTTP/1.1 200") and second.endswith(b"\r\n\r\nok\n"), second
    still_served(wrong_server)

