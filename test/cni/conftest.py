import shutil

import pytest

from cni.node import PLUGINS, Node


@pytest.fixture
def cnitool():
    found = shutil.which("cnitool")
    if not found:
        pytest.skip("cnitool is not built: scripts/deps go, and its folder in PATH")
    if not (PLUGINS / "bridge").exists():
        pytest.skip("the plugins of Debian's containernetworking-plugins are not installed: scripts/deps system")
    return found


@pytest.fixture
def node(network, binaries, cnitool, tmp_path):
    made = Node(network, binaries, cnitool, tmp_path)
    yield made
    made.close()
