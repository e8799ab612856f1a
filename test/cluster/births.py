"""Pods that are made all the time, while something is done to the injector, and only as far as the webhooks: they are not stored.

    with births(mesh):
        ...                 every pod that is made meanwhile has a proxy, or it fails at the end
"""

import contextlib
import json
import re
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
  containers: [{name: nothing, image: "localhost/clinkerd/demo-shop:1"}]
"""
AT_ONCE, FEWEST = 5, 50
CLOSED = re.compile(r"connection refused|connection reset|EOF|GOAWAY")


def documents(text):
    """Of JSON, one behind the other."""
    while text := text.strip():
        document, end = json.JSONDecoder().raw_decode(text)
        yield document
        text = text[end:]


class Midwife(threading.Thread):
    """One after the other, and what each was born with: the names of its containers, or why it was refused."""

    def __init__(self, mesh):
        super().__init__()
        self.mesh, self.born, self.ended = mesh, [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                pods = documents(self.mesh.kubectl("create", "--dry-run=server", "-f", "-", "-o", "json", text="---".join([POD] * AT_ONCE)))
                self.born += [{one["name"] for kind in ("initContainers", "containers") for one in pod["spec"].get(kind, [])} for pod in pods]
            except RuntimeError as error:
                self.born.append({str(error)})


@contextlib.contextmanager
def births(mesh, of_theirs=False):
    """of_theirs: Linkerd's injector ends meanwhile, which closes its port before API servers know; what they then say of it is borne."""
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
    said = [line for line in mesh.cluster.control.apiserver.output.splitlines() if "linkerd-proxy-injector.linkerd.io" in line]
    borne = [line for line in said if of_theirs and CLOSED.search(line)]
    assert len(midwife.born) >= FEWEST and len(without) <= len(borne), (len(without), len(midwife.born), without[:5], said[-5:])
