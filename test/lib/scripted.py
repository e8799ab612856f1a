"""A control plane that a test writes line by line: the published API served by grpcio, so that the proxy is tried against
something that is not our controller.

    control = ScriptedControl()
    control.targets["10.99.0.1:80"] = Feed(service_policy("web.default.svc.cluster.local:80"))
    control.endpoints["web.default.svc.cluster.local:80"] = Feed(add(weighted(web.ip4, 8080, identity=...)))
    control.start([client.host, web.host])
    control.endpoints[...].say(remove((web.ip4, 8080)))  # while proxies watch

One process-wide compilation of proto/ with grpcio-tools; nothing of it is kept in the tree.
"""

import datetime
import functools
import importlib
import ipaddress
import json
import pathlib
import queue
import sys
import tempfile
import threading
from concurrent import futures

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from google.protobuf import duration_pb2, timestamp_pb2

PORT = 8086
ROOT = pathlib.Path(__file__).resolve().parents[2]


@functools.lru_cache(maxsize=None)
def messages():
    """The generated modules, by the name of their file."""
    from grpc_tools import protoc
    import grpc_tools
    out = tempfile.mkdtemp(prefix="clinkerd-proto-")
    files = sorted(str(path.name) for path in (ROOT / "proto").glob("*.proto"))
    include = [f"-I{ROOT / 'proto'}", f"-I{pathlib.Path(grpc_tools.__file__).parent / '_proto'}", "-I/usr/include"]
    status = protoc.main(["protoc", *include, f"--python_out={out}", f"--grpc_python_out={out}", *files,
                          "protobuf-c/protobuf-c.proto"])
    if status != 0:
        raise RuntimeError(f"protoc ended with {status}")
    sys.path.insert(0, out)
    return {name[:-6]: importlib.import_module(name[:-6] + "_pb2") for name in files} | {
        name[:-6] + "_grpc": importlib.import_module(name[:-6] + "_pb2_grpc") for name in files}


def seconds(count):
    whole = int(count)
    return duration_pb2.Duration(seconds=whole, nanos=int((count - whole) * 1e9))


