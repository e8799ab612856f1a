"""demo/run with the build under test, watched from outside."""

import os
import pathlib
import re
import select
import shutil
import subprocess

import pytest

from lib import netns

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WAIT = 90  # seconds, on a busy machine


class Run:
    def __init__(self, build, arguments):
        self.process = subprocess.Popen(
            [ROOT / "demo/run", "--build", build, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.lines = []

    def until(self, pattern):
        """Reads on to a line; the match."""
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"the demo ended without {pattern!r}:\n{self.output}")

    def end(self):
        """The status, after everything was read."""
        self.lines += [line.rstrip("\n") for line in self.process.stdout]
        return self.process.wait(WAIT)

    @property
    def output(self):
        return "\n".join(self.lines)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def holders():
    """The processes that hold Pods, of every demo: they end last."""
    found = set()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(b"clinkerd-demo "):
                found.add(int(folder.name))
        except OSError:
            continue
    return found


def others(name):
    """Whether a namespace belongs to a run of tests that goes on beside this one; its name says whose it is (lib/netns.py)."""
    owner = int(name.split("-")[1])
    return owner != os.getpid() and os.path.exists(f"/proc/{owner}")


def traces():
    """What could be left: namespaces with names, mounts, files."""
    names = netns.existing()
    foreign = [" /run/netns ", *(f"/{name} " for name in names if others(name))]  # the folder: mounted when the first is made
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    return {"namespaces": {name for name in names if not others(name)},
            "mounts": [line for line in mounts if not any(name in line for name in foreign)],
            "run": set(os.listdir("/run")), "tmp": {name for name in os.listdir("/tmp") if "demo" in name}}


@pytest.fixture
def demo(request):
    """demo(arguments...) starts it; whatever happens to it, nothing may be left."""
    if not netns.available():
        pytest.skip("making network namespaces needs root")
    build = pathlib.Path(request.config.getoption("--build") or ROOT / "build/release").resolve()
    before, held, runs = traces(), holders(), []

    def start(*arguments):
        runs.append(Run(build, arguments))
        return runs[-1]

    yield start
    for run in runs:
        run.close()
    assert traces() == before
    wait_until_gone(held)


def wait_until_gone(before):
    """The kernel ends processes of a dead namespace one by one; each is waited for."""
    for pid in holders() - before:
        try:
            watched = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(watched, "rb") as end:
            assert select.select([end], [], [], 10)[0], f"process {pid} of the demo is still there"


@pytest.fixture
def manifests(tmp_path):
    """A copy of the demo's manifests, to be changed."""
    copy = tmp_path / "manifests"
    shutil.copytree(ROOT / "demo/manifests", copy)
    return copy
