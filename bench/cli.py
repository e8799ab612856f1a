"""`linkerd install` and `linkerd inject`: what a command takes from start to end, its output thrown away, with the process that runs it."""

import os
import subprocess
import time

from cluster.api import Api
from cluster.cluster import missing_programs
from loads import percentiles
from parts import Missing

RUNS = 40
OBJECTS = 1000

TITLE = "commands"
ROWS = {
    "install_ignore_p50_ms": ("linkerd install --ignore-cluster, p50 ms", 1), "install_ignore_p99_ms": ("of it p99 ms", 1),
    "install_ignore_cpu_ms": ("of it CPU ms", 1),
    "install_p50_ms": ("linkerd install, beside an API server, p50 ms", 1), "install_p99_ms": ("of it p99 ms", 1), "install_cpu_ms": ("of it CPU ms", 1),
    "crds_p50_ms": ("linkerd install --crds, beside an API server, p50 ms", 1),
    "inject_ms": (f"linkerd inject, {OBJECTS:,} objects, ms", 0), "inject_cpu_ms": ("of it CPU ms", 0),
    "manual_ms": (f"linkerd inject --manual, {OBJECTS:,} objects, ms", 0), "manual_cpu_ms": ("of it CPU ms", 0),
    "version_p50_ms": ("linkerd version --client, p50 ms", 1),
}
TARGETS = [("install_ignore_p50_ms", 50), ("install_p50_ms", 50)]

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-{number}
  namespace: shop-{group}
  labels:
    app: web-{number}
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web-{number}
  template:
    metadata:
      labels:
        app: web-{number}
        version: v1
      annotations:
        prometheus.io/scrape: "true"
    spec:
      serviceAccountName: web
      containers:
        - name: app
          image: registry.example.com/web:1.42.0 # as released
          args: ["--port", "8080"]
          ports:
            - containerPort: 8080
              name: http
            - containerPort: {port}
              name: metrics
          env:
            - name: DATABASE
              value: postgres.shop-{group}.svc.cluster.local:5432
          readinessProbe:
            httpGet:
              path: /ready
              port: 8080
          resources:
            requests:
              cpu: 100m
              memory: 64Mi
"""


def one_run(argv, output):
    """(seconds, CPU seconds)."""
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], [str(word) for word in argv], os.environ,
                         file_actions=[(os.POSIX_SPAWN_DUP2, output.fileno(), 1), (os.POSIX_SPAWN_DUP2, output.fileno(), 2)])
    _, status, usage = os.wait4(pid, 0)
    took = time.perf_counter() - began
    if status:
        raise RuntimeError(f"{' '.join(map(str, argv))} ended with status {status}")
    return took, usage.ru_utime + usage.ru_stime


def several(argv, runs):
    """Figures of the runs, after one that fills the page cache."""
    with open(os.devnull, "wb") as output:
        one_run(argv, output)
        found = [one_run(argv, output) for _ in range(runs)]
    took = percentiles([seconds * 1000 for seconds, _ in found])
    return {"p50_ms": took["p50_us"], "p99_ms": took["p99_us"], "cpu_ms": sum(cpu for _, cpu in found) * 1000 / runs}


def write_objects(path):
    """Twenty groups, of eight kinds by their ports."""
    path.write_text("---\n".join(DEPLOYMENT.format(number=number, group=number % 20, port=9090 + number % 8) for number in range(OBJECTS)))
    return path


def add(figures, name, argv, runs, wanted=("p50_ms", "p99_ms", "cpu_ms")):
    for key, value in several(argv, runs).items():
        if key in wanted:
            figures.setdefault(f"{name}_{key}", []).append(value)


def measure_install(options, linkerd, figures):
    with Api() as api:
        os.environ["KUBECONFIG"] = str(api.control.admin)
        definitions = subprocess.run([linkerd, "install", "--crds", "--ignore-cluster"], capture_output=True, text=True, check=True).stdout
        api.kubectl("apply", "--server-side", "-f", "-", text=definitions)
        with api.host.inside():
            for _ in range(options.rounds):
                add(figures, "install", [linkerd, "install"], RUNS)
                add(figures, "crds", [linkerd, "install", "--crds"], RUNS // 2)
        del os.environ["KUBECONFIG"]


def measure(options, folder):
    if missing_programs():
        raise Missing("the API server is not built: scripts/deps cluster")
    linkerd, figures = options.build.resolve() / "src/cli/linkerd", {}
    objects = write_objects(folder / "objects.yaml")
    subprocess.run([linkerd, "certs", "anchor"], cwd=folder, check=True, capture_output=True)
    manual = ["--manual", "--ignore-cluster", "--identity-trust-anchors-file", folder / "ca.crt"]
    for _ in range(options.rounds):
        add(figures, "version", [linkerd, "version", "--client"], RUNS)
        add(figures, "install_ignore", [linkerd, "install", "--ignore-cluster"], RUNS)
        for name, flags in (("inject", []), ("manual", manual)):
            for key, value in several([linkerd, "inject", *flags, objects], 3).items():
                if key != "p99_ms":
                    figures.setdefault(f"{name}_{key.replace('p50_ms', 'ms')}", []).append(value)
    measure_install(options, linkerd, figures)
    return figures
