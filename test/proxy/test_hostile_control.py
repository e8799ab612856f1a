"""A control plane that is broken or means harm: what it says is refused or bounded, the proxy says why, and traffic that worked
goes on. All of it over real gRPC from a server that is not ours."""

import contextlib
import re
import socket
import struct
import threading
import time

import pytest

from lib.h2_frames import (ACK, CONTINUATION, DATA, END, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS,
                           block, frame)
from lib.http import get
from lib.mesh import ADMIN
from lib.netns import available
from lib.scripted import PORT, add, authorization, messages, net_ip, seconds, server, service_policy, weighted
from proxy.test_hostile import resident, sanitized

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not available(), reason="making network namespaces needs root")]

PATH = "web.default.svc.cluster.local:80"
TARGET = "10.99.0.1:80"
HUGE = 2**32 - 1


def nested(depth):
    """Messages inside messages, all in field 1."""
    inner = b""
    for _ in range(depth):
        size, length = len(inner), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        inner = b"\n" + length + bytes([size]) + inner
    return inner


# What cannot be decoded as anything: the call ends, is begun again with backoff, and the last good state stays.
BROKEN = {
    "garbage": b"\xff" * 300,
    "group": b"\x0b\x0c",
    "truncated": b"\n\x7f\n\x05",
    "overlong varint": b"\n" + b"\x80" * 11,
    "larger than allowed": b"\n" * (5 << 20),
    "deep": nested(5000),
}


def changed(message, change):
    change(message)
    return message


def many(count, third=0):
    return add(*[weighted(f"10.{third + (i >> 16)}.{i >> 8 & 255}.{i & 255}", 8080, h2=False) for i in range(count)])


def addresses():
    """Updates of endpoints that can be decoded, and make no sense, or too much."""
    d, net = messages()["destination"], messages()["net"]
    web = "10.255.255.1"  # nobody
    name = "a\nb\x00c" + "x" * 3000
    return {
        "empty": d.Update(),
        "no addresses": add(),
        "no address in it": d.Update(add=d.WeightedAddrSet(addrs=[d.WeightedAddr(weight=1)])),
        "no ip": d.Update(add=d.WeightedAddrSet(addrs=[d.WeightedAddr(addr=net.TcpAddress(port=80), weight=1)])),
        "port too big": d.Update(add=d.WeightedAddrSet(addrs=[d.WeightedAddr(addr=net.TcpAddress(ip=net_ip(web), port=HUGE))])),
        "port zero": add(weighted(web, 0)),
        "half an ipv6": d.Update(add=d.WeightedAddrSet(addrs=[d.WeightedAddr(addr=net.TcpAddress(
            ip=net.IPAddress(ipv6=net.IPv6(first=2**64 - 1)), port=80))])),
        "unknown kind": b"\xfa\x3e\x02\x08\x01",
        "identity with control bytes": add(weighted(web, 80, identity=name)),
        "identity empty": d.Update(add=d.WeightedAddrSet(addrs=[changed(
            weighted(web, 80), lambda a: a.tls_identity.dns_like_identity.SetInParent())])),
        "labels with control bytes": add(weighted(web, 80, labels={"a\n} 1\nforged_metric 7\n": "b\"} 1\nforged_metric 7\n", "": "", "9": name})),
        "override with control bytes": add(weighted(web, 80, override="web\r\nforged: yes")),
        "remove what is not there": d.Update(remove=d.AddrSet(addrs=[net.TcpAddress()])),
    }


