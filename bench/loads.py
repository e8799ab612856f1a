"""One load on one scene, and what it cost. Every function returns a dict of figures, units in the names."""

import contextlib
import os
import re
import threading
import time

from lib.mesh import APP_UID
from scenes import HERE, NAMES

TICK = os.sysconf("SC_CLK_TCK")
RATE = 1000  # requests per second of the open loop
WARM_UP = 1  # seconds of the same load before what is measured: handshakes between the pair are not the subject
GRPC_BODY = b"\0\0\0\0\x10" + b"0123456789abcdef"


class Failed(RuntimeError):
    """The load did not run clean: its figures would say nothing."""


# ---- what the kernel knows of a process ----

def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        values = dict(line.split(":", 1) for line in file)
    return {"rss_kib": int(values["VmRSS"].split()[0]), "anon_kib": int(values["RssAnon"].split()[0]),
            "peak_kib": int(values["VmHWM"].split()[0])}


def memory(scene):
    return {side: memory_kib(pid) for side, pid in scene.pids.items()}


def pair_connections(scene):
    """Established connections that the server's pod has from the client's."""
    lines = scene.web.host.run(["ss", "-Htn", "state", "established"]).stdout.splitlines()
    return sum(line.split()[3].rsplit(":", 1)[0].removeprefix("[::ffff:").rstrip("]") == scene.client.host.ip4
               for line in lines if line.strip())


class Meter:
    """CPU seconds of the proxies over the `with`, and the most connections that were seen between them."""

    def __init__(self, scene):
        self.scene, self.cpu, self.connections = scene, {}, 0

    def __enter__(self):
        self._before = {side: cpu_seconds(pid) for side, pid in self.scene.pids.items()}
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def _watch(self):
        while not self._done.wait(0.7):
            self.connections = max(self.connections, pair_connections(self.scene))

    def __exit__(self, *_):
        self._done.set()
        self._watcher.join()
        self.cpu = {side: cpu_seconds(pid) - self._before[side] for side, pid in self.scene.pids.items()}

    def per(self, count, scale, unit):
        """cpu_<side>_<unit> for each proxy and for the pair."""
        if not self.cpu:
            return {}
        figures = {f"cpu_{side}_{unit}": value * scale / count for side, value in self.cpu.items()}
        return {**figures, f"cpu_pair_{unit}": sum(figures.values())}


# ---- loads ----

def percentiles(micros):
    micros = sorted(micros)
    return {f"p{str(rank).replace('.', '_')}_us": micros[min(len(micros) - 1, int(len(micros) * rank / 100))]
            for rank in (50, 99, 99.9)}


def client(scene, argv, timeout):
    return scene.client.host.run(argv, uid=APP_UID, timeout=timeout).stdout


def one_request(scene, kind):
    """Opens what the pair shares: a crowd that meets no open connection yet makes some proxies open one for each."""
    host, port = scene.address(kind)
    client(scene, ["curl", "-sS", "--fail", "--max-time", "10", "-o", "/dev/null",
                   *(["--http2-prior-knowledge"] if kind == "h2" else []), f"http://{host}:{port}/"], 20)


def wrk(scene, seconds):
    host, port = scene.address("h1")
    return client(scene, ["wrk", "-t1", "-c50", f"-d{seconds}s", "-s", HERE / "wrk.lua", f"http://{host}:{port}/"],
                  seconds + 30)


def saturate_http1(scene, seconds):
    one_request(scene, "h1")
    wrk(scene, WARM_UP)
    with Meter(scene) as meter:
        out = wrk(scene, seconds)
    found = re.search(r"FIGURES (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", out)
    count, micros, bad, *ranks = (int(value) for value in found.groups())
    if bad or not count:
        raise Failed(f"{scene.name}: wrk counted {bad} failures\n{out}")
    return {"rps": count * 1e6 / micros, **dict(zip(("p50_us", "p99_us", "p99_9_us"), ranks)),
            **meter.per(count, 1e6, "us"), "connections": meter.connections}


def h2load(scene, kind, argv, path="/", timeout=60):
    """Runs h2load; (rows of the log as (start, micros), its output)."""
    host, port = scene.address(kind)
    log = scene.folder / scene.name / "h2load.log"
    log.unlink(missing_ok=True)
    out = client(scene, ["h2load", f"--log-file={log}", *argv, f"http://{host}:{port}{path}"], timeout)
    with open(log) as file:
        rows = [tuple(int(word) for word in line.split()) for line in file]
    log.unlink()
    # Of HTTP/1 responses without a reason phrase (HAProxy's, here) h2load does not note the status; wrk has checked it.
    unnoted = "--h1" in argv and " 0 errored, 0 timeout" in out
    if not rows or not unnoted and any(status != 200 for _, status, _ in rows):
        raise Failed(f"{scene.name}: h2load {' '.join(map(str, argv))}: not all are 200\n{out}")
    return [(start, micros) for start, _, micros in rows], out


