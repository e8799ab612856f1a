"""The status of routes, rate limits and egress networks on a real API server: what we say appears, what others say stays, one of two
replicas writes, and nothing is written twice."""

import json
import subprocess

import pytest

from cluster.api import Api
from cluster.cluster import missing_programs
from cluster.controller import ClusterController, install_rights, kubeconfig_of
from lib import netns
from lib.manifests import policy, route, server, service
from lib.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not netns.available(), reason="network namespaces need root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

US = "linkerd.io/policy-controller"
LONG = 60  # seconds: more than a lease lasts
CORE = {"parent_kind": "Service", "group": "core", "port": 80}


@pytest.fixture(scope="module")
def shared_api(binaries):
    with Api() as api:
        crds = subprocess.run([binaries["linkerd"], "install", "--crds", "--ignore-cluster"], capture_output=True, text=True, check=True, timeout=60)
        path = api.folder / "crds.yaml"
        path.write_text(crds.stdout)
        api.kubectl("apply", "--server-side", "-f", str(path))
        api.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        install_rights(api, binaries)
        yield api


@pytest.fixture
def api(shared_api):
    yield shared_api
    shared_api.kubectl("delete", "services,servers,httproutes.policy.linkerd.io,httproutes.gateway.networking.k8s.io,grpcroutes,"
                       "httplocalratelimitpolicies,egressnetworks", "--field-selector=metadata.name!=kubernetes")
    shared_api.kubectl("delete", "leases", "--namespace=linkerd", "--all")


@pytest.fixture
def replicas(api, tmp_path, programs, binaries):
    """Of the component policy, each with ports of its own; with the rights that the chart gives, and no others."""
    found = []

    def start():
        number = len(found)
        folder = tmp_path / str(number)
        folder.mkdir()
        controller = ClusterController(api, folder, programs, binaries)
        controller.component = "policy"
        found.append(controller)
        return controller.start(f"--addr=127.0.0.1:{8090 + number}", f"--admin-addr=127.0.0.1:{9990 + number}", "--log-level=info,policy=debug",
                                kubeconfig=kubeconfig_of(api, "linkerd-destination", folder / "kubeconfig")).ready()

    yield start
    for controller in found:
        controller.close()
        controller.program.stop()


def get(api, kind, name):
    return json.loads(api.kubectl("get", kind, name, "-o", "json"))


def parents(api, kind, name):
    return get(api, kind, name).get("status", {}).get("parents", [])


def ours(api, kind, name):
    """(parent, port) -> its conditions: type -> reason of those that hold, or -reason of those that do not."""
    return {(each["parentRef"]["name"], each["parentRef"].get("port")):
            {c["type"]: ("" if c["status"] == "True" else "-") + c["reason"] for c in each["conditions"]}
            for each in parents(api, kind, name) if each["controllerName"] == US}


def condition(api, kind, name):
    return [("" if c["status"] == "True" else "-") + c["reason"] for c in get(api, kind, name).get("status", {}).get("conditions", [])]


def wait_ours(api, kind, name, expected):
    until(lambda: ours(api, kind, name) == expected, lambda: f"{name}: {parents(api, kind, name)}", LONG)


ACCEPTED = {"Accepted": "Accepted", "ResolvedRefs": "ResolvedRefs"}
POLICY = "httproutes.policy.linkerd.io"
GATEWAY = "httproutes.gateway.networking.k8s.io"


