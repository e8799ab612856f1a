"""Machines for the page about a mesh by hand: namespaces in which its commands are run as they stand there.

Each machine has a folder of its own that stands for /etc; `systemctl` starts the command lines of packaging/systemd with their
environment files and users, `scp` copies between the folders. What systemd itself would do beyond that (capabilities, limits, hardening)
is checked by systemd-analyze, not here.
"""

import os
import pathlib
import re
import shlex
import shutil
import signal

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
UNITS = ROOT / "packaging/systemd"
USERS = {"linkerd-proxy": 2102, "linkerd-controller": 2103, None: None}
_IS_ACTIVE = """#!/bin/sh
# systemctl is-active UNIT, for lines that wait for it
case $(ps -o stat= -p "$(cat "$UNITS/$2")") in ''|Z*) echo inactive; exit 3 ;; *) echo active ;; esac
"""
_WITH_RESOLV = 'if [ -e "$1" ]; then mount --bind "$1" /etc/resolv.conf; fi; shift; exec "$@"'


def parse_unit(text):
    """{(section, key): values}, lines that end in a backslash joined."""
    found, section = {}, None
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif line and line[0] not in "#;":
            key, value = line.split("=", 1)
            found.setdefault((section, key), []).append(value)
    return found


def parse_environment(text):
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {key: " ".join(shlex.split(value)) for key, value in (line.split("=", 1) for line in lines)}


class Machine:
    def __init__(self, name, host, machines):
        self.name, self.host, self.machines = name, host, machines
        self.etc = machines.folder / name / "etc"
        (self.etc / "linkerd").mkdir(parents=True)
        (self.etc / "linkerd").rmdir()  # the page makes it
        self.units = machines.folder / name / "units"  # the processes of those that run
        self.units.mkdir()
        self.running = {}  # unit: Program, or None where it did its work once
        self.host.set("ipv4/ip_unprivileged_port_start", 53)  # what AmbientCapabilities gives
        self.host.ip("route", "del", "default")  # so that only the route that the page makes leads to services

    def here(self, text):
        """Paths of the page as paths of this machine."""
        text = re.sub(r"\b(control|web|client):/etc/", lambda found: f"{self.machines.folder}/{found[1]}/etc/", text)
        text = re.sub(r"(?<![\w/])/etc/(linkerd|resolv.conf)", rf"{self.etc}/\1", text)
        text = text.replace("/run/linkerd-proxy", str(self.machines.folder / self.name / "run"))
        return re.sub(r"/usr/local/bin/([\w-]+)", lambda found: str(self.machines.binaries[found[1]]), text)

    def argv(self, argv):
        """With this machine's resolv.conf."""
        return ["unshare", "--mount", "sh", "-c", _WITH_RESOLV, "sh", self.etc / "resolv.conf", *argv]

    def run(self, line):
        """What a typed line prints, both streams; fails unless its status is 0."""
        if found := re.fullmatch(r"systemctl (enable --now|start|stop|restart) (.*)", line):
            for unit in found[2].split():
                self.systemctl(found[1].split()[0], unit)
            return ""
        line = re.sub(r"^scp ", "cp ", line)
        environment = {**os.environ, "UNITS": str(self.units), "PATH": f"{self.machines.path}:{os.environ['PATH']}:/usr/sbin:/sbin"}
        done = self.host.run(self.argv(["bash", "-c", f"cd {ROOT} && {self.here(line)}"]), env=environment, check=False)
        assert done.returncode == 0, f"{self.name}# {line}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    # --- systemd ---

    def systemctl(self, verb, unit):
        if verb in ("stop", "restart"):
            self._stop(unit)
        if verb in ("enable", "start", "restart"):
            self._start(unit)

    def _unit(self, unit):
        if unit == "nginx.service":  # not ours
            return {("Service", "ExecStart"): [f"nginx -e stderr -c {self.machines.nginx()}"], ("Service", "User"): ["nobody"]}
        name, _, rest = unit.partition("@")
        text = (UNITS / (f"{name}@.service" if rest else unit)).read_text()
        return parse_unit(text.replace("%i", rest.removesuffix(".service")))

    def _environment(self, settings):
        values = {}
        for path in settings.get(("Service", "EnvironmentFile"), []):
            values.update(parse_environment(self.here(pathlib.Path(self.here(path)).read_text())))
        for line in settings.get(("Service", "Environment"), []):
            values.update(parse_environment(self.here(line)))
        return values

    def _words(self, line, environment):
        """A command line as systemd splits it."""
        words = []
        for word in shlex.split(line.lstrip("-")):
            if re.fullmatch(r"\$\w+", word):
                words += environment.get(word[1:], "").split()
            else:
                words.append(re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], word).replace("$$", "$"))
        return words

    def _once(self, settings, key, environment):
        for line in settings.get(("Service", key), []):
            self.host.run(self._words(self.here(line), environment), check=not line.startswith("-"))

    def _start(self, unit):
        settings = self._unit(unit)
        environment = self._environment(settings)
        user = settings.get(("Service", "User"), [None])[0]
        self._once(settings, "ExecStartPre", environment)
        if settings.get(("Service", "Type")) == ["oneshot"]:
            self._once(settings, "ExecStart", environment)
            self.running[unit] = None
            return
        for name in settings.get(("Service", "RuntimeDirectory"), []):
            path = pathlib.Path(self.here(f"/run/{name}"))
            path.mkdir(exist_ok=True, mode=0o700)
            os.chown(path, USERS[user], USERS[user])
        words = self._words(self.here(settings["Service", "ExecStart"][0]), environment)
        self.running[unit] = self.machines.programs.start(
            words, namespace=self.host, uid=USERS.get(user, 65534), env=environment, name=f"{self.name}-{unit}",
            stop_with=(signal.SIGTERM, signal.SIGINT))  # the second ends a drain
        (self.units / unit).write_text(str(self.running[unit].pid))

    def _stop(self, unit):
        settings = self._unit(unit)
        program = self.running.pop(unit)
        if program:
            program.stop()
        self._once(settings, "ExecStop", self._environment(settings))
        self._once(settings, "ExecStopPost", self._environment(settings))


class Machines:
    """control, web and client, in the order of their addresses."""

    def __init__(self, network, binaries, programs, folder):
        self.binaries, self.programs, self.folder = binaries, programs, folder
        self.path = folder / "bin"
        self.path.mkdir()
        for name in ("linkerd", "linkerd-init", "linkerd-proxy", "linkerd-controller"):
            (self.path / name).symlink_to(binaries[name])
        (self.path / "systemctl").write_text(_IS_ACTIVE)
        (self.path / "systemctl").chmod(0o755)
        self.all = {name: Machine(name, network.host(name), self) for name in ("control", "web", "client")}

    def __getitem__(self, name):
        return self.all[name]

    def nginx(self):
        folder = self.folder / "nginx"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "nginx.conf").write_text((ROOT / "demo/apps/nginx.conf").read_text().replace("@NAME@", "web").replace(
            "@DIR@", str(folder)))
        return folder / "nginx.conf"
