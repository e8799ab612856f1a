"""The programs of the images run as in a pod: runc, the pod's users and capabilities, read-only files, no new privileges."""

import json
import os
import pathlib
import shutil

import pytest

from images.container import run, running, unpack
from lib.mesh import ADMIN, INBOUND, OUTBOUND, PROXY_UID
from lib.netns import available
from lib.own_mesh import OwnMesh
from lib.wait import until

pytestmark = [pytest.mark.skipif(not available(), reason="containers need root"),
              pytest.mark.skipif(not shutil.which("runc"), reason="runc is not installed: scripts/deps system")]

FOLDER = "/usr/lib/linkerd"
NET = ("NET_ADMIN", "NET_RAW")
# As an injected pod has it, with the chart's defaults.
INIT = ["--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140", "--proxy-uid", "2102", "--inbound-ports-to-ignore",
        "4190,4191,4567,4568", "--outbound-ports-to-ignore", "4567,4568"]
NFT = ["--firewall-bin-path", "iptables-nft", "--firewall-save-bin-path", "iptables-nft-save"]
VALIDATE = ["--log-format", "plain", "--log-level", "debug", "--timeout", "10s"]


@pytest.fixture(scope="module")
def roots(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("roots")
    folder.chmod(0o755)
    for parent in list(folder.parents)[:2]:
        parent.chmod(0o755)  # users of containers walk through
    return {name: unpack(images[name], folder / name) for name in ("proxy", "proxy-init", "controller", "debug")}


def manifest(namespace, name, account, address):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": namespace, "name": name, "labels": {"app": name, "linkerd.io/control-plane-ns": "linkerd"}},
            "spec": {"serviceAccountName": account, "containers": [{"name": "main"}]},
            "status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"}}


def refused(host, address, port):
    try:
        host.connect(address, port).close()
    except ConnectionRefusedError:
        return True


def rules(host, mode, family=""):
    return host.run([f"ip{family}tables-{mode}-save", "-t", "nat"]).stdout


@pytest.mark.parametrize("image, program, flags, mode", [
    ("proxy", f"{FOLDER}/linkerd2-proxy-init", [], "legacy"), ("proxy", f"{FOLDER}/linkerd2-proxy-init", NFT, "nft"),
    ("proxy-init", "/usr/local/bin/proxy-init", [], "legacy")])
def test_init_makes_rules(roots, network, image, program, flags, mode):
    """As 65534, with capabilities of the file and those of the container."""
    host = network.host("pod")
    done = run(roots[image], host, [program, *flags, *INIT, "--log-format", "json", "--log-level", "info"], 65534, NET)
    assert done.returncode == 0, done.stderr
    for family in ("", "6"):
        assert "--to-ports 4143" in rules(host, mode, family) and "--uid-owner 2102" in rules(host, mode, family)


def test_init_without_ipv6(roots, network):
    host = network.host("pod")
    done = run(roots["proxy"], host, [f"{FOLDER}/linkerd2-proxy-init", *NFT, "--ipv6=false", *INIT], 65534, NET)
    assert done.returncode == 0, done.stderr
    assert "PROXY_INIT" in rules(host, "nft") and "PROXY_INIT" not in rules(host, "nft", "6")


def test_init_without_capabilities_cannot_start(roots, network):
    """The kernel refuses a program whose capabilities the container dropped; so only that one has them."""
    done = run(roots["proxy"], network.host("pod"), [f"{FOLDER}/linkerd2-proxy-init", *INIT], 65534)
    assert done.returncode != 0 and "not permitted" in done.stderr


@pytest.mark.parametrize("connect, listen", [("1.1.1.1:20001", "0.0.0.0:4140"), ("[fd00::1]:20001", "[::]:4140")])
def test_validator(roots, network, connect, listen):
    """Without any capability, before and after there are rules."""
    host = network.host("pod")
    argv = [f"{FOLDER}/linkerd2-network-validator", *VALIDATE, "--connect-addr", connect, "--listen-addr", listen]
    assert run(roots["proxy"], host, [*argv, "--timeout", "200ms"], 65534).returncode == 95
    assert run(roots["proxy"], host, [f"{FOLDER}/linkerd2-proxy-init", *NFT, *INIT], 65534, NET).returncode == 0
    done = run(roots["proxy"], host, argv, 65534)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("entrypoint", [f"{FOLDER}/linkerd2-proxy-identity", "/usr/bin/linkerd2-proxy-run"])
