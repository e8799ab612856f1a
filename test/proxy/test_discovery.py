"""What profiles and endpoints say, as the application's server and the client see it."""

import json
import pathlib
import sys

import pytest

from lib.netns import available
from lib.scripted import Feed, add, messages, weighted
from proxy.test_environment import stall, status, value

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")
APPS = pathlib.Path(__file__).resolve().parents[1] / "peers/apps.py"


def profile(**what):
    return messages()["destination"].DestinationProfile(fully_qualified_name="web.default.svc.cluster.local", **what)


def mirror(pair):
    """The server, outside the mesh, answers with what it was asked."""
    pair.web.start_app([sys.executable, APPS, "http", 8080], port=8080, uid=0, name="http")
    pair.start(web=False)
    return dict(json.loads(pair.curl().stdout)["headers"])


def test_opaque_by_profile(pair):
    """A profile that says opaque wins over a policy that says detect."""
    pair.service()
    pair.control.profiles["10.99.0.1:80"] = Feed(profile(opaque_protocol=True))
    stall(pair.web)
    pair.start()
    assert pair.curl().stdout == "ok\n"
    assert value(pair.client, "outbound_tcp_protocol_connections_total", 'protocol="opaq"') == 1
    assert "\nrequest_total{" not in pair.client.metrics()


def test_canonical_name(pair):
    """Of requests that go by a profile, and of no others."""
    pair.service(meshed=False)
    with_routes = profile()
    with_routes.routes.add(metrics_labels={"route": "all"}).condition.path.regex = "/.*"
    pair.control.profiles["10.99.0.1:80"] = Feed(with_routes)
    fields = mirror(pair)
    assert fields["l5d-dst-canonical"] == "web.default.svc.cluster.local:80"
    assert "mine" not in pair.curl("-H", "l5d-dst-canonical: mine").stdout, "an application cannot say it"


def test_authority_override(pair):
    path = pair.service(meshed=False)
    pair.control.endpoints[path] = Feed(add(weighted(pair.web.host.ip4, 8080, override="other.example:8080")))
    assert mirror(pair)["host"] == "other.example:8080"


def test_loopback_is_never_dialled(pair):
    path = pair.service(meshed=False)
    pair.control.endpoints[path] = Feed(add(weighted("127.0.0.1", 8080)))
    pair.start(web=False)
    assert status(pair) == "502 loopback-target: Connection refused"


@pytest.mark.parametrize("name", ["REQUIRE_IDENTITY", "REQUIRE_TLS"])
def test_ports_that_require_an_identity(pair, network, name):
    """Where no policy service says otherwise, the default policy does not do for these ports."""
    pair.service()
    stall(pair.web)
    stall(pair.web, 8081)
    pair.start(LINKERD2_PROXY_POLICY_SVC_ADDR="", LINKERD2_PROXY_INBOUND_DEFAULT_POLICY="all-unauthenticated",
               **{f"LINKERD2_PROXY_INBOUND_PORTS_{name}": "8080"})
    stranger = network.host("stranger")
    for port, status in ((8080, "403"), (8081, "200")):
        assert stranger.run(["curl", "-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}",
                             f"http://{pair.web.host.ip4}:{port}/"]).stdout == status


def test_profile_networks(pair):
    """An address outside them has no profile and is asked for none; its policy is asked for all the same."""
    path = pair.service(meshed=False)
    pair.control.profiles["10.99.0.1:80"] = Feed(profile(opaque_protocol=True))
    pair.web.start_app([sys.executable, APPS, "http", 8080], port=8080, uid=0, name="http")
    pair.start(web=False, LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS="10.98.0.0/16")
    assert json.loads(pair.curl().stdout)["headers"], "HTTP, although the profile would say opaque"
    asked = {rpc for rpc, key in pair.control.asked if "10.99.0.1:80" in str(key)}
    assert asked and "GetProfile" not in asked, (asked, path)
