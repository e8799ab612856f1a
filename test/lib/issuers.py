"""Trust anchors and issuers as files, right and wrong ones.

    anchor = make(folder, "ca")
    make(folder, "issuer", signer=anchor)           issuer.crt and issuer.key
    make(folder, "old", signer=anchor, days=-1)     has expired
"""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def make(folder, name, signer=None, days=10, use_rsa=False):
    """Its certificate and key, for `signer` of another."""
    key = rsa.generate_private_key(65537, 2048) if use_rsa else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}.linkerd.cluster.local")])
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer, signing = (signer[0].subject, signer[1]) if signer else (subject, key)
    usage = x509.KeyUsage(False, False, False, False, False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
    certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=20))
                   .not_valid_after(now + datetime.timedelta(days=days)).add_extension(x509.BasicConstraints(True, None), critical=True)
                   .add_extension(usage, critical=True).sign(signing, hashes.SHA256()))
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                           serialization.NoEncryption()))
    return certificate, key
