"""The demo, inside the namespaces that demo/run made (read that first): starts everything, shows it, judges it."""

import os
import pathlib
import signal
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "test")]

import machine  # noqa: E402
import options as command_line  # noqa: E402
from mesh import Mesh  # noqa: E402
from screen import Screen, tables, troubles  # noqa: E402
from verdict import judge  # noqa: E402

WINDOW = 10  # seconds that the live table is about
EXIT_BAD, EXIT_CANNOT, EXIT_INTERRUPTED = 1, 2, 130
EVERY, EVERY_LINES = 1, 5


class Told(Exception):
    """A signal, while the mesh is being started."""


class Demo:
    def __init__(self, options):
        self.options = options
        self.screen = Screen(options.plain)
        self.every = options.every or (EVERY if self.screen.live else EVERY_LINES)
        self.told = threading.Event()
        self.starting = True
        self.mesh = None
        self.readings = []

    # --- signals ---

    def on_signal(self, number, _):
        if self.told.is_set():
            os._exit(EXIT_INTERRUPTED)  # told again: the kernel ends what is left
        self.told.set()
        if self.starting:
            raise Told

    def take_signals(self):
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            signal.signal(number, self.on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

    # --- the run ---

    def start(self):
        machine.prepare(HERE.parent, self.options.environment, self.options.build)
        self.mesh = Mesh(self.options.manifests, self.screen.say)
        self.mesh.start()
        self.starting = False
        self.began = time.monotonic()

    def read(self):
        self.readings.append(self.mesh.read(self.readings[-1] if self.readings else None))
        while len(self.readings) > 2 and self.readings[1].at <= self.readings[-1].at - WINDOW:
            self.readings.pop(0)

    def page(self):
        first, last = self.readings[0], self.readings[-1]
        recent, seconds = last.since(first), max(0.001, last.at - first.at)
        left = f", ends in {max(0, round(self.options.duration - (last.at - self.began)))} s" if self.options.duration else ""
        lines = [(f"Clinkerd demo: {len(self.mesh.pods)} Pods, each with a proxy; the last {seconds:.0f} s of "
                  f"{last.at - self.began:.0f} s{left}", "bold"), ("", None), *tables(recent, last, seconds), ("", None)]
        bad = self.mesh.complaints(last.at - WINDOW) + self.mesh.ended() + troubles(recent)
        lines += [(text, "bad") for text in bad[:6]]
        if len(bad) > 6:
            lines.append((f"... and {len(bad) - 6} more", "bad"))
        return lines

    def watch(self):
        end = self.began + self.options.duration if self.options.duration else float("inf")
        if not self.screen.live:
            self.screen.say("\n".join(self.mesh.hints(HERE)) + "\n")
        self.read()
        while (now := time.monotonic()) < end and not self.told.wait(min(self.every, end - now)):
            self.read()
            lines = self.page()
            if self.screen.live:
                lines += [("", None), *((text, "dim") for text in self.mesh.hints(HERE))]
            else:
                lines.append(("", None))
            self.screen.show(lines)

    def finish(self):
        self.screen.say("\nEnding: waiting for what is on its way (again: ends at once)." if self.told.is_set() else "")
        ended, seconds = self.mesh.ended(), time.monotonic() - self.began
        results = self.mesh.stop_loads()
        verdict = judge(self.mesh.read(), seconds, results, self.mesh.services, ended)
        self.screen.say(f"Summary of {seconds:.0f} s")
        self.screen.say("\n".join(text for text, _ in verdict.lines))
        self.screen.say()
        for text in verdict.problems:
            self.screen.say(f"FAILED: {text}")
        if not verdict.problems:
            self.screen.say("All requests succeeded, every connection between Pods was mutual TLS, every service had traffic.")
        if not self.options.duration:
            return 0  # somebody played with it, and said when to end
        return EXIT_INTERRUPTED if self.told.is_set() else verdict.status

    def run(self):
        self.take_signals()
        try:
            self.start()
        except Told:
            return EXIT_INTERRUPTED
        except Exception as error:  # whatever it was: a user is told in words, and nothing is left
            self.screen.say(f"demo: cannot start: {error}")
            return EXIT_CANNOT
        self.watch()
        return self.finish()


if __name__ == "__main__":
    status = Demo(command_line.read()).run()
    sys.stdout.flush()
    os._exit(status)  # the kernel ends every process, and takes mounts, networks and files with it
