"""An identity service that is broken or means harm: what it gives is refused with the reason, a certificate in force stays in
force, and peers with odd names in theirs are nobody."""

import datetime
import re
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID
from google.protobuf import timestamp_pb2

from lib.http import get
from lib.mesh import ADMIN
from lib.netns import available
from lib.scripted import Authority, Feed, authorization, messages, server
from proxy.test_hostile import recorder, resident, sanitized

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not available(), reason="making network namespaces needs root")]

HOUR = datetime.timedelta(hours=1)
DER = serialization.Encoding.DER


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def raw_names(*names):
    """A subjectAltName of DNS names with any bytes, which no library would write."""
    inner = b"".join(b"\x82" + bytes([len(name)]) + name for name in names)
    length = bytes([len(inner)]) if len(inner) < 128 else b"\x81" + bytes([len(inner)])
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30" + length + inner)


def leaf(authority, key, san, begin=-HOUR, end=HOUR):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(authority.certificate.subject).public_key(key)
            .serial_number(x509.random_serial_number()).not_valid_before(now() + begin).not_valid_after(now() + end)
            .add_extension(san, critical=False)
            .add_extension(x509.KeyUsage(True, False, True, False, False, False, False, False, False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(authority.key, hashes.SHA256())).public_bytes(DER)


def stamp(seconds):
    return timestamp_pb2.Timestamp(seconds=seconds)


def answers(control):
    """name -> make(request): the message, or its bytes, that Certify answers with."""
    response = messages()["identity"].CertifyResponse
    later = stamp(int(now().timestamp()) + 3600)

    def key_of(request):
        return x509.load_der_x509_csr(request.certificate_signing_request).public_key()

    def san(request):
        return x509.SubjectAlternativeName([x509.DNSName(request.identity)])

    def made(authority=control.authority, key=key_of, names=san, **validity):
        return lambda request: response(leaf_certificate=leaf(authority, key(request), names(request), **validity), valid_until=later)

    def good(request):
        return control.authority.issue(request.certificate_signing_request, HOUR)[0]

    own = control.authority.certificate.public_bytes(DER)
    return {
        "no message of this kind": lambda request: b"\xff" * 100,
        "nothing": lambda request: b"",
        "an empty leaf": lambda request: response(valid_until=later),
        "garbage": lambda request: response(leaf_certificate=b"\xff" * 3000, valid_until=later),
        "half a certificate": lambda request: response(leaf_certificate=good(request)[:-20], valid_until=later),
        "a certificate and more": lambda request: response(leaf_certificate=good(request) + b"\0", valid_until=later),
        "three megabytes": lambda request: response(leaf_certificate=b"\x30\x83\x2f\xff\xfa" + b"\0" * 0x2ffffa, valid_until=later),
        "another key": made(key=lambda request: ec.generate_private_key(ec.SECP256R1()).public_key()),
        "an RSA-less curve": made(key=lambda request: ec.generate_private_key(ec.SECP384R1()).public_key()),
        "expired": made(begin=-2 * HOUR, end=-HOUR),
        "not yet valid": made(begin=HOUR, end=2 * HOUR),
        "of a stranger": made(authority=Authority()),
        "another name": made(names=lambda request: x509.SubjectAlternativeName([x509.DNSName("other.default.serviceaccount.identity.linkerd.cluster.local")])),
        "a name with NUL behind": made(names=lambda request: raw_names(request.identity.encode() + b"\0.evil")),
        "no name": made(names=lambda request: x509.SubjectAlternativeName([x509.RFC822Name("a@example.com")])),
        "the issuer itself": lambda request: response(leaf_certificate=own, valid_until=later),
        "a huge chain": lambda request: response(leaf_certificate=good(request), intermediate_certificates=[own] * 3000, valid_until=later),
        "a chain of garbage": lambda request: response(leaf_certificate=good(request), intermediate_certificates=[b"\x30\x80" * 50] * 100, valid_until=later),
        "no end": lambda request: response(leaf_certificate=good(request)),
        "an end long ago": lambda request: response(leaf_certificate=good(request), valid_until=stamp(-(2**62))),
        "an end that is none": lambda request: response(leaf_certificate=good(request), valid_until=timestamp_pb2.Timestamp(seconds=2**62, nanos=-5)),
    }


def certifying(control, make):
    """From now on Certify answers so; None: as it should. An answer of make() may be refused or, where it is harmless, used."""
    if make is None:
        control.__dict__.pop("_certify", None)
    else:
        control._certify = lambda request, context: make(request)


REFUSED = r"(ERROR|WARN) identity: (the certificate that the identity service gave is refused|not certified): \S"
NAMES = list(answers(type("Names", (), {"authority": Authority()})))


@pytest.mark.parametrize("name", NAMES)
def test_first_certificate(pair, name):
    """Not ready with it, ready with the next good one."""
    certifying(pair.control, answers(pair.control)[name])
    pair.control.start([pair.web.host])
    proxy = pair.web.start_proxy(pair.control.env("web"), ready=False)
    proxy.wait_line(REFUSED)
    answer = get(pair.web.host, "127.0.0.1", ADMIN, "/ready")
    assert answer.status == 503
    assert re.fullmatch(rb"not ready: the identity service at \S+, port \d+, has not certified this proxy yet(; it was asked \d+ times, .*)?\n",
                        answer.body), answer
    certifying(pair.control, None)
    pair.web.wait_ready()
    assert len(re.findall(REFUSED, proxy.output)) < 10
    assert resident(proxy.pid) < 24 << 20 or sanitized(proxy.pid)


def test_renewal(pair):
    """While traffic flows the first certificate stays in force, and the next try waits."""
    pair.service()
    recorder(pair.web)
    pair.start(LINKERD2_PROXY_IDENTITY_MIN_REFRESH="50ms", LINKERD2_PROXY_IDENTITY_MAX_REFRESH="300ms")
    start = len(pair.web.proxy.lines)
    certifying(pair.control, answers(pair.control)["another key"])
    for pod in (pair.web, pair.client):
        pod.proxy.wait_line(REFUSED, start=min(start, len(pod.proxy.lines)))
    assert pair.curl("-o", "/dev/null", "-w", "%{http_code}").stdout == "200"
    assert get(pair.web.host, "127.0.0.1", ADMIN, "/ready").status == 200
    assert len(re.findall(REFUSED, pair.web.proxy.output)) < 5


def test_an_end_behind_that_of_the_certificate(pair):
    """What the certificate says counts: else it would be renewed after peers have ceased to believe it."""
    control = pair.control
    end = now() + HOUR

    def make(request):
        chain = control.authority.issue(request.certificate_signing_request, HOUR)
        return messages()["identity"].CertifyResponse(leaf_certificate=chain[0], valid_until=stamp(int(end.timestamp()) + 365 * 86400))

    certifying(control, make)
    control.start([pair.web.host])
    pair.web.start_proxy(control.env("web"))
    value = re.search(r"^control_identity_cert_expiration_timestamp_seconds(?:\{[^}]*\})? ([\d.e+]+)$", pair.web.metrics(), re.M)
    assert float(value[1]) < end.timestamp() + 60


# --- peers with odd names ---

NUL_NAMES = {
    "NUL and more": lambda name: [name + b"\0.evil.example"],
    "NUL at the end": lambda name: [name + b"\0"],
    "NUL before": lambda name: [b"\0" + name],
    "a line feed": lambda name: [name + b"\n"],
    "only NUL": lambda name: [b"\0"],
    "another first": lambda name: [b"other.example", name + b"\0"],
}


@pytest.mark.parametrize("name", NUL_NAMES)
def test_peer_with_odd_bytes_in_its_name(pair, network, tmp_path, name):
    """Trusted issuer, allowed name but for a NUL: refused, counted, and never under the name before the NUL."""
    app = recorder(pair.web)
    pair.control.default_server = Feed(server(authorizations=[authorization(tls="clients", identities=[pair.client_identity])]))
    pair.control.start([pair.web.host])
    pair.web.redirect()
    pair.web.start_proxy(pair.control.env("web"))
    peer = network.host("peer")

    def ask(names):
        key = ec.generate_private_key(ec.SECP256R1())
        der = leaf(pair.control.authority, key.public_key(), raw_names(*names))
        path = tmp_path / "peer.pem"
        path.write_text(ssl.DER_cert_to_PEM_cert(der) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(path)
        try:
            with context.wrap_socket(peer.connect(pair.web.host.ip4, 8080), server_hostname=pair.identity) as sock:
                sock.sendall(b"GET /odd HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
                return sock.recv(65536)
        except OSError:  # an alert, or a reset
            return b""

    assert ask([pair.client_identity.encode()]).startswith(b"HTTP/1.1 200")
    before = sum("GET /odd" in line for line in app.lines)
    answer = ask(NUL_NAMES[name](pair.client_identity.encode()))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 403"), answer
    assert sum("GET /odd" in line for line in app.lines) == before
    page = pair.web.metrics()
    assert re.search(r"^(inbound_http_authz_deny_total|inbound_tls_detect\w*|inbound_\w*errors\w*)\{[^\n]*\} [1-9]", page, re.M), page
