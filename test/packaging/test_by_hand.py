"""docs/without-kubernetes.md, typed as it stands there, on three machines."""

import pathlib
import re
import tempfile

import pytest

from packaging.machines import ROOT, Machines

PAGE = ROOT / "docs/without-kubernetes.md"
TYPED = re.compile(r"^    (control|web|client)# (.*)$")
EXPECTED = re.compile(r"^        (\S.*)$")


def steps(text):
    """(machine, line, what it must print) of each typed line."""
    found = []
    for line in text.splitlines():
        if typed := TYPED.match(line):
            found.append((typed[1], typed[2], []))
        elif (expected := EXPECTED.match(line)) and found:
            found[-1][2].append(expected[1])
    return found


@pytest.fixture
def machines(network, binaries, programs):
    with tempfile.TemporaryDirectory(prefix="clinkerd-hand-") as path:
        folder = pathlib.Path(path)
        folder.chmod(0o755)
        yield Machines(network, binaries, programs, folder)


@pytest.mark.slow
def test_the_page(machines):
    typed = steps(PAGE.read_text())
    assert len(typed) > 40
    for machine, line, expected in typed:
        printed = machines[machine].run(line)
        for text in expected:
            assert text in printed, f"{machine}# {line}\nexpected {text!r} in:\n{printed}"


@pytest.mark.slow
def test_plaintext_is_not_for_the_control_plane(machines):
    """Tokens and policy never cross a wire in clear, and nobody without an identity learns of the mesh."""
    typed = steps(PAGE.read_text())
    upto = next(i for i, step in enumerate(typed) if "getent" in step[1])
    for machine, line, _ in typed[:upto]:
        machines[machine].run(line)
    client = machines["client"].host
    for port in (8086, 8090):
        # As the proxy's user, whose connections are not redirected: straight to the controller's machine, without TLS.
        done = client.run(["curl", "-sS", "--max-time", "5", "--http2-prior-knowledge", "-o", "/dev/null", "-w",
                           "%{http_code} %header{grpc-status}", "-H", "content-type: application/grpc", "-X", "POST",
                           f"http://10.77.0.1:{port}/io.linkerd.x/Y"], uid=2102, check=False)
        assert done.stdout.startswith(("403", "200 7")), (port, done)
