"""Opens connections, sends requests over each, and keeps all of them open until it is killed.

    hold.py http1|echo|h2-tls HOST PORT CONNECTIONS REQUESTS [NAME CERTIFICATE ANCHORS]

Twenty connections are busy at a time. Prints `held N` when all are idle; ends with an error when one closed before that.
"""

import signal
import socket
import ssl
import struct
import sys

AT_ONCE = 20
HTTP1 = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"
ECHO = b"e" + b"x" * 99
DATA, HEADERS, SETTINGS, GOAWAY = 0, 1, 4, 7
END_STREAM, ACK = 1, 1


def receive(sock, count):
    data = b""
    while len(data) < count:
        if not (more := sock.recv(count - len(data))):
            raise ConnectionError("closed while a response was due")
        data += more
    return data


class Http1:
    def __init__(self, sock):
        self.sock = sock

    def send(self):
        self.sock.sendall(HTTP1)

    def finish(self):
        head = b""
        while b"\r\n\r\n" not in head:
            if not (more := self.sock.recv(4096)):
                raise ConnectionError("closed while a response was due")
            head += more
        head, _, body = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(head.decode(errors="replace"))
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        receive(self.sock, length - len(body))


class Echo:
    def __init__(self, sock):
        self.sock = sock

    def send(self):
        self.sock.sendall(ECHO)

    def finish(self):
        receive(self.sock, len(ECHO))


class Http2:
    """GET requests in a fixed field block (RFC 7541: indexed :method, :scheme, :path; :authority as a literal)."""

    BLOCK = b"\x82\x86\x84\x41\x03web"

    def __init__(self, sock):
        self.sock, self.stream = sock, -1
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(SETTINGS, 0, 0, b""))

    @staticmethod
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def send(self):
        self.stream += 2
        self.sock.sendall(self.frame(HEADERS, 0x5, self.stream, self.BLOCK))  # END_HEADERS, END_STREAM

    def finish(self):
        while True:
            head = receive(self.sock, 9)
            length, (kind, flags, stream) = int.from_bytes(head[:3], "big"), struct.unpack(">BBI", head[3:])
            payload = receive(self.sock, length)
            if kind == SETTINGS and not flags & ACK:
                self.sock.sendall(self.frame(SETTINGS, ACK, 0, b""))
            if kind == GOAWAY:
                raise ConnectionError(f"GOAWAY {payload.hex()}")
            if kind == HEADERS and payload[0] != 0x88:  # index 8 of the static table: 200
                raise ConnectionError(f"not a 200: {payload.hex()}")
            if kind in (DATA, HEADERS) and flags & END_STREAM and stream == self.stream:
                return


def tls_context(certificate, anchors):
    context = ssl.create_default_context(cafile=anchors)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["h2"])
    return context


def main():
    kind, host, port, connections, requests, *tls = sys.argv[1:]
    make = {"http1": Http1, "echo": Echo, "h2-tls": Http2}[kind]
    context = tls_context(*tls[1:]) if tls else None
    held = []
    for start in range(0, int(connections), AT_ONCE):
        group = []
        for _ in range(min(AT_ONCE, int(connections) - start)):
            sock = socket.create_connection((host, int(port)), 30)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            group.append(make(context.wrap_socket(sock, server_hostname=tls[0]) if context else sock))
        for _ in range(int(requests)):
            for one in group:
                one.send()
            for one in group:
                one.finish()
        held += group
    print(f"held {len(held)}", flush=True)
    signal.pause()


main()
