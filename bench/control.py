"""Destination at scale, on a real API server: what it takes, how soon it answers, how fast a change is everywhere, and what a
rollout does to it. Called by bench/run; docs/bench.md says what the figures mean."""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test"))

from cluster.api import Api  # noqa: E402  (the path comes first)
from cluster.cluster import missing_programs  # noqa: E402
from lib import netns  # noqa: E402
from lib.controller import Issuer  # noqa: E402
from lib.mesh import Pod  # noqa: E402
from lib.proc import Programs  # noqa: E402
from lib.scripted import Authority, Feed, ScriptedControl, authorization, server  # noqa: E402
from lib.wait import until  # noqa: E402

import objects  # noqa: E402
from loads import memory_kib  # noqa: E402
from scenes import NAMES, Certs  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
PORT = 8087  # 8086 is the scripted control plane of the sidecar
LONG = 300  # seconds, for what takes as long as the machine takes
TARGETS = (  # where, figure, what it is called, at most
    ("rss_mib", "destination, MiB", 150), ("change_2000_ms", "a change at 2,000 subscribers, ms", 50),
    ("change_5000_ms", "a change at 5,000 subscribers, ms", 150), ("stale", "streams stale one second after the storm", 0))


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run control", description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release", help="build folder of ours")
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--endpoints", type=int, default=100_000)
    parser.add_argument("--subscribers", type=lambda text: [int(part) for part in text.split(",")], default=[2000, 5000],
                        help="at which numbers of them a change is measured (default 2000,5000)")
    parser.add_argument("--changes", type=int, default=20, help="at each of them")
    parser.add_argument("--storm-seconds", type=float, default=60)
    parser.add_argument("--way", choices=("sidecar", "direct"), action="append", help="subscribers behind our proxy with mutual TLS, or "
                        "straight at the component; both by default")
    parser.add_argument("--quick", action="store_true", help="50 services, 2,000 endpoints, 200 subscribers, a storm of 5 s")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build" / "bench-control.json")
    options = parser.parse_args()
    if options.quick:
        options.services, options.endpoints, options.subscribers = 50, 2000, [100, 200]
        options.changes, options.storm_seconds = 10, 5
    options.way = options.way or ["sidecar", "direct"]
    return options


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(ns):
    return ns / 1e6


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


class Writer:
    """One connection to the API server, as its administrator."""

    def __init__(self, api):
        self.api, self.took_ns = api, 0  # of the last request
        self.connect()

    def connect(self):
        api, at = self.api, self.api.control.pki.folder
        context = ssl.create_default_context(cafile=at / "ca.crt")
        context.load_cert_chain(at / "admin.crt", at / "admin.key")
        self.used_ns = time.monotonic_ns()
        self.connection = http.client.HTTPConnection(api.host.ip4, 6443)
        sock = api.host.connect(api.host.ip4, 6443)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body go apart
        self.connection.sock = context.wrap_socket(sock, server_hostname="kubernetes")

    def send(self, method, path, body=None, kind="application/json"):
        """The moment before it was sent."""
        if time.monotonic_ns() - self.used_ns > 10e9:  # the server may have closed it meanwhile
            self.connect()
        self.used_ns = began = time.monotonic_ns()
        self.connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": kind})
        answer = self.connection.getresponse()
        text = answer.read()
        self.took_ns = time.monotonic_ns() - began
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]}")
        return began

    def slice(self, number, endpoints):
        made = objects.endpoint_slice("front", "front", number, endpoints)
        return self.send("PUT", f"/apis/discovery.k8s.io/v1/namespaces/front/endpointslices/{made['metadata']['name']}", made)


