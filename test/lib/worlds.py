"""A whole mesh for tests, under our control plane or under Linkerd's own, in which each pod has our proxy or Linkerd's.

    world = World("linkerd", binaries, programs, network, folder)     or "clinkerd"
    world.start()
    pod = world.pod("web-0", account="web", labels={"app": "web"}, ports={"http": 8080}, proxy="theirs")
    world.apply(service("web", ...)); world.remove(...)

Both are given the same Kubernetes objects: ours as a directory of manifests, Linkerd's through a Kubernetes API (lib/kubernetes.py).
Proxies get the environment that Linkerd's injector gives them, and see the files of an injected container.

Programs that no package has are looked for in the folder named by LINKERD_PEERS: see test/peers/README.md.
"""

import os
import pathlib
import shutil
import signal

import pytest

from lib.controller import PEM, Issuer
from lib.kubernetes import Apiserver
from lib.manifests import service
from lib.mesh import ADMIN, CONTROL, INBOUND, OUTBOUND, PROXY_UID, Pod
from lib.names import Names

DOMAIN = "cluster.local"
NETWORKS = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8"
OPAQUE = "25,587,3306,4444,5432,6379,9300,11211"
NEEDED = {"clinkerd": ["linkerd2-proxy"],
          "linkerd": ["linkerd2-proxy", "linkerd2-controller", "linkerd2-policy-controller", "etcd", "kube-apiserver"]}


def peer(name):
    """The path of a program in LINKERD_PEERS; skips where it is not there."""
    path = pathlib.Path(os.environ.get("LINKERD_PEERS", "/nonexistent")) / name
    if not path.exists():
        pytest.skip(f"LINKERD_PEERS names no folder with {name}")
    return path


def identity(account, namespace):
    return f"{account}.{namespace}.serviceaccount.identity.linkerd.{DOMAIN}"


