"""The whole mesh in a real cluster, typed as an operator types it: install, inject, traffic, policy, restarts of everything under load."""

import datetime
import json
import os
import re
import subprocess

import pytest

from cluster.cluster import missing_programs
from cluster.mesh import SHOP_DEPLOYMENTS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]
SHOPPER = "shopper.shop.serviceaccount.identity.linkerd.cluster.local"

DENY = """
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, port: http, proxyProtocol: HTTP/1, accessPolicy: deny}
"""
ALLOW = """
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: shopper, namespace: shop}
spec: {identityRefs: [{kind: ServiceAccount, name: shopper}]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: web, namespace: shop}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: web}
  requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: shopper}]
"""
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}, namespace: shop}}
spec:
  backoffLimit: 0
  template:
    metadata: {{annotations: {annotations}}}
    spec:
      restartPolicy: Never
      containers:
      - {{name: main, image: "localhost/clinkerd/demo-shop:1", imagePullPolicy: Never, command: [sh, -c, {command}]}}
"""


def test_checks_find_nothing_wrong(mesh):
    """No error, no warning, and nothing but the cluster is asked."""
    for flags in ([], ["--proxy"]):
        said = mesh.cli("check", "-o", "json", *flags)
        wrong = [(category["categoryName"], check) for category in json.loads(said)["categories"] for check in category["checks"]
                 if check["result"] != "success"]
        assert not wrong and len(said) > 2000, wrong


def test_everything_is_injected_and_mutual_tls(mesh, load):
    for name in SHOP_DEPLOYMENTS:
        for pod in mesh.pods("shop", app=name):
            inits = [container["name"] for container in pod["spec"]["initContainers"]]
            assert inits == ["linkerd-init", "linkerd-proxy"], (name, inits)
    assert mesh.shopper("curl", "-sS", "http://web.shop.svc.cluster.local/").endswith(f"to {SHOPPER}\n")
    for name in ("web", "quotes", "cache"):
        for pod in mesh.pods("shop", app=name):
            lines = [line for line in mesh.metrics(pod).splitlines() if re.match(r'tcp_open_total\{direction="inbound",peer="src"', line)]
            known = [line for line in lines if f'client_id="{SHOPPER}"' in line]
            assert known and all('tls="true"' in line for line in known), (name, lines)


def test_the_cli_injects(mesh):
    """`kubectl get -o yaml | linkerd inject - | kubectl apply -f -`, in a namespace that does not ask for it."""
    mesh.kubectl("create", "namespace", "plain")
    mesh.kubectl("create", "deployment", "web", "-n", "plain", "--image=localhost/clinkerd/demo-shop:1", "--", "sleep", "1d")
    mesh.kubectl("rollout", "status", "-n", "plain", "deploy/web", "--timeout=60s", timeout=70)
    assert [len(pod["spec"].get("initContainers", [])) for pod in mesh.pods("plain", app="web")] == [0]
    before = mesh.kubectl("get", "-n", "plain", "deploy", "-o", "yaml")
    mesh.apply(mesh.cli("inject", "-", input=before))
    mesh.kubectl("rollout", "status", "-n", "plain", "deploy/web", "--timeout=60s", timeout=70)
    mesh.cluster.until(lambda: [len(pod["spec"]["initContainers"]) for pod in mesh.pods("plain", app="web")] == [2], "the injected pod")
    mesh.apply(mesh.cli("uninject", "-", input=mesh.kubectl("get", "-n", "plain", "deploy", "-o", "yaml")))
    mesh.kubectl("rollout", "status", "-n", "plain", "deploy/web", "--timeout=60s", timeout=70)
    mesh.cluster.until(lambda: ["initContainers" in pod["spec"] for pod in mesh.pods("plain", app="web")] == [False], "the pod as it was")
    mesh.kubectl("delete", "namespace", "plain", "--wait=false")


@pytest.mark.parametrize("text, word", [
    ("{apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {name: bad, namespace: shop}, "
     "spec: {podSelector: {}, port: http, proxyProtocol: HTTP/9}}", "spec.proxyProtocol: expected"),
    ("{apiVersion: linkerd.io/v1alpha2, kind: ServiceProfile, metadata: {name: web.shop.svc.cluster.local, namespace: shop}, "
     'spec: {routes: [{name: r, condition: {pathRegex: "("}}]}}', "spec.routes[0].condition.pathRegex:"),
], ids=["Server", "ServiceProfile"])
def test_broken_objects_are_refused(mesh, text, word):
    with pytest.raises(subprocess.SubprocessError, match=re.escape(word)):
        mesh.apply(text)


def test_no_plaintext_on_the_node(mesh, tmp_path):
    """Of what pods of the mesh say to each other nothing can be read; the same capture sees a client outside of it."""
    pod, capture = mesh.pods("shop", app="web")[0], tmp_path / "all.pcap"
    dump = mesh.cluster.programs.start(["tcpdump", "-i", "any", "-U", "-w", capture, "-s", "0", "--immediate-mode", "-Z", "root", "tcp"],
                                       namespace=mesh.cluster.nodes[0].host, name="tcpdump")
    dump.wait_line("listening on")
    for _ in range(10):
        assert "hello" in mesh.shopper("curl", "-sS", "http://web.shop.svc.cluster.local/?said-inside")
    outside = ["curl", "-sS", f"http://{pod['status']['podIP']}:8080/?said-outside"]
    mesh.cluster.until(lambda: mesh.cluster.inside(outside) and b"said-outside" in capture.read_bytes(), "the capture")
    mesh.cluster.programs.all.remove(dump)
    dump.stop()
    assert b"said-inside" not in capture.read_bytes()


def test_who_is_denied_gets_403(mesh):
    def status():
        # Not the path of the kubelet's probe, which everybody may ask for.
        return mesh.shopper("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://web.shop.svc.cluster.local/private")

    mesh.apply(DENY)
    try:
        mesh.cluster.until(lambda: status() == "403", "the denial")
        mesh.apply(ALLOW)
        mesh.cluster.until(lambda: status() == "200", "the permission")
    finally:
        for kind in ("server.policy.linkerd.io/web", "authorizationpolicy/web", "meshtlsauthentication/shopper"):
            mesh.kubectl("delete", "-n", "shop", "--ignore-not-found", kind)
    mesh.cluster.until(lambda: status() == "200", "the end of the denial")


@pytest.mark.parametrize("what", ["web", "quotes"])
def test_a_rolling_restart_of_the_application(mesh, load, what):
    mesh.kubectl("rollout", "restart", "-n", "shop", f"deploy/{what}")
    mesh.await_shop()


def test_the_control_plane_is_killed_and_restarted(mesh, load):
    mesh.kubectl("delete", "pods", "-n", "linkerd", "--all", "--force", "--grace-period=0", "--wait=false")
    load(3)
    mesh.await_control_plane()
    mesh.kubectl("rollout", "restart", "-n", "linkerd", "deploy")
    mesh.await_control_plane()


def is_ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))


def test_logs_of_the_control_plane(mesh):
    """`linkerd logs`: what is there, and what is written from then on, until the containers end."""
    words = ["env", f"KUBECONFIG={mesh.cluster.control.admin}", mesh.linkerd, "logs", "--control-plane-component", "proxy-injector", "--timestamps"]
    with subprocess.Popen(mesh.cluster.control.host.wrap(words), stdout=subprocess.PIPE, text=True) as process:
        try:
            first = process.stdout.readline()
            restarted = datetime.datetime.now(datetime.timezone.utc)
            mesh.kubectl("rollout", "restart", "-n", "linkerd", "deploy/linkerd-proxy-injector")
            rest, _ = process.communicate(timeout=180)
        finally:
            process.kill()
    mesh.await_control_plane()
    lines = [line.split(maxsplit=3) for line in [first, *rest.splitlines()]]
    assert process.returncode == 0 and {line[1] for line in lines} == {"linkerd-proxy", "proxy-injector"}
    assert all(line[0].startswith("linkerd-proxy-injector-") for line in lines)
    assert max(datetime.datetime.fromisoformat(line[2]) for line in lines) > restarted, "the lines of their end"


def test_api_server_and_etcd_are_killed(mesh, load):
    """Traffic goes on without them, and when they are back new pods are injected and reached: the watches go on."""
    control, web = mesh.cluster.control, mesh.pods("shop", app="web")
    for program in ("apiserver", "etcd"):
        control.restart(program)
        mesh.cluster.until(lambda: mesh.kubectl("get", "--raw=/readyz", check=False).strip() == "ok", "the API server")
        count = len(mesh.pods("shop", app="web"))
        mesh.kubectl("delete", "pod", "-n", "shop", web.pop()["metadata"]["name"], "--wait=false")
        # Not `rollout status`, which says what was true before, as long as Kubernetes' own controllers are not back.
        mesh.cluster.until(lambda: sum(is_ready(pod) for pod in mesh.pods("shop", app="web")) == count, "a new pod")
        for pod in mesh.pods("shop", app="web"):
            assert [one["name"] for one in pod["spec"]["initContainers"]] == ["linkerd-init", "linkerd-proxy"]
            mesh.cluster.until(lambda: f'client_id="{SHOPPER}"' in mesh.metrics(pod), "traffic to every pod")


def test_jobs_complete(mesh):
    """With a native sidecar, which ends with the pod, and without: /shutdown ends the proxy."""
    ask = "curl -sS --fail --retry 30 --retry-connrefused --retry-delay 1 http://web.shop.svc.cluster.local/"
    ordinary = {"config.linkerd.io/proxy-enable-native-sidecar": "false", "config.linkerd.io/proxy-admin-shutdown": "enabled"}
    for name, annotations, command in (
            ("native", {}, ask), ("ordinary", ordinary, f"{ask}; s=$?; curl -sS -X POST http://127.0.0.1:4191/shutdown; exit $s")):
        mesh.apply(JOB.format(name=name, annotations=json.dumps(annotations), command=json.dumps(command)))
        try:
            mesh.kubectl("wait", "-n", "shop", "--for=condition=complete", f"job/{name}", "--timeout=120s", timeout=130)
        except subprocess.SubprocessError as error:
            pytest.fail(f"{name}: {error}\n" + mesh.kubectl("describe", "pod", "-n", "shop", "-l", f"job-name={name}")
                        + mesh.kubectl("logs", "-n", "shop", "-l", f"job-name={name}", "--all-containers", check=False))
        said = mesh.kubectl("logs", "-n", "shop", f"job/{name}", "-c", "main")
        assert "to default.shop.serviceaccount.identity.linkerd.cluster.local" in said
