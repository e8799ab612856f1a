"""HTTP/2 frame by frame, for peers that do what no library would.

    peer = RawH2(sock)                       preface and settings are sent
    peer.send(frame(HEADERS, END, 1, block(GET, ("x", "y"))))
    answer = peer.answer(1)                  headers, data and trailers of a stream, or how it was reset
"""

import contextlib
import socket
import struct

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
END = END_STREAM | END_HEADERS
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 1, 3, 7, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _length(bits, prefix, value):
    most = (1 << bits) - 1
    if value < most:
        return bytes([prefix | value])
    out, value = bytes([prefix | most]), value - most
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(name, value):
    """A literal field as HPACK says it, nothing checked (RFC 7541, 6.2.2)."""
    name, value = (text if isinstance(text, bytes) else text.encode() for text in (name, value))
    return b"\x00" + _length(7, 0, len(name)) + name + _length(7, 0, len(value)) + value


def block(*fields):
    return b"".join(field(*pair) for pair in fields)


class Answer:
    """Of one stream: the heads (interim ones too, trailers last), the body, and the code of a reset or of the GOAWAY."""

    def __init__(self):
        self.heads, self.body, self.ended, self.reset = [], b"", False, None

    @property
    def status(self):
        """Of the last head that has one; None without."""
        return next((dict(head)[":status"] for head in reversed(self.heads) if ":status" in dict(head)), None)

    def refused(self):
        """A stream error, or a 4xx answer."""
        return self.reset is not None or (self.status or "").startswith("4")

    def __repr__(self):
        return f"heads {self.heads}, body {self.body[:80]!r}, ended {self.ended}, reset {self.reset}"


class RawH2:
    def __init__(self, sock, settings=b"", timeout=20):
        self.sock, self.answers, self.goaway, self.gone = sock, {}, None, False
        self._in, self._decoder = b"", hpack.Decoder()
        sock.settimeout(timeout)
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        with contextlib.suppress(ConnectionError):  # ended by the other side: what it said is still to be read
            self.sock.sendall(data)

    def request(self, stream, *fields, end=True):
        self.send(frame(HEADERS, END if end else END_HEADERS, stream, block(*fields)))

    def answer(self, stream):
        """Reads until the stream ended, was reset, or the connection is gone."""
        found = self.answers.setdefault(stream, Answer())
        while not (found.ended or found.reset is not None or self.gone):
            self.read()
        return found

    def read(self):
        """One read, and what is whole in it."""
        try:
            more = self.sock.recv(1 << 16)
        except ConnectionError:
            more = b""
        self.gone = not more
        self._in += more
        while len(self._in) >= 9:
            length, kind, flags, stream = int.from_bytes(self._in[:3], "big"), *struct.unpack(">BBI", self._in[3:9])
            if len(self._in) < 9 + length:
                break
            payload, self._in = self._in[9:9 + length], self._in[9 + length:]
            self._take(kind, flags, stream, payload)

    def _take(self, kind, flags, stream, payload):
        found = self.answers.setdefault(stream, Answer())
        if kind == HEADERS:
            found.heads.append(self._decoder.decode(payload))
        elif kind == DATA:
            found.body += payload
        elif kind == RST_STREAM:
            found.reset = struct.unpack(">I", payload)[0]
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">I", payload[4:8])[0]
        elif kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            found.ended = True


def narrow(sock):
    """So little is buffered on this side that the peer soon feels that nobody reads."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return sock
