"""Helm, and `linkerd uninstall`: what an installation adds goes with it. All objects of all kinds, the node's files and firewall
rules are compared with how they were before."""

import json
import os

import pytest

from cluster.cluster import ROOT, Cluster, missing_programs
from cluster.mesh import Mesh, make_images
from lib.issuers import make

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]
# Of Kubernetes itself, and in motion all the time.
MOVING = {"events", "events.events.k8s.io", "leases.coordination.k8s.io", "endpointslices.discovery.k8s.io", "endpoints"}


@pytest.fixture(scope="module")
def mesh(binaries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninstall")
    try:
        images = make_images(binaries["linkerd-proxy"].parent.parent.parent, folder)
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")
    with Cluster(nodes=1) as cluster:
        mesh = Mesh(cluster, binaries["linkerd"])
        cluster.load(*images)
        mesh.load_shop(folder)
        yield mesh


def objects(mesh, versions=False):
    """KIND/NAMESPACE/NAME of everything, with its uid and generation if asked."""
    kinds = set(mesh.kubectl("api-resources", "--verbs=list", "-o", "name").split()) - MOVING
    found = set()
    for each in json.loads(mesh.kubectl("get", ",".join(sorted(kinds)), "-A", "-o", "json"))["items"]:
        about = each["metadata"]
        name = "/".join([each["kind"], about.get("namespace", ""), about["name"]])
        found.add((name, about.get("uid"), about.get("generation")) if versions else name)
    return found


def node_state(mesh):
    """Files below the directories of CNI, and the rules of the node's firewall without those of kube-proxy, which follow Services."""
    (node,) = mesh.cluster.nodes
    files = {str(path): path.read_bytes() for folder in ("etc/cni", "opt/cni/bin") for path in (node.files / folder).rglob("*") if path.is_file()}
    rules = {tool: sorted(line for line in node.run([f"{tool}-save"]).stdout.splitlines() if line.startswith("-A") and "KUBE-" not in line)
             for tool in ("iptables", "ip6tables")}
    return files, rules


def state(mesh):
    return objects(mesh), node_state(mesh)


def pods_start(mesh):
    """The application starts without a proxy, and goes."""
    mesh.open_shop()
    assert all("initContainers" not in pod["spec"] for pod in mesh.pods("shop", app="web"))
    mesh.kubectl("delete", "namespace", "shop", timeout=120)


@pytest.fixture
def before(mesh):
    """How the cluster is when the test begins; and it has to be so again at its end."""
    seen = state(mesh)
    yield seen
    mesh.cluster.until(lambda: state(mesh) == seen or None, "a cluster as it was", timeout=60)


def test_helm(mesh, before, tmp_path):
    """Installed, upgraded twice without a change, uninstalled."""
    make(tmp_path, "issuer", signer=make(tmp_path, "ca", days=365), days=365)

    def helm(*words):
        return mesh.cluster.inside(["env", f"HELM_CACHE_HOME={tmp_path}/cache", f"HELM_CONFIG_HOME={tmp_path}/config",
                                    f"HELM_DATA_HOME={tmp_path}/data", "helm", *words], timeout=200).stdout

    def control_plane(command):
        helm(command, "linkerd-control-plane", str(ROOT / "chart/linkerd-control-plane"), "-n", "linkerd", "--wait", "--timeout=180s",
             "--set-file", f"identityTrustAnchorsPEM={tmp_path}/ca.crt", "--set-file", f"identity.issuer.tls.crtPEM={tmp_path}/issuer.crt",
             "--set-file", f"identity.issuer.tls.keyPEM={tmp_path}/issuer.key")

    helm("install", "linkerd-crds", str(ROOT / "chart/linkerd-crds"), "-n", "linkerd", "--create-namespace", "--set", "installGatewayAPI=true")
    control_plane("install")
    mesh.await_control_plane()
    assert mesh.complaints() == []
    mesh.open_shop()
    assert "to shopper.shop." in mesh.shopper("curl", "-sS", "http://web.shop.svc.cluster.local/")

    def ours():
        """Helm notes each of its releases in a Secret; nothing else may change."""
        return {each for each in objects(mesh, versions=True) if "sh.helm.release" not in each[0]}

    installed = ours()
    for _ in range(2):
        control_plane("upgrade")
        assert ours() == installed
    mesh.kubectl("delete", "namespace", "shop", timeout=120)
    with pytest.raises(RuntimeError, match="logLevl"):
        helm("upgrade", "linkerd-control-plane", str(ROOT / "chart/linkerd-control-plane"), "-n", "linkerd", "--reuse-values",
             "--set", "proxy.logLevl=info")
    for release in ("linkerd-control-plane", "linkerd-crds"):
        helm("uninstall", release, "-n", "linkerd", "--wait")
    mesh.kubectl("delete", "namespace", "linkerd", timeout=120)
    pods_start(mesh)


def test_cli(mesh, before):
    """Refused while pods are injected; then the webhooks go first, and all of the rest with them."""
    mesh.install()
    mesh.open_shop()
    with pytest.raises(RuntimeError, match="shop"):
        mesh.cli("uninstall")
    mesh.kubectl("delete", "namespace", "shop", timeout=120)
    manifests = mesh.cli("uninstall")
    assert manifests.index("WebhookConfiguration") < manifests.index("kind: Deployment")
    mesh.kubectl("delete", "-f", "-", text=manifests, timeout=180)
    pods_start(mesh)
    theirs = mesh.kubectl("get", "crds", "-o", "name").split()
    assert all(name.endswith("gateway.networking.k8s.io") for name in theirs), theirs
    for name in theirs:  # definitions that others may use stay (docs/install.md)
        mesh.kubectl("delete", name)
