"""Issuers that cannot be used, at an identity service that runs beside an API server: each is told there with its reason, and the last good
one certifies on. On a whole cluster, in both schemes, test_rotation.py does the same; without an API server, test/control/test_identity.py."""

import json
import re

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from cluster.api import Api
from cluster.cluster import missing_programs
from cluster.controller import ClusterController, install_rights, kubeconfig_of
from control.test_identity import SPOILT
from lib import netns
from lib.controller import make_csr
from lib.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not netns.available(), reason="network namespaces need root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

WEB = "web.default.serviceaccount.identity.linkerd.cluster.local"
LONG = 30
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "linkerd-identity", "namespace": "linkerd"}, "spec": {
    "selector": {"matchLabels": {"app": "identity"}}, "template": {"metadata": {"labels": {"app": "identity"}}, "spec": {
        "containers": [{"name": "identity", "image": "identity"}]}}}}


@pytest.fixture
def identity(programs, binaries, tmp_path):
    """With the rights that the chart gives, and no others; files take the place of the mounted Secret."""
    with Api() as api:
        install_rights(api, binaries)
        api.apply(DEPLOYMENT, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "default"}})
        controller = ClusterController(api, tmp_path, programs, binaries)
        controller.component = "identity"
        controller.start("--trust-anchors", controller.issuer.directory / "ca.crt", kubeconfig=kubeconfig_of(api, "linkerd-identity", tmp_path / "kubeconfig"))
        yield controller.ready()
        controller.close()


def told(identity, reason):
    """What Events say of the Deployment."""
    uid = identity.api.kubectl("get", "deployment", "linkerd-identity", "-n", "linkerd", "-o", "jsonpath={.metadata.uid}")
    kind = "Normal" if reason == "IssuerUpdated" else "Warning"
    items = json.loads(identity.api.kubectl("get", "events", "-n", "linkerd", "--field-selector", f"reason={reason}", "-o", "json"))["items"]
    return [one["message"] for one in items if one["involvedObject"].get("uid") == uid and one["type"] == kind]


def test_they_are_told_and_skipped(identity):
    def is_certified_by(certificate):
        token = identity.api.kubectl("create", "token", "web", "--audience=identity.l5d.io").strip()
        leaf = x509.load_der_x509_certificate(identity.certify(WEB, token, make_csr(WEB)).leaf_certificate)
        try:
            leaf.verify_directly_issued_by(certificate)
        except InvalidSignature:
            return False
        return True

    issuer = identity.issuer
    good, key = issuer.certificate, issuer.key
    assert is_certified_by(good)
    for spoil, reason in SPOILT:
        issuer.certificate, issuer.key, seen = good, key, set(told(identity, "IssuerUpdateSkipped"))
        spoil(issuer)
        issuer.write()
        until(lambda: any(re.search(reason, one) for one in set(told(identity, "IssuerUpdateSkipped")) - seen), lambda: identity.program.output, LONG)
    assert is_certified_by(good)
    assert told(identity, "IssuerValidationFailed") == [] and identity.http("/ready")[0] == 200
    issuer.renew()
    until(lambda: is_certified_by(issuer.certificate), lambda: identity.program.output, LONG)
    until(lambda: told(identity, "IssuerUpdated"), lambda: identity.program.output, LONG)
    assert not re.search(r"\b403\b", identity.program.output)
