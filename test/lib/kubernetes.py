"""A Kubernetes API without nodes: etcd and kube-apiserver on a host of their own, for control planes that read it.

    api = Apiserver(host, programs, folder)     the host's 6443; programs from LINKERD_PEERS
    api.start()
    api.apply({...})                            create or replace, status included
    api.delete({...})
    api.token("shop", "web", audiences)         a service account's token, as pods get it

There are no controllers: endpoint slices are made from selectors and pods here, whenever either is applied, and whoever applies a
Pod says its status.
"""

import base64
import datetime
import http.client
import ipaddress
import json
import ssl
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lib.controller import PEM, _key_pem, _now, make_ca

PORT = 6443
ADMIN = "the-token-of-the-test"

# kind -> (group and version, plural); namespaced unless in CLUSTER.
KINDS = {
    "Namespace": ("v1", "namespaces"), "Node": ("v1", "nodes"), "Pod": ("v1", "pods"), "Service": ("v1", "services"),
    "ServiceAccount": ("v1", "serviceaccounts"), "ConfigMap": ("v1", "configmaps"), "Secret": ("v1", "secrets"),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices"), "Deployment": ("apps/v1", "deployments"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
CLUSTER = {"Namespace", "Node", "CustomResourceDefinition"}

# What Linkerd and the Gateway API define: kind, plural, group, versions served; the last one is stored.
CUSTOM = [
    ("ServiceProfile", "serviceprofiles", "linkerd.io", ["v1alpha1", "v1alpha2"]),
    ("Server", "servers", "policy.linkerd.io", ["v1alpha1", "v1beta1", "v1beta2", "v1beta3"]),
    ("ServerAuthorization", "serverauthorizations", "policy.linkerd.io", ["v1alpha1", "v1beta1"]),
    ("AuthorizationPolicy", "authorizationpolicies", "policy.linkerd.io", ["v1alpha1"]),
    ("MeshTLSAuthentication", "meshtlsauthentications", "policy.linkerd.io", ["v1alpha1"]),
    ("NetworkAuthentication", "networkauthentications", "policy.linkerd.io", ["v1alpha1"]),
    ("HTTPLocalRateLimitPolicy", "httplocalratelimitpolicies", "policy.linkerd.io", ["v1alpha1"]),
    ("EgressNetwork", "egressnetworks", "policy.linkerd.io", ["v1alpha1"]),
    ("HTTPRoute", "httproutes", "policy.linkerd.io", ["v1alpha1", "v1beta1", "v1beta2", "v1beta3"]),
    ("ExternalWorkload", "externalworkloads", "workload.linkerd.io", ["v1alpha1", "v1beta1"]),
    ("HTTPRoute", "httproutes", "gateway.networking.k8s.io", ["v1beta1", "v1"]),
    ("GRPCRoute", "grpcroutes", "gateway.networking.k8s.io", ["v1"]),
    ("TLSRoute", "tlsroutes", "gateway.networking.k8s.io", ["v1alpha2"]),
    ("TCPRoute", "tcproutes", "gateway.networking.k8s.io", ["v1alpha2"]),
]


def definition(kind, plural, group, versions):
    """A definition that takes any fields."""
    anything = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}",
                         "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
            "spec": {"group": group, "scope": "Namespaced",
                     "names": {"kind": kind, "listKind": kind + "List", "plural": plural, "singular": kind.lower()},
                     "versions": [{"name": version, "served": True, "storage": version == versions[-1], "schema": anything,
                                   "subresources": {"status": {}}} for version in versions]}}


def path_of(kind, version, namespace=None, name=None):
    group, plural = KINDS.get(kind, (None, None))
    if group is None:
        plural = next(plural for k, plural, g, _ in CUSTOM if k == kind and version.startswith(g + "/"))
    parts = ["/api" if version == "v1" else "/apis", version]
    if kind not in CLUSTER:
        parts += ["namespaces", namespace or "default"]
    return "/".join(parts + [plural] + ([name] if name else []))


class Refused(RuntimeError):
    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


