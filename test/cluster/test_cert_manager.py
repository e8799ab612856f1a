"""The mesh with certificates by cert-manager and trust-manager, which run as programs beside the API server: what docs/cert-manager.md
says to apply, installed, renewed and rotated under load."""

import base64
import json
import os
import pathlib
import re
import subprocess

import pytest
from cryptography import x509

from cluster.cluster import ROOT, Cluster, missing_programs
from cluster.mesh import Mesh, make_images
from cluster.test_rotation import LIFETIME, Operator, await_check, checked, containers, look_at_volumes, reported

BIN = pathlib.Path(subprocess.run([ROOT / "scripts/deps", "where", "certificates"], check=True, capture_output=True, text=True).stdout.strip())
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900), pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster"),
              pytest.mark.skipif(not (BIN.parent / ".complete").exists(), reason="cert-manager is not built: scripts/deps certificates")]

COPY = [line.strip() for line in (ROOT / "docs" / "cert-manager.md").read_text().splitlines() if line.startswith("    kubectl") and "anchor.crt" in line]
WEBHOOKS = {"proxy-injector": "mutatingwebhookconfiguration", "sp-validator": "validatingwebhookconfiguration",
            "policy-validator": "validatingwebhookconfiguration"}


def documented():
    """The YAML of docs/cert-manager.md: identity, webhooks, values."""
    found = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "cert-manager.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 3
    return found


def start_managers(cluster, folder):
    """As they run in a cluster, but for leader election and cert-manager's webhook."""
    host, config = cluster.control.host, cluster.control.admin
    cluster.programs.start([BIN / "cert-manager", f"--kubeconfig={config}", "-v=1"], namespace=host, name="cert-manager")
    host.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=trust-manager",
              "-keyout", folder / "tls.key", "-out", folder / "tls.crt"])  # of its own webhook, which nobody asks here
    cluster.programs.start([BIN / "trust-manager", f"--kubeconfig={config}", "--leader-elect=false", "--trust-namespace=cert-manager",
                            f"--webhook-certificate-dir={folder}", "--webhook-port=6444"], namespace=host, name="trust-manager")  # 6443 is the API server's


def there(mesh, kind, namespace, name):
    return mesh.kubectl("get", kind, "-n", namespace, name, "--ignore-not-found", "-o", "name")


