"""The directory of manifests as a running controller follows it: every kind, each way to change a file, what is broken."""

import pytest

from control.test_destination import addresses
from lib.manifests import meta, pod, policy, route, server, service

WEB = "web.default.svc.cluster.local:80"


def kinds():
    """One document of each kind that the mesh uses."""
    ref = {"group": "policy.linkerd.io", "kind": "Server", "name": "web-http"}
    return {
        "Namespace": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}},
        "ServiceAccount": {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("web")},
        "Service": service(), "Pod": pod(),
        "Endpoints": {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta("manual"),
                      "subsets": [{"addresses": [{"ip": "10.3.0.1"}], "ports": [{"name": "p80", "port": 9000}]}]},
        "EndpointSlice": {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                          "metadata": meta("sliced-1", labels={"kubernetes.io/service-name": "sliced"}), "addressType": "IPv4",
                          "endpoints": [{"addresses": ["10.3.0.2"]}], "ports": [{"name": "p80", "port": 9001}]},
        "ExternalWorkload": {"apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload", "metadata": meta("vm"),
                             "spec": {"meshTLS": {"identity": "vm.example", "serverName": "vm.example"}, "workloadIPs": [{"ip": "10.3.0.3"}]}},
        "ServiceProfile": {"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
                           "metadata": meta("web.default.svc.cluster.local"), "spec": {"routes": []}},
        "Server": server(),
        "ServerAuthorization": policy("ServerAuthorization", "sa", "v1beta1", {
            "server": {"name": "web-http"}, "client": {"unauthenticated": True}}),
        "AuthorizationPolicy": policy("AuthorizationPolicy", "ap", "v1alpha1", {"targetRef": ref, "requiredAuthenticationRefs": []}),
        "MeshTLSAuthentication": policy("MeshTLSAuthentication", "mt", "v1alpha1", {"identities": ["*"]}),
        "NetworkAuthentication": policy("NetworkAuthentication", "na", "v1alpha1", {"networks": [{"cidr": "10.0.0.0/8"}]}),
        "HTTPRoute": route("hr", "web-http", [{}]),
        "GRPCRoute": route("gr", "web-http", [{}], kind="GRPCRoute"),
    }


def test_every_kind_in_one_file(control):
    documents = list(kinds().values())
    documents += [service("manual", "10.99.0.3", ((80, 9000),)), service("sliced", "10.99.0.4", ((80, 9001),))]
    control.write("all.yaml", *documents)
    control.start()
    control.program.wait_line(r"INFO source: \d+ objects from 1 files, 0 documents not in force")
    assert " ERROR source" not in control.program.output and " WARN source" not in control.program.output
    for name, address in (("web", "10.1.0.1:8080"), ("manual", "10.3.0.1:9000"), ("sliced", "10.3.0.2:9001")):
        assert addresses(control.watch_endpoints(f"{name}.default.svc.cluster.local:80").next().add.addrs) == {address}


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_a_broken_document_of_each_kind(control, kind):
    """Reported with file, line, field and reason; its last good version and everything else stay in force."""
    good = kinds()[kind]
    control.write("good.yaml", service("other", "10.99.0.9"), pod("other-0", "10.1.0.9", "other"))
    control.write("one.yaml", good)
    control.start()
    stream = control.watch_endpoints("other.default.svc.cluster.local:80")
    stream.next()
    line = len(control.program.lines)
    control.write("one.yaml", {**good, "metadata": {**good["metadata"], "labels": "not a map"}})
    control.program.wait_line(r"ERROR source: one\.yaml:\d+: .*metadata\.labels", start=line)
    control.write("more.yaml", pod("other-1", "10.1.0.10", "other"))
    assert addresses(stream.next().add.addrs) == {"10.1.0.10:8080"} and stream.quiet()
    assert control.http("/ready")[0] == 200


def test_each_way_to_change_a_file(control):
    control.write("web.yaml", service())
    control.start()
    stream = control.watch_endpoints(WEB)
    assert stream.next().no_endpoints.exists
    import yaml
    text = [yaml.safe_dump(pod(f"web-{i}", f"10.1.0.{i}")) for i in range(6)]
    path = control.source / "pods.yaml"
    path.write_text(text[1])  # new, in place
    assert addresses(stream.next().add.addrs) == {"10.1.0.1:8080"}
    with path.open("a") as file:  # appended, in two pieces: half a document is none
        file.write("---\n" + text[2][:40])
        file.flush()
        file.write(text[2][40:])
    assert addresses(stream.next().add.addrs) == {"10.1.0.2:8080"}
    control.write("pods.yaml", text[1], text[2], text[3])  # atomically
    assert addresses(stream.next().add.addrs) == {"10.1.0.3:8080"}
    path.rename(control.source / "renamed.yml")  # another name: the same objects
    (control.source / "folder").mkdir()
    (control.source / "folder" / "more.yaml").write_text(text[4])
    assert addresses(stream.next().add.addrs) == {"10.1.0.4:8080"}
    (control.source / ".hidden.yaml").write_text(text[5])  # not read
    (control.source / "notes.txt").write_text(text[5])
    (control.source / "folder" / "more.yaml").unlink()
    assert addresses(stream.next().remove.addrs) == {"10.1.0.4:8080"}
    (control.source / "renamed.yml").unlink()
    assert addresses(stream.next().remove.addrs) == {"10.1.0.1:8080", "10.1.0.2:8080", "10.1.0.3:8080"} and stream.quiet()


def test_the_oldest_wins_by_the_order_of_files(control):
    """Two documents of one name: the first file's counts, the other is said to wait, and takes its place."""
    control.write("a.yaml", service(ports=((80, 8080),)), pod())
    control.write("b.yaml", service(ports=((80, 9090),)))
    control.start()
    stream = control.watch_endpoints(WEB)
    assert addresses(stream.next().add.addrs) == {"10.1.0.1:8080"}
    control.program.wait_line(r"source: b\.yaml:\d+: .*a\.yaml")
    control.write("a.yaml", pod())
    found = set()
    while found != {"10.1.0.1:9090"}:
        update = stream.next()
        found = (found | addresses(update.add.addrs)) - addresses(update.remove.addrs)