def grpc_options(scene):
    body = scene.folder / scene.name / "body"
    body.write_bytes(GRPC_BODY)
    return ["-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers"], "/bench.Echo/Say"


def saturate_http2(scene, seconds, grpc=False):
    extra, path = grpc_options(scene) if grpc else ([], "/")
    argv = ["-c10", "-m20", "-t1", *extra]
    one_request(scene, "h2")
    h2load(scene, "h2", [*argv, f"-D{WARM_UP}"], path)
    with Meter(scene) as meter:
        rows, out = h2load(scene, "h2", [*argv, f"-D{seconds}"], path, seconds + 30)
    count = int(re.search(r"requests: (\d+) total", out)[1])
    if not re.search(rf"{count} done, {count} succeeded, 0 failed", out):
        raise Failed(f"{scene.name}: h2load failed\n{out}")
    return {"rps": count / seconds, **percentiles([micros for _, micros in rows]), **meter.per(count, 1e6, "us"),
            "connections": meter.connections}


def saturate_grpc(scene, seconds):
    return saturate_http2(scene, seconds, grpc=True)


def open_loop(scene, kind, seconds, clients, argv, path="/"):
    """RATE requests a second, whether answered or not. The clients start one by one, a whole period and a millisecond
    apart, so that their requests lie evenly; what was sent before the last had started is left out."""
    period_ms = clients * 1000 // RATE
    step_ms = period_ms + 1
    ramp_ms = step_ms * clients
    each = (ramp_ms + seconds * 1000) // period_ms
    rows, _ = h2load(scene, kind, [f"-c{clients}", f"-n{each * clients}", "-r1", f"--rate-period={step_ms}ms",
                                   f"--rps={RATE // clients}", *argv], path, seconds + 60)
    first = min(start for start, _ in rows)
    kept = [micros for start, micros in rows if ramp_ms * 1000 <= start - first <= (ramp_ms + seconds * 1000) * 1000]
    return {f"open_{key}": value for key, value in percentiles(kept).items()} | {"open_rps": len(kept) / seconds}


def rate_http1(scene, seconds):
    return open_loop(scene, "h1", seconds, 20, ["--h1"])


def rate_http2(scene, seconds):
    return open_loop(scene, "h2", seconds, 10, ["-m20"])


def rate_grpc(scene, seconds):
    extra, path = grpc_options(scene)
    return open_loop(scene, "h2", seconds, 10, ["-m20", *extra], path)


def bulk(scene, gigabytes):
    scene.use("tcp")
    try:
        host, port = scene.address("tcp")
        total = int(gigabytes * 1e9)
        with Meter(scene) as meter:
            took = float(client(scene, ["/usr/bin/python3", HERE / "bulk.py", "send", host, port, total], 180))
    finally:
        scene.use("http")
    return {"gigabytes_per_second": gigabytes / took, **meter.per(gigabytes, 1, "s_per_gb")}


# ---- memory of idle connections ----

KINDS = {"plain-http1": ("http", "http1", "h1", ("client",)), "mtls-tcp": ("tcp", "echo", "tcp", ("client", "server")),
         "mtls-h2": ("http", "h2-tls", "h2", ("server",))}


@contextlib.contextmanager
def holding(scene, kind, connections, requests):
    """Connections of the kind are open and idle."""
    _, what, port_kind, _ = KINDS[kind]
    if kind == "mtls-h2":  # straight to the server's proxy, as its peer would
        where = (scene.web.host.ip4, 8081)
        tls, namespace = [NAMES["web"], scene.certs.folder / "client.pem", scene.certs.folder / "ca.pem"], scene.tester
    else:
        where, tls, namespace = scene.address(port_kind), [], scene.client.host
    holder = scene.programs.start(["/usr/bin/python3", HERE / "hold.py", what, *where, connections, requests, *tls],
                                  namespace=namespace, uid=APP_UID, name="hold")
    try:
        holder.wait_line("^held ", timeout=180)
        yield
    finally:
        holder.stop()


def idle(scene, kind, connections, requests=100):
    """KiB of each idle connection: proxies anew, a few connections to warm up, then the difference."""
    scene.use(KINDS[kind][0])
    scene.restart()
    with holding(scene, kind, 20, requests):
        pass
    before = memory(scene)
    with holding(scene, kind, connections, requests):
        time.sleep(1)  # what is given back after a while is not counted
        after = memory(scene)
    return {f"{side}_kib": (after[side]["rss_kib"] - before[side]["rss_kib"]) / connections for side in KINDS[kind][3]}


LOADS = {  # name: (saturating, open loop)
    "HTTP/1.1": (saturate_http1, rate_http1),
    "HTTP/2": (saturate_http2, rate_http2),
    "gRPC": (saturate_grpc, rate_grpc),
}
