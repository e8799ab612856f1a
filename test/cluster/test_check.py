"""Every row of `linkerd check` on a cluster: all is well, then one thing is broken at a time, and its row says so. The API server is real;
there are no nodes, so pods are what their statuses say."""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import subprocess
import threading

import pytest
import yaml

from cluster.api import Api
from cluster.cluster import missing_programs
from cluster.installed import NAMESPACE, WEB, Installed, Pair, b64
from lib import netns
from lib.manifests import meta

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not netns.available(), reason="network namespaces need root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "checks.md"
CRD, ROLE, BINDING = "crd", "clusterrole", "clusterrolebinding"
MWC, VWC = "mutatingwebhookconfiguration", "validatingwebhookconfiguration"


class World:
    def __init__(self, api, binary):
        self.api, self.binary = api, binary
        self.before = self.check("--pre")
        self.installed = Installed(api, binary)

    def run(self, *flags, kubeconfig=None):
        return self.api.host.run(["env", f"KUBECONFIG={kubeconfig or self.api.control.admin}", "ASAN_OPTIONS=detect_leaks=1", str(self.binary), *flags],
                                 check=False, timeout=60)

    def check(self, *flags, kubeconfig=None):
        """(status, {description: (result, error)}); every hint leads somewhere."""
        done = self.run("check", "--wait=0s", "-o", "json", *flags, kubeconfig=kubeconfig)
        assert done.stderr == "", done.stderr
        said, rows = json.loads(done.stdout), {}
        for category in said["categories"]:
            for row in category["checks"]:
                assert row["description"] not in rows or row["description"] == "the resource definitions are in force", row
                rows[row["description"]] = (row["result"], row.get("error"))
                if row["result"] != "success":
                    assert f"\n## {row['hint'].split('#')[1]}\n" in DOCS.read_text()
        assert said["success"] == (done.returncode == 0) == all(result != "error" for result, _ in rows.values())
        return done.returncode, rows


@pytest.fixture(scope="module")
def world(binaries):
    with Api() as api:
        yield World(api, binaries["linkerd"])


# --- what is broken: world -> a context in which it is ---

def gone(kind, name, namespace=NAMESPACE):
    return lambda world: world.installed.changed(kind, name, None, None if kind in (CRD, ROLE, BINDING, MWC, VWC) else namespace)


def changed(kind, name, change, namespace=NAMESPACE):
    return lambda world: world.installed.changed(kind, name, change, None if kind in (CRD, ROLE, BINDING, MWC, VWC, "node", "namespace") else namespace)


def there(*things):
    return lambda world: world.installed.there(*things)


def values(**changes):
    return lambda world: world.installed.values(**changes)


def both(*breaks):
    @contextlib.contextmanager
    def all_of_them(world):
        with contextlib.ExitStack() as stack:
            for one in breaks:
                stack.enter_context(one(world))
            yield

    return all_of_them


def nothing(world):
    return contextlib.nullcontext()


def renewed_lease(seconds):
    @contextlib.contextmanager
    def change(world):
        world.installed.renew_lease("node1", seconds)
        try:
            yield
        finally:
            world.installed.renew_lease("node1")

    return change


