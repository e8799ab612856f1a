"""install, upgrade, prune and uninstall of `linkerd` against a real API server: what they ask, print, keep, refuse and leave."""

import base64
import json
import os
import subprocess
import time

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from cluster.api import Api
from cluster.cluster import missing_programs
from lib import netns
from lib.issuers import make as make_anchor
from lib.kubernetes import definition
from lib.manifests import pod
from lib.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not netns.available(), reason="network namespaces need root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

CRDS_FIRST = "linkerd install --crds | kubectl apply --server-side -f -"
# Installations that print different kinds and fields.
VARIANTS = [[], ["--ha"], ["--linkerd-cni-enabled", "--set", "proxy.nativeSidecar=false"],
            ["--set", "disableIPv6=false,proxy.nativeSidecar=false,proxy.tracing.enabled=true,deploymentStrategy.rollingUpdate=null,deploymentStrategy.type=Recreate"]]
OURS = "linkerd.io/control-plane-ns=linkerd"
# Kinds that the API server itself writes to at any time, or that no installation has.
NOT_COMPARED = {"events", "events.events.k8s.io", "leases.coordination.k8s.io", "apiservices.apiregistration.k8s.io", "componentstatuses",
                "endpoints", "namespaces"}


class Cluster:
    """An API server, kubectl and the program."""

    def __init__(self, api, binary, folder):
        self.api, self.binary, self.folder = api, binary, folder
        self.kubeconfig = api.control.admin

    def linkerd(self, *words, text=None, env=None, kubeconfig=None):
        done = self.api.host.run([self.binary, *map(str, words), *(["--kubeconfig", kubeconfig or self.kubeconfig] if env is None else [])], input=text, check=False,
                                 timeout=60, cwd=self.folder, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1", **(env or {})})
        assert done.returncode in (0, 1), done.stderr
        return done

    def printed(self, *words, **options):
        done = self.linkerd(*words, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words, **options):
        done = self.linkerd(*words, **options)
        assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr
        return done.stderr

    def apply(self, text, *flags):
        return self.api.kubectl("apply", "--validate=strict", *flags, "-f", "-", text=text)

    def delete(self, text):
        return self.api.kubectl("delete", "--wait=false", "-f", "-", text=text)

    def get(self, kind, name, namespace="linkerd"):
        return json.loads(self.api.kubectl("get", kind, name, "-n", namespace, "-o", "json"))

    def everything(self):
        """The names of all objects, but for those of no interest."""
        kinds = set(self.api.kubectl("api-resources", "--verbs=list", "-o", "name").split()) - NOT_COMPARED
        return set(self.api.kubectl("get", ",".join(sorted(kinds)), "-A", "-o",
                                    'jsonpath={range .items[*]}{.apiVersion} {.kind} {.metadata.namespace}/{.metadata.name}{"\\n"}{end}').splitlines())

    def install(self, *words):
        self.apply(self.printed("install", "--crds"), "--server-side")
        self.api.kubectl("wait", "--for=condition=Established", "crd", "-l", OURS, "--timeout=30s")
        text = self.printed("install", *words)
        self.apply(text)
        return text

    def versions(self, text):
        found = json.loads(self.api.kubectl("get", "-f", "-", "-o", "json", text=text))["items"]
        return {(one["kind"], one["metadata"]["name"]): one["metadata"]["resourceVersion"] for one in found}

    def definitions_gone(self):
        """Whether those that are being deleted are gone. The server tries less and less often where an attempt met storage that was just being set
        up; a change wakes it."""
        left = [name for name in self.api.kubectl("get", "crd", "-o", 'jsonpath={range .items[?(@.metadata.deletionTimestamp)]}{.metadata.name}{"\\n"}{end}').split()]
        if left:
            self.api.kubectl("annotate", "--overwrite", "crd", *left, f"test/again={time.monotonic()}", check=False)
        return not left

    def delete_definitions(self, *which):
        self.api.kubectl("delete", "crd", "--wait=false", *which)
        until(self.definitions_gone, seconds=60)

    def finish(self, namespace):
        """Its end; there is no controller that would bring it."""
        self.api.kubectl("delete", "namespace", "--ignore-not-found", "--wait=false", namespace)
        self.api.kubectl("replace", "--raw", f"/api/v1/namespaces/{namespace}/finalize", "-f", "-", check=False, text=json.dumps(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}, "spec": {"finalizers": []}}))

    def clear(self):
        kubectl = self.api.kubectl
        kubectl("delete", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "--all")
        done = self.linkerd("uninstall", "--force")
        if done.stdout:
            self.delete(done.stdout)
        self.delete_definitions("--all")
        kubectl("delete", "configmap,secret", "--all", "-n", "linkerd", "--ignore-not-found", check=False)
        kubectl("delete", "pods", "--all", "--force", "--grace-period=0", check=False)
        for name in ("linkerd", "elsewhere", "extension"):
            self.finish(name)
        assert "linkerd" not in kubectl("get", "namespaces", "-o", "name")