def test_routes(api, replicas):
    rules = [{"backendRefs": [{"name": "web", "port": 80}]}]
    replicas()
    api.apply(service(ip="10.96.10.1"), server(), route("inbound", "web-http", [{}], version="policy.linkerd.io/v1beta3"),
              route("outbound", "web", rules, **CORE), route("lost", "nowhere", [{"backendRefs": [{"name": "gone", "port": 80}]}], **CORE))
    wait_ours(api, POLICY, "inbound", {("web-http", None): {"Accepted": "Accepted"}})
    wait_ours(api, GATEWAY, "outbound", {("web", 80): ACCEPTED})
    wait_ours(api, GATEWAY, "lost", {("nowhere", 80): {"Accepted": "-NoMatchingParent", "ResolvedRefs": "-BackendNotFound"}})
    # What it depends on comes and goes; the time is that of the change, the generation that of the object.
    before = parents(api, GATEWAY, "lost")[0]["conditions"]
    api.apply(service("nowhere", ip="10.96.10.2"))
    wait_ours(api, GATEWAY, "lost", {("nowhere", 80): {"Accepted": "Accepted", "ResolvedRefs": "-BackendNotFound"}})
    after = parents(api, GATEWAY, "lost")[0]["conditions"]
    assert after[1] == before[1] and after[0]["lastTransitionTime"] >= before[0]["lastTransitionTime"]
    api.apply(route("lost", "nowhere", rules, **CORE))
    wait_ours(api, GATEWAY, "lost", {("nowhere", 80): ACCEPTED})
    assert {c["observedGeneration"] for c in parents(api, GATEWAY, "lost")[0]["conditions"]} == {2}
    api.delete("server", "web-http")
    wait_ours(api, POLICY, "inbound", {("web-http", None): {"Accepted": "-NoMatchingParent"}})
    # A route of a more specific kind takes the parent from the other; a foreign backend is none.
    api.apply(route("grpc", "web", [{"backendRefs": [{"group": "example.com", "kind": "Bucket", "name": "x"}]}], kind="GRPCRoute", **CORE))
    wait_ours(api, "grpcroutes", "grpc", {("web", 80): {"Accepted": "Accepted", "ResolvedRefs": "-InvalidKind"}})
    wait_ours(api, GATEWAY, "outbound", {("web", 80): {"Accepted": "-RouteReasonConflicted", "ResolvedRefs": "ResolvedRefs"}})
    api.delete("grpcroute", "grpc")
    wait_ours(api, GATEWAY, "outbound", {("web", 80): ACCEPTED})
    # A headless Service cannot be routed to.
    api.apply({**service("bare", ip="None", clusterIPs=["None"])}, route("headless", "bare", [{}], **CORE))
    wait_ours(api, GATEWAY, "headless", {("bare", 80): {"Accepted": "-NoMatchingParent", "ResolvedRefs": "ResolvedRefs"}})


def test_rate_limits_and_egress_networks(api, replicas):
    target = {"targetRef": {"group": "policy.linkerd.io", "kind": "Server", "name": "web-http"}, "total": {"requestsPerSecond": 10}}
    replicas()
    api.apply(policy("HTTPLocalRateLimitPolicy", "a", "v1alpha1", target), policy("EgressNetwork", "all", "v1alpha1", {"trafficPolicy": "Allow"}),
              policy("EgressNetwork", "pods", "v1alpha1", {"trafficPolicy": "Allow", "networks": [{"cidr": "10.3.0.0/16"}]}))
    until(lambda: condition(api, "httplocalratelimitpolicies", "a") == ["-NoMatchingTarget"], seconds=LONG)
    until(lambda: condition(api, "egressnetworks", "all") == ["Accepted"], seconds=LONG)
    until(lambda: condition(api, "egressnetworks", "pods") == ["-EgressReasonNetworkOverlap"], seconds=LONG)
    api.apply(server(), policy("HTTPLocalRateLimitPolicy", "b", "v1alpha1", target))
    until(lambda: condition(api, "httplocalratelimitpolicies", "a") == ["Accepted"], seconds=LONG)
    until(lambda: condition(api, "httplocalratelimitpolicies", "b") == ["-RateLimitReasonAlreadyExists"], seconds=LONG)
    api.delete("httplocalratelimitpolicy", "a")
    until(lambda: condition(api, "httplocalratelimitpolicies", "b") == ["Accepted"], seconds=LONG)
    egress = {"parent_kind": "EgressNetwork", "group": "policy.linkerd.io"}
    api.apply(route("out", "all", [{"backendRefs": [{"group": "policy.linkerd.io", "kind": "EgressNetwork", "name": "all"}]}], **egress),
              route("in", "pods", [{}], **egress))
    wait_ours(api, GATEWAY, "out", {("all", None): ACCEPTED})
    wait_ours(api, GATEWAY, "in", {("pods", None): {"Accepted": "-NoMatchingParent", "ResolvedRefs": "ResolvedRefs"}})


