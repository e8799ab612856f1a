"""The mesh on a Cluster, put there as an operator does it: images loaded, `linkerd install` piped into `kubectl apply`."""

import contextlib
import json
import pathlib
import re
import subprocess
import sys

from cluster.cluster import ROOT, Cluster

sys.path.insert(0, str(ROOT / "demo" / "kubernetes"))
import image  # noqa: E402

DEPLOYMENTS = ("linkerd-identity", "linkerd-destination", "linkerd-proxy-injector")
SHOP = ROOT / "demo" / "kubernetes" / "shop.yaml"
SHOP_DEPLOYMENTS = ("web", "quotes", "cache", "shopper")


def make_images(build, out, names=("proxy", "controller")):
    """Paths of the tars. A LookupError where the programs of this build cannot be in images."""
    done = subprocess.run([sys.executable, ROOT / "images/make", f"--build={build}", f"--out={out}", *names], capture_output=True, text=True)
    if done.returncode:
        raise LookupError(done.stderr)
    return [pathlib.Path(out) / f"{name}.tar" for name in names]


@contextlib.contextmanager
def installed(binaries, folder):
    """A cluster with the mesh and the example application, both ready. A LookupError like make_images'."""
    images = make_images(binaries["linkerd-proxy"].parent.parent.parent, folder, ("proxy", "controller", "debug"))
    with Cluster(nodes=1) as cluster:
        mesh = Mesh(cluster, binaries["linkerd"])
        cluster.load(*images)
        mesh.load_shop(folder)
        mesh.install()
        mesh.open_shop()
        yield mesh


class Mesh:
    def __init__(self, cluster, linkerd):
        self.cluster, self.linkerd, self.kubectl = cluster, str(linkerd), cluster.kubectl

    def cli(self, *words, **options):
        """`linkerd` where the API server can be reached; its output."""
        return self.cluster.inside([self.linkerd, *words], **options).stdout

    def apply(self, text, *flags):
        return self.kubectl("apply", *flags, "-f", "-", text=text, timeout=120)

    def install(self, *flags):
        self.apply(self.cli("install", "--crds"), "--server-side")
        self.apply(self.cli("install", *flags))
        self.await_control_plane()

    def await_control_plane(self):
        for name in DEPLOYMENTS:
            self.kubectl("rollout", "status", "-n", "linkerd", f"deploy/{name}", "--timeout=180s", timeout=190)

    def replicas(self, component):
        """Pods of the control plane that are not on their way out."""
        return self.pods("linkerd", **{"linkerd.io/control-plane-component": component})

    def complaints(self):
        """What `linkerd check` finds, warnings too: nothing, if all is well."""
        said = json.loads(self.cli("check", "-o", "json", timeout=120))
        return [(category["categoryName"], check) for category in said["categories"] for check in category["checks"] if check["result"] != "success"]

    def versions(self):
        """The resourceVersions of what the installation consists of, and which pods run: equal when nothing has changed."""
        kinds = ("deployments,services,serviceaccounts,configmaps,secrets,roles,rolebindings,clusterroles,clusterrolebindings,cronjobs,"
                 "mutatingwebhookconfigurations,validatingwebhookconfigurations,poddisruptionbudgets")
        form = 'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}'
        objects = self.kubectl("get", kinds, "-n", "linkerd", "-l", "linkerd.io/control-plane-ns=linkerd", "-o", form).splitlines()
        return {*objects, *(pod["metadata"]["name"] for pod in self.pods("linkerd"))}

    # --- the example application ---

    def load_shop(self, folder):
        image.make(folder / "shop.tar")
        self.cluster.load(folder / "shop.tar")

    def open_shop(self):
        self.apply(SHOP.read_text())
        self.await_shop()

    def await_shop(self):
        for name in SHOP_DEPLOYMENTS:
            self.kubectl("rollout", "status", "-n", "shop", f"deploy/{name}", "--timeout=180s", timeout=190)

    def pods(self, namespace, **labels):
        """Those that are not on their way out."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        items = json.loads(self.kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "json"))["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def shopper(self, *argv, **options):
        """A command beside the shopper, through its proxy."""
        return self.kubectl("exec", "-n", "shop", "deploy/shopper", "-c", "visitor", "--", *argv, **options)

    def metrics(self, pod):
        return self.cluster.inside(["curl", "-sS", "--max-time", "20", f"http://{pod['status']['podIP']}:4191/metrics"]).stdout

    def said(self, container):
        """All lines that a client of the shop has said, oldest first."""
        shopper, = self.pods("shop", app="shopper")
        return self.kubectl("logs", "-n", "shop", shopper["metadata"]["name"], "-c", container, "--tail=-1").splitlines()

    def reports(self, first=0):
        """What came of the shopper's requests, from this line on: how often each status, and every line that is no status."""
        counts, errors = {}, []
        for line in self.said("visitor")[first:]:
            if found := re.fullmatch(r"\s*\[(\d{3})\]\s+(\d+) responses\s*", line):
                counts[int(found[1])] = counts.get(int(found[1]), 0) + int(found[2])
            else:
                errors.append(line)
        return counts, errors
