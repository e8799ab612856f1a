"""To a port of a real pod through the API server, as the commands go that ask proxies and the control plane."""

import json
import os

import pytest

from cluster.cluster import Cluster, missing_programs
from cluster.test_cluster import pod as bare_pod

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

LINES = 40000  # so that an answer takes many frames and reads
SERVER = ("import http.server\n"
          "class H(http.server.BaseHTTPRequestHandler):\n"
          "  def do_GET(self):\n"
          f"    body=''.join(f'line {{n}} of {{self.path}}\\n' for n in range({LINES})).encode()\n"
          "    self.send_response(200);self.send_header('Content-Length',str(len(body)));self.end_headers();self.wfile.write(body)\n"
          "http.server.ThreadingHTTPServer(('127.0.0.1',4191),H).serve_forever()")


def meshed(name, argv):
    thing = bare_pod(name, argv, {"app": name, "linkerd.io/control-plane-ns": "linkerd"})
    thing["spec"]["containers"][0].update(name="linkerd-proxy", ports=[{"name": "linkerd-admin", "containerPort": 4191}])
    return thing


def test_forward(binaries):
    with Cluster(nodes=1) as cluster:
        cluster.control.apply(meshed("web", ["/usr/bin/python3", "-c", SERVER]), meshed("silent", ["/usr/bin/sleep", "1d"]), {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
        cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s", timeout=70)

        def linkerd(*words):
            return cluster.inside([str(binaries["linkerd"]), *words], check=False, timeout=60)

        cluster.until(lambda: linkerd("diagnostics", "proxy-metrics", "po/web").returncode == 0, "the server in the pod", timeout=30)
        whole = "".join(f"line {n} of /metrics\n" for n in range(LINES))
        for resource in "po/web", "web", "svc/web":
            done = linkerd("diagnostics", "proxy-metrics", resource)
            assert done.returncode == 0 and done.stdout == "#\n# POD web (1 of 1)\n#\n" + whole, done.stderr
        done = linkerd("diagnostics", "proxy-metrics", "ns/default", "--wait=10s")
        assert done.returncode == 1 and whole in done.stdout  # the one is told, the other complained of
        assert "pod default/silent port 4191: " in done.stderr and "failed to connect to localhost:4191" in done.stderr, done.stderr  # the kubelet goes on, beyond what a message holds
        done = linkerd("diagnostics", "proxy-metrics", "po/nobody")
        assert done.returncode == 1 and 'pods "nobody" not found' in done.stderr
        done = linkerd("diagnostics", "proxy-metrics", "fish/web")
        assert done.returncode == 1 and '"fish" is no kind that has pods' in done.stderr
        done = linkerd("diagnostics", "endpoints", "web.default.svc.cluster.local:80")
        assert done.returncode == 1 and "no pod of the destination service is ready in the namespace linkerd" in done.stderr
        done = linkerd("diagnostics", "endpoints", "web.default.svc.cluster.local:80", "--destination-pod", "x/../y")
        assert done.returncode == 1 and "is no name of a pod" in done.stderr
        audit = [json.loads(line) for line in (cluster.folder / "control" / "audit.log").read_text().splitlines() if "portforward" in line]
        assert all(event["user"]["username"] == "admin" for event in audit)
