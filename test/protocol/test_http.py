"""HTTP/1 and HTTP/2 through both proxies as curl and raw sockets speak them; test/tools/http_echo.c is the application."""

import hashlib
import re
import subprocess

import pytest

PORT = 8080
BIG = 20_000_000


@pytest.fixture
def served(pair, binaries):
    pair.service(port=80, target=PORT)
    pair.web.start_app([binaries["http-echo"], f"0.0.0.0:{PORT}"], port=PORT, name="http-echo")
    return pair.start()


def curl(served, path, *options, data=None):
    argv = ["curl", "--silent", "--show-error", "--max-time", "60", *options, f"http://10.99.0.1{path}"]
    return subprocess.run(served.client.host.wrap(argv, uid=1000), input=data, capture_output=True, timeout=90)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def raw(served, request, until=None):
    """All that is answered until the end, or until the text was seen."""
    with served.client.host.connect("10.99.0.1", 80, 20) as sock:
        sock.sendall(request)
        got = b""
        while (until is None or until not in got) and (chunk := sock.recv(1 << 16)):
            got += chunk
    return got


@pytest.mark.parametrize("protocol", ["--http1.1", "--http2-prior-knowledge"])
def test_bodies(served, protocol):
    """Both directions, with a length and without."""
    data = hashlib.shake_128(b"body").digest(BIG)
    down = curl(served, f"/bytes/{BIG}", protocol)
    assert (down.returncode, len(down.stdout), sha(down.stdout)) == (0, BIG, sha(bytes(BIG))), down.stderr
    with_length = curl(served, "/echo", protocol, "--data-binary", "@-", "-H", "content-type: x/y", data=data)
    assert (with_length.returncode, len(with_length.stdout), sha(with_length.stdout)) == (0, BIG, sha(data)), with_length.stderr
    without = curl(served, "/echo", protocol, "-T", "-", "-X", "POST", data=data)
    assert (without.returncode, len(without.stdout), sha(without.stdout)) == (0, BIG, sha(data)), without.stderr


@pytest.mark.parametrize("protocol", ["--http1.0", "--http1.1", "--http2-prior-knowledge"])
def test_responses_without_body(served, protocol):
    head = curl(served, "/length/55", protocol, "--head")
    assert head.returncode == 0 and b"content-length: 55" in head.stdout.lower(), head.stdout
    for status in (204, 304, 404, 503):
        answer = curl(served, f"/status/{status}", protocol, "-w", "%{http_code}")
        assert (answer.returncode, answer.stdout) == (0, str(status).encode()), answer.stderr


def test_old_http(served):
    answer = raw(served, b"GET /bytes/10 HTTP/1.0\r\nHost: web\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] 200 ", answer) and answer.endswith(b"\r\n\r\n" + bytes(10)), answer


# Says 100 when it is asked, then takes the body; http-echo answers at once instead.
PATIENT = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        if self.path == '/refuse':
            return self.send_error(413)
        body = self.rfile.read(int(self.headers['content-length']))
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.send_header('x-expected', self.headers.get('expect', 'nothing'))
        self.end_headers()
        self.wfile.write(body)
    def handle_expect_100(self):
        return True if self.path == '/refuse' else super().handle_expect_100()
http.server.ThreadingHTTPServer(('0.0.0.0', 8083), Handler).serve_forever()
"""


def test_expect_continue(pair):
    """The application's 100 comes through before the body is sent, and so does a refusal instead of it."""
    pair.service(port=80, target=8083)
    pair.web.start_app(["/usr/bin/python3", "-c", PATIENT], port=8083, name="patient")
    pair.start()
    data = hashlib.shake_128(b"continue").digest(2_000_000)
    answer = curl(pair, "/", "--http1.1", "-H", "Expect: 100-continue", "--data-binary", "@-", data=data)
    assert (answer.returncode, sha(answer.stdout)) == (0, sha(data)), answer.stderr
    head = b"POST %s HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with pair.client.host.connect("10.99.0.1", 80, 20) as sock:
        sock.sendall(head % b"/")
        assert sock.recv(4096).startswith(b"HTTP/1.1 100")
        sock.sendall(b"hello")
        got = b""
        while not got.endswith(b"hello"):
            assert (chunk := sock.recv(4096)), got
            got += chunk
        assert got.startswith(b"HTTP/1.1 200") and b"x-expected: 100-continue" in got
    with pair.client.host.connect("10.99.0.1", 80, 20) as sock:
        sock.sendall(head % b"/refuse")
        assert sock.recv(4096).startswith(b"HTTP/1.1 413")


def test_early_hints(served):
    answer = curl(served, "/early", "--http1.1", "-i")
    assert re.match(rb"HTTP/1\.1 103 .*HTTP/1\.1 200 .*hello\n$", answer.stdout, re.S), answer.stdout


def test_chunked_upload_with_trailers(served):
    answer = raw(served, b"POST /echo HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n"
                 b"Connection: close\r\n\r\n5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 42\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"hello world" in answer and b"\r\n0\r\nx-sum: 42\r\n\r\n" in answer, answer  # echoed, trailers and all


def test_trailers_of_the_response(served):
    answer = raw(served, b"GET /trailers/10 HTTP/1.1\r\nHost: web\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
    assert b"x-sum: 42" in answer.lower(), answer


def test_pipelining(served):
    """Answers come in the order of the requests, each whole."""
    requests = b"".join(b"GET /bytes/%d HTTP/1.1\r\nHost: web\r\n\r\n" % n for n in range(1, 9))
    answer = raw(served, requests + b"GET /length/9 HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
    heads = [head for head in answer.split(b"HTTP/1.1 ") if head]
    bodies = [head.partition(b"\r\n\r\n")[2] for head in heads]
    assert len(heads) == 9 and all(head.startswith(b"200") for head in heads), answer
    assert [len(body.replace(b"\r\n0\r\n\r\n", b"").split(b"\r\n", 1)[-1]) if b"\r\n" in body else len(body)
            for body in bodies] == [*range(1, 9), 9]
