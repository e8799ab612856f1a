"""linkerd install-cni prints what `helm template` makes of the chart linkerd2-cni, and its flags are values of it."""

import json

import pytest

from cli.test_install import CHART, CLI_VERSION, assert_same, helm, objects  # noqa: F401 (helm is a fixture)
from lib import helm as helms

DIGEST = "sha256:" + "a" * 64
VALUES = [
    [], ["--set", "proxyGID=5,disableIPv6=false,iptablesMode=legacy,useWaitFlag=true"],
    ["--set", "commonLabels.a=b,podLabels.c=d,priorityClassName=x,privileged=true,image.digest=" + DIGEST],
    ["--set", "resources.cpu.limit=100m,resources.memory.request=20Mi,imagePullSecrets[0].name=s,revisionHistoryLimit=3"],
    ["--set-string", "portsToRedirect=80,ignoreInboundPorts=25,ignoreOutboundPorts=8000-8100"],
    ["--set", "destCNINetDir=/a/net.d,destCNIBinDir=/a/bin,tolerations=null,updateStrategy.type=OnDelete,updateStrategy.rollingUpdate=null"],
    ["--set", "nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key=k,"
     "extraInitContainers[0].name=wait"],
    ["--set", "repairController.enabled=true,repairController.logLevel=debug,repairController.logFormat=json,repairController.resources.memory.limit=32Mi"],
    ["--set", "repairController.enabled=true,repairController.enableSecurityContext=false,disableIPv6=false"],
    ["--set", "nodeTaint.enabled=true,nodeTaint.key=example.org/wait,nodeTaint.replicas=2,nodeTaint.resources.cpu.request=5m,nodeTaint.tolerations[0].key=x"],
    ["--set", "nodeTaint.enabled=true,repairController.enabled=true,priorityClassName=x,imagePullSecrets[0].name=s,image.digest=" + DIGEST],
]


@pytest.mark.parametrize("args", VALUES)
def test_same_as_helm(linkerd, helm, tmp_path, args):  # noqa: F811
    assert_same(linkerd("install-cni", *args), helms.template(
        helm, CHART / "linkerd2-cni", "--set", "installNamespace=true", "--set", CLI_VERSION, *args, namespace="linkerd-cni", home=tmp_path))


@pytest.mark.parametrize("flags, values", [
    (["--admin-port", "1", "--control-port=2", "--inbound-port=3", "--outbound-port=4"],
     ["--set", "proxyAdminPort=1,proxyControlPort=2,inboundProxyPort=3,outboundProxyPort=4"]),
    (["--proxy-uid", "7", "--proxy-gid=8", "--use-wait-flag"], ["--set", "proxyUID=7,proxyGID=8,useWaitFlag=true"]),
    (["--cni-image=a/b", "--cni-image-version=c", "--cni-log-level=debug"], ["--set", "image.name=a/b,image.version=c,logLevel=debug"]),
    (["--registry=r/x", "-v", "1.2"], ["--set-string", "image.name=r/x/cni-plugin,image.version=1.2"]),
    (["--dest-cni-bin-dir=/b", "--dest-cni-net-dir=/n", "--priority-class-name=p"],
     ["--set", "destCNIBinDir=/b,destCNINetDir=/n,priorityClassName=p"]),
    (["--skip-inbound-ports=25,26", "--skip-inbound-ports", "80-90", "--skip-outbound-ports=443"],
     ["--set-string", "ignoreInboundPorts=25\\,26\\,80-90", "--set-string", "ignoreOutboundPorts=443"]),
    (["--redirect-ports=80,81"], ["--set-string", "portsToRedirect=80\\,81"]),
])
def test_flags_are_values(linkerd, flags, values):
    by_flags, by_values = linkerd("install-cni", *flags), linkerd("install-cni", *values)
    assert by_flags.returncode == by_values.returncode == 0, by_flags.stderr + by_values.stderr
    assert objects(by_flags.stdout) == objects(by_values.stdout) != objects(linkerd("install-cni").stdout)


