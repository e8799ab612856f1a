"""The injector with a real API server: the chart's webhook configuration, Service and roles as they are, the component beside it with the
service account's token, its certificates made by itself."""

import base64
import itertools
import json
import pathlib
import re
import signal
import subprocess

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cluster.api import Api
from cluster.cluster import missing_programs
from lib import netns
from lib.controller import replace
from lib.issuers import make as make_anchor
from lib.wait import until
from lib.webhook import containers

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not netns.available(), reason="network namespaces need root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

SECRET, CONFIGURATION = "linkerd-proxy-injector-k8s-tls", "linkerd-proxy-injector-webhook-config"
ROOTS = "linkerd-identity-trust-roots"
LONG, SHORT = 60, 5


def chart(binaries):
    text = subprocess.run([binaries["linkerd"], "install", "--ignore-cluster"], capture_output=True, text=True, check=True).stdout
    return [o for o in yaml.safe_load_all(text) if o]


@pytest.fixture(scope="module")
def api(binaries):
    """With what the chart has for the injector but its Deployment; its Service leads to the API server's own host."""
    wanted = {"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service", "MutatingWebhookConfiguration"}
    with Api() as running:
        for thing in chart(binaries):
            if thing["kind"] not in wanted or ("proxy-injector" not in thing["metadata"]["name"] and thing["kind"] != "Namespace"):
                continue
            if thing["kind"] == "MutatingWebhookConfiguration":  # whatever goes wrong is to be seen
                thing["webhooks"][0]["failurePolicy"] = "Fail"
            running.apply(thing)
        running.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "default"}}, {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "injector", "namespace": "linkerd", "labels": {"kubernetes.io/service-name": "linkerd-proxy-injector"}},
            "endpoints": [{"addresses": [running.host.ip4], "conditions": {"ready": True}}],
            "ports": [{"name": "proxy-injector", "port": 8443, "protocol": "TCP"}]}, {
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "linkerd-proxy-injector", "namespace": "linkerd"},
            "subsets": [{"addresses": [{"ip": running.host.ip4}], "ports": [{"name": "proxy-injector", "port": 8443}]}]})
        yield running


class Replica:
    def __init__(self, api, programs, binaries, directory, number):
        self.api, self.programs, self.binaries, self.number = api, programs, binaries, number
        self.directory = pathlib.Path(directory)
        maps = {o["metadata"]["name"]: o["data"] for o in chart(binaries) if o["kind"] == "ConfigMap"}
        (self.directory / "values").write_text(maps["linkerd-config"]["values"])
        (self.directory / "anchors").write_text(maps["linkerd-identity-trust-roots"]["ca-bundle.crt"])
        replace(self.directory / "token", api.kubectl("create", "token", "linkerd-proxy-injector", "-n", "linkerd").strip())
        (self.directory / "kubeconfig").write_text(f"""current-context: pod
clusters: [{{name: c, cluster: {{server: '{api.control.server}', certificate-authority: {api.control.pki.folder}/ca.crt}}}}]
users: [{{name: u, user: {{tokenFile: token}}}}]
contexts: [{{name: pod, context: {{cluster: c, user: u}}}}]
""")

    def start(self, mounted=True):
        """With the anchors of its directory; or with those of the API server, as in the chart."""
        anchors = ["--trust-anchors", self.directory / "anchors"] if mounted else []
        self.program = self.programs.start([
            self.binaries["linkerd-controller"], "proxy-injector", "-linkerd-namespace=linkerd", "-make-certificate=true", "-log-level=debug",
            "--kubeconfig", self.directory / "kubeconfig", f"--addr={self.api.host.ip4}:{8443 + self.number}", f"--admin-addr=127.0.0.1:{9995 + self.number}",
            "--values", self.directory / "values", *anchors],
            namespace=self.api.host, name=f"injector-{self.number}")
        return self

    def page(self, path):
        return self.api.host.run(["curl", "-s", f"http://127.0.0.1:{9995 + self.number}{path}"], check=False).stdout

    def ready(self):
        until(lambda: self.page("/ready") == "ok\n", lambda: self.program.output, LONG)
        return self