def test_foreign_parents_stay(api, replicas):
    foreign = {"parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}, "controllerName": "example.com/gateway",
               "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "theirs", "observedGeneration": 1,
                               "lastTransitionTime": "2020-01-01T00:00:00Z"}]}
    mixed = route("mixed", "web", [{}], **CORE)
    mixed["spec"]["parentRefs"].append(foreign["parentRef"])
    api.apply(service(ip="10.96.10.1"), {**mixed, "status": {"parents": [foreign]}},
              {**route("theirs", "gw", [{}], parent_kind="Gateway", group="gateway.networking.k8s.io"), "status": {"parents": [foreign]}})
    theirs = get(api, GATEWAY, "theirs")["metadata"]["resourceVersion"]
    replicas()
    wait_ours(api, GATEWAY, "mixed", {("web", 80): ACCEPTED})
    assert foreign in parents(api, GATEWAY, "mixed") and len(parents(api, GATEWAY, "mixed")) == 2
    # Ours goes with our parent; theirs stays.
    mixed["spec"]["parentRefs"].pop(0)
    api.kubectl("patch", GATEWAY, "mixed", "--type=merge", "--patch", json.dumps({"spec": mixed["spec"]}))
    until(lambda: parents(api, GATEWAY, "mixed") == [foreign], seconds=LONG)
    assert get(api, GATEWAY, "theirs")["metadata"]["resourceVersion"] == theirs  # never written


def test_one_of_two_writes(api, replicas):
    def writes(replica):
        return "writes the status of routes" in replica.program.output

    first = replicas()
    first.program.wait_line("this replica .* writes the status of routes")
    second = replicas()
    api.apply(service(ip="10.96.10.1"), route("a", "web", [{}], **CORE))
    wait_ours(api, GATEWAY, "a", {("web", 80): ACCEPTED})
    version = get(api, GATEWAY, "a")["metadata"]["resourceVersion"]
    assert not writes(second)
    lease = json.loads(api.kubectl("get", "lease", "policy-controller-write", "--namespace=linkerd", "-o", "json"))
    assert lease["spec"]["holderIdentity"] and lease["spec"]["leaseDurationSeconds"] == 30
    first.program.stop()  # which gives the lease up
    second.program.wait_line("this replica .* writes the status of routes", timeout=LONG)
    api.apply(route("b", "web", [{}], **CORE))
    wait_ours(api, GATEWAY, "b", {("web", 80): ACCEPTED})
    assert get(api, GATEWAY, "a")["metadata"]["resourceVersion"] == version  # nothing had changed: not written again
    assert " WARN policy" not in second.program.output


def test_the_api_server_restarts(api, replicas):
    """Writes that fail meanwhile are made up for."""
    replica = replicas()
    api.apply(service(ip="10.96.10.1"), route("a", "web", [{}], **CORE))
    wait_ours(api, GATEWAY, "a", {("web", 80): ACCEPTED})
    api.stop_apiserver()
    replica.program.wait_line("this replica .* no longer writes the status of routes", timeout=LONG)
    api.start_apiserver()
    api.apply(route("b", "nowhere", [{}], **CORE))
    api.delete("service", "web")
    wait_ours(api, GATEWAY, "b", {("nowhere", 80): {"Accepted": "-NoMatchingParent", "ResolvedRefs": "ResolvedRefs"}})
    wait_ours(api, GATEWAY, "a", {("web", 80): {"Accepted": "-NoMatchingParent", "ResolvedRefs": "ResolvedRefs"}})
