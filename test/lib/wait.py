"""Waiting for what no descriptor tells: a page, a metric, a log."""

import time


def until(look, what="it did not happen", seconds=20):
    """Calls look() until it gives something true, which is returned; fails with `what` (a text, or what gives one) if not in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.01)  # between looks
    return found
