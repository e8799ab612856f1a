"""Our images in a real cluster: containerd takes the tars, an init container as user 65534 makes the rules, the sidecar runs."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from cluster.cluster import Cluster, missing_programs
from lib.controller import make_ca
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROXY = "localhost/clinkerd/proxy:test"
ENV = {
    "LINKERD2_PROXY_IDENTITY_DIR": "/var/run/linkerd/identity/end-entity",
    "LINKERD2_PROXY_IDENTITY_TOKEN_FILE": "/var/run/secrets/tokens/linkerd-identity-token",
    "LINKERD2_PROXY_IDENTITY_LOCAL_NAME": "default.default.serviceaccount.identity.linkerd.cluster.local",
    "LINKERD2_PROXY_INBOUND_LISTEN_ADDR": "[::]:4143", "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR": "127.0.0.1:4140",
    "LINKERD2_PROXY_ADMIN_LISTEN_ADDR": "[::]:4191", "LINKERD2_PROXY_CONTROL_LISTEN_ADDR": "[::]:4190",
    **{f"LINKERD2_PROXY_{service}_SVC_{key}": value for service in ("DESTINATION", "IDENTITY", "POLICY") for key, value in (
        ("ADDR", "localhost.:8080"), ("NAME", "control.linkerd.serviceaccount.identity.linkerd.cluster.local"))},
    "LINKERD2_PROXY_POLICY_WORKLOAD": "default:web",
}


def security(user, add=()):
    return {"runAsUser": user, "runAsGroup": user, "runAsNonRoot": True, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "privileged": False, "capabilities": {"add": list(add), "drop": [] if add else ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"}}


def pod(anchors):
    """As the injector writes it, with an application that only waits."""
    def container(name, user, add=(), **more):
        return {"name": name, "image": PROXY, "imagePullPolicy": "Never", "securityContext": security(user, add), **more}

    init = container("linkerd-init", 65534, ("NET_ADMIN", "NET_RAW"), command=["/usr/lib/linkerd/linkerd2-proxy-init"], args=[
        "--firewall-bin-path", "iptables-nft", "--firewall-save-bin-path", "iptables-nft-save", "--ipv6=false",
        "--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140", "--proxy-uid", "2102",
        "--inbound-ports-to-ignore", "4190,4191,4567,4568", "--outbound-ports-to-ignore", "4567,4568"],
        volumeMounts=[{"name": "lock", "mountPath": "/run"}])
    validator = container("linkerd-network-validator", 65534, command=["/usr/lib/linkerd/linkerd2-network-validator"], args=[
        "--log-format", "plain", "--log-level", "debug", "--connect-addr", "1.1.1.1:20001", "--listen-addr", "0.0.0.0:4140",
        "--timeout", "10s"])
    proxy = container("linkerd-proxy", 2102, restartPolicy="Always", ports=[{"containerPort": 4143}, {"containerPort": 4191}],
                      env=[{"name": key, "value": value} for key, value in {
                          **ENV, "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS": anchors}.items()],
                      livenessProbe={"httpGet": {"path": "/live", "port": 4191}},
                      startupProbe={"httpGet": {"path": "/live", "port": 4191}, "periodSeconds": 1, "failureThreshold": 60},
                      volumeMounts=[{"name": "identity", "mountPath": "/var/run/linkerd/identity/end-entity"},
                                    {"name": "token", "mountPath": "/var/run/secrets/tokens"}])
    application = container("main", 1000, command=["/bin/sleep", "1d"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {
        "initContainers": [init, validator, proxy], "containers": [application], "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "lock", "emptyDir": {}}, {"name": "identity", "emptyDir": {"medium": "Memory"}}, {"name": "token", "projected": {
            "sources": [{"serviceAccountToken": {"path": "linkerd-identity-token", "audience": "identity.l5d.io"}}]}}]}}


@pytest.fixture(scope="module")
def proxy_tar(binaries, tmp_path_factory):
    build = binaries["linkerd-proxy"].parent.parent.parent
    out = tmp_path_factory.mktemp("images")
    done = subprocess.run([sys.executable, ROOT / "images/make", f"--build={build}", f"--out={out}", "--tag=test", "proxy"],
                          capture_output=True, text=True)
    if "static programs" in done.stderr:
        pytest.skip("images take static programs: --build build/release")
    assert done.returncode == 0, done.stderr
    return out / "proxy.tar"


def test_init_validator_and_proxy_of_a_pod(proxy_tar):
    anchors = make_ca("root.linkerd.cluster.local", ec.generate_private_key(ec.SECP256R1())).public_bytes(serialization.Encoding.PEM).decode()
    with Cluster(nodes=1) as cluster:
        cluster.load(proxy_tar)
        cluster.control.apply(pod(anchors))

        def state():
            return json.loads(cluster.kubectl("get", "pod", "web", "-o", "json"))["status"]

        def started():
            inits = state().get("initContainerStatuses", [])
            assert not any("terminated" in one["state"] and one["state"]["terminated"]["exitCode"] for one in inits), (
                inits, cluster.kubectl("logs", "web", "--all-containers", "--prefix", check=False))
            return len(inits) == 3 and inits[2].get("started")

        cluster.until(started, "the sidecar", timeout=90)
        said = cluster.kubectl("logs", "web", "-c", "linkerd-network-validator")
        assert "1.1.1.1:20001 is redirected to 0.0.0.0:4140" in said
        def awaited():  # there is no identity service, so that the proxy lives and is never ready
            try:
                cluster.kubectl("exec", "web", "-c", "linkerd-proxy", "--", "/usr/lib/linkerd/linkerd-await", "--timeout=100ms")
            except subprocess.SubprocessError as error:
                return str(error)

        assert "port 4191 did not answer 200 within 100ms" in awaited()
        cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s", timeout=70)
        assert "waiting for the first certificate" in cluster.until(
            lambda: (text := cluster.kubectl("logs", "web", "-c", "linkerd-proxy")) and "first certificate" in text and text, "the proxy's log")
