"""What annotations of pods do, in pods: each shown by traffic or by how the pod behaves."""

import json
import os
import re
import time

import pytest

from cluster.cluster import missing_programs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]
IDENTITY = "default.pods.serviceaccount.identity.linkerd.cluster.local"
CONFIG = "config.linkerd.io/"

# Each is a web server that says who asks, with a Service of its name; only the annotations differ.
PODS = {
    "client": {},
    "skips-out": {CONFIG + "skip-outbound-ports": "8080"},
    "skips-in": {CONFIG + "skip-inbound-ports": "8080"},
    "opaque": {CONFIG + "opaque-ports": "8080"},
    "denies": {CONFIG + "default-inbound-policy": "deny"},
    "mesh-only": {CONFIG + "default-inbound-policy": "all-authenticated"},
    "cluster-only": {CONFIG + "default-inbound-policy": "cluster-authenticated"},
    "anyone": {CONFIG + "default-inbound-policy": "all-unauthenticated"},
    "audits": {CONFIG + "default-inbound-policy": "audit"},
    "disabled": {"linkerd.io/inject": "disabled"},
    "ordinary": {CONFIG + "proxy-enable-native-sidecar": "false", "config.alpha.linkerd.io/proxy-wait-before-exit-seconds": "3"},
    "last": {CONFIG + "proxy-enable-native-sidecar": "false", CONFIG + "proxy-await": "disabled"},
    "logs": {CONFIG + "proxy-log-level": "error", CONFIG + "access-log": "apache"},
    "sized": {CONFIG + "proxy-cpu-request": "10m", CONFIG + "proxy-cpu-limit": "100m", CONFIG + "proxy-memory-request": "20Mi",
              CONFIG + "proxy-memory-limit": "64Mi"},
    "watched": {CONFIG + "enable-debug-sidecar": "true"},
}
NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: pods, annotations: {linkerd.io/inject: enabled}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: pods}
data:
  nginx.conf: |
    daemon off;
    pid /tmp/nginx.pid;
    error_log stderr warn;
    events { worker_connections 64; }
    http {
      access_log off;
      client_body_temp_path /tmp; proxy_temp_path /tmp; fastcgi_temp_path /tmp; uwsgi_temp_path /tmp; scgi_temp_path /tmp;
      server { listen 8080; location / { return 200 "asked by $http_l5d_client_id."; } }
    }
---
apiVersion: v1
kind: Service
metadata: {name: opaque-service, namespace: pods, annotations: {config.linkerd.io/opaque-ports: "8080"}}
spec: {selector: {app: client}, ports: [{name: http, port: 8080}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: every-minute, namespace: pods}
spec:
  schedule: "* * * * *"
  successfulJobsHistoryLimit: 1
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - {name: main, image: "localhost/clinkerd/demo-shop:1", imagePullPolicy: Never,
             command: [curl, -sS, --fail, --retry, "30", --retry-connrefused, "http://web.shop.svc.cluster.local/"]}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}, annotations: {annotations}}}
spec:
  terminationGracePeriodSeconds: 10
  containers:
  - {{name: web, image: "localhost/clinkerd/demo-shop:1", imagePullPolicy: Never, command: [nginx, -c, /etc/web/nginx.conf],
      ports: [{{name: http, containerPort: 8080}}], volumeMounts: [{{name: web, mountPath: /etc/web}}]}}
  volumes: [{{name: web, configMap: {{name: web}}}}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: pods}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 8080}}]}}
