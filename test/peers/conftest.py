"""One mesh under each control plane, kept for all tests of this folder: two clients and two servers, of each one with our proxy
and one with Linkerd's. Service web-ours has the pod web-ours-0, and so on; clients are client-ours and client-theirs."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

from lib import netns
from lib.controller import PEM, _key_pem, make_ca
from lib.manifests import service
from lib.proc import Programs
from lib.worlds import World

SIDES = ("ours", "theirs")
ROOT = pathlib.Path(__file__).resolve().parents[2]
APPS = ROOT / "test/peers/apps.py"
PORTS = {"http": 8080, "h2": 8081, "websocket": 8082, "tls": 8443, "greeter": 2525, "redis": 6379, "grpc": 9000}
ADDRESSES = {"web-ours": "10.96.0.10", "web-theirs": "10.96.0.11"}


@pytest.fixture(scope="session")
def tool():
    """tool("grpc-server") -> its path; skips where it is not installed."""
    go = subprocess.run([ROOT / "scripts/deps", "where", "go"], capture_output=True, text=True).stdout.strip()

    def find(name):
        return shutil.which(name, path=os.pathsep.join([go, os.environ.get("PATH", "")])) or pytest.skip(f"{name} is not installed")

    return find


@pytest.fixture(scope="session", params=["clinkerd", "linkerd"])
def world(request, binaries, tmp_path_factory, tool):
    if not netns.available():
        pytest.skip("making network namespaces needs root")
    with contextlib.ExitStack() as cleanup:
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="clinkerd-world-"))
        network = cleanup.enter_context(netns.Network())
        programs = Programs(tmp_path_factory.mktemp(request.param))
        cleanup.callback(programs.close)
        world = World(request.param, binaries, programs, network, folder)
        cleanup.callback(world.close)
        world.start()
        world.tool = tool
        world.servers = {side: server(world, f"web-{side}", side) for side in SIDES}
        world.clients = {side: world.pod(f"client-{side}", labels={"app": f"client-{side}"}, proxy=side) for side in SIDES}
        yield world


def server(world, name, side, **more):
    pod = world.pod(f"{name}-0", account=name, labels={"app": name}, ports=PORTS, proxy=side, **more)
    start_apps(world, pod)
    ports = [{"name": key, "port": value if key != "http" else 80, "targetPort": value} for key, value in PORTS.items()]
    world.apply(service(name, ADDRESSES[name], ports, "shop"))
    return pod


def start_apps(world, pod):
    folder = world.folder / f"files-{pod.name}"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "index.html").write_text("hello over two\n")
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "tls.crt").write_bytes(make_ca("example.test", key).public_bytes(PEM))
    (folder / "tls.key").write_text(_key_pem(key))
    for kind, *more in (("http",), ("websocket",), ("greeter",), ("tls", folder / "tls.crt", folder / "tls.key")):
        pod.start_app([sys.executable, APPS, kind, PORTS[kind], *more], port=PORTS[kind], uid=0, name=kind)
    pod.start_app(["nghttpd", "--no-tls", "-d", folder, PORTS["h2"]], port=PORTS["h2"], name="nghttpd")
    pod.start_app(["redis-server", "--port", PORTS["redis"], "--save", "", "--protected-mode", "no", "--dir", "/tmp"],
                  port=PORTS["redis"], name="redis")
    pod.start_app([world.tool("grpc-server"), f"--port={PORTS['grpc']}"], port=PORTS["grpc"], uid=0, name="grpc-server")


# Two of Linkerd's proxies are nobody's concern here.
@pytest.fixture(params=[("ours", "ours"), ("ours", "theirs"), ("theirs", "ours")], ids=lambda sides: "-to-".join(sides))
def sides(request):
    return request.param


@pytest.fixture
def client(world, sides):
    return world.clients[sides[0]]


@pytest.fixture
def web(world, sides):
    pod = world.servers[sides[1]]
    pod.service = f"web-{sides[1]}"
    pod.address = ADDRESSES[pod.service]
    return pod
