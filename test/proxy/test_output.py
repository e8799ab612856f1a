"""Standard output that takes nothing: a reader that does not read, one that is gone, a full disk, a closed descriptor. The proxy
and the controller go on; lines that were lost are counted, and told when there is room again."""

import contextlib
import fcntl
import os
import pathlib
import re
import select
import tempfile
import time

import pytest

from lib.controller import Controller
from lib.http import get
from lib.manifests import pod as pod_manifest, service
from lib.mesh import ADMIN
from lib.netns import available
from proxy.test_hostile import recorder

F_SETPIPE_SZ = 1031
LOST = re.compile(rb"(\d+) log lines were lost because nobody read them")
KINDS = {"blocked": ">{pipe} 2>&1", "reader gone": ">{pipe} 2>&1", "full disk": ">/dev/full 2>&1", "closed": "<&- >&- 2>&-"}


class Output:
    """wrap(program) -> a script that runs it with its output as `kind` says."""

    def __init__(self, kind):
        self.kind, self.folder = kind, tempfile.TemporaryDirectory(prefix="clinkerd-output-")
        self.path = pathlib.Path(self.folder.name)
        self.path.chmod(0o755)
        self.pipe = self.path / "pipe"
        os.mkfifo(self.pipe)
        self.pipe.chmod(0o666)
        self.reader = os.open(self.pipe, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.reader, F_SETPIPE_SZ, 4096)

    def wrap(self, program):
        script = self.path / "run"
        script.write_text(f'#!/bin/sh\nexec {program} "$@" {KINDS[self.kind].format(pipe=self.pipe)}\n')
        script.chmod(0o755)
        return script

    def began(self):
        """The program has opened it."""
        if self.kind == "reader gone":
            os.close(self.reader)
            self.reader = None

    def read_until(self, pattern, timeout=30):
        seen, deadline = b"", time.monotonic() + timeout
        while not (found := pattern.search(seen)):
            assert time.monotonic() < deadline, seen[-500:]
            if select.select([self.reader], [], [], 1)[0]:
                seen += os.read(self.reader, 1 << 16)
        return found, seen

    def close(self):
        if self.reader is not None:
            os.close(self.reader)
        self.folder.cleanup()


@pytest.fixture(params=KINDS)
def output(request):
    output = Output(request.param)
    yield output
    output.close()


@pytest.mark.skipif(not available(), reason="making network namespaces needs root")
def test_proxy(pair, output):
    pair.service(meshed=False)
    recorder(pair.web)
    pair.control.start([pair.web.host])
    pair.web.redirect()
    pair.web.binaries = {**pair.web.binaries, "linkerd-proxy": output.wrap(pair.web.binaries["linkerd-proxy"])}
    proxy = pair.web.start_proxy(pair.control.env("web", LINKERD2_PROXY_ACCESS_LOG="apache"))
    output.began()
    done = pair.client.host.run(["curl", "-sS", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code}\\n",
                                 f"http://{pair.web.host.ip4}:8080/{'x' * 500}/[1-1500]"], timeout=90)
    assert done.stdout.split() == ["200"] * 1500
    assert get(pair.web.host, "127.0.0.1", ADMIN, "/metrics").status == 200
    if output.kind == "blocked":
        found, seen = output.read_until(LOST)
        lines = len(re.findall(rb'"GET [^ ]*/x{500}/\d+ ', seen))
        assert 0 < int(found[1]) and lines + int(found[1]) >= 1500
    assert proxy.running() and not proxy.output, proxy.output


def test_controller(output, tmp_path, programs, binaries):
    control = Controller(tmp_path, programs, {**binaries, "linkerd-controller": output.wrap(binaries["linkerd-controller"])})
    try:
        control.write("web.yaml", service(), pod_manifest())
        control.program = programs.start(control.arguments("--log-level=debug"), name="controller")
        control.program.wait_port(9990, control.host)
        output.began()
        for i in range(30):  # each broken document is a line
            control.write("broken.yaml", *["kind: Service\napiVersion: v1\nmetadata: {name: '%s%d'}\nspec: 7" % ("x" * 300, i)] * 60)
            with contextlib.suppress(OSError):
                control.http("/ready")
        stream = control.watch_endpoints("web.default.svc.cluster.local:80")
        assert stream.next().add.addrs
        control.write("web.yaml", service(), pod_manifest(), pod_manifest("web-1", ip="10.1.0.77"))
        assert stream.next()
        assert control.http("/ready")[0] == 200 and control.program.running() and not control.program.output
    finally:
        control.close()
