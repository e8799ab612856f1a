"""`linkerd-controller heartbeat` with a real API server, and a Prometheus and a receiver of our own."""

import json
import os
import subprocess
import sys
import urllib.parse

import pytest

from cluster.api import Api
from cluster.cluster import missing_programs
from cluster.controller import install_rights, kubeconfig_of
from lib import netns
from lib.kubernetes import definition

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not netns.available(), reason="network namespaces need root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

# Answers queries for linkerd-proxy's memory and for the rate of requests, knows nothing of others, and says what it is asked.
SERVER = """
import http.server, json, ssl, sys, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query)).get("query", "")
        if url.path != "/api/v1/query":
            print("received " + self.path, flush=True)
        known = {"sum(rate(request_total": "12.6", "max(container_memory_working_set_bytes{container=\\"linkerd-proxy": "5000000"}
        found = [value for name, value in known.items() if query.startswith(name)]
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, each]} for each in found]}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[2:])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
"""
URL = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def api(binaries):
    with Api() as running:
        install_rights(running, binaries)
        running.define(definition("ServiceProfile", "serviceprofiles", "linkerd.io", ["v1alpha2"]))
        running.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "linkerd-config", "namespace": "linkerd"}},
                      {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "viz", "labels": {"linkerd.io/extension": "viz"}}},
                      *({"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile", "metadata": {"name": f"{name}.default.svc.cluster.local", "namespace": "default"},
                         "spec": {"routes": []}} for name in ("a", "b", "c")))
        yield running


@pytest.fixture
def heartbeat(api, tmp_path, programs, binaries):
    """Runs it with the rights of the chart; its output and status."""
    def run(*args, env=None):
        program = programs.start([binaries["linkerd-controller"], "heartbeat", "-controller-namespace=linkerd",
                                  f"-kubeconfig={kubeconfig_of(api, 'linkerd-heartbeat', tmp_path / 'kubeconfig')}", *args],
                                 namespace=api.host, name="heartbeat", env=env)
        status = program.wait_exit()
        return program.output, status

    return run


def values(line):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(line).query))


def test_what_would_be_sent(api, heartbeat):
    output, status = heartbeat("--dry-run")
    line, = [each for each in output.splitlines() if "GET " in each]
    told = values(line)
    config = json.loads(api.kubectl("get", "configmap", "linkerd-config", "--namespace=linkerd", "-o", "json"))
    assert status == 0 and told["uuid"] == config["metadata"]["uid"] and told["source"] == "heartbeat"
    assert told["ext-viz"] == "1" and told["service-profile-count"] == "3" and told["k8s-version"].startswith("v1.")
    assert int(told["install-time"]) > 1600000000 and told["version"]
    assert "WARN" not in output and "total-rps" not in told


@pytest.mark.parametrize("words", [["--help"], ["-h"]])
def test_help(binaries, words):
    done = subprocess.run([binaries["linkerd-controller"], "heartbeat", *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "-dry-run" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("words", [["--nope"], ["x"], ["-address"], ["--dry-run", "-kubeconfig"], ["-controller-namespace="], ["-log-format=xml"]])
def test_wrong_lines(binaries, words):
    done = subprocess.run([binaries["linkerd-controller"], "heartbeat", *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == 64 and done.stdout == "" and words[-1].split("=")[0] in done.stderr


def test_values_behind_their_flags(api, heartbeat):
    """As Go's programs take them: one dash or two, the value behind = or as a word of its own."""
    output, status = heartbeat("-dry-run", "--address", "http://192.0.2.1/x", "-log-level", "debug")
    assert status == 0 and "GET http://192.0.2.1/x?" in output


def test_it_is_sent_only_where_it_was_told_to(api, heartbeat, tmp_path, programs):
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    server = programs.start([sys.executable, script, "8000"], namespace=api.host, name="server")
    server.wait_line("ready")
    output, status = heartbeat(f"-prometheus-url={URL}")
    assert status == 0 and "there is no -address: nothing is sent" in output
    output, status = heartbeat(f"-prometheus-url={URL}", f"-address={URL}/version.json", "--dry-run")
    assert status == 0 and f"GET {URL}/version.json?" in output and "received" not in server.output
    output, status = heartbeat(f"-prometheus-url={URL}", f"-address={URL}/version.json")
    assert status == 0, output
    told = values(server.wait_line(r"received (/version\.json\?.*)").group(1))
    assert told["total-rps"] == "13" and told["max-mem-linkerd-proxy"] == "5000000" and told["service-profile-count"] == "3"
    assert "WARN heartbeat: meshed-pods is left out: the answer does not have it" in output and "meshed-pods" not in told


def test_https(api, heartbeat, tmp_path, programs):
    """Believed by the authorities of the system: here of the file that SSL_CERT_FILE names, in the image of Debian's."""
    pki, script = api.control.pki, tmp_path / "server.py"
    pki.certificate("receiver", "receiver", names=["127.0.0.1"])
    script.write_text(SERVER)
    server = programs.start([sys.executable, script, "8443", pki.folder / "receiver.crt", pki.folder / "receiver.key"], namespace=api.host, name="receiver")
    server.wait_line("ready")
    output, status = heartbeat("-address=https://127.0.0.1:8443/version.json")
    assert status == 1 and "it could not be sent" in output and "TLS: " in output and "received" not in server.output
    output, status = heartbeat("-address=https://127.0.0.1:8443/version.json", env={**os.environ, "SSL_CERT_FILE": str(pki.folder / "ca.crt")})
    assert status == 0, output
    assert values(server.wait_line(r"received (/version\.json\?.*)").group(1))["source"] == "heartbeat"


def test_nobody_answers(heartbeat):
    """What Prometheus would know is left out; a heartbeat that cannot be sent is a failure."""
    output, status = heartbeat("-prometheus-url=http://127.0.0.1:1", "--dry-run")
    assert status == 0 and output.count("WARN heartbeat: total-rps is left out") == 1 and "meshed-pods" not in output
    output, status = heartbeat("-address=http://127.0.0.1:1/x")
    assert status == 1 and "ERROR heartbeat: it could not be sent" in output
