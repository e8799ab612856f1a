"""Pods that are made all the time, while something is done to the injector; no kubelet ever sees them.

    with births(mesh):
        ...                 every pod that is made meanwhile has a proxy, or it fails at the end
"""

import contextlib
import json
import threading

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: births, annotations: {linkerd.io/inject: enabled}}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {generateName: born-, namespace: births}
spec:
  nodeSelector: {kubernetes.io/hostname: nowhere}
  containers: [{name: nothing, image: "localhost/clinkerd/demo-shop:1"}]
"""
FEWEST = 20


class Midwife(threading.Thread):
    """One pod after the other, and what each was born with: the names of its containers, or why it was refused."""

    def __init__(self, mesh):
        super().__init__()
        self.mesh, self.born, self.ended = mesh, [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                pod = json.loads(self.mesh.kubectl("create", "-f", "-", "-o", "json", text=POD))
                self.born.append({one["name"] for kind in ("initContainers", "containers") for one in pod["spec"].get(kind, [])})
            except RuntimeError as error:
                self.born.append({str(error)})


@contextlib.contextmanager
def births(mesh):
    mesh.apply(NAMESPACE)
    mesh.cluster.until(lambda: mesh.kubectl("get", "serviceaccount", "default", "-n", "births", check=False), "the service account")
    midwife = Midwife(mesh)
    midwife.start()
    try:
        yield
    finally:
        midwife.ended.set()
        midwife.join()
        mesh.kubectl("delete", "namespace", "births", timeout=120)
    without = [(number, names) for number, names in enumerate(midwife.born) if "linkerd-proxy" not in names]
    assert len(midwife.born) >= FEWEST and not without, (len(without), len(midwife.born), without[:5])
