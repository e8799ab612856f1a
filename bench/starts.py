"""What the start of a pod takes of ours: the rules, by linkerd-init and by the CNI plugin, the validator's proof of them, and how long a
component of the control plane takes until it is ready. (The proxy's own start is in the comparison of proxies.)"""

import json
import os
import statistics
import subprocess
import time

from cluster.api import Api
from cluster.cluster import missing_programs
from cni.node import injected
from lib import netns
from parts import Missing

RUNS = 25  # of each round
PORTS = ("--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140", "--proxy-uid", "2102", "--inbound-ports-to-ignore", "4190,4191")

TITLE = "starts"
ROWS = {
    "init_ms": ("linkerd-init, rules of both families, ms", 1), "validate_ms": ("linkerd-init validate, ms", 1),
    "cni_add_ms": ("linkerd-cni ADD, asking a real API server, ms", 1), "cni_skip_ms": ("of a pod that is not meshed, ms", 1),
    "cni_del_ms": ("linkerd-cni DEL, ms", 1), "destination_ms": ("linkerd-controller destination, of an empty folder, until ready, ms", 1),
}
TARGETS = []


def took_ms(argv, env=None, **options):
    """Of a program that must end well."""
    began = time.perf_counter()
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, env={**os.environ, **(env or {})}, **options)
    took = (time.perf_counter() - began) * 1000
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return took


def give_interface(pod):
    """So that what goes out has somewhere to go."""
    pod.ip("link", "add", "eth0", "type", "veth", "peer", "name", "peer0")
    pod.ip("link", "set", "peer0", "up")
    pod.ip("address", "add", "10.88.0.2/16", "dev", "eth0")
    pod.ip("link", "set", "eth0", "up")
    pod.ip("route", "add", "default", "dev", "eth0")


def measure_init(init, figures):
    """In a namespace without rules, as each pod is."""
    made, proved = [], []
    for _ in range(RUNS):
        pod = netns.Namespace("pod")
        try:
            give_interface(pod)
            with pod.inside():
                made.append(took_ms([init, *PORTS]))
                proved.append(took_ms([init, "validate"]))
        finally:
            pod.close()
    figures.setdefault("init_ms", []).append(statistics.median(made))
    figures.setdefault("validate_ms", []).append(statistics.median(proved))


def chained(api):
    """What a runtime gives the plugin on its standard input."""
    return json.dumps({
        "cniVersion": "1.0.0", "name": "bench", "type": "linkerd-cni", "log_level": "info", "policy": {"type": "k8s"},
        "kubernetes": {"kubeconfig": str(api.control.admin)},
        "linkerd": {"incoming-proxy-port": 4143, "outgoing-proxy-port": 4140, "proxy-uid": 2102, "ports-to-redirect": [],
                    "inbound-ports-to-ignore": ["4191", "4190"], "iptables-mode": "nft", "ipv6": True, "simulate": False},
        "prevResult": {"cniVersion": "1.0.0", "interfaces": [], "ips": [], "dns": {}}})


def one_pod(api, plugin, config, name):
    """(ms of ADD, ms of DEL)"""
    pod = netns.Namespace("pod")
    env = {"CNI_CONTAINERID": "bench", "CNI_NETNS": pod.path, "CNI_IFNAME": "eth0",
           "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name}"}
    try:
        with api.host.inside():
            return [took_ms([plugin], {**env, "CNI_COMMAND": command}, input=config) for command in ("ADD", "DEL")]
    finally:
        pod.close()


def measure_cni(api, plugin, figures):
    config = chained(api)
    meshed, plain = ([one_pod(api, plugin, config, name) for _ in range(RUNS)] for name in ("meshed", "plain"))
    figures.setdefault("cni_add_ms", []).append(statistics.median(add for add, _ in meshed))
    figures.setdefault("cni_del_ms", []).append(statistics.median(delete for _, delete in meshed))
    figures.setdefault("cni_skip_ms", []).append(statistics.median(add for add, _ in plain))


def destination_ms(controller, folder):
    """From its start until it says that it is ready."""
    began = time.perf_counter()
    with subprocess.Popen([controller, "destination", f"--source={folder}", "--destination-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said = []
        for line in process.stdout:
            said.append(line)
            if "start: ready" in line:
                took = (time.perf_counter() - began) * 1000
                process.terminate()
                return took
    raise RuntimeError(f"the controller has ended:\n{''.join(said)}")


def put_pods(api):
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}})
    for name, said in (("meshed", injected()), ("plain", injected(containers=("web",)))):
        said["metadata"] |= {"name": name, "namespace": "default"}
        said["apiVersion"] = "v1"
        for container in said["spec"]["containers"]:
            container["image"] = "example/none"
        api.apply(said)


def measure(options, folder):
    if missing_programs():
        raise Missing("the API server is not built: scripts/deps cluster")
    build, figures = options.build.resolve() / "src", {}
    with Api() as api:
        put_pods(api)
        for _ in range(options.rounds):
            measure_init(build / "init/linkerd-init", figures)
            measure_cni(api, build / "cni/linkerd-cni", figures)
            figures.setdefault("destination_ms", []).append(
                statistics.median(destination_ms(build / "control/linkerd-controller", folder) for _ in range(RUNS)))
    return figures
