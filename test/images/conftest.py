"""Images made from the build folder that is tested, once for all tests here."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def make(out, build, *args):
    return subprocess.run([sys.executable, ROOT / "images" / "make", f"--out={out}", f"--build={build}", *args], capture_output=True,
                          text=True)


@pytest.fixture(scope="session")
def build(binaries):
    """The folder of the build; images are made of static programs only."""
    folder = binaries["linkerd-proxy"].parent.parent.parent
    if "INTERP" in subprocess.run(["readelf", "-lW", binaries["linkerd-init"]], capture_output=True, text=True, check=True).stdout:
        pytest.skip("images take static programs: --build build/release")
    return folder


@pytest.fixture(scope="session")
def images(build, tmp_path_factory):
    """name -> the tar of the image."""
    out = tmp_path_factory.mktemp("images")
    done = make(out, build)
    assert done.returncode == 0, done.stderr
    return {path.stem: path for path in out.glob("*.tar")}
