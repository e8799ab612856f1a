"""linkerd install prints what `helm template` prints, object for object, and refuses the values that it refuses."""

import base64
import json
import pathlib
import resource
import statistics

import pytest
import yaml

from cluster.installed import Pair
from lib import helm as helms

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(__file__).parent / "testdata"
CHART = ROOT / "chart"
CONTROL_PLANE = CHART / "linkerd-control-plane"
CLI_VERSION = "cliVersion=linkerd/cli 0.1.0"


@pytest.fixture(scope="session")
def helm():
    found = helms.find()
    if not found:
        pytest.skip("Helm is not built: scripts/deps cluster")
    return found


@pytest.fixture(scope="session")
def certs(binaries, tmp_path_factory):
    """A file of values with an anchor and an issuer."""
    import subprocess
    folder = tmp_path_factory.mktemp("certs")
    run = lambda *words: subprocess.run([binaries["linkerd"], *words], cwd=folder, check=True, capture_output=True, timeout=30)  # noqa: E731
    run("certs", "anchor")
    run("certs", "issuer")
    read = lambda name: (folder / name).read_text()  # noqa: E731
    (folder / "certs.yaml").write_text(json.dumps({
        "identityTrustAnchorsPEM": read("ca.crt"),
        "identity": {"issuer": {"tls": {"crtPEM": read("issuer/tls.crt"), "keyPEM": read("issuer/tls.key")}}}}))
    return folder / "certs.yaml"


OVERRIDES = ("v1", "Secret", "linkerd", "linkerd-config-overrides")


def objects(text):
    found = {}
    for document in yaml.load_all(text, Loader=yaml.CSafeLoader):
        if document:
            key = (document["apiVersion"], document["kind"], document["metadata"].get("namespace", ""), document["metadata"]["name"])
            assert key not in found, f"{key} twice"
            found[key] = document
    return found


def assert_same(ours, theirs):
    assert ours.returncode == 0, ours.stderr
    assert theirs.returncode == 0, theirs.stderr
    mine, its = objects(ours.stdout), objects(theirs.stdout)
    mine.pop(OVERRIDES, None)  # what the user gave: Helm keeps that itself
    assert mine.keys() == its.keys()
    for key, document in mine.items():
        assert document == its[key], key


