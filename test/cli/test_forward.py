"""The way to a pod's port, against an API server played here frame by frame."""

import base64
import contextlib
import hashlib
import json
import os
import socket
import ssl
import struct
import threading

import pytest
import yaml

POD = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"containers": [{"name": "linkerd-proxy", "image": "x:1"}]}, "status": {}}
PORT = struct.pack("<H", 4191)


def frame(payload, opcode=2, final=True):
    size = len(payload)
    head = bytes([opcode | (0x80 if final else 0)])
    return head + (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 65536 else b"\x7f" + struct.pack(">Q", size)) + payload


def read_head(conn):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += conn.recv(1) or pytest.fail("closed")
    return head.decode()


def exactly(conn, count):
    data = b""
    while len(data) < count:
        data += conn.recv(count - len(data)) or b"\0" * count
    return data


def read_frame(conn):
    first, second = exactly(conn, 2)
    size = second & 127
    assert second & 128, "a client masks"
    if size >= 126:
        size, = struct.unpack(">H" if size == 126 else ">Q", exactly(conn, 2 if size == 126 else 8))
    mask = exactly(conn, 4)
    return first & 15, bytes(byte ^ mask[i % 4] for i, byte in enumerate(exactly(conn, size)))


@contextlib.contextmanager
def api_server(script=None, pods=(POD,), refuse=None, accept=None, protocol="v4.channel.k8s.io", cluster=()):
    """An API server with these pods; script(conn) plays the first pod behind the handshake, or gives the answer to it. A kubeconfig."""
    def document(path):
        return {"items": list(pods), "metadata": {}} if path.split("?")[0].endswith("/pods") else next(
            pod for pod in pods if path.endswith(f"/pods/{pod['metadata']['name']}"))

    def serve(conn):
        with conn, contextlib.suppress(OSError):
            head = read_head(conn)
            if "portforward" not in head:
                body = json.dumps(document(head.split()[1]))
                conn.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                conn.recv(1)
                return
            if refuse:
                conn.sendall(refuse.encode())
                return
            key = next(line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
            right = base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
            assert "GET /api/v1/namespaces/default/pods/web/portforward?ports=4191 " in head
            assert "\r\nImpersonate-User: jane\r\nImpersonate-Group: ops\r\n" in head
            conn.sendall((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept or right}\r\n"
                          f"Sec-WebSocket-Protocol: {protocol}\r\n\r\n").encode() + frame(b"\0" + PORT) + frame(b"\1" + PORT))
            script(conn)
            while conn.recv(65536):
                pass

    def listen():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=listen, daemon=True).start()
        yield yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.getsockname()[1]}", **dict(cluster)}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]})
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def ask(linkerd, tmp_path):
    """ask(words, script, ...): runs `linkerd` beside such an API server."""
    def run(words, script=None, **server):
        with api_server(script, **server) as config:
            (tmp_path / "config").write_text(config)
            return linkerd(*words, "--wait=10s", "--as=jane", "--as-group=ops", env={"KUBECONFIG": str(tmp_path / "config")})

    return run


@pytest.fixture
def metrics(ask):
    return lambda *script, **server: ask(["diagnostics", "proxy-metrics", "po/web"], *script, **server)


def request(conn):
    opcode, payload = read_frame(conn)
    assert opcode == 2 and payload.startswith(b"\0GET /metrics HTTP/1.1\r\n"), payload