def unready(thing):
    thing["status"]["containerStatuses"][-1]["ready"] = False
    for condition in thing["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = "False"


def unready_proxy(thing):
    for one in thing["status"]["containerStatuses"] + thing["status"].get("initContainerStatuses", []):
        if one["name"] == "linkerd-proxy":
            one["ready"] = False


def unscheduled(thing):
    thing["status"]["conditions"][0].update(status="False", reason="Unschedulable", message="0/2 nodes are available")


def fewer_ready(thing):
    thing["status"].update(readyReplicas=0, availableReplicas=0)


def path(at, value):
    """A change: the value at a path of keys and numbers; None takes it away."""
    def change(thing):
        *parents, last = at
        for parent in parents:
            thing = thing.setdefault(parent, {}) if isinstance(thing, dict) else thing[parent]
        if value is None:
            del thing[last]
        else:
            thing[last] = value

    return change


def with_certificates(kind, name, of_world):
    """Like changed(), with data that is made of the world's certificates."""
    return lambda world: world.installed.changed(kind, name, functools.partial(of_world, world.installed))


def anchors(make):
    def change(installed, thing):
        thing["data"]["ca-bundle.crt"] = make(installed)

    return with_certificates("configmap", "linkerd-identity-trust-roots", change)


def issuer(make, key=None):
    def change(installed, thing):
        pair = make(installed)
        thing["data"] = {"crt.pem": b64(pair.pem), "key.pem": b64((key(installed) if key else pair).key_pem)}

    return with_certificates("secret", "linkerd-identity-issuer", change)


def serving(name, make):
    def change(installed, thing):
        thing["data"]["tls.crt"] = b64(make(installed).pem)

    return with_certificates("secret", f"{name}-k8s-tls", change)


def image(version):
    def change(thing):
        thing["metadata"].setdefault("annotations", {})["linkerd.io/proxy-version"] = version

    return change


IDENTITY_POD, WEB_POD = "linkerd-identity-0", "web-0"
INJECTOR, PROFILES, POLICIES = "linkerd-proxy-injector", "linkerd-sp-validator", "linkerd-policy-validator"
CNI = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("linkerd-cni-config", "linkerd-cni")},
    {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "linkerd-cni"}, "rules": []},
    {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "linkerd-cni"},
     "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "linkerd-cni"}, "subjects": []},
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("linkerd-cni", "linkerd-cni")},
    {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta("linkerd-cni", "linkerd-cni"), "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
            {"name": "install-cni", "image": "x"}]}}},
     "status": {"currentNumberScheduled": 2, "desiredNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 2}},
]


def cni(without=None):
    """The plugin, but for one of its objects; values that want it."""
    return both(values(cniEnabled=True), there(*[thing for thing in CNI if thing["kind"] != without]))


def cni_unready(world):
    last = {**CNI[-1], "status": {**CNI[-1]["status"], "numberReady": 1}}
    return both(values(cniEnabled=True), there(*CNI[:-1], last))(world)


def more_pods(node):
    """A second pod of each component, on this node."""
    @contextlib.contextmanager
    def change(world):
        pods = []
        for name in "linkerd-identity", "linkerd-destination", "linkerd-proxy-injector":
            thing = world.installed.get("pod", f"{name}-0", NAMESPACE)
            thing["metadata"]["name"] = f"{name}-1"
            thing["spec"]["nodeName"] = node
            pods.append(thing)
        with world.installed.there(*pods):
            yield

    return change


HA = both(values(highAvailability=True), more_pods("node2"))
STRICT = changed(MWC, f"{INJECTOR}-webhook-config", lambda thing: (
    thing["webhooks"][0].update(failurePolicy="Fail", namespaceSelector={"matchLabels": {"x": "y"}})))

