"""A server behind each proxy that keeps what it got, byte for byte, and reads it as strictly as RFC 9112 is written.

    backend = Backend(listening_socket)
    backend.begin()            forgets what came so far
    ... one exchange through the proxy, then a fence: a request for /fence/N, answered when all before it was read
    backend.taken()            [Message], in the order of arrival

A proxy may only send what this reader takes without a guess: anything else is a Message with `odd` set.
"""

import re
import selectors
import threading
from dataclasses import dataclass, field

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
START = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])$")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*$")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?$")


@dataclass
class Message:
    raw: bytes = b""  # the head, or all that came when it is odd
    method: bytes = b""
    target: bytes = b""
    fields: list = field(default_factory=list)
    body: bytes = b""
    complete: bool = False
    odd: str = ""  # why no strict reader takes it

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name]


class Odd(Exception):
    pass


class Reader:
    """Bytes of one connection to messages. feed() returns those that are complete; `now` is the one being read."""

    def __init__(self):
        self.waiting, self.now, self.step = b"", None, self.head

    def feed(self, data):
        self.waiting += data
        done = []
        try:
            while self.step():
                if self.now.complete:
                    done.append(self.now)
                    self.now, self.step = None, self.head
        except Odd as why:
            message = self.now or Message()
            message.raw, message.odd, message.complete = message.raw + self.waiting, str(why), True
            done.append(message)
            self.now, self.waiting, self.step = None, b"", lambda: False
        return done

    def end(self):
        """What the end of the connection cut off, if anything."""
        if self.now or self.waiting:
            message = self.now or Message(raw=self.waiting)
            return [message]
        return []

    def head(self):
        if b"\r\n\r\n" not in self.waiting:
            bare = re.search(rb"[\0-\x08\x0a-\x1f]", self.waiting.replace(b"\r\n", b"").removesuffix(b"\r"))
            if bare:
                raise Odd(f"byte {bare[0]!r} in a head")
            return False
        raw, _, self.waiting = self.waiting.partition(b"\r\n\r\n")
        lines = raw.split(b"\r\n")
        start = START.match(lines[0])
        self.now = Message(raw=raw + b"\r\n\r\n")
        if not start:
            raise Odd(f"start line {lines[0]!r}")
        self.now.method, self.now.target = start[1], start[2]
        for line in lines[1:]:
            if not (match := FIELD.match(line)):
                raise Odd(f"field {line!r}")
            self.now.fields.append((match[1], match[2]))
        self.frame(start[3])
        return True

    def frame(self, minor):
        lengths, codings = self.now.values(b"content-length"), self.now.values(b"transfer-encoding")
        if len(self.now.values(b"host")) > 1 or minor == b"1" and not self.now.values(b"host"):
            raise Odd("Host is not there exactly once")
        if lengths and codings:
            raise Odd("both framings")
        if codings:
            if [value.lower() for value in codings] != [b"chunked"]:
                raise Odd(f"coding {codings!r}")
            self.step = self.chunk_size
        elif lengths:
            if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
                raise Odd(f"length {lengths!r}")
            self.left, self.step = int(lengths[0]), self.length
        else:
            self.now.complete = True

    def length(self):
        part, self.waiting = self.waiting[:self.left], self.waiting[self.left:]
        self.now.body += part
        self.left -= len(part)
        self.now.complete = self.left == 0
        return self.now.complete

    def line(self):
        """One line without its end, or None; a bare CR or LF in it is odd."""
        if b"\r\n" not in self.waiting:
            return None
        line, _, self.waiting = self.waiting.partition(b"\r\n")
        if b"\n" in line or b"\r" in line:
            raise Odd(f"line {line!r}")
        return line

    def chunk_size(self):
        if (line := self.line()) is None:
            return False
        if not (match := CHUNK.match(line)):
            raise Odd(f"chunk {line!r}")
        self.left = int(match[1], 16)
        self.step = self.chunk_data if self.left else self.trailers
        return True

    def chunk_data(self):
        if len(self.waiting) < self.left + 2:
            return False
        if self.waiting[self.left:self.left + 2] != b"\r\n":
            raise Odd("data longer than its chunk")
        self.now.body += self.waiting[:self.left]
        self.waiting, self.step = self.waiting[self.left + 2:], self.chunk_size
        return True

    def trailers(self):
        if (line := self.line()) is None:
            return False
        if line == b"":
            self.now.complete = True
        elif not FIELD.match(line):
            raise Odd(f"trailer {line!r}")
        return True


ANSWER = b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n%s"


class Backend:
    def __init__(self, listener):
        self.listener, self.readers, self.messages = listener, {}, []
        self.choose = selectors.DefaultSelector()
        self.choose.register(listener, selectors.EVENT_READ)
        listener.setblocking(False)
        self.ending = False
        self.thread = threading.Thread(target=self.run, daemon=True, name="backend")
        self.thread.start()

    def begin(self):
        self.messages = []

    def taken(self):
        """All messages, those that were cut off too; to be called after a fence."""
        unfinished = [message for reader in list(self.readers.values()) for message in reader.end()]
        return self.messages + unfinished

    def close(self):
        self.ending = True
        self.thread.join(10)
        for sock in [*self.readers, self.listener]:
            sock.close()

    # --- its thread ---

    def run(self):
        while not self.ending:
            self.turn(0.05)

    def turn(self, timeout):
        fences, any_event = [], True
        while any_event:  # until nothing is left to read: then all that was sent before a fence is read too
            events = self.choose.select(0 if fences else timeout)
            any_event = bool(fences) and bool(events)
            for key, _ in events:
                fences += self.accept() if key.fileobj is self.listener else self.read(key.fileobj)
            any_event = any_event or bool(fences) and bool(events)
        for sock, message in fences:
            self.answer(sock, message)

    def accept(self):
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return []
        sock.setblocking(False)
        self.readers[sock] = Reader()
        self.choose.register(sock, selectors.EVENT_READ)
        return []

    def read(self, sock):
        try:
            data = sock.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.messages += self.readers.pop(sock).end()
            self.choose.unregister(sock)
            sock.close()
            return []
        fences = []
        for message in self.readers[sock].feed(data):
            if b"/fence/" in message.target and not message.odd:
                fences.append((sock, message))
            else:
                self.messages.append(message)
                self.answer(sock, message)
        return fences

    def answer(self, sock, message):
        status, body = b"200 OK", b"" if message.method == b"HEAD" else b"ok"
        if message.odd or message.method == b"CONNECT":
            status = b"405 Refused"
        try:
            sock.sendall(ANSWER % (status, body))
        except OSError:
            pass  # the proxy was quicker