class Front:
    """The Service that all subscribers watch: its slices as they are now, and how they change."""

    def __init__(self, writer, template):
        self.writer, self.template, self.next = writer, template, 500_000
        self.slices = {first: [objects.endpoint("front", "front", index, index) for index in range(first, min(first + objects.SLICE, objects.FRONT))]
                       for first in range(0, objects.FRONT, objects.SLICE)}

    @property
    def addresses(self):
        return [one["addresses"][0] for some in self.slices.values() for one in some]

    def write(self, first):
        return self.writer.slice(first, self.slices[first])

    def pod(self, number, ready):
        return objects.pod(self.template, "front", "front", number, number, ready)

    def roll(self, first, at, crowd):
        """One pod of a rollout: a new one starts and becomes ready, an old one goes. The moments of the two changes."""
        number, self.next = self.next, self.next + 1
        old, new = self.slices[first][at], objects.endpoint("front", "front", number, number, False)
        made = self.pod(number, False)
        name, status = made["metadata"]["name"], made.pop("status")
        for key in ("uid", "creationTimestamp"):
            made["metadata"].pop(key)
        self.writer.send("POST", "/api/v1/namespaces/front/pods", made)
        patch = "application/merge-patch+json"
        self.writer.send("PATCH", f"/api/v1/namespaces/front/pods/{name}/status", {"status": status}, patch)
        self.slices[first].append(new)
        self.write(first)
        self.writer.send("PATCH", f"/api/v1/namespaces/front/pods/{name}/status", {"status": self.pod(number, True)["status"]}, patch)
        new["conditions"] = {"ready": True, "serving": True, "terminating": False}
        crowd.expect("+" + new["addresses"][0])
        added = self.write(first)
        self.slices[first].remove(old)
        crowd.expect("-" + old["addresses"][0])
        removed = self.write(first)
        self.writer.send("DELETE", f"/api/v1/namespaces/front/pods/{old['targetRef']['name']}?gracePeriodSeconds=0")
        return {"+" + new["addresses"][0]: added, "-" + old["addresses"][0]: removed}


class Crowd:
    """The subscribers (crowd.c)."""

    def __init__(self, bench, where, tls):
        options = bench.options
        self.program = bench.programs.start(
            [options.build / "bench/crowd", where, PORT, objects.NODES, options.services, objects.NAMESPACES, *tls],
            namespace=bench.tester, name="crowd", stdin=subprocess.PIPE)

    def say(self, text):
        self.program.process.stdin.write(text.encode() + b"\n")
        self.program.process.stdin.flush()

    def ask(self, text, answer):
        start = len(self.program.lines)
        self.say(text)
        return self.program.wait_line(f"^{answer} (.*)", LONG, start)[1].split()

    def heard(self, what, start):
        """Whether all have; the program's last words when it has ended."""
        assert self.program.running(), self.program.output[-2000:]
        return what in self.reached(start)

    def expect(self, what):
        self.ask(f"await {what}", "awaiting")

    def reached(self, start):
        """{what: the moment when the last had heard} of what was told from that line on."""
        return {line.split()[1]: int(line.split()[3]) for line in self.program.lines[start:] if line.startswith("reached ")}

    def close(self):
        self.program.process.stdin.close()
        self.program.stop()


