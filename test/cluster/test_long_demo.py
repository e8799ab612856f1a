"""demo/kubernetes/run, as `make demo-kubernetes FOR=20s` calls it: what it shows, and that it leaves nothing."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from cluster.cluster import ROOT, missing_programs
from cluster.mesh import make_images

pytestmark = [pytest.mark.long, pytest.mark.timeout(420), pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]
DEMO = ROOT / "demo/kubernetes/run"


def left(pid):
    """What the demo of this process would leave on the machine."""
    names = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split()
    return ([name for name in names if name.startswith(f"ck-{pid}-")]
            + [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/ck-{pid}-*")]
            + [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if f"ck-{pid}-" in line])


@pytest.fixture
def demo(binaries, tmp_path):
    """The demo as it runs, its temporary files in a folder of the test; ended as Ctrl-C does when the test has failed."""
    build = binaries["linkerd-proxy"].parent.parent.parent
    try:
        make_images(build, tmp_path)
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")
    (tmp_path / "tmp").mkdir()
    running = subprocess.Popen([sys.executable, DEMO, "--for", "20s", "--build", build], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env={**os.environ, "TMPDIR": str(tmp_path / "tmp")})
    yield running
    if running.poll() is None:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)


def test_demo_in_kubernetes(demo, tmp_path):
    output, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, output
    lines = iter(output.splitlines())
    for beginning in (  # in this order, others between them
            "Starting a cluster of 1 node(s)", "Making images", "linkerd install --crds | kubectl apply --server-side -f -", "linkerd install | kubectl apply -f -",
            "The control plane is ready after", "kubectl apply -f demo/kubernetes/shop.yaml", "Look and try, in another shell:", "Clinkerd in Kubernetes: the last",
            "All requests succeeded, every connection between pods was mutual TLS, every service had traffic.", "Ending it"):
        assert any(line.startswith(beginning) for line in lines), f"no line begins with {beginning!r} in its place:\n{output}"
    table = output[output.index("Clinkerd in Kubernetes: the last"):]
    for name in ("web", "quotes", "cache"):
        assert name in table, output
    assert "FAILED" not in output and "Traceback" not in output, output
    assert left(demo.pid) == [] and list((tmp_path / "tmp").iterdir()) == []
