"""etcd, the API server, the controller manager, the scheduler and CoreDNS on a host of their own, outside the cluster that they run."""

import json
import signal
import subprocess

SERVICE_CIDRS = "10.96.0.0/16,fd96::/112"
POD_CIDRS = "10.88.0.0/16,fd88::/48"
API_SERVICE, DNS_SERVICE = "10.96.0.1", "10.96.0.10"
PORT = 6443

AUDIT = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts"]
- level: None
"""

COREFILE = """.:53 {
    errors
    bind %s
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig %s
        ttl 5
    }
}
"""


class ControlPlane:
    def __init__(self, host, programs, pki, folder):
        self.host, self.programs, self.pki, self.folder = host, programs, pki, folder
        self.server = f"https://{host.ip4}:{PORT}"
        self.etcd = self.apiserver = None
        self._make_files()

    def _make_files(self):
        pki = self.pki
        pki.authority("ca")
        pki.certificate("front-proxy", "front-proxy", authority="front-proxy-ca")
        pki.certificate("apiserver", "kube-apiserver", names=[
            "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
            self.host.ip4, self.host.ip6, API_SERVICE, "127.0.0.1"])
        pki.certificate("apiserver-kubelet", "kube-apiserver", ["system:masters"])
        pki.key("service-accounts")
        self.admin = pki.kubeconfig("admin", self.server, "admin", ["system:masters"])
        (self.folder / "audit.yaml").write_text(AUDIT)

    def start_etcd(self):
        self.etcd = self.programs.start(
            ["etcd", "--name=etcd", f"--data-dir={self.folder}/etcd", "--unsafe-no-fsync", "--log-level=warn",
             "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
             "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
             "--initial-cluster=etcd=http://127.0.0.1:2380"], namespace=self.host, name="etcd")
        self.etcd.wait_port(2379)

    def start_apiserver(self):
        at = self.pki.folder
        self.apiserver = self.programs.start([
            "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", f"--advertise-address={self.host.ip4}",
            f"--secure-port={PORT}", f"--service-cluster-ip-range={SERVICE_CIDRS}", "--allow-privileged",
            f"--client-ca-file={at}/ca.crt", f"--tls-cert-file={at}/apiserver.crt",
            f"--tls-private-key-file={at}/apiserver.key", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-client-certificate={at}/apiserver-kubelet.crt",
            f"--kubelet-client-key={at}/apiserver-kubelet.key", f"--kubelet-certificate-authority={at}/ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={at}/service-accounts.pub",
            f"--service-account-signing-key-file={at}/service-accounts.key", "--enable-aggregator-routing",
            f"--requestheader-client-ca-file={at}/front-proxy-ca.crt", "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-", f"--proxy-client-cert-file={at}/front-proxy.crt",
            f"--proxy-client-key-file={at}/front-proxy.key", f"--audit-policy-file={self.folder}/audit.yaml",
            f"--audit-log-path={self.folder}/audit.log", "--audit-log-maxsize=100", "--audit-log-maxbackup=1",
            "--profiling=false", "-v=1"], namespace=self.host, name="kube-apiserver")

    def restart(self, name):
        """Kills "etcd" or "apiserver" as a crash does, and starts it again."""
        program = getattr(self, name)
        self.programs.all.remove(program)
        program.kill(signal.SIGKILL)
        program.stop()
        getattr(self, f"start_{name}")()

    def start_others(self):
        at, leave = self.pki.folder, "--leader-elect=false"
        manager = self.pki.kubeconfig("controller-manager", self.server, "system:kube-controller-manager")
        scheduler = self.pki.kubeconfig("scheduler", self.server, "system:kube-scheduler")
        self.programs.start([
            "kube-controller-manager", f"--kubeconfig={manager}", f"--authentication-kubeconfig={manager}",
            f"--authorization-kubeconfig={manager}", leave, "--use-service-account-credentials",
            f"--root-ca-file={at}/ca.crt", f"--service-account-private-key-file={at}/service-accounts.key",
            f"--cluster-signing-cert-file={at}/ca.crt", f"--cluster-signing-key-file={at}/ca.key",
            f"--service-cluster-ip-range={SERVICE_CIDRS}", "--node-monitor-grace-period=40s", "--profiling=false", "-v=1"],
            namespace=self.host, name="kube-controller-manager")
        self.programs.start([
            "kube-scheduler", f"--kubeconfig={scheduler}", f"--authentication-kubeconfig={scheduler}",
            f"--authorization-kubeconfig={scheduler}", leave, "--profiling=false", "-v=1"],
            namespace=self.host, name="kube-scheduler")

    def start_dns(self):
        config = self.pki.kubeconfig("coredns", self.server, "coredns", ["system:masters"])
        (self.folder / "Corefile").write_text(COREFILE % (self.host.ip4, config))
        self.programs.start(["coredns", "-conf", self.folder / "Corefile"], namespace=self.host, name="coredns")
        self.apply(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system"},
             "spec": {"clusterIP": DNS_SERVICE, "ports": [
                 {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
             "metadata": {"name": "kube-dns-outside", "namespace": "kube-system",
                          "labels": {"kubernetes.io/service-name": "kube-dns"}},
             "endpoints": [{"addresses": [self.host.ip4]}],
             "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]})

    def kubectl(self, *args, text=None, check=True, timeout=60):
        """Its output; the error is the exception's text."""
        done = self.host.run(["kubectl", f"--kubeconfig={self.admin}", *args], input=text, check=False, timeout=timeout)
        if check and done.returncode:
            raise subprocess.SubprocessError(f"kubectl {' '.join(map(str, args))}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def apply(self, *objects):
        self.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
