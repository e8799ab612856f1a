"""The HTTP/2 engine as a client (test/tools/h2_client.c), alone, against foreign servers."""

import os
import re
import shutil
import socket
import subprocess

import pytest

NGINX = """
{user}
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 100; }}
http {{
  access_log off; keepalive_requests 1000;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{ listen 127.0.0.1:{port} http2; root {dir}/www; }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen through
  bind 127.0.0.1:{port} proto h2
  server ours 127.0.0.1:{ours} proto h2
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def need(program):
    return shutil.which(program) or pytest.skip(f"{program} is not installed")


@pytest.fixture
def www(tmp_path):
    root = tmp_path / "www"
    root.mkdir()
    (root / "small").write_bytes(b"abc")
    (root / "large").write_bytes(bytes(3_000_000))
    return tmp_path


def start_nghttpd(programs, binaries, www):
    port = free_port()
    return programs.start([need("nghttpd"), "--no-tls", "--echo-upload", "-d", www / "www", port], name="nghttpd").wait_port(port), port


def start_nginx(programs, binaries, www):
    port = free_port()
    (www / "nginx.conf").write_text(NGINX.format(dir=www, port=port, user="" if os.geteuid() else "user root;"))
    return programs.start([need("nginx"), "-c", www / "nginx.conf"], name="nginx").wait_port(port), port


def start_haproxy(programs, binaries, www):
    """Our client, HAProxy, our server."""
    port, ours = free_port(), free_port()
    (www / "haproxy.cfg").write_text(HAPROXY.format(port=port, ours=ours))
    programs.start([binaries["h2-test-server"], ours], name="ours").wait_port(ours)
    return programs.start([need("haproxy"), "-db", "-f", www / "haproxy.cfg"], name="haproxy").wait_port(port), port


def run(binaries, port, path, count, streams, body=0):
    argv = [binaries["h2-test-client"], port, path, count, streams, *([body] if body else [])]
    client = subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, timeout=120)
    assert "Sanitizer" not in client.stderr, client.stderr
    found = re.search(r"done (\d+), reset (\d+), bytes (\d+)", client.stdout)
    statuses = {int(status): int(times) for status, times in re.findall(r"^(\d+): (\d+)$", client.stdout, re.M)}
    return statuses, *(int(number) for number in found.groups())


@pytest.mark.parametrize("start", [start_nghttpd, start_nginx])
def test_small_and_large_answers(programs, binaries, www, start):
    _, port = start(programs, binaries, www)
    assert run(binaries, port, "/small", 900, 20) == ({200: 900}, 900, 0, 2700)
    assert run(binaries, port, "/large", 20, 10) == ({200: 20}, 20, 0, 60_000_000)
    statuses, done, resets, _ = run(binaries, port, "/none", 10, 5)
    assert (statuses, done, resets) == ({404: 10}, 10, 0)


def test_uploads(programs, binaries, www):
    _, port = start_nghttpd(programs, binaries, www)
    assert run(binaries, port, "/any", 20, 5, 1_000_000) == ({200: 20}, 20, 0, 20_000_000)


def test_goaway_tells_which_requests_may_be_sent_again(programs, binaries, www):
    _, port = start_nginx(programs, binaries, www)  # serves 1000 requests on a connection
    statuses, done, resets, _ = run(binaries, port, "/small", 3000, 20)
    assert statuses == {200: 1000} and done == 1000
    assert resets < 20


def test_through_haproxy(programs, binaries, www):
    _, port = start_haproxy(programs, binaries, www)
    assert run(binaries, port, "/20", 5000, 30) == ({200: 5000}, 5000, 0, 100_000)
    assert run(binaries, port, "/3000000", 20, 10) == ({200: 20}, 20, 0, 60_000_000)
