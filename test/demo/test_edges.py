"""The demo's arithmetic, without a demo."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "demo"))
from edges import Edge, Reading  # noqa: E402

INF = float("inf")
PEER = 'target_addr="10.0.0.1:80",tls="true",dst_service="web-v1",dst_pod="web-0"'
ASKED = f'direction="outbound",authority="web-v1.shop.svc.cluster.local:80",{PEER}'
ROUTE = 'outbound_http_route_backend_requests_total{parent_name="web",backend_name="web-v1"} 1'


def reading(*lines, at=0.0, before=None):
    found = Reading(at)
    found.add("client", "\n".join([*lines, ROUTE]))
    return found.settle(before)


def responses(count, status=200, more=""):
    return f'response_total{{{ASKED},status_code="{status}"{more}}} {count}'


@pytest.mark.parametrize("share, bound", [(0.5, 1), (0.9, 1), (0.91, 5), (0.99, INF), (1, INF)])
def test_percentiles_are_bounds_of_buckets(share, bound):
    edge = Edge("client", "web", "web-0")
    edge.buckets.update({1.0: 90, 5.0: 98, 10.0: 98, INF: 100})
    assert edge.bound(share) == bound


def test_no_responses_have_no_percentile():
    assert Edge("client", "web", "web-0").bound(0.5) is None


def test_an_edge_has_the_name_that_was_called():
    edges = reading(f"request_total{{{ASKED}}} 3", responses(3), f'tcp_open_total{{direction="outbound",peer="dst",{PEER}}} 1').edges
    assert list(edges) == [("client", "web", "web-0")]
    edge = edges["client", "web", "web-0"]
    assert (edge.requests, edge.responses, edge.opened, edge.plaintext, edge.protocol) == (3, 3, 1, 0, "HTTP")


def test_failures():
    lines = [responses(1), responses(2, 403), responses(4, 500), responses(8, 200, ',grpc_status="7"'),
             responses(16, 200, ',grpc_status="0"')]
    edge = reading(f"request_total{{{ASKED}}} 31", *lines).edges["client", "web", "web-0"]
    assert (edge.responses, edge.failures, edge.protocol) == (31, 14, "gRPC")


def test_plaintext_is_counted():
    line = 'tcp_open_total{direction="outbound",peer="dst",target_addr="10.0.0.9:6379",tls="no_identity"} 2'
    edge, = reading(line).edges.values()
    assert (edge.plaintext, edge.pod, edge.protocol) == (2, "10.0.0.9:6379", "TCP")


def test_what_happened_since():
    first = reading(f"request_total{{{ASKED}}} 3", responses(3))
    second = reading(f"request_total{{{ASKED}}} 10", responses(8), responses(2, 503), at=5.0)
    edge = second.since(first).edges["client", "web", "web-0"]
    assert (edge.requests, edge.responses, edge.failures) == (7, 7, 2)


def test_nobody_is_believed_only_the_second_time():
    """A request may end between two families of one scrape."""
    routed = 'outbound_http_route_request_statuses_total{parent_name="web",http_status="503",error="x"} '
    first = reading(f"request_total{{{ASKED}}} 3", responses(3), routed + "3")
    second = reading(f"request_total{{{ASKED}}} 3", responses(3), routed + "5", before=first)
    third = reading(f"request_total{{{ASKED}}} 4", responses(4), routed + "5", before=second)
    assert [dict(each.nobody) for each in (first, second, third)] == [{}, {}, {("client", "web"): 1}]
