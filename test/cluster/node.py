"""A node: containerd, kubelet and kube-proxy in a network and a mount namespace of their own.

All the usual paths (/etc/cni/net.d, /opt/cni/bin, /var/lib/kubelet, /run/containerd, ...) are the node's own there, so
that several nodes live beside each other and beside whatever runs on the machine, and so that a test can compare a node's
files before and after. The mounts that kubelet and containerd make end with the namespace.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal

from cluster.control_plane import DNS_SERVICE, POD_CIDRS

# What is a node's own, by the path that programs see.
OWN = ("/etc/cni/net.d", "/opt/cni/bin", "/var/lib/kubelet", "/var/lib/containerd", "/run/containerd", "/var/log/pods",
       "/var/log/containers", "/var/lib/cni", "/run/netns", "/usr/libexec/kubernetes", "/etc/containerd")

CONTAINERD = """version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


class MountNamespace:
    """Held by a process that sleeps; ends with it."""

    def __init__(self, namespace, programs, mounts):
        binds = " && ".join(f"mkdir -p {path} {source} && mount --rbind {source} {path}" for path, source in mounts.items())
        script = f"{binds} && echo ready && exec sleep infinity"
        self.holder = programs.start(["unshare", "--mount", "--propagation=slave", "--", "sh", "-c", script],
                                     namespace=namespace, name="mounts")
        self.holder.wait_line("^ready$")


