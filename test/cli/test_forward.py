"""The way to a pod's port, against an API server played here frame by frame."""

import base64
import contextlib
import hashlib
import json
import os
import socket
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


@pytest.fixture
def metrics(linkerd, tmp_path):
    """metrics(script): runs the command; script(conn) plays the pod behind the handshake, or gives the answer to it."""

    def run(script=None, refuse=None, accept=None, protocol="v4.channel.k8s.io"):
        def serve(conn):
            with conn, contextlib.suppress(OSError):
                head = read_head(conn)
                if "portforward" not in head:
                    body = json.dumps(POD)
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
            (tmp_path / "config").write_text(yaml.safe_dump({
                "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.getsockname()[1]}"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}))
            done = linkerd("diagnostics", "proxy-metrics", "po/web", "--wait=10s", "--as=jane", "--as-group=ops", env={"KUBECONFIG": str(tmp_path / "config")})
            server.shutdown(socket.SHUT_RDWR)
        return done

    return run


def request(conn):
    opcode, payload = read_frame(conn)
    assert opcode == 2 and payload.startswith(b"\0GET /metrics HTTP/1.1\r\n"), payload


def answer(body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


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
