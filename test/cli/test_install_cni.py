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
    (["--set", "destCNINetDir=relative"], "destCNINetDir"), (["--set", "unknown=1"], "unknown"), (["--set", "repairController.enabled=true"], "enabled"),
    (["-f", "nowhere.yaml"], "nowhere.yaml"),
])
def test_refused(linkerd, args, word):
    done = linkerd("install-cni", *args)
    assert (done.returncode, done.stdout) == (1, "") and word in done.stderr, done.stderr


def test_its_rights_are_few(linkerd):
    """The token is in a file of every node: it may read pods and namespaces, nothing else, and write nothing."""
    for key, document in objects(linkerd("install-cni").stdout).items():
        for rule in document.get("rules", []):
            assert rule["verbs"] == ["get"] and not set(rule["resources"]) - {"pods", "namespaces", "services"}, key
        assert "TOKEN" not in json.dumps(document), key