def authority(mesh, name, kind):
    return mesh.kubectl("get", kind, f"linkerd-{name}-webhook-config", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")


@pytest.fixture(scope="module")
def mesh(binaries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    try:
        tars = make_images(binaries["linkerd-proxy"].parent.parent.parent, folder)
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")
    identity, webhooks, values = documented()
    (folder / "values.yaml").write_text(values)
    with Cluster(nodes=1) as cluster:
        mesh = Mesh(cluster, binaries["linkerd"])
        mesh.operator = Operator(mesh, folder)
        cluster.load(*tars)
        mesh.load_shop(folder)
        for path in sorted((BIN.parent / "crds").glob("*.yaml")):
            mesh.kubectl("apply", "--server-side", "-f", path)
        mesh.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        mesh.kubectl("create", "namespace", "cert-manager")
        mesh.kubectl("create", "namespace", "linkerd")
        start_managers(cluster, folder)
        mesh.apply(identity)
        mesh.apply(webhooks)
        cluster.until(lambda: there(mesh, "secret", "cert-manager", "linkerd-trust-anchor"), "the anchor")
        mesh.operator.type(*COPY)
        cluster.until(lambda: there(mesh, "configmap", "linkerd", "linkerd-identity-trust-roots"), "the ConfigMap of the Bundle")
        mesh.install("-f", folder / "values.yaml", f"--identity-issuance-lifetime={LIFETIME}s")
        for name, kind in WEBHOOKS.items():
            cluster.until(lambda: authority(mesh, name, kind), f"the caBundle of {name}")
        mesh.open_shop()
        yield mesh


def secret(mesh, namespace, name):
    data = json.loads(mesh.kubectl("get", "secret", "-n", namespace, name, "-o", "json"))["data"]
    return x509.load_pem_x509_certificate(base64.b64decode(data["tls.crt"]))


def renew(mesh, namespace, name, of):
    """As `cmctl renew` does it; the new certificate."""
    before = secret(mesh, namespace, of).serial_number
    status = json.loads(mesh.kubectl("get", "certificate", "-n", namespace, name, "-o", "json"))["status"]
    status["conditions"] = [one for one in status["conditions"] if one["type"] != "Issuing"] + [
        {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "asked for by a test"}]
    mesh.kubectl("patch", "certificate", "-n", namespace, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    mesh.cluster.until(lambda: secret(mesh, namespace, of).serial_number != before, f"the renewal of {name}")
    return secret(mesh, namespace, of)


def issuers_of_proxies(mesh):
    shown = json.loads(mesh.cli("identity", "-n", "shop", "-l", "app", "--chain", "-o", "json"))
    return {int(one["certificates"][1]["serial"], 16) for one in shown}


def bundle(mesh):
    pem = mesh.kubectl("get", "configmap", "-n", "linkerd", "linkerd-identity-trust-roots", "-o", r"jsonpath={.data.ca-bundle\.crt}")
    return {one.serial_number for one in x509.load_pem_x509_certificates(pem.encode())}


@pytest.fixture
def load(mesh):
    """What the test does loses no request and restarts nothing."""
    before = containers(mesh)
    reported(mesh, 1)
    yield
    reported(mesh, 2)
    counts, errors = mesh.reports()
    assert not errors and set(counts) == {200} and sum(counts.values()) >= 200, (counts, errors)
    assert set(mesh.said("reader")) == {"done"} and not mesh.said("keeper")
    after = containers(mesh)
    assert before == {uid: after.get(uid) for uid in before}


def test_installed(mesh):
    await_check(mesh)
    wrong = {row: result for row, result in checked(mesh).items() if result != "success"}
    assert not wrong
    issuer = secret(mesh, "linkerd", "linkerd-identity-issuer")
    assert issuers_of_proxies(mesh) == {issuer.serial_number} and bundle(mesh) == {secret(mesh, "cert-manager", "linkerd-trust-anchor").serial_number}
    assert all(authority(mesh, name, kind) for name, kind in WEBHOOKS.items())


def test_the_issuer_is_renewed(mesh, load):
    issuer = renew(mesh, "linkerd", "linkerd-identity-issuer", "linkerd-identity-issuer")
    look_at_volumes(mesh)
    mesh.cluster.until(lambda: issuers_of_proxies(mesh) == {issuer.serial_number}, "certificates of the new issuer")


def test_the_anchor_is_rotated(mesh, load):
    old = secret(mesh, "cert-manager", "linkerd-trust-anchor")
    new = renew(mesh, "cert-manager", "linkerd-trust-anchor", "linkerd-trust-anchor")
    mesh.cluster.until(lambda: bundle(mesh) == {old.serial_number, new.serial_number}, "both anchors in the bundle")
    await_check(mesh)
    issuer = renew(mesh, "linkerd", "linkerd-identity-issuer", "linkerd-identity-issuer")
    await_check(mesh)
    assert issuers_of_proxies(mesh) == {issuer.serial_number}
    mesh.operator.type(*COPY)
    mesh.cluster.until(lambda: bundle(mesh) == {new.serial_number}, "the new anchor alone")
    await_check(mesh)


def test_certificates_of_webhooks_are_renewed(mesh):
    """And served: the check compares them with what the API server believes, and a pod is injected."""
    for name in WEBHOOKS:
        renew(mesh, "linkerd", f"linkerd-{name}", f"linkerd-{name}-k8s-tls")
    look_at_volumes(mesh)
    injector = secret(mesh, "linkerd", "linkerd-proxy-injector-k8s-tls").serial_number
    pod, = mesh.pods("linkerd", **{"linkerd.io/control-plane-component": "proxy-injector"})
    address = f"{pod['status']['podIP']}:8443"

    def is_served():
        text = mesh.cluster.inside(["openssl", "s_client", "-connect", address], input="", check=False).stdout
        return "-----BEGIN" in text and x509.load_pem_x509_certificate(text[text.index("-----BEGIN"):].encode()).serial_number == injector

    mesh.cluster.until(is_served, "the injector's new certificate")
    ends = secret(mesh, "linkerd", "linkerd-proxy-injector-k8s-tls").not_valid_after_utc.timestamp()
    told = re.findall(r'^webhook_certificate_expiration_timestamp_seconds{webhook="proxy-injector"} (\S+)$', mesh.cli("diagnostics", "controller-metrics"), re.MULTILINE)
    assert [float(one) for one in told] == [ends]
    mesh.kubectl("run", "late", "-n", "shop", "--image=localhost/clinkerd/demo-shop:1", "--image-pull-policy=Never", "--command", "--", "sleep", "1d")
    mesh.kubectl("wait", "-n", "shop", "--for=condition=Ready", "pod/late", "--timeout=60s", timeout=70)
    inits = json.loads(mesh.kubectl("get", "pod", "-n", "shop", "late", "-o", "json"))["spec"]["initContainers"]
    assert [one["name"] for one in inits] == ["linkerd-init", "linkerd-proxy"]
    assert not {row: result for row, result in checked(mesh).items() if result != "success" and "certificate" in row}
