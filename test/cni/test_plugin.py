"""linkerd-cni behind Debian's bridge plugin, called by cnitool: rules in the namespaces of pods, and refusals that say what to do."""

import json

import pytest

from cni.node import injected

PREVIOUS = {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "mac": "00:11:22:33:44:55", "sandbox": "/x", "mtu": 1400}],
            "ips": [{"interface": 0, "address": "10.1.0.5/16"}], "dns": {}, "ours": [1.5, True, None, "ü"]}


def config(node, **more):
    return {"cniVersion": "1.0.0", "name": "test", **node.plugin(), **more}


def environment(pod, args=""):
    return {"CNI_CONTAINERID": "c1", "CNI_NETNS": pod.namespace.path, "CNI_IFNAME": "eth0", "CNI_ARGS": args, "PATH": "/usr/sbin:/usr/bin"}


def named(pod):
    return f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod}"


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0"])  # Debian's bridge speaks no 1.1.0
def test_rules_and_traffic(node, version):
    """Rules of both families; a connection from outside arrives at the proxy's port, and so does one that goes out."""
    node.version = version
    pod = node.pod("web", injected())
    result = json.loads(node.tool("add", "web").stdout)
    assert result["cniVersion"] == version and result["ips"][0]["address"].startswith("10.88.")
    for family in (4, 6):
        assert len(pod.rules(family)) == 7, pod.rules(family)
    with pod.namespace.listen("0.0.0.0", 4143) as inbound, pod.namespace.listen("0.0.0.0", 4140) as outbound:
        for listener, connect in ((inbound, lambda: node.host.connect(pod.address, 8080)),
                                  (outbound, lambda: pod.namespace.connect("10.88.0.1", 80))):
            listener.settimeout(10)
            client = connect()
            server, _ = listener.accept()
            client.sendall(b"hello")
            server.settimeout(10)
            assert server.recv(5) == b"hello"
            client.close()
            server.close()
    if version >= "0.4.0":
        node.tool("check", "web")
    node.tool("del", "web")
    node.tool("del", "web")


def test_check_sees_a_missing_rule(node):
    pod = node.pod("web", injected())
    node.tool("add", "web")
    node.tool("check", "web")
    pod.namespace.run(["ip6tables-nft", "-t", "nat", "-D", "PROXY_INIT_OUTPUT", "1"])
    done = node.tool("check", "web", check=False)
    assert done.returncode and "IPv6: chain PROXY_INIT_OUTPUT has 2 rules" in done.stdout + done.stderr, done
    node.tool("del", "web")


@pytest.mark.parametrize("said", [injected(containers=["web"]), injected(inits=["linkerd-init"]), {"kind": "Pod"}],
                         ids=["no-proxy", "linkerd-init", "empty"])
def test_pods_without_rules(node, said):
    pod = node.pod("web", said)
    node.tool("add", "web")
    node.tool("check", "web")
    assert not pod.rules() and not pod.rules(6)
    node.tool("del", "web")


def test_native_sidecar_and_annotations(node):
    """Pod before namespace before configuration; a value that cannot be read is left out and told."""
    node.api.objects["/api/v1/namespaces/default"]["metadata"]["annotations"] = {
        "config.linkerd.io/skip-inbound-ports": "1", "config.linkerd.io/skip-outbound-ports": "25,26-30"}
    pod = node.pod("web", injected({"config.linkerd.io/skip-inbound-ports": "9000", "config.linkerd.io/proxy-uid": "77",
                                    "config.linkerd.io/skip-subnets": "nonsense"}, containers=["web"], inits=["linkerd-proxy"]))
    _, _ = node.call("ADD", config(node), **environment(pod, named("web")))
    text = "\n".join(pod.rules())
    for part in ("--dports 9000,4190,4191 ", "--dports 25,26:30 ", "--uid-owner 77 "):
        assert part in text, text
    done, _ = node.call("ADD", config(node), **environment(pod, named("web")))
    assert 'skip-subnets: \\"nonsense\\" is not a network' in done.stderr


def test_control_plane_reaches_the_api_server(node):
    pod = node.pod("identity", injected(labels={"linkerd.io/control-plane-component": "identity"}))
    node.call("ADD", config(node), **environment(pod, named("identity")))
    assert "--dports 443,6443 " in "\n".join(pod.rules())
    node.api.objects["/api/v1/namespaces/default/services/kubernetes"] = {"spec": {"ports": [{"port": 443, "targetPort": 16443}]}}
    node.call("ADD", config(node), **environment(pod, named("identity")))
    assert "--dports 443,16443 " in "\n".join(pod.rules())