@pytest.fixture
def replica(api, programs, binaries, tmp_path):
    made = []

    def make():
        directory = tmp_path / f"replica-{len(made)}"
        directory.mkdir()
        made.append(Replica(api, programs, binaries, directory, len(made)))
        return made[-1]

    yield make
    for one in made:
        if hasattr(one, "program"):
            one.program.stop()
    api.kubectl("delete", "pods,replicasets", "--all", "--grace-period=0", "--force", "-n", "default", check=False)
    api.kubectl("delete", "secret", SECRET, "-n", "linkerd", "--ignore-not-found")
    api.kubectl("patch", "mutatingwebhookconfiguration", CONFIGURATION, "--type=json", "-p",
                '[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]', check=False)


def pod(name, annotations):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "annotations": annotations},
            "spec": {"serviceAccountName": "web", "containers": [{"name": "app", "image": "app"}]}}


def create(api, thing):
    """The object as it was made, and what kubectl had to say besides."""
    done = api.host.run(["kubectl", f"--kubeconfig={api.control.admin}", "create", "-o", "json", "-f", "-"], input=json.dumps(thing), check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None, done.stderr


def get(api, kind, name, namespace="default"):
    return json.loads(api.kubectl("get", kind, name, "-n", namespace, "-o", "json"))


def bundle(api):
    client = get(api, "mutatingwebhookconfiguration", CONFIGURATION)["webhooks"][0]["clientConfig"]
    return x509.load_pem_x509_certificates(base64.b64decode(client["caBundle"])) if "caBundle" in client else []


def test_pods_get_proxies(api, replica):
    one = replica().start().ready()
    made, said = create(api, pod("web", {"linkerd.io/inject": "enabled"}))
    assert made, said
    assert containers(made)[:2] == ["linkerd-init", "linkerd-proxy"] and "Warning" not in said
    made, said = create(api, pod("warned", {"linkerd.io/inject": "enabled", "config.linkerd.io/admin-port": "none"}))
    assert made and "Warning: config.linkerd.io/admin-port" in said and "linkerd-proxy" in containers(made)
    made, said = create(api, pod("denied", {"linkerd.io/inject": "enabled", "config.linkerd.io/default-inbound-policy": "open"}))
    assert not made and "default-inbound-policy" in said
    made, said = create(api, pod("plain", {}))
    assert made and containers(made) == ["app"]
    assert 'owner_kind="",namespace="default",skip="false"' in one.page("/metrics")
    # A namespace that is younger than what the component knows of, in one go with its pods.
    young = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "young", "annotations": {"linkerd.io/inject": "enabled"}}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "young"}}
    thing = pod("web", {})
    thing["metadata"]["namespace"] = "young"
    api.control.apply(young, account)
    made, said = create(api, thing)
    assert made and "linkerd-proxy" in containers(made), said
    assert not re.search(r"\b403\b", one.program.output)


def test_one_that_ends_is_asked_for_a_while(api, replica):
    """Until API servers know that its endpoint goes: one that finds the port closed asks nobody else."""
    one = replica().start().ready()
    one.program.kill(signal.SIGTERM)
    one.program.wait_line("shutdown: draining")
    made, said = create(api, pod("late", {"linkerd.io/inject": "enabled"}))
    assert made and "linkerd-proxy" in containers(made), said
    assert one.program.wait_exit() == 0


def anchors_of(made):
    proxy = next(one for one in made["spec"]["initContainers"] if one["name"] == "linkerd-proxy")
    return next(one["value"] for one in proxy["env"] if one["name"] == "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS").strip()


def test_anchors_are_those_of_the_api_server(api, replica, tmp_path):
    """Not those of the volume, which the kubelet brings later: there is none here at all. What is no bundle changes nothing."""
    def tell(text):
        api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ROOTS, "namespace": "linkerd"}, "data": {"ca-bundle.crt": text}})

    def made_with(text):
        made, said = create(api, pod(f"pod-{next(numbers)}", {"linkerd.io/inject": "enabled"}))
        assert made, said
        return anchors_of(made) == text

    numbers = itertools.count()
    one = replica()
    first = (one.directory / "anchors").read_text().strip()
    second = make_anchor(tmp_path, "second")[0].public_bytes(serialization.Encoding.PEM).decode().strip()
    tell(first)
    try:
        one.start(mounted=False).ready()
        assert made_with(first)
        tell(f"{first}\n{second}")
        until(lambda: made_with(f"{first}\n{second}"), lambda: one.program.output, SHORT)
        line = len(one.program.lines)
        tell("nonsense")
        one.program.wait_line(f"the last good trust anchors stay in force: the ConfigMap {ROOTS}", start=line)
        assert made_with(f"{first}\n{second}")
        assert not re.search(r"\b403\b", one.program.output)
        api.stop_apiserver()
        api.start_apiserver()
        tell(second)
        until(lambda: made_with(second), lambda: one.program.output, LONG)
    finally:
        api.kubectl("delete", "configmap", ROOTS, "-n", "linkerd", "--ignore-not-found")


