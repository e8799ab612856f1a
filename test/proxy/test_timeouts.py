"""The timeouts of a route: what a client sees when one ends, before and after the response has begun."""

import pathlib
import socket
import sys
import time

import pytest

import lib.stall
from lib.scripted import Feed, messages, no_endpoints, seconds

FAR = 10  # seconds within which none of these may take


def route(timeouts, allow_headers=False):
    """One route over the backend, with these timeouts."""

    def routes(backend):
        http = messages()["outbound"].HttpRoute(metadata=messages()["meta"].Metadata(default="http"))
        rule = http.rules.add(allow_l5d_request_headers=allow_headers)
        rule.matches.add().path.prefix = "/"
        rule.backends.first_available.backends.add().backend.CopyFrom(backend)
        for name, value in timeouts.items():
            getattr(rule.timeouts, name).CopyFrom(seconds(value))
        return [http]

    return routes


def start(pair, timeouts, allow_headers=False, **env):
    path = pair.service(http_routes=route(timeouts, allow_headers))
    pair.web.start_app([sys.executable, pathlib.Path(lib.stall.__file__), "8080"], port=8080, uid=0, name="stall")
    pair.start(**env)
    return path


def error_of(pair, label):
    return f'error="{label}"' in "".join(line for line in pair.client.metrics().splitlines()
                                         if line.startswith("outbound_http_route_request_statuses_total"))


@pytest.mark.parametrize("kind, reason, label", [
    ("request", "request-timeout", "REQUEST_TIMEOUT"), ("response", "response-timeout", "RESPONSE_STREAM_TIMEOUT"),
    ("idle", "idle-timeout", "IDLE_TIMEOUT")])
def test_before_the_response(pair, kind, reason, label):
    """504, the client's connection is kept and used again."""
    start(pair, {kind: 0.4})
    done = pair.client.host.run(
        ["curl", "-sS", "--max-time", "20", "-w", "%{http_code} %{num_connects} %{time_total} %header{l5d-proxy-error} "
         "[%header{connection}]\n", "-o", "/dev/null", "http://10.99.0.1/never", "-o", "/dev/null", "http://10.99.0.1/"],
        uid=1000).stdout.splitlines()
    status, connects, took, *rest = done[0].split()
    assert (status, connects) == ("504", "1") and 0.39 < float(took) < FAR, done
    assert rest[0].rstrip(":") == reason and rest[-1] == "[]", done
    assert done[1].split()[:2] == ["200", "0"], done
    assert error_of(pair, label), pair.client.metrics()


@pytest.mark.parametrize("kind", ["request", "response", "idle"])
def test_after_the_head_http1(pair, kind):
    """The body is cut and not ended, so that nobody takes it for a whole one."""
    start(pair, {kind: 0.4})
    done = pair.curl(path="/half", check=False)
    assert done.stdout == "hello" and done.returncode in (18, 56), done


H2_CLIENT = """
import socket, sys
import h2.connection, h2.events
c = h2.connection.H2Connection()
c.initiate_connection()
s = socket.create_connection(("10.99.0.1", 80)); s.settimeout(20)
def ask(path, headers=()):
    i = c.get_next_available_stream_id()
    c.send_headers(i, [(":method", "GET"), (":scheme", "http"), (":authority", "web"), (":path", path), *headers], end_stream=True)
    s.sendall(c.data_to_send())
    while True:
        for e in c.receive_data(s.recv(65536)):
            if isinstance(e, h2.events.ResponseReceived):
                print(path, dict(e.headers)[b":status"].decode(), dict(e.headers).get(b"grpc-status", b"-").decode())
            if isinstance(e, h2.events.DataReceived):
                print(path, e.data.decode())
            if isinstance(e, h2.events.TrailersReceived):
                print(path, "trailers", dict(e.headers)[b"grpc-status"].decode())
            if isinstance(e, h2.events.StreamReset):
                print(path, "reset", int(e.error_code)); return
            if isinstance(e, h2.events.ConnectionTerminated):
                print("goaway")
            if isinstance(e, h2.events.StreamEnded):
                print(path, "end"); return
        s.sendall(c.data_to_send())
for what in sys.argv[1:]:
    path, _, kind = what.partition(",")
    ask(path, [("content-type", "application/grpc")] if kind else [])
"""


