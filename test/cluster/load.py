"""The shop on three nodes, and a steady load on it whose every failure is counted.

    load = Load(mesh)          the shop of demo/kubernetes, with replicas on every node and its clients on `node1`
    with load.watched() as more:
        ...                    whatever is done to the cluster
        more(2)                until every client has reported twice more
    load.failures              what clients said since the `with`, but for success

Nothing is retried by the clients. `web` is asked by hey, whose answers are counted by status; `quotes` by a gRPC client that makes a
connection for every call; `cache` over one connection that stays.
"""

import contextlib
import re

import yaml

from cluster.mesh import SHOP

CLIENTS = "node1"  # the node that outlives every test
WORKERS, PER_WORKER, TIMEOUT = 5, 8, 5  # requests at once; of each in a second; how long a request is waited for
VISIT = (f"while :; do hey -z 2s -c {WORKERS} -q {PER_WORKER} -t {TIMEOUT} http://web.shop.svc.cluster.local/ | grep '^  *\\[' || "
         "{ echo no report; sleep 1; }; done")


def _budget(name):
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}}}


def spread(text=None, replicas=3):
    """The shop's manifests with `web` and `quotes` on every node, each with a disruption budget, and clients and `cache` on one."""
    objects = list(yaml.safe_load_all(text or SHOP.read_text()))
    found = {thing["metadata"]["name"]: thing["spec"] for thing in objects if thing["kind"] == "Deployment"}
    for name in ("web", "quotes"):
        spec = found[name]["template"]["spec"]
        found[name]["replicas"] = replicas
        spec["topologySpreadConstraints"] = [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                                              "labelSelector": {"matchLabels": {"app": name}}}]
        spec["containers"][0]["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "2"]}}}
    for name in ("cache", "shopper"):
        found[name]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": CLIENTS}
    found["shopper"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", VISIT]
    return yaml.safe_dump_all([*objects, _budget("web"), _budget("quotes")])


class Load:
    def __init__(self, mesh, replicas=3):
        self.mesh, self.failures, self.answered = mesh, [], 0
        mesh.apply(spread(replicas=replicas))
        mesh.await_shop()

    def _said(self):
        return {name: self.mesh.said(name) for name in ("visitor", "reader", "keeper")}

    def more(self, count, before=None):
        """Until web's and quotes' clients have reported so often."""
        before = before or self._said()
        self.mesh.cluster.until(lambda: all(len(lines) >= len(before[name]) + count for name, lines in self._said().items()
                                            if name != "keeper"), "the clients' reports")

    @contextlib.contextmanager
    def watched(self):
        """Begins and ends with a report of every client, so that what is under way at both ends is counted."""
        self.more(1)
        before = self._said()
        yield self.more
        self.more(2)
        now = self._said()
        self._count({name: lines[len(before[name]):] for name, lines in now.items()})

    def _count(self, said):
        self.failures, self.answered = [], 0
        for line in said["visitor"]:
            if found := re.fullmatch(r"\s*\[200\]\s+(\d+) responses\s*", line):
                self.answered += int(found[1])
            elif found := re.match(r"\s*\[(\d+)\]\s+(?:(\d+) responses|(.*))", line):  # another status, or how often an error
                self.failures += [line.strip()] * int(found[2] or found[1])
            else:
                self.failures.append(line)
        self.failures += [f"quotes: {line}" for line in said["reader"] if line != "done"]
        self.failures += [f"cache: {line}" for line in said["keeper"]]
        self.answered += said["reader"].count("done")
