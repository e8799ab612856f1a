"""Identity.Certify and TrustBundle.Watch."""

import datetime
import os
import shutil
import subprocess

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lib.controller import PEM, Issuer, Stream, TokenKey, make_ca, make_csr, replace
from lib.scripted import Authority, messages

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
    control.program.wait_line(r"start: serving, but not ready: identity has no usable issuer")
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


@pytest.mark.parametrize("scheme", ["kubernetes.io/tls", pytest.param("linkerd.io/tls", marks=pytest.mark.slow)])
def test_a_mounted_secret(control, scheme, tmp_path):
    """As a kubelet mounts and updates one: names are links into a folder behind `..data`, which changes by one rename."""
    issuer = Issuer(tmp_path / "first", scheme)
    mount = tmp_path / "mount"
    mount.mkdir()

    def show(number):
        shutil.copytree(issuer.directory, mount / f"..{number}")
        (mount / "..data_tmp").symlink_to(f"..{number}")
        os.replace(mount / "..data_tmp", mount / "..data")
        for old in mount.glob("..[0-9]*"):
            if old.name != f"..{number}":
                shutil.rmtree(old)

    show(1)
    for path in issuer.directory.iterdir():
        (mount / path.name).symlink_to(f"..data/{path.name}")
    control.issuer.directory = mount
    control.start()
    for number in (2, 3):
        line = len(control.program.lines)
        issuer.renew()
        show(number)
        control.program.wait_line(r"IssuerUpdated", start=line)
        issued_by(control, issuer.certificate)
    good = issuer.certificate
    issuer.renew(curve=ec.SECP384R1())
    show(4)
    control.program.wait_line(r"WARN identity: IssuerUpdateSkipped: .*P-256")
    issued_by(control, good)
    assert "ERROR" not in control.program.output


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


def metric(control, name):
    line, = [each for each in control.http("/metrics")[1].splitlines() if each.startswith(f"{name} ")]
    return float(line.split()[1])


def issued_by(control, issuer_certificate):
    answer = control.certify(WEB, control.token_key.sign("web"), make_csr(WEB))
    x509.load_der_x509_certificate(answer.leaf_certificate).verify_directly_issued_by(issuer_certificate)


def rsa_issuer(issuer):
    issuer.key = rsa.generate_private_key(65537, 2048)
    issuer.certificate = make_ca("identity.linkerd.cluster.local", issuer.key, (issuer.anchor, issuer.anchor_key), 365, 0)


def ran_out(issuer):
    issuer.certificate = make_ca("identity.linkerd.cluster.local", issuer.key, (issuer.anchor, issuer.anchor_key), -1, 0, before=2)


def not_a_ca(issuer):
    issuer.certificate = x509.load_der_x509_certificate(Authority().issue(make_csr(WEB, issuer.key))[0])


def another_key(issuer):
    issuer.key = ec.generate_private_key(ec.SECP256R1())


def another_anchor(issuer):
    key = ec.generate_private_key(ec.SECP256R1())
    issuer.certificate = make_ca("identity.linkerd.cluster.local", issuer.key, (make_ca("root", key), key), 365, 0)


SPOILT = [(rsa_issuer, r"tls\.key: .*P-256.*RSA 2048"), (ran_out, r"expired"), (not_a_ca, r"not a CA|CA"), (another_key, r"key"),
          (another_anchor, r"anchor")]


