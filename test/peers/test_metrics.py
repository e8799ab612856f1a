"""/metrics of a pair of ours beside that of a pair of Linkerd's, after the same traffic: families, types, labels, fixed values, buckets.

What differs stands in the tables below, each with its reason, and in docs/metrics.md; anything else fails.
"""

import re

import pytest

from lib.manifests import server
from peers.conftest import ADDRESSES
from peers.test_policy import applied, until
from peers.test_traffic import ask, connection
from proxy.test_metrics import families

SIDES = ("ours", "theirs")

# Families of theirs that ours has not.
NOT_OURS = {
    r"stack_\w+|tokio_rt_\w+|rustls_info": "parts of a program in another language and runtime",
    r"opentelemetry_\w+": "no tracing",
    r"control_\w+_balancer_\w+": "control clients have one connection, no balancer and no queue",
    r"inbound_tcp_authz_terminate_total": "only when a policy changes while a connection of the test is open",
    r"outbound_tcp_transfer_cost_bytes_total": "tcp_*_bytes_total with dst_zone_locality says the same",
    r"\w+_ratelimit_\w+|\w+_retry_\w+|route_retryable_total": "not there yet",
    r"inbound_tcp_errors_total": "theirs counts a client that closes its connection to the proxy's port",
}
# Families of ours that theirs has not.
NOT_THEIRS = {
    r"proxy_errors_total": "by our reasons",
    r"inbound_tcp_authz_terminate_total": "only when a policy changes while a connection of the test is open",
    r"control_client_down_seconds|control_identity_trust_bundle_\w+|metrics_series\w*": "ours",
    r"inbound_http_errors_total": "a refused connection to the application is counted with its request; theirs answers it below this count",
}
# (family, side, label) that only one side shows. In theirs an empty value is written, which to Prometheus is none.
LABELS = {
    ("tcp_\\w+", "ours", "target_addr|target_ip|target_port"): "towards the application ours says which port it was",
    ("proxy_build_info", "ours", "vendor"): "theirs is whoever built it",
    ("proxy_build_info", "theirs", "date|git_sha"): "a build that can be repeated has no date",
    ("tcp_close_total", "ours", "errno"): "how the other side ends a refused connection is a matter of moments",
    ("response_total", "ours", "error"): "our reason for the answer, where theirs has none",
    ("tcp_\\w+", "ours", "srv_group"): "a connection that policy refuses counts as opened and closed",
}
# The admin port is, in Linkerd's, one more inbound port under its policy; ours serves it beside them.
ADMIN = ("target_port", "4191")
FIXED = ("direction", "peer", "tls", "no_tls_reason", "classification", "result", "protocol", "session_protocol", "op", "endpoint_state",
         "http_status", "status_code", "status", "record_type")
# (family, side, label, value) that only one side shows.
VALUES = {
    ("control_dns_resolutions_total", "theirs", "record_type", "SRV"): "an answer without records counts there, and the next question too",
    ("control_dns_resolutions_total", "theirs", "result", "not_found"): "as above",
}


def excused(table, name):
    return any(re.fullmatch(pattern, name) for pattern in table)


def page(text):
    """family as Prometheus stores it -> (type, {labels}, {le}), by either way of writing counters."""
    found = {}
    for name, (kind, _, series) in families(re.sub(r"^# (UNIT .*|EOF)\n", "", text, flags=re.M)).items():
        series = [(suffix, pairs) for suffix, pairs, value in series if ADMIN not in pairs and ("srv_port", "4191") not in pairs
                  and ("parent_port", "4191") not in pairs
                  and (kind != "counter" or float(value))]  # theirs shows some before the first
        if not series:
            continue
        if kind == "counter" and not name.endswith("_total"):
            name += "_total"
        found[name] = (kind, [frozenset((k, v) for k, v in pairs if k != "le" and v) for _, pairs in series],
                       list(dict.fromkeys(v for _, pairs in series for k, v in pairs if k == "le")))
    return found