# row, result, part of the sentence, what is broken, flags
ROWS = [
    ("the routes of the Gateway API are defined", "error", "grpcroutes.gateway.networking.k8s.io is not there", gone(CRD, "grpcroutes.gateway.networking.k8s.io")),
    ("the resource definitions are in force", "error", "missing: servers.policy.linkerd.io", gone(CRD, "servers.policy.linkerd.io")),
    ("the resource definitions are in force", "error", "missing: serviceprofiles.linkerd.io", gone(CRD, "serviceprofiles.linkerd.io"), "--crds"),
    # linkerd-existence
    ("the ConfigMap linkerd-config is there, and can be read", "error", "not found", gone("configmap", "linkerd-config")),
    ("the ConfigMap linkerd-config is there, and can be read", "error", "ConfigMap linkerd-config", changed("configmap", "linkerd-config", path(["data", "values"], "a: [b"))),
    ("the ConfigMap linkerd-config is there, and can be read", "error", "has no values", changed("configmap", "linkerd-config", path(["data", "values"], ""))),
    ("the heartbeat's ServiceAccount is there", "error", "missing: linkerd-heartbeat", gone("serviceaccount", "linkerd-heartbeat")),
    ("the control plane's ReplicaSets are ready", "error", "linkerd-identity has 0 of 1", changed("replicaset", "linkerd-identity", fewer_ready)),
    ("the control plane's ReplicaSets are ready", "error", "there is none of destination", gone("replicaset", "linkerd-destination")),
    ("every pod of the control plane has a node", "warning", f"{IDENTITY_POD}: 0/2 nodes", changed("pod", IDENTITY_POD, unscheduled)),
    ("the control plane's pods are ready", "error", f"{IDENTITY_POD}: the container linkerd-proxy is not ready", changed("pod", IDENTITY_POD, unready)),
    ("the control plane's pods are ready", "error", "no pod of identity is there", gone("pod", IDENTITY_POD)),
    ("clusterNetworks holds the nodes' networks of pods", "error", "10.88.1.0/24 of the node node1", values(clusterNetworks="10.96.0.0/16,10.88.1.0/25")),
    ("clusterNetworks holds the pods' addresses", "error", "of the pod web/web-0", values(clusterNetworks="10.96.0.0/16")),
    ("clusterNetworks holds the services' addresses", "error", "10.96.0.1 of the service default/kubernetes", values(clusterNetworks="10.88.0.0/16")),
    # linkerd-config
    ("its ClusterRoles are there", "error", "missing: linkerd-policy", gone(ROLE, "linkerd-policy")),
    ("its ClusterRoles are there", "error", "missing: linkerd-heartbeat", gone(ROLE, "linkerd-heartbeat")),
    ("its ClusterRoleBindings are there", "error", "missing: linkerd-linkerd-destination", gone(BINDING, "linkerd-linkerd-destination")),
    ("its ServiceAccounts are there", "error", "missing: linkerd-identity", gone("serviceaccount", "linkerd-identity")),
    ("its MutatingWebhookConfiguration is there", "error", "missing: linkerd-proxy-injector-webhook-config", gone(MWC, f"{INJECTOR}-webhook-config")),
    ("its ValidatingWebhookConfigurations are there", "error", "missing: linkerd-sp-validator-webhook-config", gone(VWC, f"{PROFILES}-webhook-config")),
    ("linkerd-init has the user that the nodes' runtime needs", "error", "node2", changed("node", "node2", path(
        ["status", "nodeInfo", "containerRuntimeVersion"], "docker://19"))),
    # linkerd-cni-plugin
    ("the plugin's ConfigMap is there", "error", "not found", cni("ConfigMap")),
    ("the plugin's ClusterRole is there", "error", "not found", cni("ClusterRole")),
    ("the plugin's ClusterRoleBinding is there", "error", "not found", cni("ClusterRoleBinding")),
    ("the plugin's ServiceAccount is there", "error", "not found", cni("ServiceAccount")),
    ("the plugin's DaemonSet is there", "error", "not found", cni("DaemonSet")),
    ("the plugin is ready on all nodes", "error", "ready on 1 of 2 nodes", cni_unready),
    # linkerd-identity
    ("trust anchors and issuer can be read", "error", "has no ca-bundle.crt", changed("configmap", "linkerd-identity-trust-roots", path(["data"], {}))),
    ("trust anchors and issuer can be read", "error", "ca-bundle.crt", anchors(lambda i: "nonsense")),
    ("trust anchors and issuer can be read", "error", "linkerd-identity-issuer", gone("secret", "linkerd-identity-issuer")),
    ("trust anchors and issuer can be read", "error", "the key is not that of the certificate", issuer(lambda i: i.issuer, lambda i: i.anchor)),
    ("the trust anchors have keys of a sound kind", "error", "RSA 1024", anchors(lambda i: i.anchor.pem + Pair("weak", ca=True, key="rsa", bits=1024).pem)),
    ("the trust anchors are within their validity", "error", "old expired at", anchors(lambda i: i.anchor.pem + Pair("old", ca=True, begins=-9, ends=-1).pem)),
    ("the trust anchors are within their validity", "error", "new is valid from", anchors(lambda i: i.anchor.pem + Pair("new", ca=True, begins=1).pem)),
    ("the trust anchors are valid for at least 60 days", "warning", "soon", anchors(lambda i: i.anchor.pem + Pair("soon", ca=True, ends=59).pem)),
    ("the issuer has a key of a kind that can sign here", "error", "has a key of RSA 2048", issuer(lambda i: Pair("i", i.anchor, ca=True, key="rsa"))),
    ("the issuer is within its validity", "error", "expired at", issuer(lambda i: Pair("i", i.anchor, ca=True, begins=-9, ends=-1))),
    ("the issuer is valid for at least 60 days", "warning", "left", issuer(lambda i: Pair("i", i.anchor, ca=True, ends=59))),
    ("the trust anchors vouch for the issuer", "error", "", issuer(lambda i: Pair("i", Pair("stranger", ca=True), ca=True))),
    # webhooks
    *[row for name, said in ((INJECTOR, "the injector's"), (PROFILES, "the sp-validator's"), (POLICIES, "the policy-validator's")) for row in (
        (f"{said} certificate is one that the API server believes", "error", "not found", gone("secret", f"{name}-k8s-tls")),
        (f"{said} certificate is one that the API server believes", "error", f"is not for {name}.linkerd.svc",
         serving(name, lambda i: Pair("x", i.authority, dns=["x.linkerd.svc"]))),
        (f"{said} certificate is one that the API server believes", "error", "expired", serving(
            name, functools.partial(lambda name, i: i.serving(name, begins=-9, ends=-1), name))),
        (f"{said} certificate is one that the API server believes", "error", "webhook-config and the Secret", serving(
            name, functools.partial(lambda name, i: Pair(name, Pair("stranger", ca=True), dns=[f"{name}.linkerd.svc"]), name))),
        (f"{said} certificate is one that the API server believes", "error", "caBundle is empty", changed(
            MWC if name == INJECTOR else VWC, f"{name}-webhook-config", path(["webhooks", 0, "clientConfig", "caBundle"], None))),
        (f"{said} certificate is valid for at least 60 days", "warning", "left", serving(
            name, functools.partial(lambda name, i: i.serving(name, ends=59), name))))],
    # proxies' trust
    ("the anchors that pods were made with vouch for the issuer", "warning", "web/web-0", both(
        anchors(lambda i: i.other.pem), issuer(lambda i: Pair("i", i.other, ca=True))), "--proxy"),
    # versions
    ("this program has the expected version", "warning", "9.9.9 is expected", nothing, "--expected-version=9.9.9"),
    ("the control plane's version is known", "error", "linkerdVersion", values(linkerdVersion="")),
    ("the control plane has the expected version", "warning", "9.9.9 is expected", nothing, "--expected-version=9.9.9"),
    ("the control plane and this program have the same version", "warning", "the control plane is 0.0.9", values(linkerdVersion="0.0.9")),
    ("the control plane and this program have the same version", "warning", "this program is 0.0.8", nothing, "--cli-version-override=0.0.8"),
    ("the control plane's proxies are ready", "error", f"that of linkerd/{IDENTITY_POD}", changed("pod", IDENTITY_POD, unready_proxy)),
    ("the control plane's proxies have the expected version", "warning", "not 9.9.9", nothing, "--expected-version=9.9.9"),
    ("the control plane's proxies and this program have the same version", "warning", f"{IDENTITY_POD} (0.0.9)", changed("pod", IDENTITY_POD, image("0.0.9"))),
    # linkerd-data-plane
    ("the namespace is there", "error", "not found", nothing, "--proxy", "--namespace=nowhere"),
    ("the proxies are ready", "error", "that of web/web-0", changed("pod", WEB_POD, unready_proxy, WEB), "--proxy"),
    ("the proxies are ready", "error", "no pods with a proxy in the namespace default", nothing, "--proxy", "-n", "default"),
    ("the proxies have the expected version", "warning", "web/web-0", nothing, "--proxy", "--expected-version=9.9.9"),
    ("the proxies and this program have the same version", "warning", "web/web-0 (0.0.9)", changed("pod", WEB_POD, image("0.0.9"), WEB), "--proxy"),
    ("no annotation was written as a label of a pod", "warning", "linkerd.io/inject of web/web-0", changed(
        "pod", WEB_POD, path(["metadata", "labels", "linkerd.io/inject"], "enabled"), WEB), "--proxy"),
    ("no annotation was written as a label of a service", "warning", "config.linkerd.io/opaque-ports of web/web", changed(
        "service", "web", path(["metadata", "labels"], {"config.linkerd.io/opaque-ports": "80"}), WEB), "--proxy"),
    ("services have no annotations that are meant for pods", "warning", "linkerd.io/inject of web/web", changed(
        "service", "web", path(["metadata", "annotations"], {"linkerd.io/inject": "enabled"}), WEB), "--proxy"),
    ("each extension has one namespace", "warning", f"these have several: viz in default and {WEB}", both(*(changed(
        "namespace", name, path(["metadata", "labels", "linkerd.io/extension"], "viz")) for name in ("default", WEB)))),
    ("services and their pods agree on opaque ports", "warning", "service web/web has 3307, pod web-0 lacks 3307", changed(
        "service", "web", path(["metadata", "annotations"], {"config.linkerd.io/opaque-ports": "3300-3310"}), WEB), "--proxy"),
    ("services and their pods agree on opaque ports", "warning", "pod web/web-0 has 3307, service web lacks 3307", changed(
        "pod", WEB_POD, path(["metadata", "annotations", "config.linkerd.io/opaque-ports"], "sql"), WEB), "--proxy"),
    # linkerd-injection
    ("the annotations of namespaces are understood", "warning", "namespace web: ", changed(
        "namespace", WEB, path(["metadata", "annotations", "config.linkerd.io/proxy-cpu-limit"], "much"))),
    ("the annotations of namespaces are understood", "warning", "namespace web: ", changed(
        "namespace", WEB, path(["metadata", "annotations", "linkerd.io/inject"], "perhaps"))),
    ("the annotations of workloads are understood", "warning", "Deployment web/api: ", changed("deployment", "api", path(
        ["spec", "template", "metadata", "annotations", "config.linkerd.io/proxy-memory-limit"], "much"), WEB)),
    ("the annotations of workloads are understood", "warning", "Deployment web/api: ", changed("deployment", "api", path(
        ["spec", "template", "metadata", "annotations", "linkerd.io/inject"], "perhaps"), WEB)),
    # linkerd-ha-checks
    ("the injector is not asked about kube-system", "warning", "no pod of kube-system could start", both(HA, STRICT)),
    ("every component has several pods", "warning", "identity has 1", values(highAvailability=True)),
    ("the pods of a component run on different nodes", "warning", "identity on node1", both(values(highAvailability=True), more_pods("node1"))),
]


