"""The trust anchors that a proxy learns while it runs, from an identity service that says what a test wants."""

import pathlib
import re

import pytest
from cryptography import x509

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


def shown(pod):
    """What the admin port shows who begins with TLS, and asks for nobody's certificate in particular."""
    text = pod.host.run(["openssl", "s_client", "-connect", "127.0.0.1:4191", "-servername", "web"], input="GET /live HTTP/1.0\r\n\r\n", check=False).stdout
    return x509.load_pem_x509_certificate(text[text.index("-----BEGIN"):].encode()), text


def bundle_of(pod):
    return x509.load_pem_x509_certificates(pod.host.run(["curl", "-sS", "http://127.0.0.1:4191/trust-bundle"]).stdout.encode())


def test_the_admin_port_proves_itself(proxy, control):
    """To whoever begins with TLS; others are served in plaintext on the same port. The bundle in force is a page."""
    it = proxy()
    certificate, _ = shown(it)
    name, = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert name.startswith("web.") and certificate.issuer == control.authority.certificate.subject
    page = it.host.run(["curl", "-sS", "--insecure", "https://127.0.0.1:4191/live"]).stdout
    assert page == it.host.run(["curl", "-sS", "http://127.0.0.1:4191/live"]).stdout != ""
    assert bundle_of(it) == [control.authority.certificate]


def test_what_was_learnt_outlives_the_process(proxy, control):
    """A proxy that is started again in its old environment believes the identity service of today; in another one, the environment alone."""
    other = Authority("next.linkerd.cluster.local", days=2)
    control.bundle = Feed(control.authority.pem.encode())
    it = proxy()
    pathlib.Path(control.env("web")["LINKERD2_PROXY_IDENTITY_DIR"]).chmod(0o777)  # in a pod it is the proxy's own
    control.bundle.say((control.authority.pem + other.pem).encode())
    wait_for(it, FAMILY + "anchors", 2)
    control.bundle = Feed()  # the service says nothing any more
    it.proxy.stop()
    it.start_proxy({**control.env("web"), "LINKERD2_PROXY_LOG": "info"})
    wait_for(it, FAMILY + "anchors", 2)
    assert len(bundle_of(it)) == 2
    it.proxy.stop()
    it.start_proxy({**control.env("web"), "LINKERD2_PROXY_LOG": "info", "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS": "# another\n" + control.authority.pem})
    wait_for(it, FAMILY + "anchors", 1)


def test_anchors_of_somebody_else(proxy, control):
    """Anchors that neither our certificate nor the next one reaches never come into force."""
    control.bundle = Feed(Authority("stranger").pem.encode())
    it = proxy()
    it.proxy.wait_line(r"WARN.*identity: the new trust bundle does not fit the certificate in use")
    until(lambda: len(control.certified) >= 2, lambda: it.proxy.output)
    wait_for(it, 'control_identity_cert_refreshes_total{result="ok"}', 2)
    assert value(it, FAMILY + "generation") == 1 and value(it, FAMILY + "anchors") == 1
    it.wait_ready()