@pytest.fixture(scope="module")
def api():
    with Api() as running:
        running.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "default"}})
        yield running


@pytest.fixture
def cluster(api, binaries, tmp_path):
    it = Cluster(api, binaries["linkerd"], tmp_path)
    yield it
    it.clear()


@pytest.fixture
def installed(cluster):
    cluster.install()
    return cluster


def objects(text):
    return [thing for thing in yaml.load_all(text, Loader=yaml.CSafeLoader) if thing]


def names(text):
    return [f"{thing['kind']} {thing['metadata'].get('namespace', '')}/{thing['metadata']['name']}" for thing in objects(text)]


def by_name(text):
    return dict(zip(names(text), objects(text)))


def overrides(secret):
    return yaml.safe_load(base64.b64decode(secret["data"]["linkerd-config-overrides"]))


# --- install ---

def test_install(cluster):
    """The definitions first, then the rest, then no second time."""
    assert CRDS_FIRST in cluster.refused("install")
    cluster.apply(cluster.printed("install", "--crds"), "--server-side")
    cluster.apply(cluster.printed("install"))
    said = cluster.refused("install")
    assert "there is an installation already" in said and "linkerd upgrade" in said
    assert cluster.printed("install", "-L", "elsewhere")  # another namespace has none
    assert cluster.printed("install", "--ignore-cluster")
    front = cluster.linkerd("--kubeconfig", cluster.kubeconfig, "-L", "elsewhere", "install", env={"KUBECONFIG": ""})
    assert front.returncode == 0 and by_name(front.stdout)["Namespace /elsewhere"], front.stderr


def not_unchanged(said):
    """What kubectl has changed, but for budgets: it sends their selectors each time, same or not."""
    return [line for line in said.splitlines() if not line.endswith(" unchanged") and not line.startswith("poddisruptionbudget.policy/")]


@pytest.mark.parametrize("words", VARIANTS, ids=" ".join)
def test_the_same_applied_again_changes_nothing(cluster, words):
    """All that is printed is what the API server keeps: nothing that it drops as empty, or writes differently."""
    text = cluster.install(*words)
    before = cluster.versions(text)
    assert not_unchanged(cluster.apply(text)) == []
    assert not_unchanged(cluster.apply(cluster.printed("upgrade"))) == []
    assert cluster.versions(text) == before
    assert any(line.endswith(" configured") for line in not_unchanged(cluster.apply(cluster.printed("upgrade", "--controller-replicas", "4"))))


def test_the_same_plugin_applied_again_changes_nothing(cluster):
    text = cluster.printed("install-cni", "--set", "repairController.enabled=true,nodeTaint.enabled=true")
    cluster.apply(text)
    try:
        assert not_unchanged(cluster.apply(text)) == []
    finally:
        cluster.delete(text)
        cluster.finish("linkerd-cni")


def test_some_definitions_are_missing(installed):
    installed.delete_definitions("servers.policy.linkerd.io")
    said = installed.refused("install", "-L", "elsewhere")
    assert "lacks 1 definitions" in said and "servers.policy.linkerd.io" in said and CRDS_FIRST in said


