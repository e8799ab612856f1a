"""An HTTP/2 application that answers with the frames that a table names: `python3 h2_wrong.py PORT TABLE`. TABLE holds a literal: for
each path without its slash, a list of steps. A step is (kind, flags, stream, payload), stream None for that of the request; or
"close", or "reset" (of the connection). Any other path is answered 200 with "ok\\n"."""

import ast
import pathlib
import socket
import struct
import sys
import threading

import hpack

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from lib.h2_frames import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, WINDOW_UPDATE,  # noqa: E402
                           block, frame)

OK = [(HEADERS, END_HEADERS, None, block((":status", "200"), ("content-length", "3"))), (DATA, END_STREAM, None, b"ok\n")]


class Conn:
    def __init__(self, sock, table):
        self.sock, self.table, self.seen, self.decoder = sock, table, b"", hpack.Decoder()

    def take(self, count):
        while len(self.seen) < count:
            more = self.sock.recv(1 << 16)
            if not more:
                raise EOFError
            self.seen += more
        found, self.seen = self.seen[:count], self.seen[count:]
        return found

    def serve(self):
        if self.take(len(PREFACE)) != PREFACE:
            return
        self.sock.sendall(frame(SETTINGS) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30)))
        while True:
            head = self.take(9)
            kind, flags, stream = struct.unpack(">BBI", head[3:])
            payload = self.take(int.from_bytes(head[:3], "big"))
            if kind in (SETTINGS, PING) and not flags & ACK:
                self.sock.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind == HEADERS:
                path = dict(self.decoder.decode(payload)).get(":path", "/")
                for step in self.table.get(path[1:], OK):
                    self.say(step, stream)

    def say(self, step, stream):
        if step == "close":
            raise EOFError
        if step == "reset":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise EOFError
        kind, flags, on, payload = step
        self.sock.sendall(frame(kind, flags, stream if on is None else on, payload))


def go(sock, table):
    try:
        Conn(sock, table).serve()
    except (EOFError, OSError):
        pass
    sock.close()


if __name__ == "__main__":
    steps = ast.literal_eval(pathlib.Path(sys.argv[2]).read_text())
    listener = socket.create_server(("0.0.0.0", int(sys.argv[1])), backlog=256)
    while True:
        threading.Thread(target=go, args=(listener.accept()[0], steps), daemon=True).start()
