"""Three nodes, the control plane three times: replicas killed, nodes drained, killed and cut off, all under load.

The tests are in this order for a reason: the last one ends a node.
"""

import json
import os
import subprocess
import time

import pytest

from cluster.cluster import Cluster, missing_programs
from cluster.load import WORKERS, Load
from cluster.mesh import Mesh, make_images

pytestmark = [pytest.mark.long, pytest.mark.timeout(420), pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]
COMPONENTS = ("destination", "identity", "proxy-injector")
PRIORITY = "system-cluster-critical"
STORM_SECONDS = 60


@pytest.fixture(scope="module")
def mesh(binaries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh")
    try:
        images = make_images(binaries["linkerd-proxy"].parent.parent.parent, folder)
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")
    with Cluster(nodes=3) as cluster:
        mesh = Mesh(cluster, binaries["linkerd"])
        cluster.load(*images)
        mesh.load_shop(folder)
        mesh.install("--ha", "--set", f"priorityClassName={PRIORITY}")
        yield mesh


@pytest.fixture(scope="module")
def shop(mesh):
    return Load(mesh)


@pytest.fixture
def load(shop):
    """What the test does loses no request."""
    with shop.watched() as more:
        yield more
    assert not shop.failures, (shop.failures[:10], len(shop.failures), shop.answered)
    assert shop.answered >= 100


def is_ready(pod):
    return {"type": "Ready", "status": "True"}.items() <= next(
        (one for one in pod["status"].get("conditions", []) if one["type"] == "Ready"), {}).items()


def await_pods(mesh, count, node=None):
    """Until every component has so many ready replicas, none of them on the node."""
    def there():
        return all(len([pod for pod in mesh.replicas(name) if is_ready(pod) and pod["spec"].get("nodeName") != node]) == count
                   for name in COMPONENTS)

    mesh.cluster.until(there, f"{count} replicas of the control plane", timeout=180)


def await_node(mesh, node, status):
    """Until Kubernetes knows how the node is: `True`, or `Unknown` when it has not reported for 40 s."""
    path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    mesh.cluster.until(lambda: mesh.kubectl("get", "node", node.name, "-o", path) == status, f"{node.name}: Ready is {status}")


def restarted(mesh):
    """Containers that have been started again since their pod began."""
    return [(pod["metadata"]["name"], one["name"]) for namespace in ("linkerd", "shop") for pod in mesh.pods(namespace)
            for one in [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])] if one["restartCount"]]


def test_replicas_are_apart(mesh):
    """Three of each on three nodes, with a budget that one of them may be away, and a priority."""
    for component in COMPONENTS:
        pods = mesh.replicas(component)
        assert {pod["spec"]["nodeName"] for pod in pods} == {"node1", "node2", "node3"} and len(pods) == 3, component
        assert {pod["spec"]["priorityClassName"] for pod in pods} == {PRIORITY}
    budgets = json.loads(mesh.kubectl("get", "poddisruptionbudgets", "-n", "linkerd", "-o", "json"))["items"]
    assert {budget["metadata"]["name"]: budget["status"]["disruptionsAllowed"] for budget in budgets} == {
        "linkerd-dst": 1, "linkerd-identity": 1, "linkerd-proxy-injector": 1}
    assert mesh.complaints() == []


def test_replicas_are_killed_one_by_one(mesh, load):
    for component in COMPONENTS:
        for pod in mesh.replicas(component):
            mesh.kubectl("delete", "pod", "-n", "linkerd", pod["metadata"]["name"], "--force", "--grace-period=0")
            await_pods(mesh, 3)
    mesh.kubectl("rollout", "restart", "-n", "shop", "deploy/web")  # endpoints are still told
    mesh.await_shop()
    assert restarted(mesh) == []  # the kubelet has found all of them alive


def test_a_storm_of_rollouts(mesh, load):
    """Scaled and restarted again and again, before the change before it has ended."""
    end, rounds = time.monotonic() + STORM_SECONDS, 0
    while time.monotonic() < end:
        rounds += 1
        for name in ("web", "quotes"):
            mesh.kubectl("scale", "-n", "shop", f"deploy/{name}", f"--replicas={(5, 3, 4, 2)[rounds % 4]}")
            mesh.kubectl("rollout", "restart", "-n", "shop", f"deploy/{name}")
        load(1)
    assert rounds >= 5
    for name in ("web", "quotes"):
        mesh.kubectl("scale", "-n", "shop", f"deploy/{name}", "--replicas=3")
    mesh.await_shop()


def test_the_control_plane_rolls(mesh, load):
    """A restart of all of it, pod by pod, while the application rolls too."""
    mesh.kubectl("rollout", "restart", "-n", "linkerd", "deploy")
    mesh.kubectl("rollout", "restart", "-n", "shop", "deploy/web")
    mesh.await_shop()
    mesh.await_control_plane()


def drain(mesh, name, seconds):
    mesh.kubectl("drain", name, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={seconds}s", timeout=seconds + 10)


def test_a_node_is_drained(mesh, load):
    node = mesh.cluster.nodes[2]
    drain(mesh, node.name, 180)
    mesh.await_shop()
    await_pods(mesh, 2, node.name)
    on_it = json.loads(mesh.kubectl("get", "pods", "-A", f"--field-selector=spec.nodeName={node.name}", "-o", "json"))["items"]
    assert not on_it, [pod["metadata"]["name"] for pod in on_it]
    # The third replicas wait for a node of their own, so the budgets let no second one go.
    try:
        with pytest.raises(subprocess.SubprocessError, match="disruption budget"):
            drain(mesh, "node2", 10)
        assert all(len([pod for pod in mesh.replicas(name) if is_ready(pod)]) == 2 for name in COMPONENTS)
    finally:
        mesh.kubectl("uncordon", "node2", node.name)
    await_pods(mesh, 3)
    mesh.await_shop()
    assert mesh.complaints() == []


def test_a_kubelet_dies(mesh, load):
    """Its pods run on, and Kubernetes takes them for lost after a while; then they are back."""
    node = mesh.cluster.nodes[2]
    node.kill_kubelet()
    await_node(mesh, node, "Unknown")
    load(3)
    node.start_kubelet()
    await_node(mesh, node, "True")
    await_pods(mesh, 3)


def test_a_node_dies(mesh, shop):
    """No power: requests that its pods had, or were sent before it was known, fail; none after that, and the mesh goes on."""
    node = mesh.cluster.nodes[2]
    with shop.watched():
        node.die()
        shop.more(3)
    assert len(shop.failures) <= WORKERS + 1, (shop.failures, shop.answered)
    assert shop.answered >= 100
    with shop.watched():
        await_node(mesh, node, "Unknown")
    assert not shop.failures, (shop.failures, shop.answered)
    # What is left has learnt of it, injects, certifies and tells.
    with shop.watched():
        mesh.kubectl("rollout", "restart", "-n", "shop", "deploy/web", "deploy/quotes")
        mesh.await_shop()
    assert not shop.failures, (shop.failures, shop.answered)
    assert {pod["spec"]["nodeName"] for pod in mesh.pods("shop", app="web") if is_ready(pod)} == {"node1", "node2"}
