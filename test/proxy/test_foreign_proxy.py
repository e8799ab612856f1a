"""Linkerd's own proxy on one side of the pair. LINKERD_PEERS names a folder that has `linkerd2-proxy`; without it these are
skipped."""

import os
import pathlib
import shutil

import pytest

from lib.worlds import key_and_request
from proxy.test_pair import echo_server, folder, nginx  # noqa: F401 (a fixture)

PEERS = os.environ.get("LINKERD_PEERS")
PROXY = pathlib.Path(PEERS or "/nonexistent") / "linkerd2-proxy"
pytestmark = pytest.mark.skipif(not PROXY.exists(), reason="LINKERD_PEERS names no folder with linkerd2-proxy")


@pytest.fixture(params=["foreign client", "foreign server"])
def mixed(pair, request, folder):  # noqa: F811
    """start() of the pair with Linkerd's proxy on one side; ours on the other."""
    foreign = pair.client if request.param == "foreign client" else pair.web
    copy = folder / "linkerd2-proxy"
    shutil.copy(PROXY, copy)
    copy.chmod(0o755)
    foreign.binaries = {**foreign.binaries, "linkerd-proxy": copy}

    def start():
        pods = [pair.client, pair.web]
        pair.control.start([pod.host for pod in pods])
        for pod, name in zip(pods, ("client", "web")):
            env = pair.control.env(name)
            if pod is foreign:
                key_and_request(env["LINKERD2_PROXY_IDENTITY_DIR"], env["LINKERD2_PROXY_IDENTITY_LOCAL_NAME"])
            pod.redirect()
            pod.start_proxy(env)

    pair.start = start
    return pair


def test_http1(mixed, folder):  # noqa: F811
    mixed.service()
    nginx(mixed.web, folder)
    mixed.start()
    answer = mixed.curl("-i").stdout
    assert answer.startswith("HTTP/1.1 200") and "hello from nginx over HTTP/1.1" in answer
    assert f"x-client-id: {mixed.client_identity}" in answer


def test_http2(mixed, folder):  # noqa: F811
    mixed.service(port=81, target=8081)
    (folder / "index.html").write_text("hello over two\n")
    mixed.web.start_app(["nghttpd", "--no-tls", "-d", str(folder), "8081"], port=8081, uid=1000, name="nghttpd")
    mixed.start()
    done = mixed.curl("--http2-prior-knowledge", "-i", port=81, path="/index.html")
    assert done.stdout.startswith("HTTP/2 200") and "hello over two" in done.stdout


def test_opaque(mixed):
    mixed.service(port=7000, target=7000, protocol="opaque", opaque=True)
    echo_server(mixed.web, 7000)
    mixed.start()
    payload = bytes(range(256)) * 64
    with mixed.client.host.connect("10.99.0.1", 7000) as sock:
        sock.sendall(payload)
        back = b""
        while len(back) < len(payload):
            back += sock.recv(1 << 16)
    assert back == payload
