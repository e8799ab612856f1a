"""High availability by Helm: the charts with values-ha.yaml on three nodes; upgrading with the same values changes nothing."""

import os

import pytest

from cluster import earlier
from cluster.cluster import ROOT, Cluster, missing_programs
from cluster.mesh import Mesh, make_images

pytestmark = [pytest.mark.long, pytest.mark.timeout(420), pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]
CRDS, CONTROL_PLANE = ROOT / "chart/linkerd-crds", ROOT / "chart/linkerd-control-plane"


def test_ha_by_helm(binaries, tmp_path):
    try:
        images = make_images(binaries["linkerd-proxy"].parent.parent.parent, tmp_path)
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")
    with Cluster(nodes=3) as cluster:
        cluster.load(*images)
        mesh = Mesh(cluster, binaries["linkerd"])
        earlier.certificates(mesh, tmp_path)  # ca.crt, issuer/

        def helm(*words):
            return cluster.inside(["env", f"HOME={tmp_path}", "helm", *words, "-n", "linkerd"], timeout=120).stdout

        control_plane = [CONTROL_PLANE, f"--values={CONTROL_PLANE}/values-ha.yaml", f"--set-file=identityTrustAnchorsPEM={tmp_path}/ca.crt",
                         f"--set-file=identity.issuer.tls.crtPEM={tmp_path}/issuer/tls.crt",
                         f"--set-file=identity.issuer.tls.keyPEM={tmp_path}/issuer/tls.key"]
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
