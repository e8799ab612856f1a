"""Our HTTP connections alone (test/tools/http_echo.c), under foreign clients: curl, nghttp, h2load, h2spec, and raw sockets."""

import hashlib
import os
import re
import shutil
import socket
import subprocess

import pytest

PROTOCOLS = ["--http1.0", "--http1.1", "--http2-prior-knowledge"]


@pytest.fixture
def echo(programs, binaries):
    """The port of a fresh server."""
    server = programs.start([binaries["http-echo"], "127.0.0.1:0"], name="http-echo")
    server.port = int(server.wait_line(r"listening 127\.0\.0\.1:(\d+)")[1])
    return server


def need(program):
    path = shutil.which(program)
    if not path and os.environ.get("LINKERD_PEERS"):
        path = shutil.which(program, path=os.environ["LINKERD_PEERS"] + os.pathsep + os.environ["LINKERD_PEERS"] + "/bin")
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


def curl(echo, path, *options, data=None):
    argv = [need("curl"), "--silent", "--show-error", "--max-time", "60", *options, f"http://127.0.0.1:{echo.port}{path}"]
    return subprocess.run(argv, input=data, capture_output=True, timeout=90)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("path", ["/bytes/0", "/bytes/1", "/bytes/3000000", "/length/0", "/length/65536", "/trailers/70000"])
def test_downloads(echo, protocol, path):
    answer = curl(echo, path, protocol)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == bytes(int(path.rsplit("/", 1)[1]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("how", ["length", "unknown"])
def test_uploads_come_back(echo, protocol, how):
    if protocol == "--http1.0" and how == "unknown":
        pytest.skip("HTTP/1.0 cannot say it")
    data = hashlib.shake_128(b"upload").digest(3_000_000)
    options = ["--data-binary", "@-", "-H", "content-type: x/y"] if how == "length" else ["-T", "-", "-X", "POST"]
    answer = curl(echo, "/echo", protocol, *options, data=data)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == data


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_heads(echo, protocol):
    answer = curl(echo, "/length/55", protocol, "--head")
    assert answer.returncode == 0
    assert b"content-length: 55" in answer.stdout.lower()
    for status in (204, 304, 404, 503):
        answer = curl(echo, f"/status/{status}", protocol, "-w", "%{http_code}")
        assert (answer.returncode, answer.stdout) == (0, str(status).encode())


def test_interim_heads(echo):
    for protocol in PROTOCOLS[1:]:
        answer = curl(echo, "/early", protocol, "-i")
        assert re.match(rb"HTTP/\S+ 103 .*HTTP/\S+ 200 .*hello\n$", answer.stdout, re.S), answer.stdout


def test_expect_continue(echo):
    """curl waits a second for 100, then sends anyway; the answer comes either way."""
    answer = curl(echo, "/echo", "--http1.1", "-H", "Expect: 100-continue", "--data-binary", "@-", data=b"x" * 2_000_000)
    assert answer.returncode == 0
    assert answer.stdout == b"x" * 2_000_000


@pytest.mark.parametrize("options", [["--h1", "-c", "50"], ["-c", "10", "-m", "20"], ["-c", "1", "-m", "200"]],
                         ids=["http1", "http2", "http2-one-connection"])
def test_load(echo, options):
    for path, count in (("/hello", 20000), ("/bytes/100000", 300)):
        done = subprocess.run([need("h2load"), "-n", str(count), *options, f"http://127.0.0.1:{echo.port}{path}"],
                              capture_output=True, text=True, timeout=120)
        assert f"{count} succeeded, 0 failed, 0 errored" in done.stdout, done.stdout


def test_nghttp_trailers(echo):
    done = subprocess.run([need("nghttp"), "-nv", f"http://127.0.0.1:{echo.port}/trailers/10"], capture_output=True,
                          text=True, timeout=30)
    assert "x-sum: 42" in done.stdout


@pytest.mark.parametrize("strict", [[], ["-S"]], ids=["generic", "strict"])
def test_h2spec(echo, strict):
    """All but the bad preface, which is HTTP/1 to a port that detects the protocol."""
    done = subprocess.run([need("h2spec"), "-h", "127.0.0.1", "-p", str(echo.port), *strict], capture_output=True,
                          text=True, timeout=120)
    total, passed = map(int, re.search(r"(\d+) tests, (\d+) passed", done.stdout).groups())
    failures = [line.strip() for line in done.stdout.partition("Failures:")[2].splitlines() if "×" in line]
    assert [line for line in failures if "Sends invalid connection preface" not in line] == []
    assert passed >= total - 1 >= 144


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"^Rss:\s+(\d+)", file.read(), re.M)[1]) * 1024


def test_idle_connections_are_small(echo, binaries):
    """After 100 requests each. The server's own part, an arena kept for each connection, is in the figure."""
    if "asan" in str(binaries["http-echo"]):
        pytest.skip("memory is not measured under a sanitizer")
    request = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

    def used_connection():
        connection = socket.create_connection(("127.0.0.1", echo.port), 10)
        for _ in range(100):
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"hello\n"):
                answer += connection.recv(4096)
        return connection

    kept = [used_connection() for _ in range(20)]
    before = resident(echo.pid)
    kept += [used_connection() for _ in range(400)]
    grown = resident(echo.pid) - before
    for connection in kept:
        connection.close()
    assert grown / 400 < 2500