@pytest.mark.parametrize("spoil,reason", SPOILT, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("at_start", [True, False], ids=["at the start", "while running"])
def test_issuers_that_cannot_be_used(control, wait_for, spoil, reason, at_start):
    """Each is refused with its reason; the last good one stays, or there is none; a good one is taken up afterwards."""
    good = control.issuer.certificate
    if not at_start:
        control.start()
        issued_by(control, good)
    spoil(control.issuer)
    control.issuer.write()
    if at_start:
        control.start()
        control.program.wait_line(rf"ERROR identity: there is no usable issuer: .*{reason}")
        assert control.http("/ready")[0] == 503 and control.http("/live")[0] == 200
        assert refused(control, WEB, control.token_key.sign("web"), make_csr(WEB))[0] == grpc.StatusCode.UNAVAILABLE
    else:
        control.program.wait_line(rf"WARN identity: IssuerUpdateSkipped: .*{reason}")
        issued_by(control, good)
        assert control.http("/ready")[0] == 200
    assert metric(control, "identity_reload_failures_total") >= 1
    control.issuer.renew()
    wait_for(lambda: control.http("/ready")[0] == 200)
    control.program.wait_line(r"INFO identity: IssuerUpdated")
    wait_for(lambda: metric(control, "issuer_cert_ttl_seconds") > 364 * 86400)


@pytest.mark.slow
def test_a_broken_bundle_file(control, wait_for):
    control.start()
    stream = Stream(control.bundle().Watch(messages()["trust_bundle"].WatchBundle()))
    stream.next()
    assert metric(control, "identity_trust_bundle_generation") == 1 and metric(control, "identity_trust_bundle_anchors") == 1
    for count, text in enumerate(("", "nonsense", control.issuer.anchor.public_bytes(PEM).decode()[:-60],
                                  Issuer(control.directory / "other").anchor.public_bytes(PEM).decode()), 1):
        line = len(control.program.lines)
        replace(control.issuer.directory / "ca.crt", text)
        control.program.wait_line(r"WARN identity: IssuerUpdateSkipped: ", start=line)
        wait_for(lambda: metric(control, "identity_reload_failures_total") == count)
    assert stream.quiet() and metric(control, "identity_trust_bundle_generation") == 1
    issued_by(control, control.issuer.certificate)


def test_anchors_in_a_file_of_their_own(control, wait_for):
    """--trust-anchors is followed, and ca.crt beside the issuer does not count."""
    anchors, own = control.directory / "anchors.pem", control.issuer.anchor.public_bytes(PEM).decode()
    anchors.write_text(own)
    (control.issuer.directory / "ca.crt").unlink()
    control.start("--trust-anchors", anchors)
    stream = Stream(control.bundle().Watch(messages()["trust_bundle"].WatchBundle(trust_domain="cluster.local")))
    assert stream.next().anchors_pem.count(b"BEGIN CERTIFICATE") == 1
    replace(anchors, "nonsense")
    control.program.wait_line(r"WARN identity: the last good trust anchors stay in force: .*anchors\.pem")
    replace(anchors, own + Issuer(control.directory / "other").anchor.public_bytes(PEM).decode())
    assert stream.next().anchors_pem.count(b"BEGIN CERTIFICATE") == 2
    assert metric(control, "identity_trust_bundle_generation") == 2 and stream.quiet()


def test_order_of_the_checks(control):
    """Of two mistakes the earlier check's decides."""
    control.start()
    code, csr, good = grpc.StatusCode, make_csr(WEB), control.token_key.sign("web")
    other = "books.default.serviceaccount.identity.linkerd.cluster.local"
    for what, identity, token, request, status, text in (
            ("an empty identity before everything", "", "", b"", code.INVALID_ARGUMENT, "missing identity"),
            ("then the token", WEB, "", b"", code.INVALID_ARGUMENT, "missing token"),
            ("then the request", WEB, "x.y", b"", code.INVALID_ARGUMENT, "missing certificate signing request"),
            ("its form before the token", WEB, "x.y", b"junk", code.INVALID_ARGUMENT, ""),
            ("its names before the token", other, "x.y", csr, code.FAILED_PRECONDITION, ""),
            ("the token's form before its owner", WEB, "x.y", csr, code.INVALID_ARGUMENT, ""),
            ("the signature before the owner", WEB, TokenKey().sign("books"), csr, code.FAILED_PRECONDITION, "authenticated"),
            ("the owner last", WEB, control.token_key.sign("books"), csr, code.FAILED_PRECONDITION, "requested identity did not match")):
        found = refused(control, identity, token, request)
        assert found[0] == status and text in found[1], (what, found)
    for account, namespace in (("web", "other"), ("web2", "default"), ("", "default"), ("we:b", "default")):
        assert refused(control, WEB, control.token_key.sign(account, namespace), csr)[0] in (code.FAILED_PRECONDITION, code.INVALID_ARGUMENT)
    assert control.certify(WEB, good, csr).leaf_certificate


def test_certificates_that_openssl_makes(control, tmp_path):
    """The form in which `step certificate create --profile root-ca` and `intermediate-ca` write them: names in CN only, key
    identifiers, path lengths 1 and 0, keys as SEC1."""
    out = tmp_path / "step"
    out.mkdir()

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=out, check=True, capture_output=True)

    (out / "root.ext").write_text("keyUsage=critical,keyCertSign,cRLSign\nbasicConstraints=critical,CA:TRUE,pathlen:1\n"
                                  "subjectKeyIdentifier=hash\n")
    (out / "issuer.ext").write_text("keyUsage=critical,keyCertSign,cRLSign\nbasicConstraints=critical,CA:TRUE,pathlen:0\n"
                                    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    for name, subject in (("root", "root.linkerd.cluster.local"), ("issuer", "identity.linkerd.cluster.local")):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={subject}", "-out", f"{name}.csr")
    openssl("x509", "-req", "-in", "root.csr", "-signkey", "root.key", "-days", "3650", "-extfile", "root.ext", "-out", "ca.crt")
    openssl("x509", "-req", "-in", "issuer.csr", "-CA", "ca.crt", "-CAkey", "root.key", "-CAcreateserial", "-days", "365",
            "-extfile", "issuer.ext", "-out", "issuer.crt")
    assert "BEGIN EC PRIVATE KEY" in (out / "issuer.key").read_text()
    for name, source in (("tls.crt", "issuer.crt"), ("tls.key", "issuer.key"), ("ca.crt", "ca.crt")):
        replace(control.issuer.directory / name, (out / source).read_text())
    control.start()
    issued_by(control, x509.load_pem_x509_certificate((out / "issuer.crt").read_bytes()))