# Values of thirty installations.
VALUES = {
    "nothing": {},
    "names of the cluster": {"clusterDomain": "example.org", "clusterNetworks": "10.1.0.0/16", "identityTrustDomain": "trust.example.org"},
    "dual stack": {"disableIPv6": False},
    "cni": {"cniEnabled": True},
    "cni, dual stack, own validator": {"cniEnabled": True, "disableIPv6": False, "networkValidator": {
        "connectAddr": "9.9.9.9:1", "listenAddr": "0.0.0.0:2", "timeout": "1m", "logFormat": "json", "enableSecurityContext": False}},
    "no native sidecars": {"proxy": {"nativeSidecar": False}},
    "no native sidecars, no waiting": {"proxy": {"nativeSidecar": False, "await": False, "waitBeforeExitSeconds": 7}},
    "resources everywhere": {**{f"{name}Resources": {"cpu": {"limit": 1, "request": "100m"}, "memory": {"limit": "1Gi"}} for name in
                                ("controller", "destination", "identity", "heartbeat", "proxyInjector", "spValidator")},
                             "policyController": {"resources": {"ephemeral-storage": {"request": "1Gi", "limit": "2Gi"}}},
                             "proxy": {"resources": {"cpu": {"request": "10m"}, "memory": {"limit": "128Mi"}}}},
    "resources of proxies": {f"{name}ProxyResources": {"cpu": {"request": "3m"}} for name in ("destination", "identity", "proxyInjector")},
    "large ids": {"controllerUID": 1000680000, "controllerGID": 1000680000, "proxy": {"uid": 1000690000, "gid": 1000690001}},
    "other ports": {"proxy": {"ports": {"admin": 14191, "control": 14190, "inbound": 14143, "outbound": 14140}}},
    "workers": {"proxy": {"runtime": {"workers": {"minimum": 2, "maximum": 4, "maximumCPURatio": 0.5}}}},
    "cores": {"proxy": {"cores": 3}},
    "proxy's durations": {"proxy": {"outboundConnectTimeout": "2s", "inboundConnectTimeout": "1m", "shutdownGracePeriod": "30s",
                                    "disableOutboundProtocolDetectTimeout": True, "disableInboundProtocolDetectTimeout": True,
                                    "control": {"streams": {"initialTimeout": "1s", "lifetime": "2h"}}}},
    "proxy's policies": {"proxy": {"defaultInboundPolicy": "deny", "requireIdentityOnInboundPorts": "80,443", "requireTLSOnInboundPorts": "81",
                                   "opaquePorts": "25", "enableExternalProfiles": True, "outboundTransportMode": "transparent"}},
    "proxy's logs": {"proxy": {"logLevel": "debug", "logFormat": "json", "logHTTPHeaders": "insecure", "accessLog": "apache"}},
    "proxy's environment": {"proxy": {"additionalEnv": [{"name": "A", "value": "b: c"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
                                      "experimentalEnv": [{"name": "C", "value": "1"}]}},
    "proxy's security context": {"proxy": {"securityContext": {"runAsUser": 5, "privileged": True}}},
    "token of the service account": {"identity": {"serviceAccountTokenProjection": False},
                                     "proxy": {"saMountPath": {"name": "token", "mountPath": "/var/run/x", "readOnly": True}},
                                     "proxyInit": {"saMountPath": {"name": "token", "mountPath": "/var/run/x", "readOnly": True}}},
    "tracing": {"controller": {"tracing": {"enabled": True, "collector": {"endpoint": "a:1"}}}, "proxy": {"tracing": {
        "enabled": True, "traceServiceName": "x", "collector": {"endpoint": "b:2", "meshIdentity": {"serviceAccountName": "s", "namespace": "n"}}}}},
    "init": {"proxyInit": {"iptablesMode": "legacy", "ignoreInboundPorts": "1,2-3", "ignoreOutboundPorts": "", "skipSubnets": "10.0.0.0/8",
                           "logLevel": "debug", "logFormat": "json", "closeWaitTimeoutSecs": 5,
                           "capabilities": {"add": ["SYS_ADMIN", "NET_RAW"], "drop": ["ALL", "NET_ADMIN"]}}},
    "init as root": {"proxyInit": {"runAsRoot": True, "privileged": True, "kubeAPIServerPorts": "", "ignoreInboundPorts": ""}},
    "init as nobody": {"proxyInit": {"runAsUser": 0, "runAsGroup": 0, "kubeAPIServerPorts": "443", "ignoreOutboundPorts": ""}},
    "images": {"registry": "registry.example.org/mesh/", "imagePullPolicy": "Never", "imagePullSecrets": [{"name": "one"}, {"name": "two"}],
               "controllerImageVersion": "sha256:" + "0123456789abcdef" * 4, "proxy": {"image": {"version": "v9", "pullPolicy": "Always"}}},
    "labels and annotations": {"commonLabels": {"a": "b", "on": "yes"}, "podLabels": {"c": "1"}, "podAnnotations": {"d": "x y: z", "e": "true"},
                               "identity": {"podAnnotations": {"f": "g", "d": "own"}}, "destinationController": {"podAnnotations": {"h": ""}}},
    "placement": {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}, {"key": "k", "value": "v", "effect": "NoSchedule"}],
                  "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [
                      {"key": "a", "operator": "In", "values": ["b"]}]}]}},
                  "priorityClassName": "system-cluster-critical", "runtimeClassName": "kata", "enablePodAntiAffinity": True},
    "strategy": {"controllerReplicas": 5, "revisionHistoryLimit": 0, "enablePodDisruptionBudget": True,
                 "controller": {"podDisruptionBudget": {"maxUnavailable": "30%"}}, "deploymentStrategy": {"type": "Recreate", "rollingUpdate": None}},
    "certificates of webhooks": {"proxyInjector": {"crtPEM": "CERT\n", "keyPEM": "KEY\n"}, "profileValidator": {"externalSecret": True, "caBundle": "CA"},
                                 "policyValidator": {"externalSecret": True, "injectCaFrom": "ns/cert", "injectCaFromSecret": "ns/secret"}},
    "selectors of webhooks": {"webhookFailurePolicy": "Fail", "proxyInjector": {"timeoutSeconds": 3, "namespaceSelector": None, "objectSelector": {
        "matchLabels": {"x": "y"}}}, "profileValidator": {"namespaceSelector": {"matchExpressions": []}}},
    "no heartbeat": {"disableHeartBeat": True},
    "heartbeat": {"heartbeat": {"address": "https://example.org/", "additionalEnv": [{"name": "A", "value": "1"}]}, "heartbeatSchedule": "1 2 * * *",
                  "prometheusUrl": "http://p:1"},
    "monitors": {"podMonitor": {"enabled": True, "scrapeInterval": "30s", "labels": {"release": "p"}, "proxy": {"honorTimestamps": True},
                                "controller": {"namespaceSelector": "any: true\n"}}},
    "issuer of somebody else": {"identity": {"issuer": {"scheme": "kubernetes.io/tls", "issuanceLifetime": "12h", "clockSkewAllowance": "1m"}}},
    "nothing of ours": {"identity": {"externalCA": True, "issuer": {"scheme": "kubernetes.io/tls"}}},
    "arguments": {"destinationController": {"additionalArgs": ["-x=1"], "experimentalArgs": ["-y"], "additionalEnv": [{"name": "A", "value": "1"}],
                                            "meshedHttp2ClientProtobuf": None}, "policyController": {"additionalArgs": ["--z"], "probeNetworks": []},
                  "controllerLogLevel": "debug", "controllerLogFormat": "json", "enablePprof": True, "enableH2Upgrade": False,
                  "enableEndpointSlices": False},
    "readers": {"configReaders": [{"kind": "ServiceAccount", "name": "x", "namespace": "y"}]},
    "a key in text": {"podAnnotations": {"lines": "a\nb\n", "long": "word " * 40, "quote": "it's \"so\"", "number": "1e3", "empty": ""}},
}


def put_under(values, certs):
    """The certificates, unless they come from elsewhere."""
    return [] if values.get("identity", {}).get("externalCA") else ["-f", certs]


@pytest.mark.parametrize("name", VALUES)
def test_same_objects(linkerd, helm, certs, tmp_path, name):
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(VALUES[name]))
    args = [*put_under(VALUES[name], certs), "-f", file, "--set", "installNamespace=true", "--set", CLI_VERSION]
    ours = linkerd("install", "--ignore-cluster", *args)
    assert_same(ours, helms.template(helm, CONTROL_PLANE, *args, home=tmp_path))
    assert ours.stdout == linkerd("install", "--ignore-cluster", *args).stdout  # and the same again
    in_json = linkerd("install", "--ignore-cluster", "-o", "json", *args)
    decoder, rest, documents = json.JSONDecoder(), in_json.stdout, []
    while rest.strip():
        document, end = decoder.raw_decode(rest.lstrip())
        documents.append(document)
        rest = rest.lstrip()[end:]
    assert documents == list(objects(ours.stdout).values())


