"""The control plane on a real API server: what is applied appears at its subscribers, whatever happens to the server meanwhile."""

import json
import signal

import grpc
import pytest

from cluster.api import Api
from cluster.cluster import missing_programs
from cluster.controller import ClusterController
from lib import netns
from lib.controller import make_csr
from lib.kubernetes import definition
from lib.manifests import pod, server, service
from lib.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not netns.available(), reason="network namespaces need root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

WEB = "web.default.svc.cluster.local:80"
LONG = 40  # seconds: more than the longest pause between attempts
PROFILES = definition("ServiceProfile", "serviceprofiles", "linkerd.io", ["v1alpha2"])
SERVERS = definition("Server", "servers", "policy.linkerd.io", ["v1beta1", "v1beta3"])


@pytest.fixture(scope="module")
def shared_api():
    with Api() as api:
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "linkerd"}})
        api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "default"}})
        yield api


@pytest.fixture
def api(shared_api):
    """With nothing of an earlier test."""
    yield shared_api
    for kinds in ("services,endpointslices,pods", "crd"):
        shared_api.kubectl("delete", kinds, "--field-selector=metadata.name!=kubernetes", "--grace-period=0", "--force")


@pytest.fixture
def control(api, tmp_path, programs, binaries):
    controller = ClusterController(api, tmp_path, programs, binaries)
    yield controller
    controller.close()
    if controller.program:
        controller.program.stop()


def web(**spec):
    return {**service(ip="10.96.10.1", **spec)}


def workload(name, ip):
    return pod(name, ip, container={"image": "app"}, automountServiceAccountToken=False)


def endpoints(*addresses, name="web-1", pods=()):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": [{"addresses": [address], "conditions": {"ready": True},
                           **({"targetRef": {"kind": "Pod", "namespace": "default", "name": pods[number]}} if pods else {})}
                          for number, address in enumerate(addresses)],
            "ports": [{"name": "p80", "port": 8080, "protocol": "TCP"}]}


def seen(addresses):
    return {f"{one.addr.ip.ipv4 >> 24}.{one.addr.ip.ipv4 >> 16 & 255}.{one.addr.ip.ipv4 >> 8 & 255}.{one.addr.ip.ipv4 & 255}:{one.addr.port}"
            for one in addresses}


def added(stream):
    return seen(stream.next(LONG).add.addrs)


def removed(stream):
    message = stream.next(LONG).remove
    return {f"{a.ip.ipv4 >> 24}.{a.ip.ipv4 >> 16 & 255}.{a.ip.ipv4 >> 8 & 255}.{a.ip.ipv4 & 255}:{a.port}" for a in message.addrs}


def test_objects_come_change_and_go(api, control):
    api.apply(web(), endpoints("10.1.0.1"))
    control.start().ready()
    assert control.http("/ready")[0] == 200
    stream = control.watch_endpoints(WEB)
    assert added(stream) == {"10.1.0.1:8080"}
    api.apply(endpoints("10.1.0.1", "10.1.0.2"))
    assert added(stream) == {"10.1.0.2:8080"}
    api.apply(endpoints("10.1.0.2"))
    assert removed(stream) == {"10.1.0.1:8080"}
    api.apply(endpoints("10.1.0.3", name="web-2"))
    assert added(stream) == {"10.1.0.3:8080"}
    api.delete("endpointslice", "web-2")
    assert removed(stream) == {"10.1.0.3:8080"}
    api.apply(workload("web-0", "10.1.0.4"), endpoints("10.1.0.4", name="web-3", pods=["web-0"]))
    address, = stream.next(LONG).add.addrs
    while not address.HasField("tls_identity"):  # the pod's status may come after the slice
        address, = stream.next(LONG).add.addrs
    assert address.tls_identity.dns_like_identity.name == "web.default.serviceaccount.identity.linkerd.cluster.local"
    api.delete("service", "web")
    assert not stream.next(LONG).no_endpoints.exists
    assert " WARN source" not in control.program.output and " ERROR source" not in control.program.output


def test_definitions_that_come_later(api, control):
    api.apply(web(), workload("web-0", "10.1.0.1"), endpoints("10.1.0.1", pods=["web-0"]))
    control.start().ready()
    profile, port = control.watch_profile(WEB), control.watch_port("web-0", 8080)
    assert not profile.next(LONG).routes
    assert port.next(LONG).protocol.HasField("detect")
    api.define(PROFILES, SERVERS)
    api.apply({"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
               "metadata": {"name": "web.default.svc.cluster.local", "namespace": "default"},
               "spec": {"routes": [{"name": "home", "condition": {"method": "GET", "pathRegex": "/"}}]}},
              server(proxyProtocol="HTTP/2"))
    while not (routes := profile.next(LONG).routes):
        pass
    assert routes[0].metrics_labels["route"] == "home"
    while not (now := port.next(LONG)).protocol.HasField("http2"):
        pass
    assert now.labels["name"] == "web-http"
    api.kubectl("delete", "crd", SERVERS["metadata"]["name"])  # takes its objects along
    while not port.next(LONG).protocol.HasField("detect"):
        pass


def test_a_broken_object_stays_as_it_was(api, control):
    api.define(SERVERS)
    api.apply(workload("web-0", "10.1.0.1"), server(proxyProtocol="HTTP/2"))
    control.start().ready()
    port = control.watch_port("web-0", 8080)
    assert port.next(LONG).protocol.HasField("http2")
    api.apply(server(proxyProtocol="SMTP"))
    control.program.wait_line(r"ERROR source: Server default/web-http: spec\.proxyProtocol: expected .*SMTP")
    assert port.quiet()
    api.apply(server(proxyProtocol="opaque"))
    assert port.next(LONG).protocol.HasField("opaque")


