"""The harness cleans up whatever happens: failing tests, signals in the middle, even SIGKILL; and it notices what is
left behind. Each case is a pytest of its own, on a small test file."""

import os
import pathlib
import signal
import sys

import pytest

from lib import netns
from lib.proc import Died, Program
from lib.wait import until

ROOT = pathlib.Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not netns.available(), reason="making network namespaces needs root")


def names():
    return set(netns.existing())


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def inner(tmp_path, programs):
    """inner(body) starts pytest on one test with this body."""

    def start(body):
        folder = tmp_path / "inner"
        folder.mkdir()
        (folder / "conftest.py").write_text((ROOT / "test" / "conftest.py").read_text())
        (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {ROOT / 'test'}\n")
        (folder / "test_inner.py").write_text(
            "def test_it(network, programs):\n" + "".join(f"    {line}\n" for line in body.splitlines()))
        return programs.start([sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", folder], name="inner",
                              cwd=folder)

    return start


SLEEPER = ("host = network.host('h')\n"
           "sleeper = programs.start(['sh', '-c', 'echo up; exec sleep 1000'], namespace=host)\n"
           "sleeper.wait_line('up')\n"
           "print('\\npid', sleeper.pid, flush=True)\n")


def test_failing_test_leaves_nothing(inner):
    before = names()
    run = inner(SLEEPER + "assert False")
    pid = int(run.wait_line(r"pid (\d+)")[1])
    assert run.wait_exit() == 1
    assert names() == before and not alive(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_leaves_nothing(inner, number):
    before = names()
    run = inner(SLEEPER + "sleeper.wait_exit(1000)")
    pid = int(run.wait_line(r"pid (\d+)")[1])
    assert names() != before
    run.kill(number)
    run.wait_exit()
    assert names() == before and not alive(pid)


def test_killed_run_is_swept_by_the_next(inner):
    before = names()
    run = inner(SLEEPER + "sleeper.wait_exit(1000)")
    pid = int(run.wait_line(r"pid (\d+)")[1])
    run.kill(signal.SIGKILL)
    run.wait_exit()
    until(lambda: not alive(pid))  # it dies with its parent
    assert names() != before
    netns.sweep()
    assert names() == before


def test_what_is_left_running_is_reported(inner):
    """A process that a test starts by itself and forgets is killed, and the test fails."""
    run = inner("import subprocess\nhost = network.host('h')\n"
                "left = subprocess.Popen(host.wrap(['sleep', '1000']))\nprint('\\npid', left.pid, flush=True)")
    pid = int(run.wait_line(r"pid (\d+)")[1])
    assert run.wait_exit() == 1
    assert "still running in the namespaces" in run.output
    assert not alive(pid)


def test_crash_fails_the_test(inner):
    run = inner("program = programs.start(['sh', '-c', 'kill -SEGV $$'])\nprogram.wait_exit()")
    assert run.wait_exit() == 1
    assert "was killed by SIGSEGV" in run.output


def test_sanitizer_fails_the_test(inner):
    run = inner("programs.start(['echo', '==1==ERROR: AddressSanitizer: heap']).wait_exit()")
    assert run.wait_exit() == 1
    assert "AddressSanitizer" in run.output
    run.lines.clear()  # or this test would be failed by the same words


def test_children_are_stopped_too(programs, tmp_path):
    parent = programs.start(["sh", "-c", "sleep 1000 & echo $!; wait"], name="parent")
    child = int(parent.wait_line(r"^(\d+)$")[1])
    assert alive(child)
    parent.stop()
    until(lambda: not alive(child))


def test_waiting_tells_why(tmp_path):
    program = Program(["sh", "-c", "echo one; exit 3"], "short", tmp_path / "short.log")
    with pytest.raises(Died, match="one"):
        program.wait_line("two")
    assert program.stop() == 3
    slow = Program(["sleep", "1000"], "slow", tmp_path / "slow.log")
    with pytest.raises(TimeoutError):
        slow.wait_line("never", timeout=0.05)
    assert slow.stop() == -signal.SIGTERM


def test_output_keeps_streams_in_order(programs, tmp_path):
    program = programs.start(["sh", "-c", "echo a; echo b >&2; echo c"], name="abc")
    assert program.wait_exit() == 0
    assert program.lines == ["a", "b", "c"]
    assert (tmp_path / f"{program.name}.log").read_text() == "a\nb\nc\n"


def test_namespaces_are_apart():
    before = os.listdir("/sys/class/net")
    with netns.Network() as network:
        network.host("a")
        assert os.listdir("/sys/class/net") == before  # nothing of theirs where the tests run


def test_hosts_reach_each_other(network):
    a, b = network.host("a"), network.host("b")
    with a.listen("::", 80) as server:
        server.settimeout(10)
        for address in (a.ip4, a.ip6):
            b.connect(address, 80).close()
            server.accept()[0].close()
    with pytest.raises(OSError):
        b.connect("127.0.0.1", 80, 2)
    assert a.run(["id", "-u"], uid=2102).stdout.strip() == "2102"


FAKE_PROXY = '''#!/usr/bin/python3
"""Answers as a proxy's admin port does, and tells the original destination of what it is given."""
import http.server, os, socket, struct, threading

def serve(port):
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        conn, _ = server.accept()
        raw = conn.getsockopt(socket.SOL_IP, 80, 16)
        conn.sendall(f"{port} {socket.inet_ntop(socket.AF_INET, raw[4:8])}:{struct.unpack('!H', raw[2:4])[0]}".encode())
        conn.close()

class Admin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"up 1\\n" if self.path == "/metrics" else b"ready"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

assert os.getuid() == 2102
for port in (4143, 4140):
    threading.Thread(target=serve, args=(port,), daemon=True).start()
http.server.ThreadingHTTPServer(("0.0.0.0", 4191), Admin).serve_forever()
'''


def test_pod(network, programs, binaries, tmp_path):
    """lib/mesh.py with a stand-in for the proxy: rules, user, readiness, application beside it."""
    from lib.mesh import Pod
    fake = tmp_path / "linkerd-proxy"
    fake.write_text(FAKE_PROXY)
    fake.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents):  # for user 2102
        if str(folder) not in ("/", "/tmp") and folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o711)
    pod = Pod(network.host("web"), {**binaries, "linkerd-proxy": fake}, programs)
    peer = network.host("peer")
    pod.redirect()
    pod.start_proxy({})
    assert pod.metrics() == "up 1\n"
    pod.start_app([sys.executable, "-m", "http.server", "8080", "--directory", "/var/empty"], port=8080, cwd="/")
    with peer.connect(pod.host.ip4, 8080) as conn:
        assert conn.recv(100) == f"4143 {pod.host.ip4}:8080".encode()
    with pod.host.connect(peer.ip4, 9) as conn:
        assert conn.recv(100) == f"4140 {peer.ip4}:9".encode()