def test_the_api_server_restarts(api, replica):
    one = replica().start().ready()
    api.stop_apiserver()
    api.start_apiserver()
    made, said = create(api, pod("later", {"linkerd.io/inject": "enabled"}))
    assert made and "linkerd-proxy" in containers(made), said
    assert one.page("/ready") == "ok\n"


def test_replicas_agree(api, replica):
    """Both begin at once, without a Secret: one certificate, one authority. A Secret that is lost or broken is made anew, and what was
    believed before still is."""
    first, second = replica(), replica()
    first.start(), second.start()
    first.ready(), second.ready()
    made = [one.program.output.count("a new certificate is in the Secret") for one in (first, second)]
    assert sum(made) == 1, made
    believed = bundle(api)
    assert len(believed) == 1
    for port in (8443, 8444):
        shown = api.host.run(["openssl", "s_client", "-connect", f"{api.host.ip4}:{port}", "-showcerts"], input="", check=False).stdout
        leaf = x509.load_pem_x509_certificate(shown[shown.index("-----BEGIN"):].encode())
        leaf.verify_directly_issued_by(believed[0])
    # Broken by somebody: replaced, and the authority of before stays beside the new one.
    lines = [len(one.program.lines) for one in (first, second)]
    api.kubectl("patch", "secret", SECRET, "-n", "linkerd", "--type=merge", "-p", '{"data": {"tls.key": "bm9uZQ=="}}')
    until(lambda: len(bundle(api)) == 2, lambda: first.program.output + second.program.output, LONG)
    assert believed[0] in bundle(api)
    for one, start in zip((first, second), lines):
        one.program.wait_line("the serving certificate is that of", timeout=LONG, start=start)
    made, said = create(api, pod("after", {"linkerd.io/inject": "enabled"}))
    assert made and "linkerd-proxy" in containers(made), said
    manager = [f["manager"] for f in json.loads(api.kubectl("get", "mutatingwebhookconfiguration", CONFIGURATION, "-o", "json",
                                                            "--show-managed-fields"))["metadata"]["managedFields"]
               if "f:caBundle" in json.dumps(f)]
    assert manager == ["linkerd-proxy-injector"]


def owned(name, annotations, owner, **labels):
    thing = pod(name, annotations)
    thing["metadata"].update(labels=labels, ownerReferences=[{"controller": True, "uid": "5d5bfe4b-3bb3-4b65-a3a3-000000000001", **owner}])
    return thing


def test_events_on_the_owner(api, replica):
    """Of a Deployment with its uid, though the pod only knows its ReplicaSet; nothing of pods that nobody asked to inject."""
    def events():
        found = json.loads(api.kubectl("get", "events", "-n", "default", "-o", "json"))["items"]
        return {(event["involvedObject"]["kind"], event["involvedObject"]["name"], event["type"], event["reason"]): event for event in found}

    replica().start().ready()
    api.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "app"}]}}}})
    uid = get(api, "deployment", "web")["metadata"]["uid"]
    replicas = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6d4cf56db6"}
    enabled = {"linkerd.io/inject": "enabled"}
    try:
        for name, annotations in (("one", enabled), ("two", {**enabled, "config.linkerd.io/admin-port": "none", "config.linkerd.io/no-such": "x"}), ("three", {})):
            made, said = create(api, owned(name, annotations, replicas, **{"pod-template-hash": "6d4cf56db6"}))
            assert made, said
        made, said = create(api, owned("four", enabled, {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent"}))
        assert made, said
        wanted = {("Deployment", "web", "Normal", "Injected"), ("Deployment", "web", "Warning", "AnnotationIgnored"),
                  ("DaemonSet", "agent", "Normal", "Injected")}
        until(lambda: wanted <= set(events()), lambda: str(events().keys()), LONG)
        found = events()
        assert set(found) == wanted
        assert found["Deployment", "web", "Normal", "Injected"]["involvedObject"]["uid"] == uid
        ignored = found["Deployment", "web", "Warning", "AnnotationIgnored"]["message"]
        assert "config.linkerd.io/admin-port" in ignored and "config.linkerd.io/no-such" in ignored
    finally:
        api.kubectl("delete", "deployment/web", "-n", "default")
