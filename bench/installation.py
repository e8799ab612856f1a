"""The default control plane on a real cluster of one node (test/cluster): how long it takes from `kubectl apply`, and what its containers hold
when nobody asks anything of it."""

import datetime
import json
import os
import pathlib
import time

from cluster.cluster import Cluster, missing_programs
from cluster.mesh import Mesh, make_images
from parts import Missing

TITLE = "default control plane, one node"
COMPONENTS = ("identity", "destination", "policy", "sp-validator", "proxy-injector")
ROWS = {
    "ready_s": ("from `kubectl apply` until all is rolled out, s", 1),
    "total_mib": ("memory of all containers, MiB", 1), "pods_mib": ("the same with the pods' own processes, MiB", 1),
    "rss_mib": ("of the containers: anonymous, MiB", 1), "kernel_mib": ("kernel (sockets, page tables, ...), MiB", 1),
    "cache_mib": ("file pages that were charged to them, MiB", 1),
    "files_mib": ("file pages of their programs in memory, shared, whoever is charged, MiB", 1),
    **{f"{name}_mib": (f"{name}, MiB", 1) for name in (*COMPONENTS, "linkerd-proxy")},
    **{f"{name}_start_ms": (f"{name}: start to ready, ms", 0) for name in COMPONENTS},
    "cpu_percent": ("CPU of all containers while idle, percent of one core", 2),
}
SIGNS = ("start: ready", "the serving certificate is that of")  # in the log; of a webhook that makes its own, the latter
TARGETS = [("total_mib", 60), ("ready_s", 15)]
MIB = 1048576


class Group:
    """The control group of a container: version 2, or the hierarchies of version 1."""

    def __init__(self, container_id):
        found = [path for path in pathlib.Path("/sys/fs/cgroup").rglob(f"*{container_id}*") if path.is_dir()]
        self.memory = next(path for path in found if (path / "memory.current").exists() or (path / "memory.usage_in_bytes").exists())
        self.version = 2 if (self.memory / "memory.current").exists() else 1
        self.pids = [int(pid) for pid in (self.memory / "cgroup.procs").read_text().split()]

    def _number(self, name):
        return int((self.memory / name).read_text())

    def _stat(self):
        return {key: int(value) for key, value in (line.split() for line in (self.memory / "memory.stat").read_text().splitlines())}

    def figures(self):
        stat = self._stat()
        if self.version == 2:
            return {"total": self._number("memory.current"), "rss": stat["anon"], "cache": stat["file"], "kernel": stat["kernel"]}
        return {"total": self._number("memory.usage_in_bytes"), "rss": stat["rss"], "cache": stat["cache"],
                "kernel": self._number("memory.kmem.usage_in_bytes")}

    def pod_total(self):
        """Of the pod that it is in: with the process that holds its namespaces."""
        return int((self.memory.parent / ("memory.current" if self.version == 2 else "memory.usage_in_bytes")).read_text())


def cpu_seconds(groups):
    total = 0
    for group in groups:
        for pid in group.pids:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def mapped_files(groups):
    """Bytes of file pages in memory that these processes have mapped: each page once, however many share it."""
    total = 0
    for group in groups:
        for pid in group.pids:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss_File:"):
                    total += int(line.split()[1]) * 1024
    return total


def containers(mesh):
    """[(name, container's id, pod's name)] of all that run."""
    found = []
    for pod in json.loads(mesh.kubectl("get", "pods", "-n", "linkerd", "-o", "json"))["items"]:
        status = pod["status"]
        for one in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            if "running" in one["state"]:
                found.append((one["name"], one["containerID"].split("//")[1], pod["metadata"]["name"]))
    return found


def start_ms(mesh, name, pod, pid):
    """From the start of the process until it said that it is ready; the kernel tells the start in hundredths of a second."""
    log = mesh.kubectl("logs", "-n", "linkerd", pod, "-c", name)
    ready = max(next((line.split()[0] for line in log.splitlines() if sign in line), "") for sign in SIGNS)
    ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    return (datetime.datetime.fromisoformat(ready.replace("Z", "+00:00")).timestamp() - began) * 1000


def idle(mesh, seconds):
    running = containers(mesh)
    groups = {(name, pod): Group(one) for name, one, pod in running}
    before = cpu_seconds(groups.values())
    time.sleep(seconds)  # what is measured is that nothing happens
    figures = {"cpu_percent": (cpu_seconds(groups.values()) - before) * 100 / seconds, "files_mib": mapped_files(groups.values()) / MIB}
    for (name, _), group in groups.items():
        for key, value in group.figures().items():
            figures[f"{key}_mib"] = figures.get(f"{key}_mib", 0) + value / MIB
            if key == "total":
                figures[f"{name}_mib"] = figures.get(f"{name}_mib", 0) + value / MIB
    by_pod = {pod: group for (_, pod), group in groups.items()}
    figures["pods_mib"] = sum(group.pod_total() for group in by_pod.values()) / MIB
    for (name, pod), group in groups.items():
        if name in COMPONENTS:
            figures[f"{name}_start_ms"] = start_ms(mesh, name, pod, group.pids[0])
    return figures


def measure(options, folder):
    if missing_programs():
        raise Missing("the cluster's programs are not built: scripts/deps cluster")
    try:
        images = make_images(options.build, folder)
    except LookupError as error:
        raise Missing(str(error)) from None
    with Cluster() as cluster:
        cluster.load(*images)
        mesh = Mesh(cluster, options.build.resolve() / "src/cli/linkerd")
        mesh.apply(mesh.cli("install", "--crds"), "--server-side")
        manifests = mesh.cli("install")
        began = time.monotonic()
        mesh.apply(manifests)
        mesh.await_control_plane()
        ready = time.monotonic() - began
        return {"ready_s": ready, **idle(mesh, options.idle_seconds)}
