"""Anchors, issuers and tokens, judged by OpenSSL and by Python's cryptography."""

import base64
import json
import subprocess

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from lib.issuers import make


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def mesh(linkerd, tmp_path):
    assert linkerd("certs", "anchor", "--out", "mesh").returncode == 0
    assert linkerd("certs", "issuer", "--ca", "mesh/ca.crt", "--ca-key", "mesh/ca.key", "--out",
                   "mesh/issuer").returncode == 0
    return tmp_path / "mesh"


def test_anchor_and_issuer(mesh):
    anchor, issuer = load(mesh / "ca.crt"), load(mesh / "issuer/tls.crt")
    subprocess.run(["openssl", "verify", "-CAfile", mesh / "ca.crt", mesh / "issuer/tls.crt"], check=True,
                   capture_output=True)
    assert anchor.subject.rfc4514_string() == "CN=root.linkerd.cluster.local"
    assert issuer.subject.rfc4514_string() == "CN=identity.linkerd.cluster.local"
    assert issuer.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert (anchor.not_valid_after_utc - anchor.not_valid_before_utc).days == 3650
    assert (issuer.not_valid_after_utc - issuer.not_valid_before_utc).days == 365
    assert isinstance(issuer.public_key().curve, ec.SECP256R1)
    assert (mesh / "issuer/ca.crt").read_bytes() == (mesh / "ca.crt").read_bytes()
    for key in "ca.key", "issuer/tls.key":
        assert (mesh / key).stat().st_mode & 0o777 == 0o600
    private = serialization.load_pem_private_key((mesh / "issuer/tls.key").read_bytes(), None)
    assert private.public_key().public_numbers() == issuer.public_key().public_numbers()


def test_other_scheme(linkerd, mesh):
    done = linkerd("certs", "issuer", "--ca", "mesh/ca.crt", "--ca-key", "mesh/ca.key", "--out", "other", "--scheme",
                   "linkerd.io/tls")
    assert done.stdout == "other/key.pem\nother/crt.pem\n"


def test_refusals(linkerd, mesh):
    again = linkerd("certs", "anchor", "--out", "mesh")
    assert again.returncode == 1
    assert again.stderr == "linkerd: certs anchor: mesh/ca.crt: is there already; --force replaces it\n"
    before = (mesh / "ca.crt").read_bytes()
    wrong = linkerd("certs", "issuer", "--ca", "mesh/ca.crt", "--ca-key", "mesh/issuer/tls.key", "--out", "x")
    assert "mesh/issuer/tls.key: is not the key of the first certificate in mesh/ca.crt" in wrong.stderr
    bad = linkerd("certs", "anchor", "--out", "y", "--trust-domain", "a b")
    assert bad.returncode == 1 and '"root.linkerd.a b" is not a name' in bad.stderr
    for what in (["anchor"], ["issuer", "--ca", "mesh/ca.crt", "--ca-key", "mesh/ca.key"]):
        short = linkerd("certs", *what, "--out", "z", "--validity", "0s")
        assert short.returncode == 1 and "--validity must be at least 1s" in short.stderr and not (mesh.parent / "z").exists()
    assert linkerd("certs", "anchor", "--out", "mesh", "--force").returncode == 0
    assert (mesh / "ca.crt").read_bytes() != before


def test_show(linkerd, mesh):
    lines = linkerd("certs", "show", "mesh/issuer/tls.crt").stdout.splitlines()
    assert lines[:5] == ["mesh/issuer/tls.crt (1 of 1)", "Subject:     CN=identity.linkerd.cluster.local",
                         "Issuer:      CN=root.linkerd.cluster.local", "CA:          yes", "Key:         ECDSA P-256"]
    assert lines[6].endswith(("(365 days left)", "(364 days left)"))
    shown = json.loads(linkerd("identity", "mesh/ca.crt", "-o", "json").stdout)
    assert shown[0]["sha256"] == load(mesh / "ca.crt").fingerprint(hashes.SHA256()).hex()
    assert linkerd("certs", "show", "mesh/ca.key").stderr.startswith("linkerd: certs show: mesh/ca.key: PEM block 1")


def part(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_token(linkerd, tmp_path):
    assert linkerd("token", "key").stdout == "./token.key\n./token.pub\n"
    assert (tmp_path / "token.key").stat().st_mode & 0o777 == 0o600
    token = linkerd("token", "issue", "--key", "token.key", "-n", "emoji", "--service-account", "web", "--ttl",
                    "2h").stdout.strip()
    head, claims, signature = token.split(".")
    said = json.loads(part(claims))
    assert json.loads(part(head))["alg"] == "ES256"
    assert said["aud"] == ["identity.l5d.io"] and said["exp"] - said["iat"] == 7200
    assert said["sub"] == "system:serviceaccount:emoji:web"
    raw = part(signature)
    public = serialization.load_pem_public_key((tmp_path / "token.pub").read_bytes())
    public.verify(utils.encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:])),
                  f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    (tmp_path / "token").write_text(token)
    check = ["token", "check", "--keys", "token.pub", "token"]
    assert linkerd(*check).stdout == "valid: system:serviceaccount:emoji:web\n"
    other = linkerd(*check, "--audience", "other")
    assert other.returncode == 1 and "not valid: the token is for another audience" in other.stderr


def test_token_refusals(linkerd, tmp_path):
    assert "--key FILE is missing" in linkerd("token", "issue").stderr
    assert "nope: No such file" in linkerd("token", "issue", "--key", "nope", "-n", "a", "--service-account", "b").stderr
    (tmp_path / "half").mkdir()
    (tmp_path / "half/token.pub").write_text("somebody's\n")
    assert "token.pub" in linkerd("token", "key", "--out", "half").stderr
    assert [path.name for path in (tmp_path / "half").iterdir()] == ["token.pub"]
    assert linkerd("token", "key", "--out", "made").stdout == "made/token.key\nmade/token.pub\n"
    linkerd("token", "key")
    dotted = linkerd("token", "issue", "--key", "token.key", "-n", "a.b", "--service-account", "c")
    assert dotted.returncode == 1 and dotted.stdout == ""


@pytest.mark.parametrize("options, signer, key, words", [
    ({"use_rsa": True}, "ca", "issuer", "the key must be ECDSA P-256"), ({"days": -1}, "ca", "issuer", "expired"),
    ({}, "other", "issuer", "does not reach a trust anchor"), ({}, "ca", "other", "the issuer's key does not belong to its certificate"),
], ids=["rsa", "expired", "wrong-ca", "wrong-key"])
def test_install_refuses_issuers(linkerd, tmp_path, options, signer, key, words):
    """With what is wrong about them, and nothing printed that could be applied."""
    anchors = {name: make(tmp_path, name) for name in ("ca", "other")}
    make(tmp_path, "issuer", signer=anchors[signer], **options)
    done = linkerd("install", "--ignore-cluster", "--identity-trust-anchors-file", tmp_path / "ca.crt",
                   "--identity-issuer-certificate-file", tmp_path / "issuer.crt", "--identity-issuer-key-file", tmp_path / f"{key}.key")
    assert done.returncode == 1 and done.stdout == "" and words in done.stderr, done.stderr