def test_the_api_server_and_etcd_restart(api, control):
    """The last good state is in force meanwhile, and what changed then arrives behind it."""
    api.apply(web(), endpoints("10.1.0.1"))
    control.start().ready()
    stream = control.watch_endpoints(WEB)
    assert added(stream) == {"10.1.0.1:8080"}
    api.stop_apiserver()
    control.program.wait_line("WARN source: EndpointSlice: .*; what is known stays in force")
    assert added(control.watch_endpoints(WEB)) == {"10.1.0.1:8080"} and control.http("/ready")[0] == 200
    api.start_apiserver()
    control.program.wait_line("INFO source: EndpointSlice: up to date again")
    api.apply(endpoints("10.1.0.1", "10.1.0.2"))
    assert added(stream) == {"10.1.0.2:8080"}
    api.stop_etcd()
    until(lambda: api.kubectl("get", "--raw=/readyz", check=False).strip() != "ok")
    assert added(control.watch_endpoints(WEB)) == {"10.1.0.1:8080", "10.1.0.2:8080"}
    api.start_etcd()
    api.apply(endpoints("10.1.0.2"))
    assert removed(stream) == {"10.1.0.1:8080"}
    assert control.http("/ready")[0] == 200 and stream.quiet()


def test_a_watch_that_is_too_old(api, control):
    """Compacted while the controller slept: it begins anew, and what went in between goes."""
    api.apply(web(), endpoints("10.1.0.1"), endpoints("10.1.0.2", name="web-2"))
    control.start().ready()
    stream = control.watch_endpoints(WEB)
    assert added(stream) == {"10.1.0.1:8080", "10.1.0.2:8080"}
    control.program.kill(signal.SIGSTOP)
    try:
        api.stop_apiserver()
        api.start_apiserver()
        api.delete("endpointslice", "web-2")
        api.apply(endpoints("10.1.0.1", "10.1.0.3"))
        api.compact()
        api.stop_apiserver()  # its memory of what was before goes with it
        api.start_apiserver()
    finally:
        control.program.kill(signal.SIGCONT)
    control.program.wait_line("source: EndpointSlice: the server does not have what came since; all is asked for anew", timeout=LONG)
    changes = [stream.next(LONG), stream.next(LONG)]
    assert seen(changes[0].add.addrs) == {"10.1.0.3:8080"}
    assert changes[1].HasField("remove") and stream.quiet()


def test_a_token_that_rotates_and_rights_that_come_later(api, control):
    """As a pod comes: with a service account's token in a file. Not ready before it may read what it needs."""
    api.apply(web(), endpoints("10.1.0.1"), {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "linkerd-destination", "namespace": "default"}})
    token = control.directory / "token"
    token.write_text("not.a.token")
    kubeconfig = control.directory / "kubeconfig"
    kubeconfig.write_text(f"""current-context: pod
clusters: [{{name: c, cluster: {{server: '{api.control.server}', certificate-authority: {api.control.pki.folder}/ca.crt}}}}]
users: [{{name: u, user: {{tokenFile: token}}}}]
contexts: [{{name: pod, context: {{cluster: c, user: u}}}}]
""")
    control.start(kubeconfig=kubeconfig)
    control.program.wait_line("WARN source: Service: .*status 401.*check the credentials")
    assert control.http("/ready")[0] != 200
    token.write_text(api.kubectl("create", "token", "linkerd-destination"))
    control.program.wait_line("WARN source: Service: .*status 403.*the role of this user or service account must allow it", timeout=LONG)
    assert control.http("/ready")[0] != 200
    api.kubectl("create", "clusterrole", "reader", "--verb=list,watch", "--resource=namespaces,nodes,services,pods,endpointslices.discovery.k8s.io")
    api.kubectl("create", "clusterrolebinding", "reader", "--clusterrole=reader", "--serviceaccount=default:linkerd-destination")
    control.program.wait_line("start: ready", timeout=LONG)
    assert added(control.watch_endpoints(WEB)) == {"10.1.0.1:8080"}


@pytest.mark.parametrize("component", ["identity", "all"])
def test_tokens_are_checked_by_the_api_server(api, control, component):
    control.component = component
    control.start().ready()
    name = "web.default.serviceaccount.identity.linkerd.cluster.local"
    token = api.kubectl("create", "token", "web", "--audience=identity.l5d.io").strip()
    assert control.certify(name, token, make_csr(name)).leaf_certificate
    for_the_server = api.kubectl("create", "token", "web").strip()
    for wrong in (for_the_server, token[:-4] + "AAAA", "nonsense"):
        with pytest.raises(grpc.RpcError) as error:
            control.certify(name, wrong, make_csr(name))
        assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION, error.value
    events = {"ServiceAccount": ("web", "IssuedLeafCertificate"), "Deployment": ("linkerd-identity", "IssuerUpdated")}

    def told():
        found = [(one["involvedObject"]["kind"], one["involvedObject"]["name"], one["reason"])
                 for one in json.loads(api.kubectl("get", "events", "--all-namespaces", "-o", "json"))["items"]]
        return all((kind, *what) in found for kind, what in events.items())

    until(told)
    other = "api.default.serviceaccount.identity.linkerd.cluster.local"
    with pytest.raises(grpc.RpcError) as error:
        control.certify(other, token, make_csr(other))
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