def outbound_policies():
    """The same of outbound policies."""
    o = messages()["outbound"]

    def http(change):
        """A policy with change(rule, backend of it) for each of its HTTP routes."""
        policy = service_policy(PATH)
        for protocol in (policy.protocol.detect.http1, policy.protocol.detect.http2):
            for rule in protocol.routes[0].rules:
                change(rule, rule.backends.first_available.backends[0])
        return policy

    def regex(rule, backend):
        del rule.matches[:]
        for text in ("(a+)+$", "(" * 3000, "a{1,65535}{1,65535}", "\x00", "[", "(?R)", "x" * 100_000):
            rule.matches.add().path.regex = text
            match = rule.matches.add()
            header = match.headers.add()
            header.name, header.regex = "x", text

    def weights(rule, backend):
        rule.backends.random_available.SetInParent()
        for _ in range(3):
            weighed = rule.backends.random_available.backends.add()
            weighed.weight = HUGE
            weighed.backend.backend.CopyFrom(service_policy(PATH).protocol.detect.opaque.routes[0].rules[0].backends.first_available.backends[0].backend)

    def zero(rule, backend):
        weights(rule, backend)
        for weighed in rule.backends.random_available.backends:
            weighed.weight = 0

    def durations(count):
        def change(rule, backend):
            for timeout in (rule.timeouts.request, rule.timeouts.response, rule.timeouts.idle, backend.backend.queue.failfast_timeout,
                            backend.backend.balancer.peak_ewma.default_rtt, backend.backend.balancer.peak_ewma.decay):
                timeout.seconds = count
        return http(change)

    def modifier(rule, backend):
        headers = rule.filters.add().request_header_modifier
        for name, value in (("x-forged", b"a\r\nforged: yes"), ("bad name\r\n", b"v"), ("", b""), (":path", b"/other"), ("host", b"a\0b")):
            header = headers.add.headers.add()
            header.name, header.value = name, value

    def redirect(rule, backend):
        to = rule.filters.add().redirect
        to.host, to.status, to.port = "evil\r\nforged: yes", 999, HUGE

    def injected(status):
        def change(rule, backend):
            failure = rule.filters.add().failure_injector
            failure.status, failure.message = status, "x\r\n" * 1000
            failure.ratio.numerator, failure.ratio.denominator = HUGE, 0
        return http(change)

    return {
        "empty": o.OutboundPolicy(),
        "no routes": changed(o.OutboundPolicy(), lambda p: p.protocol.detect.SetInParent()),
        "no backends": http(lambda rule, backend: rule.backends.Clear()),
        "no kind of backend": http(lambda rule, backend: backend.backend.ClearField("balancer")),
        "backend without a name": http(lambda rule, backend: backend.backend.balancer.discovery.Clear()),
        "name with control bytes": http(lambda rule, backend: setattr(backend.backend.balancer.discovery.dst, "path", "a\nb\0c" + "x" * 5000)),
        "unknown protocol": b"\x0a\x03\xfa\x3e\x00",
        "regexes": http(regex),
        "weights": http(weights),
        "weights of zero": http(zero),
        "queue of none": http(lambda rule, backend: backend.backend.queue.Clear()),
        "queue without end": http(lambda rule, backend: setattr(backend.backend.queue, "capacity", HUGE)),
        "durations negative": durations(-(2**62)),
        "durations huge": durations(2**62),
        "header modifier": http(modifier),
        "redirect": http(redirect),
        "injected 0": injected(0),
        "injected 99999": injected(99999),
        "many routes": changed(service_policy(PATH), lambda p: [p.protocol.detect.http1.routes.add().rules.add() for _ in range(20_000)]),
    }


def inbound_policies():
    i = messages()["inbound"]
    odd = authorization(networks=())
    network = odd.networks.add()
    network.net.ip.CopyFrom(net_ip("10.0.0.0"))
    network.net.prefix_len = 200

    def route(change):
        answer = server()
        change(answer.protocol.detect.http_routes.add().rules.add())
        return answer

    return {
        "empty": i.Server(),
        "no protocol": changed(server(), lambda s: s.ClearField("protocol")),
        "no authorizations": server(authorizations=[]),
        "network of 200 bits": server(authorizations=[odd]),
        "identities with control bytes": server(authorizations=[authorization(tls="clients", identities=["a\0b", "", "x" * 9000], suffixes=[["\0"], [], [""]])]),
        "unknown authentication": server(authorizations=[i.Authz(networks=authorization().networks)]),
        "timeout negative": changed(server(), lambda s: setattr(s.protocol.detect.timeout, "seconds", -(2**62))),
        "timeout huge": changed(server(), lambda s: setattr(s.protocol.detect.timeout, "seconds", 2**62)),
        "labels": changed(server(), lambda s: s.labels.update({"a\n} 1\nforged_metric 7\n": "\"} 1\nforged_metric 7\n"})),
        "regexes": route(lambda rule: setattr(rule.matches.add().path, "regex", "(" * 3000)),
        "unknown protocol": b"\x12\x03\xfa\x3e\x00",
    }