def test_same_with_high_availability(linkerd, helm, certs, tmp_path):
    assert_same(linkerd("install", "--ignore-cluster", "--ha", "-f", certs),
                helms.template(helm, CONTROL_PLANE, "-f", CONTROL_PLANE / "values-ha.yaml", "-f", certs, "--set", "installNamespace=true",
                               "--set", CLI_VERSION, home=tmp_path))


@pytest.mark.parametrize("args", [[], ["--set", "installGatewayAPI=false"], ["--set", "enableHttpRoutes=false"],
                                  ["--set", "installGatewayAPI=false,enableTcpRoutes=true"]])
def test_same_definitions(linkerd, helm, tmp_path, args):
    ours = linkerd("install", "--crds", "--ignore-cluster", *args)
    assert_same(ours, helms.template(helm, CHART / "linkerd-crds", "--set", "installGatewayAPI=true", "--set", CLI_VERSION, *args, home=tmp_path))


@pytest.mark.parametrize("args", [
    ["--set", "proxy.uid=5,proxy.gid=6"], ["--set", "podAnnotations.a\\.b/c=d\\,e"], ["--set-string", "podAnnotations.a=true,podAnnotations.b=1"],
    ["--set", "imagePullSecrets[0].name=a,imagePullSecrets[1].name=b"], ["--set", "policyController.probeNetworks={10.0.0.0/8,fd00::/8}"],
    ["--set", "proxy.cores=null"], ["--set", "nodeSelector.kubernetes\\.io/os=null"], ["--set", "deploymentStrategy=null"],
    ["--set", "proxy.tracing.labels=null"], ["--set", "podAnnotations.z=007"], ["--set", "podAnnotations.z="],
    ["--set", "controllerReplicas=2", "--set", "controllerReplicas=3"], ["--set-file", "podAnnotations.f=FILE"],
    ["--set", "proxy.logLevel=warn\\,linkerd=info"], ["--set", "tolerations[0].operator=Exists,tolerations[0].key=k"],
    ["--set", "identityTrustDomain=null,proxy.image.version=null,networkValidator.connectAddr=null,proxyInjector.crtPEM=null,cniEnabled=true"],
    ["-f", "FILE2", "--set", "proxy.image.version=b"], ["-f", "FILE2", "-f", "FILE3"],
])
def test_same_grammar(linkerd, helm, certs, tmp_path, args):
    (tmp_path / "file").write_text("some\ntext: x\n")
    (tmp_path / "file2").write_text("proxy: {image: {version: a}, logLevel: info}\ncontrollerReplicas: 2\n")
    (tmp_path / "file3").write_text("proxy: {image: {version: null}}\ncontrollerReplicas: 0x3\n")
    paths = {"FILE": tmp_path / "file", "FILE2": tmp_path / "file2", "FILE3": tmp_path / "file3"}
    args = [str(paths.get(arg, arg)).replace("=FILE", f"={tmp_path}/file") for arg in args]
    common = ["-f", certs, *args, "--set", "installNamespace=true", "--set", CLI_VERSION]
    assert_same(linkerd("install", "--ignore-cluster", *common), helms.template(helm, CONTROL_PLANE, *common, home=tmp_path))


