"""Requests by seed: one or more of the corpus, joined and changed in places where parsers differ. Nothing here has a state
but the random generator, so a seed and a number name a request for ever."""

import random

from differential.corpus import PASS

TOKENS = [b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b" ", b"\t", b"\x0b", b"\x0c", b"\0", b"\x7f", b"\xa0", b"\x85", b":", b": ", b",", b";",
        b"=", b"\"", b"\\", b"0", b"1", b"5", b"a", b"+", b"-", b"0x",
          b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b" HTTP/1.1\r\n", b"GET ", b"POST ", b"HEAD ", b"CONNECT ", b"OPTIONS ", b"/", b"*", b"http://web", b"http://",
          b"Host: web\r\n", b"Host: other\r\n", b"Content-Length: 4\r\n", b"Content-Length: 0\r\n", b"content-length: 5\r\n", b"Content-Length:", b"Transfer-Encoding: chunked\r\n",
          b"Transfer-Encoding:", b"transfer-encoding: CHUNKED\r\n", b"chunked", b"identity", b"gzip", b"0\r\n\r\n", b"5\r\nhello\r\n", b"5;a=b\r\nhello\r\n", b"Connection: close\r\n",
          b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b"TE: trailers\r\n", b"Trailer: x\r\n", b"X: y\r\n", b" folded\r\n",
          b"GET /hidden HTTP/1.1\r\nHost: web\r\n\r\n", b"POST /hidden HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\nabc"]


def cut(rng, data):
    return rng.randrange(len(data) + 1)


def insert(rng, data):
    at = cut(rng, data)
    return data[:at] + rng.choice(TOKENS) + data[at:]


def insert_at_line(rng, data):
    ends = [at + 2 for at in range(len(data) - 1) if data[at:at + 2] == b"\r\n"]
    at = rng.choice(ends or [0])
    return data[:at] + rng.choice(TOKENS) + data[at:]


def replace(rng, data):
    at = cut(rng, data)
    return data[:at] + rng.choice(TOKENS) + data[at + rng.randrange(1, 4):]


def delete(rng, data):
    at = cut(rng, data)
    return data[:at] + data[at + rng.randrange(1, 6):]


def any_byte(rng, data):
    at = cut(rng, data)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + rng.randrange(2):]


def swap_token(rng, data):
    """One of the words of HTTP for another, wherever it stands."""
    present = [token for token in TOKENS if token in data]
    if not present:
        return insert(rng, data)
    return data.replace(rng.choice(present), rng.choice(TOKENS), 1)


def repeat_line(rng, data):
    lines = data.split(b"\r\n")
    at = rng.randrange(len(lines))
    return b"\r\n".join(lines[:at] + [lines[at]] * 2 + lines[at + 1:])


def change_case(rng, data):
    at = cut(rng, data)
    return data[:at] + data[at:at + 8].swapcase() + data[at + 8:]


WAYS = [insert, insert, insert_at_line, insert_at_line, insert_at_line, replace, delete, any_byte, swap_token, swap_token, repeat_line, change_case]


def requests(seed, count, corpus):
    """(number, bytes) in the same order for the same seed."""
    rng = random.Random(seed)
    small = [case for case in corpus.values() if len(case.request) < 4096]
    good, bad = ([case.request for case in small if (case.ours == PASS) == wanted] for wanted in (True, False))
    for number in range(count):
        data = b"".join(rng.choice(rng.choice([good, good, bad])) for _ in range(rng.choice([1, 1, 1, 2])))
        for _ in range(rng.choice([1, 1, 2, 3, 5])):
            data = rng.choice(WAYS)(rng, data)
        yield number, data