class Apiserver:
    def __init__(self, host, programs, folder, find, definitions=None):
        """definitions: of custom resources; else such as take any fields."""
        self.host, self.programs, self.folder, self.find = host, programs, folder, find
        self.definitions = definitions or [definition(*custom) for custom in CUSTOM]
        self.objects = {}  # (kind, namespace, name) -> object, of those that endpoint slices are made from
        folder.mkdir(exist_ok=True)

    # --- the programs ---

    def _certificates(self):
        ca_key, key, self.account_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        ca = make_ca("kubernetes", ca_key)
        leaf = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(ca.subject).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(_now() - datetime.timedelta(minutes=5))
                .not_valid_after(_now() + datetime.timedelta(days=1))
                .add_extension(x509.SubjectAlternativeName([
                    x509.DNSName("kubernetes.default.svc"), x509.IPAddress(ipaddress.ip_address(self.host.ip4)),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True).sign(ca_key, hashes.SHA256()))
        self.ca_pem = ca.public_bytes(PEM).decode()
        public = self.account_key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        for name, text in (("ca.crt", self.ca_pem), ("tls.crt", leaf.public_bytes(PEM).decode()), ("tls.key", _key_pem(key)),
                           ("accounts.key", _key_pem(self.account_key)), ("accounts.pub", public),
                           ("tokens.csv", f"{ADMIN},admin,1,system:masters\n")):
            (self.folder / name).write_text(text)

    def start(self):
        self._certificates()
        f = self.folder
        self.etcd = self.programs.start(
            [self.find("etcd"), "--data-dir", f / "etcd", "--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls",
             "http://127.0.0.1:2379", "--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync"],
            namespace=self.host, name="etcd")
        self.etcd.wait_port(2379)
        self.program = self.programs.start(
            [self.find("kube-apiserver"), "--etcd-servers", "http://127.0.0.1:2379", "--secure-port", PORT, "--bind-address",
             "0.0.0.0", "--advertise-address", self.host.ip4, "--tls-cert-file", f / "tls.crt", "--tls-private-key-file", f / "tls.key",
             "--service-account-key-file", f / "accounts.pub", "--service-account-signing-key-file", f / "accounts.key",
             "--service-account-issuer", "https://kubernetes.default.svc.cluster.local", "--token-auth-file", f / "tokens.csv",
             "--service-cluster-ip-range", "10.96.0.0/16,fd96::/112", "--authorization-mode", "AlwaysAllow", "--disable-admission-plugins",
             "ServiceAccount", "--profiling=false", "--endpoint-reconciler-type=none"],
            namespace=self.host, name="kube-apiserver")
        deadline = time.monotonic() + 90
        while not self._ready():
            assert self.program.running(), self.program.output
            assert time.monotonic() < deadline, self.program.output
            time.sleep(0.1)  # between attempts
        for each in self.definitions:
            self.apply(each)
        for kind, plural, group, versions in CUSTOM:
            while not self._served(f"/apis/{group}/{versions[-1]}/{plural}"):
                assert time.monotonic() < deadline
                time.sleep(0.05)  # between attempts
        return self

    def _ready(self):
        try:
            self.call("GET", "/readyz")
            return True
        except (OSError, Refused):
            return False

    def _served(self, path):
        try:
            self.call("GET", path)
            return True
        except Refused as refused:
            if refused.status in (404, 429, 503):  # not yet
                return False
            raise

    # --- requests ---

    def call(self, method, path, body=None, kind="application/json"):
        context = ssl.create_default_context(cadata=self.ca_pem)
        connection = http.client.HTTPSConnection(self.host.ip4, PORT, context=context, timeout=30)
        connection.sock = context.wrap_socket(self.host.connect("127.0.0.1", PORT), server_hostname="127.0.0.1")
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Authorization": f"Bearer {ADMIN}", "Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 300:
            raise Refused(answer.status, text)
        return json.loads(text) if text.startswith("{") else text

    def apply(self, thing):
        """Created, or replaced where it is there; its status too."""
        kind, version, meta = thing["kind"], thing["apiVersion"], thing["metadata"]
        namespace = None if kind in CLUSTER else meta.get("namespace", "default")
        if namespace and ("Namespace", None, namespace) not in self.objects:
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        path = path_of(kind, version, namespace)
        try:
            self.call("POST", path, thing)
        except Refused as refused:
            if refused.status != 409:
                raise
            self._replace(f"{path}/{meta['name']}", thing)
        if "status" in thing:
            self.call("PATCH", f"{path}/{meta['name']}/status", {"status": thing["status"]}, "application/merge-patch+json")
        self.objects[kind, namespace, meta["name"]] = thing
        self._derive(kind, namespace)

    def _replace(self, path, thing):
        old = self.call("GET", path)
        if thing["kind"] in ("Pod", "Service", "Namespace"):  # fields of theirs that cannot change
            patch = {"metadata": {key: thing["metadata"].get(key) for key in ("labels", "annotations")}}
            if thing["kind"] == "Service":
                patch["spec"] = {key: value for key, value in thing["spec"].items() if key != "clusterIP"}
            self.call("PATCH", path, patch, "application/merge-patch+json")
        else:
            meta = {**thing["metadata"], "resourceVersion": old["metadata"]["resourceVersion"]}
            self.call("PUT", path, {**thing, "metadata": meta})

    def delete(self, thing):
        kind, meta = thing["kind"], thing["metadata"]
        namespace = None if kind in CLUSTER else meta.get("namespace", "default")
        self.call("DELETE", path_of(kind, thing["apiVersion"], namespace, meta["name"]) + "?gracePeriodSeconds=0")
        self.objects.pop((kind, namespace, meta["name"]), None)
        self._derive(kind, namespace)

    def token(self, namespace, account, audiences=("identity.l5d.io",)):
        spec = {"audiences": list(audiences)} if audiences else {}
        made = self.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
                         {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
        return made["status"]["token"]

    # --- what controllers would do ---

    def _derive(self, kind, namespace):
        if kind not in ("Pod", "Service"):
            return
        for (other, where, name), service in list(self.objects.items()):
            if other == "Service" and where == namespace and service["spec"].get("selector"):
                self.apply(self._slice(namespace, name, service))

    def _slice(self, namespace, name, service):
        wanted = service["spec"]["selector"].items()
        pods = [thing for (kind, where, _), thing in self.objects.items() if kind == "Pod" and where == namespace and
                wanted <= thing["metadata"].get("labels", {}).items() and thing.get("status", {}).get("podIP")]
        return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": f"{name}-test", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
                "endpoints": [{"addresses": [pod["status"]["podIP"]], "conditions": {"ready": is_ready(pod)},
                               "nodeName": pod["spec"].get("nodeName"),
                               "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod["metadata"]["name"]}}
                              for pod in pods],
                "ports": [{"name": port.get("name", ""), "port": target_port(port, pods), "protocol": "TCP",
                           **({"appProtocol": port["appProtocol"]} if "appProtocol" in port else {})}
                          for port in service["spec"]["ports"]]}


def is_ready(pod):
    conditions = pod["status"].get("conditions", [])
    return all(c["status"] == "True" for c in conditions if c["type"] == "Ready")


def target_port(port, pods):
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for named in container.get("ports", []):
                if named.get("name") == target:
                    return named["containerPort"]
    return port["port"]


def secret(name, namespace, files):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in files.items()}}