@pytest.mark.parametrize("words", [["install"], ["upgrade"]])
def test_gateway_api_of_somebody_else(cluster, words):
    mine = names(cluster.printed(*words, "--crds"))
    assert "CustomResourceDefinition /httproutes.gateway.networking.k8s.io" in mine
    cluster.apply(cluster.printed(*words, "--crds"), "--server-side")
    assert names(cluster.printed(*words, "--crds")) == mine  # ours, so again
    cluster.delete_definitions("--all")
    route = definition("HTTPRoute", "httproutes", "gateway.networking.k8s.io", ["v1"])
    route["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
    cluster.api.define(route)
    done = cluster.linkerd(*words, "--crds")
    assert names(done.stdout) == [name for name in mine if "gateway.networking" not in name]
    assert "httproutes.gateway.networking.k8s.io" in done.stderr and "left as they are" in done.stderr
    assert names(cluster.printed(*words, "--crds", "--set", "installGatewayAPI=true")) == mine


def test_acting_for_another_user(cluster):
    said = cluster.refused("install", "--as", "ann", "--as-group", "dev")
    assert 'User "ann" cannot' in said and "--ignore-cluster" not in said
    cluster.apply(cluster.printed("install", "--crds", "--as", "ann", "--as-group", "system:masters"), "--server-side")


# --- upgrade ---

def test_upgrade_keeps_what_was_said(cluster):
    printed = cluster.install("--controller-replicas", "2", "--set", "podAnnotations.a=b", "--proxy-log-level", "warn")
    secret, roots = cluster.get("secret", "linkerd-identity-issuer"), cluster.get("configmap", "linkerd-identity-trust-roots")
    assert cluster.printed("upgrade") == printed  # nothing given, nothing changed
    cluster.apply(printed)
    assert cluster.printed("upgrade") == printed
    text = cluster.printed("upgrade", "--controller-replicas", "3", "--set", "podAnnotations.c=d")
    cluster.apply(text)
    assert cluster.get("secret", "linkerd-identity-issuer")["data"] == secret["data"]
    assert cluster.get("configmap", "linkerd-identity-trust-roots")["data"] == roots["data"]
    kept = overrides(cluster.get("secret", "linkerd-config-overrides"))
    assert (kept["controllerReplicas"], kept["podAnnotations"], kept["proxy"]["logLevel"]) == (3, {"a": "b", "c": "d"}, "warn")
    assert cluster.get("deployment", "linkerd-identity")["spec"]["replicas"] == 3
    # The same from what was printed, without a cluster.
    (cluster.folder / "all.yaml").write_text(text)
    assert cluster.printed("upgrade", "--from-manifests", "all.yaml") == cluster.printed("upgrade")
    assert cluster.printed("upgrade", "--from-manifests", "-", text=text) == cluster.printed("upgrade")


def test_upgrade_takes_no_authority_of_a_webhook_away(installed):
    """A caBundle that was applied, by Linkerd's manifests, would go with the next manifest; one that a component has written stays by itself."""
    def bundle(of):
        return of["webhooks"][0]["clientConfig"].get("caBundle")

    def printed():
        return bundle(by_name(installed.printed("upgrade"))[f"{kind} /{name}"])

    def written(text):
        installed.api.kubectl("patch", kind, name, "--type=json", "-p", json.dumps([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": text}]))

    kind, name = "MutatingWebhookConfiguration", "linkerd-proxy-injector-webhook-config"
    theirs, ours = (base64.b64encode(make_anchor(installed.folder, whose)[0].public_bytes(serialization.Encoding.PEM)).decode() for whose in ("theirs", "ours"))
    written(ours)
    assert printed() is None
    installed.apply(installed.printed("upgrade"))
    assert bundle(installed.get(kind, name)) == ours
    applied = by_name(installed.printed("install", "--ignore-cluster"))[f"{kind} /{name}"]
    applied["webhooks"][0]["clientConfig"]["caBundle"] = theirs
    installed.apply(yaml.safe_dump(applied))
    assert printed() == theirs
    written(ours)  # by the component that has taken over
    assert printed() == ours
    installed.apply(installed.printed("upgrade"))
    assert bundle(installed.get(kind, name)) == printed() == ours
    # Applied on the server, where nothing is noted: fields have owners.
    installed.api.kubectl("annotate", kind, name, "kubectl.kubernetes.io/last-applied-configuration-")
    assert printed() == ours
    # Of manifests there is what stands there.
    (installed.folder / "all.yaml").write_text(installed.printed("upgrade"))
    assert bundle(by_name(installed.printed("upgrade", "--from-manifests", "all.yaml"))[f"{kind} /{name}"]) == ours


def test_upgrade_of_nothing(cluster):
    said = cluster.refused("upgrade")
    assert "there is no installation in the namespace linkerd" in said and "linkerd install" in said
    (cluster.folder / "empty.yaml").write_text("kind: Service\nmetadata: {name: x}\n")
    assert "among the manifests" in cluster.refused("upgrade", "--from-manifests", "empty.yaml")


@pytest.mark.parametrize("annotations, says", [({"meta.helm.sh/release-name": "mesh"}, "Helm has made this installation (release mesh)"), ({}, "linkerd-config-overrides")])
def test_upgrade_without_kept_values(installed, annotations, says):
    installed.api.kubectl("delete", "secret", "linkerd-config-overrides", "-n", "linkerd")
    installed.api.kubectl("annotate", "configmap", "linkerd-config", "-n", "linkerd", *[f"{key}={value}" for key, value in annotations.items()], "x=y")
    assert says in installed.refused("upgrade")


def test_upgrade_without_an_issuer(installed):
    """It is in the values too, so it comes back; without it there, no new one is made."""
    issuer = installed.get("secret", "linkerd-identity-issuer")["data"]
    installed.api.kubectl("delete", "secret", "linkerd-identity-issuer", "-n", "linkerd")
    assert by_name(installed.printed("upgrade"))["Secret linkerd/linkerd-identity-issuer"]["data"] == issuer
    installed.api.kubectl("patch", "secret", "linkerd-config-overrides", "-n", "linkerd", "-p", json.dumps({"data": {"linkerd-config-overrides": base64.b64encode(b"{}").decode()}}))
    assert "the Secret linkerd-identity-issuer is not there" in installed.refused("upgrade")


def test_upgrade_of_linkerd_edge(cluster):
    """Its values, which are fewer; the identity from what is in force."""
    cluster.install("--identity-trust-domain", "mesh.example")
    edge = {"identity": {"issuer": {"tls": {"crtPEM": "old", "keyPEM": "old"}}}, "identityTrustAnchorsPEM": "old", "identityTrustDomain": "mesh.example",
            "linkerdVersion": "edge-24.1.1", "cliVersion": "linkerd/cli edge-24.1.1", "heartbeatSchedule": "1 2 * * *", "global": {"clusterDomain": "c.example"}}
    cluster.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "linkerd-config-overrides", "namespace": "linkerd"},
                       "stringData": {"linkerd-config-overrides": yaml.safe_dump(edge)}})
    issuer = cluster.get("secret", "linkerd-identity-issuer")["data"]
    done = cluster.linkerd("upgrade")
    found = by_name(done.stdout)
    assert found["Secret linkerd/linkerd-identity-issuer"]["data"] == issuer
    assert "edge-24.1.1" not in done.stdout and found["CronJob linkerd/linkerd-heartbeat"]["spec"]["schedule"] == "1 2 * * *"
    assert "global.clusterDomain of Linkerd 2.8 is now clusterDomain" in done.stderr
    kept = overrides(found["Secret linkerd/linkerd-config-overrides"])
    assert kept["clusterDomain"] == "c.example" and "linkerdVersion" not in kept


def test_upgrade_of_linkerd_2_8(cluster):
    """No kept values: the flags of that time, and what it made of them."""
    cluster.install()
    anchors = cluster.get("configmap", "linkerd-identity-trust-roots")["data"]["ca-bundle.crt"]
    cluster.api.kubectl("delete", "secret/linkerd-config-overrides", "configmap/linkerd-identity-trust-roots", "-n", "linkerd")
    flags = {"ha": "true", "proxy-log-level": "debug", "skip-outbound-ports": "[25,443]", "proxy-image": "gcr.io/x/y", "no-such-flag": "1",
             "identity-trust-anchors-file": "nowhere"}
    cluster.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "linkerd-config", "namespace": "linkerd"}, "data": {
        "global": json.dumps({"clusterDomain": "old.example", "cniEnabled": True, "identityContext": {
            "trustDomain": "old.trust", "trustAnchorsPem": anchors, "issuanceLifetime": "86400s", "scheme": "linkerd.io/tls"}}),
        "install": json.dumps({"cliVersion": "stable-2.8.1", "flags": [{"name": name, "value": value} for name, value in flags.items()]}), "proxy": "{}"}})
    addons = {"global": {"prometheusUrl": "prometheus.example:9090", "grafanaUrl": ""}, "grafana": {"enabled": True}, "tracing": {"enabled": True}}
    cluster.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "linkerd-config-addons", "namespace": "linkerd"},
                       "data": {"values": yaml.safe_dump(addons)}})
    done = cluster.linkerd("upgrade")
    assert "Linkerd 2.8's" in done.stderr, done.stderr
    kept = overrides(by_name(done.stdout)["Secret linkerd/linkerd-config-overrides"])
    assert (kept["clusterDomain"], kept["identityTrustDomain"], kept["cniEnabled"], kept["controllerReplicas"]) == ("old.example", "old.trust", True, 3)
    assert kept["proxy"]["logLevel"] == "debug" and kept["proxyInit"]["ignoreOutboundPorts"] == "25,443" and "gcr.io" not in done.stdout
    assert kept["identityTrustAnchorsPEM"] == anchors
    assert kept["prometheusUrl"] == "prometheus.example:9090" and not {"grafana", "tracing", "global"} & set(kept)
    for name in ("grafana", "tracing", "global.grafanaUrl"):
        assert f"the value {name} of Linkerd 2.8 has no successor and no effect" in done.stderr


