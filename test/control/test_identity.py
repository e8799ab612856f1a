"""Identity.Certify and TrustBundle.Watch."""

import datetime

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lib.controller import PEM, Issuer, Stream, TokenKey, make_csr, replace
from lib.scripted import messages

WEB = "web.default.serviceaccount.identity.linkerd.cluster.local"


def refused(control, identity, token, csr):
    with pytest.raises(grpc.RpcError) as error:
        control.certify(identity, token, csr)
    return error.value.code(), error.value.details()


def test_a_certificate(control):
    control.start()
    key = ec.generate_private_key(ec.SECP256R1())
    answer = control.certify(WEB, control.token_key.sign("web"), make_csr(WEB, key))
    leaf = x509.load_der_x509_certificate(answer.leaf_certificate)
    assert leaf.public_key().public_numbers() == key.public_key().public_numbers()
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == [WEB]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    leaf.verify_directly_issued_by(control.issuer.certificate)
    assert [x509.load_der_x509_certificate(each) for each in answer.intermediate_certificates] == [control.issuer.certificate]
    left = answer.valid_until.ToDatetime(datetime.timezone.utc) - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(hours=23, minutes=59) < left <= datetime.timedelta(hours=24, seconds=30)
    control.program.wait_line(r"INFO identity: IssuedLeafCertificate: issued certificate for web\.default\.")


def test_what_is_refused(control):
    control.start()
    token, csr = control.token_key.sign("web"), make_csr(WEB)
    code = grpc.StatusCode
    assert refused(control, "", token, csr)[0] == code.INVALID_ARGUMENT
    assert refused(control, WEB, "", csr)[0] == code.INVALID_ARGUMENT
    assert refused(control, WEB, token, b"")[0] == code.INVALID_ARGUMENT
    assert refused(control, WEB, token, b"not a request")[0] == code.INVALID_ARGUMENT
    other = "books.default.serviceaccount.identity.linkerd.cluster.local"
    assert refused(control, other, token, csr)[0] == code.FAILED_PRECONDITION
    assert refused(control, other, token, make_csr(other))[0] == code.FAILED_PRECONDITION, "the token is somebody else's"
    assert refused(control, WEB, "x.y", csr)[0] == code.INVALID_ARGUMENT
    for bad in (TokenKey().sign("web"), control.token_key.sign("web", audience="api"), control.token_key.sign("web", lifetime=-60),
                token[:-4] + "AAAA"):
        assert refused(control, WEB, bad, csr)[0] == code.FAILED_PRECONDITION
    two = (x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, WEB)]))
           .add_extension(x509.SubjectAlternativeName([x509.DNSName(WEB), x509.DNSName(other)]), critical=False))
    key = ec.generate_private_key(ec.SECP256R1())
    from cryptography.hazmat.primitives import hashes, serialization
    assert refused(control, WEB, token, two.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))[0] == code.FAILED_PRECONDITION


def test_an_issuer_that_comes_later(control, wait_for):
    files = {path.name: path.read_text() for path in control.issuer.directory.iterdir()}
    for name in files:
        (control.issuer.directory / name).unlink()
    control.start()
    control.program.wait_line(r"ERROR identity: there is no usable issuer")
    assert control.http("/ready")[0] == 503
    assert refused(control, WEB, control.token_key.sign("web"), make_csr(WEB))[0] == grpc.StatusCode.UNAVAILABLE
    for name, text in files.items():
        replace(control.issuer.directory / name, text)
    wait_for(lambda: control.http("/ready")[0] == 200)
    assert control.certify(WEB, control.token_key.sign("web"), make_csr(WEB)).leaf_certificate


@pytest.mark.parametrize("scheme", ["kubernetes.io/tls", "linkerd.io/tls"])
def test_the_issuer_is_renewed(control, scheme, tmp_path):
    control.issuer = Issuer(tmp_path / "another", scheme)
    control.start()
    line = len(control.program.lines)
    control.issuer.renew()
    control.program.wait_line(r"IssuerUpdated", start=line)
    answer = control.certify(WEB, control.token_key.sign("web"), make_csr(WEB))
    x509.load_der_x509_certificate(answer.leaf_certificate).verify_directly_issued_by(control.issuer.certificate)
    # What cannot be used is skipped and said: a wrong curve, then a key that belongs to no certificate.
    good, line = control.issuer.certificate, len(control.program.lines)
    control.issuer.renew(curve=ec.SECP384R1())
    control.program.wait_line(r"WARN identity: IssuerUpdateSkipped: .*P-256", start=line)
    answer = control.certify(WEB, control.token_key.sign("web"), make_csr(WEB))
    x509.load_der_x509_certificate(answer.leaf_certificate).verify_directly_issued_by(good)
    assert control.http("/ready")[0] == 200


def test_token_keys_are_renewed(control, wait_for):
    control.start()
    old, control.token_key = control.token_key, TokenKey()
    line = len(control.program.lines)
    replace(control.directory / "token.pub", control.token_key.public_pem)
    control.program.wait_line(r"INFO identity: the keys of workload tokens have changed", start=line)
    assert control.certify(WEB, control.token_key.sign("web"), make_csr(WEB)).leaf_certificate
    assert refused(control, WEB, old.sign("web"), make_csr(WEB))[0] == grpc.StatusCode.FAILED_PRECONDITION
    replace(control.directory / "token.pub", "nonsense")
    control.program.wait_line(r"WARN identity: the last good keys of workload tokens stay: .*token\.pub", start=line)
    assert control.certify(WEB, control.token_key.sign("web"), make_csr(WEB)).leaf_certificate


def test_the_trust_bundle(control):
    control.start()
    stream = Stream(control.bundle().Watch(messages()["trust_bundle"].WatchBundle()))
    assert stream.next().anchors_pem.strip() == control.issuer.anchor.public_bytes(PEM).strip()
    other = Issuer(control.directory / "other")
    both = control.issuer.anchor.public_bytes(PEM) + other.anchor.public_bytes(PEM)
    replace(control.issuer.directory / "ca.crt", both.decode())
    assert stream.next().anchors_pem.count(b"BEGIN CERTIFICATE") == 2
    wrong = Stream(control.bundle().Watch(messages()["trust_bundle"].WatchBundle(trust_domain="example.org")))
    assert wrong.end() == grpc.StatusCode.NOT_FOUND


def test_the_issuer_runs_out(control):
    control.start()
    status, text = control.http("/metrics")
    line, = [each for each in text.splitlines() if each.startswith("issuer_cert_ttl_seconds")]
    assert status == 200 and 364 * 86400 < float(line.split()[1]) < 366 * 86400