# What both refuse, and what our sentence says.
REFUSED = [
    (["--set", "proxy.logLevl=info"], "proxy.logLevl: there is no such value"),
    (["--set", "nonsense=1"], "nonsense: there is no such value"),
    (["--set", "controllerReplicas=0"], "controllerReplicas: is 0: expected at least 1"),
    (["--set", "controllerReplicas=many"], 'controllerReplicas: is "many": expected integer'),
    (["--set", "proxy.ports.inbound=70000"], "proxy.ports.inbound: is 70000: expected at most 65535"),
    (["--set", "proxy.ports=null"], "proxy: ports is missing"),
    (["--set", "proxy.uid=null"], "proxy: uid is missing"),
    (["--set", "imagePullPolicy=Sometimes"], 'imagePullPolicy: is "Sometimes": expected one of "Always", "IfNotPresent", "Never"'),
    (["--set", "identity.issuer.scheme=pem"], "identity.issuer.scheme: is \"pem\": expected one of"),
    (["--set", "identity.issuer.issuanceLifetime=soon"], "identity.issuer.issuanceLifetime: is \"soon\": expected a duration: 24h0m0s"),
    (["--set", "proxy.defaultInboundPolicy=allow"], "proxy.defaultInboundPolicy: is \"allow\": expected one of"),
    (["--set", "proxy.resources.cpu.request=lots"], "proxy.resources.cpu.request"),
    (["--set", "proxy.resources.memory.request=1Zi"], "proxy.resources.memory.request: is \"1Zi\": expected an amount of Kubernetes"),
    (["--set", "proxy.resources.cpus.request=1"], "proxy.resources.cpus: there is no such value"),
    (["--set", "proxy=none"], "proxy: is \"none\": expected object"),
    (["--set", "cniEnabled=yes"], "cniEnabled: is \"yes\": expected boolean"),
    (["--set-string", "cniEnabled=true"], "cniEnabled: is \"true\": expected boolean"),
    (["--set", "proxy.opaquePorts=a b"], "proxy.opaquePorts"),
    (["--set", "proxyInit.ignoreInboundPorts=x"], "proxyInit.ignoreInboundPorts"),
    (["--set-string", "proxyInit.ignoreInboundPorts=25\\, 9-5"], "proxyInit.ignoreInboundPorts: the range 9-5 begins above its end: expected the lower port first"),
    (["--set-string", "proxyInit.ignoreOutboundPorts=100-20"], "proxyInit.ignoreOutboundPorts: the range 100-20 begins above its end"),
    (["--set-string", "proxyInit.kubeAPIServerPorts=443\\,6443-644"], "proxyInit.kubeAPIServerPorts: the range 6443-644 begins above its end"),
    (["--set", "proxyInit.skipSubnets=10.0.0.0"], "proxyInit.skipSubnets"),
    (["--set-string", "proxyInit.ignoreInboundPorts=70000"], 'proxyInit.ignoreInboundPorts: is "70000": expected ports'),
    (["--set-string", "proxy.opaquePorts=25\\,65536"], 'proxy.opaquePorts: is "25,65536": expected ports, ranges or names'),
    (["--set", "proxyInit.skipSubnets=10.0.0.0/33"], 'proxyInit.skipSubnets: is "10.0.0.0/33": expected networks'),
    (["--set", "proxyInit.ignoreInboundPorts=25"], "proxyInit.ignoreInboundPorts: is 25: expected string: put it in quotes, or use --set-string"),
    (["--set", "clusterNetworks=10.256.0.0/16"], "clusterNetworks"),
    (["--set", "clusterNetworks=fd00::/129"], "clusterNetworks"),
    (["--set", "proxyInit.logLevel=loud"], "proxyInit.logLevel: is \"loud\": expected one of"),
    (["--set", "networkValidator.logLevel=loud"], "networkValidator.logLevel: is \"loud\": expected one of"),
    (["--set", "policyController.logLevel=loud"], "policyController.logLevel: is \"loud\": expected a level"),
    (["--set", "proxy.resources.cpu.request=-1"], "proxy.resources.cpu.request: is -1: expected at least 0"),
    (["--set", "proxyInit.iptablesMode=bpf"], "proxyInit.iptablesMode"),
    (["--set", "clusterDomain=a_b!"], "clusterDomain"),
    (["--set", "webhookFailurePolicy=Warn"], "webhookFailurePolicy"),
    (["--set", "proxy.additionalEnv[0].value=x"], "proxy.additionalEnv[0]: name is missing"),
    (["--set", "podAnnotations.a=1"], "podAnnotations.a: is 1: expected string"),
    (["--set", "proxy.image.version=sha256:abc"], "proxy.image.version"),
    (["--set", "controllerImage=Not An Image"], "controllerImage"),
    (["--set", "proxyInjector.crtPEM=A"], "the key of the certificate of linkerd-proxy-injector-k8s-tls is missing: keyPEM"),
    (["--set", "proxy.runtime.workers.maximumCPURatio=2"], "proxy.runtime.workers.maximumCPURatio"),
    (["--set", "a"], '--set: "a": a has no value: expected NAME=VALUE'),
    (["--set", "a.b"], '--set: "a.b": b has no value'),
    (["--set", "a[x]=1"], "is no index"),
    (["--set", "a[0]x=1"], 'unexpected "x=1" behind an index'),
    (["--set", "a={1,2"], "a list has no end: expected }"),
    (["--set", "a[70000]=1"], "is no index"),
    (["--set-file", "podAnnotations.a=/nowhere/at/all"], "/nowhere/at/all: No such file or directory"),
    (["-f", "/nowhere/at/all"], "/nowhere/at/all: No such file or directory"),
]


@pytest.mark.parametrize("args, says", REFUSED, ids=range(len(REFUSED)))
def test_both_refuse(linkerd, certs, tmp_path, args, says):
    done = linkerd("install", "--ignore-cluster", "-f", certs, *args)
    assert (done.returncode, done.stdout) == (1, "") and says in done.stderr, done.stderr
    assert all(line.startswith("linkerd: install: ") for line in done.stderr.splitlines())
    found = helms.find()
    if found:
        assert helms.template(found, CONTROL_PLANE, "-f", certs, *args, home=tmp_path).returncode != 0


@pytest.mark.parametrize("text, says", [
    ("a: [1", "values.yaml:1:"), ("- a\n", "values.yaml: is a list: expected a map of values"), ("a: b: c\n", "values.yaml:1:"),
    ("proxy:\n  cores: .inf\n", "values.yaml:2:10: .inf is no number"),
])
def test_both_refuse_files(linkerd, tmp_path, certs, text, says):
    (tmp_path / "values.yaml").write_text(text)
    done = linkerd("install", "--ignore-cluster", "-f", certs, "-f", "values.yaml")
    assert (done.returncode, done.stdout) == (1, "") and says in done.stderr, done.stderr
    if helms.find():
        assert helms.template(helms.find(), CONTROL_PLANE, "-f", certs, "-f", tmp_path / "values.yaml", home=tmp_path).returncode != 0


def test_every_mistake_is_told(linkerd, certs):
    done = linkerd("install", "--ignore-cluster", "-f", certs, "--set", "x=1,proxy.y=2,controllerReplicas=-1")
    assert done.returncode == 1
    assert {line.split(": ")[2] for line in done.stderr.splitlines()} == {"x", "proxy.y", "controllerReplicas"}


