"""What the environment's variables do: each by what is seen from outside when it is set. Names, forms and defaults are
tested beside the code (src/proxy/config_test.c), and the list of names in test/style."""

import contextlib
import json
import pathlib
import re
import socket
import struct
import subprocess
import sys
import time

import pytest

import lib.stall
from lib.http import get
from lib.mesh import ADMIN
from lib.netns import available
from lib.scripted import Feed, add, no_endpoints, weighted
from lib.wait import until

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")
P = "LINKERD2_PROXY_"


def stall(pod, port=8080):
    return pod.start_app([sys.executable, pathlib.Path(lib.stall.__file__), str(port)], port=port, uid=0, name="stall")


def start(pair, where="both", app=True, **env):
    """The variables (without their prefix) for the proxy of the client, the server, or both."""
    if app:
        stall(pair.web)
    env = {P + name: value for name, value in env.items()}
    pair.control.start([pair.client.host, pair.web.host])
    for pod, name in ((pair.client, "client"), (pair.web, "web")):
        pod.redirect()
        pod.start_proxy(pair.control.env(name, **(env if where in (name, "both") else {})))
    return pair


def value(pod, family, *parts):
    """The sum of a family's series that have all these labels."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in pod.metrics().splitlines()
               if line.startswith(family + "{") and all(part in line for part in parts))


def connections(pod):
    return get(pod.host, "127.0.0.1", ADMIN, "/connections").body.decode()


def refused_or_ended(sock):
    """The peer ended the connection, in whatever way; what it sent before does not matter."""
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def status(pair, path="/", *args):
    return pair.curl("-o", "/dev/null", "-w", "%{http_code} %header{l5d-proxy-error}", *args, path=path).stdout.strip()


# --- the start ---

def test_all_mistakes_at_once(binaries):
    bad = {"INBOUND_LISTEN_ADDR": "4143", "OUTBOUND_CONNECT_TIMEOUT": "10", "INBOUND_PORTS": "80-", "LOG_FORMAT": "xml",
           "IDENTITY_DISABLED": "1", "CORES": "0", "OUTBOUND_CONNECT_EXP_BACKOFF_MIN": "1s"}
    done = subprocess.run([binaries["linkerd-proxy"]], env={P + name: text for name, text in bad.items()}, text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 64
    told = done.stderr.splitlines()[1:]
    for name in [*bad, "IDENTITY_TRUST_ANCHORS", "DESTINATION_SVC_ADDR"]:
        lines = [line for line in told if line.startswith(P + name)]
        assert len(lines) == 1 and "expected" in lines[0], (name, told)


def test_warnings(pair):
    start(pair, "client", TAP_SVC_NAME="tap.linkerd", BUFFER_CAPACITY="10", LOGG="debug")
    said = [line for line in pair.client.proxy.output.splitlines() if line.startswith(P)]
    assert sorted(said) == sorted([
        P + "TAP_SVC_NAME: tap is not available yet",
        P + "LOGG is not a variable of this proxy: look for a slip in its name (docs/environment.md)"])


def test_cores(pair):
    def threads(pod):
        return float(re.search(r"^process_threads (\S+)", pod.metrics(), re.M)[1])

    start(pair, "client", app=False, CORES="3")
    assert threads(pair.client) == threads(pair.web) + 2


# --- limits and queues ---

@pytest.mark.parametrize("side", ["INBOUND", "OUTBOUND"])
def test_max_in_flight(pair, side):
    pair.service()
    start(pair, "web" if side == "INBOUND" else "client", **{side + "_MAX_IN_FLIGHT": "1"})
    assert status(pair) == "200"
    with pair.client.host.connect("10.99.0.1", 80) as sock:
        sock.sendall(b"GET /never HTTP/1.1\r\nHost: web\r\n\r\n")
        until(lambda: value(pair.web, "request_total") == 2)
        assert status(pair) == ("503 in-flight-limit" if side == "OUTBOUND" else "503")  # whom the server's proxy does not know learns no more
        assert value(pair.client if side == "OUTBOUND" else pair.web, "proxy_errors_total", 'reason="in-flight-limit"') == 1
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone, not just silent
    until(lambda: status(pair) == "200")


def test_http_queue(pair):
    path = pair.service()
    pair.control.endpoints[path] = Feed(no_endpoints(True))
    start(pair, "client", OUTBOUND_HTTP_QUEUE_CAPACITY="1", OUTBOUND_HTTP_FAILFAST_TIMEOUT="2s")
    with pair.client.host.connect("10.99.0.1", 80) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        until(lambda: re.search(r"outbound .* http +1 ", connections(pair.client)))
        assert status(pair) == "503 queue-full"
        answer = sock.recv(4096)
    assert answer.startswith(b"HTTP/1.1 504") and b"l5d-proxy-error: failfast" in answer
    assert status(pair) == "503 load-shed"
    pair.control.endpoints[path].say(add(weighted(pair.web.host.ip4, 8080)))
    until(lambda: status(pair) == "200")


def test_tcp_queue(pair):
    """Opaque connections wait in a queue of their own: full, over, and shut."""
    path = pair.service(port=7000, target=8080, protocol="opaque")
    pair.control.endpoints[path] = Feed(no_endpoints(True))
    start(pair, "client", OUTBOUND_TCP_QUEUE_CAPACITY="1", OUTBOUND_TCP_FAILFAST_TIMEOUT="2s")

    def refused():
        try:
            with pair.client.host.connect("10.99.0.1", 7000) as sock:
                return refused_or_ended(sock)
        except ConnectionResetError:
            return True

    def errors(reason):
        return value(pair.client, "proxy_errors_total", f'reason="{reason}"')

    with pair.client.host.connect("10.99.0.1", 7000) as first:
        until(lambda: re.search(r"outbound .* opaque +connect ", connections(pair.client)))
        assert refused()
        assert errors("queue-full") == 1 and errors("failfast") == 0
        assert refused_or_ended(first)
    until(lambda: errors("failfast") == 1)
    assert refused()
    until(lambda: errors("load-shed") == 1)
    pair.control.endpoints[path].say(add(weighted(pair.web.host.ip4, 8080)))

    def served():
        with contextlib.suppress(ConnectionError), pair.client.host.connect("10.99.0.1", 7000) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
            return sock.recv(100).startswith(b"HTTP/1.1 200")

    until(served)


def test_inbound_queue(pair):
    """A connection to the application that does not come: the first request waits until failfast, the second is one too many."""
    pair.service(meshed=True)
    start(pair, "web", INBOUND_CONNECT_TIMEOUT="20s", INBOUND_HTTP_FAILFAST_TIMEOUT="2s", INBOUND_HTTP_QUEUE_CAPACITY="1")
    pair.web.host.run(["iptables", "-I", "INPUT", "-i", "lo", "-p", "tcp", "--dport", "8080", "--syn", "-j", "DROP"])
    with pair.client.host.connect("10.99.0.1", 80) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        until(lambda: value(pair.web, "request_total") == 1)
        assert status(pair).startswith("503")
        assert sock.recv(100).startswith(b"HTTP/1.1 504")
    assert value(pair.web, "proxy_errors_total", 'reason="queue-full"') == 1
    assert value(pair.web, "proxy_errors_total", 'reason="failfast"') == 1


# --- connections ---

def test_connect_timeout(pair):
    pair.service(meshed=False)
    pair.control.endpoints["web.default.svc.cluster.local:80"] = Feed(add(weighted("10.66.6.6", 8080)))
    start(pair, "client", OUTBOUND_CONNECT_TIMEOUT="200ms", OUTBOUND_HTTP_FAILFAST_TIMEOUT="500ms")
    pair.client.host.run(["ip", "route", "replace", "10.66.6.6/32", "dev", "eth0"])
    pair.client.host.run(["ip", "neigh", "replace", "10.66.6.6", "lladdr", "02:00:00:00:66:06", "dev", "eth0"])
    assert status(pair).startswith("504 connect-timeout")


@pytest.mark.parametrize("least, found", [("50ms", True), ("600s", False)])
def test_connect_backoff(pair, least, found):
    """An endpoint that refused is left alone for so long."""
    pair.service(meshed=False)
    start(pair, "client", app=False, OUTBOUND_CONNECT_EXP_BACKOFF_MIN=least, OUTBOUND_CONNECT_EXP_BACKOFF_MAX="600s",
          OUTBOUND_HTTP_FAILFAST_TIMEOUT="1s")
    pair.web.proxy.stop()
    pair.web.host.run(["iptables", "-t", "nat", "-F"])
    assert status(pair).startswith("50")
    stall(pair.web)
    assert status(pair).startswith("200" if found else "50")


@pytest.mark.parametrize("env, gone", [
    ({"OUTBOUND_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT": "100ms"}, True), ({"OUTBOUND_MAX_IDLE_CONNS_PER_ENDPOINT": "0"}, True),
    ({"OUTBOUND_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT": "1h"}, False)], ids=["time", "number", "kept"])
def test_idle_connections(pair, env, gone):
    pair.service(meshed=False)
    start(pair, "client", **env)
    assert status(pair) == "200"
    labels = ("tcp_open_connections", 'direction="outbound"', 'peer="dst"')
    if gone:
        until(lambda: value(pair.client, *labels) == 0)
    else:
        assert value(pair.client, *labels) == 1
        assert status(pair) == "200" and value(pair.client, "tcp_open_total", *labels[1:]) == 1


def test_inbound_idle_connections(pair):
    pair.service()
    start(pair, "web", INBOUND_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT="100ms")
    assert status(pair) == "200"
    assert value(pair.web, "tcp_open_total", 'direction="inbound"', 'peer="dst"') == 1
    until(lambda: value(pair.web, "tcp_open_connections", 'direction="inbound"', 'peer="dst"') == 0)


def test_keepalive(pair):
    """The timer of each kind of connection, as the system shows it."""
    pair.service(port=7000, target=8080, protocol="opaque")
    start(pair, OUTBOUND_ACCEPT_KEEPALIVE="11m", OUTBOUND_CONNECT_KEEPALIVE="21m", INBOUND_ACCEPT_KEEPALIVE="31m",
          INBOUND_CONNECT_KEEPALIVE="41m")
    with pair.client.host.connect("10.99.0.1", 7000) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        assert sock.recv(100)
        for host, minutes in ((pair.client.host, (10, 20)), (pair.web.host, (30, 40))):
            for n in minutes:  # counting down; another timer stands there while bytes are under way
                until(lambda: re.search(rf"keepalive,{n}min|keepalive,{n + 1}min",
                                        host.run(["ss", "-Htno", "state", "established"]).stdout))


def test_user_timeout(pair):
    """A peer that does not acknowledge what was sent loses its connection when the time is over."""
    pair.service(port=7000, target=8080, protocol="opaque", meshed=False)
    start(pair, "client", OUTBOUND_CONNECT_USER_TIMEOUT="500ms")
    with pair.client.host.connect("10.99.0.1", 7000, timeout=20) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        assert sock.recv(100)
        pair.web.host.run(["iptables", "-I", "INPUT", "-p", "tcp", "-j", "DROP"])
        started = time.monotonic()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        with pytest.raises(ConnectionError):
            if sock.recv(100) == b"":
                raise ConnectionResetError
        assert time.monotonic() - started < 15
    until(lambda: value(pair.client, "tcp_close_total", 'peer="dst"', 'errno="ETIMEDOUT"') == 1)


def test_user_timeout_of_accepted(pair):
    """The client's host takes no more packets: what was sent to it is not acknowledged."""
    pair.service(port=7000, target=8080, protocol="opaque", meshed=False)
    start(pair, "web", INBOUND_ACCEPT_USER_TIMEOUT="500ms")
    with pair.client.host.connect("10.99.0.1", 7000, timeout=20) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        assert sock.recv(100)
        pair.client.host.run(["iptables", "-I", "INPUT", "-s", pair.web.host.ip4, "-j", "DROP"])
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        until(lambda: value(pair.web, "tcp_close_total", 'peer="src"', 'errno="ETIMEDOUT"') == 1)


