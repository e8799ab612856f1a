"""Our own controller, run as a user runs it: a directory of manifests, an issuer, keys of workload tokens; and clients of its
services made from the published protos.

    control = Controller(tmp_path, programs, binaries)
    control.write("apps.yaml", SERVICE, POD)
    control.start()
    stream = control.watch_endpoints("web.default.svc.cluster.local:80")
    stream.next()            # the next message, or fails after DEADLINE seconds
    control.write("apps.yaml", ...)
"""

import base64
import datetime
import hashlib
import ipaddress
import json
import os
import pathlib
import queue
import random
import threading
import time
import urllib.error
import urllib.request

import grpc
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from lib.scripted import messages, net_ip

DEADLINE = 10
PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
PKCS8 = serialization.PrivateFormat.PKCS8


def _now():
    return datetime.datetime.now(datetime.timezone.utc)


def _key_pem(key):
    return key.private_bytes(PEM, PKCS8, serialization.NoEncryption()).decode()


def make_ca(name, key, signer=None, days=365, path_length=None, before=0):
    """A CA certificate; signer is (certificate, key), itself where there is none."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(signer[0].subject if signer else subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(_now() - datetime.timedelta(days=before, minutes=5)).not_valid_after(_now() + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
            .sign(signer[1] if signer else key, hashes.SHA256()))


class Issuer:
    """The issuer's directory. scheme: kubernetes.io/tls or linkerd.io/tls."""

    def __init__(self, directory, scheme="kubernetes.io/tls", curve=None, days=365):
        self.directory, self.scheme = pathlib.Path(directory), scheme
        self.directory.mkdir(exist_ok=True)
        self.anchor_key = ec.generate_private_key(ec.SECP256R1())
        self.anchor = make_ca("root.linkerd.cluster.local", self.anchor_key)
        self.renew(curve, days)

    def renew(self, curve=None, days=365):
        self.key = ec.generate_private_key(curve or ec.SECP256R1())
        self.certificate = make_ca("identity.linkerd.cluster.local", self.key, (self.anchor, self.anchor_key), days, 0)
        self.write()

    def write(self):
        names = ("tls.crt", "tls.key") if self.scheme == "kubernetes.io/tls" else ("crt.pem", "key.pem")
        for name, text in ((names[0], self.certificate.public_bytes(PEM).decode()), (names[1], _key_pem(self.key)),
                           ("ca.crt", self.anchor.public_bytes(PEM).decode())):
            replace(self.directory / name, text)


def replace(path, text):
    """Atomically, as editors and mounted volumes do."""
    temporary = path.with_name("." + path.name + ".new")
    temporary.write_text(text)
    os.replace(temporary, path)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenKey:
    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_pem(self):
        return self.key.public_key().public_bytes(PEM, PUBLIC).decode()

    def sign(self, account, namespace="default", audience="identity.l5d.io", lifetime=3600):
        point = self.key.public_key().public_numbers()
        jwk = {"crv": "P-256", "kty": "EC", "x": b64(point.x.to_bytes(32, "big")), "y": b64(point.y.to_bytes(32, "big"))}
        kid = b64(hashlib.sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest())
        now = int(time.time())
        claims = {"aud": [audience], "exp": now + lifetime, "iat": now - 10, "iss": "test",
                  "sub": f"system:serviceaccount:{namespace}:{account}"}
        signed = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "ES256", "kid": kid, "typ": "JWT"}, claims))
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Stream:
    """A server stream, read by a thread of its own."""

    def __init__(self, call):
        self.call, self.inbox = call, queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for message in self.call:
                self.inbox.put(message)
            self.inbox.put(StopIteration())
        except grpc.RpcError as error:
            self.inbox.put(error)

    def next(self, timeout=DEADLINE):
        item = self.inbox.get(timeout=timeout)
        if isinstance(item, Exception):
            raise item
        return item

    def end(self, timeout=DEADLINE):
        """The status code that the stream ends with, messages before it dropped."""
        while True:
            item = self.inbox.get(timeout=timeout)
            if isinstance(item, StopIteration):
                return self.call.code()
            if isinstance(item, grpc.RpcError):
                return item.code()

    def quiet(self):
        return self.inbox.empty()