class Authority:
    """An issuer of workload certificates, as the identity service is one."""

    def __init__(self, name="root.linkerd.cluster.local", days=1):
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        self.certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
            .sign(self.key, hashes.SHA256()))

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, csr_der, lifetime=datetime.timedelta(hours=1), name=None):
        csr = x509.load_der_x509_csr(csr_der)
        now = datetime.datetime.now(datetime.timezone.utc)
        san = (x509.SubjectAlternativeName([x509.DNSName(name)]) if name else
               csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        certificate = (
            x509.CertificateBuilder().subject_name(csr.subject).issuer_name(self.certificate.subject)
            .public_key(csr.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(seconds=20)).not_valid_after(now + lifetime)
            .add_extension(san, critical=False)
            .add_extension(x509.KeyUsage(True, False, True, False, False, False, False, False, False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                           critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256()))
        return certificate.public_bytes(serialization.Encoding.DER), now + lifetime

    def workload(self, path, identity):
        """Writes the certificate and the key of a workload, in one file, for a client that is no proxy."""
        key = ec.generate_private_key(ec.SECP256R1())
        csr = (x509.CertificateSigningRequestBuilder()
               .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity[:64])]))
               .add_extension(x509.SubjectAlternativeName([x509.DNSName(identity)]), critical=False)
               .sign(key, hashes.SHA256()))
        der, _ = self.issue(csr.public_bytes(serialization.Encoding.DER))
        path.write_bytes(x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class Feed:
    """What is said to everybody who watches one thing: the latest first, then each change."""

    def __init__(self, *first):
        self.lock = threading.Lock()
        self.latest, self.watchers = list(first), []

    def stream(self, context):
        inbox = queue.Queue()
        with self.lock:
            for message in self.latest:
                inbox.put(message)
            self.watchers.append(inbox)
        context.add_callback(lambda: inbox.put(None))
        try:
            while (message := inbox.get()) is not None:
                yield message
        finally:
            with self.lock:
                self.watchers.remove(inbox)

    def say(self, *messages, latest=None):
        with self.lock:
            self.latest = list(latest if latest is not None else messages)
            for inbox in self.watchers:
                for message in messages:
                    inbox.put(message)


def net_ip(text):
    net = messages()["net"]
    address = ipaddress.ip_address(text)
    if address.version == 4:
        return net.IPAddress(ipv4=int(address))
    return net.IPAddress(ipv6=net.IPv6(first=int(address) >> 64, last=int(address) & (1 << 64) - 1))


def tcp(text, port):
    return messages()["net"].TcpAddress(ip=net_ip(text), port=port)


def weighted(ip, port, identity=None, h2=True, opaque_port=None, opaque=False, labels=None, server_name=None, override=None):
    d = messages()["destination"]
    addr = d.WeightedAddr(addr=tcp(ip, port), weight=10000, metric_labels=labels or {})
    if identity:
        addr.tls_identity.dns_like_identity.name = identity
        addr.tls_identity.server_name.name = server_name or identity
        if opaque:
            addr.protocol_hint.opaque.SetInParent()
        elif h2:
            addr.protocol_hint.h2.SetInParent()
        if opaque_port:
            addr.protocol_hint.opaque_transport.inbound_port = opaque_port
    if override:
        addr.authority_override.authority_override = override
    return addr


def add(*addresses, labels=None):
    d = messages()["destination"]
    return d.Update(add=d.WeightedAddrSet(addrs=addresses, metric_labels=labels or {}))


def remove(*addresses):
    d = messages()["destination"]
    return d.Update(remove=d.AddrSet(addrs=[tcp(ip, port) for ip, port in addresses]))


def no_endpoints(exists=True):
    d = messages()["destination"]
    return d.Update(no_endpoints=d.NoEndpoints(exists=exists))


def service_policy(path, protocol="detect", http_routes=None):
    """An OutboundPolicy that balances over one destination."""
    o, m = messages()["outbound"], messages()["meta"]
    name, namespace = path.split(".")[:2]
    meta = m.Metadata(resource=m.Resource(group="core", kind="Service", name=name, namespace=namespace,
                                          port=int(path.rsplit(":", 1)[1])))
    backend = o.Backend(metadata=meta, queue=o.Queue(capacity=100, failfast_timeout=seconds(3)))
    backend.balancer.discovery.dst.path = path
    backend.balancer.peak_ewma.default_rtt.CopyFrom(seconds(0.03))
    backend.balancer.peak_ewma.decay.CopyFrom(seconds(10))
    opaque = o.OpaqueRoute(metadata=m.Metadata(default="opaq"))
    opaque.rules.add().backends.first_available.backends.add().backend.CopyFrom(backend)
    http = o.HttpRoute(metadata=m.Metadata(default="http"))
    rule = http.rules.add()
    rule.matches.add().path.prefix = "/"
    rule.backends.first_available.backends.add().backend.CopyFrom(backend)
    routes = http_routes(backend) if http_routes else [http]
    policy = o.OutboundPolicy(metadata=meta)
    if protocol == "detect":
        policy.protocol.detect.timeout.CopyFrom(seconds(10))
        policy.protocol.detect.opaque.routes.append(opaque)
        policy.protocol.detect.http1.routes.extend(routes)
        policy.protocol.detect.http2.routes.extend(routes)
    elif protocol == "opaque":
        policy.protocol.opaque.routes.append(opaque)
    elif protocol == "http1":
        policy.protocol.http1.routes.extend(routes)
    elif protocol == "http2":
        policy.protocol.http2.routes.extend(routes)
    return policy


def authorization(networks=("0.0.0.0/0", "::/0"), tls=None, identities=(), suffixes=None, name="all-unauthenticated"):
    """tls None: anybody; "any": mesh TLS; "clients": the identities or suffixes."""
    i, m = messages()["inbound"], messages()["meta"]
    authz = i.Authz(labels={"group": "", "kind": "default", "name": name}, metadata=m.Metadata(default=name))
    for text in networks:
        network = ipaddress.ip_network(text)
        authz.networks.add().net.CopyFrom(messages()["net"].IPNetwork(ip=net_ip(str(network.network_address)),
                                                                      prefix_len=network.prefixlen))
    if tls is None:
        authz.authentication.unauthenticated.SetInParent()
    elif tls == "any":
        authz.authentication.meshTLS.unauthenticated.SetInParent()
    else:
        clients = authz.authentication.meshTLS.identities
        clients.SetInParent()
        for identity in identities:
            clients.identities.add().name = identity
        for parts in suffixes or ():
            clients.suffixes.add().parts.extend(parts)
    return authz


def server(protocol="detect", authorizations=None, routes=(), name="all-unauthenticated", timeout=10):
    i = messages()["inbound"]
    answer = i.Server(labels={"group": "", "kind": "default", "name": name})
    answer.authorizations.extend([authorization()] if authorizations is None else authorizations)
    kind = getattr(answer.protocol, protocol)
    kind.SetInParent()
    if protocol == "detect":
        kind.timeout.CopyFrom(seconds(timeout))
        kind.http_routes.extend(routes)
    elif protocol in ("http1", "http2"):
        kind.routes.extend(routes)
    return answer


class Raw(grpc.ServerInterceptor):
    """Lets a script answer with bytes where a message is expected: what no well-behaved server could say."""

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        return handler and handler._replace(response_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString())


class ScriptedControl:
    """Destination, identity and both policy services on one plaintext port. Fill the tables, then start()."""

    def __init__(self, authority=None):
        self.authority = authority or Authority()
        self.endpoints, self.profiles, self.targets, self.ports = {}, {}, {}, {}
        self.default_server = None
        self.bundle = None  # a Feed of PEM texts: then there is a TrustBundle service as well
        self.lifetime = datetime.timedelta(hours=1)
        self.certified = []  # identities, in the order of their requests
        self.refuse_identity = None  # (code, text) while certificates are refused
        self.asked = []  # (rpc, key) of every call
        self.server = None
        self.folder = tempfile.TemporaryDirectory(prefix="clinkerd-scripted-")
        pathlib.Path(self.folder.name).chmod(0o755)

    # --- what proxies ask ---

    def _certify(self, request, context):
        m = messages()["identity"]
        self.asked.append(("Certify", request.identity))
        if self.refuse_identity:
            context.abort(*self.refuse_identity)
        leaf, until = self.authority.issue(request.certificate_signing_request, self.lifetime)
        stamp = timestamp_pb2.Timestamp()
        stamp.FromDatetime(until)
        self.certified.append(request.identity)
        return m.CertifyResponse(leaf_certificate=leaf, valid_until=stamp)

    def _watch(self, table, rpc, key, context, missing=grpc.StatusCode.NOT_FOUND):
        self.asked.append((rpc, key))
        feed = table.get(key)
        if feed is None:
            context.abort(missing, f"{key} is not in the script")
        yield from feed.stream(context)

    def _get(self, request, context):
        yield from self._watch(self.endpoints, "Get", request.path, context)

    def _get_profile(self, request, context):
        yield from self._watch(self.profiles, "GetProfile", request.path, context, grpc.StatusCode.INVALID_ARGUMENT)

    def _watch_target(self, request, context):
        if request.WhichOneof("target") == "authority":
            key = request.authority
        else:
            ip = request.addr.ip
            address = ipaddress.ip_address(ip.ipv4 if ip.WhichOneof("ip") == "ipv4" else ip.ipv6.first << 64 | ip.ipv6.last)
            key = f"{address}:{request.addr.port}"
        yield from self._watch(self.targets, "Watch", key, context)

    def _watch_port(self, request, context):
        self.asked.append(("WatchPort", request.port))
        feed = self.ports.get(request.port) or self.default_server
        if feed is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown port")
        yield from feed.stream(context)

    # --- serving ---

    def start(self, hosts):
        """Serves on 127.0.0.1:8086 in each of the namespaces: beside each proxy, where plaintext is allowed."""
        m = messages()
        control = self
        if self.default_server is None:
            self.default_server = Feed(server())

        class Identity(m["identity_grpc"].IdentityServicer):
            def Certify(self, request, context):
                return control._certify(request, context)

        class Destination(m["destination_grpc"].DestinationServicer):
            def Get(self, request, context):
                return control._get(request, context)

            def GetProfile(self, request, context):
                return control._get_profile(request, context)

        class Inbound(m["inbound_grpc"].InboundServerPoliciesServicer):
            def WatchPort(self, request, context):
                return control._watch_port(request, context)

        class Outbound(m["outbound_grpc"].OutboundPoliciesServicer):
            def Watch(self, request, context):
                return control._watch_target(request, context)

        class TrustBundle(m["trust_bundle_grpc"].TrustBundleServicer):
            def Watch(self, request, context):
                control.asked.append(("TrustBundle", request.trust_domain))
                for pem in control.bundle.stream(context):
                    yield m["trust_bundle"].Bundle(anchors_pem=pem)

        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=256), interceptors=[Raw()])
        if self.bundle:
            m["trust_bundle_grpc"].add_TrustBundleServicer_to_server(TrustBundle(), self.server)
        m["identity_grpc"].add_IdentityServicer_to_server(Identity(), self.server)
        m["destination_grpc"].add_DestinationServicer_to_server(Destination(), self.server)
        m["inbound_grpc"].add_InboundServerPoliciesServicer_to_server(Inbound(), self.server)
        m["outbound_grpc"].add_OutboundPoliciesServicer_to_server(Outbound(), self.server)
        for host in hosts:
            with host.inside():
                if self.server.add_insecure_port(f"127.0.0.1:{PORT}") != PORT:
                    raise RuntimeError(f"port {PORT} is taken in {host.name}")
        self.server.start()

    def env(self, name, namespace="default", **more):
        """The environment of a proxy beside which this control plane listens."""
        identity = f"{name}.{namespace}.serviceaccount.identity.linkerd.cluster.local"
        directory = pathlib.Path(self.folder.name) / name
        directory.mkdir(exist_ok=True)
        (directory / "token").write_text("a token that this control plane does not read")
        directory.chmod(0o755)
        env = {
            "LINKERD2_PROXY_LOG": "warn,linkerd=debug",
            "LINKERD2_PROXY_DESTINATION_SVC_ADDR": f"localhost.:{PORT}",
            "LINKERD2_PROXY_POLICY_SVC_ADDR": f"localhost.:{PORT}",
            "LINKERD2_PROXY_IDENTITY_SVC_ADDR": f"localhost.:{PORT}",
            "LINKERD2_PROXY_POLICY_WORKLOAD": json.dumps({"ns": namespace, "pod": name}),
            "LINKERD2_PROXY_DESTINATION_CONTEXT": json.dumps({"ns": namespace, "pod": name, "nodeName": "node"}),
            "LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS": "10.0.0.0/8,fd00::/8",
            "LINKERD2_PROXY_DESTINATION_PROFILE_SUFFIXES": "svc.cluster.local.",
            "LINKERD2_PROXY_POLICY_CLUSTER_NETWORKS": "10.0.0.0/8,fd00::/8",
            "LINKERD2_PROXY_IDENTITY_DIR": str(directory),
            "LINKERD2_PROXY_IDENTITY_TOKEN_FILE": str(directory / "token"),
            "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS": self.authority.pem,
            "LINKERD2_PROXY_IDENTITY_LOCAL_NAME": identity,
        }
        return {**env, **more}

    def stop(self, grace=0):
        if self.server:
            self.server.stop(grace).wait()
            self.server = None
        self.folder.cleanup()
