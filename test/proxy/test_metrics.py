"""Every family of metrics.tsv appears after the traffic that feeds it, with its type, its labels in their order, its buckets."""

import gzip
import pathlib
import re
import sys

import pytest

import lib.stall
from lib.http import get
from lib.mesh import ADMIN
from lib.netns import available
from lib.scripted import Feed, authorization, messages, server, service_policy
from proxy.test_environment import refused_or_ended, until

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")
TABLE = [line.split("\t") for line in (pathlib.Path(__file__).parent / "metrics.tsv").read_text().splitlines()
         if not line.startswith("#")]
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

# A gRPC call and a request with a body over HTTP/2 with prior knowledge.
GRPC = """
import socket, sys
import h2.connection, h2.events
c = h2.connection.H2Connection(); c.initiate_connection()
s = socket.create_connection((sys.argv[1], 80)); s.settimeout(20)
c.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":authority", "web"), (":path", "/Service/Method"),
                   ("content-type", "application/grpc"), ("te", "trailers")])
c.send_data(1, b"12345", end_stream=True)
s.sendall(c.data_to_send())
done = False
while not done:
    for e in c.receive_data(s.recv(65536)):
        done |= isinstance(e, (h2.events.StreamEnded, h2.events.StreamReset))
    s.sendall(c.data_to_send())
"""


def pattern(labels):
    parts = []
    for label in filter(None, labels.split(",")):
        optional, name = label.startswith("["), label.strip("[]")
        text = re.escape(name[:-1]) + r"\w+," if name.endswith("*") else name + ","
        parts.append(f"(?:{text})" + ("+" if name.endswith("*") and not optional else "*" if name.endswith("*") else
                                      "?" if optional else ""))
    return re.compile("".join(parts))


def families(text):
    """family -> (type, help, [(suffix, [labels], value)])"""
    found, current = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, current, words = line.split(" ", 3)
            assert current not in found, f"{current} stands there twice"
            found[current] = ["", words, []]
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == current
            found[current][0] = line.split(" ")[3]
        else:
            name, labels, value = re.fullmatch(r"([a-zA-Z_:]\w*)(?:\{(.*)\})? (\S+)", line).groups()
            assert name.startswith(current), f"{line} stands under {current}"
            float(value)
            found[current][2].append((name[len(current):], LABEL.findall(labels or ""), value))
    return found