def certificates(cluster, name):
    for words in (["certs", "anchor", "--out", name], ["certs", "issuer", "--out", f"{name}/issuer", "--ca", f"{name}/ca.crt", "--ca-key", f"{name}/ca.key"]):
        subprocess.run([cluster.binary, *words], cwd=cluster.folder, check=True, capture_output=True, timeout=30)
    return (cluster.folder / name / "ca.crt").read_text()


def with_anchors(path):
    return ["--identity-trust-anchors-file", path]


def with_issuer(name):
    return ["--identity-issuer-certificate-file", f"{name}/issuer/tls.crt", "--identity-issuer-key-file", f"{name}/issuer/tls.key"]


def test_upgrade_of_certificates(cluster):
    """Step by step as anchors are rotated: the bundle, the issuer, the old anchor away; a step too many is refused."""
    old, new = certificates(cluster, "old"), certificates(cluster, "new")
    (cluster.folder / "both.crt").write_text(old + new)
    cluster.install(*with_anchors("old/ca.crt"), *with_issuer("old"))

    def injected(name, anchors):
        thing = pod(name, "10.1.0.1", container={"image": "app"}, automountServiceAccountToken=False)
        thing["metadata"].setdefault("labels", {})["linkerd.io/control-plane-ns"] = "linkerd"
        thing["spec"]["containers"] = [{"name": "linkerd-proxy", "image": "proxy", "env": [{"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": anchors}]}]
        return thing

    cluster.api.apply(injected("web-0", old))
    assert "identity.issuer.tls: " in cluster.refused("upgrade", *with_issuer("new"))
    said = cluster.refused("upgrade", *with_anchors("new/ca.crt"), *with_issuer("new"))
    assert "do not vouch for the issuer in force" in said and "--force" in said
    assert cluster.printed("upgrade", "--force", *with_anchors("new/ca.crt"), *with_issuer("new"))
    said = cluster.refused("upgrade", *with_anchors("both.crt"), *with_issuer("new"))
    assert "pod default/web-0 does not trust the new issuer" in said and "the anchors of 1 pods" in said
    cluster.apply(cluster.printed("upgrade", *with_anchors("both.crt")))
    cluster.api.delete("pod", "web-0")
    cluster.api.apply(injected("web-1", old + new))
    cluster.apply(cluster.printed("upgrade", *with_issuer("new")))
    assert base64.b64decode(cluster.get("secret", "linkerd-identity-issuer")["data"]["crt.pem"]).decode().strip() == (
        cluster.folder / "new/issuer/tls.crt").read_text().strip()
    cluster.apply(cluster.printed("upgrade", *with_anchors("new/ca.crt")))
    assert cluster.get("configmap", "linkerd-identity-trust-roots")["data"]["ca-bundle.crt"].strip() == new.strip()


