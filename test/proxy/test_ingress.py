"""A proxy beside an ingress controller (ingress mode): each HTTP request goes where its l5d-dst-override says."""

import json
import pathlib
import sys

import pytest

from lib.netns import available
from lib.scripted import Feed, add, messages, service_policy, weighted
from lib.wait import until
from proxy.test_environment import stall, value

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")
APPS = pathlib.Path(__file__).resolve().parents[1] / "peers/apps.py"
NAME = "other.shop.svc.cluster.local:8000"
ENDED = (18, 52, 56, 92)  # curl's status: the connection or the stream ended, or was reset, without an answer


def know(pair, name):
    """The control plane knows the name: an application that shows what it was asked, on port 8081 of the server's pod."""
    pair.control.endpoints[name] = Feed(add(weighted(pair.web.host.ip4, 8081, identity=pair.identity), labels={"service": "other"}))
    pair.control.targets[name] = Feed(service_policy(name))


@pytest.fixture
def ingress(pair):
    """What the client's connections are for, 10.99.0.1:80, answers "ok"."""
    pair.service()
    stall(pair.web)
    pair.web.start_app([sys.executable, APPS, "http", 8081], port=8081, uid=0, name="named")

    def begin(**env):
        pair.control.start([pair.client.host, pair.web.host])
        for pod, name in ((pair.web, "web"), (pair.client, "client")):
            pod.redirect()
            pod.start_proxy(pair.control.env(name, **({"LINKERD2_PROXY_INGRESS_MODE": "true", **env} if pod is pair.client else {})))
        return pair

    pair.begin = begin
    return pair


def to(name):
    return ["-H", f"l5d-dst-override: {name}"]


def test_requests_go_by_their_names(ingress):
    """Each for itself on one connection; the field goes no further, and the proxies speak mutual TLS."""
    know(ingress, NAME)
    ingress.begin()
    url, said = "http://10.99.0.1/", ["-sS", "--max-time", "20", "-w", "\n%{num_connects}\n"]
    done = ingress.client.host.run(["curl", *said, *to(NAME), url, "--next", *said, url, "--next", *said, *to(NAME), url], uid=1000)
    first, *rest, third, last = [line for line in done.stdout.splitlines() if line]
    assert rest == ["1", "ok", "0"] and last == "0"
    for text in (first, third):
        fields = dict(json.loads(text)["headers"])
        assert fields["host"] == "10.99.0.1" and "l5d-dst-override" not in fields
    assert value(ingress.client, "request_total", 'dst_service="other"', 'tls="true"') == 2
    assert value(ingress.client, "request_total", 'dst_service="web"', 'tls="true"') == 1
    assert {("Watch", NAME), ("GetProfile", NAME)} <= set(ingress.control.asked)


def test_requests_of_http2(ingress):
    know(ingress, NAME)
    ingress.control.endpoints[NAME] = Feed(add(weighted(ingress.web.host.ip4, 8080, identity=ingress.identity), labels={"service": "other"}))
    ingress.begin()
    assert [ingress.curl("--http2-prior-knowledge", *args).stdout for args in (to(NAME), [])] == ["hello", "hello"]
    for service in ("other", "web"):
        assert value(ingress.client, "request_total", f'dst_service="{service}"', 'tls="true"') == 1


@pytest.mark.parametrize("written, name", [
    ("Other.Shop.svc.cluster.local.:8000", NAME), ("other.shop.svc.cluster.local", "other.shop.svc.cluster.local:80")])
def test_names_as_they_are_written(ingress, written, name):
    know(ingress, name)
    ingress.begin()
    assert json.loads(ingress.curl(*to(written)).stdout)["headers"]


def test_an_address(ingress):
    know(ingress, "10.99.0.2:80")
    ingress.begin()
    assert json.loads(ingress.curl(*to("10.99.0.2:80")).stdout)["headers"]


def test_a_profile_by_name(ingress):
    """Its routes count; one without a policy is enough where it says which endpoint."""
    m = messages()["destination"]
    routed = m.DestinationProfile(fully_qualified_name="other.shop.svc.cluster.local")
    routed.routes.add(metrics_labels={"route": "all"}).condition.path.regex = "/.*"
    know(ingress, NAME)
    ingress.control.profiles[NAME] = Feed(routed)
    single = "one.shop.svc.cluster.local:80"
    ingress.control.profiles[single] = Feed(m.DestinationProfile(
        fully_qualified_name="one.shop.svc.cluster.local", endpoint=weighted(ingress.web.host.ip4, 8081, identity=ingress.identity)))
    ingress.begin()
    assert dict(json.loads(ingress.curl(*to(NAME)).stdout)["headers"])["l5d-dst-canonical"] == NAME
    assert value(ingress.client, "route_response_total", f'dst="{NAME}"', 'rt_route="all"') == 1
    assert json.loads(ingress.curl(*to(single)).stdout)["headers"]


def test_http_is_looked_for_everywhere(ingress):
    """Though the address is said to be opaque. What is not HTTP goes to the address."""
    know(ingress, NAME)
    ingress.service(protocol="opaque")
    ingress.begin()
    assert json.loads(ingress.curl(*to(NAME)).stdout)["headers"]
    with ingress.client.host.connect("10.99.0.1", 80) as sock:
        sock.sendall(b"\x00\x01 no HTTP")
        until(lambda: value(ingress.client, "tcp_open_total", 'direction="outbound"', 'dst_service="web"') == 1, "the connection to the address")
        assert value(ingress.client, "request_total", 'dst_service="web"') == 0


@pytest.mark.parametrize("wrong", ["no name", "other.shop:0", "other.shop:http", ":80", "", "a" * 400 + ":80"])
def test_what_is_no_name_ends_the_connection(ingress, wrong):
    ingress.begin()
    field = f"l5d-dst-override: {wrong}" if wrong else "l5d-dst-override;"
    assert ingress.curl("-H", field, check=False).returncode in ENDED
    ingress.client.proxy.wait_line("override-invalid")
    assert ingress.curl().stdout == "ok\n"


def test_a_name_that_nobody_knows(ingress):
    """No answer, and the connection ends; once it is known, requests arrive."""
    ingress.begin()
    assert ingress.curl(*to(NAME), check=False).returncode in ENDED
    assert ingress.curl("--http2-prior-knowledge", *to(NAME), check=False).returncode in ENDED
    ingress.client.proxy.wait_line("override-unknown")
    know(ingress, NAME)
    until(lambda: ingress.curl(*to(NAME), check=False).stdout.startswith("{"), "the name is known", 30)


def test_profiles_below_the_suffixes_only(ingress):
    name = "other.example.org:80"
    know(ingress, name)
    ingress.begin()
    assert json.loads(ingress.curl(*to(name)).stdout)["headers"]
    asked = {rpc for rpc, key in ingress.control.asked if key == name}
    assert "Watch" in asked and "GetProfile" not in asked


def test_without_ingress_mode(ingress):
    """The field is the application's own."""
    ingress.control.endpoints[ingress.service()] = Feed(add(weighted(ingress.web.host.ip4, 8081, identity=ingress.identity)))
    ingress.begin(LINKERD2_PROXY_INGRESS_MODE="false")
    assert dict(json.loads(ingress.curl(*to(NAME)).stdout)["headers"])["l5d-dst-override"] == NAME