def test_backlog(pair):
    start(pair, "client", app=False, INBOUND_TCP_LISTEN_BACKLOG="77", OUTBOUND_TCP_LISTEN_BACKLOG="78")
    said = pair.client.host.run(["ss", "-Htln"]).stdout
    assert re.search(r"LISTEN\s+0\s+77\s+\S+:4143\b", said) and re.search(r"LISTEN\s+0\s+78\s+\S+:4140\b", said), said


def test_inbound_ips(pair):
    pair.service()
    start(pair, "web", INBOUND_IPS="10.77.7.7,fd77::7")
    with pair.client.host.connect(pair.web.host.ip4, 8080) as sock:
        sock.settimeout(20)
        sock.sendall(b"no HTTP\n")  # silence would leave the client's proxy waiting for it
        assert refused_or_ended(sock)
    assert value(pair.web, "proxy_errors_total", 'reason="wrong-address"') >= 1


# --- HTTP/2 ---

H2_PEER = """
import socket, sys
import h2.connection, h2.events
from h2.settings import SettingCodes as S
c = h2.connection.H2Connection(); c.initiate_connection()
s = socket.create_connection(("10.99.0.1", 80)); s.settimeout(20); s.sendall(c.data_to_send())
pings = 0
while True:
    for e in c.receive_data(s.recv(65536)):
        if isinstance(e, h2.events.RemoteSettingsChanged):
            for code, change in sorted(e.changed_settings.items()):
                print(int(code), change.new_value, flush=True)
        if isinstance(e, h2.events.PingReceived):
            print("ping", flush=True)
            if "answer" not in sys.argv: sys.exit()
    s.sendall(c.data_to_send())
"""


