"""The proxy-injector at a constant rate of admissions: with a real API server to read namespaces from and to write events to, asked over
HTTPS by bench/admissions.go for pods of several owners, as an API server asks."""

import base64
import json
import os
import pathlib
import subprocess
import time

import yaml

from cluster.api import Api
from cluster.cluster import missing_programs
from lib.wait import until
from loads import cpu_seconds, memory_kib, percentiles
from parts import Missing

HERE = pathlib.Path(__file__).resolve().parent
NAME, PORT, ADMIN = "linkerd-proxy-injector.linkerd.svc", 8443, 9995
RATE, CONNECTIONS, OWNERS = 500, 8, 40
WARM_UP = 2  # seconds of the same load that are not measured: connections are opened, events written

TITLE = f"proxy-injector, {RATE} admissions/s"
ROWS = {
    "p50_us": ("p50 us", 0), "p99_us": ("p99 us", 0), "p99_9_us": ("p99.9 us", 0), "cpu_us": ("CPU us/admission", 0),
    "other_cpu_us": ("CPU us/admission, pods of 40 kinds in turn", 0), "other_p99_us": ("p99 us, pods of 40 kinds in turn", 0),
    "ready_ms": ("start to ready, ms", 0), "rss_start_kib": ("RSS at start, KiB", 0), "anon_start_kib": ("of it anonymous, KiB", 0),
    "rss_kib": ("RSS after all loads, KiB", 0), "anon_kib": ("of it anonymous, KiB", 0),
}
TARGETS = [("p99_us", 5000)]