def key_and_request(directory, name):
    """What Linkerd's helper writes before its proxy starts."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    key = ec.generate_private_key(ec.SECP256R1())
    # A common name, where there is one, equals the identity; this library makes none of more than 64 characters.
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if len(name) <= 64 else []
    request = (x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
               .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(key, hashes.SHA256()))
    directory = pathlib.Path(directory)
    (directory / "key.p8").write_bytes(key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                                         serialization.NoEncryption()))
    (directory / "csr.der").write_bytes(request.public_bytes(serialization.Encoding.DER))
    for name in ("key.p8", "csr.der"):
        (directory / name).chmod(0o644)


def headless(name, port, component):
    return service(name, "None", ({"name": "grpc", "port": port, "targetPort": port},), "linkerd",
                   selector={"linkerd.io/control-plane-component": component})


class World:
    def __init__(self, kind, binaries, programs, network, folder, control_proxy=None, lifetime="24h0m0s"):
        for name in NEEDED[kind]:
            peer(name)
        self.kind, self.binaries, self.programs, self.network = kind, binaries, programs, network
        self.folder, self.lifetime = pathlib.Path(folder), lifetime
        self.folder.chmod(0o755)
        self.control_proxy = control_proxy or ("ours" if kind == "clinkerd" else "theirs")
        self.pods, self.controllers, self.names, self.api = {}, {}, None, None
        self.issuer = Issuer(self.folder / "issuer")
        self.anchors = self.issuer.anchor.public_bytes(PEM).decode()
        # One pod in the embedded form, one for each component in Linkerd's.
        self.identity_account = "linkerd-destination" if kind == "clinkerd" else "linkerd-identity"

    # --- objects ---

    def apply(self, *things):
        for thing in things:
            if self.api:
                self.api.apply(thing)
            else:
                path = self._manifest(thing)
                path.with_suffix(".new").write_text(dump(thing))
                path.with_suffix(".new").rename(path)

    def remove(self, *things):
        for thing in things:
            if self.api:
                self.api.delete(thing)
            else:
                self._manifest(thing).unlink()

    def _manifest(self, thing):
        meta = thing["metadata"]
        return self.source / f"{thing['kind']}-{meta.get('namespace', '')}-{meta['name']}.yaml"

    def token(self, namespace, account):
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}})
        if self.api:
            return self.api.token(namespace, account)
        out = self.folder / "issued-token"
        self.control.host.run([self.binaries["linkerd"], "token", "issue", "--key", self.folder / "tokens/token.key",
                               "--namespace", namespace, "--service-account", account, "--out", out])
        return out.read_text()

    # --- the control plane ---

    def start(self):
        (self._start_linkerd if self.kind == "linkerd" else self._start_clinkerd)()
        return self

    def _start_clinkerd(self):
        self.source = self.folder / "manifests"
        self.source.mkdir()
        host = self.network.host("control")
        self.resolver = host.ip4
        self.control = self._make_pod(host, "control-0", "linkerd", "linkerd-destination")
        (self.folder / "tokens").mkdir()
        host.run([self.binaries["linkerd"], "token", "key", "--out", self.folder / "tokens"])
        self.apply(self._pod_object("control-0", "linkerd", "linkerd-destination", {
            "linkerd.io/control-plane-component": "all"}, {}, {}, host.ip4),
            headless("linkerd-dst-headless", 8086, "all"), headless("linkerd-policy", 8090, "all"),
            headless("linkerd-identity-headless", 8080, "all"))
        self.start_controller("all")
        self.start_proxy(self.control, component="all", ports={"grpc": 8086, "policy": 8090, "identity": 8080},
                         proxy=self.control_proxy)

    def start_controller(self, component):
        """Starts, or starts again, a component: all; or destination, policy, identity."""
        pod, argv, port = {
            "all": lambda: (self.control, [
                self.binaries["linkerd-controller"], "all", "--source", self.source, "--issuer", self.issuer.directory,
                "--token-key", self.folder / "tokens/token.pub", "--destination-addr", "0.0.0.0:8086", "--identity-addr",
                "0.0.0.0:8080", "--policy-addr", "0.0.0.0:8090", "--admin-addr", "127.0.0.1:9990", "--dns-addr",
                f"{self.resolver}:53", f"-identity-issuance-lifetime={self.lifetime}", "-identity-clock-skew-allowance=20s",
                "-outbound-transport-mode=transport-header", f"-default-opaque-ports={OPAQUE}", f"-cluster-networks={NETWORKS}"], 8090),
            "destination": lambda: (self.control, [
                peer("linkerd2-controller"), "destination", "-addr=:8086", "-controller-namespace=linkerd",
                "-outbound-transport-mode=transport-header", "-enable-h2-upgrade=true", "-log-level=info", "-log-format=plain",
                "-enable-endpoint-slices=true", f"-cluster-domain={DOMAIN}", f"-identity-trust-domain={DOMAIN}",
                f"-default-opaque-ports={OPAQUE}", "-enable-ipv6=false", "-enable-pprof=false",
                '--meshed-http2-client-params={"keep_alive":{"interval":{"seconds":10},"timeout":{"seconds":3},"while_idle":true}}'],
                8086),
            "policy": lambda: (self.control, [
                peer("linkerd2-policy-controller"), "--admin-addr=0.0.0.0:9990", "--control-plane-namespace=linkerd",
                "--grpc-addr=0.0.0.0:8090", "--admission-controller-disabled", f"--cluster-networks={NETWORKS}",
                f"--identity-domain={DOMAIN}", f"--cluster-domain={DOMAIN}", "--default-policy=all-unauthenticated",
                "--log-level=linkerd=info,warn", "--log-format=plain", f"--default-opaque-ports={OPAQUE}",
                "--global-egress-network-namespace=linkerd-egress"], 8090),
            "identity": lambda: (self.identity_pod, [
                peer("linkerd2-controller"), "identity", "-log-level=info", "-controller-namespace=linkerd",
                f"-identity-trust-domain={DOMAIN}", f"-identity-issuance-lifetime={self.lifetime}",
                "-identity-clock-skew-allowance=20s", "-identity-scheme=kubernetes.io/tls"], 8080),
        }[component]()
        env = {"HOSTNAME": pod.name}
        if self.api:
            env |= {"KUBERNETES_SERVICE_HOST": self.api.host.ip4, "KUBERNETES_SERVICE_PORT": "6443"}
        program = self.programs.start(argv, namespace=pod.host, env=env, name=component)
        self.controllers[component] = program
        program.wait_port(port)
        return program

    def kill_controller(self, component):
        self.controllers[component].kill(signal.SIGKILL)
        self.controllers[component].wait_exit()

    def _start_linkerd(self):
        host = self.network.host("kube")
        self.resolver = host.ip4
        self.names = Names(host).start()
        self.api = Apiserver(host, self.programs, self.folder / "kube", peer).start()
        self.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})
        for name, component in (("linkerd-identity-0", "identity"), ("linkerd-destination-0", "destination")):
            account = f"linkerd-{component}"
            self.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": account, "namespace": "linkerd"},
                        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
                            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}})
            pod = self._make_pod(self.network.host(component), name, "linkerd", account)
            self.apply(self._pod_object(name, "linkerd", account, {"linkerd.io/control-plane-component": component}, {},
                                        {"config.linkerd.io/default-inbound-policy": "all-unauthenticated"}, pod.host.ip4))
            setattr(self, "control" if component == "destination" else "identity_pod", pod)
        self.apply(headless("linkerd-dst-headless", 8086, "destination"), headless("linkerd-policy", 8090, "destination"),
                   headless("linkerd-identity-headless", 8080, "identity"))
        for name, port, pod in (("linkerd-dst-headless", 8086, self.control), ("linkerd-policy", 8090, self.control),
                                ("linkerd-identity-headless", 8080, self.identity_pod)):
            instance = f"{pod.host.ip4.replace('.', '-')}.{name}.linkerd.svc.{DOMAIN}"
            self.names[f"{name}.linkerd.svc.{DOMAIN}"] = {"A": [pod.host.ip4], "SRV": [(port, instance)]}
            self.names[instance] = {"A": [pod.host.ip4]}
        self.start_controller("identity")
        self.start_proxy(self.identity_pod, component="linkerd-identity", ports={"grpc": 8080, "admin": 9990},
                         proxy=self.control_proxy)
        self.start_controller("destination")
        self.start_controller("policy")
        self.start_proxy(self.control, component="linkerd-destination", ports={"grpc": 8086, "policy": 8090},
                         proxy=self.control_proxy)

    # --- workloads ---

    def _make_pod(self, host, name, namespace, account, meshed=True):
        """The pod, with the files that its containers see."""
        pod = Pod(host, self.binaries, self.programs)
        pod.name, pod.namespace, pod.account = name, namespace, account
        run = self.folder / "pods" / name / "run"
        for path in ("linkerd/identity/end-entity", "linkerd/identity/issuer", "linkerd/identity/trust-roots", "secrets/tokens",
                     "secrets/kubernetes.io/serviceaccount"):
            (run / path).mkdir(parents=True)
        (run / "linkerd/identity/end-entity").chmod(0o777)
        (run / "linkerd/identity/trust-roots/ca-bundle.crt").write_text(self.anchors)
        for name in ("tls.crt", "tls.key", "ca.crt"):
            (run / "linkerd/identity/issuer" / name).write_text((self.issuer.directory / name).read_text())
        if self.api:
            from lib.kubernetes import ADMIN as admin_token
            for name, text in (("token", admin_token), ("ca.crt", self.api.ca_pem), ("namespace", namespace)):
                (run / "secrets/kubernetes.io/serviceaccount" / name).write_text(text)
        resolv = self.folder / "pods" / pod.name / "resolv.conf"
        resolv.write_text(f"search {namespace}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}\nnameserver {self.resolver}\noptions ndots:5\n")
        host.mounts = {"/etc/resolv.conf": resolv, "/run": run}
        pod.run = run
        if meshed:  # before any program: a connection from before the rules would be taken for a new one
            pod.redirect("--inbound-ports-to-ignore", f"{CONTROL},{ADMIN},4567,4568", "--outbound-ports-to-ignore",
                         "443,6443" if pod.namespace == "linkerd" else "4567,4568")
        self.pods[pod.name] = pod
        return pod

    def _pod_object(self, name, namespace, account, labels, ports, annotations, ip, ready=True):
        mesh = {"linkerd.io/control-plane-ns": "linkerd", "linkerd.io/workload-ns": namespace}
        return {"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": {**mesh, **labels}, "annotations": annotations},
                "spec": {"serviceAccountName": account, "nodeName": "node-1", "automountServiceAccountToken": False,
                         "containers": [
                             {"name": "linkerd-proxy", "image": "proxy", "ports": [
                                 {"name": "linkerd-proxy", "containerPort": INBOUND}, {"name": "linkerd-admin", "containerPort": ADMIN}],
                              # Linkerd's controller reads the ports from here.
                              "env": [{"name": f"LINKERD2_PROXY_{which}_LISTEN_ADDR", "value": f"0.0.0.0:{port}"} for which, port in
                                      (("INBOUND", INBOUND), ("ADMIN", ADMIN), ("CONTROL", CONTROL))]},
                             {"name": "app", "image": "app", "ports": [
                                 {"name": key, "containerPort": value} for key, value in ports.items()]}]},
                "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                           "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}

    def pod(self, name, namespace="shop", account=None, labels=None, ports=None, proxy="ours", annotations=None, env=None):
        """A pod with a proxy, ready; proxy None: outside the mesh."""
        account, host = account or name.rsplit("-", 1)[0], self.network.host(name)
        pod = self._make_pod(host, name, namespace, account, proxy is not None)
        pod.object = self._pod_object(name, namespace, account, labels or {}, ports or {}, annotations or {}, host.ip4)
        if proxy is None:
            for key in ("linkerd.io/control-plane-ns", "linkerd.io/workload-ns"):
                del pod.object["metadata"]["labels"][key]
            del pod.object["spec"]["containers"][0]
        self.apply(pod.object)
        if proxy:
            self.start_proxy(pod, ports=ports or {}, proxy=proxy, env=env)
        return pod

    def start_proxy(self, pod, ports, proxy, component=None, env=None):
        token = pod.run / "secrets/tokens/linkerd-identity-token"
        token.write_text(self.token(pod.namespace, pod.account))
        token.chmod(0o644)
        pod.kind = proxy
        if proxy == "theirs":
            key_and_request(pod.run / "linkerd/identity/end-entity", identity(pod.account, pod.namespace))
            copy = self.folder / "linkerd2-proxy"  # where any user may run it
            if not copy.exists():
                shutil.copy(peer("linkerd2-proxy"), copy)
                copy.chmod(0o755)
            pod.binaries = {**self.binaries, "linkerd-proxy": copy}
        pod.start_proxy({**self.environment(pod, ports, component), **(env or {})},
                        ready=component not in ("linkerd-identity", "linkerd-destination"))

    def environment(self, pod, ports, component=None):
        """As the injector sets it (charts/partials/templates/_proxy.tpl of Linkerd, with its default values)."""

        def control(name, port, local):
            return f"localhost.:{port}" if component in local else f"{name}.linkerd.svc.{DOMAIN}.:{port}"

        name = identity("linkerd-destination", "linkerd")
        return {
            "_pod_name": pod.name, "_pod_ns": pod.namespace, "_pod_ip": pod.host.ip4, "_pod_nodeName": "node-1",
            "_pod_containerName": "linkerd-proxy", "_pod_sa": pod.account, "_l5d_ns": "linkerd", "_l5d_trustdomain": DOMAIN,
            "LINKERD2_PROXY_CORES": "1", "LINKERD2_PROXY_CORES_MIN": "1",
            "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED": "false",
            "LINKERD2_PROXY_LOG": "warn,linkerd=info,hickory=error,[{headers}]=off,[{request}]=off",
            "LINKERD2_PROXY_LOG_FORMAT": "plain",
            "LINKERD2_PROXY_DESTINATION_SVC_ADDR": control("linkerd-dst-headless", 8086, ("linkerd-destination", "all")),
            "LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS": NETWORKS,
            "LINKERD2_PROXY_POLICY_SVC_ADDR": control("linkerd-policy", 8090, ("linkerd-destination", "all")),
            "LINKERD2_PROXY_POLICY_WORKLOAD": f'{{"ns":"{pod.namespace}", "pod":"{pod.name}"}}\n',
            "LINKERD2_PROXY_INBOUND_DEFAULT_POLICY": "all-unauthenticated",
            "LINKERD2_PROXY_POLICY_CLUSTER_NETWORKS": NETWORKS,
            "LINKERD2_PROXY_CONTROL_STREAM_INITIAL_TIMEOUT": "3s",
            "LINKERD2_PROXY_CONTROL_STREAM_IDLE_TIMEOUT": "5m",
            "LINKERD2_PROXY_CONTROL_STREAM_LIFETIME": "1h",
            "LINKERD2_PROXY_INBOUND_CONNECT_TIMEOUT": "100ms",
            "LINKERD2_PROXY_OUTBOUND_CONNECT_TIMEOUT": "1000ms",
            "LINKERD2_PROXY_OUTBOUND_DISCOVERY_IDLE_TIMEOUT": "5s",
            "LINKERD2_PROXY_INBOUND_DISCOVERY_IDLE_TIMEOUT": "90s",
            "LINKERD2_PROXY_CONTROL_LISTEN_ADDR": f"0.0.0.0:{CONTROL}",
            "LINKERD2_PROXY_ADMIN_LISTEN_ADDR": f"0.0.0.0:{ADMIN}",
            "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR": f"127.0.0.1:{OUTBOUND}",
            "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS": f"127.0.0.1:{OUTBOUND}",
            "LINKERD2_PROXY_INBOUND_LISTEN_ADDR": f"0.0.0.0:{INBOUND}",
            "LINKERD2_PROXY_INBOUND_IPS": pod.host.ip4,
            "LINKERD2_PROXY_INBOUND_PORTS": ",".join(str(port) for port in ports.values()),
            "LINKERD2_PROXY_DESTINATION_PROFILE_SUFFIXES": f"svc.{DOMAIN}.",
            "LINKERD2_PROXY_INBOUND_ACCEPT_KEEPALIVE": "10000ms",
            "LINKERD2_PROXY_OUTBOUND_CONNECT_KEEPALIVE": "10000ms",
            "LINKERD2_PROXY_INBOUND_ACCEPT_USER_TIMEOUT": "30s",
            "LINKERD2_PROXY_OUTBOUND_CONNECT_USER_TIMEOUT": "30s",
            "LINKERD2_PROXY_OUTBOUND_METRICS_HOSTNAME_LABELS": "false",
            "LINKERD2_PROXY_INBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL": "10s",
            "LINKERD2_PROXY_INBOUND_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT": "3s",
            "LINKERD2_PROXY_OUTBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL": "10s",
            "LINKERD2_PROXY_OUTBOUND_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT": "3s",
            "LINKERD2_PROXY_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION": OPAQUE,
            "LINKERD2_PROXY_DESTINATION_CONTEXT": f'{{"ns":"{pod.namespace}", "nodeName":"node-1", "pod":"{pod.name}"}}\n',
            "LINKERD2_PROXY_IDENTITY_DIR": "/var/run/linkerd/identity/end-entity",
            "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS": self.anchors,
            "LINKERD2_PROXY_IDENTITY_TOKEN_FILE": "/var/run/secrets/tokens/linkerd-identity-token",
            "LINKERD2_PROXY_IDENTITY_SVC_ADDR": control("linkerd-identity-headless", 8080, ("linkerd-identity", "all")),
            "LINKERD2_PROXY_IDENTITY_LOCAL_NAME": identity(pod.account, pod.namespace),
            "LINKERD2_PROXY_IDENTITY_SVC_NAME": identity(self.identity_account, "linkerd"),
            "LINKERD2_PROXY_DESTINATION_SVC_NAME": name,
            "LINKERD2_PROXY_POLICY_SVC_NAME": name,
        }

    def close(self):
        for program in self.controllers.values():  # they would wait for their proxies' streams
            program.kill(signal.SIGKILL)
        if self.names:
            self.names.stop()


def dump(thing):
    import yaml
    return yaml.safe_dump(thing)
