"""What passes between two proxies: each protocol, encrypted, under a control plane that is not ours."""

import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from lib.http import get
from lib.scripted import Feed, add, authorization, messages, server, weighted

NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir};
  scgi_temp_path {dir};
  server {{
    listen {port}; listen [::]:{port};
    location / {{ add_header x-client-id $http_l5d_client_id; add_header x-orig-proto "$http_l5d_orig_proto";
                  return 200 "hello from nginx over $server_protocol\\n"; }}
  }}
}}
"""


@pytest.fixture
def folder():
    """A folder that any user may use; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="clinkerd-test-") as path:
        folder = pathlib.Path(path)
        folder.chmod(0o777)
        yield folder


def nginx(pod, folder, port=8080):
    (folder / "nginx.conf").write_text(NGINX.format(dir=folder, port=port))
    return pod.start_app(["nginx", "-c", folder / "nginx.conf"], port=port, uid=1000, name="nginx")


def test_http1_over_mtls(pair, folder):
    pair.service()
    nginx(pair.web, folder)
    pair.start()
    answer = pair.curl("-i").stdout
    assert answer.startswith("HTTP/1.1 200"), answer
    assert "hello from nginx over HTTP/1.1" in answer
    assert f"x-client-id: {pair.client_identity}" in answer
    assert "l5d-orig-proto" not in answer
    metrics = pair.web.metrics()
    assert re.search(r'request_total\{direction="inbound".*tls="true",client_id="client\.default', metrics), metrics
    assert re.search(r'tcp_open_total\{direction="inbound",peer="src".*client_id="client\.default', metrics), metrics


def test_plain_endpoint(pair, folder):
    """An endpoint outside the mesh is spoken to as it is, in plaintext."""
    pair.service(meshed=False)
    nginx(pair.web, folder)
    pair.control.start([pair.client.host])
    pair.client.redirect()
    pair.client.start_proxy(pair.control.env("client"))
    assert "hello from nginx over HTTP/1.1" in pair.curl().stdout
    assert re.search(r'tcp_open_total\{direction="outbound",peer="dst".*no_identity', pair.client.metrics())


def test_many_requests_on_one_connection(pair, folder):
    pair.service()
    nginx(pair.web, folder)
    pair.start()
    urls = [f"http://10.99.0.1/{i}" for i in range(50)]
    done = pair.client.host.run(["curl", "-sS", "--max-time", "20", *urls], uid=1000)
    assert done.stdout.count("hello from nginx") == 50
    assert 'tcp_open_total{direction="outbound",peer="dst"' in pair.client.metrics()


@pytest.mark.slow
def test_the_connection_between_proxies_outlives_pauses(pair, folder):
    """It ends when it was idle for a while, not a while after it once was idle."""
    pair.service()
    nginx(pair.web, folder)
    pair.start(LINKERD2_PROXY_OUTBOUND_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT="1s")
    pair.client.host.run(["hey", "-n", "80", "-c", "1", "-q", "20", "http://10.99.0.1/"], uid=1000)  # four seconds
    opened = re.search(r'tcp_open_total\{direction="outbound",peer="dst",.*\} (\d+)', pair.client.metrics())
    assert int(opened[1]) <= 2, "connections come and go while there are requests"  # a second: this machine stood still


