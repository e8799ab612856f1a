"""What a client gets for each error that can be provoked from outside: status, reason, whether the connection is kept, what gRPC
gets for it, and what is counted. The whole list is mesh/reason.c; what is not here needs time or luck and is tested where it happens
(test_timeouts.py, test_environment.py, test_hostile.py)."""

import re

import h2.connection
import h2.events
import pytest

from lib.netns import available
from lib.scripted import Feed, authorization, messages, no_endpoints, server, service_policy
from lib.wait import until
from proxy.test_environment import value

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")


def policy(change):
    made = service_policy("web.default.svc.cluster.local:80")
    for protocol in (made.protocol.detect.http1, made.protocol.detect.http2):
        change(protocol.routes[0].rules[0])
    return made


def refuse_filter(rule):
    rule.filters.add().failure_injector.CopyFrom(messages()["http_route"].HttpFailureInjector(status=418, message="no"))


def redirect(rule):
    rule.filters.add().redirect.CopyFrom(messages()["http_route"].RequestRedirect(host="elsewhere", status=302))


def only_elsewhere(rule):
    rule.matches.add().path.exact = "/elsewhere"
    del rule.matches[0]


def no_backend(rule):
    rule.backends.Clear()
    rule.backends.empty.SetInParent()


# reason, service address, port, status, kept, gRPC status, whose count; more header fields of the request
CASES = [
    ("not-authorized", "10.99.0.1", 81, 403, True, 7, "web"),
    ("route-not-found", "10.99.0.1", 82, 404, True, 5, "web"),
    ("connect-refused", "10.99.0.1", 83, 502, True, 14, "web"),
    ("route-not-found", "10.99.0.3", 80, 404, True, 5, "client"),
    ("injected-failure", "10.99.0.4", 80, 418, True, 9, None),
    ("redirected", "10.99.0.5", 80, 302, True, 5, None),
    ("no-backend", "10.99.0.6", 80, 503, False, 14, "client"),
    ("failfast", "10.99.0.7", 80, 504, False, 4, "client"),
    ("load-shed", "10.99.0.7", 80, 503, False, 14, "client"),
    ("identity-required", "10.99.0.1", 80, 502, False, 14, "client"),
]


def prepare(pair):
    i, m = messages()["inbound"], messages()["meta"]
    for port, target in ((80, 8080), (81, 8081), (82, 8082), (83, 8083)):
        pair.service(port=port, target=target)
    for address, change in (("10.99.0.3", only_elsewhere), ("10.99.0.4", refuse_filter), ("10.99.0.5", redirect), ("10.99.0.6", no_backend)):
        pair.control.targets[f"{address}:80"] = Feed(policy(change))
    pair.control.targets["10.99.0.7:80"] = Feed(service_policy("none.default.svc.cluster.local:80"))
    pair.control.endpoints["none.default.svc.cluster.local:80"] = Feed(no_endpoints(True))
    pair.control.default_server = Feed(server())
    pair.control.ports[8081] = Feed(server(authorizations=[authorization(tls="clients", identities=["somebody.else"])]))
    only = i.HttpRoute(metadata=m.Metadata(default="only"))
    only.rules.add().matches.add().path.exact = "/only"
    only.authorizations.append(authorization())
    pair.control.ports[8082] = Feed(server(routes=[only]))
    pair.start(LINKERD2_PROXY_OUTBOUND_HTTP_FAILFAST_TIMEOUT="300ms")


def http1(pair, reason, address, port):
    """(status, l5d-proxy-error, l5d-proxy-connection, body, whether the connection is kept)"""
    required = "l5d-require-id: somebody.else\r\n" if reason == "identity-required" else ""
    with pair.client.host.connect(address, port) as sock:
        sock.sendall(f"GET / HTTP/1.1\r\nHost: web\r\n{required}\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = sock.recv(65536)
            assert more, answer
            answer += more
        head, _, body = answer.decode().partition("\r\n\r\n")
        fields = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in head.split("\r\n")[1:])}
        closed = fields.get("connection") == "close"
        if closed:
            assert sock.recv(100) == b""
        return int(head.split()[1]), fields, body, not closed


def one_frame(sock):
    def read(count):
        data = b""
        while len(data) < count:
            more = sock.recv(count - len(data))
            assert more, "the connection ended before the stream did"
            data += more
        return data

    head = read(9)
    return head[3], head + read(int.from_bytes(head[:3], "big"))


def grpc(pair, reason, address, port):
    """Fields and trailers of the answer."""
    conn, fields = h2.connection.H2Connection(), {}
    with pair.client.host.connect(address, port) as sock:
        conn.initiate_connection()
        more = [("l5d-require-id", "somebody.else")] if reason == "identity-required" else []
        conn.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":authority", "web"), (":path", "/S/M"),
                              ("content-type", "application/grpc"), ("te", "trailers"), *more], end_stream=True)
        sock.sendall(conn.data_to_send())
        while True:
            kind, frame = one_frame(sock)
            for event in conn.receive_data(frame) if kind not in (6, 7) else []:  # PING and GOAWAY: h2 wants no frame after it
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    fields |= {name.decode(): text.decode() for name, text in event.headers}
                assert not isinstance(event, h2.events.StreamReset), event
                if isinstance(event, h2.events.StreamEnded):
                    return fields
            sock.sendall(conn.data_to_send())


def test_answers(pair):
    prepare(pair)
    problems = []
    for reason, address, port, status, kept, code, counted in CASES:
        pod = {"web": pair.web, "client": pair.client, None: None}[counted]
        before = pod and value(pod, "proxy_errors_total", f'reason="{reason}"')
        seen, fields, body, is_kept = http1(pair, reason, address, port)
        said = fields.get("l5d-proxy-error", "")
        if (seen, body, is_kept) != (status, "", kept) or fields.get("content-length") != "0":
            problems.append(f"{reason}: {seen} {fields} {body!r}, kept {is_kept}")
        # What a server's proxy says of itself goes no further than to the client's proxy.
        wanted = "" if counted == "web" else reason
        if not re.match(rf"{wanted}\b" if wanted else "$", said) and reason not in ("redirected", "injected-failure"):
            problems.append(f"{reason}: l5d-proxy-error {said!r}")
        if kept == ("l5d-proxy-connection" in fields) and counted != "web":
            problems.append(f"{reason}: l5d-proxy-connection {fields}")
        if pod:
            until(lambda: value(pod, "proxy_errors_total", f'reason="{reason}"') == before + 1)
        if reason == "failfast":
            continue  # by now the gate is shut: gRPC is shed like the next request
        fields = grpc(pair, reason, address, port)
        if (fields[":status"], fields.get("grpc-status"), fields.get("content-type")) != ("200", str(code), "application/grpc"):
            problems.append(f"{reason}: gRPC {fields}")
    assert not problems, "\n".join(problems)