class Bench:
    """One API server; for each way a controller of its own."""

    def __init__(self, options, folder, api):
        self.options, self.folder, self.api = options, folder, api
        (folder / "logs").mkdir()
        self.programs = Programs(folder / "logs")
        self.binaries = {name: options.build / f"src/{where}/{name}" for name, where in (
            ("linkerd", "cli"), ("linkerd-controller", "control"), ("linkerd-proxy", "proxy"), ("linkerd-init", "init"))}
        self.tester = api.network.host("tester")
        self.issuer = Issuer(folder / "issuer")
        self.certs = Certs(Authority(), folder / "certs")
        self.template = self.injected()
        self.front = None

    def injected(self):
        """A Pod with our proxy in it, as the injector makes them."""
        written = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app", "namespace": "front"}, "spec": {"containers": [
            {"name": "app", "image": "registry.example/app:1.2.3", "ports": [{"name": "http", "containerPort": 8080}],
             "env": [{"name": "LOG_LEVEL", "value": "info"}], "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
             "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}}, "livenessProbe": {"httpGet": {"path": "/live", "port": "http"}}}]}}
        done = subprocess.run([self.binaries["linkerd"], "inject", "--manual", "--ignore-cluster", "--identity-trust-anchors-file",
                               self.issuer.directory / "ca.crt", "-o", "json", "-"], input=json.dumps(written), capture_output=True, text=True,
                              check=True, timeout=60)
        made = json.loads(done.stdout)
        path = self.folder / "pod.json"
        path.write_text(json.dumps(made))
        return made

    def write_objects(self):
        """Beside the API server, which follows etcd."""
        began = time.monotonic()
        writer = self.programs.start([sys.executable, HERE / "objects.py", self.options.services, self.options.endpoints, self.folder / "pod.json"],
                                     namespace=self.api.host, name="objects")
        count = int(writer.wait_line("^written (.*)", LONG)[1])
        self.front = Front(Writer(self.api), self.template)
        say(f"{count:,} objects in etcd after {time.monotonic() - began:.0f} s")

    def start_controller(self):
        self.pod = Pod(self.api.network.host("destination"), self.binaries, self.programs)
        began = time.monotonic()
        controller = self.programs.start(
            [self.binaries["linkerd-controller"], "destination", "--kubeconfig", self.api.control.admin, f"--destination-addr=0.0.0.0:{PORT}"],
            namespace=self.pod.host, name="controller")
        controller.wait_line("start: ready", LONG)
        return controller, time.monotonic() - began

    def start_sidecar(self):
        """Our proxy, as the chart puts it beside the component, under a scripted control plane."""
        self.control = ScriptedControl(self.certs.authority)
        self.control.ports[PORT] = Feed(server("detect", authorizations=[authorization(tls="clients", identities=[NAMES["client"]], name="clients")]))
        self.control.start([self.pod.host])
        self.pod.redirect("--outbound-ports-to-ignore", "443,6443")  # as the chart has it: the API server is not asked through the proxy
        return self.pod.start_proxy(self.control.env("web", LINKERD2_PROXY_LOG="warn"))

    @contextlib.contextmanager
    def serving(self, way):
        controller, ready_s = self.start_controller()
        sidecar, tls = None, []
        if way == "sidecar":
            sidecar = self.start_sidecar()
            tls = [NAMES["web"], self.certs.folder / "client.pem", self.certs.folder / "ca.pem"]
        crowd = Crowd(self, self.pod.host.ip4, tls)
        try:
            yield controller, sidecar, crowd, ready_s
        except BaseException:
            say(f"the controller's last words: {controller.output[-3000:]}")
            raise
        finally:
            crowd.close()
            if sidecar:
                sidecar.stop()
                self.control.stop()
            controller.stop()


def measure_changes(crowd, front, count):
    """Milliseconds from a write to the API server until the last subscriber has heard, of each change; and of these the write."""
    first = max(front.slices)
    one, took, writes = front.slices[first][-1], [], []  # goes and comes; its pod stays
    for number in range(count):
        added = number % 2 == 1
        what = ("+" if added else "-") + one["addresses"][0]
        (front.slices[first].append if added else front.slices[first].remove)(one)
        start = len(crowd.program.lines)
        crowd.expect(what)
        began = front.write(first)
        until(lambda: crowd.heard(what, start), lambda: f"{what} is not everywhere: {crowd.ask('counts', 'counts')}", 30)
        took.append(milliseconds(crowd.reached(start)[what] - began))
        writes.append(milliseconds(front.writer.took_ns))
        time.sleep(0.2)  # a change on a machine at rest, not one behind the other
    if count % 2:
        front.slices[first].append(one)
        front.write(first)
    return took, writes


def storm(crowd, front, pids, seconds):
    """Rollouts of the 180 pods, one after the other; what they cost, and how stale subscribers were."""
    before, start, began = {name: cpu_seconds(pid) for name, pid in pids.items()}, len(crowd.program.lines), time.monotonic()
    written, messages = {}, int(crowd.ask("counts", "counts")[0])
    while time.monotonic() - began < seconds:
        for first in list(front.slices):
            for _ in range(len(front.slices[first])):
                written.update(front.roll(first, 0, crowd))
                if time.monotonic() - began >= seconds:
                    break
    took = time.monotonic() - began
    time.sleep(1)  # what is stale then is what the target speaks of
    same, other = (int(text) for text in crowd.ask("state " + ",".join(front.addresses), "state"))
    reached = crowd.reached(start)
    late = [milliseconds(reached[what] - moment) for what, moment in written.items() if what in reached]
    counts = crowd.ask("counts", "counts")
    figures = {f"storm_{name}_cpu": (cpu_seconds(pids[name]) - before[name]) / took for name in pids}
    return figures | {"stale": other, "storm_pods_per_second": len(written) / 2 / took, "storm_p50_ms": statistics.median(late) if late else None,
                      "storm_p99_ms": percentile(late, 0.99), "storm_max_ms": max(late, default=0), "storm_messages": int(counts[0]) - messages,
                      "storm_ended_streams": int(counts[2])}


def measure(bench, way):
    options, figures = bench.options, {}
    with bench.serving(way) as (controller, sidecar, crowd, ready_s):
        pids = {"destination": controller.pid} | ({"sidecar": sidecar.pid} if sidecar else {})
        memory = memory_kib(controller.pid)
        figures |= {"ready_s": ready_s, "rss_synced_mib": memory["rss_kib"] / 1024, "peak_synced_mib": memory["peak_kib"] / 1024}
        front = bench.front
        for count in options.subscribers:
            _, first, last, median, slowest = (int(text) for text in crowd.ask(f"connect {count}", "connected"))
            figures |= {"first_answer_p50_ms": milliseconds(median), "first_answer_max_ms": milliseconds(slowest)}
            changes, writes = measure_changes(crowd, front, options.changes)
            figures |= {f"change_{count}_ms": statistics.median(changes), f"change_{count}_min_ms": min(changes),
                        f"change_{count}_max_ms": max(changes), "write_ms": statistics.median(writes)}
            say(f"{way}: {count:,} subscribers: a change takes {statistics.median(changes):.0f} ms (slowest {max(changes):.0f})")
        figures |= storm(crowd, front, pids, options.storm_seconds)
        for name, pid in pids.items():
            memory = memory_kib(pid)
            key = "" if name == "destination" else f"{name}_"
            figures |= {f"{key}rss_mib": memory["rss_kib"] / 1024, f"{key}peak_mib": memory["peak_kib"] / 1024}
    return figures


LABELS = {
    "ready_s": "start until all is read, s", "rss_synced_mib": "destination when all is read, MiB", "peak_synced_mib": "its peak until then, MiB",
    "first_answer_p50_ms": "first answer, p50 ms", "first_answer_max_ms": "first answer, slowest, ms",
    "change_2000_ms": "a change at 2,000 subscribers, p50 ms", "change_2000_min_ms": "the fastest, ms", "change_2000_max_ms": "the slowest, ms",
    "change_5000_ms": "a change at 5,000 subscribers, p50 ms", "change_5000_min_ms": "the fastest, ms",
    "change_5000_max_ms": "the slowest, ms", "write_ms": "of it the API server's answer to the write, p50 ms",
    "storm_pods_per_second": "storm: pods replaced a second", "storm_destination_cpu": "storm: CPUs, destination", "storm_sidecar_cpu": "storm: CPUs, sidecar",
    "storm_p50_ms": "storm: from a write until all know, p50 ms", "storm_p99_ms": "storm: p99 ms", "storm_max_ms": "storm: slowest, ms",
    "storm_ended_streams": "streams ended as their queue was full", "stale": "streams stale one second after the storm",
    "rss_mib": "destination at the end, MiB", "peak_mib": "its peak, MiB", "sidecar_rss_mib": "its sidecar at the end, MiB",
    "sidecar_peak_mib": "the sidecar's peak, MiB"}


def cell(figures, name):
    value = figures.get(name)
    return "" if value is None else f"{value:,.0f}" if isinstance(value, int) or value >= 100 else f"{value:,.2f}" if value < 10 else f"{value:,.1f}"


def table(results):
    names = list(dict.fromkeys(name for figures in results.values() for name in figures))
    lines = ["| control | " + " | ".join(results) + " |", "|---|" + "---:|" * len(results)]
    for name in [*LABELS, *(name for name in names if name not in LABELS)]:
        if any(name in figures for figures in results.values()):
            lines.append(f"| {LABELS.get(name, name)} | " + " | ".join(cell(figures, name) for figures in results.values()) + " |")
    return "\n".join(lines)


def targets(results):
    return [(f"{way}: {what}", most, figures[name], figures[name] <= most)
            for way, figures in results.items() for name, what, most in TARGETS if name in figures]


def run(options, folder):
    with Api() as api:
        bench = Bench(options, folder, api)
        try:
            bench.write_objects()
            return {way: measure(bench, way) for way in options.way}
        finally:
            bench.programs.close()


def stop_politely(number, _frame):
    raise KeyboardInterrupt(f"signal {number}")  # so that everything is cleaned up


def main():
    options = arguments()
    if not netns.available():
        raise SystemExit("bench: making network namespaces needs root")
    if missing := missing_programs():
        raise SystemExit(f"bench: {', '.join(missing)} of the cluster is missing; run scripts/deps cluster")
    if not (options.build / "bench/crowd").exists():
        raise SystemExit(f"bench: nothing is built in {options.build}; run `make build`")
    signal.signal(signal.SIGTERM, stop_politely)
    netns.sweep()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="clinkerd-bench-"))
    folder.chmod(0o755)
    tempfile.tempdir = str(folder)
    try:
        results = run(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = targets(results)
    print(table(results))
    print("\n".join(f"{'met   ' if met else 'MISSED'}  {what}: {measured:,.4g} (wanted <= {most})" for what, most, measured, met in found))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({
        "machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "load_at_end": os.getloadavg()},
        "options": {key: str(value) for key, value in vars(options).items()}, "figures": results,
        "targets": [{"what": what, "wanted": most, "measured": measured, "met": met} for what, most, measured, met in found]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
