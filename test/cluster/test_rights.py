"""Each right of the chart against the API server's audit log: what is granted was used, and nothing was asked that is not granted."""

import json
import os

import pytest

from cluster.cluster import missing_programs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

# (service account, resource, verb) that need not have been used here, and why it is granted all the same.
WITHOUT_USE = {
    "list": "API servers before 1.32, and those that cannot stream a list, are asked for pages of one",
    ("linkerd-destination", "secrets", "update"): "a certificate of a webhook is renewed after two thirds of a year",
    ("linkerd-proxy-injector", "secrets", "update"): "the same",
    ("linkerd-proxy-injector", "events", "patch"): "an event that is told again is counted",
    ("linkerd-identity", "events", "patch"): "an event that is told again is counted",
    ("linkerd-proxy-injector", "namespaces", "get"): "a namespace that the watch does not show yet",
    ("linkerd-destination", "endpointslices", "get"): "slices of external workloads",
    ("linkerd-destination", "endpointslices", "create"): "slices of external workloads",
    ("linkerd-destination", "endpointslices", "patch"): "slices of external workloads",
    ("linkerd-destination", "endpointslices", "delete"): "slices of external workloads",
    ("linkerd-heartbeat", "configmaps", "get"): "the heartbeat is suspended until an address is named",
}
FORBIDDEN_EVERYWHERE = {"secrets", "configmaps", "leases"}

ROUTES = """
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: rights, namespace: shop}
spec: {podSelector: {matchLabels: {app: nobody}}, port: http, proxyProtocol: HTTP/1}
---
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: rights, namespace: shop}
spec: {parentRefs: [{group: policy.linkerd.io, kind: Server, name: rights}], rules: [{}]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: HTTPLocalRateLimitPolicy
metadata: {name: rights, namespace: shop}
spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: rights}, total: {requestsPerSecond: 1000}}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata: {name: rights, namespace: shop}
spec: {trafficPolicy: Allow}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: rights, namespace: shop}
spec: {parentRefs: [{group: core, kind: Service, name: quotes, port: 1}], rules: [{}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: rights, namespace: shop}
spec: {parentRefs: [{group: core, kind: Service, name: quotes, port: 1}], rules: [{}]}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TLSRoute
metadata: {name: rights, namespace: shop}
spec: {hostnames: [a.example], parentRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: rights, port: 443}],
       rules: [{backendRefs: [{name: quotes, port: 9000}]}]}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: rights, namespace: shop}
spec: {parentRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: rights, port: 444}], rules: [{backendRefs: [{name: quotes, port: 9000}]}]}
"""


def items(mesh, kind):
    return json.loads(mesh.kubectl("get", kind, "-A", "-o", "json"))["items"]


def granted(mesh):
    """(account, resource, verb, whether in the whole cluster) of every rule that is bound to an account of the namespace linkerd."""
    roles = {(role["kind"], role["metadata"].get("namespace"), role["metadata"]["name"]): role.get("rules") or []
             for kind in ("roles", "clusterroles") for role in items(mesh, kind)}
    for binding in items(mesh, "rolebindings") + items(mesh, "clusterrolebindings"):
        accounts = [each["name"] for each in binding.get("subjects", []) if each["kind"] == "ServiceAccount" and each.get("namespace") == "linkerd"]
        everywhere = binding["kind"] == "ClusterRoleBinding"
        kind = binding["roleRef"]["kind"]
        for rule in roles[kind, None if kind == "ClusterRole" else binding["metadata"]["namespace"], binding["roleRef"]["name"]] if accounts else []:
            for resource in rule.get("resources", []):
                for verb in rule["verbs"]:
                    for account in accounts:
                        yield account, resource, verb, everywhere


def asked(mesh):
    """What the API server has noted of these accounts: ((account, resource, verb), status code, address)."""
    for line in (mesh.cluster.folder / "control/audit.log").read_text().splitlines():
        entry = json.loads(line)
        account, about = entry["user"]["username"].removeprefix("system:serviceaccount:linkerd:"), entry.get("objectRef", {})
        if account == entry["user"]["username"]:
            continue
        resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
        yield (account, resource, entry["verb"]), entry.get("responseStatus", {}).get("code"), entry["requestURI"]


def test_what_is_granted_is_used(mesh):
    mesh.apply(ROUTES)
    try:
        rights = {right[:3] for right in granted(mesh)}

        def unused():
            return {right for right in rights - {key for key, _, _ in asked(mesh)} if right not in WITHOUT_USE and right[2] not in WITHOUT_USE}

        mesh.cluster.until(lambda: not unused() or None, f"the use of {sorted(unused())}", timeout=30)
    finally:
        mesh.kubectl("delete", "-f", "-", text=ROUTES)
    stale = {key for key in WITHOUT_USE if isinstance(key, tuple)} - rights
    assert not stale, f"not granted any more: {stale}"


def test_nothing_was_refused(mesh):
    assert [entry for entry in asked(mesh) if entry[1] in (401, 403)] == []


def test_secrets_and_the_like_are_granted_by_role(mesh):
    assert not [right for right in granted(mesh) if right[3] and right[1] in FORBIDDEN_EVERYWHERE or "*" in right]
