"""EndpointSlices of ExternalWorkloads on a real API server: they come, change and go with the workloads, one of two replicas writes them,
what others do to them is put right, and the destination serves what is in them."""

import json
import subprocess

import pytest

from cluster.api import Api
from cluster.cluster import missing_programs
from cluster.controller import ClusterController, install_rights, kubeconfig_of
from lib import netns
from lib.manifests import meta
from lib.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not netns.available(), reason="network namespaces need root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

LONG = 60  # seconds: more than a lease lasts
MANAGER = "linkerd-external-workloads-controller"
MANAGED = f"endpointslice.kubernetes.io/managed-by={MANAGER}"
LEASE = "linkerd-destination-endpoint-write"
WRITES = "this replica .* writes EndpointSlices of external workloads"


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
    shared_api.kubectl("delete", "services,externalworkloads,endpointslices", "--field-selector=metadata.name!=kubernetes")
    shared_api.kubectl("delete", "leases", "--namespace=linkerd", "--all")


@pytest.fixture
def replicas(api, tmp_path, programs, binaries):
    """Of the component destination, each with ports of its own; with the rights that the chart gives, and no others."""
    found = []

    def start():
        number = len(found)
        folder = tmp_path / str(number)
        folder.mkdir()
        controller = ClusterController(api, folder, programs, binaries)
        controller.component = "destination"
        found.append(controller)
        return controller.start(f"--addr=127.0.0.1:{8086 + number}", f"--admin-addr=127.0.0.1:{9990 + number}", "--log-level=info,destination=debug",
                                kubeconfig=kubeconfig_of(api, "linkerd-destination", folder / "kubeconfig")).ready()

    yield start
    for controller in found:
        controller.close()
        controller.program.stop()