class Road:
    """A pair with traffic through it, and what is said to which of its proxies."""

    def __init__(self, pair):
        self.pair, control = pair, pair.control
        self.good = {"endpoints": control.endpoints[PATH].latest[0], "outbound": control.targets[TARGET].latest[0], "inbound": server()}

    def feed(self, kind):
        control = self.pair.control
        return {"endpoints": lambda: control.endpoints[PATH], "outbound": lambda: control.targets[TARGET], "inbound": lambda: control.default_server}[kind]()

    def said_to(self, kind):
        return (self.pair.web if kind == "inbound" else self.pair.client).proxy

    def works(self):
        assert self.pair.curl("-m", "10", "-o", "/dev/null", "-w", "%{http_code}").stdout == "200"

    def works_again(self, why):
        deadline = time.monotonic() + 30
        while (done := self.pair.curl("-m", "10", "-o", "/dev/null", "-w", "%{http_code}", check=False)).stdout != "200":
            assert time.monotonic() < deadline, (why, done)

    def listens(self, feed, why):
        """Until the proxy has called again after it ended a call."""
        deadline = time.monotonic() + 30
        while not feed.watchers:
            assert time.monotonic() < deadline, why
            time.sleep(0.01)  # between attempts

    def answers(self):
        for pod in (self.pair.web, self.pair.client):
            assert pod.proxy.running(), pod.proxy.output
            page = get(pod.host, "127.0.0.1", ADMIN, "/metrics").body.decode()
            assert not re.search(r"^forged_metric", page, re.M)


@pytest.fixture
def road(pair):
    pair.service()
    pair.web.start_app(["/usr/bin/python3", "-c", APP, "8080"], name="app").wait_line("listening")
    pair.start()
    road = Road(pair)
    road.works()
    return road


# Prints the head of what comes; 200.
APP = r"""
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        print('HEAD', repr(str(self.headers)), flush=True)
        self.send_response(200); self.send_header('content-length', '3'); self.end_headers(); self.wfile.write(b'ok\n')
    def log_message(self, *args): pass
s = http.server.ThreadingHTTPServer(('0.0.0.0', int(sys.argv[1])), Handler)
print('listening', flush=True)
s.serve_forever()
"""


@pytest.mark.parametrize("kind", ["endpoints", "outbound", "inbound"])
def test_undecodable(road, kind):
    """Whatever it is, and for as long as it is said: traffic goes on by the last good state, and the reason is logged, not in a flood."""
    proxy, feed = road.said_to(kind), road.feed(kind)
    before = resident(proxy.pid)
    for name, message in BROKEN.items():
        start = len(proxy.lines)
        feed.say(message, latest=[message])  # the next call hears the same, until it is taken back
        proxy.wait_line(r"(ERROR|WARN) .*(cannot be read|larger than allowed)", start=start)
        road.works()
        feed.say(road.good[kind])
        road.listens(feed, name)
        assert len(proxy.lines) - start < 20, (name, proxy.lines[start:])
    road.answers()
    road.works()
    assert resident(proxy.pid) - before < 24 << 20 or sanitized(proxy.pid)