def answer(body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("kind", ["tinyproxy", "microsocks"])
def test_through_a_proxy(metrics, programs, tmp_path, kind):
    """Both connections, the one that looks the pod up and the one that leads to its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "proxy.conf").write_text(f"Listen 127.0.0.1\nPort {port}\nTimeout 60\nLogLevel Connect\n")
    programs.start(["tinyproxy", "-d", "-c", tmp_path / "proxy.conf"] if kind == "tinyproxy" else ["microsocks", "-i", "127.0.0.1", "-p", port],
                   name=kind).wait_port(port)

    def script(conn):
        request(conn)
        conn.sendall(frame(b"\0" + answer(b"x 1\n")))

    done = metrics(script, cluster={"proxy-url": f"{'http' if kind == 'tinyproxy' else 'socks5'}://127.0.0.1:{port}"})
    assert done.returncode == 0 and "x 1\n" in done.stdout, done.stderr


@pytest.mark.parametrize("piece", [1, 700, 32768, 200000])
def test_frames_of_any_size(metrics, piece):
    body = os.urandom(60 if piece == 1 else 200000).hex().encode()

    def script(conn):
        request(conn)
        whole = answer(body)
        for at in range(0, len(whole), piece):
            conn.sendall(frame(b"\0" + whole[at:at + piece]))

    done = metrics(script)
    assert done.stdout.endswith(body.decode()) and done.returncode == 0, done.stderr


def test_pieces_and_pings(metrics):
    def script(conn):
        request(conn)
        whole = answer(b"fine")
        conn.sendall(frame(b"", 2, False) + frame(b"\0" + whole[:9], 0, False) + frame(b"hello", 9) + frame(whole[9:20], 0))
        assert read_frame(conn) == (10, b"hello")
        conn.sendall(frame(b"\0" + whole[20:]))

    done = metrics(script)
    assert done.returncode == 0 and done.stdout.endswith("fine"), done.stderr


def test_error_of_the_pod(metrics):
    def script(conn):
        conn.sendall(frame(b"\1connection \nrefused") + frame(b"\x03\xe8", 8))

    done = metrics(script)
    assert done.returncode == 1 and done.stderr == "linkerd: diagnostics proxy-metrics: pod default/web port 4191: connection  refused\n"


@pytest.mark.parametrize("bad", [frame(b"\7x"), frame(b"", 3), b"\x82\x83maskabc", frame(b"\x03\xe8", 8), b""])
def test_broken_server(metrics, bad):
    def script(conn):
        request(conn)
        conn.sendall(bad)
        conn.shutdown(socket.SHUT_WR)

    done = metrics(script)
    assert done.returncode == 1 and "pod default/web port 4191: no whole HTTP answer" in done.stderr


@pytest.mark.parametrize("options, sentence", [
    ({"accept": "x"}, "does not fit it"), ({"protocol": "other"}, "does not forward ports by WebSocket"),
    ({"refuse": 'HTTP/1.1 403 Forbidden\r\nContent-Length: 33\r\n\r\n{"kind":"Status","message":"no!"}'}, "answered 403: no!"),
    ({"refuse": "HTTP/1.1 500 Oops\r\n\r\nbroken\nx"}, "answered 500: broken"), ({"refuse": "nonsense\r\n\r\n"}, "the answer is no HTTP"),
    ({"refuse": "HTTP/1.1 200"}, "closed the connection")])
def test_refused(metrics, options, sentence):
    done = metrics(lambda conn: None, **options)
    assert done.returncode == 1 and "pod default/web port 4191: " in done.stderr and sentence in done.stderr, done.stderr


# --- who a pod is ---

NAME = "web.default.serviceaccount.identity.linkerd.cluster.local"
ENV = [{"name": "LINKERD2_PROXY_IDENTITY_LOCAL_NAME", "value": "$(_pod_sa).$(_pod_ns).serviceaccount.identity.linkerd.cluster.local"}]
MESHED = {**POD, "spec": {"serviceAccountName": "web", "containers": [{"name": "linkerd-proxy", "image": "x:1", "env": ENV}]}}
WHO = """POD web (1 of 1)

Subject:     CN=root.linkerd.cluster.local
Issuer:      CN=root.linkerd.cluster.local
CA:          yes
Key:         ECDSA P-256
"""


@pytest.fixture
def prover(linkerd, tmp_path):
    """A script that shows a certificate over TLS, and the names that it was asked for."""
    linkerd("certs", "anchor")
    context, names = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "ca.key")
    context.sni_callback = lambda connection, name, ctx: names.append(name)

    def script(conn):
        to_tls, from_tls = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(to_tls, from_tls, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                conn.sendall(frame(b"\0" + from_tls.read()))
                to_tls.write(read_frame(conn)[1][1:])
            else:
                return

    return script, names


@pytest.mark.parametrize("words", [["web"], ["po/web"], ["-l", "app in (web)"], ["-n", "default", "--selector=app=web"]])
def test_identity(ask, prover, words):
    script, names = prover
    done = ask(["identity", *words], script, pods=[MESHED])
    assert done.returncode == 0 and done.stdout.startswith(WHO), done
    assert names == [NAME]


def test_identity_as_json(ask, prover):
    done = ask(["identity", "-l", "app=web", "-o", "json"], prover[0], pods=[MESHED])
    found, = json.loads(done.stdout)
    assert found["pod"] == "default/web" and [one["subject"] for one in found["certificates"]] == ["CN=root.linkerd.cluster.local"]


@pytest.mark.parametrize("words, sentence, pods", [
    ([], "which pods? Give their names, or --selector", [POD]), (["-l", "app=x"], 'no pods in the namespace default have the labels "app=x"', []),
    (["web"], "pod default/web: it has no proxy with an identity", [POD]), (["web", "1.2.3.4:5"], '"1.2.3.4:5" is no name', [MESHED]),
    (["1.2.3.4:5", "web"], "one file or address at a time", [MESHED])])
def test_no_identity(ask, words, sentence, pods):
    done = ask(["identity", *words], lambda conn: None, pods=pods)
    assert done.returncode == 1 and done.stderr.startswith("linkerd: identity: ") and sentence in done.stderr, done