# --- flags ---

FLAGS = [
    (["--proxy-memory-limit", "1e9"], "proxy.resources.memory.limit=1e9"), (["--proxy-cpu-request", ".5"], "proxy.resources.cpu.request=.5"),
    (["--proxy-cpu-limit", "1500000u"], "proxy.resources.cpu.limit=1500000u"),
    (["--admin-port", "1"], "proxy.ports.admin=1"), (["--control-port=2"], "proxy.ports.control=2"), (["--inbound-port", "3"], "proxy.ports.inbound=3"),
    (["--outbound-port", "4"], "proxy.ports.outbound=4"), (["--cluster-domain", "a.b"], "clusterDomain=a.b"),
    (["--control-plane-version", "v1"], "linkerdVersion=v1"), (["--controller-gid", "7"], "controllerGID=7"), (["--controller-uid", "8"], "controllerUID=8"),
    (["--controller-log-level", "debug"], "controllerLogLevel=debug"), (["--controller-replicas", "2"], "controllerReplicas=2"),
    (["--default-inbound-policy", "deny"], "proxy.defaultInboundPolicy=deny"), (["--disable-h2-upgrade"], "enableH2Upgrade=false"),
    (["--disable-heartbeat"], "disableHeartBeat=true"), (["--enable-endpoint-slices=false"], "enableEndpointSlices=false"),
    (["--enable-external-profiles"], "proxy.enableExternalProfiles=true"), (["--identity-clock-skew-allowance", "5s"], "identity.issuer.clockSkewAllowance=5s"),
    (["--identity-issuance-lifetime", "1h"], "identity.issuer.issuanceLifetime=1h"), (["--identity-trust-domain", "t.d"], "identityTrustDomain=t.d"),
    (["--identity-external-issuer"], "identity.issuer.scheme=kubernetes.io/tls"), (["--identity-external-ca"], "identity.externalCA=true"),
    (["--image-pull-policy", "Always"], "imagePullPolicy=Always"), (["--linkerd-cni-enabled"], "cniEnabled=true"), (["--proxy-cpu-limit", "1"], "proxy.resources.cpu.limit=1"),
    (["--proxy-cpu-request", "10m"], "proxy.resources.cpu.request=10m"), (["--proxy-memory-limit", "1Gi"], "proxy.resources.memory.limit=1Gi"),
    (["--proxy-memory-request", "1Mi"], "proxy.resources.memory.request=1Mi"), (["--proxy-gid", "9"], "proxy.gid=9"), (["--proxy-uid", "10"], "proxy.uid=10"),
    (["--proxy-image", "x/y"], "proxy.image.name=x/y"), (["--proxy-log-level", "info"], "proxy.logLevel=info"), (["-v", "v3"], "proxy.image.version=v3"),
    (["--registry", "r.io/x"], "registry=r.io/x"), (["--skip-inbound-ports", "1", "--skip-inbound-ports", "2,3"], "proxyInit.ignoreInboundPorts=1\\,2\\,3"),
    (["--skip-outbound-ports", "4-5"], "proxyInit.ignoreOutboundPorts=4-5"),
]


@pytest.mark.parametrize("flags, value", FLAGS)
def test_flags_are_values(linkerd, certs, flags, value):
    by_flag = linkerd("install", "--ignore-cluster", "-f", certs, *flags)
    by_value = linkerd("install", "--ignore-cluster", "-f", certs, "--set", value)
    if "resources" in value:  # a quantity is text
        by_value = linkerd("install", "--ignore-cluster", "-f", certs, "--set-string", value)
    assert (by_flag.returncode, by_flag.stderr) == (0, "")
    assert by_flag.stdout == by_value.stdout


def test_what_was_set_beats_flags(linkerd, certs):
    done = linkerd("install", "--ignore-cluster", "-f", certs, "--ha", "--controller-replicas", "4", "--set", "controllerReplicas=6")
    assert objects(done.stdout)[("apps/v1", "Deployment", "linkerd", "linkerd-identity")]["spec"]["replicas"] == 6


@pytest.mark.parametrize("args, says", [
    (["--proxy-uid", "x"], 'invalid value "x" for --proxy-uid: expected a number'),
    (["--identity-issuance-lifetime", "x"], 'invalid value "x" for --identity-issuance-lifetime: expected a span of time'),
    (["--identity-trust-anchors-file", "nowhere"], "nowhere: No such file or directory"),
    (["--output", "xml"], "expected yaml|json"),
])
def test_wrong_flags(linkerd, args, says):
    done = linkerd("install", "--ignore-cluster", *args)
    assert (done.returncode, done.stdout) == (1, "") and says in done.stderr


def test_old_flags_are_told(linkerd, certs):
    done = linkerd("install", "--ignore-cluster", "-f", certs, "--addon-config", "x", "--smi-metrics", "--proxy-cpu", "5m")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "linkerd: install: --addon-config of Linkerd 2.8 has no successor and no effect",
        "linkerd: install: --smi-metrics of Linkerd 2.8 has no successor and no effect",
        "linkerd: install: --proxy-cpu is deprecated: use --proxy-cpu-request"]