def test_upgrade_with_an_issuer_of_somebody_else(cluster):
    certificates(cluster, "a")
    read = lambda name: (cluster.folder / name).read_text()  # noqa: E731
    cluster.install("--identity-external-issuer", *with_anchors("a/ca.crt"))
    cluster.api.apply({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "linkerd-identity-issuer", "namespace": "linkerd"},
                       "stringData": {"tls.crt": read("a/issuer/tls.crt"), "tls.key": read("a/issuer/tls.key")}})
    found = by_name(cluster.printed("upgrade"))
    assert "Secret linkerd/linkerd-identity-issuer" not in found
    assert "tls" not in overrides(found["Secret linkerd/linkerd-config-overrides"])["identity"]["issuer"]
    certificates(cluster, "b")
    assert "do not vouch for the issuer in force" in cluster.refused("upgrade", *with_anchors("b/ca.crt"))


# --- prune ---

def leftover(kind, version, name, namespace=None, **more):
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": {"linkerd.io/control-plane-ns": "linkerd"},
                                                              **({"namespace": namespace} if namespace else {})}, **more}


def test_prune(installed):
    cluster = installed
    done = cluster.linkerd("prune")
    assert (done.returncode, done.stdout) == (0, "") and "nothing is left" in done.stderr
    made = leftover("Secret", "v1", "linkerd-proxy-injector-k8s-tls", "linkerd")
    owned = leftover("ConfigMap", "v1", "owned", "linkerd")
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1"}]
    left = [leftover("ClusterRole", "rbac.authorization.k8s.io/v1", "linkerd-linkerd-tap"), leftover("ServiceAccount", "v1", "linkerd-web", "linkerd"),
            leftover("ConfigMap", "v1", "linkerd-config-addons", "linkerd"),
            leftover("RoleBinding", "rbac.authorization.k8s.io/v1", "linkerd-tap-auth-reader", "kube-system",
                     roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"})]
    others = [{**leftover("ConfigMap", "v1", "mine", "linkerd"), "metadata": {"name": "mine", "namespace": "linkerd"}},
              {**leftover("ConfigMap", "v1", "theirs", "default"), "metadata": {"name": "theirs", "namespace": "default", "labels": {"linkerd.io/control-plane-ns": "other"}}}]
    cluster.api.apply(made, owned, *left, *others)
    text = cluster.printed("prune")
    assert sorted(names(text)) == sorted(f"{thing['kind']} {thing['metadata'].get('namespace', '')}/{thing['metadata']['name']}" for thing in left)
    in_json = cluster.printed("prune", "-o", "json")
    assert sorted(names(in_json.replace("}\n{", "}\n---\n{"))) == sorted(names(text))
    cluster.delete(text)
    assert cluster.printed("prune") == ""
    cluster.apply(cluster.printed("upgrade", "--disable-heartbeat"))
    assert "CronJob linkerd/linkerd-heartbeat" in names(cluster.printed("prune"))
    cluster.api.kubectl("delete", "configmap", "theirs")


# --- uninstall ---

@pytest.mark.parametrize("words", [[], ["--ha"], ["--set", "installNamespace=false"]])
def test_uninstall_leaves_nothing(cluster, words):
    before = cluster.everything()
    if words == ["--set", "installNamespace=false"]:
        cluster.api.kubectl("create", "namespace", "linkerd")
    cluster.install(*words)
    cluster.api.apply(  # what runs would have made, without the label
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "linkerd-sp-validator-k8s-tls", "namespace": "linkerd"}},
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "policy-controller-write", "namespace": "linkerd"}, "spec": {}})
    assert cluster.everything() > before
    done = cluster.linkerd("uninstall")
    kinds = [thing["kind"] for thing in objects(done.stdout)]
    assert kinds[0].endswith("WebhookConfiguration") and not any(kind.endswith("WebhookConfiguration") for kind in kinds[3:])
    if words == ["--set", "installNamespace=false"]:
        assert "Namespace" not in kinds and "the namespace linkerd stays" in done.stderr
    else:
        assert kinds[-1] == "Namespace"
    assert len(names(done.stdout)) == len(set(names(done.stdout)))
    cluster.delete(done.stdout)
    until(cluster.definitions_gone, seconds=60)
    assert cluster.everything() - before == set()
    assert json.loads(cluster.api.kubectl("get", "leases", "-n", "linkerd", "-o", "json"))["items"] == []
    if "Namespace" not in kinds:
        assert "there is no control plane" in cluster.linkerd("uninstall").stderr