@pytest.mark.parametrize("kind, table", [("endpoints", addresses), ("outbound", outbound_policies), ("inbound", inbound_policies)])
def test_senseless(road, kind, table):
    """What can be decoded may stop traffic, as it may when it is meant; nothing crashes, is forged, or outlives the next good word."""
    proxy, feed = road.said_to(kind), road.feed(kind)
    for name, message in table().items():
        start = len(proxy.lines)
        feed.say(message, latest=[message])
        asked = road.pair.curl("-m", "5", "-o", "/dev/null", "-w", "%{http_code}", check=False)
        assert asked.stdout in ("200", "400", "403", "404", "500", "502", "503", "504", "000") or "injected" in name or name == "redirect", (name, asked)
        road.answers()
        feed.say(*([messages()["destination"].Update(no_endpoints=messages()["destination"].NoEndpoints(exists=True))]
                   if kind == "endpoints" else []), road.good[kind], latest=[road.good[kind]])
        road.works_again(name)
        assert len(proxy.lines) - start < 60, (name, proxy.lines[start:])
    app = next(program for program in road.pair.web.programs.all if program.name.startswith("app"))
    assert not re.search(r"\\nforged", app.output)


def test_a_million_endpoints(road):
    """Those beyond the limit are left out, and said; memory is bounded; the proxy goes on to answer."""
    proxy, feed = road.said_to("endpoints"), road.feed("endpoints")
    start = len(proxy.lines)
    for i in range(12):
        message = many(85_000, third=10 + 2 * i)
        assert message.ByteSize() < 4 << 20
        feed.say(message, latest=[road.good["endpoints"]])
    proxy.wait_line(r"endpoints of .* are left out: there are more than 100000", start=start, timeout=60)
    road.answers()
    assert resident(proxy.pid) < 200 << 20 or sanitized(proxy.pid), resident(proxy.pid)
    feed.say(messages()["destination"].Update(no_endpoints=messages()["destination"].NoEndpoints(exists=True)), road.good["endpoints"])
    road.works_again("a million endpoints")
    assert len(proxy.lines) - start < 60


def test_endless_updates(road):
    """Thousands of updates as fast as they can be said: traffic goes on meanwhile, and memory does not grow with them."""
    proxy, feed = road.said_to("endpoints"), road.feed("endpoints")
    good = road.good["endpoints"]
    road.works()
    before = resident(proxy.pid)
    for _ in range(50):
        for _ in range(200):
            feed.say(good, latest=[good])
            road.feed("outbound").say(road.good["outbound"])
        road.works()
    assert resident(proxy.pid) - before < 16 << 20 or sanitized(proxy.pid)
    road.answers()


# --- below gRPC: what a server may do with the connection and its frames ---

HELLO = frame(SETTINGS)
GRPC = ((":status", "200"), ("content-type", "application/grpc"))


def close_with(data):
    """Says this at once and ends."""
    return lambda sock, stream: None if stream else (sock.sendall(data), sock.close())


def answer_with(make):
    """Plays HTTP/2 and answers each request with make(stream)."""
    return lambda sock, stream: sock.sendall(make(stream) if stream else HELLO)


def answer_block(*fields, end=True):
    return answer_with(lambda stream: frame(HEADERS, END if end else END_HEADERS, stream, block(*fields)))


def answer_data(data):
    return answer_with(lambda stream: frame(HEADERS, END_HEADERS, stream, block(*GRPC)) + frame(DATA, 0, stream, data))


