"""The example application: which program runs in which Pod of manifests/, and which load. All are unmodified programs that know
nothing of the mesh and call one another by the names of the cluster."""

import json
import re
import signal
import time

from lib.mesh import APP_UID
from machine import ROOT

APPS = ROOT / "tree/demo/apps"
PYTHON = ROOT / "python/bin/python"
WAIT = 30  # seconds for a program to be there or to end


def _nginx(name, folder):
    conf = folder / "nginx.conf"
    conf.write_text((APPS / "nginx.conf").read_text().replace("@NAME@", name).replace("@DIR@", str(folder)))
    return ["nginx", "-e", "stderr", "-c", conf]


def _redis(name, folder):
    return ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", folder, "--daemonize", "no"]


def _quotes(name, folder):
    return [PYTHON, APPS / "quotes.py", name, 50051, "cache.shop.svc.cluster.local:6379"]


def _chat(name, folder):
    return [PYTHON, APPS / "chat.py", 8080]


SERVERS = {  # pod: (what makes the command line, its port)
    "cache": (_redis, 6379),
    "web-v1": (_nginx, 8080),
    "web-v2": (_nginx, 8080),
    "quotes-1": (_quotes, 50051),
    "quotes-2": (_quotes, 50051),
    "chat": (_chat, 8080),
}
LOADS = {  # pod: command line
    "shopper": ["hey", "-z", "8760h", "-c", 5, "-q", 20, "-t", 5, "http://web.shop.svc.cluster.local/"],
    "mobile": [PYTHON, APPS / "mobile.py", "quotes.shop.svc.cluster.local:50051", 50],
    "visitor": [PYTHON, APPS / "visitor.py", "ws://chat.shop.svc.cluster.local/", 1],
}


def start_servers(pods):
    apps = {}
    for name, (command, port) in SERVERS.items():
        apps[name] = pods[name].start_app(command(name, ROOT / name), name=f"app-{name}", cwd=ROOT / name)
    for name, (_, port) in SERVERS.items():
        apps[name].wait_port(port)
    return apps


def start_loads(pods):
    return {name: pods[name].start_app(argv, name=f"load-{name}") for name, argv in LOADS.items()}


class LoadResult:
    """What a client counted itself: requests, and failures by reason."""

    def __init__(self, name, sent, failed, note=None):
        self.name, self.sent, self.failed, self.note = name, sent, failed, note


def stop_loads(loads):
    """Tells all to end what they have begun, and reads what they counted."""
    for program in loads.values():
        program.kill(signal.SIGINT)
    deadline = time.monotonic() + WAIT
    for program in loads.values():
        try:
            program.wait_exit(max(0.1, deadline - time.monotonic()))
        except TimeoutError:
            program.stop(1)
    return [_result(name, program.output) for name, program in loads.items()]


def _result(name, output):
    return _hey_result(name, output) if name == "shopper" else _open_loop_result(name, output)


def _open_loop_result(name, output):
    try:
        counted = json.loads(output.splitlines()[-1])
        return LoadResult(name, counted["sent"], counted["failed"])
    except (IndexError, ValueError, KeyError, TypeError):
        return LoadResult(name, 0, {}, "ended without saying what it counted: " + output[-300:])


def _hey_result(name, output):
    """hey's summary: '  [200]\t1234 responses', and below 'Error distribution:' '  [3]\tGet ...: refused'."""
    answers, _, errors = output.partition("Error distribution:")
    statuses = {int(code): int(count) for code, count in re.findall(r"^\s+\[(\d+)\]\s+(\d+) responses", answers, re.MULTILINE)}
    failed = {f"status {code}": count for code, count in statuses.items() if code != 200}
    for count, reason in re.findall(r"^\s+\[(\d+)\]\s+(.+)$", errors, re.MULTILINE):
        failed[reason] = failed.get(reason, 0) + int(count)
    sent = sum(statuses.values()) + sum(count for reason, count in failed.items() if not reason.startswith("status "))
    return LoadResult(name, sent, failed, None if sent else "ended without saying what it counted: " + output[-300:])