def traffic(pair, stranger):
    """Something of everything, and nothing twice that is not needed."""
    m, o, i, d = messages()["meta"], messages()["outbound"], messages()["inbound"], messages()["destination"]
    # HTTP by policy, by profile, by gRPC routes; opaque; towards nobody; not allowed; without a route.
    pair.service()
    pair.service(address="10.99.0.2")
    profile = d.DestinationProfile(fully_qualified_name="web.default.svc.cluster.local")
    route = profile.routes.add(metrics_labels={"route": "all"})
    route.condition.path.regex = "/.*"
    pair.control.profiles["10.99.0.2:80"] = Feed(profile)
    grpc = o.OutboundPolicy()
    plain = service_policy("web.default.svc.cluster.local:80")
    grpc.metadata.CopyFrom(plain.metadata)
    call = grpc.protocol.grpc.routes.add(metadata=m.Metadata(resource=m.Resource(group="gateway.networking.k8s.io",
                                         kind="GRPCRoute", name="calls", namespace="default"))).rules.add()
    call.matches.add().rpc.service = ""
    call.backends.first_available.backends.add().backend.CopyFrom(
        plain.protocol.detect.http1.routes[0].rules[0].backends.first_available.backends[0].backend)
    pair.control.targets["10.99.0.3:80"] = Feed(grpc)
    pair.service(port=7000, target=7000, protocol="opaque")
    pair.service(port=81, target=8081)
    pair.service(port=82, target=8082)
    pair.service(port=7001, target=7001, protocol="opaque")
    pair.service(port=7002, target=7002, protocol="opaque")
    pair.service(port=83, target=8083)
    pair.control.targets["10.99.0.4:80"] = Feed(service_policy("web.default.svc.cluster.local:89"))
    pair.control.default_server = Feed(server())
    denied = [authorization(tls="clients", identities=["somebody.else"])]
    pair.control.ports[8080] = Feed(server())
    pair.control.ports[8081] = Feed(server(authorizations=denied))
    none = i.HttpRoute(metadata=m.Metadata(default="only"))
    none.rules.add().matches.add().path.exact = "/only"
    none.authorizations.append(authorization())
    pair.control.ports[8082] = Feed(server(routes=[none]))
    pair.control.ports[7001] = Feed(server("opaque", authorizations=denied))
    pair.control.ports[7000] = opaque = Feed(server("opaque"))
    call_server = server("grpc")
    rules = call_server.protocol.grpc.routes.add(metadata=m.Metadata(default="calls"))
    rules.rules.add().matches.add().rpc.service = ""
    rules.authorizations.append(authorization())
    for port in (8080, 7000, 7001):
        pair.web.start_app([sys.executable, pathlib.Path(lib.stall.__file__), port], port=port, uid=0, name=f"stall{port}")
    pair.start(LINKERD2_PROXY_OUTBOUND_HTTP_FAILFAST_TIMEOUT="300ms", LINKERD2_PROXY_OUTBOUND_TCP_FAILFAST_TIMEOUT="300ms")
    assert pair.curl("-d", "body").stdout == "ok\n"
    assert pair.curl(address="10.99.0.2").stdout == "ok\n"
    pair.control.ports[8080].say(call_server)  # HTTP is counted; from here on the port says gRPC
    pair.client.host.run([sys.executable, "-c", GRPC, "10.99.0.3"])
    for port, status in ((81, "403"), (82, "404"), (83, "502")):
        code = pair.curl("-o", "/dev/null", "-w", "%{http_code}", port=port, check=False).stdout
        assert code == status, (port, code)
    pair.curl("-o", "/dev/null", address="10.99.0.4")  # no endpoints
    with pair.client.host.connect("10.99.0.1", 7000) as sock:
        sock.sendall(b"GET /upgrade HTTP/1.1\r\nHost: web\r\n\r\n")
        assert sock.recv(100)
        opaque.say(server("opaque", authorizations=denied))
        assert refused_or_ended(sock)
    for port in (7001, 7002):  # not allowed; nobody listens
        with pair.client.host.connect("10.99.0.1", port) as sock:
            sock.sendall(b"x")
            assert refused_or_ended(sock)
    stranger.run(["curl", "-sS", "--max-time", "20", "-o", "/dev/null", f"http://{pair.web.host.ip4}:8084/"])


def test_families(pair, network):
    traffic(pair, network.host("stranger"))
    problems = []

    def look():
        problems.clear()
        pages = {"client": families(pair.client.metrics()), "web": families(pair.web.metrics())}
        for name, kind, whose, labels, buckets in TABLE:
            side, _, peer = whose.partition("/")
            shown = pages[side].get(name)
            if not shown:
                problems.append(f"{side}: {name} is not there")
                continue
            if shown[0] != kind or not shown[1].strip():
                problems.append(f"{name}: type {shown[0]}, help {shown[1]!r}")
            series = [(suffix, pairs) for suffix, pairs, _ in shown[2]
                      if not peer or ("peer", peer) in pairs]
            if not series:
                problems.append(f"{whose}: {name} has no series")
            for suffix, pairs in series:
                names = [key for key, _ in pairs if key != "le"]
                if not pattern(labels).fullmatch("".join(key + "," for key in names)):
                    problems.append(f"{name} of {whose}: {names} instead of {labels}")
            bounds = [dict(pairs)["le"] for suffix, pairs in series if suffix == "_bucket"]
            if buckets and bounds[:len(buckets.split(","))] != buckets.split(","):
                problems.append(f"{name}: {bounds} instead of {buckets}")
        return not problems

    try:
        until(look)  # what ended is counted when its connection does
    except AssertionError:
        raise AssertionError("\n".join(dict.fromkeys(problems))) from None
    assert "0" not in [value for _, pairs, value in families(pair.web.metrics())["tcp_read_bytes_total"][2]
                       if ("peer", "src") in pairs and ("target_port", "8080") in pairs]
    for pod in (pair.client, pair.web):
        assert "metrics_series_overflow_total" not in pod.metrics()


def test_gzip(pair):
    pair.control.start([pair.client.host])
    pair.client.redirect()
    pair.client.start_proxy(pair.control.env("client"))
    plain = get(pair.client.host, "127.0.0.1", ADMIN, "/metrics")
    packed = get(pair.client.host, "127.0.0.1", ADMIN, "/metrics", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers and plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert packed.headers["content-encoding"] == "gzip" and len(packed.body) < len(plain.body)
    assert families(gzip.decompress(packed.body).decode()).keys() == families(plain.body.decode()).keys()
