"""Programs under test: started, waited for by what they do, stopped by pid.

    programs = Programs(log_dir)
    server = programs.start([binary, "--port", "0"], namespace=host, name="server")
    port = int(server.wait_line(r"listening on .*:(\\d+)")[1])
    ...
    programs.close()      # stops all; raises if one died by a signal that we did not send, or a sanitizer spoke

Output of both streams is collected in one list of lines in the order of arrival, and kept in log_dir/NAME.log.
"""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time

DEADLINE = 30  # seconds, for everything that names no other
_SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|runtime error:|WARNING: ThreadSanitizer")


class Died(AssertionError):
    """The program ended while something was expected of it."""


class Program:
    def __init__(self, argv, name, log_path, namespace=None, uid=None, gid=None, env=None, cwd=None, stdin=None,
                 stop_with=(signal.SIGTERM,)):
        self.name, self.argv, self.namespace = name, [str(arg) for arg in argv], namespace
        self.lines, self.stop_with = [], stop_with
        self._changed = threading.Condition()
        self._ended_output = False
        self._signals = []
        self._log = open(log_path, "w", errors="replace")
        command = namespace.wrap(argv, uid, gid) if namespace else self._plain(argv, uid, gid)
        self.process = subprocess.Popen(
            command, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **{key: str(value) for key, value in (env or {}).items()}}, cwd=cwd,
            start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True, name=f"output of {name}")
        self._reader.start()

    @staticmethod
    def _plain(argv, uid, gid):
        user = [] if uid is None else [f"--reuid={uid}", f"--regid={gid if gid is not None else uid}", "--clear-groups"]
        return ["setpriv", *user, "--pdeathsig=KILL", "--", *[str(arg) for arg in argv]]

    @property
    def pid(self):
        return self.process.pid

    @property
    def output(self):
        with self._changed:
            return "\n".join(self.lines)

    def _read(self):
        for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            with self._changed:
                self.lines.append(line)
                self._log.write(line + "\n")
                self._changed.notify_all()
        with self._changed:
            self._ended_output = True
            self._log.flush()
            self._changed.notify_all()

    def running(self):
        return self.process.poll() is None

    def wait_line(self, pattern, timeout=DEADLINE, start=0):
        """The match of the first line from number `start` on; Died or TimeoutError otherwise, with the output."""
        regex, at, deadline = re.compile(pattern), start, time.monotonic() + timeout
        with self._changed:
            while True:
                for at in range(at, len(self.lines)):
                    if match := regex.search(self.lines[at]):
                        return match
                at = len(self.lines)
                if self._ended_output:
                    raise Died(f"{self.name} ended before it printed {pattern!r}:\n" + "\n".join(self.lines))
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise TimeoutError(f"{self.name} did not print {pattern!r} in {timeout} s:\n" + "\n".join(self.lines))

    def wait_port(self, port, host="127.0.0.1", timeout=DEADLINE):
        """Until the port accepts, where the program runs."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.running():
                raise Died(f"{self.name} ended with {self.process.returncode} before port {port} answered:\n{self.output}")
            if self._answers(host, port, min(deadline, time.monotonic() + 0.25)):
                return self
        raise TimeoutError(f"{self.name}: port {port} did not answer in {timeout} s:\n{self.output}")

    def _answers(self, host, port, deadline):
        if self.namespace:
            return self.namespace.answers(host, port, deadline)
        import socket
        with contextlib.suppress(OSError):
            socket.create_connection((host, port), 0.25).close()
            return True
        time.sleep(0.01)  # between attempts
        return False

    def wait_exit(self, timeout=DEADLINE):
        """The status; negative for a signal."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} did not end in {timeout} s:\n{self.output}") from None
        self._reader.join(timeout)
        return status

    def kill(self, number=signal.SIGTERM):
        """Sends the signal to the program itself."""
        self._signals.append(number)
        if self.running():
            self.process.send_signal(number)

    def stop(self, timeout=DEADLINE):
        """The signals that end it, then SIGKILL for it and its children; the status."""
        for number in self.stop_with:
            self.kill(number)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill(signal.SIGKILL)
        self._signals.append(signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # its own session: only its children can be there
        status = self.wait_exit()
        self._log.close()
        return status

    def complaint(self):
        """What is wrong with how it ended, or None."""
        status = self.process.returncode
        if found := _SANITIZER.search(self.output):
            return f"{self.name}: {found[0]}\n{self.output}"
        if status is not None and status < 0 and -status not in self._signals:
            return f"{self.name} was killed by {signal.Signals(-status).name}:\n{self.output}"
        return None


class Programs:
    """All programs of one test."""

    def __init__(self, log_dir):
        self.log_dir = log_dir
        self.all = []

    def start(self, argv, name=None, **options):
        name = name or os.path.basename(str(argv[0]))
        unique = f"{name}-{len(self.all)}"
        program = Program(argv, unique, os.path.join(self.log_dir, f"{unique}.log"), **options)
        self.all.append(program)
        return program

    def close(self):
        """Stops all, the newest first; raises AssertionError with every complaint."""
        complaints = []
        for program in reversed(self.all):
            try:
                program.stop()
            except TimeoutError as error:
                complaints.append(str(error))
            complaints.append(program.complaint())
        self.all.clear()
        complaints = [text for text in complaints if text]
        assert not complaints, "\n\n".join(complaints)
