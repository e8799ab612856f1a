"""Ways to a real API server that kubeconfigs describe: forward proxies, credential plug-ins, acting for others."""

import json
import os
import stat

import pytest

from cluster.api import Api
from cluster.cluster import missing_programs
from lib import netns

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not netns.available(), reason="network namespaces need root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

V1 = "client.authentication.k8s.io/v1"


@pytest.fixture(scope="module")
def api():
    with Api() as running:
        running.kubectl("create", "serviceaccount", "robot", "-n", "default")
        running.kubectl("create", "clusterrolebinding", "robot", "--clusterrole=cluster-admin", "--serviceaccount=default:robot")
        yield running


@pytest.fixture(scope="module")
def operator(api):
    """Somebody who reaches the API server through the gateway alone."""
    host = api.network.host("operator")
    for address in (api.host.ip4, api.host.ip6):
        host.run(["ip", "route", "add", "blackhole", address])
    return host


@pytest.fixture(scope="module")
def gateway(api):
    """HTTP at 3128 without a login and at 3129 with one; TLS in front of the first at 3130; SOCKS 5 at 1080 and, with a login, at 1081."""
    host = api.network.host("gateway")
    pki, folder = api.control.pki, api.folder
    plain, login = folder / "tinyproxy.conf", folder / "tinyproxy-login.conf"
    common = f"Listen {host.ip4}\nTimeout 60\nLogLevel Connect\nMaxClients 50\n"
    plain.write_text(common + "Port 3128\n")
    login.write_text(common + "Port 3129\nBasicAuth me p.ss\n")
    pki.certificate("gateway", "gateway", names=[host.ip4])
    pem = folder / "gateway.pem"
    pem.write_bytes((pki.folder / "gateway.crt").read_bytes() + (pki.folder / "gateway.key").read_bytes())
    tls = folder / "haproxy.cfg"
    tls.write_text("defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
                   f"listen tls\n bind {host.ip4}:3130 ssl crt {pem} alpn http/1.1\n server proxy {host.ip4}:3128\n")
    start = api.programs.start
    start(["tinyproxy", "-d", "-c", plain], namespace=host, name="tinyproxy").wait_port(3128, host.ip4)
    start(["tinyproxy", "-d", "-c", login], namespace=host, name="tinyproxy-login").wait_port(3129, host.ip4)
    start(["haproxy", "-db", "-f", tls], namespace=host, name="haproxy").wait_port(3130, host.ip4)
    start(["microsocks", "-i", host.ip4, "-p", "1080"], namespace=host, name="microsocks").wait_port(1080, host.ip4)
    start(["microsocks", "-i", host.ip4, "-p", "1081", "-u", "me", "-P", "p@ss"], namespace=host, name="microsocks-login").wait_port(1081, host.ip4)
    return host


class Person:
    """Runs linkerd with a kubeconfig that differs from the administrator's."""

    def __init__(self, api, host, binary, folder):
        self.api, self.host, self.binary, self.folder = api, host, binary, folder

    def kubeconfig(self, cluster=(), user=None):
        config = json.loads(self.api.control.admin.read_text())
        config["clusters"][0]["cluster"].update(dict(cluster))
        if user is not None:
            config["users"][0]["user"] = user
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def ask(self, cluster=(), user=None, env=(), words=()):
        """A command that asks the API server several things, and prints."""
        clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        done = self.host.run([self.binary, "install", "--crds", "--kubeconfig", self.kubeconfig(cluster, user), *words], check=False, timeout=60,
                             cwd=self.folder, env={**clean, "ASAN_OPTIONS": "detect_leaks=1", **dict(env)})
        assert done.returncode in (0, 1), done.stderr
        return done

    def reaches(self, **how):
        done = self.ask(**how)
        assert done.returncode == 0 and "CustomResourceDefinition" in done.stdout, done.stderr

    def refused(self, **how):
        done = self.ask(**how)
        assert (done.returncode, done.stdout) == (1, ""), done.stdout
        return done.stderr


@pytest.fixture
def behind(api, operator, gateway, binaries, tmp_path):
    return Person(api, operator, binaries["linkerd"], tmp_path)


@pytest.fixture
def person(api, binaries, tmp_path):
    return Person(api, api.host, binaries["linkerd"], tmp_path)


# --- proxies ---

PROXIES = ["http://{}:3128", "http://me:p%2Ess@{}:3129", "https://{}:3130", "socks5://{}:1080", "socks5h://me:p%40ss@{}:1081"]


@pytest.mark.parametrize("url", PROXIES)
def test_proxy(behind, gateway, url):
    behind.reaches(cluster={"proxy-url": url.format(gateway.ip4)})


@pytest.mark.parametrize("url", PROXIES)
def test_proxy_of_the_environment(behind, gateway, url):
    behind.reaches(env={"HTTPS_PROXY": url.format(gateway.ip4)})
    behind.reaches(env={"https_proxy": url.format(gateway.ip4), "HTTP_PROXY": "http://192.0.2.1:1"})


def test_no_proxy(api, behind, person, gateway):
    """The environment's exceptions; what the kubeconfig says is none of their business."""
    url = f"http://{gateway.ip4}:3128"
    assert f"cannot connect to {api.host.ip4}:6443" in behind.refused()
    assert f"cannot connect to {api.host.ip4}:6443" in behind.refused(env={"HTTPS_PROXY": url, "NO_PROXY": "10.0.0.0/8,192.168.0.0/16,172.16.0.0/12"})
    behind.reaches(cluster={"proxy-url": url}, env={"NO_PROXY": "*", "HTTPS_PROXY": "http://192.0.2.1:1"})
    person.reaches(env={"HTTPS_PROXY": "http://192.0.2.1:1", "NO_PROXY": api.host.ip4})