@pytest.mark.parametrize("row, result, sentence, broken, flags", [(*one[:4], one[4:]) for one in ROWS],
                         ids=[f"{number}-{one[0]}" for number, one in enumerate(ROWS)])
def test_a_row_fails(world, row, result, sentence, broken, flags):
    world.installed.renew_lease("node1")
    with broken(world):
        status, rows = world.check(*flags)
    assert row in rows, rows
    assert rows[row][0] == result and sentence in rows[row][1], rows[row]
    if result == "warning":
        assert status == (1 if any(result == "error" for result, _ in rows.values()) else 0)


ALL_WELL = [((), nothing), (("--proxy",), nothing), (("--proxy", "-n", WEB), nothing), (("--crds",), nothing), ((), HA), ((), cni()),
            (("--proxy", "--expected-version=0.1.0"), nothing)]


@pytest.mark.parametrize("flags, circumstances", ALL_WELL)
def test_all_is_well(world, flags, circumstances):
    with circumstances(world):
        status, rows = world.check(*flags)
    unasked = {row for row, (result, why) in rows.items() if result == "warning" and "not all proxies could be asked" in why}
    assert status == 0 and {result for row, (result, _) in rows.items() if row not in unasked} == {"success"}, rows
    assert unasked <= set(ASKED)
    missing = set(rows) - {row[0] for row in ROWS} - set(OTHERS)
    assert not missing, f"no test makes these fail: {missing}"