def test_http2_server(pair):
    """SETTINGS as the environment has them, and a PING to a client that is silent."""
    pair.service(protocol="http2")
    start(pair, "client", **{"OUTBOUND_SERVER_HTTP2_" + name: text for name, text in {
        "MAX_CONCURRENT_STREAMS": "17", "MAX_FRAME_SIZE": "32768", "MAX_HEADER_LIST_SIZE": "12345",
        "INITIAL_STREAM_WINDOW_SIZE": "70000", "INITIAL_CONNECTION_WINDOW_SIZE": "200000", "KEEP_ALIVE_INTERVAL": "200ms",
        "KEEP_ALIVE_TIMEOUT": "5s"}.items()})
    said = pair.client.host.run([sys.executable, "-c", H2_PEER]).stdout.splitlines()
    assert {"3 17", "4 70000", "5 32768", "6 12345"} <= set(said) and said[-1] == "ping", said


H2_APPLICATION = """
import socket, sys
import h2.config, h2.connection, h2.events
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    s, _ = listener.accept()
    c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False)); c.initiate_connection(); s.sendall(c.data_to_send())
    while data := s.recv(65536):
        for e in c.receive_data(data):
            if isinstance(e, h2.events.RemoteSettingsChanged):
                for code, change in sorted(e.changed_settings.items()):
                    print("setting", int(code), change.new_value, flush=True)
            if isinstance(e, h2.events.WindowUpdated) and e.stream_id == 0:
                print("connection", c.outbound_flow_control_window, flush=True)
            if isinstance(e, h2.events.RequestReceived):
                c.send_headers(e.stream_id, [(":status", "200")], end_stream=True)
        s.sendall(c.data_to_send())
"""


