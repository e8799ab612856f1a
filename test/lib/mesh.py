"""A pod as the mesh sees it: a host whose traffic is redirected to a proxy that runs as user 2102, with applications
beside it as another user.

    pod = Pod(network.host("web"), binaries, programs)
    pod.redirect("--inbound-ports-to-ignore", "9999")
    pod.start_proxy({"LINKERD2_PROXY_LOG": "info"})
    pod.start_app(["nginx", ...], port=8080)
"""

import signal
import time

from lib.http import get
from lib.proc import DEADLINE, Died

PROXY_UID, APP_UID = 2102, 1000
INBOUND, OUTBOUND, CONTROL, ADMIN = 4143, 4140, 4190, 4191


class Pod:
    def __init__(self, host, binaries, programs):
        self.host, self.binaries, self.programs = host, binaries, programs
        self.proxy = None

    def redirect(self, *flags, mode="nft"):
        """The rules, as an injected pod gets them."""
        return self.host.run([
            self.binaries["linkerd-init"], "--iptables-mode", mode, "--incoming-proxy-port", INBOUND,
            "--outgoing-proxy-port", OUTBOUND, "--proxy-uid", PROXY_UID,
            "--inbound-ports-to-ignore", f"{CONTROL},{ADMIN}", *flags])

    def start_proxy(self, env, ready=True, timeout=DEADLINE):
        """The proxy with this environment; waits until it says that it is ready, or else only until its port answers."""
        env = {
            "LINKERD2_PROXY_INBOUND_LISTEN_ADDR": f"0.0.0.0:{INBOUND}",
            "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR": f"127.0.0.1:{OUTBOUND}",
            "LINKERD2_PROXY_ADMIN_LISTEN_ADDR": f"0.0.0.0:{ADMIN}",
            "LINKERD2_PROXY_CONTROL_LISTEN_ADDR": f"0.0.0.0:{CONTROL}",
            **env,
        }
        self.proxy = self.programs.start([self.binaries["linkerd-proxy"]], namespace=self.host, uid=PROXY_UID, env=env,
                                         name=f"proxy-{self.host.name.rsplit('-', 1)[1]}",
                                         stop_with=(signal.SIGTERM, signal.SIGINT))  # the second ends a drain
        self.proxy.wait_port(ADMIN, timeout=timeout)
        if ready:
            self.wait_ready(timeout)
        return self.proxy

    def wait_ready(self, timeout=DEADLINE):
        deadline = time.monotonic() + timeout
        status = None
        while time.monotonic() < deadline:
            if not self.proxy.running():
                raise Died(f"the proxy ended with {self.proxy.process.returncode}:\n{self.proxy.output}")
            try:
                status = get(self.host, "127.0.0.1", ADMIN, "/ready").status
            except OSError:
                status = None
            if status == 200:
                return
            time.sleep(0.01)  # between attempts
        raise TimeoutError(f"the proxy was not ready in {timeout} s (/ready: {status}):\n{self.proxy.output}")

    def metrics(self):
        """The text of /metrics."""
        return get(self.host, "127.0.0.1", ADMIN, "/metrics").body.decode()

    def start_app(self, argv, port=None, uid=APP_UID, **options):
        """A program of the pod's own; waits for the port when one is named."""
        app = self.programs.start(argv, namespace=self.host, uid=uid, **options)
        return app.wait_port(port) if port else app