# --- before the installation ---

ANY = ["the cluster's address and credentials are known", "the Kubernetes API answers", "Kubernetes is 1.29 or newer"]
NAMESPACE_ROW = "the namespace of the control plane is there"  # nothing of an API server can be in a namespace that is not there
ASKED = ["the proxies that run believe the trust anchors in force", "the proxies that run have certificates of the issuer in force"]  # test_rotation.py
OTHERS = [*ANY, NAMESPACE_ROW, *ASKED]
RIGHTS = ["may create objects of the cluster", "may create ServiceAccounts", "may create Services", "may create Deployments", "may create CronJobs",
          "may create ConfigMaps", "may create Secrets", "may read Secrets", "may read the ConfigMap extension-apiserver-authentication"]
LEFT = [f"no {kind} of an earlier installation" for kind in (
    "ClusterRoles", "ClusterRoleBindings", "MutatingWebhookConfigurations", "ValidatingWebhookConfigurations")]
PRE = ["the namespace of the control plane is not there yet", "the clocks of the nodes agree with this one",
       "no resource definitions that are another's, or going away"]


def test_before_the_installation(world):
    status, rows = world.before
    assert status == 0 and {result for result, _ in rows.values()} == {"success"}, rows
    assert set(rows) == {*ANY, *RIGHTS, *LEFT, *PRE}