def workload(name="vm", ips=("192.0.2.1",), ready=True, labels=None, **spec):
    return {"apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload", "metadata": meta(name, labels={"app": "web", **(labels or {})}),
            "spec": {"meshTLS": {"identity": f"spiffe://root/{name}", "serverName": f"{name}.example"}, "workloadIPs": [{"ip": ip} for ip in ips],
                     "ports": [{"name": "http", "port": 8080}], **spec},
            "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}


def service(name="web", ip="10.96.20.1", **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name, labels={"team": "shop"}),
            "spec": {"clusterIP": ip, "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}], **spec}}


def slices(api):
    return json.loads(api.kubectl("get", "endpointslices", "-l", MANAGED, "-o", "json"))["items"]


def ready(api):
    """address -> whether it is ready, of all slices."""
    return {address: endpoint["conditions"]["ready"] for each in slices(api) for endpoint in each.get("endpoints") or [] for address in endpoint["addresses"]}


def wait_ready(api, expected):
    until(lambda: ready(api) == expected, lambda: slices(api), LONG)


def patch(api, name, change, kind="merge"):
    api.kubectl("patch", "endpointslice", name, f"--type={kind}", "--patch", json.dumps(change))


def used(api):
    """What the destination's service account has asked of EndpointSlices, by the API server's audit log."""
    events = [json.loads(line) for line in (api.folder / "control" / "audit.log").read_text().splitlines() if "endpointslices" in line]
    return {event["verb"] for event in events if event["user"]["username"] == "system:serviceaccount:linkerd:linkerd-destination"}


def granted(api):
    rules = json.loads(api.kubectl("get", "clusterrole", "linkerd-linkerd-destination", "-o", "json"))["rules"]
    return {verb for rule in rules if "endpointslices" in rule["resources"] for verb in rule["verbs"]}


def metric(replica, name):
    return {line.split(" ")[0]: float(line.split(" ")[1]) for line in replica.http("/metrics")[1].splitlines() if line.startswith(name)}


def test_they_come_change_and_go(api, replicas):
    replica = replicas()
    api.apply(service(), workload(labels={"topology.kubernetes.io/zone": "east"}))
    wait_ready(api, {"192.0.2.1": True})
    (made,) = slices(api)
    uid = json.loads(api.kubectl("get", "service", "web", "-o", "json"))["metadata"]["uid"]
    assert made["metadata"]["name"].startswith("linkerd-external-web-")
    assert made["metadata"]["labels"] == {"team": "shop", "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": MANAGER}
    assert [(each["kind"], each["name"], each["uid"], each["controller"]) for each in made["metadata"]["ownerReferences"]] == [("Service", "web", uid, True)]
    assert made["addressType"] == "IPv4" and made["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert made["endpoints"] == [{"addresses": ["192.0.2.1"], "conditions": {"ready": True, "serving": True, "terminating": False}, "zone": "east",
                                  "targetRef": {"kind": "ExternalWorkload", "namespace": "default", "name": "vm"}}]
    # The destination has it from there.
    stream = replica.watch_endpoints("web.default.svc.cluster.local:80")
    (item,) = stream.next().add.addrs
    assert item.tls_identity.uri_like_identity.uri == "spiffe://root/vm" and item.tls_identity.server_name.name == "vm.example"
    assert item.metric_labels["external_workload"] == "vm" and item.metric_labels["zone"] == "east"
    api.apply(workload("other", ["192.0.2.2"], ready=False))
    wait_ready(api, {"192.0.2.1": True, "192.0.2.2": False})
    api.apply(workload("other", ["192.0.2.2"]))
    wait_ready(api, {"192.0.2.1": True, "192.0.2.2": True})
    assert [each.metric_labels["external_workload"] for each in stream.next().add.addrs] == ["other"]
    assert [each["metadata"]["name"] for each in slices(api)] == [made["metadata"]["name"]]  # the same one
    api.delete("externalworkload", "vm")
    wait_ready(api, {"192.0.2.2": True})
    assert stream.next().remove.addrs
    api.delete("service", "web")
    until(lambda: not slices(api), seconds=LONG)
    counted = metric(replica, "control_write")
    assert counted['control_writes_total{writer="endpointslices",verb="create"}'] == 1
    assert counted['control_writes_total{writer="endpointslices",verb="patch"}'] in (3, 4)  # 4: the first was seen before its status
    assert counted['control_writes_total{writer="endpointslices",verb="delete"}'] == 1
    assert counted['control_writer_leader{writer="endpointslices"}'] == 1


def test_families_and_headless(api, replicas):
    replicas()
    both = workload(ips=["192.0.2.1", "2001:db8::1"])
    api.apply(service("web", "None", clusterIPs=["None"], ipFamilyPolicy="SingleStack", ipFamilies=["IPv4"]), both)
    wait_ready(api, {"192.0.2.1": True})
    (made,) = slices(api)
    assert made["endpoints"][0]["hostname"] == "vm" and made["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    # Behind one that is not headless it loses its host name; a workload that names no such port is no endpoint.
    api.delete("service", "web")
    until(lambda: not slices(api), seconds=LONG)
    api.apply(service(), workload("none", ["192.0.2.9"], ports=[{"name": "other", "port": 1}]))
    wait_ready(api, {"192.0.2.1": True})
    assert "hostname" not in slices(api)[0]["endpoints"][0]


def test_damage_is_put_right(api, replicas):
    replica = replicas()
    foreign = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.77"]}],
               "metadata": meta("theirs", labels={"kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "somebody"})}
    api.apply(service(), workload(), foreign)
    wait_ready(api, {"192.0.2.1": True})
    (good,) = slices(api)
    name = good["metadata"]["name"]

    def same():
        found = slices(api)
        keys = ("endpoints", "ports", "addressType")
        return len(found) == 1 and all(found[0].get(key) == good[key] for key in keys) and all(
            found[0]["metadata"].get(key) == good["metadata"][key] for key in ("labels", "ownerReferences"))

    for change in ({"endpoints": []}, {"ports": []}, {"metadata": {"labels": {"kubernetes.io/service-name": None}}},
                   {"metadata": {"labels": {"kubernetes.io/service-name": "another"}}}, {"metadata": {"ownerReferences": None}},
                   {"endpoints": [{"addresses": ["192.0.2.66"]}]}, {"metadata": {"labels": {"team": "x"}}}):
        patch(api, name, change)
        until(same, lambda: (change, slices(api)), LONG)
    api.kubectl("delete", "endpointslice", name)
    until(same, lambda: slices(api), LONG)
    # A change that the store does not hear of: of the fields' managers alone.
    patch(api, name, [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}], "json")
    api.apply(workload(ips=["192.0.2.3"]))
    wait_ready(api, {"192.0.2.3": True})
    # Somebody takes it: it stays theirs, and another is made.
    patch(api, name, {"metadata": {"labels": {"endpointslice.kubernetes.io/managed-by": "somebody"}}})
    until(lambda: len(slices(api)) == 1 and slices(api)[0]["metadata"]["name"] != name, lambda: slices(api), LONG)
    theirs = json.loads(api.kubectl("get", "endpointslices", "theirs", name, "-o", "json"))["items"]
    assert [each["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] for each in theirs] == ["somebody"] * 2
    api.delete("service", "web")
    until(lambda: not slices(api), seconds=LONG)
    assert used(api) | {"list"} == granted(api)  # a list is asked for where a watch does not bring what is there
    assert theirs[0]["metadata"]["resourceVersion"] == json.loads(api.kubectl("get", "endpointslice", "theirs", "-o", "json"))["metadata"]["resourceVersion"]
    assert " WARN destination" not in replica.program.output


def test_what_the_server_refuses(api, replicas):
    """An address that no slice may have keeps the others of its Service from nothing."""
    replica = replicas()
    api.apply(service(), workload("bad", ["127.0.0.1"]), workload("good", ["192.0.2.1"]))
    wait_ready(api, {"192.0.2.1": True})
    assert " WARN destination" not in replica.program.output


def test_one_of_two_writes(api, replicas):
    first = replicas()
    first.program.wait_line(WRITES)
    second = replicas()
    api.apply(service(), workload())
    wait_ready(api, {"192.0.2.1": True})
    lease = json.loads(api.kubectl("get", "lease", LEASE, "--namespace=linkerd", "-o", "json"))
    assert lease["spec"]["holderIdentity"] and lease["spec"]["leaseDurationSeconds"] == 30
    assert "writes EndpointSlices" not in second.program.output
    version = slices(api)[0]["metadata"]["resourceVersion"]
    first.program.stop()  # which gives the lease up
    second.program.wait_line(WRITES, timeout=LONG)
    api.apply(workload("other", ["192.0.2.2"]), service("elsewhere", "10.96.20.2", selector={"app": "x"}), workload("x", ["192.0.2.3"], labels={"app": "x"}))
    wait_ready(api, {"192.0.2.1": True, "192.0.2.2": True, "192.0.2.3": True})
    assert slices(api)[0]["metadata"]["resourceVersion"] != version
    before = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in slices(api)}
    third = replicas()  # takes nothing, writes nothing
    second.program.stop()
    third.program.wait_line(WRITES, timeout=LONG)
    api.apply(service("last", "10.96.20.3", selector={"app": "last"}), workload("last", ["192.0.2.4"], labels={"app": "last"}))
    until(lambda: "192.0.2.4" in ready(api), lambda: slices(api), LONG)
    after = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in slices(api)}
    assert {name: after[name] for name in before} == before  # what is as it should be is not written again


def test_the_api_server_restarts(api, replicas):
    replica = replicas()
    api.apply(service(), workload())
    wait_ready(api, {"192.0.2.1": True})
    api.stop_apiserver()
    replica.program.wait_line("this replica .* no longer writes EndpointSlices of external workloads", timeout=LONG)
    api.start_apiserver()
    api.apply(workload("other", ["192.0.2.2"]))
    api.delete("externalworkload", "vm")
    wait_ready(api, {"192.0.2.2": True})
