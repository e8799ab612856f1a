"""The certificates and kubeconfig files of a cluster: P-256, one authority for the API server's clients and servers, one for aggregated APIs."""

import base64
import datetime
import ipaddress
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


def _pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _name(common, *organizations):
    return x509.Name([*(x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations),
                      x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Pki:
    """Makes files below a folder, once for each name."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._authorities = {}

    def _builder(self, subject, issuer, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + 365 * _DAY))

    def _store(self, label, key, certificate):
        (self.folder / f"{label}.key").write_bytes(_pem(key))
        (self.folder / f"{label}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def authority(self, label):
        if label not in self._authorities:
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name(label)
            certificate = (self._builder(name, name, key)
                           .add_extension(x509.BasicConstraints(True, None), True)
                           .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), True)
                           .sign(key, hashes.SHA256()))
            self._store(label, key, certificate)
            self._authorities[label] = (key, certificate)
        return self._authorities[label]

    def certificate(self, label, common, organizations=(), names=(), authority="ca"):
        """label.crt and label.key, for client and server."""
        issuer_key, issuer = self.authority(authority)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(common, *organizations), issuer.subject, key).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), False)
        self._store(label, key, builder.sign(issuer_key, hashes.SHA256()))

    def key(self, label):
        """label.key and label.pub, without a certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        (self.folder / f"{label}.key").write_bytes(_pem(key))
        (self.folder / f"{label}.pub").write_bytes(key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))

    def kubeconfig(self, label, server, common, organizations=()):
        """A kubeconfig of a user of its own, everything inside; its path."""
        self.certificate(label, common, organizations)

        def text(name):
            return base64.b64encode((self.folder / name).read_bytes()).decode()

        path = self.folder / f"{label}.kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "cluster",
            "clusters": [{"name": "cluster", "cluster": {"server": server, "certificate-authority-data": text("ca.crt")}}],
            "users": [{"name": label, "user": {"client-certificate-data": text(f"{label}.crt"),
                                               "client-key-data": text(f"{label}.key")}}],
            "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": label}}]}, indent=1) + "\n")
        return path