def h2_client(pair, *paths):
    return pair.client.host.run([sys.executable, "-c", H2_CLIENT, *paths]).stdout.splitlines()


def test_http2(pair):
    """Before the head 504, after it a reset of the stream; the connection serves on."""
    start(pair, {"response": 0.4})
    said = h2_client(pair, "/never", "/half", "/")
    assert said == ["/never 504 -", "/never end", "/half 200 -", "/half hello", "/half reset 2", "/ 200 -", "/ hello",
                    "/ end"], said


def test_grpc(pair):
    """grpc-status 4, in the head or, when that has been sent, in trailers."""
    start(pair, {"request": 0.4})
    said = h2_client(pair, "/never,grpc", "/half,grpc", "/,grpc")
    assert said[:2] == ["/never 200 4", "/never end"], said
    assert said[2:6] == ["/half 200 -", "/half hello", "/half trailers 4", "/half end"], said
    assert said[6:] == ["/ 200 -", "/ hello", "/ end"], said


def test_what_moves_is_not_idle(pair):
    start(pair, {"idle": 0.6})
    with pair.client.host.connect("10.99.0.1", 80) as sock:
        sock.settimeout(10)
        sock.sendall(b"POST /drip HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n")
        enough = time.monotonic() + 1.5
        while time.monotonic() < enough:
            sock.sendall(b"1\r\n.\r\n")
            answer = sock.recv(4096)
            while not answer.endswith(b".\r\n"):
                more = sock.recv(4096)
                assert more, answer
                answer += more
        sock.sendall(b"0\r\n\r\n")
        assert sock.recv(100) == b"0\r\n\r\n"


def test_tunnels_have_no_timeout(pair):
    start(pair, {"request": 0.5, "response": 0.5, "idle": 0.5})
    with pair.client.host.connect("10.99.0.1", 80) as sock:
        sock.sendall(b"GET /upgrade HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        assert b" 101 " in sock.recv(4096)
        sock.settimeout(1.2)
        with pytest.raises(socket.timeout):
            sock.recv(1)
        sock.settimeout(10)
        sock.sendall(b"still there")
        assert sock.recv(100) == b"still there"


def test_a_request_asks_for_its_own(pair):
    start(pair, {}, allow_headers=True)
    done = pair.curl("-o", "/dev/null", "-w", "%{http_code} %{time_total}", "-H", "l5d-timeout: 300ms", path="/never").stdout
    status, took = done.split()
    assert status == "504" and 0.29 < float(took) < FAR


def test_not_unless_it_may(pair):
    """Without the policy's leave the header is none of ours."""
    start(pair, {"request": 1.5})
    took = pair.curl("-o", "/dev/null", "-w", "%{time_total}", "-H", "l5d-timeout: 100ms", path="/never").stdout
    assert float(took) > 1.4


def test_in_the_queue(pair):
    """The time for the exchange counts while no endpoint is there, too."""
    path = start(pair, {"request": 0.4}, LINKERD2_PROXY_OUTBOUND_HTTP_FAILFAST_TIMEOUT="60s")
    pair.control.endpoints[path].latest = [no_endpoints(True)]
    started = time.monotonic()
    done = pair.curl("-o", "/dev/null", "-w", "%{http_code} %header{l5d-proxy-error}").stdout
    assert done.startswith("504 request-timeout") and 0.39 < time.monotonic() - started < FAR, done


def test_profile_route(pair):
    """A profile's timeout answers 504 as well, and closes the client's connection."""
    d = messages()["destination"]
    profile = d.DestinationProfile(fully_qualified_name="web.default.svc.cluster.local")
    first = profile.routes.add(metrics_labels={"route": "never"})
    first.condition.path.regex = "/never"
    first.timeout.CopyFrom(seconds(0.4))
    pair.control.profiles["10.99.0.1:80"] = Feed(profile)
    start(pair, {})
    done = pair.curl("-i", path="/never").stdout
    assert done.startswith("HTTP/1.1 504") and "l5d-proxy-error: profile-timeout" in done, done
    assert "connection: close" in done and "l5d-proxy-connection: close" in done, done
    assert pair.curl().stdout == "ok\n"