@pytest.mark.slow
def test_an_endpoint_whose_application_is_gone_is_left_alone(pair, pod, folder):
    """Its proxy answers still, and fast; what it says about its application counts as a refused connection."""
    other, name = pod("other"), "web.default.svc.cluster.local:80"
    pair.service()
    pair.control.endpoints[name] = Feed(add(*(weighted(each.host.ip4, 8080, identity=pair.identity, opaque_port=4143)
                                              for each in (pair.web, other))))
    nginx(pair.web, folder)
    pair.control.start([pair.client.host, pair.web.host, other.host])
    for each, own in ((pair.client, "client"), (pair.web, "web"), (other, "web")):
        each.redirect()
        each.start_proxy(pair.control.env(own))

    def statuses(seconds):
        out = pair.client.host.run(["hey", "-z", seconds, "-c", "1", "-q", "100", "http://10.99.0.1/"], uid=1000).stdout
        return {int(code): int(count) for code, count in re.findall(r"\[(\d+)\]\s+(\d+) responses", out)}

    seen = statuses("2s")
    assert seen[200] > 50 and seen.get(502, 0) <= 8, seen  # one, and one for each look whether it is back
    second = folder / "second"
    second.mkdir()
    second.chmod(0o777)
    nginx(other, second)
    deadline = time.monotonic() + 20
    while 'status="200"' not in other.metrics():
        statuses("500ms")
        assert time.monotonic() < deadline, "it is not asked again, though its application is there"


def echo_server(pod, port):
    """Bytes come back; the end comes back after them."""
    code = ("import socket,threading,sys\n"
            "s=socket.create_server(('0.0.0.0',int(sys.argv[1])))\n"
            "def go(c):\n"
            "    while (b:=c.recv(65536)): c.sendall(b)\n"
            "    c.shutdown(socket.SHUT_WR); c.close()\n"
            "while True: threading.Thread(target=go,args=(s.accept()[0],),daemon=True).start()\n")
    return pod.start_app(["/usr/bin/python3", "-c", code, str(port)], port=port, name="echo")


@pytest.mark.parametrize("opaque", [True, False], ids=["opaque", "detected"])
def test_tcp_with_half_close(pair, opaque):
    pair.service(port=7000, target=7000, protocol="opaque" if opaque else "detect", opaque=opaque)
    echo_server(pair.web, 7000)
    pair.start()
    payload = bytes(range(256)) * 4096  # 1 MiB that is no HTTP
    with pair.client.host.connect("10.99.0.1", 7000) as sock:
        sender = threading.Thread(target=lambda: (sock.sendall(payload), sock.shutdown(socket.SHUT_WR)))
        sender.start()
        back = b""
        while chunk := sock.recv(1 << 16):
            back += chunk
        sender.join()
    assert back == payload
    assert 'tls="true"' in pair.web.metrics()


def test_bad_request_is_refused(pair, folder):
    pair.service()
    nginx(pair.web, folder)
    pair.start()
    with pair.client.host.connect("10.99.0.1", 80) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 400")


def test_not_authorized(pair, folder):
    """403 with the connection kept, and the application sees nothing."""
    pair.service()
    pair.control.ports[8080] = Feed(server(authorizations=[authorization(tls="clients", identities=["somebody.else"])]))
    nginx(pair.web, folder)
    pair.start()
    done = pair.client.host.run(["curl", "-sS", "-w", "%{http_code} %{num_connects}\n", "-o", "/dev/null",
                                 "http://10.99.0.1/a", "-o", "/dev/null", "http://10.99.0.1/b"], uid=1000)
    assert done.stdout.split() == ["403", "1", "403", "0"], done.stdout
    assert re.search(r"inbound_http_authz_deny_total\{.*\} 2", pair.web.metrics())


# Prints what it gets and answers nothing.
WITNESS = ("import socket,sys\n"
           "s=socket.create_server(('0.0.0.0',int(sys.argv[1])))\n"
           "print('listening',flush=True)\n"
           "while True:\n"
           "    c,_=s.accept()\n"
           "    print('GOT',c.recv(65536),flush=True)\n"
           "    c.close()\n")


