"""The CNI plugin in a real cluster: `linkerd install-cni`, pods whose rules the node makes, pods that were born without and are repaired, nodes that are
closed until the plugin is there, and a node that is left as it was."""

import json
import os
import stat

import pytest

from cluster.cluster import Cluster, missing_programs
from cluster.mesh import Mesh, make_images

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]
CLIENT = "default.locked.serviceaccount.identity.linkerd.cluster.local"

# What the Pod Security standard `restricted` wants; linkerd-init, which needs NET_ADMIN, could not run there.
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: locked, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: main
    image: localhost/clinkerd/demo-shop:1
    imagePullPolicy: Never
    command: {command}
    securityContext: {{runAsUser: 1000, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: locked}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
      - name: main
        image: localhost/clinkerd/demo-shop:1
        imagePullPolicy: Never
        command: [sleep, 1d]
        securityContext: {{runAsUser: 1000, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"""
TAINT = "linkerd.io/cni-not-ready"
RESTRICTED = """
apiVersion: v1
kind: Namespace
metadata: {name: locked, labels: {pod-security.kubernetes.io/enforce: restricted}, annotations: {linkerd.io/inject: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: cache, namespace: locked}
spec: {selector: {app: cache}, ports: [{name: redis, port: 6379}]}
"""


def snapshot(node):
    """Every file of the directories that an installer writes to."""
    found = {}
    for folder in ("etc/cni/net.d", "opt/cni/bin"):
        for path in sorted((node.files / folder).rglob("*")):
            about = path.lstat()
            found[str(path)] = (stat.S_IMODE(about.st_mode), about.st_uid, path.read_bytes() if path.is_file() else None)
    return found


def plugins(node):
    return [plugin["type"] for plugin in json.loads((node.files / "etc/cni/net.d/10-bridge.conflist").read_text())["plugins"]]


@pytest.fixture
def images(binaries, tmp_path):
    try:
        return make_images(binaries["linkerd-proxy"].parent.parent.parent, tmp_path, ("proxy", "controller", "cni-plugin"))
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")


def make_namespace(mesh):
    mesh.apply(RESTRICTED)
    mesh.cluster.until(lambda: mesh.kubectl("get", "serviceaccount", "default", "-n", "locked", check=False), "the service account")


def test_a_restricted_namespace(binaries, images, tmp_path):
    with Cluster(nodes=1) as cluster:
        node, mesh = cluster.nodes[0], Mesh(cluster, binaries["linkerd"])
        cluster.load(*images)
        mesh.load_shop(tmp_path)
        before, theirs = snapshot(node), plugins(node)

        cni = mesh.cli("install-cni")
        mesh.apply(cni)
        mesh.kubectl("rollout", "status", "-n", "linkerd-cni", "daemonset/linkerd-cni", "--timeout=120s", timeout=130)
        assert plugins(node) == [*theirs, "linkerd-cni"]
        assert "‼" not in mesh.cli("check", "--pre", "--linkerd-cni-enabled", timeout=120)
        mesh.install("--linkerd-cni-enabled")
        assert mesh.complaints() == []

        make_namespace(mesh)
        mesh.apply(POD.format(name="cache", command='[redis-server, --save, "", --dir, /tmp, --protected-mode, "no"]'))
        mesh.apply(POD.format(name="client", command='[sleep, "1d"]'))
        mesh.kubectl("wait", "-n", "locked", "--for=condition=Ready", "pod", "--all", "--timeout=90s", timeout=100)
        for name in ("cache", "client"):
            (pod,) = mesh.pods("locked", app=name)
            assert [one["name"] for one in pod["spec"]["initContainers"]] == ["linkerd-network-validator", "linkerd-proxy"]
        said = mesh.kubectl("exec", "-n", "locked", "client", "-c", "main", "--", "redis-cli", "-h", "cache.locked.svc.cluster.local", "ping")
        assert said.strip() == "PONG"
        (pod,) = mesh.pods("locked", app="cache")
        assert any(f'client_id="{CLIENT}"' in line and 'tls="true"' in line for line in mesh.metrics(pod).splitlines()
                   if line.startswith("tcp_open_total"))

        mesh.kubectl("delete", "namespace", "locked", timeout=120)
        mesh.kubectl("delete", "-f", "-", text=cni, timeout=180)
        cluster.until(lambda: snapshot(node) == before, "a node as it was", timeout=60)


def taints(mesh):
    return [taint["key"] for taint in json.loads(mesh.kubectl("get", "node", "node1", "-o", "json"))["spec"].get("taints", [])]


def condition(pod, kind):
    return next((one for one in pod["status"].get("conditions", []) if one["type"] == kind), {"status": "Unknown"})


def validator(pod):
    """The state of the network validator, and its last one."""
    status = next((one for one in pod["status"].get("initContainerStatuses", []) if one["name"] == "linkerd-network-validator"), {})
    return status.get("state", {}), status.get("lastState", {})


def has_failed(pod):
    return any(state.get("terminated", {}).get("exitCode") == 95 for state in validator(pod))


def events(mesh, pod):
    listed = json.loads(mesh.kubectl("get", "events", "-n", "locked", "-o", "json", "--field-selector", f"involvedObject.uid={pod['metadata']['uid']}"))
    return [(one["type"], one["message"]) for one in listed["items"] if one["reason"] == "LinkerdCNINotConfigured"]


def test_taint_and_repair(binaries, images, tmp_path):
    with Cluster(nodes=1, taints=f"{TAINT}=:NoSchedule") as cluster:
        node, mesh = cluster.nodes[0], Mesh(cluster, binaries["linkerd"])
        cluster.load(*images)
        mesh.load_shop(tmp_path)
        before, theirs = snapshot(node), plugins(node)
        assert TAINT in taints(mesh)

        # A pod that is there first waits for the plugin.
        make_namespace(mesh)
        mesh.apply(POD.format(name="early", command='[sleep, "1d"]'))
        cluster.until(lambda: condition(mesh.pods("locked", app="early")[0], "PodScheduled")["status"] == "False", "the scheduler's look at the pod")
        cni = mesh.cli("install-cni", "--set", "nodeTaint.enabled=true,repairController.enabled=true")
        mesh.apply(cni)
        mesh.kubectl("wait", "-n", "locked", "--for=condition=Ready", "pod/early", "--timeout=120s", timeout=130)
        assert TAINT not in taints(mesh) and plugins(node) == [*theirs, "linkerd-cni"]
        (early,), (plugin,) = mesh.pods("locked", app="early"), mesh.pods("linkerd-cni", **{"k8s-app": "linkerd-cni"})
        assert condition(early, "PodScheduled")["lastTransitionTime"] >= condition(plugin, "Ready")["lastTransitionTime"]
        mesh.install("--linkerd-cni-enabled")

        # The network plugin of the cluster writes its list anew, as it was before us.
        conflist = node.files / "etc/cni/net.d/10-bridge.conflist"
        conflist.with_name(".new").write_bytes(next(content for path, (_, _, content) in before.items() if path == str(conflist)))
        conflist.with_name(".new").rename(conflist)
        cluster.until(lambda: plugins(node) == [*theirs, "linkerd-cni"], "the entry in the new list")

        # The plugin leaves, pods are born, the plugin comes back.
        def place(selector):
            mesh.kubectl("patch", "daemonset", "linkerd-cni", "-n", "linkerd-cni", "--type=merge", "--patch",
                         json.dumps({"spec": {"template": {"spec": {"nodeSelector": {"no": selector}}}}}))

        place("where")
        cluster.until(lambda: plugins(node) == theirs and not mesh.pods("linkerd-cni", **{"k8s-app": "linkerd-cni"}), "a node without the plugin")
        mesh.apply(DEPLOYMENT.format(name="app"))
        mesh.apply(POD.format(name="alone", command='[sleep, "1d"]'))

        def failed(name):
            return next((pod for pod in mesh.pods("locked", app=name) if has_failed(pod)), None)

        sick, alone = (cluster.until(lambda: failed(name), f"the pod {name}, which has no rules", timeout=60) for name in ("app", "alone"))
        place(None)
        mesh.kubectl("rollout", "status", "-n", "linkerd-cni", "daemonset/linkerd-cni", "--timeout=120s", timeout=130)
        assert taints(mesh) == []  # never put back
        mesh.kubectl("rollout", "status", "-n", "locked", "deployment/app", "--timeout=90s", timeout=100)
        (app,) = mesh.pods("locked", app="app")
        assert app["metadata"]["uid"] != sick["metadata"]["uid"] and not has_failed(app)
        (told,) = cluster.until(lambda: events(mesh, sick), "the Event about the pod that was evicted")
        assert told[0] == "Normal" and "It is evicted" in told[1]
        # Nobody would make this one anew.
        (told,) = cluster.until(lambda: events(mesh, alone), "the Event about the pod without a controller")
        assert told[0] == "Warning" and "delete it and create it again" in told[1]
        assert mesh.pods("locked", app="alone")[0]["metadata"]["uid"] == alone["metadata"]["uid"]
        metrics = cluster.inside(["curl", "-sS", "--max-time", "20", f"http://{node.host.ip4}:9990/metrics"]).stdout.splitlines()
        assert "linkerd_cni_repair_controller_pods_deleted_total 1" in metrics and "linkerd_cni_repair_controller_pods_without_rules 1" in metrics
        for where, container in ("daemonset/linkerd-cni", "repair-controller"), ("deployment/linkerd-cni-taint-controller", "taint-controller"):
            said = mesh.kubectl("logs", "-n", "linkerd-cni", where, "-c", container)
            assert "forbidden" not in said and "status 403" not in said, said

        mesh.kubectl("delete", "namespace", "locked", timeout=120)
        mesh.kubectl("delete", "-f", "-", text=cni, timeout=180)
        cluster.until(lambda: snapshot(node) == before, "a node as it was", timeout=60)
        assert taints(mesh) == []
