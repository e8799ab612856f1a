"""linkerd2-cni-install on directories of the test's own: what it puts there, what others make of it, and that nothing is left."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import time

import pytest

LIST = '{ "cniVersion": "1.0.0",\n  "name": "net", "plugins": [ {"type": "bridge"} , {"type":"portmap"}\n] }\n\n'
SINGLE = '{"cniVersion": "0.4.0", "name": "one", "type": "bridge" }\n'
ENTRY = {"name": "linkerd-cni", "type": "linkerd-cni", "log_level": "info", "policy": {"k8s_auth_token": "__SERVICEACCOUNT_TOKEN__"},
         "kubernetes": {"kubeconfig": "__KUBECONFIG_FILEPATH__"}, "linkerd": {"incoming-proxy-port": 4143, "proxy-uid": 2102}}


def until(condition, seconds=30):
    """Waits for what the program does to files; there is nothing else to wait on."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            if condition():
                return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


class Host:
    def __init__(self, folder, program):
        self.folder, self.net, self.bin = folder, folder / "host/etc/cni/net.d", folder / "host/opt/cni/bin"
        self.account, image = folder / "account", folder / "image"
        for path in (self.net, self.bin, self.account, image):
            path.mkdir(parents=True)
        shutil.copy(program, image / "linkerd-cni")
        self.program = image / "linkerd2-cni-install"
        self.program.symlink_to("linkerd-cni")
        self.token("one")
        (self.account / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
        (self.bin / "bridge").write_text("theirs")
        self.environment = {"CONTAINER_MOUNT_PREFIX": str(folder / "host"), "CONTAINER_CNI_BIN_DIR": str(image),
                            "SERVICE_ACCOUNT_PATH": str(self.account), "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443",
                            "CNI_NETWORK_CONFIG": json.dumps(ENTRY), "SLEEP": "true"}
        self.running = []

    def token(self, text):
        (self.account / "new").write_text(text)
        (self.account / "new").rename(self.account / "token")

    def start(self, **more):
        process = subprocess.Popen([self.program], env=self.environment | more, stderr=subprocess.PIPE, text=True)
        self.running.append(process)
        return process

    def once(self, *args, **more):
        return subprocess.run([self.program, *args], env=self.environment | more, stderr=subprocess.PIPE, text=True, timeout=60)

    def end(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        self.running.remove(process)
        return process.returncode, said

    def snapshot(self):
        return {str(path.relative_to(self.folder)): (stat.S_IMODE(path.lstat().st_mode), path.read_bytes())
                for path in sorted((self.folder / "host").rglob("*")) if path.is_file()}

    def types(self, name):
        return [plugin["type"] for plugin in json.loads((self.net / name).read_text())["plugins"]]

    def close(self):
        for process in self.running:
            process.kill()
            process.communicate()


@pytest.fixture
def host(binaries, tmp_path):
    made = Host(tmp_path, binaries["linkerd-cni"])
    yield made
    made.close()


@pytest.mark.parametrize("name, text", [("10-net.conflist", LIST), ("10-net.conf", SINGLE)])
def test_installs_follows_and_leaves_nothing(host, name, text):
    (host.net / name).write_text(text)
    (host.net / name).chmod(0o640)
    (host.net / "99-loopback.conf").write_text('{"cniVersion": "1.0.0", "type": "loopback"}')
    before = host.snapshot()
    process = host.start()
    until(lambda: host.types("10-net.conflist")[-1] == "linkerd-cni")
    assert (host.bin / "linkerd-cni").read_bytes() == host.program.read_bytes() and os.access(host.bin / "linkerd-cni", os.X_OK)
    kubeconfig = host.net / "ZZZ-linkerd-cni-kubeconfig"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    assert 'token: "one"' in kubeconfig.read_text() and "https://[fd00::1]:443" in kubeconfig.read_text()
    entry = json.loads((host.net / "10-net.conflist").read_text())["plugins"][-1]
    assert entry["kubernetes"]["kubeconfig"] == "/etc/cni/net.d/ZZZ-linkerd-cni-kubeconfig" and "policy" not in entry
    assert host.once("ready").returncode == 0
    host.token("two")
    until(lambda: 'token: "two"' in kubeconfig.read_text())
    (host.bin / "linkerd-cni").unlink()
    until(lambda: (host.bin / "linkerd-cni").stat().st_size == host.program.stat().st_size)
    status, said = host.end(process)
    assert status == 0 and "removed from this node" in said, said
    assert host.snapshot() == before
    refused = host.once("ready")
    assert refused.returncode == 1 and "not ready" in refused.stderr


@pytest.mark.slow
def test_others_rewrite(host):
    """In place and by renaming; the entry comes back. A fight slows down, and ends with the files as the others want them."""
    name = host.net / "10-net.conflist"
    process = host.start()
    name.write_text(LIST)
    until(lambda: "linkerd-cni" in host.types(name.name))
    for how in range(2):
        other = json.dumps(json.loads(LIST) | {"round": how}, indent=how)
        path = name if how == 0 else host.net / "new"
        path.write_text(other)
        if how:
            path.rename(name)
        until(lambda how=how: json.loads(name.read_text())["round"] == how and "linkerd-cni" in host.types(name.name))
    (host.net / "00-first.conf").write_text(SINGLE)
    until(lambda: "linkerd-cni" in host.types("00-first.conflist") and "linkerd-cni" not in host.types(name.name))
    status, _ = host.end(process)
    assert status == 0 and (host.net / "00-first.conf").read_text() == SINGLE and name.read_text() == other
    assert sorted(path.name for path in host.net.iterdir()) == ["00-first.conf", "10-net.conflist"]


def test_killed_and_started_again(host):
    """kill -9 at many moments; whoever comes next installs, and leaves the files as they were before all of it."""
    (host.net / "10-net.conf").write_text(SINGLE)
    before = host.snapshot()
    for wait in range(12):
        process = host.start()
        time.sleep(wait * 0.002)  # the moment is any; there is nothing to wait for
        host.end(process, signal.SIGKILL)
        assert "linkerd-cni" not in (host.net / "10-net.conf").read_text() if (host.net / "10-net.conf").exists() else host.types("10-net.conflist")
    process = host.start()
    assert "the entry of linkerd-cni is in" in process.stderr.readline()  # the files alone may be those of one that was killed
    assert host.types("10-net.conflist")[-1] == "linkerd-cni" and not (host.net / "10-net.conf").exists()
    status, _ = host.end(process)
    assert status == 0 and host.snapshot() == before


@pytest.mark.slow
def test_entry_that_cannot_be_removed_keeps_the_plugin(host):
    """No pod could be started if the plugin went and the list still named it."""
    name = host.net / "10-net.conflist"
    name.write_text(LIST)
    process = host.start()
    until(lambda: "linkerd-cni" in host.types(name.name))
    name.write_text(name.read_text()[:-4])  # broken, and it names us
    status, said = host.end(process)
    assert status == 1 and "stays on this node" in said and str(name) in said, said
    assert (host.bin / "linkerd-cni").exists()


@pytest.mark.parametrize("text, why", [("{", "not JSON"), ('{"cniVersion": "0.1.0", "plugins": [{"type": "x"}]}', "0.1.0"),
                                       ('{"cniVersion": "1.0.0", "plugins": []}', "no plugin")])
def test_left_alone(host, text, why):
    name = host.net / "10-net.conflist"
    name.write_text(text)
    done = host.once(SLEEP="false")
    assert done.returncode == 1 and why in done.stderr and str(name) in done.stderr, done.stderr
    assert name.read_text() == text


@pytest.mark.parametrize("variable, value, why", [
    ("CNI_NETWORK_CONFIG", "", "ConfigMap linkerd-cni-config"), ("CNI_NETWORK_CONFIG", "{", "not JSON"),
    ("CNI_NETWORK_CONFIG", '{"type": "other"}', "other"),
    ("CNI_NETWORK_CONFIG", '{"type": "linkerd-cni", "linkerd": {"proxy-uid": "x"}}', "proxy-uid"),
    ("KUBERNETES_SERVICE_HOST", "", "KUBERNETES_SERVICE_HOST"), ("DEST_CNI_NET_DIR", "etc", "DEST_CNI_NET_DIR"),
    ("DEST_CNI_BIN_DIR", "/not/there", "/not/there"), ("SERVICE_ACCOUNT_PATH", "/not/there", "/not/there/token")])
def test_settings_that_are_refused(host, variable, value, why):
    (host.net / "10-net.conflist").write_text(LIST)
    done = host.once(SLEEP="false", **{variable: value})
    assert done.returncode == 1 and why in done.stderr, done.stderr
    assert (host.net / "10-net.conflist").read_text() == LIST


def test_no_path_outside(host):
    """A link in place of the list is not followed."""
    target = pathlib.Path(host.folder / "target")
    target.write_text(LIST)
    (host.net / "10-net.conflist").symlink_to(target)
    done = host.once(SLEEP="false")
    assert done.returncode == 1 and "no ordinary file" in done.stderr
    assert target.read_text() == LIST