class Node:
    """Wraps command lines like lib/netns.Namespace, into both namespaces."""

    def __init__(self, name, number, cluster):
        self.name, self.number, self.cluster = name, number, cluster
        self.folder = cluster.folder / name
        self.files = self.folder / "files"
        self.host = cluster.network.host(name)
        self.pods = f"10.88.{number}.0/24", f"fd88:0:0:{number}::/64"
        self.cgroup = f"ck-{os.getpid()}-{name}"
        self._make_cgroups()
        self._make_files()
        self.mounts = MountNamespace(self.host, cluster.programs,
                                     {path: self.files / path.strip("/") for path in OWN})
        for key, value in (("ipv4/ip_forward", 1), ("ipv6/conf/all/forwarding", 1), ("ipv4/conf/all/route_localnet", 1)):
            self.host.set(key, value)

    # what programs.start(namespace=...) and tests need
    def wrap(self, argv, uid=None, gid=None):
        assert uid is None
        return ["nsenter", f"--net={self.host.path}", f"--mount=/proc/{self.mounts.holder.pid}/ns/mnt", "--", "setpriv",
                "--pdeathsig=KILL", "--", *[str(arg) for arg in argv]]

    def answers(self, *args):
        return self.host.answers(*args)

    def run(self, argv, **options):
        return self.host.run(["nsenter", f"--mount=/proc/{self.mounts.holder.pid}/ns/mnt", "--", *argv], **options)

    def _cgroups(self):
        """This node's, in every hierarchy; runc makes those of the unified one by itself."""
        return [path / self.cgroup for path in pathlib.Path("/sys/fs/cgroup").iterdir()
                if path.is_dir() and not path.is_symlink()]

    def _make_cgroups(self):
        for folder in self._cgroups():
            if folder.parent.name == "unified":
                continue
            folder.mkdir(exist_ok=True)
            if folder.parent.name == "cpuset":
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (folder / name).write_text((folder.parent / name).read_text())

    def _make_files(self):
        for path in OWN:
            (self.files / path.strip("/")).mkdir(parents=True, exist_ok=True)
        for plugin in ("bridge", "host-local", "loopback", "portmap"):
            shutil.copy2(f"/usr/lib/cni/{plugin}", self.files / "opt/cni/bin")
        (self.files / "etc/containerd/config.toml").write_text(CONTAINERD)
        (self.files / "etc/cni/net.d/10-bridge.conflist").write_text(json.dumps({
            "cniVersion": "0.4.0", "name": "pods", "plugins": [
                {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True,
                 "ipam": {"type": "host-local", "ranges": [[{"subnet": cidr}] for cidr in self.pods],
                          "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}},
                {"type": "portmap", "capabilities": {"portMappings": True}}]}, indent=2) + "\n")
        self.cluster.pki.certificate(f"kubelet-{self.name}", f"system:node:{self.name}", ["system:nodes"],
                                     [self.name, self.host.ip4, self.host.ip6])
        (self.folder / "kubelet.json").write_text(json.dumps({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}", "failCgroupV1": False, "failSwapOn": False,
            "localStorageCapacityIsolation": False, "resolvConf": "", "clusterDNS": [DNS_SERVICE],
            "clusterDomain": "cluster.local", "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                               "x509": {"clientCAFile": f"{self.cluster.pki.folder}/ca.crt"}},
            "authorization": {"mode": "Webhook"}, "tlsCertFile": f"{self.cluster.pki.folder}/kubelet-{self.name}.crt",
            "tlsPrivateKeyFile": f"{self.cluster.pki.folder}/kubelet-{self.name}.key", "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
            "enforceNodeAllocatable": [], "maxPods": 250, "serializeImagePulls": False, "registerNode": True,
            "nodeStatusUpdateFrequency": "5s", "syncFrequency": "10s"}))

    def start_kubelet(self):
        """With containerd, which it needs. Pods that run already are taken over."""
        cluster, name, server = self.cluster, self.name, self.cluster.control.server
        cluster.programs.start(["containerd", "--config=/etc/containerd/config.toml", "--log-level=warn"],
                               namespace=self, name=f"{name}-containerd")
        cluster.until(lambda: self.run(["ctr", "version"], check=False).returncode == 0, "containerd")
        kubelet = cluster.pki.kubeconfig(f"kubelet-{name}-client", server, f"system:node:{name}", ["system:nodes"])
        cluster.programs.start([
            "kubelet", f"--kubeconfig={kubelet}", f"--config={self.folder}/kubelet.json", f"--hostname-override={name}",
            f"--node-ip={self.host.ip4},{self.host.ip6}", f"--node-labels=topology.kubernetes.io/zone=zone-{self.number}",
            *([f"--register-with-taints={cluster.taints}"] if cluster.taints else []), "-v=1"], namespace=self, name=f"{name}-kubelet")

    def kill_kubelet(self):
        """Kubelet and containerd are killed; pods go on, and the node can start_kubelet() again."""
        self._kill("kubelet", "containerd")

    def die(self):
        """As without power: whoever sends something to this node or its pods hears nothing, not even a reset."""
        self.host.ip("link", "set", "eth0", "down")
        self._kill("kubelet", "containerd", "kube-proxy")
        for folder in self._cgroups():
            for pid in _processes(folder):
                self.cluster.kill(pid)

    def _kill(self, *names):
        """Of this node's programs those; the cluster does not miss them."""
        programs = self.cluster.programs.all
        for program in [one for one in programs if one.name.rsplit("-", 1)[0] in [f"{self.name}-{name}" for name in names]]:
            programs.remove(program)
            program.kill(signal.SIGKILL)
            program.stop()

    def start(self):
        self.start_kubelet()
        cluster, name, server = self.cluster, self.name, self.cluster.control.server
        proxy = cluster.pki.kubeconfig(f"kube-proxy-{name}", server, "system:kube-proxy")
        (self.folder / "kube-proxy.json").write_text(json.dumps({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables",
            "hostnameOverride": name, "clientConnection": {"kubeconfig": str(proxy)}, "clusterCIDR": POD_CIDRS,
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "iptables": {"minSyncPeriod": "100ms"}}))
        cluster.programs.start(["kube-proxy", f"--config={self.folder}/kube-proxy.json", "-v=1"], namespace=self,
                               name=f"{name}-kube-proxy")

    def load(self, tar):
        """Makes the images of a tar known to this node."""
        self.run(["ctr", "--namespace=k8s.io", "images", "import", str(tar)])

    def route(self, host):
        """This node's pods, as seen from the host."""
        four, six = self.pods
        host.ip("route", "replace", four, "via", self.host.ip4)
        host.ip("-6", "route", "replace", six, "via", self.host.ip6)

    def remove(self):
        """After the programs have ended: containers, and cgroups."""
        for folder in self._cgroups():
            for pid in _processes(folder):
                self.cluster.kill(pid)
        for folder in self._cgroups():
            self.cluster.until(lambda: _remove_tree(folder), f"cgroup {folder}")


def _processes(folder):
    """Of a cgroup and those below; shims remove theirs meanwhile."""
    found = []
    for path, _, _ in os.walk(folder):  # passes over what is gone
        with contextlib.suppress(OSError):
            found += map(int, pathlib.Path(path, "cgroup.procs").read_text().split())
    return found


def _remove_tree(folder):
    """Whether the cgroup is gone; processes that were killed may take a moment."""
    for path, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return not folder.exists()