@pytest.mark.parametrize("url, says", [
    ("http://{}:3129", "the proxy {}:3129: it answers 407 to CONNECT: give a user and password"),
    ("http://me:wrong@{}:3129", "the proxy {}:3129: it answers 40"),
    ("socks5://{}:1081", "the proxy {}:1081: it wants a login that we cannot give"),
    ("socks5://me:wrong@{}:1081", "the proxy {}:1081: it refuses user and password"),
    ("http://{}:1080", "the proxy {}:1080: "), ("socks5://{}:3128", "the proxy {}:3128: waited 10 s for the way through it"), ("http://{}:9", "cannot connect to {}:9"),
    ("ftp://{}:3128", "proxy-url: expected http://HOST:PORT"),
])
def test_proxy_refuses(behind, gateway, url, says):
    error = behind.refused(cluster={"proxy-url": url.format(gateway.ip4)})
    assert says.format(gateway.ip4) in error and "wrong" not in error


def test_stranger_as_proxy(behind, gateway, api):
    """A proxy by https proves itself to whom the server does."""
    api.control.pki.authority("stranger")
    cluster = {"proxy-url": f"https://{gateway.ip4}:3130", "certificate-authority-data": None,
               "certificate-authority": str(api.control.pki.folder / "stranger.crt")}
    assert f"the proxy {gateway.ip4}:3130: TLS: " in behind.refused(cluster=cluster)
    behind.reaches(cluster={**cluster, "certificate-authority": None, "insecure-skip-tls-verify": True})


# --- plug-ins ---

@pytest.fixture
def plugin(person, api):
    """plugin(script, more): a user whose credentials come from that script."""
    (person.folder / "token").write_text(api.kubectl("create", "token", "robot").strip())

    def make(script, version=V1, **more):
        path = person.folder / "plug-in"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return {"exec": {"command": "./plug-in", "apiVersion": version, "interactiveMode": "IfAvailable", **more}}

    return make


def credential(status, version=V1):
    return json.dumps({"kind": "ExecCredential", "apiVersion": version, "status": status})


@pytest.mark.parametrize("version", [V1, V1 + "beta1"])
def test_token_of_a_plugin(person, plugin, version):
    """Run once for all questions of the command, beside the kubeconfig, and told of the cluster."""
    status = credential({"token": "TOKEN"}, version).replace("TOKEN", "'$(cat token)'")
    person.reaches(user=plugin(f"echo run >> runs; echo \"$KUBERNETES_EXEC_INFO\" > info; echo '{status}'", version, provideClusterInfo=True,
                               args=["get-token"], env=[{"name": "A", "value": "b"}]))
    info = json.loads((person.folder / "info").read_text())
    assert (person.folder / "runs").read_text() == "run\n"
    assert info["apiVersion"] == version and info["spec"]["interactive"] is False
    assert info["spec"]["cluster"]["server"] == person.api.control.server and info["spec"]["cluster"]["certificate-authority-data"]


def test_certificate_of_a_plugin(person, plugin, api):
    folder = api.control.pki.folder
    (person.folder / "credential").write_text(credential({"clientCertificateData": (folder / "admin.crt").read_text(), "clientKeyData": (folder / "admin.key").read_text()}))
    person.reaches(user=plugin("cat credential"))


def test_plugin_is_run_again(person, plugin):
    """A token that the server does not take is asked for anew, once."""
    good = credential({"token": "TOKEN"}).replace("TOKEN", "'$(cat token)'")
    person.reaches(user=plugin(f"echo run >> runs; if [ $(wc -l < runs) = 1 ]; then echo '{credential({'token': 'old'})}'; else echo '{good}'; fi"))
    assert (person.folder / "runs").read_text() == "run\n" * 2
    error = person.refused(user=plugin(f"echo run >> bad; echo '{credential({'token': 'old'})}'"))
    assert "status 401" in error or "Unauthorized" in error
    assert (person.folder / "bad").read_text() == "run\n" * 2


def test_plugin_fails(person, plugin):
    assert 'plug-in": it ended with status 7' in person.refused(user=plugin("echo it cannot >&2; exit 7"))
    assert "it cannot" in person.refused(user=plugin("echo it cannot >&2; exit 7"))
    user = plugin("", installHint="It is in the package robot-login.")
    user["exec"]["command"] = "robot-login"
    assert '"robot-login" of the kubeconfig cannot be run: there is no such program\nIt is in the package robot-login.' in person.refused(user=user)
    assert "auth-provider: Kubernetes 1.26 took these plug-ins" in person.refused(user={"auth-provider": {"name": "gcp"}})


# --- acting for others ---

def test_acting_for_others(person, api):
    """As the server's audit log has it, which tells what service accounts do."""
    token = api.kubectl("create", "token", "robot").strip()
    person.reaches(user={"token": token, "as": "ann", "as-uid": "77", "as-groups": ["system:masters"], "as-user-extra": {"example.org/Why": ["a", "b c"]}})
    lines = [json.loads(line) for line in (api.folder / "control" / "audit.log").read_text().splitlines()]
    seen, = {json.dumps(line["impersonatedUser"], sort_keys=True) for line in lines if line.get("impersonatedUser", {}).get("username") == "ann"}
    seen = json.loads(seen)
    assert seen["uid"] == "77" and "system:masters" in seen["groups"] and seen["extra"] == {"example.org/why": ["a", "b c"]}
    assert 'User "bob" cannot' in person.refused(user={"token": token}, words=["--as", "bob"])