def test_proxy_becomes_ready(roots, pod, programs, binaries, network, tmp_path, entrypoint):
    """The entrypoint makes key and request in an empty folder, gets a certificate, and await sees it ready."""
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)  # proxies run as another user
    source, control, host = tmp_path / "manifests", pod("control"), network.host("web")
    source.mkdir()
    (source / "pods.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        manifest("linkerd", "control-1", "linkerd-controller", control.host.ip4), manifest("shop", "web-1", "web", host.ip4)]}))
    mesh = OwnMesh(control, binaries, programs, tmp_path, source)
    mesh.make_keys()
    mesh.start_controller()
    mesh.start_control_proxy("control-1")
    assert run(roots["proxy"], host, [f"{FOLDER}/linkerd2-proxy-init", *NFT, *INIT], 65534, NET).returncode == 0
    env = mesh.environment("web-1", "shop", "web")
    identity, token = tmp_path / "end-entity", pathlib.Path(env["LINKERD2_PROXY_IDENTITY_TOKEN_FILE"])
    identity.mkdir()
    os.chown(identity, PROXY_UID, PROXY_UID)
    env |= {"LINKERD2_PROXY_IDENTITY_DIR": "/identity", "LINKERD2_PROXY_IDENTITY_TOKEN_FILE": "/token",
            "LINKERD2_PROXY_INBOUND_LISTEN_ADDR": f"[::]:{INBOUND}", "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR": f"127.0.0.1:{OUTBOUND}",
            "LINKERD2_PROXY_ADMIN_LISTEN_ADDR": f"[::]:{ADMIN}"}
    with running(programs, roots["proxy"], host, [entrypoint], PROXY_UID, env=env, mounts={"/identity": identity, "/token": token}) as proxy:
        done = run(roots["proxy"], host, [f"{FOLDER}/linkerd-await", "--timeout=20s", f"--port={ADMIN}"], PROXY_UID)
        assert done.returncode == 0, done.stderr + proxy.output
        assert {path.name for path in identity.iterdir()} == {"key.p8", "csr.der"}


@pytest.mark.parametrize("argv", [["/bin/sleep", "0.01"], ["/bin/bash", "-c", "sleep 0.01"]])
def test_sleep(roots, network, argv):
    done = run(roots["proxy"], network.host("pod"), argv, PROXY_UID)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("argv, said", [
    (["/controller", "--version"], "linkerd-controller"), (["/go/bin/controller", "--version"], "linkerd-controller"),
    (["/linkerd-policy-controller", "--version"], "linkerd-controller")])
def test_controller(roots, network, argv, said):
    done = run(roots["controller"], network.host("pod"), argv, 2103)
    assert done.returncode == 0 and said in done.stdout, done.stderr


def test_policy_controller_by_its_name(roots, network):
    """It takes its flags without a word before them, and none of another component."""
    done = run(roots["controller"], network.host("pod"), ["/linkerd-policy-controller", "identity"], 2103)
    assert done.returncode == 64 and '"identity" is not expected' in done.stderr


def test_debug_captures(roots, network, programs, tmp_path):
    """tshark sees what goes over the devices of the pod."""
    a, b = network.host("a"), network.host("b")
    folder = tmp_path / "tmp"
    folder.mkdir()
    with running(programs, roots["debug"], a, ["/usr/bin/tshark", "-i", "any", "-l", "-f", "tcp port 7777"], 0, ("NET_ADMIN", "NET_RAW"),
                 mounts={"/tmp": folder}) as tshark:
        tshark.wait_line("Capturing on")
        until(lambda: refused(b, a.ip4, 7777) and "[SYN]" in tshark.output, "a connection in the capture")