WIRE = {
    "garbage": close_with(b"\xff" * 10_000),
    "http/1": close_with(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
    "an end at once": close_with(b""),
    "half a frame": close_with(HELLO + frame(HEADERS, END, 1, block(*GRPC))[:12]),
    "goaway at once": close_with(HELLO + frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0))),
    "goaway for each": answer_with(lambda stream: frame(GOAWAY, 0, 0, struct.pack(">II", 0, 11))),
    "headers nobody asked for": close_with(HELLO + frame(HEADERS, END, 2, block(*GRPC))),
    "settings that are none": close_with(frame(SETTINGS, 0, 0, b"abc")),
    "pings": close_with(HELLO + frame(PING, 0, 0, b"12345678") * 20_000),
    "endless headers": close_with(HELLO + frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1, b"\x00\x01a\x7f\x81\x3f" + b"v" * 8192) * 40),
    "wrong type": answer_block((":status", "200"), ("content-type", "text/html"), end=False),
    "an error of HTTP": answer_block((":status", "503")),
    "no status at all": answer_block(("grpc-status", "0")),
    "trailers only": answer_block(*GRPC, ("grpc-status", "14"), ("grpc-message", "a%0a%00%ff%zz" + "x" * 5000)),
    "trailers only, fine": answer_block(*GRPC, ("grpc-status", "0")),
    "status of no kind": answer_block(*GRPC, ("grpc-status", "99999999999999999999")),
    "resets": answer_with(lambda stream: frame(RST_STREAM, 0, stream, struct.pack(">I", 7))),
    "a length without end": answer_data(b"\0\xff\xff\xff\xff" + b"x" * 1000),
    "compressed": answer_data(b"\1\0\0\0\1x"),
    "cut off": answer_with(lambda stream: frame(HEADERS, END_HEADERS, stream, block(*GRPC)) + frame(DATA, END_STREAM, stream, b"\0\0\0\0\x09abc")),
    "no trailers": answer_with(lambda stream: frame(HEADERS, END_HEADERS, stream, block(*GRPC)) + frame(DATA, END_STREAM, stream)),
}


class WireServer:
    """On the control plane's port; what it does with a connection can be changed, and old ones are ended then."""

    def __init__(self, host):
        self.listener, self.behave, self.socks, self.heard = host.listen("127.0.0.1", PORT), None, [], 0
        self.change = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock = self.listener.accept()[0]
                with self.change:
                    self.socks.append(sock)
                    self.heard += 1
                    self.change.notify_all()
                threading.Thread(target=self._serve, args=(sock, self.behave), daemon=True).start()

    def _serve(self, sock, behave):
        with contextlib.suppress(OSError):
            behave(sock, 0)
            rest = b""
            while more := sock.recv(65536):
                rest += more
                rest = rest.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                while len(rest) >= 9 and len(rest) >= 9 + (size := int.from_bytes(rest[:3], "big")):
                    kind, flags, stream = struct.unpack(">BBI", rest[3:9])
                    rest = rest[9 + size:]
                    if kind == HEADERS:
                        behave(sock, stream)
                    elif kind == SETTINGS and not flags & ACK:
                        sock.sendall(frame(SETTINGS, ACK))

    def end(self):
        for sock in self.socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self.socks.clear()

    def meet(self, behave, timeout=30):
        """From now on; returns when a proxy has met it, on a new connection."""
        with self.change:
            self.behave, before = behave, self.heard
            self.end()
            assert self.change.wait_for(lambda: self.heard > before, timeout)

    def close(self):
        self.listener.close()
        self.end()


@pytest.mark.parametrize("name", WIRE)
def test_wire(road, name):
    """The place of a control plane that worked is taken by this: traffic goes on, connecting again slows down, little is logged."""
    proxy = road.pair.client.proxy
    before, start = resident(proxy.pid), len(proxy.lines)
    road.pair.control.server.stop(0).wait()
    wire = WireServer(road.pair.client.host)
    try:
        wire.meet(WIRE[name])
        with wire.change:  # two clients, of destination and policy, from 100 ms on doubling
            assert not wire.change.wait_for(lambda: wire.heard > 14, 1.2)
        road.works()
        assert len(proxy.lines) - start < 40, proxy.lines[start:]
        assert any(re.search("WARN|ERROR|ended:", line) for line in proxy.lines[start:]), proxy.lines[start:]
    finally:
        wire.close()
    road.answers()
    assert resident(proxy.pid) - before < 16 << 20 or sanitized(proxy.pid)
