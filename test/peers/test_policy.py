"""Policies and routes, from the same objects, between our proxy and Linkerd's under either control plane."""

import contextlib
import time

import pytest

from lib.manifests import policy, route, server
from lib.worlds import identity
from peers.test_traffic import ask, connection


@contextlib.contextmanager
def applied(world, *things):
    world.apply(*things)
    try:
        yield
    finally:
        world.remove(*things)


def until(what, wanted, seconds=20):
    """Until what() gives what is wanted: policies travel at their own pace."""
    deadline = time.monotonic() + seconds
    while (seen := what()) != wanted:
        assert time.monotonic() < deadline, f"still {seen}, not {wanted}"
        time.sleep(0.02)  # between attempts
    return seen


def status(client, web, path="/", **headers):
    return ask(connection(client, web), "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})[0]


def own(web, **spec):
    return server("web-http", "http", web.service, "shop", **spec)


def test_denied_and_allowed(world, client, web):
    with applied(world, own(web, proxyProtocol="HTTP/1")):
        until(lambda: status(client, web), 403)
        conn = connection(client, web)
        sock = conn.sock
        for _ in range(3):
            code, headers, body = ask(conn)
            assert code == 403 and body == b"" and conn.sock is sock, "the connection is kept"
        allow = [policy("MeshTLSAuthentication", "clients", "v1alpha1", {"identities": [identity(client.account, "shop")]}, "shop"),
                 policy("AuthorizationPolicy", "clients", "v1alpha1", {
                     "targetRef": {"group": "policy.linkerd.io", "kind": "Server", "name": "web-http"},
                     "requiredAuthenticationRefs": [{"group": "policy.linkerd.io", "kind": "MeshTLSAuthentication", "name": "clients"}]},
                     "shop")]
        with applied(world, *allow):
            until(lambda: status(client, web), 200)
        until(lambda: status(client, web), 403)
    until(lambda: status(client, web), 200)


def test_opaque_is_closed(world, client, web):
    """No byte of it comes back, and the connection ends."""

    def answer():
        with client.host.connect(web.address, 6379, timeout=10) as sock:
            sock.sendall(b"PING\r\n")
            try:
                return sock.recv(100)
            except ConnectionResetError:
                return b""

    assert answer() == b"+PONG\r\n"
    with applied(world, server("web-redis", "redis", web.service, "shop", proxyProtocol="opaque")):
        until(answer, b"")
    until(answer, b"+PONG\r\n")


def test_route_by_header_and_weight(world, client, web):
    """A header sends to a status, weights share the rest between both servers."""
    group = "policy.linkerd.io"
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in (("web-ours", 3), ("web-theirs", 1))]
    away = {"path": {"type": "PathPrefix", "value": "/shared"}, "headers": [{"name": "x-go", "value": "away"}]}  # the longer path wins
    rules = [{"matches": [away],
              "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "elsewhere.test", "statusCode": 302}}]},
             {"matches": [{"path": {"type": "PathPrefix", "value": "/shared"}}], "backendRefs": backends}]
    thing = route("by-header", web.service, rules, namespace="shop", parent_kind="Service", group="core",
                  version=f"{group}/v1beta3", port=80)
    with applied(world, thing):
        until(lambda: status(client, web, "/shared", x_go="away"), 302)
        until(lambda: status(client, web, "/none"), 404)
        conn = connection(client, web)
        assert {ask(conn, "GET", "/shared")[0] for _ in range(20)} == {200}
    until(lambda: status(client, web, "/none"), 200)


@pytest.mark.slow
def test_controllers_restart(world, client, web):
    """What worked goes on working without the control plane, and changes are seen again behind it."""
    assert status(client, web) == 200
    names = [name for name in world.controllers if name != "identity"]
    for name in names:
        world.kill_controller(name)
    assert [status(client, web) for _ in range(5)] == [200] * 5
    for name in names:
        world.start_controller(name)
    with applied(world, own(web, proxyProtocol="HTTP/1")):
        until(lambda: status(client, web), 403, 60)
    until(lambda: status(client, web), 200, 60)