def test_http2_client(pair):
    """The windows that servers are given, unless what the endpoint says counts."""
    pair.service(protocol="http2")
    app = pair.web.start_app([sys.executable, "-c", H2_APPLICATION, "8080"], port=8080, uid=0, name="h2-app")
    start(pair, "web", app=False, HTTP2_INITIAL_STREAM_WINDOW_SIZE="70000", HTTP2_INITIAL_CONNECTION_WINDOW_SIZE="200000")
    assert status(pair, "/", "--http2-prior-knowledge") == "200"
    app.wait_line("setting 4 70000")
    app.wait_line("connection 200000")


# --- discovery ---

def test_discovery_idle(pair):
    pair.service()
    start(pair, OUTBOUND_DISCOVERY_IDLE_TIMEOUT="200ms", INBOUND_DISCOVERY_IDLE_TIMEOUT="200ms")
    feed = pair.control.targets["10.99.0.1:80"]
    pair.control.ports[8080] = port = Feed(lib.scripted.server())
    assert status(pair) == "200"
    until(lambda: not feed.watchers and not port.watchers)
    assert status(pair) == "200"
    assert pair.control.asked.count(("Watch", "10.99.0.1:80")) >= 2 and pair.control.asked.count(("WatchPort", 8080)) >= 2


@pytest.mark.parametrize("policy, answer", [("all-unauthenticated", "200"), ("deny", "403"), ("all-authenticated", "403")])
def test_beside_identity(pair, policy, answer):
    """The proxy of the identity service does not wait for a policy controller, which could not be certified before."""
    nowhere = {"POLICY_SVC_ADDR": "10.99.9.9:8090", "POLICY_SVC_NAME": "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local"}
    start(pair, "web", INBOUND_DEFAULT_POLICY=policy, **nowhere)
    url = f"http://{pair.web.host.ip4}:8080/"
    assert pair.client.host.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url], uid=0).stdout == answer


def test_inbound_ports(pair):
    start(pair, "web", app=False, INBOUND_PORTS="9000,9001-9002")
    until(lambda: {("WatchPort", port) for port in (9000, 9001, 9002)} <= set(pair.control.asked))


# --- what is said ---