def test_old_values_are_told(linkerd, certs, tmp_path):
    """The names of Linkerd 2.8; what is given under the new name too stays."""
    (tmp_path / "old.yaml").write_text(json.dumps({
        "global": {"clusterDomain": "old.example", "proxy": {"uid": 77, "logLevel": "debug", "trace": {"collectorSvcAddr": "a:1"},
                                                            "image": {"version": "v1"}, "destinationGetNetworks": "10.0.0.0/8"},
                   "controllerComponentLabel": "x", "controlPlaneTracing": True, "cniEnabled": True},
        "proxy": {"uid": 78}, "webImage": "w", "tap": {"crtPEM": ""}, "identity": {"issuer": {"crtExpiry": "never"}}}))
    new = {"clusterDomain": "old.example", "cniEnabled": True, "controller": {"tracing": {"enabled": True}},
           "proxy": {"uid": 78, "logLevel": "debug", "image": {"version": "v1"}, "tracing": {"collector": {"endpoint": "a:1"}}}}
    (tmp_path / "new.yaml").write_text(json.dumps(new))
    old, expected = (linkerd("install", "--ignore-cluster", "-f", certs, "-f", name) for name in ("old.yaml", "new.yaml"))
    assert old.returncode == 0 and old.stdout == expected.stdout and expected.stderr == ""
    assert set(old.stderr.splitlines()) == {f"linkerd: install: the value {line}" for line in (
        "global.clusterDomain of Linkerd 2.8 is now clusterDomain", "global.cniEnabled of Linkerd 2.8 is now cniEnabled",
        "global.proxy.uid of Linkerd 2.8 is now proxy.uid", "global.proxy.logLevel of Linkerd 2.8 is now proxy.logLevel",
        "global.proxy.trace.collectorSvcAddr of Linkerd 2.8 is now proxy.tracing.collector.endpoint",
        "global.proxy.image.version of Linkerd 2.8 is now proxy.image.version",
        "global.controlPlaneTracing of Linkerd 2.8 is now controller.tracing.enabled",
        "global.proxy.destinationGetNetworks of Linkerd 2.8 has no successor and no effect",
        "global.controllerComponentLabel of Linkerd 2.8 has no successor and no effect",
        "webImage of Linkerd 2.8 has no successor and no effect", "tap of Linkerd 2.8 has no successor and no effect",
        "identity.issuer.crtExpiry of Linkerd 2.8 has no successor and no effect")}


@pytest.mark.parametrize("words, says", [
    ([], "there is no kubeconfig file nowhere"), (["--context", "x"], "there is no kubeconfig file nowhere"), (["--as-group", "x", "--kubeconfig", "config"], "groups to act for, but no user"),
    (["--kubeconfig", "config"], "Connection refused"), (["--kubeconfig", "config", "--context", "y"], 'there is no context "y"'),
])
@pytest.mark.parametrize("front", [False, True])
def test_no_cluster(linkerd, tmp_path, monkeypatch, words, says, front):
    """The flags that say which cluster may stand in front of the command too."""
    monkeypatch.setenv("KUBECONFIG", "nowhere")
    (tmp_path / "config").write_text("""current-context: x
clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]
contexts: [{name: x, context: {cluster: c}}]
""")
    done = linkerd(*words, "install") if front else linkerd("install", *words)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("linkerd: install: the cluster cannot be asked (--ignore-cluster prints the manifests without): ") and says in done.stderr


# --- certificates ---

def test_new_certificates(linkerd, tmp_path):
    """An anchor of ten years, an issuer of one that it signed; others each time."""
    done = linkerd("install", "--ignore-cluster", "--identity-trust-domain", "example.org")
    found = objects(done.stdout)
    secret = found[("v1", "Secret", "linkerd", "linkerd-identity-issuer")]["data"]
    (tmp_path / "ca.crt").write_text(found[("v1", "ConfigMap", "linkerd", "linkerd-identity-trust-roots")]["data"]["ca-bundle.crt"])
    for name in ("crt.pem", "key.pem"):
        (tmp_path / name).write_bytes(base64.b64decode(secret[name]))
    shown = [linkerd("certs", "show", name).stdout for name in ("ca.crt", "crt.pem")]
    assert "root.linkerd.example.org" in shown[0] and "identity.linkerd.example.org" in shown[1]
    again = linkerd("install", "--ignore-cluster", "--identity-trust-anchors-file", "ca.crt", "--identity-issuer-certificate-file", "crt.pem",
                    "--identity-issuer-key-file", "key.pem", "--identity-trust-domain", "example.org")
    assert again.returncode == 0, again.stderr
    assert {key: what for key, what in objects(again.stdout).items() if key != OVERRIDES} == {
        key: what for key, what in found.items() if key != OVERRIDES}
    assert linkerd("install", "--ignore-cluster").stdout != linkerd("install", "--ignore-cluster").stdout


@pytest.mark.parametrize("args", [[], ["--ha", "--proxy-uid", "77"], ["--set", "podAnnotations.a=1\\,2,proxy.cores=null,tolerations[0].key=k", "--registry", "x"]])
def test_what_was_given_is_kept(linkerd, tmp_path, args):
    """The Secret says all that is needed to print the same again, the certificates that were made too."""
    first = linkerd("install", "--ignore-cluster", *args)
    assert first.returncode == 0, first.stderr
    (tmp_path / "kept.yaml").write_bytes(base64.b64decode(objects(first.stdout)[OVERRIDES]["data"]["linkerd-config-overrides"]))
    assert linkerd("install", "--ignore-cluster", "-f", "kept.yaml").stdout == first.stdout


