"""The files of packaging/: what systemd and sysctl think of them."""

import pathlib
import re
import shutil
import subprocess

import pytest

from packaging.machines import ROOT, UNITS, parse_environment, parse_unit

PROGRAMS = ("linkerd-controller", "linkerd-proxy", "linkerd-init")
SERVICES = sorted(UNITS.glob("*.service"))


def systemd_analyze(folder, *args):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, cwd=folder, timeout=60)


@pytest.fixture
def units(tmp_path):
    """The units with programs that are there: systemd looks for them."""
    for name in PROGRAMS:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    for path in SERVICES:
        (tmp_path / path.name).write_text(path.read_text().replace("/usr/local/bin", str(tmp_path)))
    return tmp_path


@pytest.mark.parametrize("name", ["linkerd-controller.service", "linkerd-redirect.service", "linkerd-proxy@a.service"])
def test_systemd_has_no_objection(units, name):
    if "@a" in name:
        shutil.copy(units / "linkerd-proxy@.service", units / name)
    done = systemd_analyze(units, "verify", "--man=no", f"./{name}")
    assert done.returncode == 0 and not (done.stdout + done.stderr).strip(), done.stdout + done.stderr


def test_verify_can_object(units):
    path = units / "linkerd-controller.service"
    path.write_text(path.read_text().replace("Type=exec", "Type=whatever\nLimitNOFILEs=1"))
    done = systemd_analyze(units, "verify", "--man=no", f"./{path.name}")
    assert "service type" in done.stderr and "LimitNOFILEs" in done.stderr


@pytest.mark.parametrize("name, worst", [("linkerd-controller.service", 2.5), ("linkerd-proxy@.service", 2.5)])
def test_exposure(units, name, worst):
    """systemd's own figure, 0 to 10: what hardening leaves open."""
    done = systemd_analyze(units, "security", "--offline=true", f"--threshold={int(worst * 10)}", f"./{name}")
    assert done.returncode == 0, done.stdout[-600:] + done.stderr


def test_users_are_those_of_the_rules():
    text = (ROOT / "packaging/sysusers.d/linkerd.conf").read_text()
    users = dict(re.findall(r"^u (\S+) (\d+) ", text, re.MULTILINE))
    redirect = parse_unit((UNITS / "linkerd-redirect.service").read_text())["Service", "ExecStart"][0]
    proxy = parse_unit((UNITS / "linkerd-proxy@.service").read_text())
    assert f"--proxy-uid {users['linkerd-proxy']} " in redirect
    assert proxy["Service", "User"] == ["linkerd-proxy"] and "linkerd-controller" in users


def test_what_is_waited_for_fits(units):
    """systemd must not kill a proxy that still drains."""
    stop = parse_unit((UNITS / "linkerd-proxy@.service").read_text())["Service", "TimeoutStopSec"][0]
    assert int(stop) > 120


def test_example_environments_name_the_programs_variables():
    for path in sorted((ROOT / "packaging/example").glob("proxy-*.env")):
        values = parse_environment(path.read_text())
        assert all(key.startswith("LINKERD2_PROXY_") for key in values), path
        assert values["LINKERD2_PROXY_POLICY_WORKLOAD"].startswith("{\"ns\":"), path


def test_sysctls_exist():
    for line in (ROOT / "packaging/sysctl.d/60-linkerd.conf").read_text().splitlines():
        if line and not line.startswith("#"):
            key = line.split("=")[0].strip()
            if key.startswith("net.netfilter.") and not pathlib.Path("/proc/sys/net/netfilter").exists():
                continue  # the module is not loaded here
            assert pathlib.Path("/proc/sys", *key.split(".")).exists(), key
