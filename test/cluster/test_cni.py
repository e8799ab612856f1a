"""The CNI plugin in a real cluster: `linkerd install-cni`, pods whose rules the node makes, and a node that is left as it was."""

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


def test_a_restricted_namespace(binaries, tmp_path):
    try:
        images = make_images(binaries["linkerd-proxy"].parent.parent.parent, tmp_path, ("proxy", "controller", "cni-plugin"))
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")
    with Cluster(nodes=1) as cluster:
        node, mesh = cluster.nodes[0], Mesh(cluster, binaries["linkerd"])
        cluster.load(*images)
        mesh.load_shop(tmp_path)
        before, theirs = snapshot(node), plugins(node)

        cni = mesh.cli("install-cni")
        mesh.apply(cni)
        mesh.kubectl("rollout", "status", "-n", "linkerd-cni", "daemonset/linkerd-cni", "--timeout=120s", timeout=130)
        assert plugins(node) == [*theirs, "linkerd-cni"]
        mesh.install("--linkerd-cni-enabled")

        mesh.apply(RESTRICTED)
        cluster.until(lambda: mesh.kubectl("get", "serviceaccount", "default", "-n", "locked", check=False), "the service account")
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