@pytest.mark.parametrize("opaque", [True, False], ids=["opaque", "detected"])
def test_tcp_not_authorized(pair, opaque):
    """The connection is closed, and the application gets not a byte, not even a connection."""
    pair.service(port=7000, target=7000, protocol="opaque" if opaque else "detect", opaque=opaque)
    pair.control.ports[7000] = Feed(server(protocol="opaque" if opaque else "detect", authorizations=[
        authorization(tls="clients", identities=["somebody.else"])]))
    app = pair.web.start_app(["/usr/bin/python3", "-c", WITNESS, "7000"], name="witness")
    app.wait_line("listening")
    pair.start()
    with pair.client.host.connect("10.99.0.1", 7000) as sock:
        try:
            sock.sendall(b"\x00not for you\n")
            assert sock.recv(100) == b""
        except ConnectionResetError:
            pass
    with pair.web.host.connect("127.0.0.1", 7000) as sock:  # around the proxy: the application lives, and this is its first
        sock.sendall(b"from here")
    app.wait_line("GOT b'from here'")
    assert [line for line in app.lines if line.startswith("GOT")] == ["GOT b'from here'"]
    assert re.search(r"inbound_tcp_authz_deny_total\{.*\} [1-9]", pair.web.metrics())


def test_refused_connect_picks_another_endpoint(pair, network, folder):
    """Nothing was sent: each request is answered by the endpoint that is there, and nobody hears of the one that is not."""
    path = pair.service(meshed=False)
    absent = network.host("absent")
    pair.control.endpoints[path] = Feed(add(weighted(absent.ip4, 8080), weighted(pair.web.host.ip4, 8080)))
    nginx(pair.web, folder)
    pair.control.start([pair.client.host])
    pair.client.redirect()
    pair.client.start_proxy(pair.control.env("client"))
    urls = [word for _ in range(30) for word in ("-o", "/dev/null", "http://10.99.0.1/")]
    done = pair.client.host.run(["curl", "-sS", "--no-keepalive", "-H", "connection: close", "-w", "%{http_code}\n", *urls], uid=1000)
    assert done.stdout.split() == ["200"] * 30, done.stdout


def tls_policy(routes):
    """An OutboundPolicy that says TLS: server names to addresses."""
    o, m, net = (messages()[name] for name in ("outbound", "meta", "net"))
    policy = o.OutboundPolicy(metadata=m.Metadata(default="tls"))
    for name, (ip, port) in routes.items():
        route = policy.protocol.tls.routes.add(metadata=m.Metadata(default=name))
        route.snis.add().exact = name
        backend = route.rules.add().backends.first_available.backends.add().backend
        backend.metadata.default = name
        backend.forward.CopyFrom(weighted(ip, port))
    return policy


def test_tls_is_routed_by_server_name(pair, folder):
    """Passed through as it is, to where the name that the client asks for leads; what is no TLS leads nowhere."""
    server = ("import socket,ssl,sys\n"
              "c=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[2])\n"
              "s=socket.create_server(('0.0.0.0',int(sys.argv[1])))\n"
              "while True:\n"
              "    try:\n"
              "        with c.wrap_socket(s.accept()[0],server_side=True) as t: t.sendall(sys.argv[1].encode())\n"
              "    except OSError as e: print(e,flush=True)\n")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                    "-keyout", folder / "key", "-out", folder / "crt"], check=True, capture_output=True)
    (folder / "both").write_text((folder / "key").read_text() + (folder / "crt").read_text())
    (folder / "both").chmod(0o644)
    for port in (7001, 7002):
        pair.web.start_app(["/usr/bin/python3", "-c", server, str(port), folder / "both"], port=port, name=f"tls-{port}")
    web = pair.web.host.ip4
    pair.control.targets["10.99.0.1:443"] = Feed(tls_policy({"one.example": (web, 7001), "two.example": (web, 7002)}))
    pair.control.start([pair.client.host])
    pair.client.redirect()
    pair.client.start_proxy(pair.control.env("client"))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def ask(name):
        with pair.client.host.connect("10.99.0.1", 443) as sock, context.wrap_socket(sock, server_hostname=name) as tls:
            return tls.recv(100)

    assert [ask(name) for name in ("one.example", "two.example", "ONE.example")] == [b"7001", b"7002", b"7001"]
    with pytest.raises(OSError):
        ask("three.example")
    with pair.client.host.connect("10.99.0.1", 443) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
        try:
            assert sock.recv(100) == b""
        except ConnectionResetError:
            pass


