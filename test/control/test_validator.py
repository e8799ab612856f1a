"""The validating webhooks as an API server meets them, without a cluster: sp-validator, and the policy component's own port."""

import copy
import http.client
import json
import random
import socket
import ssl
import subprocess

import pytest
import yaml

from lib.wait import until
from lib.webhook import NUMBERS, Pair, Volume

NAME = "linkerd-sp-validator.linkerd.svc"
PROFILE = {"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile", "metadata": {"name": "web.default.svc.cluster.local", "namespace": "default"},
           "spec": {"routes": [{"name": "a", "condition": {"pathRegex": "/a"}}]}}
SERVER = {"apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server", "metadata": {"name": "web", "namespace": "default"},
          "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "port": 8080}}


class Validator:
    def __init__(self, directory, programs, binaries):
        self.directory, self.programs, self.controller = directory, programs, binaries["linkerd-controller"]
        self.host = f"127.{random.randrange(1, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}"
        self.tls = Volume(directory / "tls")
        self.source = directory / "manifests"
        self.source.mkdir()
        self.pair = Pair(NAME)

    def serve(self):
        self.tls.put(tls_crt=self.pair.certificate_pem, tls_key=self.pair.key_pem)

    def start(self, component, *flags, admin):
        self.admin = admin
        self.program = self.programs.start([self.controller, component, *flags, f"--admin-addr={self.host}:{admin}", "--server-tls-certs",
                                            self.tls.folder / "tls.crt", "--server-tls-key", self.tls.folder / "tls.key"], name=component)
        self.program.wait_line("start: (ready|serving)")
        return self

    def profiles(self, *flags):
        self.port = 8443
        return self.start("sp-validator", f"-addr={self.host}:8443", "-log-level=info", "-log-format=plain", "-enable-pprof=false", *flags, admin=9997)

    def policies(self, *flags):
        self.port = 9443
        return self.start("policy", "--source", self.source, f"--grpc-addr={self.host}:8090", f"--server-addr={self.host}:9443", *flags, admin=9990)

    def review(self, thing, old=None):
        group, version = thing["apiVersion"].split("/")
        question = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": f"review-{next(NUMBERS)}", "operation": "UPDATE" if old else "CREATE", "namespace": "default",
            "kind": {"group": group, "version": version, "kind": thing["kind"]}, "object": thing, **({"oldObject": old} if old else {})}}
        connection = http.client.HTTPSConnection(NAME, self.port, timeout=20)
        context = ssl.create_default_context(cadata=self.pair.certificate_pem)
        connection.sock = context.wrap_socket(socket.create_connection((self.host, self.port), timeout=20), server_hostname=NAME)
        try:
            connection.request("POST", "/", json.dumps(question), {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, text
        finally:
            connection.close()
        response = json.loads(text)["response"]
        assert response["uid"] == question["request"]["uid"]
        return response

    def page(self, path):
        connection = http.client.HTTPConnection(self.host, self.admin, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def validator(tmp_path, programs, binaries):
    return Validator(tmp_path, programs, binaries)


def broken(thing, **spec):
    return {**thing, "spec": {**copy.deepcopy(thing["spec"]), **spec}}


def test_sp_validator(validator):
    validator.serve()
    validator.profiles()
    assert validator.page("/ready")[0] == 200 and validator.page("/ping")[0] == 200
    allowed = validator.review(PROFILE)
    assert allowed["allowed"] is True and "status" not in allowed and "warnings" not in allowed
    refused = validator.review(broken(PROFILE, routes=[{"name": "", "condition": {"pathRegex": "("}}]))
    assert refused["allowed"] is False
    assert refused["status"]["code"] == 422
    assert refused["status"]["message"].startswith("ServiceProfile default/web.default.svc.cluster.local: 2 problems:\n  spec.routes[0].name: ")
    validator.program.wait_line(r"INFO sp-validator: refused: ServiceProfile default/web.default.svc.cluster.local: 2 problems:;  spec.routes")
    page = validator.page("/metrics")[1]
    assert 'control_validations_total{kind="ServiceProfile",allowed="false"} 1' in page
    assert validator.review(broken(PROFILE, routes=[]))["allowed"]
    elsewhere = {**PROFILE, "metadata": {"name": "web.default.svc.example.org", "namespace": "default"}}
    assert validator.review(elsewhere)["allowed"]  # it was not told the domain
    assert validator.program.stop() == 0


def test_sp_validator_that_knows_the_domain(validator):
    validator.serve()
    validator.profiles("-cluster-domain=example.org")
    elsewhere = {**PROFILE, "metadata": {"name": "web.default.svc.example.org", "namespace": "default"}}
    assert validator.review(elsewhere)["allowed"]
    assert "expected SERVICE.NAMESPACE.svc.example.org" in validator.review(PROFILE)["status"]["message"]


def test_a_certificate_that_comes_later(validator):
    """Not ready until then, and ready without a restart."""
    validator.profiles()
    assert validator.page("/ready")[0] == 503
    validator.program.wait_line("serving, but not ready: the validator has no certificate")
    validator.serve()
    until(lambda: validator.page("/ready")[0] == 200, lambda: validator.program.output)
    assert validator.review(PROFILE)["allowed"]


def test_policy_validator(validator):
    validator.serve()
    validator.policies()
    assert validator.page("/ready")[0] == 200
    assert validator.review(SERVER)["allowed"]
    assert validator.review(broken(SERVER, port=0))["status"]["message"].startswith("Server default/web: spec.port: expected a port number")
    (validator.source / "server.yaml").write_text(yaml.safe_dump(SERVER))
    second = {**SERVER, "metadata": {"name": "second", "namespace": "default"}}
    until(lambda: not validator.review(second)["allowed"], lambda: validator.program.output)
    assert "the Server web has a policy for this port of the same pods" in validator.review(second)["status"]["message"]
    assert validator.review(second, old=second)["warnings"] == [validator.review(second)["status"]["message"].removeprefix("Server default/second: ")]
    (validator.source / "server.yaml").unlink()
    until(lambda: validator.review(second)["allowed"], lambda: validator.program.output)


def test_policy_serves_proxies_without_a_certificate(validator):
    validator.policies()
    assert validator.page("/ready")[0] == 200
    validator.program.wait_line("WARN policy-validator: there is no usable serving certificate yet")


def test_policy_without_validator(validator):
    validator.policies("--admission-controller-disabled")
    assert "9443" not in validator.program.output


def test_the_address_is_of_the_policy_component(binaries):
    done = subprocess.run([binaries["linkerd-controller"], "destination", "--source", "/", "--server-addr=:9443"], capture_output=True, text=True)
    assert done.returncode == 64 and "--server-addr is of the policy component: expected --addr" in done.stderr
