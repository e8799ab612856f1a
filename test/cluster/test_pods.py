"""What annotations of pods do, in pods: each shown by traffic or by how the pod behaves."""

import json
import os
import re
import threading
import time

import pytest
import websockets.sync.client
import websockets.sync.server

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
    "ingress": {"linkerd.io/inject": "ingress"},
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
      server {
        listen 8080;
        location / { return 200 "asked by $http_l5d_client_id."; }
        # /by/ADDRESS:PORT/PATH asks that address for the path, and tells it who asked here.
        location ~ ^/by/([^/]+)(/.*)$ {
          proxy_pass http://$1$2;
          proxy_http_version 1.1;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection upgrade;
          proxy_set_header Asked-By "$http_asked_by $http_l5d_client_id";
        }
      }
    }
---
apiVersion: v1
kind: Service
metadata: {name: opaque-service, namespace: pods, annotations: {config.linkerd.io/opaque-ports: "8080"}}
spec: {selector: {app: client}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: on-this-node, namespace: pods}
spec: {selector: {app: mesh-only}, internalTrafficPolicy: Local, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: in-this-zone, namespace: pods}
spec: {selector: {app: mesh-only}, trafficDistribution: PreferClose, ports: [{name: http, port: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: on-the-host, namespace: pods}
spec:
  selector: {matchLabels: {app: on-the-host}}
  template:
    metadata: {labels: {app: on-the-host}}
    spec:
      hostNetwork: true
      dnsPolicy: ClusterFirstWithHostNet
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: "localhost/clinkerd/demo-shop:1", imagePullPolicy: Never, command: [nginx, -c, /etc/web/nginx.conf],
         ports: [{name: http, containerPort: 8080}], volumeMounts: [{name: web, mountPath: /etc/web}]}
      volumes: [{name: web, configMap: {name: web}}]
"""
ASK = "curl -sS --fail --retry 30 --retry-connrefused --retry-delay 1 http://web.shop.svc.cluster.local/"
# By name: the annotations, what the application does, and the init containers of the pod.
CRON_JOBS = {
    "native": ({}, ASK, ["linkerd-init", "linkerd-proxy"]),
    "without-native": ({CONFIG + "proxy-enable-native-sidecar": "false", CONFIG + "proxy-admin-shutdown": "enabled"},
                       f"{ASK}; s=$?; curl -sS -X POST http://127.0.0.1:4191/shutdown; exit $s", ["linkerd-init"]),
}
CRON_JOB = """
apiVersion: batch/v1
kind: CronJob
metadata: {{name: {name}, namespace: pods}}
spec:
  schedule: "* * * * *"
  concurrencyPolicy: Forbid
  successfulJobsHistoryLimit: 1
  jobTemplate:
    spec:
      template:
        metadata: {{annotations: {annotations}}}
        spec:
          restartPolicy: Never
          containers:
          - {{name: main, image: "localhost/clinkerd/demo-shop:1", imagePullPolicy: Never, command: [sh, -c, {command}]}}
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
    mesh.apply("---".join(CRON_JOB.format(name=name, annotations=json.dumps(annotations), command=json.dumps(command))
                          for name, (annotations, command, _) in CRON_JOBS.items()))
    mesh.apply("---".join(POD.format(name=name, namespace="pods", annotations=json.dumps(annotations)) + "---" + SERVICE.format(name=name)
                          for name, annotations in PODS.items()) + "---" + SERVICE.format(name="on-the-host"))
    mesh.kubectl("wait", "-n", "pods", "--for=condition=Ready", "pod", "-l", f"app in ({','.join(PODS)})", "--timeout=120s", timeout=130)
    mesh.kubectl("rollout", "status", "-n", "pods", "deploy/on-the-host", "--timeout=60s", timeout=70)
    yield mesh
    mesh.kubectl("delete", "namespace", "pods", "--wait=false")


def ask(mesh, host, *args, by="client", path="/"):
    """Status and answer."""
    return mesh.kubectl("exec", "-n", "pods", by, "-c", "web", "--", "curl", "-sS", "--max-time", "10", "-w", " %{http_code}", *args,
                        f"http://{host}:8080{path}").rsplit(" ", 1)[::-1]


def answer(mesh, host, *args, **options):
    status, text = ask(mesh, host, *args, **options)
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


def test_ingress_mode(pods):
    """What it asks for by name goes there, whatever address its connection is for: here that of a pod outside the mesh."""
    outside, name = pod(pods, "disabled")["status"]["podIP"], "mesh-only.pods.svc.cluster.local:8080"
    assert answer(pods, outside, by="ingress") == "asked by ."
    assert answer(pods, outside, "-H", f"l5d-dst-override: {name}", by="ingress") == f"asked by {IDENTITY}."
    assert answer(pods, outside, "-H", f"l5d-dst-override: {name}") == "asked by .", "others say it for nothing"


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


def told(mesh, namespace, name, words):
    """The events that describing the owner of the pods shows have all the words."""
    def found():
        events = json.loads(mesh.kubectl("get", "events", "-n", namespace, "-o", "json"))["items"]
        return [event for event in events if event["involvedObject"]["name"].startswith(name) and all(word in event["message"] for word in words)]
    mesh.cluster.until(found, f"an event with {words}", timeout=30)


def test_a_pod_in_the_network_of_its_node(pods):
    """No proxy, and an event says why. Its connections are plaintext in both directions, also where it is asked by a pod of the mesh."""
    (found,), node = pods.pods("pods", app="on-the-host"), pods.cluster.nodes[0].host.ip4
    assert found["status"]["podIP"] == node
    assert "initContainers" not in found["spec"] and [one["name"] for one in found["spec"]["containers"]] == ["web"]
    told(pods, "pods", "on-the-host", ["injection skipped: hostNetwork is enabled"])
    assert answer(pods, "anyone.pods.svc.cluster.local", by="deploy/on-the-host") == "asked by ."
    assert ask(pods, "mesh-only.pods.svc.cluster.local", by="deploy/on-the-host", path="/x")[0] == "403"
    assert answer(pods, "on-the-host.pods.svc.cluster.local") == "asked by ."
    opened = [line for line in pods.metrics(pod(pods, "client")).splitlines()
              if line.startswith('tcp_open_total{direction="outbound",peer="dst"') and f'"{node}:8080"' in line]
    assert opened and all('tls="no_identity"' in line for line in opened), opened


def endpoints(mesh, service):
    slices = json.loads(mesh.kubectl("get", "endpointslices", "-n", "pods", "-l", f"kubernetes.io/service-name={service}", "-o", "json"))
    return [endpoint for one in slices["items"] for endpoint in one["endpoints"]]


@pytest.mark.parametrize("service, field, value", [("on-this-node", "internalTrafficPolicy", "Local"),
                                                   ("in-this-zone", "trafficDistribution", "PreferClose")],
                         ids=["node", "zone"])
def test_services_that_prefer_what_is_near(pods, service, field, value):
    """Kubernetes has the field, and its hints where they belong to it; the server is near, and admits only the mesh."""
    assert json.loads(pods.kubectl("get", "service", "-n", "pods", service, "-o", "json"))["spec"][field] == value
    if value == "PreferClose":
        pods.cluster.until(lambda: [one.get("hints") for one in endpoints(pods, service)] == [{"forZones": [{"name": "zone-1"}]}], "the hints")
    assert answer(pods, f"{service}.pods.svc.cluster.local") == f"asked by {IDENTITY}."


# A Service without a selector, so that its endpoints are what the test says: a pod of the mesh is near, and one that is not in it is far.
NEAR_AND_FAR = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: pods}}
spec: {{{field}: {value}, ports: [{{name: http, port: 8080}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: pods, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080, protocol: TCP}}]
endpoints:
- {{addresses: [{near}], nodeName: node1, zone: zone-1, targetRef: {{kind: Pod, name: mesh-only, namespace: pods}}, {hints_near}}}
- {{addresses: [{far}], nodeName: node2, zone: zone-2, {hints_far}}}
"""
HINT = "hints: {{forZones: [{{name: {}}}]}}"


@pytest.mark.parametrize("field, value, hints", [("internalTrafficPolicy", "Local", ("", "")),
                                                 ("trafficDistribution", "PreferClose", (HINT.format("zone-1"), HINT.format("zone-2")))],
                         ids=["node", "zone"])
def test_what_is_far_is_not_asked(pods, field, value, hints):
    """Of twenty requests none. Without the field, and without hints, most go there: it answers sooner."""
    near, (far,) = pod(pods, "mesh-only")["status"]["podIP"], pods.pods("pods", app="on-the-host")
    name = f"near-{value.lower()}"
    pods.apply(NEAR_AND_FAR.format(name=name, field=field, value=value, near=near, far=far["status"]["podIP"], hints_near=hints[0], hints_far=hints[1]))
    first = ["exec", "-n", "pods", "client", "-c", "web", "--", "curl", "-sS", "--fail", f"http://{name}.pods.svc.cluster.local:8080/"]
    pods.cluster.until(lambda: pods.kubectl(*first, check=False), "a Service that is known everywhere", timeout=30)
    said = answer(pods, f"{name}.pods.svc.cluster.local", path="/[1-20]")
    assert (said.count(f"asked by {IDENTITY}."), said.count("asked by .")) == (20, 0), said


@pytest.fixture
def echo(pods):
    """A WebSocket server beside the API server, outside of the mesh: says who asked the pod that asks it, then says back what it hears."""
    def serve(socket):
        socket.send(socket.request.headers["Asked-By"].strip())
        for message in socket:
            socket.send(message)

    host = pods.cluster.control.host
    with websockets.sync.server.serve(serve, sock=host.listen("0.0.0.0")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"{host.ip4}:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def test_a_websocket_from_pod_to_pod(pods, echo):
    """From the client's nginx to that of another pod by mutual TLS, and from there to the server."""
    service = json.loads(pods.kubectl("get", "service", "-n", "pods", "mesh-only", "-o", "json"))["spec"]["clusterIP"]
    client = pod(pods, "client")["status"]["podIP"]
    with websockets.sync.client.connect(f"ws://{client}:8080/by/{service}:8080/by/{echo}/", sock=pods.cluster.control.host.connect(client, 8080),
                                        open_timeout=20) as socket:
        assert socket.response.status_code == 101
        assert socket.recv(timeout=10) == IDENTITY
        for message in ("hello", b"\0" * 100_000, "bye"):
            socket.send(message)
            assert socket.recv(timeout=10) == message


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


@pytest.mark.parametrize("name", CRON_JOBS)
def test_cron_jobs_complete(pods, name):
    """The minute has come while the other tests ran; the proxy ends with its application."""
    pods.kubectl("wait", "-n", "pods", "--for=jsonpath={.status.lastSuccessfulTime}", f"cronjob/{name}", "--timeout=90s", timeout=100)
    jobs = [job["metadata"]["name"] for job in json.loads(pods.kubectl("get", "jobs", "-n", "pods", "-o", "json"))["items"]
            if job["metadata"]["ownerReferences"][0]["name"] == name and job["status"].get("succeeded") == 1]
    found = [one for job in jobs for one in pods.pods("pods", **{"job-name": job}) if one["status"]["phase"] == "Succeeded"]
    assert found and [one["name"] for one in found[0]["spec"]["initContainers"]] == CRON_JOBS[name][2]
    assert proxy_of(found[0])
