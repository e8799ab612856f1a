"""`linkerd upgrade` and `linkerd prune` over what was there before, under load: this project's control plane of an earlier day, and Linkerd's own."""

import os

import pytest
import yaml

from cluster import earlier
from cluster.births import births
from cluster.cluster import Cluster, missing_programs
from cluster.load import Load
from cluster.mesh import Mesh, make_images

pytestmark = [pytest.mark.long, pytest.mark.timeout(540), pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]


@pytest.fixture
def images(binaries, tmp_path):
    try:
        return make_images(binaries["linkerd-proxy"].parent.parent.parent, tmp_path)
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")


@pytest.fixture
def mesh(binaries, images, tmp_path):
    with Cluster(nodes=1) as cluster:
        cluster.load(*images)
        mesh = Mesh(cluster, binaries["linkerd"])
        mesh.load_shop(tmp_path)
        yield mesh


def proxies(mesh, namespace):
    """The images of the proxies that run there."""
    found = set()
    for pod in mesh.pods(namespace):
        containers = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
        found |= {container["image"] for container in containers if container["name"] == "linkerd-proxy"} or {f"none in {pod['metadata']['name']}"}
    return found


def upgrade(mesh):
    mesh.apply(mesh.cli("upgrade", "--crds"), "--server-side", "--force-conflicts")
    mesh.apply(mesh.cli("upgrade"))
    mesh.await_control_plane()


def prune(mesh):
    """What earlier versions have left is deleted; which objects those were."""
    left = mesh.cli("prune")
    if left:
        mesh.kubectl("delete", "-f", "-", text=left, timeout=120)
    return sorted(f"{thing['kind']} {thing['metadata']['name']}" for thing in yaml.safe_load_all(left) if thing)


def roll_shop(mesh):
    """Its pods get the proxies of the control plane that is there now."""
    mesh.kubectl("rollout", "restart", "-n", "shop", *(f"deploy/{name}" for name in ("web", "quotes")))
    mesh.await_shop()


def again_changes_nothing(mesh):
    before = mesh.versions()
    mesh.apply(mesh.cli("upgrade"))
    after = mesh.versions()
    assert len(before) > 30 and after == before, after ^ before


def test_of_an_earlier_day(mesh, tmp_path):
    """Objects of then, programs of now: what was rendered is what an upgrade changes. Definitions were the same."""
    mesh.apply(mesh.cli("install", "--crds"), "--server-side")
    mesh.apply(earlier.of_ours(mesh, tmp_path))
    mesh.await_control_plane()
    load = Load(mesh, replicas=2)
    issuer = mesh.kubectl("get", "secret", "-n", "linkerd", "linkerd-identity-issuer", "-o", "jsonpath={.data}")
    with load.watched(), births(mesh):
        upgrade(mesh)
        roll_shop(mesh)
        assert prune(mesh) == []
        mesh.apply(mesh.cli("upgrade", "--disable-heartbeat"))
        assert "CronJob linkerd-heartbeat" in prune(mesh)
    assert not load.failures and load.answered >= 100, (load.failures[:10], load.answered)
    assert mesh.kubectl("get", "secret", "-n", "linkerd", "linkerd-identity-issuer", "-o", "jsonpath={.data}") == issuer
    assert mesh.kubectl("get", "cronjobs", "-n", "linkerd", "-o", "name") == ""
    again_changes_nothing(mesh)
    mesh.apply(mesh.cli("upgrade", "--set", "disableHeartBeat=false"))
    assert mesh.complaints() == []


@pytest.mark.peers
@pytest.mark.skipif(not earlier.peers(), reason="LINKERD_PEERS names no folder with Linkerd's programs and linkerd2-charts (test/peers/README.md)")
def test_of_linkerd(mesh, binaries, tmp_path):
    """Linkerd's control plane and proxies run, and are replaced while requests pass between pods with proxies of both."""
    mesh.cluster.load(*earlier.edge_images(binaries["linkerd-proxy"].parent.parent.parent, tmp_path))
    definitions, rest = earlier.of_edge(mesh, tmp_path)
    mesh.apply(definitions, "--server-side")
    mesh.apply(rest)
    mesh.await_control_plane()
    load = Load(mesh, replicas=2)
    theirs = f"cr.l5d.io/linkerd/proxy:{earlier.EDGE}"
    assert proxies(mesh, "shop") == proxies(mesh, "linkerd") == {theirs}
    with load.watched() as more, births(mesh, of_theirs=True):
        upgrade(mesh)
        more(1)  # proxies of theirs under our control plane
        roll_shop(mesh)  # their clients, our servers
        prune(mesh)
    assert not load.failures and load.answered >= 100, (load.failures[:10], load.answered)
    mesh.kubectl("rollout", "restart", "-n", "shop", "deploy/cache", "deploy/shopper")
    mesh.await_shop()
    mesh.cluster.until(lambda: theirs not in proxies(mesh, "shop") | proxies(mesh, "linkerd"), "the end of Linkerd's proxies")
    with load.watched():
        pass
    assert not load.failures and load.answered, load.failures[:10]
    # The first upgrade repeated Linkerd's authorities of webhooks, the next one repeats ours beside them; from then on nothing changes.
    mesh.apply(mesh.cli("upgrade"))
    again_changes_nothing(mesh)
    assert mesh.complaints() == []
    assert prune(mesh) == []