def test_policy_change_is_seen_at_once(pair, folder):
    pair.service()
    feed = pair.control.ports[8080] = Feed(server())
    nginx(pair.web, folder)
    pair.start()
    assert pair.curl("-o", "/dev/null", "-w", "%{http_code}").stdout == "200"
    feed.say(server(authorizations=[]))
    deadline = time.monotonic() + 10
    while pair.curl("-o", "/dev/null", "-w", "%{http_code}").stdout != "403":
        assert time.monotonic() < deadline
    feed.say(server())
    while pair.curl("-o", "/dev/null", "-w", "%{http_code}").stdout != "200":
        assert time.monotonic() < deadline


def test_http2_prior_knowledge(pair, folder):
    """HTTP/2 stays HTTP/2 between the proxies and to the application."""
    pair.service(port=81, target=8081)
    pair.web.start_app(["nghttpd", "--no-tls", "-d", str(folder), "8081"], port=8081, uid=1000, name="nghttpd")
    (folder / "index.html").write_text("hello over two\n")
    pair.start()
    done = pair.curl("--http2-prior-knowledge", "-i", port=81, path="/index.html")
    assert done.stdout.startswith("HTTP/2 200") and "hello over two" in done.stdout


def test_websocket_upgrade(pair):
    code = ("import asyncio,websockets\n"
            "async def go(ws):\n"
            "    async for m in ws: await ws.send(m[::-1])\n"
            "async def main():\n"
            "    async with websockets.serve(go,'0.0.0.0',8082): await asyncio.Future()\n"
            "asyncio.run(main())\n")
    pair.service(port=82, target=8082)
    pair.web.start_app([sys.executable, "-c", code], port=8082, uid=0, name="websocket")
    pair.start()
    client = ("import asyncio,websockets\n"
              "async def main():\n"
              "    async with websockets.connect('ws://10.99.0.1:82/') as ws:\n"
              "        for i in range(3):\n"
              "            await ws.send('hello%d'%i); print(await ws.recv())\n"
              "asyncio.run(main())\n")
    done = pair.client.host.run([sys.executable, "-c", client])
    assert done.stdout.split() == ["0olleh", "1olleh", "2olleh"]


def test_end_of_an_upgraded_connection(pair):
    """The server's last bytes and its end, which often arrive together, both reach the client at once."""
    code = ("import socket\n"
            "s=socket.create_server(('0.0.0.0',8082))\n"
            "while True:\n"
            "    c=s.accept()[0]\n"
            "    if not c.recv(4096): continue\n"
            "    c.sendall(b'HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: words\\r\\n\\r\\nhello')\n"
            "    c.recv(100); c.sendall(b'bye'); c.close()\n")
    pair.service(port=82, target=8082)
    pair.web.start_app([sys.executable, "-c", code], port=8082, uid=0, name="words")
    pair.start()
    for _ in range(10):
        with pair.client.host.connect("10.99.0.1", 82, timeout=5) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: words\r\n\r\n")
            answer = b""
            while not answer.endswith(b"hello"):
                answer += sock.recv(4096)
            sock.sendall(b"well?")
            last = b""
            while data := sock.recv(4096):
                last += data
            assert last == b"bye"


def greeter(pod, port):
    """A server that speaks first, as SMTP and MySQL do, and then echoes lines."""
    code = ("import socket,threading,sys\n"
            "s=socket.create_server(('0.0.0.0',int(sys.argv[1])))\n"
            "def go(c):\n"
            "    c.sendall(b'220 hello\\r\\n')\n"
            "    while (b:=c.recv(4096)): c.sendall(b)\n"
            "    c.close()\n"
            "while True: threading.Thread(target=go,args=(s.accept()[0],),daemon=True).start()\n")
    return pod.start_app(["/usr/bin/python3", "-c", code, str(port)], port=port, name="greeter")


