"""From the metrics of proxies to who talks to whom. Pure: text and numbers in, numbers out.

An edge is what one Pod's outbound proxy counted for one Service and one of the Pods behind it. Counters only grow; what
happened in a while is the difference of two readings.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

_SAMPLE = re.compile(r'^(\w+)\{(.*)\} (\S+)$')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
NEEDED = ("response_total{", "response_latency_ms_bucket{", "request_total{", "tcp_open_total{", "tcp_open_connections{",
          "tcp_read_bytes_total{", "tcp_write_bytes_total{", "outbound_http_route_request_statuses_total{", "proxy_errors_total{",
          "inbound_http_authz_deny_total{", "inbound_tcp_authz_deny_total{", "outbound_http_route_backend_requests_total{",
          "outbound_grpc_route_backend_requests_total{")
_BACKENDS = ("outbound_http_route_backend_requests_total", "outbound_grpc_route_backend_requests_total")


def parse(text):
    """(family, labels, value) of every sample that is needed here."""
    for line in text.splitlines():
        if line.startswith(NEEDED):
            family, labels, value = _SAMPLE.match(line).groups()
            yield family, dict(_LABEL.findall(labels)), float(value)


@dataclass
class Edge:
    source: str    # the Pod that calls
    called: str    # the Service that it called; where a route chose another, not the one that answered
    pod: str       # the Pod that answered
    statuses: Counter = field(default_factory=Counter)  # (HTTP status, gRPC status or None): responses
    buckets: Counter = field(default_factory=Counter)   # upper bound in ms (inf: beyond): responses up to it
    requests: float = 0
    opened: float = 0
    open: float = 0
    read: float = 0
    written: float = 0
    plaintext: float = 0  # connections and requests that were not mutual TLS

    @property
    def responses(self):
        return sum(self.statuses.values())

    @property
    def failures(self):
        """Responses that a client takes for a failure: 4xx, 5xx, and gRPC statuses other than OK."""
        return sum(count for (status, grpc), count in self.statuses.items() if status >= 400 or status == 0 or grpc not in (None, 0))

    @property
    def upgrades(self):
        return sum(count for (status, _), count in self.statuses.items() if status == 101)

    @property
    def carries_requests(self):
        """False: bytes alone, which may have begun as an HTTP upgrade."""
        return self.responses > self.upgrades

    @property
    def protocol(self):
        """As far as metrics tell it: an upgrade is called WebSocket, which all upgrades of the demo are."""
        if any(grpc is not None for _, grpc in self.statuses):
            return "gRPC"
        if self.upgrades:
            return "WebSocket"
        return "HTTP" if self.requests else "TCP"

    def bound(self, share):
        """The bound in ms of the bucket that holds the response at this share (0.99) of all; None without responses.
        Where in the bucket it lies is not known."""
        total = self.buckets.get(float("inf"), 0)
        if total <= 0:
            return None
        return min(bound for bound, count in self.buckets.items() if count >= share * total)

    def since(self, before):
        """What happened after another reading; `open` is a state and stays as it is."""
        if before is None:
            return self
        return Edge(self.source, self.called, self.pod, self.statuses - before.statuses, self.buckets - before.buckets,
                    self.requests - before.requests, self.opened - before.opened, self.open, self.read - before.read,
                    self.written - before.written, self.plaintext - before.plaintext)


@dataclass
class Reading:
    """What all proxies had counted at one time."""

    at: float  # seconds
    edges: dict = field(default_factory=dict)      # (source, called, pod): Edge
    routed: Counter = field(default_factory=Counter)   # (source, called): requests that ended, answered by somebody or not
    errors: Counter = field(default_factory=Counter)   # (Pod, direction, reason): errors of the proxies' own
    denied: Counter = field(default_factory=Counter)   # (Pod, server, client): what an inbound policy did not allow
    nobody: Counter = field(default_factory=Counter)   # (source, called): requests that ended before any Pod was asked

    def add(self, pod, text):
        """The metrics of one Pod's proxy."""
        called = {}  # requests are counted by the Service that answers; routes say which one was called
        samples = list(parse(text))
        for family, labels, _ in samples:
            if family in _BACKENDS:
                called[labels["backend_name"]] = labels["parent_name"]
        for family, labels, value in samples:
            if family not in _BACKENDS:
                self._add_sample(pod, family, labels, value, called)

    def _edge(self, pod, labels, called):
        service, by = _answers(labels)
        key = (pod, called.get(service, service), by)
        return self.edges.setdefault(key, Edge(*key))

    def _add_sample(self, pod, family, labels, value, called):
        if family == "proxy_errors_total":
            self.errors[pod, labels["direction"], labels["reason"]] += value
        elif family.startswith("inbound_"):
            self.denied[pod, labels.get("srv_name", ""), labels.get("client_id", "").split(".")[0]] += value
        elif family == "outbound_http_route_request_statuses_total":
            self.routed[pod, labels.get("parent_name", "")] += value
        elif labels["direction"] == "outbound" and labels.get("peer") != "src":
            self._add_to_edge(self._edge(pod, labels, called), family, labels, value)

    @staticmethod
    def _add_to_edge(edge, family, labels, value):
        if family == "response_total":
            grpc = labels.get("grpc_status")
            edge.statuses[int(labels["status_code"]), int(grpc) if grpc else None] += value
        elif family == "response_latency_ms_bucket":
            if labels["status_code"] != "101":  # its time is that of a whole session
                edge.buckets[float(labels["le"])] += value
        elif family == "request_total":
            edge.requests += value
            edge.plaintext += value if labels.get("tls") != "true" else 0
        elif family == "tcp_open_total":
            edge.opened += value
            edge.plaintext += value if labels.get("tls") != "true" else 0
        else:
            name = {"tcp_open_connections": "open", "tcp_read_bytes_total": "read", "tcp_write_bytes_total": "written"}[family]
            setattr(edge, name, getattr(edge, name) + value)

    def settle(self, before=None):
        """When all is added. A request may end while its proxy is read, and be in one family and not in the other: what the
        reading before did not see either is left for the next."""
        answered = Counter()
        for edge in self.edges.values():
            answered[edge.source, edge.called] += edge.responses
        self.unanswered = +(self.routed - answered)
        self.nobody = self.unanswered & before.unanswered if before else self.unanswered
        return self

    def since(self, before):
        """What happened after another reading."""
        return Reading(self.at, {key: edge.since(before.edges.get(key)) for key, edge in self.edges.items()},
                       self.routed - before.routed, self.errors - before.errors, self.denied - before.denied,
                       self.nobody - before.nobody)


def _answers(labels):
    return labels.get("dst_service") or labels["target_addr"], labels.get("dst_pod") or labels["target_addr"]


def reasons(edge):
    """'403 x12, PermissionDenied x3': what the failures of an edge were."""
    names = {1: "Canceled", 2: "Unknown", 4: "DeadlineExceeded", 7: "PermissionDenied", 8: "ResourceExhausted", 12: "Unimplemented",
             13: "Internal", 14: "Unavailable"}
    words = []
    for (status, grpc), count in sorted(edge.statuses.items(), key=lambda item: -item[1]):
        if grpc not in (None, 0):
            words.append(f"gRPC {names.get(grpc, grpc)} x{count:.0f}")
        elif status >= 400 or status == 0:
            words.append(f"{status or 'no status'} x{count:.0f}")
    return ", ".join(words)