def test_certificates_that_do_not_fit(linkerd, tmp_path):
    for folder in ("a", "b"):
        assert linkerd("certs", "anchor", "--out", folder).returncode == 0
        assert linkerd("certs", "issuer", "--out", f"{folder}/issuer", "--ca", f"{folder}/ca.crt", "--ca-key", f"{folder}/ca.key").returncode == 0

    def install(anchors, cert, key):
        words = []
        for flag, path in (("--identity-trust-anchors-file", anchors), ("--identity-issuer-certificate-file", cert), ("--identity-issuer-key-file", key)):
            words += [flag, path] if path else []
        return linkerd("install", "--ignore-cluster", *words)

    assert install("a/ca.crt", "a/issuer/tls.crt", "a/issuer/tls.key").returncode == 0
    for case, says in (
            (("a/ca.crt", None, None), "the issuer is missing"), ((None, "a/issuer/tls.crt", "a/issuer/tls.key"), "identityTrustAnchorsPEM is missing"),
            (("a/ca.crt", "a/issuer/tls.crt", None), "the issuer is missing"), (("b/ca.crt", "a/issuer/tls.crt", "a/issuer/tls.key"), "identity.issuer.tls: "),
            (("a/ca.crt", "a/issuer/tls.crt", "b/issuer/tls.key"), "identity.issuer.tls: "),
            (("a/ca.key", "a/issuer/tls.crt", "a/issuer/tls.key"), "identityTrustAnchorsPEM: "),
            (("a/ca.crt", "a/ca.key", "a/issuer/tls.key"), "identity.issuer.tls.crtPEM: ")):
        done = install(*case)
        assert (done.returncode, done.stdout) == (1, "") and says in done.stderr, (case, done.stderr)


ISSUER = "identity.linkerd.cluster.local"


def anchor(**how):
    return Pair("root.linkerd.cluster.local", ca=True, **how)


@pytest.mark.parametrize("make, says", [
    (lambda good: (good, Pair(ISSUER, good, ca=True, key="rsa")), "identity.issuer.tls.keyPEM: the key must be ECDSA P-256, this one is RSA 2048"),
    (lambda good: (good, Pair(ISSUER, good, ca=True, begins=-10, ends=-1)), f'certificate has expired (certificate 1 of the chain, "{ISSUER}")'),
    (lambda good: (good, Pair(ISSUER, good, ca=True, begins=2)), "certificate is not yet valid"),
    (lambda good: (good, Pair(ISSUER, good)), "the issuer's certificate is not that of a CA"),
    (lambda good: (old := anchor(begins=-10, ends=-1), Pair(ISSUER, old, ca=True)), "certificate has expired (certificate 2 of the chain"),
    (lambda good: (weak := anchor(key="rsa", bits=1024), Pair(ISSUER, weak, ca=True)), "key too weak"),
], ids=["rsa", "expired", "future", "no-ca", "expired-anchor", "weak-anchor"])
def test_certificates_that_certify_nobody(linkerd, tmp_path, make, says):
    trusted, issuer = make(anchor())
    for name, text in (("ca.crt", trusted.pem), ("tls.crt", issuer.pem), ("tls.key", issuer.key_pem)):
        (tmp_path / name).write_text(text)
    done = linkerd("install", "--ignore-cluster", "--identity-trust-anchors-file", "ca.crt", "--identity-issuer-certificate-file", "tls.crt",
                   "--identity-issuer-key-file", "tls.key")
    assert (done.returncode, done.stdout) == (1, "") and says in done.stderr, done.stderr


# --- what Linkerd's users know ---

def rows(name):
    return [line.split("\t") for line in (DATA / name).read_text().splitlines()]


def leaf(values, path):
    """The value at a path whose keys may hold dots themselves."""
    if not path:
        return values
    for end in range(len(path), 0, -1):
        key = ".".join(path[:end])
        if isinstance(values, dict) and key in values:
            return leaf(values[key], path[end:])
    return KeyError


# Our own images and version instead of theirs.
OWN = {"proxy.image.name", "controllerImage", "debugContainer.image.name", "linkerdVersion", "image.name", "image.version"}
READ_BY_TEMPLATES = "<used by templates; not in values.yaml>"


def test_defaults_are_those_of_the_table():
    files = {"linkerd-control-plane": "linkerd-control-plane/values.yaml", "linkerd-control-plane(values-ha)": "linkerd-control-plane/values-ha.yaml",
             "linkerd-crds": "linkerd-crds/values.yaml", "linkerd2-cni": "linkerd2-cni/values.yaml"}
    values = {chart: yaml.safe_load((CHART / file).read_text()) for chart, file in files.items()}
    wrong = []
    for chart, path, default in rows("values.tsv"):
        if default == READ_BY_TEMPLATES or path in OWN:
            continue
        if path == "nodeSelector.kubernetes.io/os":
            found = values[chart]["nodeSelector"]["kubernetes.io/os"]
        else:
            found = leaf(values[chart], path.split("."))
        text = json.dumps(found) if isinstance(found, (dict, list, bool)) or found is None else str(found) if found != "" else '""'
        if isinstance(found, str) and "\n" in found:
            text = json.dumps(found)
        if text != default:
            wrong.append((chart, path, default, found))
    assert wrong == []


