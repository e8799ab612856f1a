"""etcd and the API server of a cluster, and nothing else: no nodes, no controllers. Whoever applies a Pod says its status, and
whoever wants EndpointSlices applies them.

    with Api() as api:
        api.apply({...}); api.kubectl("get", "services")
        api.restart_apiserver(); api.restart_etcd(); api.compact()
"""

import json
import os
import pathlib
import shutil
import signal
import tempfile

from cluster.cluster import START_SECONDS, _programs
from cluster.control_plane import ControlPlane
from cluster.pki import Pki
from lib import netns
from lib.proc import Programs
from lib.wait import until


class Api:
    def __init__(self):
        os.environ["PATH"] = ":".join([*_programs(), os.environ["PATH"], "/usr/sbin", "/sbin"])
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="clinkerd-api-", dir="/var/tmp"))
        (self.folder / "control").mkdir()
        self.network = netns.Network()
        self.programs = Programs(self.folder)
        try:
            self.host = self.network.host("control")
            self.control = ControlPlane(self.host, self.programs, Pki(self.folder / "pki"), self.folder / "control")
            self.control.start_etcd()
            self.start_apiserver()
        except BaseException:
            self.close()
            raise

    def start_apiserver(self):
        self.control.start_apiserver()
        until(self.is_ready, lambda: self.control.apiserver.output, START_SECONDS)

    def is_ready(self):
        assert self.control.apiserver.running(), self.control.apiserver.output
        return self.kubectl("get", "--raw=/readyz", check=False).strip() == "ok"

    def stop_apiserver(self):
        self.control.apiserver.kill(signal.SIGKILL)
        self.control.apiserver.wait_exit()

    def stop_etcd(self):
        self.control.etcd.kill(signal.SIGKILL)
        self.control.etcd.wait_exit()

    def start_etcd(self):
        self.control.start_etcd()
        until(self.is_ready, lambda: self.control.apiserver.output, START_SECONDS)

    def compact(self):
        """Nothing older than now can be watched from etcd any more."""
        status = json.loads(self.host.run(["etcdctl", "--endpoints=http://127.0.0.1:2379", "endpoint", "status", "-w", "json"]).stdout)
        revision = status[0]["Status"]["header"]["revision"]
        self.host.run(["etcdctl", "--endpoints=http://127.0.0.1:2379", "compact", str(revision)])

    def kubectl(self, *args, **options):
        return self.control.kubectl(*args, **options)

    def apply(self, *objects):
        """Created or changed; the status of those that carry one too."""
        self.control.apply(*objects)
        for thing in objects:
            if "status" in thing:
                meta = thing["metadata"]
                self.kubectl("patch", thing["kind"], meta["name"], f"--namespace={meta.get('namespace', 'default')}", "--subresource=status",
                             "--type=merge", "--patch", json.dumps({"status": thing["status"]}))

    def delete(self, kind, name, namespace="default"):
        self.kubectl("delete", kind, name, f"--namespace={namespace}", "--wait=false", "--grace-period=0", "--force")

    def define(self, *definitions):
        """Custom resources; returns when they are served."""
        self.control.apply(*definitions)
        for definition in definitions:
            self.kubectl("wait", "--for=condition=Established", "crd", definition["metadata"]["name"], "--timeout=30s")

    def close(self):
        try:
            self.programs.close()
        finally:
            self.network.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
