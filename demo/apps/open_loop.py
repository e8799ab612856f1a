"""A load in an open loop: something is begun at fixed times, whether or not what was begun before has ended, so that a slow
server does not slow its load down. Time counts from when something was to begin.

    loop = OpenLoop(rate=50, in_flight=200)
    asyncio.run(loop.run(one))      # `async def one()` raises when it fails; until SIGTERM or SIGINT

Standard output: a line for a failure, at most one a second, and at the end one line of JSON with what was counted.
"""

import asyncio
import json
import signal
import time

GRACE = 5  # seconds for what is on its way at the end
REASONS_MAX = 20


class OpenLoop:
    def __init__(self, rate, in_flight):
        self.period, self.in_flight = 1 / rate, in_flight
        self.sent, self.good, self.failed = 0, 0, {}
        self.slowest = 0.0
        self._said = 0.0
        self._tasks = set()

    def fail(self, reason):
        reason = reason if reason in self.failed or len(self.failed) < REASONS_MAX else "others"
        self.failed[reason] = self.failed.get(reason, 0) + 1
        if time.monotonic() - self._said >= 1:
            self._said = time.monotonic()
            print(f"failed: {reason} ({sum(self.failed.values())} of {self.sent})", flush=True)

    async def _measured(self, one, due):
        try:
            await one()
            self.good += 1
        except asyncio.CancelledError:
            self.fail("did not end in time")
        except Exception as error:  # whatever the library raises is a failure of the request
            self.fail(f"{type(error).__name__}: {error}".split("\n")[0][:200])
        self.slowest = max(self.slowest, time.monotonic() - due)

    def _begin(self, one, due):
        self.sent += 1
        if len(self._tasks) >= self.in_flight:
            self.fail(f"not sent: {self.in_flight} were on their way")
            return
        task = asyncio.ensure_future(self._measured(one, due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self, one):
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        due = time.monotonic()
        while not stop.is_set():
            self._begin(one, due)
            due += self.period
            try:
                await asyncio.wait_for(stop.wait(), max(0, due - time.monotonic()))
            except asyncio.TimeoutError:
                pass
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late)
        print(json.dumps({"sent": self.sent, "good": self.good, "failed": self.failed, "slowest_ms": round(self.slowest * 1000)}),
              flush=True)