@pytest.mark.parametrize("args, word", [
    (["--admin-port", "x"], "--admin-port"), (["--set", "proxyUID=0"], "proxyUID"), (["--set", "iptablesMode=other"], "iptablesMode"),
    (["--set", "destCNINetDir=relative"], "destCNINetDir"), (["--set", "unknown=1"], "unknown"), (["--set", "repairController.enabled=yes"], "enabled"),
    (["--set", "repairController.logFormat=xml"], "logFormat"), (["--set", "nodeTaint.key=no key"], "nodeTaint.key"), (["--set", "nodeTaint.replicas=0"], "replicas"),
    (["--set", "logLevel=loud"], 'logLevel: is "loud"'), (["--cni-log-level=loud"], 'logLevel: is "loud"'), (["--set", "repairController.logLevel=loud"], "repairController.logLevel"),
    (["--set", "resources.cpu.limit=lots"], "resources.cpu.limit"), (["--set", "updateStrategy.type=Sometimes"], "updateStrategy.type"),
    (["--set", "tolerations[0]=x"], "tolerations[0]"), (["--set", "ignoreInboundPorts=70000"], "ignoreInboundPorts"), (["--set", "portsToRedirect=70000"], "portsToRedirect"),
    (["-f", "nowhere.yaml"], "nowhere.yaml"),
    *[(["--set-string", f"{name}=80\\,100-20"], f"{name}: the range 100-20 begins above its end: expected the lower port first")
      for name in ("ignoreInboundPorts", "ignoreOutboundPorts")],
])
def test_refused(linkerd, tmp_path, args, word):
    done = linkerd("install-cni", *args)
    assert (done.returncode, done.stdout) == (1, "") and word in done.stderr, done.stderr
    if helms.find() and "--set-string" in args:
        assert helms.template(helms.find(), CHART / "linkerd2-cni", *args, namespace="linkerd-cni", home=tmp_path).returncode != 0


def test_old_values_are_told(linkerd, tmp_path):
    """The names of Linkerd 2.8; what is given under the new name too stays."""
    (tmp_path / "old.yaml").write_text(json.dumps({"namespace": "x", "cniPluginImage": "r/cni", "cniPluginVersion": "v1", "createdByAnnotation": "y",
                                                   "logLevel": "debug", "proxyUID": 77}))
    old = linkerd("install-cni", "-f", "old.yaml", "--set", "image.version=v2")
    new = linkerd("install-cni", "--set", "image.name=r/cni,image.version=v2,logLevel=debug,proxyUID=77")
    assert old.returncode == 0 and old.stdout == new.stdout and new.stderr == ""
    assert set(old.stderr.splitlines()) == {f"linkerd: install-cni: the value {line}" for line in (
        "cniPluginImage of Linkerd 2.8 is now image.name", "cniPluginVersion of Linkerd 2.8 is now image.version",
        "namespace of Linkerd 2.8 has no successor and no effect", "createdByAnnotation of Linkerd 2.8 has no successor and no effect")}


def rights(linkerd, *args):
    """What each role grants: {(kind, name): {(resource, verb)}}."""
    return {(key[1], key[3]): {(resource, verb) for rule in document["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
            for key, document in objects(linkerd("install-cni", *args).stdout).items() if "rules" in document}


READS = {("pods", "get"), ("namespaces", "get"), ("services", "get")}


def test_its_rights_are_few(linkerd):
    """The token is in a file of every node: without the repair it may read pods and namespaces, nothing else, and write nothing."""
    assert rights(linkerd) == {("ClusterRole", "linkerd-cni"): READS}
    for key, document in objects(linkerd("install-cni").stdout).items():
        assert "TOKEN" not in json.dumps(document), key


def test_rights_of_the_controllers(linkerd):
    """The repair evicts and cannot delete; only the Deployment, whose token is on one node, may change nodes."""
    assert rights(linkerd, "--set", "repairController.enabled=true,nodeTaint.enabled=true") == {
        ("ClusterRole", "linkerd-cni"): READS | {("pods", "list"), ("pods", "watch"), ("pods/eviction", "create"), ("events", "create"), ("events", "patch")},
        ("ClusterRole", "linkerd-cni-taint-controller"): {("nodes", "list"), ("nodes", "watch"), ("nodes", "patch")},
        ("Role", "linkerd-cni-taint-controller"): {("pods", "list"), ("pods", "watch"), ("leases", "create"), ("leases", "get"), ("leases", "patch")}}


def test_controllers_have_no_privileges(linkerd):
    found = objects(linkerd("install-cni", "--set", "repairController.enabled=true,nodeTaint.enabled=true").stdout)
    containers = {container["name"]: container for document in found.values() if document["kind"] in ("DaemonSet", "Deployment")
                  for container in document["spec"]["template"]["spec"]["containers"]}
    for name, program in ("repair-controller", "linkerd-cni-repair-controller"), ("taint-controller", "linkerd-cni-taint-controller"):
        assert containers[name]["command"] == [f"/usr/lib/linkerd/{program}"]
        assert containers[name]["securityContext"] == {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "privileged": False, "readOnlyRootFilesystem": True,
            "runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}}
        assert "volumeMounts" not in containers[name]
