"""A webhook of the controller as an API server asks it: HTTPS, reviews in, answers out.

    injector = Injector(tmp_path, programs, binaries).start()
    answer = injector.review(pod("web"))          # the response of the AdmissionReview
    patched(pod, answer)                          # the object with its patch

    connection = injector.connect()               # http.client, kept alive
"""

import base64
import copy
import datetime
import http.client
import ipaddress
import itertools
import json
import os
import pathlib
import random
import ssl
import subprocess

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lib.controller import PEM, _key_pem, replace

NAME = "linkerd-proxy-injector.linkerd.svc"
NUMBERS = itertools.count(1)


class Pair:
    """A self-signed certificate for the name that API servers ask for."""

    def __init__(self, name=NAME, address=None):
        self.key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        addresses = [x509.IPAddress(ipaddress.ip_address(address))] if address else []
        self.certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(self.key.public_key())
                            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=5))
                            .not_valid_after(now + datetime.timedelta(days=30))
                            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), *addresses]), critical=False)
                            .sign(self.key, hashes.SHA256()))
        self.certificate_pem = self.certificate.public_bytes(PEM).decode()
        self.key_pem = _key_pem(self.key)


class Volume:
    """A folder that changes as a Secret or ConfigMap in a pod does: all files at once, by a link."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.numbers = itertools.count()

    def put(self, **files):
        new = self.folder / f"..{next(self.numbers)}"
        new.mkdir()
        for name, text in files.items():
            name = name.replace("_", ".")
            (new / name).write_text(text)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(pathlib.Path("..data") / name)
        (self.folder / "..new").symlink_to(new.name)
        os.replace(self.folder / "..new", self.folder / "..data")


def installed(binaries, *flags):
    """What `linkerd install` puts into the ConfigMaps that the injector mounts: values, and trust anchors."""
    text = subprocess.run([binaries["linkerd"], "install", "--ignore-cluster", *flags], capture_output=True, text=True, check=True).stdout
    maps = {o["metadata"]["name"]: o["data"] for o in yaml.safe_load_all(text) if o and o["kind"] == "ConfigMap"}
    return maps["linkerd-config"]["values"], maps["linkerd-identity-trust-roots"]["ca-bundle.crt"]


def pod(name="web", annotations=(("linkerd.io/inject", "enabled"),), owner=None):
    meta = {"name": name, "namespace": "default", "annotations": dict(annotations)}
    if owner:
        meta["ownerReferences"] = [owner]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "app", "image": "app"}]}}


def review_of(thing, operation="CREATE", namespace="default", dry_run=False):
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": f"review-{next(NUMBERS)}", "operation": operation, "namespace": namespace, "dryRun": dry_run,
                        "kind": {"group": "", "version": "v1", "kind": thing["kind"]}, "object": thing}}


def patch_of(response):
    return json.loads(base64.b64decode(response["patch"])) if "patch" in response else []


def patched(thing, response):
    """Only what injection does: `add` of members and items, `replace` and `remove` of members."""
    thing = copy.deepcopy(thing)
    for step in patch_of(response):
        *path, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        parent = thing
        for part in path:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        if step["op"] == "remove":
            del parent[last]
        elif isinstance(parent, list):
            parent.insert(len(parent) if last == "-" else int(last), step["value"])
        else:
            parent[last] = step["value"]
    return thing


def containers(thing):
    return [c["name"] for c in thing["spec"].get("initContainers", []) + thing["spec"]["containers"]]


class Injector:
    def __init__(self, directory, programs, binaries):
        self.directory, self.programs, self.binaries = pathlib.Path(directory), programs, binaries
        self.host = f"127.{random.randrange(1, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}"
        self.port, self.admin = 8443, 9995
        self.source = self.directory / "manifests"
        self.source.mkdir()
        self.tls, self.config, self.anchors = (Volume(self.directory / name) for name in ("tls", "config", "anchors"))
        self.values, self.anchor = installed(binaries)
        self.config.put(values=self.values)
        self.anchors.put(**{"ca-bundle_crt": self.anchor})
        self.serve(Pair())

    def serve(self, pair):
        self.pair = pair
        self.tls.put(tls_crt=pair.certificate_pem, tls_key=pair.key_pem)

    def arguments(self):
        return [self.binaries["linkerd-controller"], "proxy-injector", "-linkerd-namespace=linkerd", "--source", self.source,
                f"--addr={self.host}:{self.port}", f"--admin-addr={self.host}:{self.admin}", "--server-tls-certs", self.tls.folder / "tls.crt",
                "--server-tls-key", self.tls.folder / "tls.key", "--values", self.config.folder / "values",
                "--trust-anchors", self.anchors.folder / "ca-bundle.crt", "-log-level=debug"]

    def start(self, *more):
        self.program = self.programs.start([*self.arguments(), *more], name="injector")
        self.program.wait_line(r"start: (ready|serving)")
        return self

    def write(self, name, *documents):
        replace(self.source / name, "\n---\n".join(yaml.safe_dump(document) for document in documents))

    # --- asking ---

    def trust(self, alpn=("http/1.1",), pair=None):
        context = ssl.create_default_context(cadata=(pair or self.pair).certificate_pem)
        context.set_alpn_protocols(list(alpn))
        return context

    def connect(self, context=None):
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=20)
        connection.sock = self.tls_socket(context or self.trust())
        return connection

    def tls_socket(self, context):
        import socket
        return context.wrap_socket(socket.create_connection((self.host, self.port), timeout=20), server_hostname=NAME)

    def ask(self, body, connection=None, method="POST", path="/", headers=None):
        """Status and text. A connection that is given is kept."""
        used = connection or self.connect()
        try:
            used.request(method, path, body, {"content-type": "application/json"} if headers is None else headers)
            answer = used.getresponse()
            return answer.status, answer.read().decode()
        finally:
            if not connection:
                used.close()

    def review(self, thing, connection=None, **more):
        question = review_of(thing, **more)
        status, text = self.ask(json.dumps(question), connection)
        assert status == 200, (status, text)
        answer = json.loads(text)
        assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        assert answer["response"]["uid"] == question["request"]["uid"]
        return answer["response"]

    def page(self, path):
        connection = http.client.HTTPConnection(self.host, self.admin, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
