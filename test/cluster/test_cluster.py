"""The cluster that the other tests stand on: pods get addresses, names and the API, and nothing is left when it ends."""

import json
import os
import pathlib
import subprocess

import pytest

from cluster.cluster import Cluster, missing_programs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

SERVER = ("import http.server,socket\n"
          "class S(http.server.ThreadingHTTPServer): address_family=socket.AF_INET6\n"
          "S(('::',8080),http.server.SimpleHTTPRequestHandler).serve_forever()")


def left():
    """What a cluster of this process would leave on the machine."""
    mark = f"ck-{os.getpid()}-"
    return ([str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/{mark}*")]
            + [line for line in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.splitlines() if mark in line]
            + [str(path) for path in pathlib.Path("/var/tmp").glob("clinkerd-cluster-*")])


def pod(name, argv, labels):
    """A pod whose image is empty but for the machine's programs, mounted read-only."""
    folders = ("/usr", "/lib", "/lib64", "/bin", "/etc/ssl")
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": {
        "containers": [{"name": "main", "image": "localhost/pause:1", "imagePullPolicy": "Never", "command": argv,
                        "workingDir": "/etc/ssl", "volumeMounts": [
                            {"name": f"f{n}", "mountPath": path, "readOnly": True} for n, path in enumerate(folders)]}],
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": f"f{n}", "hostPath": {"path": os.path.realpath(path)}} for n, path in enumerate(folders)]}}


def test_pods_services_names_and_the_end():
    before = left()
    with Cluster(nodes=2) as cluster:
        assert set(left()) > set(before)
        cluster.control.apply(
            pod("web", ["/usr/bin/python3", "-c", SERVER], {"app": "web"}), pod("client", ["/usr/bin/sleep", "1d"], {"app": "client"}),
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {
                "ipFamilyPolicy": "RequireDualStack", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}})
        cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s", timeout=70)
        addresses = json.loads(cluster.kubectl("get", "pod", "web", "-o", "json"))["status"]["podIPs"]
        assert len(addresses) == 2, addresses
        services = json.loads(cluster.kubectl("get", "service", "web", "-o", "json"))["spec"]["clusterIPs"]

        def curl(url, *args):
            return cluster.kubectl("exec", "client", "--", "/usr/bin/curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5",
                                   *args, url, check=False)

        four, six = services
        for url in ("http://web", "http://web.default.svc.cluster.local", f"http://{four}", f"http://[{six}]",
                    f"http://{addresses[0]['ip']}:8080", f"http://[{addresses[1]['ip']}]:8080"):
            cluster.until(lambda: curl(url) == "200", url, timeout=30)
        where = "/var/run/secrets/kubernetes.io/serviceaccount"
        token = cluster.kubectl("exec", "client", "--", "/usr/bin/cat", f"{where}/token")
        assert curl("https://kubernetes.default.svc/version", "--cacert", f"{where}/ca.crt", "-H", f"Authorization: Bearer {token}") == "200"
        assert "GET / HTTP/1.1" in cluster.kubectl("logs", "web")
    assert left() == before
