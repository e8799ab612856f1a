"""Fixtures for all black-box tests.

    binaries    name -> path of our programs in the build folder (--build, else CLINKERD_BUILD, else build/release)
    network     a fresh Network (lib/netns.py); gone after the test, with whatever ran there
    programs    starts programs (lib/proc.py); all stopped after the test, which fails if one crashed
    pod         makes Pods (lib/mesh.py) on the network

A test that leaves a process or a namespace behind fails.
"""

import os
import pathlib
import signal
import shutil

import pytest

from lib import netns
from lib.mesh import Pod
from lib.proc import Programs

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = {
    "linkerd": "src/cli/linkerd",
    "linkerd-proxy": "src/proxy/linkerd-proxy",
    "linkerd-controller": "src/control/linkerd-controller",
    "linkerd-init": "src/init/linkerd-init",
    "linkerd-cni": "src/cni/linkerd-cni",
    "http-echo": "test/tools/http-echo",
    "h2-test-client": "test/tools/h2-test-client",
    "h2-test-server": "test/tools/h2-test-server",
    "render-template": "test/tools/render-template",
}


def pytest_addoption(parser):
    parser.addoption("--build", default=os.environ.get("CLINKERD_BUILD"), help="build folder to test")


def _interrupted(number, frame):
    raise KeyboardInterrupt(f"signal {number}")  # so that fixtures clean up


def pytest_configure(config):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGINT too: shells start background jobs without it
        signal.signal(number, _interrupted)
    if netns.available():
        netns.sweep()


class Binaries(dict):
    def __missing__(self, name):
        pytest.fail(f"{name} is not built; run `make build` or name a build folder with --build", pytrace=False)


@pytest.fixture(scope="session")
def binaries(request):
    build = pathlib.Path(request.config.getoption("--build") or ROOT / "build" / "release").resolve()
    found = {name: build / path for name, path in PROGRAMS.items() if (build / path).exists()}
    return Binaries(found)


@pytest.fixture
def network():
    if not netns.available():
        pytest.skip("making network namespaces needs root")
    net = netns.Network()
    try:
        yield net
    finally:
        left = net.close()
    assert not left, "still running in the namespaces of this test:\n" + "\n".join(left)


@pytest.fixture
def programs(tmp_path, request):
    # The network, where there is one, is to outlive the programs in it.
    if "network" in request.fixturenames:
        request.getfixturevalue("network")
    all_programs = Programs(tmp_path)
    yield all_programs
    all_programs.close()


@pytest.fixture
def pod(network, programs, binaries):
    """pod("name") -> Pod on a host of its own."""
    return lambda label: Pod(network.host(label), binaries, programs)


@pytest.fixture(scope="session", autouse=True)
def nothing_left():
    yield
    if netns.available():
        assert not netns.existing(os.getpid()), "namespaces left behind"


def pytest_report_header(config):
    tools = [name for name in ("iptables-nft", "iptables-legacy", "tcpdump", "curl") if shutil.which(name)]
    return f"namespaces: {netns.available()}, tools: {', '.join(tools)}"
