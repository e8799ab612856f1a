"""Clients of the controller that mean harm or are broken: refused with a status, bounded, and nobody else notices."""

import contextlib
import re
import socket
import struct
import time

import grpc
import pytest

from lib.controller import make_csr
from lib.h2_frames import (CONTINUATION, DATA, END, END_HEADERS, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
                           WINDOW_UPDATE, block, frame, narrow)
from lib.manifests import pod, service
from lib.scripted import messages

WEB = "web.default.svc.cluster.local:80"
PORTS = (8086, 8080, 8090, 9990)
GET = "/io.linkerd.proxy.destination.Destination/Get"


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"^Rss:\s+(\d+)", file.read(), re.M)[1]) * 1024


def sanitized(pid):
    with open(f"/proc/{pid}/maps") as file:
        return "asan" in file.read()


@pytest.fixture
def served(control):
    """served(): somebody else gets an answer, at once."""
    control.write("web.yaml", service(), pod())
    control.start()
    begin = resident(control.program.pid)

    def served():
        stream = control.watch_endpoints(WEB)
        assert stream.next().add.addrs
        stream.call.cancel()
        assert control.http("/ready")[0] == 200
        assert resident(control.program.pid) - begin < 48 << 20 or sanitized(control.program.pid)
    served()
    return served


def head(path, *more):
    return block((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"), ("content-type", "application/grpc"),
                 ("te", "trailers"), *more)


def call(message, path=GET, prefix=None):
    """A whole call with these bytes as its message."""
    prefix = struct.pack(">BI", 0, len(message)) if prefix is None else prefix
    return frame(HEADERS, END_HEADERS, 1, head(path)) + frame(DATA, 1, 1, prefix + message)


HELLO = PREFACE + frame(SETTINGS)
WIRE = {
    "zeros": b"\0" * 4096,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 600,
    "http/1": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\nx",
    "half a preface": PREFACE[:10],
    "garbage behind the preface": PREFACE + b"\xff" * 5000,
    "half a frame": HELLO + frame(HEADERS, END_HEADERS, 1, head(GET))[:20],
    "a frame too big": HELLO + frame(DATA, 0, 1, b"x" * 20_000),
    "data of no stream": HELLO + frame(DATA, 0, 7, b"x"),
    "bad hpack": HELLO + frame(HEADERS, END, 1, b"\xff" * 100),
    "half a message": HELLO + call(b"\x0a", prefix=struct.pack(">BI", 0, 500)),
    "a message without end": HELLO + call(b"x" * 1000, prefix=b"\0\xff\xff\xff\xff"),
    "compressed": HELLO + call(b"x", prefix=b"\1\0\0\0\1"),
    "bad protobuf": HELLO + call(b"\xff" * 200),
    "deep protobuf": HELLO + call(b"\x0b" * 5000),
    "no such method": HELLO + call(b"", path="/a/b"),
    "path of nonsense": HELLO + call(b"", path="/" + "\x7f" * 3000),
    "rapid resets": HELLO + b"".join(frame(HEADERS, END_HEADERS, i, head(GET)) + frame(RST_STREAM, 0, i, b"\0\0\0\x08") for i in range(1, 6001, 2)),
    "pings": HELLO + frame(PING, 0, 0, b"12345678") * 20_000,
    "settings": HELLO + frame(SETTINGS) * 20_000,
    "endless headers": HELLO + frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, b"\x00\x01a\x7f\x81\x3f" + b"v" * 8192) * 200,
    "windows": HELLO + frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 3,
    "goodbye": HELLO + frame(GOAWAY, 0, 0, b"\0" * 8) * 1000,
}


@pytest.mark.parametrize("half_open", [False, True], ids=["ended", "half open"])
def test_wire(control, served, half_open):
    """On every port; some say it and end, others say it and stay."""
    with contextlib.ExitStack() as stack:
        for name, data in WIRE.items():
            for port in PORTS:
                peer = stack.enter_context(socket.create_connection((control.host, port), 10))
                with contextlib.suppress(ConnectionError):
                    peer.sendall(data)
                    if not half_open:
                        with contextlib.suppress(OSError):  # it was ended already
                            peer.shutdown(socket.SHUT_WR)
                        while peer.recv(65536):
                            pass
            served()


def test_tokens_and_requests_of_nonsense(control, served):
    name = "web.default.serviceaccount.identity.linkerd.cluster.local"
    token, csr = control.token_key.sign("web"), make_csr(name)
    body = token.split(".")
    cases = {
        "nothing": ("", "", b""), "empty token": (name, "", csr), "empty request": (name, token, b""),
        "garbage token": (name, "\x01" * 5000, csr), "huge token": (name, "a" * 3_000_000, csr), "dots": (name, "." * 1000, csr),
        "two parts": (name, ".".join(body[:2]), csr), "no signature": (name, f"{body[0]}.{body[1]}.", csr),
        "algorithm none": (name, f"eyJhbGciOiJub25lIn0.{body[1]}.", csr), "payload of brackets": (name, f"{body[0]}.{'W1tb' * 2000}.{body[2]}", csr),
        "garbage request": (name, token, b"\xff" * 5000), "huge request": (name, token, csr + b"\0" * 3_000_000),
        "half a request": (name, token, csr[:-10]), "endless length": (name, token, b"\x30\x84\xff\xff\xff\xff" + b"\0" * 100),
        "nested": (name, token, b"\x30\x80" * 8000), "name of nonsense": ("\x01" * 4000, token, csr), "another name": ("x" + name, token, csr),
        "another request": (name, token, make_csr("other.default.serviceaccount.identity.linkerd.cluster.local")),
    }
    for case, (identity, token_, csr_) in cases.items():
        with pytest.raises(grpc.RpcError) as error:
            control.certify(identity, token_, csr_)
        assert error.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION,
                                      grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED), (case, error.value)
        assert error.value.details(), case
    assert control.certify(name, token, csr).leaf_certificate
    served()


@pytest.mark.slow
def test_who_never_reads(control, served):
    """Subscribers that take nothing, beside one that does: that one gets each change soon, and memory is bounded."""
    request = messages()["destination"].GetDestination(scheme="k8s", path=WEB, context_token="ns:default").SerializeToString()
    message = struct.pack(">BI", 0, len(request)) + request
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            peer = narrow(socket.socket())
            peer.connect((control.host, 8086))
            stack.enter_context(peer)
            peer.sendall(HELLO + b"".join(frame(HEADERS, END_HEADERS, i, head(GET)) + frame(DATA, 1, i, message) for i in range(1, 201, 2)))
        fast = control.watch_endpoints(WEB)
        assert fast.next().add.addrs
        began = time.monotonic()
        for i in range(150):
            control.write("web.yaml", service(), pod(), *([pod("web-1", ip="10.1.0.2")] if i % 2 == 0 else []))
            fast.next()
        assert time.monotonic() - began < 60
        served()


def test_thousands_of_subscriptions(control, served):
    """They all get the first answer; when they have gone, so has what they held."""
    destination = messages()["destination"]
    channels = [grpc.insecure_channel(f"{control.host}:8086", options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(4)]
    try:
        stubs = [messages()["destination_grpc"].DestinationStub(channel) for channel in channels]
        calls = [stubs[i % 4].Get(destination.GetDestination(scheme="k8s", path=WEB, context_token="ns:default")) for i in range(2000)]
        for one in calls:
            assert next(one).add.addrs
        served()
        control.write("web.yaml", service(), pod(), pod("web-1", ip="10.1.0.2"))
        for one in calls:
            assert next(one)
        for one in calls:
            one.cancel()
    finally:
        for channel in channels:
            channel.close()
    served()
