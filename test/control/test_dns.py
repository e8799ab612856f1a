"""The responder for the cluster domain, asked over UDP and TCP with messages made here."""

import contextlib
import ipaddress
import socket
import struct

import pytest

from lib.manifests import pod, service

A, CNAME, SOA, AAAA, SRV, ANY = 1, 5, 6, 28, 33, 255
NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 3, 4, 5


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def question(name, kind, edns=0, ident=7, flags=0x100):
    opt = b"\0" + struct.pack("!HHIH", 41, edns, 0, 0) if edns else b""
    return struct.pack("!6H", ident, flags, 1, 0, 0, 1 if edns else 0) + encode(name) + struct.pack("!2H", kind, 1) + opt


def read_name(message, at):
    labels, end = [], None
    while message[at]:
        if message[at] >= 0xC0:
            end = end or at + 2
            at = struct.unpack("!H", message[at:at + 2])[0] & 0x3FFF
            continue
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(labels), end or at + 1


class Answer:
    def __init__(self, message):
        self.ident, self.flags, questions, *counts = struct.unpack("!6H", message[:12])
        self.code, self.truncated, self.authoritative = self.flags & 15, bool(self.flags & 0x200), bool(self.flags & 0x400)
        at, self.size = 12, len(message)
        for _ in range(questions):
            self.name, at = read_name(message, at)
            at += 4
        self.sections = []
        for count in counts:
            records = []
            for _ in range(count):
                owner, at = read_name(message, at)
                kind, _, ttl, length = struct.unpack("!HHIH", message[at:at + 10])
                at += 10
                records.append((kind, owner, self.value(message, kind, at, length)))
                at += length
            self.sections.append(records)
        assert at == len(message)

    @staticmethod
    def value(message, kind, at, length):
        if kind in (A, AAAA):
            return str(ipaddress.ip_address(message[at:at + length]))
        if kind == SRV:
            return struct.unpack("!3H", message[at:at + 6])[1:] + (read_name(message, at + 6)[0],)
        return read_name(message, at)[0] if kind == CNAME else None

    def values(self, section=0):
        return [value for _, _, value in self.sections[section]]


class Dns:
    def __init__(self, host):
        self.host = host

    def udp(self, message):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((self.host, 8053))  # connected: an answer from another address would not arrive
            sock.settimeout(10)
            sock.send(message)
            return Answer(sock.recv(65536))

    def connect(self):
        sock = socket.create_connection((self.host, 8053), 10)
        return sock

    @staticmethod
    def tcp(sock, message):
        sock.sendall(struct.pack("!H", len(message)) + message)
        stream = sock.makefile("rb")
        return Answer(stream.read(struct.unpack("!H", stream.read(2))[0]))

    def __call__(self, name, kind, **more):
        answer = self.udp(question(name, kind, **more))
        assert answer.ident == 7 and answer.name == name
        return answer


@pytest.fixture
def dns(control):
    headless = service("db", "None", ({"name": "sql", "port": 5432, "targetPort": 5432},))
    control.write("all.yaml", service(ip=None, clusterIPs=["10.99.0.1", "fd00::63:1"], ports=({"name": "http", "port": 80, "targetPort": 8080},)),
                  pod(), headless, service("out", None, (), type="ExternalName", externalName="db.example.org"),
                  pod("db-0", "10.1.0.5", "db", hostname="db-0", subdomain="db"), pod("db-1", "10.1.0.6", "db"))
    control.start("--dns-addr", f"{control.host}:8053")
    return Dns(control.host)


def test_services(dns):
    answer = dns("web.default.svc.cluster.local", A)
    assert answer.code == NOERROR and answer.authoritative and answer.values() == ["10.99.0.1"]
    assert dns("WEB.Default.svc.cluster.LOCAL", AAAA).values() == ["fd00::63:1"]
    assert sorted(dns("web.default.svc.cluster.local", ANY).values()) == ["10.99.0.1", "fd00::63:1"]
    assert dns("out.default.svc.cluster.local", A).sections[0] == [(CNAME, "out.default.svc.cluster.local", "db.example.org")]
    answer = dns("_http._tcp.web.default.svc.cluster.local", SRV)
    assert answer.values() == [(100, 80, "web.default.svc.cluster.local")]
    assert sorted(answer.values(2)) == ["10.99.0.1", "fd00::63:1"]


