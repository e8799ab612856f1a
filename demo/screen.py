"""Readings as text: the table that is refreshed, the lines for a pipe, the summary."""

import shutil
import sys

from edges import reasons

HTTP_HEAD = ("FROM", "CALLS", "ANSWERED BY", "PROTOCOL", "SUCCESS", "RPS", "P50", "P95", "P99", "mTLS")
TCP_HEAD = ("FROM", "CALLS", "ANSWERED BY", "PROTOCOL", "OPEN", "OPENED", "READ", "WRITTEN", "", "mTLS")
WIDTHS = (9, 7, 12, 9, 8, 7, 8, 8, 8, 5)
RIGHT = {4, 5, 6, 7, 8}
MARKS = {"good": "\033[32m", "bad": "\033[31;1m", "dim": "\033[2m", "bold": "\033[1m"}


def _row(cells):
    return " ".join(cell.rjust(width) if at in RIGHT else cell.ljust(width)
                    for at, (cell, width) in enumerate(zip(cells, WIDTHS))).rstrip()


def _bytes(number):
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f}{unit}" if unit == "B" else f"{number:.1f}{unit}"
        number /= 1000
    return f"{number:.1f}GB"


def _bound(edge, share):
    """The upper bound of the bucket: where in it the value lies, nobody knows."""
    bound = edge.bound(share)
    if bound is None:
        return "-"
    if bound == float("inf"):
        return ">50s"
    return f"<={bound:.0f}ms" if bound < 1000 else f"<={bound / 1000:.0f}s"


def _mtls(edge):
    return "NO" if edge.plaintext else "yes"


def http_cells(edge, protocol, seconds):
    success = f"{100 * (1 - edge.failures / edge.responses):.2f}%" if edge.responses else "-"
    return (edge.source, edge.called, edge.pod, protocol, success, f"{edge.responses / seconds:.1f}",
            *(_bound(edge, share) for share in (0.5, 0.95, 0.99)), _mtls(edge))


def tcp_cells(edge, whole, seconds, per):
    rate = (lambda value: _bytes(value / seconds) + "/s") if per else _bytes
    return (edge.source, edge.called, edge.pod, whole.protocol, f"{edge.open:.0f}", f"{whole.opened:.0f}", rate(edge.read),
            rate(edge.written), "", _mtls(edge))


def _mark(edge, busy):
    return "bad" if edge.failures or edge.plaintext else "good" if busy else "dim"


def tables(recent, whole, seconds, per=True):
    """Lines as (text, mark). What an edge is, is told by the whole time, not by the last seconds."""
    order = sorted(whole.edges)
    lines = [(_row(HTTP_HEAD), "bold")]
    for edge, always in ((recent.edges[key], whole.edges[key]) for key in order):
        if always.carries_requests:
            lines.append((_row(http_cells(edge, always.protocol, seconds)), _mark(edge, edge.responses)))
    for (source, called), count in sorted(recent.nobody.items()):
        lines.append((_row((source, called, "nobody", "HTTP", "0.00%", f"{count / seconds:.1f}", "-", "-", "-", "-")), "bad"))
    lines += [("", None), (_row(TCP_HEAD), "bold")]
    for edge, always in ((recent.edges[key], whole.edges[key]) for key in order):
        if not always.carries_requests and always.opened:
            lines.append((_row(tcp_cells(edge, always, seconds, per)), _mark(edge, edge.open)))
    return lines


def troubles(reading):
    """Sentences about what failed in a reading (a difference of two)."""
    lines = [f"{edge.source} -> {edge.pod}: {reasons(edge)}" for edge in reading.edges.values() if edge.failures]
    lines += [f"{source} -> {called}: {count:.0f} requests that nobody was asked to answer"
              for (source, called), count in reading.nobody.items()]
    lines += [f"{edge.source} -> {edge.pod}: not mutual TLS" for edge in reading.edges.values() if edge.plaintext]
    lines += [f"{pod}'s policy {server} refused {client or 'a client without identity'} x{count:.0f}"
              for (pod, server, client), count in reading.denied.items()]
    lines += [f"{pod}'s proxy, {direction}: {reason} x{count:.0f}" for (pod, direction, reason), count in reading.errors.items()]
    return lines


class Screen:
    """Standard output: refreshed in place on a terminal, lines otherwise."""

    def __init__(self, plain):
        self.live = sys.stdout.isatty() and not plain
        self._cleared = False

    def say(self, text=""):
        print(text, flush=True)

    def paint(self, text, mark):
        return f"{MARKS[mark]}{text}\033[0m" if self.live and mark else text

    def show(self, lines):
        """Lines as (text, mark); on a terminal instead of those before, cut to its size."""
        if not self.live:
            self.say("\n".join(text for text, _ in lines))
            return
        size = shutil.get_terminal_size()
        shown = [self.paint(text[:size.columns - 1], mark) + "\033[K" for text, mark in lines[:size.lines - 1]]
        start = "\033[H" if self._cleared else "\033[2J\033[H"
        self._cleared = True
        self.say(start + "\n".join(shown) + "\033[J")