def test_what_is_left_of_an_installation(world):
    status, rows = world.check("--pre")
    assert status == 1
    assert rows["the namespace of the control plane is not there yet"] == ("error", "the namespace linkerd exists")
    for row in LEFT:
        assert rows[row][0] == "error" and "linkerd-" in rows[row][1], row
    assert rows["no resource definitions that are another's, or going away"][0] == "success"
    _, rows = world.check("--pre", "-L", "other")
    assert rows["the namespace of the control plane is not there yet"][0] == "success"
    result, said = rows["no resource definitions that are another's, or going away"]
    assert result == "error" and "authorizationpolicies.policy.linkerd.io belongs to the control plane in the namespace linkerd" in said


def test_rights(world):
    """A user who may look, and nothing else."""
    api = world.api
    user = {"kind": "ServiceAccount", "name": "nobody", "namespace": "default"}
    rules = [{"apiGroups": ["*"], "resources": ["customresourcedefinitions", "nodes", "leases", "namespaces", "clusterroles", "clusterrolebindings",
                                               "mutatingwebhookconfigurations", "validatingwebhookconfigurations"], "verbs": ["get", "list"]}]
    with world.installed.there({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("nobody")},
                               {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "look"}, "rules": rules},
                               {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "look"},
                                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "look"}, "subjects": [user]}):
        config = yaml.safe_load(pathlib.Path(api.control.admin).read_text())
        config["users"][0]["user"] = {"token": api.kubectl("create", "token", "nobody").strip()}
        mine = api.folder / "nobody.yaml"
        mine.write_text(yaml.safe_dump(config))
        _, rows = world.check("--pre", kubeconfig=mine)
    for row in RIGHTS:
        assert rows[row][0] == "error" and rows[row][1].startswith("not allowed: "), (row, rows[row])


@pytest.mark.parametrize("seconds, sentence", [(-120, "node1: its last sign of life is 2m"), (60, "node1: its clock is ahead")])
def test_clocks(world, seconds, sentence):
    world.installed.renew_lease("node2")
    with renewed_lease(seconds)(world):
        _, rows = world.check("--pre")
    result, said = rows["the clocks of the nodes agree with this one"]
    assert result == "warning" and sentence in said, said