def test_every_value_of_the_table_is_accepted():
    """Those that only templates read are in the schema."""
    for chart in ("linkerd-control-plane", "linkerd-crds", "linkerd2-cni"):
        schema = json.loads((CHART / chart / "values.schema.json").read_text())
        for name, path, default in rows("values.tsv"):
            at = schema
            if name != chart or default != READ_BY_TEMPLATES:
                continue
            for key in path.split("."):
                at = schema["definitions"][at["$ref"].rsplit("/", 1)[1]] if "$ref" in at else at
                assert key in at["properties"], path
                at = at["properties"][key]


VARIANTS = {"default": [], "ha": ["--ha"], "heartbeat-disabled": ["--disable-heartbeat"], "cni": ["--linkerd-cni-enabled"],
            "tracing": ["--set", "controller.tracing.enabled=true,controller.tracing.collector.endpoint=a:1"],
            "crds": ["--crds", "--set", "installGatewayAPI=false"], "crds+gatewayapi": ["--crds"]}
# Made by the component where no certificate is given.
LATER = {"linkerd-proxy-injector-k8s-tls", "linkerd-sp-validator-k8s-tls", "linkerd-policy-validator-k8s-tls"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_objects_of_the_table_are_there(linkerd, certs, variant):
    args = VARIANTS[variant] if variant.startswith("crds") else [*VARIANTS[variant], "-f", certs]
    found = objects(linkerd("install", "--ignore-cluster", *args).stdout)
    wanted = {(version, kind, namespace, name) for kind, version, name, namespace, variants in rows("objects.tsv")
              if variant in variants.split(",") and name not in LATER}
    assert wanted and wanted <= found.keys(), wanted - found.keys()


def test_definitions_serve_the_versions_of_the_table(linkerd):
    found = {(document["spec"]["names"]["kind"], document["spec"]["group"]): document["spec"]
             for document in objects(linkerd("install", "--crds", "--ignore-cluster").stdout).values()}
    for kind, version, plural, scope, names, flags in rows("crds.tsv"):
        group, version = version.rsplit("/", 1)
        spec = found[kind, group]
        served = next(each for each in spec["versions"] if each["name"] == version)
        flags = flags.split(";")
        assert (spec["names"]["plural"], spec["scope"]) == (plural, scope)
        assert f"short={','.join(spec['names'].get('shortNames', []))};singular={spec['names']['singular']}" == names
        assert served["served"] == ("served=true" in flags) and served["storage"] == ("storage=true" in flags)
        assert ("status" in served.get("subresources", {})) == ("status-subresource" in flags)
        assert served.get("deprecated", False) == ("deprecated" in flags)


def schema_at(schema, path):
    """What the definition says at a path of fields; lists are gone into."""
    for name in path.split("."):
        schema = schema.get("items", schema)["properties"][name]
    return schema.get("items", schema)


def test_httproute_has_the_fields_of_the_table(linkerd):
    """What policy.linkerd.io takes in each version: names of fields, or behind = the words that a field may have. ResponseHeaderModifier is
    for backends only, in Linkerd's too."""
    found = objects(linkerd("install", "--crds", "--ignore-cluster").stdout).values()
    definition = next(each for each in found if each["metadata"]["name"] == "httproutes.policy.linkerd.io")
    versions = {each["name"]: each["schema"]["openAPIV3Schema"]["properties"]["spec"] for each in definition["spec"]["versions"]}
    table = rows("httproute.tsv")
    assert versions.keys() == {version for version, _, _ in table}
    for version, path, wanted in table:
        at = schema_at(versions[version], path)
        has = "=" + ",".join(sorted(at["enum"])) if wanted.startswith("=") else ",".join(sorted(at["properties"]))
        assert has == wanted, (version, path)


def test_versions_are_one(linkerd):
    version = linkerd("version", "--client", "--short").stdout.strip()
    for chart in ("linkerd-crds", "linkerd-control-plane", "linkerd2-cni"):
        about = yaml.safe_load((CHART / chart / "Chart.yaml").read_text())
        assert about["version"] == about["appVersion"] == version
    assert yaml.safe_load((CONTROL_PLANE / "values.yaml").read_text())["linkerdVersion"] == version


def test_keys_stay_in_secrets(linkerd, certs):
    text = linkerd("install", "--ignore-cluster", "-f", certs, "--set", "proxyInjector.crtPEM=CERT,proxyInjector.keyPEM=THEKEY").stdout
    for key, document in objects(text).items():
        if key[1] != "Secret":
            assert "PRIVATE KEY" not in json.dumps(document) and "THEKEY" not in json.dumps(document), key


def test_no_rights_to_all_secrets(linkerd, certs):
    """No ClusterRole reads secrets, config maps or leases; no Role reads a secret whose name it does not say."""
    for key, document in objects(linkerd("install", "--ignore-cluster", "-f", certs).stdout).items():
        for rule in document.get("rules", []) or []:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"], key
            touchy = {"secrets", "configmaps", "leases"} & set(rule["resources"])
            assert not (key[1] == "ClusterRole" and touchy), key
            if "secrets" in touchy and set(rule["verbs"]) != {"create"}:
                assert rule.get("resourceNames"), key


def test_takes_no_time(linkerd, certs):
    """The median of what a run costs in CPU; with sanitizers it is another program."""
    costs = []
    for _ in range(21):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert linkerd("install", "--ignore-cluster", "--ha", "-f", certs).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert statistics.median(costs) < (0.05 if "asan" not in str(linkerd_path(linkerd)) else 2)


def linkerd_path(linkerd):
    return linkerd("version", "--client").args[0]