def test_previous_result_is_printed_as_it_came(node):
    pod = node.pod("web", injected())
    done, result = node.call("ADD", config(node, prevResult=PREVIOUS), **environment(pod, named("web")))
    assert done.returncode == 0 and result == PREVIOUS and list(result) == list(PREVIOUS), done
    done, result = node.call("ADD", config(node), **environment(pod))
    assert done.returncode == 0 and result == {"cniVersion": "1.0.0"}, done
    assert not node.api.asked[2:]


def refused(done, answer, code, *parts):
    assert done.returncode == 1 and answer["code"] == code, (done, answer)
    assert answer["cniVersion"] and answer["details"]
    for part in parts:
        assert part in answer["msg"], answer


def test_a_pod_that_cannot_be_read_gets_no_sandbox(node):
    pod = node.pod("web")
    refused(*node.call("ADD", config(node), **environment(pod, named("web"))), 11, "cannot read the pod", "/pods/web", "404")
    node.api.status = 403
    done, answer = node.call("ADD", config(node), **environment(pod, named("web")))
    refused(done, answer, 11, "403")
    assert "ClusterRole linkerd-cni" in answer["details"] and "cannot read the pod" in done.stderr
    node.api.status = None
    node.kubeconfig = "/nowhere"
    refused(*node.call("ADD", config(node), **environment(pod, named("web"))), 11, "/nowhere")
    node.kubeconfig = ""
    refused(*node.call("ADD", config(node), **environment(pod, named("web"))), 7, "kubernetes.kubeconfig")
    assert not pod.rules()


def test_never_in_the_namespace_of_the_node(node):
    node.pod("web", injected())
    variables = environment(node.pods["web"], named("web")) | {"CNI_NETNS": node.host.path}
    refused(*node.call("ADD", config(node), **variables), 4, "the node itself")
    assert "PROXY_INIT" not in node.host.run(["iptables-nft-save", "-t", "nat"]).stdout
    variables["CNI_NETNS"] = "/run/netns/not-there"
    refused(*node.call("ADD", config(node), **variables), 4, "/run/netns/not-there")


def test_simulate_changes_nothing(node):
    pod = node.pod("web", injected())
    node.linkerd["simulate"] = True
    done, _ = node.call("ADD", config(node), **environment(pod, named("web")))
    assert done.returncode == 0 and "PROXY_INIT_REDIRECT" in done.stderr and not pod.rules()


def test_other_commands(node):
    pod = node.pod("web", injected())
    done, answer = node.call("VERSION", {"cniVersion": "0.4.0"})
    assert done.returncode == 0 and answer == {"cniVersion": "0.4.0", "supportedVersions": ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]}
    gone = environment(pod) | {"CNI_NETNS": ""}
    for _ in range(2):
        done, answer = node.call("DEL", config(node), **gone)
        assert done.returncode == 0 and answer is None, done
    assert node.call("DEL", {"cniVersion": "1.0.0", "linkerd": {"ipv6": 1}}, **gone)[0].returncode == 0
    newest = config(node) | {"cniVersion": "1.1.0"}
    assert node.call("GC", newest)[0].returncode == 0
    assert node.call("STATUS", newest, PATH="/usr/sbin")[0].returncode == 0
    node.kubeconfig = "/nowhere"
    refused(*node.call("STATUS", newest | node.plugin()), 50, "/nowhere")
    refused(*node.call("STATUS", config(node)), 1, "STATUS came with CNI 1.1.0")
    refused(*node.call("CHECK", config(node) | {"cniVersion": "0.3.1"}, **environment(pod)), 1, "CHECK")
    refused(*node.call("ADD", config(node) | {"cniVersion": "0.2.0"}, **environment(pod)), 1, "0.2.0")
    refused(*node.call("ADD", [], **environment(pod)), 6, "not a JSON object")
    refused(*node.call("ADD", config(node), CNI_CONTAINERID="c"), 4, "CNI_NETNS")
    refused(*node.call("ADD", config(node) | {"linkerd": {"proxy-uid": "x"}}, **environment(pod)), 7, "proxy-uid")
    refused(*node.call("SHUT", config(node)), 4, "SHUT")