def test_informational_headers(pair):
    pair.service(meshed=False)
    pair.control.endpoints["web.default.svc.cluster.local:80"] = Feed(no_endpoints(True))
    start(pair, "client", OUTBOUND_DISABLE_INFORMATIONAL_HEADERS="true", OUTBOUND_HTTP_FAILFAST_TIMEOUT="100ms")
    answer = pair.curl("-i").stdout
    assert answer.startswith("HTTP/1.1 504") and "l5d-" not in answer, answer


def test_labels(pair):
    pair.service()
    start(pair, OUTBOUND_METRICS_HOSTNAME_LABELS="true", INBOUND_METRICS_AUTHORITY_LABELS="unsafe")
    assert status(pair, "/", "-H", "Host: shop.example") == "200"
    assert value(pair.client, "outbound_http_route_request_statuses_total", 'hostname="shop.example"') == 1
    assert value(pair.web, "request_total", 'authority="shop.example"') == 1


def test_metrics_retain_idle(pair):
    pair.service(meshed=False)
    start(pair, "client", METRICS_RETAIN_IDLE="1s", OUTBOUND_DISCOVERY_IDLE_TIMEOUT="1s",
          OUTBOUND_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT="100ms")
    assert status(pair) == "200"
    assert "request_total{" in pair.client.metrics()
    until(lambda: "request_total{" not in pair.client.metrics())


@pytest.mark.parametrize("form", ["apache", "json"])
def test_access_log(pair, form):
    pair.service()
    start(pair, "web", ACCESS_LOG=form)
    assert status(pair, "/a%22b", "-A", 'agent "x"') == "200"
    if form == "json":
        pair.web.proxy.wait_line(r'^\{"timestamp"')
        line = json.loads(next(line for line in pair.web.proxy.lines if line.startswith('{"timestamp"')))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", line["timestamp"])
        assert (line["method"], line["uri"], line["status"], line["version"]) == ("GET", "/a%22b", 200, "HTTP/1.1") or \
            line["version"] == "HTTP/2.0"
        assert line["client.id"] == pair.client_identity and line["user_agent"] == 'agent "x"' and line["total_ns"] > 0
        assert line["host"] and line["client.addr"].startswith(pair.client.host.ip4)
    else:
        pair.web.proxy.wait_line(r'"GET ')
        line = next(line for line in pair.web.proxy.lines if '"GET ' in line)
        assert re.fullmatch(rf'{pair.client.host.ip4}:\d+ {pair.client_identity} - \[\S+Z\] "GET \S*/a%22b HTTP/\d\.\d" 200 '
                            r'\S+ "" "agent \\"x\\"" \d+', line), line


def test_log_format_and_level(pair):
    """JSON lines; the level is changed while it runs, by a client on loopback only, and an impossible one is refused."""
    start(pair, "client", app=False, LOG="warn", LOG_FORMAT="json")
    admin = ("127.0.0.1", ADMIN, "/proxy-log-level")
    assert get(pair.client.host, *admin).body.decode().strip() == "warn"
    assert get(pair.client.host, *admin, method="PUT", body="warn,linkerd=debug").status == 204
    assert get(pair.client.host, *admin).body.decode().strip() == "warn,linkerd=debug"
    assert get(pair.client.host, *admin, method="PUT", body="linkerd=loud").status == 400
    assert get(pair.client.host, *admin, method="POST", body="warn").status == 405
    assert get(pair.web.host, pair.client.host.ip4, ADMIN, "/proxy-log-level").status == 403
    with pair.client.host.connect("10.99.0.9", 80):  # nobody answers for it: the proxy says so
        pair.client.proxy.wait_line(r'^\{"timestamp"')
    line = json.loads(next(line for line in pair.client.proxy.lines if line.startswith("{")))
    assert {"timestamp", "level"} <= set(line), line


@pytest.mark.parametrize("enabled", [True, False])
def test_shutdown_endpoint(pair, enabled):
    start(pair, "client", app=False, SHUTDOWN_ENDPOINT_ENABLED=str(enabled).lower())
    page = ("127.0.0.1", ADMIN, "/shutdown")
    assert get(pair.client.host, *page).status == (405 if enabled else 404)
    assert get(pair.web.host, pair.client.host.ip4, ADMIN, "/shutdown", method="POST").status == (403 if enabled else 404)
    assert get(pair.client.host, *page, method="POST").status == (200 if enabled else 404)
    if enabled:
        assert pair.client.proxy.wait_exit() == 0
    else:
        assert pair.client.proxy.running()
