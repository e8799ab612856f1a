"""The trust anchors that a proxy learns while it runs, from an identity service that says what a test wants."""

import re

import pytest

from lib.scripted import Authority, Feed, ScriptedControl
from lib.wait import until

FAMILY = "control_identity_trust_bundle_"


@pytest.fixture
def control():
    control = ScriptedControl()
    yield control
    control.stop()


@pytest.fixture
def proxy(pod, control):
    """Starts the proxy; it is ready."""
    def start():
        it = pod("web")
        control.start([it.host])
        it.redirect()
        it.start_proxy({**control.env("web"), "LINKERD2_PROXY_LOG": "info"})
        return it
    return start


def value(pod, name):
    found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", pod.metrics(), re.M)
    return float(found.group(1)) if found else None


def wait_for(pod, name, wanted, seconds=20):
    until(lambda: value(pod, name) == wanted, lambda: f"{name} is {value(pod, name)}, not {wanted}:\n{pod.proxy.output}", seconds)


def test_a_control_plane_that_has_none(proxy, control):
    """Linkerd's identity service does not know the call: no complaint, the environment's anchors stay."""
    it = proxy()
    it.proxy.wait_line(r"INFO.*identity: localhost:8086 tells of no trust bundle \(Unimplemented\): the anchors in force stay")
    assert value(it, FAMILY + "generation") == 1 and value(it, FAMILY + "anchors") == 1
    assert abs(value(it, FAMILY + "expiration_timestamp_seconds") - control.authority.certificate.not_valid_after_utc.timestamp()) < 1
    assert value(it, 'control_identity_cert_refreshes_total{result="ok"}') == 1
    assert "WARN identity" not in it.proxy.output and "ERROR identity" not in it.proxy.output


def test_bundles_that_change(proxy, control):
    other = Authority("next.linkerd.cluster.local", days=2)
    control.bundle = Feed(control.authority.pem.encode())
    it = proxy()
    control.bundle.say((control.authority.pem + other.pem).encode())
    wait_for(it, FAMILY + "generation", 2)
    assert value(it, FAMILY + "anchors") == 2
    # What cannot be used changes nothing: nothing, no certificate, a broken one, a key among them.
    for count, bad in enumerate((b"", b"nothing", control.authority.pem.encode().replace(b"MII", b"AAA", 1),
                                 other.pem.encode() + b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 1):
        control.bundle.say(bad)
        wait_for(it, FAMILY + "refused_total", count)
    it.proxy.wait_line(r"ERROR.*identity: the trust bundle from localhost:8086 is refused, the one before stays in force")
    assert value(it, FAMILY + "generation") == 2 and value(it, FAMILY + "anchors") == 2
    # The issuer is another one by now, our certificate is still the old one's: a new one is asked for, then both are taken together.
    control.authority, asked = other, len(control.certified)
    control.bundle.say(other.pem.encode())
    it.proxy.wait_line(r"WARN.*identity: the new trust bundle does not fit the certificate in use")
    wait_for(it, FAMILY + "generation", 3)
    assert value(it, FAMILY + "anchors") == 1 and len(control.certified) == asked + 1
    # The same again is no change.
    control.bundle.say(other.pem.encode())
    control.bundle.say((other.pem * 2).encode())  # nor does a doubled one take anything away
    wait_for(it, FAMILY + "generation", 4)
    assert len(control.certified) == asked + 1


def test_anchors_of_somebody_else(proxy, control):
    """Anchors that neither our certificate nor the next one reaches never come into force."""
    control.bundle = Feed(Authority("stranger").pem.encode())
    it = proxy()
    it.proxy.wait_line(r"WARN.*identity: the new trust bundle does not fit the certificate in use")
    until(lambda: len(control.certified) >= 2, lambda: it.proxy.output)
    wait_for(it, 'control_identity_cert_refreshes_total{result="ok"}', 2)
    assert value(it, FAMILY + "generation") == 1 and value(it, FAMILY + "anchors") == 1
    it.wait_ready()