class Controller:
    def __init__(self, directory, programs, binaries, component="all"):
        self.programs, self.binaries, self.component = programs, binaries, component
        self.directory = pathlib.Path(directory)
        self.source = self.directory / "manifests"
        self.source.mkdir(exist_ok=True)
        self.issuer = Issuer(self.directory / "issuer")
        self.token_key = TokenKey()
        (self.directory / "token.pub").write_text(self.token_key.public_pem)
        # An address of its own on loopback, so that ports are those of production and never taken.
        self.host = f"127.{random.randrange(1, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}"
        self.channels, self.program = {}, None

    # --- the process ---

    def arguments(self, *more):
        return [self.binaries["linkerd-controller"], self.component, "--source", self.source, "--issuer", self.issuer.directory,
                "--token-key", self.directory / "token.pub", f"--destination-addr={self.host}:8086",
                f"--identity-addr={self.host}:8080", f"--policy-addr={self.host}:8090", f"--admin-addr={self.host}:9990", *more]

    def start(self, *more):
        self.program = self.programs.start(self.arguments(*more), name="controller")
        self.program.wait_line(r"start: (ready|serving)")
        return self

    def write(self, name, *documents):
        """Documents as text or as objects, put in place atomically."""
        texts = [text if isinstance(text, str) else yaml.safe_dump(text) for text in documents]
        replace(self.source / name, "\n---\n".join(texts))

    def remove(self, name):
        (self.source / name).unlink()

    # --- its services ---

    def channel(self, port):
        if port not in self.channels:
            self.channels[port] = grpc.insecure_channel(f"{self.host}:{port}")
        return self.channels[port]

    def close(self):
        for channel in self.channels.values():
            channel.close()

    def destination(self):
        return messages()["destination_grpc"].DestinationStub(self.channel(8086))

    def inbound(self):
        return messages()["inbound_grpc"].InboundServerPoliciesStub(self.channel(8090))

    def outbound(self):
        return messages()["outbound_grpc"].OutboundPoliciesStub(self.channel(8090))

    def identity(self):
        return messages()["identity_grpc"].IdentityStub(self.channel(8080))

    def bundle(self):
        return messages()["trust_bundle_grpc"].TrustBundleStub(self.channel(8080))

    def watch_endpoints(self, path, token="ns:default"):
        return Stream(self.destination().Get(messages()["destination"].GetDestination(scheme="k8s", path=path, context_token=token)))

    def watch_profile(self, path, token="ns:default"):
        return Stream(self.destination().GetProfile(messages()["destination"].GetDestination(scheme="k8s", path=path, context_token=token)))

    @staticmethod
    def port_spec(pod, port, namespace="default"):
        return messages()["inbound"].PortSpec(workload=json.dumps({"ns": namespace, "pod": pod}), port=port)

    def get_port(self, pod, port, namespace="default"):
        return self.inbound().GetPort(self.port_spec(pod, port, namespace), timeout=DEADLINE)

    def watch_port(self, pod, port, namespace="default"):
        return Stream(self.inbound().WatchPort(self.port_spec(pod, port, namespace)))

    @staticmethod
    def traffic_spec(target, namespace="default"):
        workload = json.dumps({"ns": namespace, "pod": "client"})
        host, _, port = target.rpartition(":")
        try:
            ip = net_ip(str(ipaddress.ip_address(host.strip("[]"))))
        except ValueError:
            return messages()["outbound"].TrafficSpec(source_workload=workload, authority=target)
        return messages()["outbound"].TrafficSpec(source_workload=workload, addr=messages()["net"].TcpAddress(ip=ip, port=int(port)))

    def get_target(self, target, namespace="default"):
        return self.outbound().Get(self.traffic_spec(target, namespace), timeout=DEADLINE)

    def watch_target(self, target, namespace="default"):
        return Stream(self.outbound().Watch(self.traffic_spec(target, namespace)))

    def certify(self, identity, token, csr):
        return self.identity().Certify(
            messages()["identity"].CertifyRequest(identity=identity, token=token.encode(), certificate_signing_request=csr),
            timeout=DEADLINE)

    def http(self, path):
        """Status and text of an admin page."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:9990{path}", timeout=DEADLINE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def make_csr(name, key=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
    return (x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256()).public_bytes(DER))