def pod(owner, ports):
    """As an API server shows it to webhooks: defaults filled in, who owns it, who wrote what."""
    labels = {"app.kubernetes.io/name": f"web-{owner}", "app.kubernetes.io/part-of": "shop", "pod-template-hash": "7d9c5b8f6d", "version": "v1"}
    probe = {"httpGet": {"path": "/ready", "port": ports[0], "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
             "failureThreshold": 3}
    token = {"name": "kube-api-access-x7k2p", "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    container = {
        "name": "web", "image": "registry.example.com/shop/web:1.42.0", "args": ["--listen", f"0.0.0.0:{ports[0]}"],
        "ports": [{"name": f"port-{port}", "containerPort": port, "protocol": "TCP"} for port in ports],
        "env": [{"name": "DATABASE_URL", "value": "postgres://shop@postgres.shop.svc.cluster.local:5432/shop"},
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "password"}}}],
        "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}}, "volumeMounts": [token],
        "livenessProbe": probe, "readinessProbe": probe, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent", "securityContext": {"capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}}
    fields = {"f:metadata": {"f:generateName": {}, "f:labels": {".": {}, **{f"f:{name}": {} for name in labels}}, "f:ownerReferences": {".": {}}},
              "f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, **{f"f:{name}": {} for name in container}}}, "f:dnsPolicy": {},
                         "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {}, "f:terminationGracePeriodSeconds": {}}}
    return {
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "generateName": f"web-{owner}-7d9c5b8f6d-", "namespace": "shop", "creationTimestamp": None, "labels": labels,
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(ports[0])},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"web-{owner}-7d9c5b8f6d", "controller": True,
                                 "uid": f"0c2e8d1a-0000-4000-8000-{owner:012d}", "blockOwnerDeletion": True}],
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
                               "fieldsType": "FieldsV1", "fieldsV1": fields}]},
        "spec": {
            "volumes": [{"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}}],
            "containers": [container], "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "web", "serviceAccount": "web", "securityContext": {"runAsNonRoot": True}, "schedulerName": "default-scheduler",
            "tolerations": [{"key": f"node.kubernetes.io/{why}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                            for why in ("not-ready", "unreachable")],
            "priority": 0, "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority"},
        "status": {}}


def review(number, ports):
    user = {"username": "system:serviceaccount:kube-system:replicaset-controller", "uid": "5a4d3c2b-0000-4000-8000-000000000000",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"]}
    kind, resource = {"group": "", "version": "v1", "kind": "Pod"}, {"group": "", "version": "v1", "resource": "pods"}
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": f"9b1deb4d-0000-4000-8000-{number:012d}", "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "namespace": "shop", "operation": "CREATE", "userInfo": user, "object": pod(number, ports), "oldObject": None, "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}}}


def write_reviews(folder, name, ports_of):
    paths = []
    for number in range(OWNERS):
        paths.append(folder / f"{name}-{number}.json")
        paths[-1].write_text(json.dumps(review(number, ports_of(number)), separators=(",", ":")))
    return paths


def build_client(folder):
    go = subprocess.run([HERE.parent / "scripts/deps", "where", "go-compiler"], capture_output=True, text=True, check=True).stdout.strip()
    out = folder / "admissions"
    subprocess.run([go, "build", "-trimpath", "-o", out, HERE / "admissions.go"], check=True,
                   env={**os.environ, "GO111MODULE": "off"})
    return out


class Injector:
    """The component with the chart's values and rights beside an API server, with a certificate of its own making."""

    def __init__(self, api, build, folder):
        self.api, self.folder = api, folder
        things = [o for o in yaml.safe_load_all(subprocess.run([build / "src/cli/linkerd", "install", "--ignore-cluster"], capture_output=True,
                                                               text=True, check=True).stdout) if o]
        for thing in things:
            if thing["kind"] == "Namespace" or "proxy-injector" in thing["metadata"]["name"] and thing["kind"] not in ("Deployment", "ConfigMap"):
                api.apply(thing)
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "annotations": {"linkerd.io/inject": "enabled"}}},
                  *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"ns-{i}"}} for i in range(50)))
        maps = {o["metadata"]["name"]: o["data"] for o in things if o["kind"] == "ConfigMap"}
        (folder / "values").write_text(maps["linkerd-config"]["values"])
        (folder / "anchors").write_text(maps["linkerd-identity-trust-roots"]["ca-bundle.crt"])
        (folder / "token").write_text(api.kubectl("create", "token", "linkerd-proxy-injector", "-n", "linkerd").strip())
        (folder / "kubeconfig").write_text(f"""current-context: pod
clusters: [{{name: c, cluster: {{server: '{api.control.server}', certificate-authority: {api.control.pki.folder}/ca.crt}}}}]
users: [{{name: u, user: {{tokenFile: token}}}}]
contexts: [{{name: pod, context: {{cluster: c, user: u}}}}]
""")
        self.argv = [build / "src/control/linkerd-controller", "proxy-injector", "-linkerd-namespace=linkerd", "-make-certificate=true",
                     "-log-level=info", "--kubeconfig", folder / "kubeconfig", f"--addr=127.0.0.1:{PORT}", f"--admin-addr=127.0.0.1:{ADMIN}",
                     "--values", folder / "values", "--trust-anchors", folder / "anchors"]

    def start(self):
        """Milliseconds until it is ready, which it is with its certificate."""
        began = time.monotonic()
        self.program = self.api.programs.start(self.argv, namespace=self.api.host, name="injector")
        self.program.wait_line("proxy-injector: the serving certificate is that of")
        took = time.monotonic() - began
        secret = until(lambda: json.loads(self.api.kubectl("get", "mutatingwebhookconfiguration", "linkerd-proxy-injector-webhook-config", "-o",
                                                           "json"))["webhooks"][0]["clientConfig"].get("caBundle"), lambda: self.program.output, 30)
        (self.folder / "ca.pem").write_bytes(base64.b64decode(secret))
        return took * 1000

    @property
    def pid(self):
        return self.program.pid

    def load(self, client, seconds, reviews):
        """Latencies in microseconds, of what was asked after the warm-up, and CPU microseconds of each."""
        argv = lambda duration: [client, f"127.0.0.1:{PORT}", NAME, self.folder / "ca.pem", RATE, duration, CONNECTIONS, *reviews]  # noqa: E731
        self.api.host.run(argv(WARM_UP), timeout=60)
        before = cpu_seconds(self.pid)
        out = self.api.host.run(argv(seconds), timeout=seconds + 60).stdout
        micros = [int(line) for line in out.split()]
        return micros, (cpu_seconds(self.pid) - before) * 1e6 / len(micros)


def measure(options, folder):
    if missing_programs():
        raise Missing("the API server is not built: scripts/deps cluster")
    client = build_client(folder)
    alike, different = write_reviews(folder, "alike", lambda number: [8080, 9090]), write_reviews(folder, "different", lambda number: [8000 + number, 9090])
    figures = {}
    with Api() as api:
        injector = Injector(api, options.build.resolve(), folder)
        figures["ready_ms"] = injector.start()
        start = memory_kib(injector.pid)
        figures |= {"rss_start_kib": start["rss_kib"], "anon_start_kib": start["anon_kib"]}
        for _ in range(options.rounds):
            for prefix, reviews in (("", alike), ("other_", different)):
                micros, cpu = injector.load(client, options.injector_seconds, reviews)
                for name, value in {**percentiles(micros), "cpu_us": cpu}.items():
                    figures.setdefault(prefix + name, []).append(value)
        end = memory_kib(injector.pid)
        figures |= {"rss_kib": end["rss_kib"], "anon_kib": end["anon_kib"]}
    return figures
