"""clang-tidy has nothing to say about src/ (.clang-tidy), where a build folder of clang's can be made."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("clang-tidy"), reason="clang-tidy is not installed")
def test_clang_tidy(tmp_path, monkeypatch):
    """Files that the build generates must be there, which is all that it builds."""
    monkeypatch.setenv("CC", "clang")
    build = tmp_path / "build"
    subprocess.run(["meson", "setup", build, ROOT, "-Dtests=false"], check=True, capture_output=True)
    targets = subprocess.run(["ninja", "-C", build, "-t", "targets", "all"], check=True, capture_output=True, text=True).stdout
    generated = [line.split(":")[0] for line in targets.splitlines() if (".pb-c." in line or ".inc:" in line) and not line.split(":")[0].endswith(".o")]
    subprocess.run(["ninja", "-C", build, *generated], check=True, capture_output=True)
    monkeypatch.setenv("BUILD", str(build))
    done = subprocess.run([ROOT / "scripts" / "clang-tidy"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
