"""What the images hold: names, users and capabilities that pods rely on, sizes, and the same bytes each time."""

import csv
import pathlib
import posixpath
import re
import struct
import subprocess

import pytest

from images.conftest import ROOT, make
from images.container import capability_of, read

ROWS = [row for row in csv.reader(pathlib.Path(__file__).with_name("layout.tsv").open(), delimiter="\t") if not row[0].startswith("#")]
MIB = 1 << 20
SIZES = {"proxy": 15 * MIB, "controller": 10 * MIB, "cni-plugin": 10 * MIB}  # unpacked, at most
BITS = {"net_admin": 12, "net_raw": 13}
VERSION = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())[1]


def resolve(layer, path):
    """The regular file behind the path, through links."""
    for _ in range(8):
        member = layer.getmember(path.strip("/"))
        if not member.issym():
            return member
        path = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), member.linkname))
    raise AssertionError(f"{path}: too many links")


@pytest.mark.parametrize("name, path, capabilities, releases", ROWS, ids=[f"{row[0]}:{row[1]}" for row in ROWS])
def test_path(images, name, path, capabilities, releases):
    member = resolve(read(images[name])[2], path)
    assert member.isfile() and (member.mode & 0o111 == 0o111 or path.endswith(".txt"))
    value = capability_of(member)
    if capabilities == "-":
        assert value is None  # it could not be started in a container that drops them
    else:
        bits = sum(1 << BITS[one] for one in capabilities.split(","))
        assert struct.unpack("<IIIII", value) == (0x02000001, bits, bits, 0, 0)


@pytest.mark.parametrize("name, user, entrypoint", [
    ("proxy", "65534", ["/usr/lib/linkerd/linkerd2-proxy-identity"]), ("proxy-init", "65534", ["/usr/local/bin/proxy-init"]),
    ("controller", "2103", ["/controller"]), ("cni-plugin", None, ["/usr/bin/linkerd2-cni-install"]),
    ("debug", None, ["tshark", "-i", "any"])])
def test_defaults(images, name, user, entrypoint):
    descriptor, config, _ = read(images[name])
    assert descriptor["annotations"]["io.containerd.image.name"] == f"localhost/clinkerd/{name}:{VERSION}"
    assert config["config"].get("User") == user and config["config"]["Entrypoint"] == entrypoint
    if name in ("proxy", "controller"):
        assert f"LINKERD_CONTAINER_VERSION_OVERRIDE={VERSION}" in config["config"]["Env"]
    if name == "proxy":
        assert {"LINKERD2_PROXY_LOG=warn,linkerd=info", "LINKERD2_PROXY_LOG_FORMAT=plain"} < set(config["config"]["Env"])


def test_authorities(images):
    """What an https address of the heartbeat is believed by; nobody has to be root to read it."""
    _, _, layer = read(images["controller"])
    member = layer.getmember("etc/ssl/certs/ca-certificates.crt")
    assert member.isfile() and member.mode == 0o644
    assert layer.extractfile(member).read().count(b"-----BEGIN CERTIFICATE-----") > 100


@pytest.mark.parametrize("name", SIZES)
def test_size(images, name):
    _, _, layer = read(images[name])
    assert sum(member.size for member in layer.getmembers()) <= SIZES[name]


def test_version_and_lock(images):
    _, _, layer = read(images["proxy"])
    assert layer.extractfile("usr/lib/linkerd/linkerd2-proxy-version.txt").read().decode().strip() == VERSION
    for name in ("proxy", "proxy-init"):
        assert read(images[name])[2].getmember("run/xtables.lock").mode == 0o666


def test_our_programs_stand_alone(images, tmp_path):
    for name, path in (("proxy", "/usr/lib/linkerd/linkerd2-proxy"), ("proxy", "/usr/lib/linkerd/linkerd2-network-validator"),
                       ("controller", "/controller"), ("cni-plugin", "/opt/cni/bin/linkerd-cni")):
        _, _, layer = read(images[name])
        file = tmp_path / "program"
        file.write_bytes(layer.extractfile(resolve(layer, path)).read())
        said = subprocess.run(["readelf", "--program-headers", "--dynamic", "--wide", file], capture_output=True, text=True, check=True).stdout
        assert "INTERP" not in said and "(NEEDED)" not in said
        assert "Shared object file" in said or "DYN" in said  # static-pie: loaded at a random address


def test_same_bytes_names_and_tags(images, build, tmp_path):
    done = make(tmp_path / "again", build, "proxy", "controller")
    assert done.returncode == 0, done.stderr
    for name in ("proxy", "controller"):
        assert (tmp_path / "again" / f"{name}.tar").read_bytes() == images[name].read_bytes()
    done = make(tmp_path / "other", build, "--registry=registry.example:5000/us", "--tag=dev", "controller")
    assert done.stdout.startswith("registry.example:5000/us/controller:dev  sha256:")
    assert read(tmp_path / "other" / "controller.tar")[0]["annotations"]["org.opencontainers.image.ref.name"] == "dev"


@pytest.mark.parametrize("args, said", [(["nonsense"], "nonsense"), (["--build=/nonexistent", "controller"], "is not built")])
def test_refuses(build, tmp_path, args, said):
    done = make(tmp_path, build, *args)
    assert done.returncode != 0 and said in done.stderr
