"""What an installation looks like to somebody who asks the API server, where no controller and no kubelet runs: the objects that
`linkerd install` prints, and the ReplicaSets, pods, statuses and certificates that would come of them.

    installed = Installed(api, linkerd)
    with installed.changed("pod", "linkerd-identity-0", lambda pod: ...):
        ...
"""

import base64
import contextlib
import copy
import datetime
import json
import subprocess

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from lib.manifests import meta

NAMESPACE = "linkerd"
PEM = serialization.Encoding.PEM
WEBHOOKS = {"linkerd-proxy-injector": "mutatingwebhookconfiguration", "linkerd-sp-validator": "validatingwebhookconfiguration",
            "linkerd-policy-validator": "validatingwebhookconfiguration"}
WEB = "web"  # the namespace of the application


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def stamp(seconds=0, fraction=False):
    return (now() + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S" + (".000000Z" if fraction else "Z"))


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Pair:
    """A certificate and its key. `signer`: another Pair."""

    def __init__(self, name, signer=None, begins=-1, ends=365, dns=(), ca=False, key=None, bits=2048):
        self.key = rsa.generate_private_key(65537, bits) if key == "rsa" else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(signer.certificate.subject if signer else subject)
                   .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now() + datetime.timedelta(days=begins)).not_valid_after(now() + datetime.timedelta(days=ends))
                   .add_extension(x509.BasicConstraints(ca, None), True)
                   .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), True))
        if dns:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in dns]), False)
        self.certificate = builder.sign(signer.key if signer else self.key, hashes.SHA256())

    @property
    def pem(self):
        return self.certificate.public_bytes(PEM).decode()

    @property
    def key_pem(self):
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def ready(pod, ip):
    """As a kubelet would say of a pod that runs."""
    def states(name):
        return [{"name": one["name"], "ready": True, "started": True, "restartCount": 0, "image": one["image"], "imageID": "x",
                 "state": {"running": {"startedAt": stamp()}}} for one in pod["spec"].get(name, [])]

    return {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "initContainerStatuses": states("initContainers"),
            "containerStatuses": states("containers"), "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": stamp()} for kind in ("PodScheduled", "Ready", "ContainersReady")]}


