"""The pair of test/proxy, and the foreign tools that speak to it."""

import os
import pathlib
import shutil
import subprocess

import pytest

from proxy.conftest import pair  # noqa: F401 (a fixture)
from proxy.test_pair import folder  # noqa: F401 (a fixture)

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def tool():
    """tool("h2spec") -> its path; skips where it is not installed."""

    def find(name):
        go = subprocess.run([ROOT / "scripts" / "deps", "where", "go"], capture_output=True, text=True).stdout.strip()
        path = shutil.which(name, path=os.pathsep.join([go, os.environ.get("PATH", ""), "/usr/sbin"]))
        if not path:
            pytest.skip(f"{name} is not installed; scripts/deps builds it")
        return path

    return find
