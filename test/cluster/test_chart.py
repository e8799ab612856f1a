"""A real API server takes what `linkerd install` prints, and what injection makes of pods: no unknown field, no warning, and
definitions that are in force."""

import json
import os
import pathlib
import subprocess

import pytest

from cluster.cluster import Cluster, missing_programs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

VARIANTS = [[], ["--ha"], ["--set", "disableIPv6=false,proxy.nativeSidecar=false,proxy.tracing.enabled=true"],
            ["--registry", "registry.example.org/x", "--set", "podMonitor.enabled=false,configReaders[0].kind=Group,configReaders[0].name=x"], ["--linkerd-cni-enabled"],
            ["--linkerd-cni-enabled", "--set", "proxy.nativeSidecar=false"]]
IN_FORCE = {("Established", "True"), ("NamesAccepted", "True")}

# One of each kind that the definitions carry, as users write them.
OBJECTS = [
    {"apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server", "metadata": {"name": "a"}, "spec": {
        "podSelector": {"matchLabels": {"app": "a"}}, "port": "http", "proxyProtocol": "HTTP/1", "accessPolicy": "deny"}},
    {"apiVersion": "policy.linkerd.io/v1alpha1", "kind": "AuthorizationPolicy", "metadata": {"name": "a"}, "spec": {
        "targetRef": {"group": "policy.linkerd.io", "kind": "Server", "name": "a"},
        "requiredAuthenticationRefs": [{"group": "policy.linkerd.io", "kind": "MeshTLSAuthentication", "name": "a"}]}},
    {"apiVersion": "policy.linkerd.io/v1alpha1", "kind": "MeshTLSAuthentication", "metadata": {"name": "a"}, "spec": {"identities": ["*"]}},
    {"apiVersion": "policy.linkerd.io/v1alpha1", "kind": "NetworkAuthentication", "metadata": {"name": "a"}, "spec": {
        "networks": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]}},
    {"apiVersion": "policy.linkerd.io/v1beta1", "kind": "ServerAuthorization", "metadata": {"name": "a"}, "spec": {
        "server": {"name": "a"}, "client": {"meshTLS": {"serviceAccounts": [{"name": "x"}]}}}},
    {"apiVersion": "policy.linkerd.io/v1beta3", "kind": "HTTPRoute", "metadata": {"name": "a"}, "spec": {
        "parentRefs": [{"group": "policy.linkerd.io", "kind": "Server", "name": "a"}],
        "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/a"}, "method": "GET"}],
                   "timeouts": {"request": "10s"}, "backendRefs": [{"name": "b", "port": 80, "weight": 1}]}]}},
    {"apiVersion": "policy.linkerd.io/v1alpha1", "kind": "HTTPLocalRateLimitPolicy", "metadata": {"name": "a"}, "spec": {
        "targetRef": {"group": "policy.linkerd.io", "kind": "Server", "name": "a"}, "total": {"requestsPerSecond": 10}}},
    {"apiVersion": "policy.linkerd.io/v1alpha1", "kind": "EgressNetwork", "metadata": {"name": "a"}, "spec": {"trafficPolicy": "Allow"}},
    {"apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload", "metadata": {"name": "a"}, "spec": {
        "meshTLS": {"identity": "spiffe://x/y", "serverName": "a.b"}, "ports": [{"port": 80}], "workloadIPs": [{"ip": "192.0.2.1"}]}},
    {"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile", "metadata": {"name": "a.default.svc.cluster.local"}, "spec": {
        "routes": [{"name": "r", "condition": {"all": [{"pathRegex": "/x"}, {"not": {"method": "GET"}}]}, "isRetryable": True,
                    "responseClasses": [{"condition": {"status": {"min": 500, "max": 599}}, "isFailure": True}]}],
        "retryBudget": {"retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "10s"}}},
    {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute", "metadata": {"name": "a"}, "spec": {
        "parentRefs": [{"group": "", "kind": "Service", "name": "s", "port": 80}],
        "rules": [{"matches": [{"method": {"service": "x.Y", "method": "Z"}}], "backendRefs": [{"name": "s", "port": 80}]}]}},
    {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "a"}, "spec": {
        "parentRefs": [{"group": "core", "kind": "Service", "name": "s", "port": 80}],
        "rules": [{"filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}],
                   "backendRefs": [{"name": "s", "port": 80}]}]}},
]


@pytest.fixture(scope="module")
def cluster(binaries):
    with Cluster(nodes=1) as running:
        yield running


def test_api_server_takes_all(cluster, binaries, tmp_path):
    def install(*args):
        done = subprocess.run([binaries["linkerd"], "install", "--ignore-cluster", *args], capture_output=True, text=True, timeout=60, check=True)
        (tmp_path / "manifests.yaml").write_text(done.stdout)
        return str(tmp_path / "manifests.yaml")

    def apply(path, *args):
        """Without a word but those on what was made."""
        done = cluster.inside(["kubectl", "apply", "--validate=strict", "-f", path, *args], check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        for line in (done.stdout + done.stderr).splitlines():
            assert line.split(" (")[0].endswith(("created", "unchanged", "configured", "serverside-applied")), line

    apply(install("--crds"), "--server-side")
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    for definition in json.loads(cluster.kubectl("get", "crd", "-o", "json"))["items"]:
        conditions = {(each["type"], each["status"]) for each in definition["status"]["conditions"]}
        assert conditions - {("KubernetesAPIApprovalPolicyConformant", "False")} == IN_FORCE, definition["metadata"]["name"]
    (tmp_path / "objects.json").write_text("\n".join(map(json.dumps, OBJECTS)))
    apply(str(tmp_path / "objects.json"), "--dry-run=server")
    cluster.kubectl("create", "namespace", "linkerd")
    for variant in VARIANTS:
        restricted = "--linkerd-cni-enabled" in variant  # nothing in it needs more than such a namespace allows
        cluster.kubectl("label", "--overwrite", "namespace", "linkerd", f"pod-security.kubernetes.io/warn={'restricted' if restricted else 'privileged'}")
        apply(install(*variant, "--set", "installNamespace=false"), "--dry-run=server")


INJECTED = pathlib.Path(__file__).resolve().parents[2] / "src/inject/testdata"


@pytest.mark.parametrize("name, enforce", [("pod", "privileged"), ("bare", "privileged"), ("cni", "privileged"), ("everything", "privileged"),
                                           ("restricted", "restricted")])
def test_api_server_takes_injected_pods(cluster, tmp_path, name, enforce):
    """The pods that the unit tests of injection expect; with CNI even where only restricted ones may be."""
    namespace = f"injected-{name}"
    cluster.kubectl("create", "namespace", namespace)
    cluster.kubectl("label", "namespace", namespace, f"pod-security.kubernetes.io/enforce={enforce}")
    cluster.kubectl("create", "serviceaccount", "web", "-n", namespace)
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=60s")
    done = cluster.inside(["kubectl", "create", "--validate=strict", "--dry-run=server", "-n", namespace, "-f", str(INJECTED / f"{name}.json")],
                          check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and done.stdout.endswith("created (server dry run)\n"), done.stdout + done.stderr