"""


@pytest.fixture(scope="module")
def pods(mesh):
    mesh.apply(NAMESPACE)
    mesh.cluster.until(lambda: mesh.kubectl("get", "serviceaccount", "default", "-n", "pods", check=False), "the service account")
    mesh.apply("---".join(POD.format(name=name, namespace="pods", annotations=json.dumps(annotations)) + "---" + SERVICE.format(name=name)
                          for name, annotations in PODS.items()))
    mesh.kubectl("wait", "-n", "pods", "--for=condition=Ready", "pod", "-l", f"app in ({','.join(PODS)})", "--timeout=120s", timeout=130)
    yield mesh
    mesh.kubectl("delete", "namespace", "pods", "--wait=false")


def ask(mesh, host, by="client", path="/"):
    """Status and answer."""
    return mesh.kubectl("exec", "-n", "pods", by, "-c", "web", "--", "curl", "-sS", "--max-time", "10", "-w", " %{http_code}",
                        f"http://{host}:8080{path}").rsplit(" ", 1)[::-1]


def answer(mesh, host, **options):
    status, text = ask(mesh, host, **options)
    assert status == "200", (status, text)
    return text


def status_outside(mesh, name):
    """Of a request from a host that is no pod: not in the mesh, and in no network of the cluster."""
    return mesh.cluster.inside(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://{pod(mesh, name)['status']['podIP']}:8080/"]).stdout


def pod(mesh, name):
    return json.loads(mesh.kubectl("get", "pod", "-n", "pods", name, "-o", "json"))


def proxy_of(found):
    (proxy,) = [one for one in [*found["spec"].get("initContainers", []), *found["spec"]["containers"]] if one["name"] == "linkerd-proxy"]
    return proxy


def test_skipped_ports(pods):
    """Neither proxy sees the connection, so the server learns of no client; by another way both do."""
    assert answer(pods, "skips-in.pods.svc.cluster.local") == "asked by ."
    assert answer(pods, pod(pods, "client")["status"]["podIP"], by="skips-out") == "asked by ."
    assert answer(pods, "client.pods.svc.cluster.local", by="skips-in") == f"asked by {IDENTITY}."


@pytest.mark.parametrize("host, server, by", [("opaque", "opaque", "client"), ("opaque-service", "client", "last")], ids=["pod", "service"])
def test_opaque_ports(pods, host, server, by):
    """Mutual TLS, and bytes that the server's proxy does not read, so it adds no header; on a Service's word the client's does not either."""
    assert answer(pods, f"{host}.pods.svc.cluster.local", by=by) == "asked by ."
    metrics = pods.metrics(pod(pods, by))
    opened = [line for line in metrics.splitlines() if line.startswith('tcp_open_total{direction="outbound",peer="dst"') and 'tls="true"' in line]
    assert any(pod(pods, server)["status"]["podIP"] in line for line in opened), opened
    if host == "opaque-service":
        assert not re.search(rf'^request_total.*authority="{host}\.', metrics, re.MULTILINE)


@pytest.mark.parametrize("name, inside, outside", [("denies", "403", "403"), ("mesh-only", "200", "403"), ("cluster-only", "200", "403"),
                                                   ("anyone", "200", "200"), ("audits", "200", "200")])
def test_default_policies(pods, name, inside, outside):
    assert ask(pods, f"{name}.pods.svc.cluster.local", path="/x")[0] == inside
    assert status_outside(pods, name) == outside
    if name == "audits":  # let in, and told
        assert 'authz_name="audit"' in pods.metrics(pod(pods, name))


def test_pods_that_want_no_proxy(pods):
    assert "initContainers" not in pod(pods, "disabled")["spec"] and len(pod(pods, "disabled")["spec"]["containers"]) == 1
    assert answer(pods, "disabled.pods.svc.cluster.local") == "asked by ."


def test_order_of_ordinary_sidecars(pods):
    """The first where others wait for it, the last where none does."""
    for name, order in (("ordinary", ["linkerd-proxy", "web"]), ("last", ["web", "linkerd-proxy"])):
        found = pod(pods, name)
        assert [one["name"] for one in found["spec"]["containers"]] == order
        assert [one["name"] for one in found["spec"]["initContainers"]] == ["linkerd-init"]
        assert answer(pods, f"{name}.pods.svc.cluster.local") == f"asked by {IDENTITY}."
    started = {one["name"]: one["state"]["running"]["startedAt"] for one in pod(pods, "ordinary")["status"]["containerStatuses"]}
    assert started["linkerd-proxy"] <= started["web"]


def test_logs(pods):
    answer(pods, "logs.pods.svc.cluster.local", path="/seen-by-the-log")
    pods.cluster.until(lambda: "/seen-by-the-log HTTP/" in pods.kubectl("logs", "-n", "pods", "logs", "-c", "linkerd-proxy"), "the access log", timeout=20)
    assert " INFO " in pods.kubectl("logs", "-n", "pods", "client", "-c", "linkerd-proxy")
    assert " INFO " not in pods.kubectl("logs", "-n", "pods", "logs", "-c", "linkerd-proxy")