def test_uninstall_is_refused_while_it_is_needed(installed):
    cluster = installed
    thing = pod("web-0", "10.1.0.1", container={"image": "app"}, automountServiceAccountToken=False)
    thing["metadata"]["labels"] = {"linkerd.io/control-plane-ns": "linkerd"}
    done = pod("job-0", "10.1.0.2", container={"image": "app"}, automountServiceAccountToken=False)
    done["metadata"]["labels"] = {"linkerd.io/control-plane-ns": "linkerd"}
    done["status"] = {"phase": "Succeeded"}
    cluster.api.apply(thing, done)
    said = cluster.refused("uninstall")
    assert "pod default/web-0 is injected" in said and "1 injected pods and 0 extensions" in said and "job-0" not in said
    assert cluster.printed("uninstall", "--force") == cluster.printed("uninstall", "-f")
    cluster.api.delete("pod", "web-0")
    cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "extension", "labels": {"linkerd.io/extension": "viz"}}})
    assert "the extension viz is installed in the namespace extension" in cluster.refused("uninstall")


def test_uninstall_leaves_definitions_that_are_used(installed):
    cluster = installed
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "a", "namespace": "default"},
             "spec": {"parentRefs": [{"group": "core", "kind": "Service", "name": "s", "port": 80}], "rules": [{"backendRefs": [{"name": "s", "port": 80}]}]}}
    server = {"apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server", "metadata": {"name": "a", "namespace": "default"},
              "spec": {"podSelector": {"matchLabels": {"app": "a"}}, "port": "http"}}
    assert cluster.linkerd("uninstall").stderr == ""
    cluster.api.kubectl("delete", "validatingwebhookconfigurations", "--all")  # nobody answers for them here
    cluster.api.apply(route, server)
    done = cluster.linkerd("uninstall")
    assert "the definition httproutes.gateway.networking.k8s.io stays: there are 1 objects of it" in done.stderr
    assert "with the definition servers.policy.linkerd.io go the 1 objects of it" in done.stderr
    left = {name for name in names(done.stdout) if name.startswith("CustomResourceDefinition")}
    assert "CustomResourceDefinition /servers.policy.linkerd.io" in left and "CustomResourceDefinition /grpcroutes.gateway.networking.k8s.io" in left
    assert "CustomResourceDefinition /httproutes.gateway.networking.k8s.io" not in left
    gateways = definition("Gateway", "gateways", "gateway.networking.k8s.io", ["v1"])
    gateways["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
    cluster.api.define(gateways)
    done = cluster.linkerd("uninstall")
    assert "grpcroutes.gateway.networking.k8s.io stays: something else has brought definitions" in done.stderr
    assert not [name for name in names(done.stdout) if "gateway.networking" in name]


# --- profiles of the control plane ---

def test_install_sp(cluster):
    assert "there is no installation in the namespace linkerd" in cluster.refused("install-sp")
    cluster.install("--cluster-domain", "c.example")
    cluster.api.kubectl("delete", "validatingwebhookconfigurations", "--all")  # nobody answers for them here
    done = cluster.linkerd("install-sp")
    assert "linkerd-controller-api, linkerd-prometheus and linkerd-grafana" in done.stderr
    cluster.apply(done.stdout)
    profile = cluster.get("serviceprofile", "linkerd-dst.linkerd.svc.c.example")
    assert profile["spec"]["routes"][0] == {"name": "POST /io.linkerd.proxy.destination.Destination/Get", "condition": {
        "method": "POST", "pathRegex": "/io\\.linkerd\\.proxy\\.destination\\.Destination/Get"}}
    for name in names(done.stdout):
        assert cluster.get("service", name.split("/")[1].split(".")[0])  # each is there