def test_headless_services_and_instances(dns):
    assert sorted(dns("db.default.svc.cluster.local", A).values()) == ["10.1.0.5", "10.1.0.6"]
    assert dns("db-0.db.default.svc.cluster.local", A).values() == ["10.1.0.5"]
    assert dns("10-1-0-6.db.default.svc.cluster.local", A).values() == ["10.1.0.6"]
    assert dns("db-7.db.default.svc.cluster.local", A).code == NXDOMAIN
    assert dns("web-0.web.default.svc.cluster.local", A).code == NXDOMAIN, "only headless Services have instances"
    assert sorted(dns("_sql._tcp.db.default.svc.cluster.local", SRV).values()) == [
        (100, 5432, "10-1-0-6.db.default.svc.cluster.local"), (100, 5432, "db-0.db.default.svc.cluster.local")]


def test_what_is_not_there(dns):
    answer = dns("none.default.svc.cluster.local", A)
    assert answer.code == NXDOMAIN and [kind for kind, _, _ in answer.sections[1]] == [SOA] and answer.authoritative
    for name, kind in (("web.default.svc.cluster.local", 15), ("db.default.svc.cluster.local", AAAA), ("default.svc.cluster.local", A),
                       ("svc.cluster.local", A), ("cluster.local", A), ("_tcp.web.default.svc.cluster.local", SRV),
                       ("_http._tcp.web.default.svc.cluster.local", A)):
        answer = dns(name, kind)
        assert answer.code == NOERROR and not answer.sections[0] and answer.sections[1], name
    for name in ("none.svc.cluster.local", "_udp.web.default.svc.cluster.local", "_none._tcp.web.default.svc.cluster.local",
                 "a.b.c.d.web.default.svc.cluster.local", "pod.cluster.local", "_http._tcp.out.default.svc.cluster.local"):
        assert dns(name, SRV).code == NXDOMAIN, name
    assert dns("cluster.local", SOA).sections[0]
    for name in ("example.org", "local", "xcluster.local", "1.0.99.10.in-addr.arpa"):
        answer = dns(name, A)
        assert answer.code == REFUSED and not answer.authoritative and not answer.sections[1], name


def test_answers_follow_the_files(dns, control, wait_for):
    control.write("more.yaml", service("later", "10.99.0.9"), pod("db-2", "10.1.0.7", "db"))
    wait_for(lambda: dns("later.default.svc.cluster.local", A).values() == ["10.99.0.9"])
    assert "10.1.0.7" in dns("db.default.svc.cluster.local", A).values()
    control.remove("more.yaml")
    wait_for(lambda: dns("later.default.svc.cluster.local", A).code == NXDOMAIN)


def test_long_answers(dns, control, wait_for):
    control.write("many.yaml", service("many", "None"), *[pod(f"many-{i}", f"10.2.{i // 250}.{i % 250 + 1}", "many") for i in range(300)])
    wait_for(lambda: dns("many.default.svc.cluster.local", A).truncated)
    small, large = dns("many.default.svc.cluster.local", A), dns("many.default.svc.cluster.local", A, edns=4096)
    assert small.size <= 512 < large.size <= 1232 and large.truncated
    with dns.connect() as sock:
        whole = dns.tcp(sock, question("many.default.svc.cluster.local", A))
        assert not whole.truncated and len(set(whole.values())) == 300
        assert dns.tcp(sock, question("web.default.svc.cluster.local", A)).values() == ["10.99.0.1"], "the connection goes on"


def test_odd_messages(dns):
    assert dns.udp(struct.pack("!6H", 7, 0, 0, 0, 0, 0)).code == FORMERR
    assert dns.udp(question("a", A, flags=0x2000)).code == NOTIMP
    assert dns.udp(question("a", 252)).code == REFUSED
    assert dns.udp(question("a.cluster.local", A).replace(b"\1a", b"\1.")).code == REFUSED
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((dns.host, 8053))
        for text in (b"", b"x", question("a", A, flags=0x8000), b"\0" * 5000):
            sock.send(text)
        sock.send(question("web.default.svc.cluster.local", A))
        sock.settimeout(10)
        assert Answer(sock.recv(4096)).values() == ["10.99.0.1"], "what is no question gets no answer"
    with dns.connect() as sock:
        sock.sendall(b"\xff\xff" + b"x" * 100)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(10) == b""
    with dns.connect() as sock:  # in pieces
        message = question("web.default.svc.cluster.local", A)
        for byte in struct.pack("!H", len(message)) + message[:-1]:
            sock.sendall(bytes([byte]))
        sock.sendall(message[-1:])
        assert Answer(sock.recv(4096)[2:]).values() == ["10.99.0.1"]


def test_many_connections(dns):
    socks = [dns.connect() for _ in range(80)]
    assert dns.tcp(socks[-1], question("web.default.svc.cluster.local", A)).values() == ["10.99.0.1"]
    for sock in socks[:16]:  # the oldest made room
        sock.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    for sock in socks:
        sock.close()