def test_resources(pods):
    assert proxy_of(pod(pods, "sized"))["resources"] == {"requests": {"cpu": "10m", "memory": "20Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}


def test_debug_sidecar(pods):
    """tshark sees the pod's traffic."""
    answer(pods, "watched.pods.svc.cluster.local")
    pods.cluster.until(lambda: " → " in pods.kubectl("logs", "-n", "pods", "watched", "-c", "linkerd-debug", "--tail=50"), "what tshark sees", timeout=30)


def test_kubectl_debug(pods):
    """A copy has its sidecar already; a container that is put into a running pod goes through the proxy."""
    image = "--image=localhost/clinkerd/demo-shop:1"
    said = pods.cluster.inside(["kubectl", "debug", "-n", "pods", "client", "--copy-to=copy", image, "--image-pull-policy=Never",
                                "--profile=general", "-c", "look", "--", "sleep", "60"])
    assert "linkerd" not in said.stdout + said.stderr, said
    names = [one["name"] for one in [*pod(pods, "copy")["spec"].get("initContainers", []), *pod(pods, "copy")["spec"]["containers"]]]
    assert names.count("linkerd-proxy") <= 1 and "look" in names, names
    pods.cluster.inside(["kubectl", "debug", "-n", "pods", "client", image, "--image-pull-policy=Never", "--profile=general", "-c", "look",
                         "--", "curl", "-sS", "http://anyone.pods.svc.cluster.local:8080/"])
    pods.cluster.until(lambda: f"asked by {IDENTITY}." in pods.kubectl("logs", "-n", "pods", "client", "-c", "look", check=False),
                       "what the debugging container was answered", timeout=30)


QUOTA = """
apiVersion: v1
kind: Namespace
metadata: {name: quota, annotations: {linkerd.io/inject: enabled}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: all, namespace: quota}
spec: {hard: {requests.cpu: "2", requests.memory: 1Gi, limits.cpu: "2", limits.memory: 1Gi}}
---
apiVersion: v1
kind: Namespace
metadata: {name: restricted, labels: {pod-security.kubernetes.io/enforce: restricted}, annotations: {linkerd.io/inject: enabled}}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}, annotations: {annotations}}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
      - name: main
        image: localhost/clinkerd/demo-shop:1
        imagePullPolicy: Never
        command: [sleep, 1d]
        resources: {{requests: {{cpu: 1m, memory: 10Mi}}, limits: {{cpu: 10m, memory: 10Mi}}}}
        securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"""


@pytest.fixture(scope="module")
def narrow(mesh):
    """Two namespaces: one with a quota, one that enforces the restricted standard."""
    mesh.apply(QUOTA)
    for namespace in ("quota", "restricted"):
        mesh.cluster.until(lambda: mesh.kubectl("get", "serviceaccount", "default", "-n", namespace, check=False), "the service account")
    yield mesh
    mesh.kubectl("delete", "namespace", "quota", "restricted", "--wait=false")


def told(mesh, namespace, name, words):
    """The events that describing the owner of the pods shows have all the words."""
    def found():
        events = json.loads(mesh.kubectl("get", "events", "-n", namespace, "-o", "json"))["items"]
        return [event for event in events if event["involvedObject"]["name"].startswith(name) and all(word in event["message"] for word in words)]
    mesh.cluster.until(found, f"an event with {words}", timeout=30)


def test_a_quota(narrow):
    narrow.apply(DEPLOYMENT.format(name="sized", namespace="quota", annotations=json.dumps(PODS["sized"])))
    narrow.kubectl("rollout", "status", "-n", "quota", "deploy/sized", "--timeout=60s", timeout=70)
    narrow.apply(DEPLOYMENT.format(name="unsized", namespace="quota", annotations="{}"))
    told(narrow, "quota", "unsized", ["must specify limits.cpu", "linkerd-init", "linkerd-proxy"])


def test_a_restricted_namespace_without_cni(narrow):
    narrow.apply(DEPLOYMENT.format(name="open", namespace="restricted", annotations='{linkerd.io/inject: disabled}'))
    narrow.kubectl("rollout", "status", "-n", "restricted", "deploy/open", "--timeout=60s", timeout=70)
    narrow.apply(DEPLOYMENT.format(name="shut", namespace="restricted", annotations="{}"))
    told(narrow, "restricted", "shut", ['violates PodSecurity "restricted', "linkerd-init", "NET_ADMIN"])


def test_the_proxy_outlives_the_application(pods):
    """An ordinary sidecar that is to wait before it exits."""
    started = time.monotonic()
    pods.kubectl("delete", "pod", "-n", "pods", "ordinary", timeout=60)
    assert time.monotonic() - started >= 3


def test_cron_job_completes(pods):
    """The minute has come while the other tests ran; its proxy ends with it."""
    pods.kubectl("wait", "-n", "pods", "--for=jsonpath={.status.lastSuccessfulTime}", "cronjob/every-minute", "--timeout=90s", timeout=100)
    (found, *_) = [one for one in pods.pods("pods") if one["metadata"].get("ownerReferences", [{}])[0].get("kind") == "Job"]
    assert [one["name"] for one in found["spec"]["initContainers"]] == ["linkerd-init", "linkerd-proxy"]
