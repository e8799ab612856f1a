"""By Helm: the charts with values-ha.yaml on three nodes, where upgrading with the same values changes nothing; and ours over Linkerd's own."""

import os

import pytest

from cluster import earlier
from cluster.births import births
from cluster.cluster import ROOT, Cluster, missing_programs
from cluster.mesh import Mesh, make_images

pytestmark = [pytest.mark.long, pytest.mark.timeout(420), pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]
CRDS, CONTROL_PLANE = ROOT / "chart/linkerd-crds", ROOT / "chart/linkerd-control-plane"


@pytest.fixture
def images(binaries, tmp_path):
    try:
        return make_images(binaries["linkerd-proxy"].parent.parent.parent, tmp_path)
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")


def helm_in(cluster, home):
    def helm(*words):
        return cluster.inside(["env", f"HOME={home}", "helm", *words, "-n", "linkerd"], timeout=120).stdout

    return helm


def identity(folder):
    """Flags for the certificates of earlier.certificates()."""
    return [f"--set-file=identityTrustAnchorsPEM={folder}/ca.crt", f"--set-file=identity.issuer.tls.crtPEM={folder}/issuer/tls.crt",
            f"--set-file=identity.issuer.tls.keyPEM={folder}/issuer/tls.key"]


def test_ha_by_helm(binaries, images, tmp_path):
    with Cluster(nodes=3) as cluster:
        cluster.load(*images)
        mesh, helm = Mesh(cluster, binaries["linkerd"]), helm_in(cluster, tmp_path)
        earlier.certificates(mesh, tmp_path)
        control_plane = [CONTROL_PLANE, f"--values={CONTROL_PLANE}/values-ha.yaml", *identity(tmp_path)]
        helm("install", "linkerd-crds", CRDS, "--create-namespace", "--set=installGatewayAPI=true")
        helm("install", "linkerd", *control_plane)
        mesh.await_control_plane()
        for component in ("destination", "identity", "proxy-injector"):
            pods = mesh.replicas(component)
            assert len(pods) == 3 == len({pod["spec"]["nodeName"] for pod in pods}), component
        assert mesh.complaints() == []
        before = mesh.versions()
        for _ in range(2):
            helm("upgrade", "linkerd", *control_plane)
        assert len(before) > 30 and mesh.versions() == before, mesh.versions() ^ before


@pytest.mark.peers
@pytest.mark.skipif(not earlier.peers(), reason="LINKERD_PEERS names no folder with Linkerd's programs and linkerd2-charts (test/peers/README.md)")
def test_over_linkerds_by_helm(binaries, images, tmp_path):
    """The releases that Linkerd's charts have made become ours; pods that are made meanwhile have proxies, of one or the other."""
    with Cluster(nodes=1) as cluster:
        cluster.load(*images, *earlier.edge_images(binaries["linkerd-proxy"].parent.parent.parent, tmp_path))
        mesh, helm = Mesh(cluster, binaries["linkerd"]), helm_in(cluster, tmp_path)
        charts, _ = earlier.edge_charts(mesh, tmp_path)
        helm("install", "linkerd-crds", charts / "linkerd-crds", "--create-namespace", "--set=installGatewayAPI=true")
        helm("install", "linkerd-control-plane", charts / "linkerd-control-plane", f"--values={tmp_path}/values.yaml")
        mesh.await_control_plane()
        with births(mesh, of_theirs=True):
            helm("upgrade", "linkerd-crds", CRDS, "--set=installGatewayAPI=true")
            helm("upgrade", "linkerd-control-plane", CONTROL_PLANE, *identity(tmp_path))
            mesh.await_control_plane()
            mesh.cluster.until(lambda: {len(mesh.replicas(name)) for name in ("destination", "identity", "proxy-injector")} == {1}, "Linkerd's end")
        assert mesh.complaints() == []
        before = mesh.versions()
        helm("upgrade", "linkerd-control-plane", CONTROL_PLANE, *identity(tmp_path))
        assert len(before) > 30 and mesh.versions() == before, mesh.versions() ^ before
