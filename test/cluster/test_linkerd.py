"""Linkerd's proxy beside ours in a real cluster, put there by our injector; where LINKERD_PEERS names its programs."""

import os
import re

import pytest

from cluster import earlier
from cluster.cluster import Cluster, missing_programs
from cluster.mesh import Mesh, make_images

pytestmark = [pytest.mark.slow, pytest.mark.peers, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster"),
              pytest.mark.skipif(earlier.peers() is None, reason="LINKERD_PEERS names no folder with Linkerd's programs and charts")]
IDENTITY = "default.mixed.serviceaccount.identity.linkerd.cluster.local"

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: mixed, annotations: {linkerd.io/inject: enabled}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: mixed}
data:
  nginx.conf: |
    daemon off;
    pid /tmp/nginx.pid;
    error_log stderr warn;
    events { worker_connections 64; }
    http {
      access_log off;
      client_body_temp_path /tmp; proxy_temp_path /tmp; fastcgi_temp_path /tmp; uwsgi_temp_path /tmp; scgi_temp_path /tmp;
      server { listen 8080; location / { return 200 "asked by $http_l5d_client_id"; } }
    }
"""
# HTTP, gRPC and Redis in one pod.
SERVER = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: mixed, labels: {{app: {name}}}, annotations: {{{annotations}}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: http, image: "localhost/clinkerd/demo-shop:1", imagePullPolicy: Never, command: [nginx, -c, /etc/web/nginx.conf],
      volumeMounts: [{{name: web, mountPath: /etc/web}}]}}
  - {{name: grpc, image: "localhost/clinkerd/demo-shop:1", imagePullPolicy: Never, command: [grpc-server, -port=9000]}}
  - {{name: redis, image: "localhost/clinkerd/demo-shop:1", imagePullPolicy: Never,
      command: [redis-server, --save, "", --dir, /tmp, --protected-mode, "no"]}}
  volumes: [{{name: web, configMap: {{name: web}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: mixed}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}},
  {{name: grpc, port: 9000, appProtocol: kubernetes.io/h2c}}, {{name: redis, port: 6379}}]}}
"""


def start_pods(mesh, **annotations):
    mesh.apply(NAMESPACE)
    mesh.cluster.until(lambda: mesh.kubectl("get", "serviceaccount", "default", "-n", "mixed", check=False), "the service account")
    mesh.apply("---".join(SERVER.format(name=name, annotations=text) for name, text in annotations.items()))
    mesh.kubectl("wait", "-n", "mixed", "--for=condition=Ready", "pod", "--all", "--timeout=120s", timeout=130)


def talk(mesh, client, server):
    """HTTP, gRPC and TCP, mutual TLS each, by the metrics of the server's proxy whichever it is."""
    def run(*argv):
        return mesh.kubectl("exec", "-n", "mixed", client, "-c", "http", "--", *argv)

    host = f"{server}.mixed.svc.cluster.local"
    assert run("curl", "-sS", "--max-time", "10", f"http://{host}/") == f"asked by {IDENTITY}"
    run("grpc-client", f"-server_host={host}", "-server_port=9000", "-test_case=ping_pong")
    assert run("redis-cli", "-h", host, "ping").strip() == "PONG"
    (pod,) = mesh.pods("mixed", app=server)
    for port in (8080, 9000, 6379):
        assert re.search(rf'^tcp_open_total{{direction="inbound",peer="src",[^}}]*target_port="{port}",tls="true",client_id="{IDENTITY}"',
                         mesh.metrics(pod), re.MULTILINE), (client, server, port)


def proxy_of(registry, version):
    return f"config.linkerd.io/proxy-image: {registry}/proxy, config.linkerd.io/proxy-version: {version}"


def both_ways(mesh):
    talk(mesh, "theirs", "ours")
    talk(mesh, "ours", "theirs")
    said = mesh.kubectl("logs", "-n", "mixed", "theirs", "-c", "linkerd-proxy")
    assert "corrupt message" not in said, said  # no answer in plaintext to TLS


def test_their_proxy_under_our_control_plane(mesh, tmp_path, binaries):
    mesh.cluster.load(earlier.edge_images(binaries["linkerd-proxy"].parent.parent.parent, tmp_path)[0])
    start_pods(mesh, ours="", theirs=proxy_of("cr.l5d.io/linkerd", earlier.EDGE))
    try:
        both_ways(mesh)
    finally:
        mesh.kubectl("delete", "namespace", "mixed", timeout=120)  # other tests look at all proxies


@pytest.mark.long
@pytest.mark.timeout(300)
def test_our_proxy_under_their_control_plane(tmp_path, binaries):
    """Rendered by their charts, injected by their injector, with our image in place of theirs."""
    build = binaries["linkerd-proxy"].parent.parent.parent
    try:
        images = [*make_images(build, tmp_path, ("proxy",)), *earlier.edge_images(build, tmp_path)]
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")
    with Cluster(nodes=1) as cluster:
        mesh = Mesh(cluster, binaries["linkerd"])
        cluster.load(*images)
        mesh.load_shop(tmp_path)
        definitions, rest = earlier.of_edge(mesh, tmp_path)
        mesh.apply(definitions, "--server-side")
        mesh.apply(rest)
        mesh.await_control_plane()
        version = mesh.cli("version", "--client", "--short").strip()
        start_pods(mesh, theirs="", ours=proxy_of("localhost/clinkerd", version))
        both_ways(mesh)