class Installed:
    def __init__(self, api, linkerd):
        self.api, self.linkerd, self.addresses = api, linkerd, iter(range(10, 250))
        self.anchor = Pair("root.linkerd.cluster.local", ca=True, ends=3650)
        self.issuer = Pair("identity.linkerd.cluster.local", self.anchor, ca=True)
        self.other = Pair("other.linkerd.cluster.local", ca=True)
        self.authority = Pair("webhooks", ca=True)
        self.install()
        self.nodes()
        self.run_deployments()
        self.certify_webhooks()
        self.application()

    def rendered(self, *args):
        done = subprocess.run([self.linkerd, "install", "--ignore-cluster", *args], capture_output=True, text=True, timeout=60, check=True)
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    def install(self):
        definitions = self.rendered("--crds")
        self.api.kubectl("apply", "--server-side", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": definitions}))
        self.api.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        folder = self.api.folder
        for name, text in ("anchors.pem", self.anchor.pem), ("issuer.pem", self.issuer.pem), ("issuer.key", self.issuer.key_pem):
            (folder / name).write_text(text)
        self.objects = self.rendered("--identity-trust-anchors-file", str(folder / "anchors.pem"), "--identity-issuer-certificate-file",
                                     str(folder / "issuer.pem"), "--identity-issuer-key-file", str(folder / "issuer.key"))
        self.api.apply(*self.objects, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "linkerd-cni"}})

    def nodes(self):
        for number in (1, 2):
            name = f"node{number}"
            self.api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {
                "podCIDR": f"10.88.{number}.0/24", "podCIDRs": [f"10.88.{number}.0/24"]}, "status": {
                "nodeInfo": {key: "x" for key in ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "kubeletVersion",
                                                  "kubeProxyVersion", "operatingSystem", "architecture")}
                | {"containerRuntimeVersion": "containerd://1.6"},
                "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": stamp(), "lastTransitionTime": stamp(), "reason": "x"}]}})
            self.renew_lease(name)

    def renew_lease(self, name="node1", seconds=0):
        self.api.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": "kube-node-lease"},
                        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": stamp(seconds, True)}})

    def run(self, pod):
        pod["status"] = ready(pod, f"10.88.1.{next(self.addresses)}")
        self.api.apply(pod)

    def run_deployments(self):
        for one in self.objects:
            if one["kind"] == "Deployment":
                self.run_deployment(one)

    def run_deployment(self, deployment):
        template, name = deployment["spec"]["template"], deployment["metadata"]["name"]
        self.api.apply({"apiVersion": "apps/v1", "kind": "ReplicaSet",
                        "metadata": {**meta(name, NAMESPACE), "labels": template["metadata"]["labels"]},
                        "spec": {"replicas": 1, "selector": deployment["spec"]["selector"], "template": template},
                        "status": {"replicas": 1, "readyReplicas": 1, "fullyLabeledReplicas": 1, "availableReplicas": 1}})
        self.run({"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], **meta(f"{name}-0", NAMESPACE)},
                  "spec": {**template["spec"], "nodeName": "node1"}})

    def serving(self, name, **options):
        return Pair(name, self.authority, dns=[f"{name}.{NAMESPACE}.svc"], **options)

    def certify_webhooks(self):
        for name, kind in WEBHOOKS.items():
            pair = self.serving(name)
            self.api.apply({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": meta(f"{name}-k8s-tls", NAMESPACE),
                            "data": {"tls.crt": b64(pair.pem), "tls.key": b64(pair.key_pem)}})
            self.api.kubectl("patch", kind, f"{name}-webhook-config", "--type=json", "--patch", json.dumps(
                [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": b64(self.authority.pem)}]))

    def application(self):
        """A meshed pod, its service, and a workload that asks for a proxy."""
        env = [{"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": self.anchor.pem}]
        version = next(one for one in self.objects if one["kind"] == "Deployment")["spec"]["template"]["metadata"]["annotations"][
            "linkerd.io/proxy-version"]
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": WEB, "annotations": {"linkerd.io/inject": "enabled"}}},
                       {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("default", WEB)})
        self.run({"apiVersion": "v1", "kind": "Pod", "metadata": {**meta("web-0", WEB), "labels": {
            "app": "web", "linkerd.io/control-plane-ns": NAMESPACE}, "annotations": {"linkerd.io/proxy-version": version}},
            "spec": {"nodeName": "node1", "containers": [
                {"name": "web", "image": "web", "ports": [{"name": "sql", "containerPort": 3307}]},
                {"name": "linkerd-proxy", "image": f"localhost/clinkerd/proxy:{version}", "env": env}]}})
        self.api.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta("web", WEB), "spec": {
            "selector": {"app": "web"}, "ports": [{"name": "sql", "port": 3307, "targetPort": "sql"}]}})
        self.api.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("api", WEB), "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "api"}}, "template": {
                "metadata": {"labels": {"app": "api"}, "annotations": {"config.linkerd.io/proxy-log-level": "debug"}},
                "spec": {"containers": [{"name": "api", "image": "api"}]}}}})

    # --- changing, and changing back ---

    def get(self, kind, name, namespace=None):
        return json.loads(self.api.kubectl("get", kind, name, *([f"--namespace={namespace}"] if namespace else []), "-o", "json"))

    def put(self, thing):
        """As it is here, whether it is there or not; its status too."""
        thing = copy.deepcopy(thing)
        for key in ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds"):
            thing["metadata"].pop(key, None)
        where = [f"--namespace={thing['metadata']['namespace']}"] if "namespace" in thing["metadata"] else []
        kind, name = f"{thing['kind']}.{thing['apiVersion'].split('/')[0]}" if "/" in thing["apiVersion"] else thing["kind"], thing["metadata"]["name"]
        text = json.dumps(thing)
        there = self.api.kubectl("get", kind, name, *where, "--ignore-not-found", "-o", "name").strip()
        self.api.kubectl("replace" if there else "create", "-f", "-", text=text)
        if thing.get("status") and thing["kind"] in ("Pod", "Node", "ReplicaSet", "DaemonSet"):
            self.api.kubectl("patch", kind, name, *where, "--subresource=status", "--type=merge", "--patch", json.dumps({"status": thing["status"]}))

    @contextlib.contextmanager
    def changed(self, kind, name, change, namespace=NAMESPACE):
        """change(object) in place, or None: it is gone."""
        before = self.get(kind, name, namespace)
        after = copy.deepcopy(before)
        try:
            if change:
                change(after)
                self.put(after)
            else:
                self.remove(before, namespace)
            yield
        finally:
            self.put(before)
            if kind == "crd":
                self.api.kubectl("wait", "--for=condition=Established", "crd", name, "--timeout=30s")

    @contextlib.contextmanager
    def there(self, *things):
        try:
            for thing in things:
                self.put(thing)
            yield
        finally:
            for thing in things:
                self.remove(thing, thing["metadata"].get("namespace"))

    def remove(self, thing, namespace):
        where = [f"--namespace={namespace}"] if namespace else []
        self.api.kubectl("delete", thing["kind"], thing["metadata"]["name"], *where, "--ignore-not-found", "--wait=true", "--grace-period=0", "--force")

    def values(self, **changes):
        """The same with values of the installation: path with __ for dots."""
        def change(config):
            values = yaml.safe_load(config["data"]["values"])
            for path, value in changes.items():
                *parents, last = path.split("__")
                at = values
                for parent in parents:
                    at = at[parent]
                at[last] = value
            config["data"]["values"] = yaml.safe_dump(values)

        return self.changed("configmap", "linkerd-config", change)