def traffic(world, side):
    """HTTP/1, HTTP/2, gRPC, opaque, refused, denied."""
    client, web = world.clients[side], world.servers[side]
    web.service, web.address = f"web-{side}", ADDRESSES[f"web-{side}"]
    conn = connection(client, web)
    assert ask(conn, "POST", "/x", b"text")[0] == 200
    assert ask(conn, "GET", "/status/500")[0] == 500
    conn.close()
    curl = ["curl", "-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}"]
    assert client.host.run([*curl, "--http2-prior-knowledge", f"http://{web.address}:8081/index.html"]).stdout == "200"
    client.host.run([world.tool("grpc-client"), f"--server_host={web.address}", "--server_port=9000", "--test_case=empty_unary"])
    assert client.host.run(["redis-cli", "-h", web.address, "set", "a", "b"]).stdout == "OK\n"
    assert client.host.run([*curl, f"http://{web.host.ip4}:7777/"]).stdout == "502"
    thing = {"http": server(f"http-{side}", "http", web.service, "shop", proxyProtocol="HTTP/1"),
             "redis": server(f"redis-{side}", "redis", web.service, "shop", proxyProtocol="opaque")}
    with applied(world, *thing.values()):
        until(lambda: ask(connection(client, web))[0], 403)

        def denied():
            try:
                with client.host.connect(web.address, 6379, timeout=10) as sock:
                    sock.sendall(b"PING\r\n")
                    return sock.recv(100)
            except ConnectionResetError:
                return b""

        until(denied, b"")
        assert denied() == b""  # the one before may have been open when the policy changed: ended then, not denied
    until(lambda: ask(connection(client, web))[0], 200)


@pytest.fixture(scope="module")
def pages(world):
    """{(side, role): page} of proxies that had this traffic, whatever else they had."""
    for side in SIDES:
        traffic(world, side)
    return {(side, role): page(pod.metrics()) for side in SIDES
            for role, pod in (("client", world.clients[side]), ("web", world.servers[side]))}


def test_beside_theirs(pages):
    problems = []
    for role in ("client", "web"):
        ours, theirs = pages["ours", role], pages["theirs", role]
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in ours or name not in theirs:
                table = NOT_OURS if name not in ours else NOT_THEIRS
                if not excused(table, name):
                    problems.append(f"{role}: {name} is only {'theirs' if name not in ours else 'ours'}")
                continue
            (kind, series, bounds), (their_kind, their_series, their_bounds) = ours[name], theirs[name]
            if kind != their_kind:
                problems.append(f"{name}: {kind}, theirs {their_kind}")
            if bounds != their_bounds:
                problems.append(f"{name}: buckets {bounds}, theirs {their_bounds}")
            problems += differences(role, name, series, their_series)
    assert not problems, "\n".join(dict.fromkeys(problems))


def by_kind(series):
    """Which labels, and which values of those that are from a closed set, series of one direction and peer have."""
    found = {}
    for labels in series:
        values = dict(labels)
        kind = values.get("direction"), values.get("peer"), values.get("tls") if values.get("peer") == "src" else None
        names, fixed = found.setdefault(kind, (set(), set()))
        names |= {re.sub(r"^(dst|rt)_\w+", r"\1_*", name) for name in values}
        fixed |= {(name, values[name]) for name in FIXED if name in values}
    return found


def differences(role, name, series, their_series):
    ours, theirs = by_kind(series), by_kind(their_series)
    for kind in ours.keys() & theirs.keys():
        for side, (mine, other) in {"ours": (ours, theirs), "theirs": (theirs, ours)}.items():
            for label in sorted(mine[kind][0] - other[kind][0]):
                if not any(re.fullmatch(f, name) and s == side and re.fullmatch(l, label) for f, s, l in LABELS):
                    yield f"{role}: {name} {kind}: label {label} is only {side}"
            for label, value in sorted(mine[kind][1] - other[kind][1]):
                if label in other[kind][0] and (name, side, label, value) not in VALUES:
                    yield f"{role}: {name} {kind}: {label}={value!r} is only {side}"
    for kind in ours.keys() ^ theirs.keys():
        yield f"{role}: {name}: series of {kind} are only {'ours' if kind in ours else 'theirs'}"