# --- no cluster, or another ---

def test_no_cluster(world):
    status, rows = world.check("--kubeconfig=/nowhere")
    assert status == 1 and list(rows) == OTHERS[:1] and "/nowhere" in rows[OTHERS[0]][1]
    config = yaml.safe_load(pathlib.Path(world.api.control.admin).read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://{world.api.host.ip4}:1"
    (world.api.folder / "refused.yaml").write_text(yaml.safe_dump(config))
    status, rows = world.check(kubeconfig=world.api.folder / "refused.yaml")
    assert status == 1 and list(rows) == OTHERS[:2] and rows[OTHERS[1]][0] == "error"


@pytest.fixture
def pretender(tmp_path, binaries):
    """pretender(answer): rows of a check that asks a server whose answer(path) is (status, text)."""
    servers = []

    def check(answer):
        class Server(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status, text = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "config").write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}))
        done = subprocess.run([binaries["linkerd"], "check", "--wait=0s", "-o", "json"], env={**os.environ, "KUBECONFIG": str(tmp_path / "config")},
                              capture_output=True, text=True, timeout=60)
        return {row["description"]: (row["result"], row.get("error")) for category in json.loads(done.stdout)["categories"]
                for row in category["checks"]}

    yield check
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("minor, result", [("28", "error"), ("28+", "error"), ("29", "success"), ("30+", "success"), ("", "error")])
def test_kubernetes_version(pretender, minor, result):
    version = json.dumps({"major": "1", "minor": minor, "gitVersion": f"v1.{minor}.0"})
    rows = pretender(lambda path: (200, version) if path == "/version" else (404, "{}"))
    assert rows["Kubernetes is 1.29 or newer"][0] == result, rows


@pytest.mark.parametrize("answer", [(404, '{"message": "namespaces \\"linkerd\\" not found"}'), (403, '{"message": "forbidden"}'), (200, "<html>")])
def test_namespace(world, pretender, answer):
    """All else is as the API server says."""
    rows = pretender(lambda path: answer if path == "/api/v1/namespaces/linkerd" else (200, world.api.kubectl("get", f"--raw={path}")))
    assert rows[NAMESPACE_ROW][0] == "error" and list(rows)[-1] == NAMESPACE_ROW


def test_waits(world):
    """A row that is not well yet is asked about again."""
    pod = world.installed.get("pod", IDENTITY_POD, NAMESPACE)
    with world.installed.changed("pod", IDENTITY_POD, unready):
        timer = threading.Timer(2, lambda: world.installed.put(pod))
        timer.start()
        done = world.run("check", "--wait=60s")
        timer.join()
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("\nStatus check results are √\n") and "\r" not in done.stdout


def test_version(world):
    """`linkerd version` reads the same objects."""
    assert world.run("version").stdout == "Client version: 0.1.0\nServer version: 0.1.0\n"
    assert world.run("version", "--proxy", "-n", WEB).stdout.endswith("Proxy versions:\n\t0.1.0 (1 pods)\n")
    with world.installed.changed("pod", WEB_POD, image("0.0.9"), WEB):
        assert {"\t0.0.9 (1 pods)", "\t0.1.0 (3 pods)"} <= set(world.run("version", "--proxy").stdout.splitlines())
    with values(linkerdVersion="0.0.8")(world):
        assert world.run("version", "--short").stdout == "0.1.0\n0.0.8\n"
    assert world.run("version", "-L", "nowhere").stdout.endswith("Server version: unavailable\n")
    assert world.run("version", "--proxy", "-n", "default").stdout.endswith("Proxy versions: unavailable\n")


def test_which_of_both(world):
    assert "exclude each other" in world.run("check", "--pre", "--api-addr=127.0.0.1:1").stderr
    assert "one of --pre" in world.run("check", "--pre", "--proxy").stderr
    assert world.run("check", "--wait=0s", "--admin-addr=127.0.0.1:1", "--api-addr=127.0.0.1:1").stdout.startswith("kernel\n")
