"""Replicas behind a Service, replaced one by one under load, with our own control plane: no request is lost."""

import signal
import threading

import pytest

from lib.h2_load import H2Client
from lib.http import get
from lib.mesh import ADMIN
from mesh.test_own_control_plane import Mesh
from proxy.test_lifecycle import read_until

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: shop
  labels: {{app: web, linkerd.io/control-plane-ns: linkerd}}
spec: {{serviceAccountName: web, containers: [{{name: web, ports: [{{name: http, containerPort: 8080}}]}}]}}
status: {{podIP: {ip}, podIPs: [{{ip: {ip}}}], phase: Running}}
"""


class Replica:
    def __init__(self, shop, number):
        self.shop, self.name = shop, f"replica-{number}"
        self.pod = shop.make_pod(f"r{number}")
        self.app = self.pod.start_app([self.pod.binaries["http-echo"], "0.0.0.0:8080"], port=8080)
        shop.mesh.start_proxy(self.pod, self.name, "shop", "web")

    def announce(self):
        self.shop.mesh.write(f"{self.name}.yaml", POD.format(name=self.name, ip=self.pod.host.ip4))

    def withdraw(self):
        (self.shop.mesh.source / f"{self.name}.yaml").unlink()

    def used(self):
        """Requests that its proxy has had."""
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.pod.metrics().splitlines()
                   if line.startswith("request_total{") and 'direction="inbound"' in line)

    def accepted(self):
        """Connections that its proxy has had from other proxies."""
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.pod.metrics().splitlines()
                   if line.startswith("tcp_open_total{") and 'direction="inbound"' in line and 'peer="src"' in line)


class Shop:
    def __init__(self, make_pod, binaries, programs):
        self.make_pod = make_pod
        self.mesh = Mesh(make_pod, binaries, programs)
        self.mesh.start_control_plane()
        self.mesh.start_proxy(self.mesh.client, "client-1", "shop", "client")
        # The service's own pod of the manifests is not run: only replicas are.
        text = (self.mesh.source / "mesh.yaml").read_text()
        self.mesh.write("mesh.yaml", "\n---\n".join(part for part in text.split("\n---\n") if "name: web-1" not in part))
        self.number = 0

    def replica(self):
        self.number += 1
        return Replica(self, self.number)

    def connect(self):
        return self.mesh.client.host.connect("10.96.0.10", 80)


class Clients:
    """Over HTTP/1 kept alive and over HTTP/2, each answer looked at."""

    def __init__(self, shop):
        self.shop, self.failures, self.counts, self.over = shop, [], {"http1": 0, "http2": 0}, threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(work,), daemon=True)
                        for work in (self.http1, self.http1, self.http2, self.http2)]
        for thread in self.threads:
            thread.start()

    def _run(self, work):
        try:
            work()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a failure)
            self.failures.append(f"{work.__name__}: {error!r}")

    def http1(self):
        sock = None
        while not self.over.is_set():
            sock = sock or self.shop.connect()
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nmarker!")
            answer = read_until(sock, b"marker!")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            self.counts["http1"] += 1
            if b"onnection: close" in answer:
                sock.close()
                sock = None

    def http2(self):
        client = H2Client(self.shop.connect)
        while not self.over.is_set():
            assert client.ask(["/bytes/10"] * 4) == [(200, 10)] * 4
            self.counts["http2"] += 1
        client.close()

    def until(self, true, what):
        for _ in range(3000):
            assert not self.failures, self.failures
            if true():
                return
            self.over.wait(0.01)  # between looks
        raise AssertionError(f"{what} did not happen: {self.counts}")

    def more(self, count=20):
        wanted = {name: now + count for name, now in self.counts.items()}
        self.until(lambda: all(self.counts[name] >= wanted[name] for name in wanted), f"{count} more requests")

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.failures, self.failures


def refused(host):
    """Resets that the host has sent: one for each connect to a port where nobody listens."""
    names, values = [line.split() for line in host.run(["cat", "/proc/self/net/snmp"]).stdout.splitlines()
                     if line.startswith("Tcp:")]
    return int(values[names.index("OutRsts")])


@pytest.fixture
def shop(network, pod, binaries, programs):
    shop = Shop(pod, binaries, programs)
    yield shop
    shop.mesh.folder.cleanup()


@pytest.mark.parametrize("order", ["withdrawn first", pytest.param("told first", marks=pytest.mark.slow)])
def test_every_replica_is_replaced(shop, order):
    """In either order: the proxy may hear of its end before the callers hear of it."""
    replicas = [shop.replica(), shop.replica()]
    for replica in replicas:
        replica.announce()
    clients = Clients(shop)
    clients.until(lambda: all(replica.used() > 0 for replica in replicas), "the first replicas used")
    for old in list(replicas):
        new = shop.replica()
        new.announce()
        clients.until(lambda: new.used() > 0, "the new replica used")
        if order == "withdrawn first":
            old.withdraw()
            clients.more()
        old.pod.proxy.kill(signal.SIGTERM)
        old.pod.proxy.wait_line("draining")
        assert get(old.pod.host, "127.0.0.1", ADMIN, "/ready").status == 503
        clients.more()
        if order == "told first":
            assert old.pod.proxy.running()
            old.withdraw()
            clients.more()
        seen = old.accepted()
        assert seen > 0
        clients.more(50)
        assert old.accepted() == seen, "a withdrawn endpoint was dialled"
        old.app.stop()
        assert old.pod.proxy.process.wait(20) == 0, old.pod.proxy.output
        clients.more()
    clients.end()


def test_a_proxy_that_is_killed_while_idle(shop):
    """Requests that come after are sent to another: a connect that fails picks again, and the endpoint is ejected."""
    replicas = [shop.replica(), shop.replica()]
    for replica in replicas:
        replica.announce()
    clients = Clients(shop)
    clients.until(lambda: all(replica.used() > 0 for replica in replicas), "both used")
    clients.end()  # connections between the proxies stay, idle
    refused_before = refused(replicas[0].pod.host)
    replicas[0].pod.proxy.kill(signal.SIGKILL)
    replicas[0].pod.proxy.process.wait()
    before = replicas[1].used()
    client = H2Client(shop.connect)
    for _ in range(50):
        assert client.ask(["/bytes/10"]) == [(200, 10)]
        assert shop.mesh.curl("-o", "/dev/null", "-w", "%{http_code}").stdout == "200"
    client.close()
    assert replicas[1].used() - before == 100
    # Half of the requests would have met it. It was tried, and then only now and then.
    assert 1 <= refused(replicas[0].pod.host) - refused_before <= 25
