"""A change of the trust anchor under load, without a restart: both anchors, the new issuer, the new anchor alone."""

import json
import re
import subprocess
import sys
import time

import pytest

from lib.controller import replace
from lib.wait import until
from mesh.test_own_control_plane import MANIFESTS, mesh  # noqa: F401 (a fixture)
from proxy.test_pair import NGINX

ECHO = """
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: shop, annotations: {config.linkerd.io/opaque-ports: "7000"}}
spec:
  clusterIP: 10.96.0.11
  selector: {app: web}
  ports: [{name: echo, port: 7000, targetPort: 7000}]
"""

SERVER = """
import socket, threading
s = socket.create_server(("0.0.0.0", 7000))
def go(c):
    while b := c.recv(4096): c.sendall(b)
    c.close()
while True: threading.Thread(target=go, args=(s.accept()[0],), daemon=True).start()
"""

# Two threads of requests over kept connections, and one of a fresh connection each time: through opaque TCP, where every
# connection is a handshake between the proxies. Ends with its standard input.
LOAD = """
import http.client, json, socket, sys, threading
counts, failures, over = {"http": 0, "tcp": 0}, [], threading.Event()
def http_load():
    c = http.client.HTTPConnection("10.96.0.10", 80, timeout=10)
    c.request("GET", "/"); r = c.getresponse(); r.read(); c.close()
    if r.status != 200: raise RuntimeError(r.status)
def tcp_load():
    with socket.create_connection(("10.96.0.11", 7000), timeout=10) as c:
        c.sendall(b"\\0ello"); got = c.recv(5, socket.MSG_WAITALL)
    if got != b"\\0ello": raise RuntimeError(got)
def run(kind, once):
    while not over.wait(0.01):
        try: once(); counts[kind] += 1
        except Exception as e: failures.append(f"{kind}: {e!r}")
threads = [threading.Thread(target=run, args=a) for a in (("http", http_load), ("http", http_load), ("tcp", tcp_load))]
[t.start() for t in threads]
print("running", flush=True)
sys.stdin.read()
over.set()
[t.join() for t in threads]
print(json.dumps([counts, failures]), flush=True)
"""


def value(pod, name):
    found = re.search(rf"^{name} ([0-9.e+]+)$", pod.metrics(), re.M)
    return float(found.group(1)) if found else 0


def wait_all(pods, condition, what, seconds=60):
    for pod in pods:
        until(lambda pod=pod: condition(pod), lambda pod=pod: f"{what}: not in {pod.host.name}\n{pod.proxy.output}", seconds)


@pytest.mark.slow
def test_anchor_rotation(mesh, programs):  # noqa: F811
    folder = mesh.path / "nginx"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "nginx.conf").write_text(NGINX.format(dir=folder, port=8080))
    mesh.web.start_app(["nginx", "-c", folder / "nginx.conf"], port=8080, uid=1000, name="nginx")
    mesh.web.start_app([sys.executable, "-c", SERVER], port=7000, uid=0, name="echo")
    mesh.write("echo.yaml", ECHO)
    mesh.env = {"LINKERD2_PROXY_IDENTITY_MIN_REFRESH": "1s"}
    mesh.start_control_plane("--identity-issuance-lifetime=20s", "--identity-clock-skew-allowance=1s")
    mesh.start_proxy(mesh.web, "web-1", "shop", "web")
    mesh.start_proxy(mesh.client, "client-1", "shop", "client")
    pods = (mesh.control, mesh.web, mesh.client)
    load = programs.start([sys.executable, "-c", LOAD], namespace=mesh.client.host, uid=0, name="load", stdin=subprocess.PIPE)
    load.wait_line("running")

    issuer, p = mesh.path / "issuer", mesh.path
    mesh.linkerd("certs", "anchor", "--out", p / "anchor2")
    mesh.linkerd("certs", "issuer", "--ca", p / "anchor2/ca.crt", "--ca-key", p / "anchor2/ca.key", "--out", p / "issuer2")
    old, new = (p / "anchor/ca.crt").read_text(), (p / "anchor2/ca.crt").read_text()

    replace(issuer / "ca.crt", old + new)
    wait_all(pods, lambda pod: value(pod, "control_identity_trust_bundle_anchors") == 2, "both anchors")

    line = len(mesh.controller.lines)
    for name in ("tls.key", "tls.crt"):
        replace(issuer / name, (p / "issuer2" / name).read_text())
    mesh.controller.wait_line("IssuerUpdated", start=line)
    changed = time.time()
    wait_all(pods, lambda pod: value(pod, "control_identity_cert_refresh_timestamp_seconds") > changed, "a new certificate")

    replace(issuer / "ca.crt", new)
    wait_all(pods, lambda pod: value(pod, "control_identity_trust_bundle_anchors") == 1, "the new anchor alone")
    # Certificates go on being renewed under the new anchor alone, and handshakes go on.
    changed = time.time()
    wait_all(pods, lambda pod: value(pod, "control_identity_cert_refresh_timestamp_seconds") > changed, "another certificate")

    load.process.stdin.close()
    counts, failures = json.loads(load.wait_line(r"^\[\{.*")[0])
    assert not failures, failures[:5]
    assert counts["http"] > 100 and counts["tcp"] > 50, counts
    for pod in pods:
        assert value(pod, "control_identity_trust_bundle_generation") == 3
        assert value(pod, "control_identity_trust_bundle_refused_total") == 0
        assert pod.proxy.running()
