"""What the commands write when the disk is full: an error that names the file, and nothing half written."""

import os
import subprocess

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")

# A file system of one page more than is used, in a mount namespace of its own; what is left there is listed at the end.
SCRIPT = """
mount -t tmpfs -o size=64k none "$1" && cd "$1" && mkdir out && head -c {filler} /dev/zero > filler
shift; "$@"; status=$?
for file in $(find out -type f); do echo "LEFT $file $(stat -c %s "$file")"; done
exit $status
"""


def run(binaries, folder, *words, filler=10_000_000):
    done = subprocess.run(["unshare", "--mount", "--propagation=private", "--", "sh", "-c", SCRIPT.format(filler=filler), "sh", folder,
                           binaries["linkerd"], *words], capture_output=True, text=True, timeout=60)
    return done, [line for line in done.stdout.splitlines() if line.startswith("LEFT")]


@pytest.mark.parametrize("words, said", [
    (["certs", "anchor", "--out", "out"], "out/ca."),
    (["token", "key", "--out", "out"], "out/token."),
])
def test_full(binaries, tmp_path, words, said):
    done, left = run(binaries, tmp_path, *words)
    assert done.returncode == 1 and said in done.stderr and "No space left on device" in done.stderr, done.stderr
    assert not left, (left, done.stderr)


def test_with_room(binaries, tmp_path):
    """The same, and it fits."""
    done, left = run(binaries, tmp_path, "certs", "anchor", "--out", "out", filler=100)
    assert done.returncode == 0 and len(left) == 2, (left, done.stderr)


def test_standard_output_is_full(binaries, tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([binaries["linkerd"], "version", "--client"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 1 and "cannot write to standard output: No space left on device" in done.stderr