@pytest.mark.parametrize("meshed", [True, False], ids=["meshed", "unmeshed"])
def test_server_speaks_first(pair, meshed):
    """On a detect port, with detection set to ten seconds, the greeting comes long before that."""
    pair.service(port=2525, target=2525, meshed=meshed)
    greeter(pair.web, 2525)
    if meshed:
        pair.start()
    else:
        pair.control.start([pair.client.host])
        pair.client.redirect()
        pair.client.start_proxy(pair.control.env("client"))
    started = time.monotonic()
    with pair.client.host.connect("10.99.0.1", 2525, timeout=5) as sock:
        assert sock.recv(100) == b"220 hello\r\n"
        first = time.monotonic() - started
        sock.sendall(b"MAIL FROM:<a@b>\r\n")
        assert sock.recv(100) == b"MAIL FROM:<a@b>\r\n"
    assert first < 5, f"the first byte took {first:.3f} s"


def test_slow_http_client_after_the_grace(pair, folder):
    """A client that is silent for longer than the grace and then speaks HTTP is served as HTTP."""
    pair.service()
    nginx(pair.web, folder)
    pair.start()
    with pair.client.host.connect("10.99.0.1", 80, timeout=10) as sock:
        deadline = time.monotonic() + 10
        while "server-first" not in get(pair.client.host, "127.0.0.1", 4191, "/connections").body.decode():
            assert time.monotonic() < deadline
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := sock.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200") and b"hello from nginx over HTTP/1.1" in answer


def test_upgraded_connection_ends_as_its_server_ends_it(pair):
    """A WebSocket server closes first and leaves its side half-open (RFC 6455 section 7.1.1): the client hears of it at once."""
    pair.service(port=82, target=8082)
    listener = pair.web.host.listen("0.0.0.0", 8082)

    def serve():
        sock, _ = listener.accept()
        with sock:
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(4096)
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
            sock.sendall(sock.recv(100))
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(100) == b""

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    pair.start()
    with pair.client.host.connect("10.99.0.1", 82) as sock:
        sock.settimeout(5)
        sock.sendall(b"GET / HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        assert head.startswith(b"HTTP/1.1 101 ")
        sock.sendall(b"hello")
        assert sock.recv(100) == b"hello"
        assert sock.recv(100) == b"", "the server's end did not arrive"
        sock.shutdown(socket.SHUT_WR)
        thread.join(5)
        assert not thread.is_alive(), "the client's end did not arrive"
    listener.close()


SILENT = """
import socket, sys
s = socket.create_server(('0.0.0.0', int(sys.argv[1])))
print('listening', flush=True)
held = []
while True:
    c = s.accept()[0]
    held.append(c)
    if c.recv(65536): print('asked', flush=True)
"""


def test_broken_upgrade(pair):
    """The server's proxy is gone before the answer to an upgrade: the client gets an HTTP answer, not a reset."""
    pair.service()
    app = pair.web.start_app(["/usr/bin/python3", "-c", SILENT, 8080], name="silent")
    app.wait_line("listening")
    pair.start()
    with pair.client.host.connect("10.99.0.1", 80, 20) as sock:
        sock.sendall(b"GET /chat HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        app.wait_line("asked")
        pair.web.proxy.kill(signal.SIGKILL)
        answer = sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 502 ") and b"l5d-proxy-error: connection-lost" in answer, answer


def test_http_to_a_port_that_is_opaque_over_there(pair, folder):
    """The endpoint says so, the Service does not: the client's proxy routes requests, the server's looks at no byte."""
    pair.service(opaque=True)
    nginx(pair.web, folder)
    pair.start()
    assert "x-client-id" not in pair.curl("-i").stdout
    opened = [line for line in pair.web.metrics().splitlines() if line.startswith('tcp_open_total{direction="inbound",peer="src"') and 'tls="true"' in line]
    assert opened and 'request_total{direction="inbound"' not in pair.web.metrics()
    assert re.search(r'^request_total\{direction="outbound".*tls="true"', pair.client.metrics(), re.MULTILINE)
