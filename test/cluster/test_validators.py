"""The validating webhooks asked by a real API server, by the chart's own configurations: what is broken is refused with its field and
reason, what is good is stored, and what was there before the webhooks can still be labelled and deleted.

The cases are those of the unit test (src/control/validate/testdata), each with the words that are said about it."""

import base64
import copy
import json
import pathlib
import re
import subprocess

import pytest
import yaml

from cluster.api import Api
from cluster.cluster import missing_programs
from lib import netns
from lib.proc import Programs
from lib.wait import until
from lib.webhook import Pair, Volume

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not netns.available(), reason="network namespaces need root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

CASES = pathlib.Path(__file__).parents[2] / "src/control/validate/testdata"
LONG = 40
PORTS = {"linkerd-sp-validator-webhook-config": 8443, "linkerd-policy-validator-webhook-config": 9443}
BROKEN = {"apiVersion": "policy.linkerd.io/v1alpha1", "kind": "NetworkAuthentication", "metadata": {"name": "old", "namespace": "default"},
          "spec": {"networks": []}}
PROFILE = {"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
           "metadata": {"name": "web.default.svc.cluster.local", "namespace": "default"},
           "spec": {"routes": [{"name": "a", "condition": {"pathRegex": "/a"}}, {"name": "b", "condition": {"pathRegex": "/b"}},
                               {"name": "c", "condition": {"pathRegex": "/c/("}}]}}


def printed(binaries, *flags):
    text = subprocess.run([binaries["linkerd"], "install", "--ignore-cluster", *flags], capture_output=True, text=True, check=True).stdout
    return [thing for thing in yaml.safe_load_all(text) if thing]


def configurations(binaries, pair):
    """As the chart has them; only where they lead is of this test."""
    made = [thing for thing in printed(binaries) if thing["kind"] == "ValidatingWebhookConfiguration"]
    for thing in made:
        for webhook in thing["webhooks"]:
            webhook["clientConfig"] = {"url": f"https://127.0.0.1:{PORTS[thing['metadata']['name']]}/",
                                       "caBundle": base64.b64encode(pair.certificate_pem.encode()).decode()}
    return made


class Webhooks:
    """An API server with definitions, objects of before, both components beside it, and their configurations."""

    def __init__(self, api, programs, binaries, folder):
        self.api, self.programs, self.binaries = api, programs, binaries
        self.pair, self.tls = Pair(address="127.0.0.1"), Volume(folder / "tls")
        self.tls.put(tls_crt=self.pair.certificate_pem, tls_key=self.pair.key_pem)
        api.define(*printed(binaries, "--crds"))
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}},
                  {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}})
        self.add_world()
        api.apply(BROKEN)
        self.start()
        self.configure()

    def add_world(self):
        for thing in yaml.safe_load_all((CASES / "world/world.yaml").read_text()):
            if thing["kind"] == "Pod":
                thing["spec"]["automountServiceAccountToken"] = False
            until(lambda thing=thing: self.try_apply(thing)[0] == 0, lambda thing=thing: self.try_apply(thing)[1], LONG)  # definitions are served soon

    def run(self, component, *flags):
        files = [f"--server-tls-certs={self.tls.folder}/tls.crt", f"--server-tls-key={self.tls.folder}/tls.key"]
        program = self.programs.start([self.binaries["linkerd-controller"], component, *flags, *files], namespace=self.api.host, name=component)
        program.wait_line("start: ready", timeout=LONG)
        return program

    def start_profiles(self):
        self.profiles = self.run("sp-validator", "-log-level=info", "-log-format=plain", "-enable-pprof=false")

    def start(self):
        self.start_profiles()
        self.policies = self.run("policy", "--kubeconfig", self.api.control.admin, "--server-addr=0.0.0.0:9443")

    def configure(self):
        self.api.apply(*configurations(self.binaries, self.pair))
        changed = {**BROKEN, "metadata": {"name": "new", "namespace": "default"}}
        for thing in (PROFILE, changed):
            until(lambda thing=thing: "denied the request" in self.try_apply(thing, "--dry-run=server")[1],
                  lambda thing=thing: self.try_apply(thing, "--dry-run=server")[1], LONG)

    def try_apply(self, thing, *flags):
        """Status, and what the user reads."""
        done = self.api.host.run(["kubectl", f"--kubeconfig={self.api.control.admin}", "apply", "-f", "-", *flags], check=False,
                                 input=thing if isinstance(thing, str) else json.dumps(thing))
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def webhooks(binaries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("validators")
    programs = Programs(folder)
    with Api() as api:
        try:
            yield Webhooks(api, programs, binaries, folder)
        finally:
            programs.close()


def cases():
    """Those that a user could create, under names that tell them apart."""
    for file in ("profile.yaml", "server.yaml", "policy.yaml", "routes.yaml"):
        for each in yaml.safe_load((CASES / file).read_text()):
            thing, meta = each["object"], each["object"]["metadata"]
            said = each.get("says", [])
            gone = any("unknown field" in one or "not supported, it has no effect" in one for one in said)
            if gone or meta["name"] not in ("new", PROFILE["metadata"]["name"]) or any("metadata.name" in one for one in said):
                continue  # what the schema does not know is gone before webhooks are asked; or the name is what it is about
            yield each


def renamed(thing, number):
    thing = copy.deepcopy(thing)
    name = f"case-{number}"
    thing["metadata"]["name"] = f"{name}.default.svc.cluster.local" if thing["kind"] == "ServiceProfile" else name
    thing["metadata"]["namespace"] = "default"
    return thing


def test_every_case(webhooks):
    """In one go: a case is created or refused as the unit test says, unless the definition's own schema refuses it before that."""
    asked = list(cases())
    documents = [renamed(each["object"], number) for number, each in enumerate(asked)]
    done = webhooks.api.host.run(["kubectl", f"--kubeconfig={webhooks.api.control.admin}", "create", "--dry-run=server", "--validate=ignore", "-f", "-"],
                                 input="\n---\n".join(json.dumps(thing) for thing in documents), check=False, timeout=120)
    refused_by_us = 0
    for number, each in enumerate(asked):
        name = documents[number]["metadata"]["name"]
        refusals = [said.removeprefix("refused: ") for said in each.get("says", []) if said.startswith("refused: ")]
        created = re.search(rf"/{re.escape(name)} created", done.stdout)
        denied = f"denied the request: {documents[number]['kind']} default/{name}: " in done.stderr
        by_schema = not created and not denied
        assert not (created and refusals), (each["case"], refusals)
        assert not (denied and not refusals), (each["case"], done.stderr)
        if by_schema:
            continue
        refused_by_us += denied
        if denied:
            told = done.stderr.split(f"{documents[number]['kind']} default/{name}: ", 1)[1].split("denied the request", 1)[0]
            assert all(reason.split(": ")[0] in told for reason in refusals), (each["case"], told)
        warned = [said for said in each.get("says", []) if said.startswith("warning: ") and created]
        assert all(said.removeprefix("warning: ")[:200] in done.stderr for said in warned), (each["case"], warned)
    assert refused_by_us > 40, done.stderr


def test_a_profile_is_refused_until_it_is_right(webhooks):
    status, text = webhooks.try_apply(PROFILE)
    assert status == 1
    assert ('admission webhook "linkerd-sp-validator.linkerd.io" denied the request: ServiceProfile default/web.default.svc.cluster.local: '
            'spec.routes[2].condition.pathRegex: "/c/(" is no pattern: ') in text
    right = copy.deepcopy(PROFILE)
    right["spec"]["routes"][2]["condition"]["pathRegex"] = "/c/[0-9]+"
    assert webhooks.try_apply(right) == (0, "serviceprofile.linkerd.io/web.default.svc.cluster.local created\n")
    assert webhooks.try_apply(PROFILE)[0] == 1  # a change is looked at too
    webhooks.api.kubectl("delete", "serviceprofile", "web.default.svc.cluster.local")


def test_a_second_server_for_the_same_pods(webhooks):
    server = {"apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server", "metadata": {"name": "second", "namespace": "default"},
              "spec": {"podSelector": {"matchLabels": {"app": "twice"}}, "port": 80}}
    assert webhooks.try_apply(server)[0] == 0
    third = {**server, "metadata": {"name": "third", "namespace": "default"}}
    until(lambda: "Server default/third: spec: the Server second has a policy for this port of the same pods" in webhooks.try_apply(third, "--dry-run=server")[1],
          lambda: "the second Server has not come to the policy component", LONG)
    webhooks.api.kubectl("delete", "server", "second")
    until(lambda: webhooks.try_apply(third, "--dry-run=server")[0] == 0, lambda: "the second Server has not gone", LONG)


def test_what_was_there_before(webhooks):
    """Its spec is refused today; a label on it is not, and it can go."""
    api = webhooks.api
    api.kubectl("label", "networkauthentication", "old", "a=b")
    api.kubectl("patch", "networkauthentication", "old", "--type=merge", "--patch", json.dumps({"metadata": {"finalizers": ["example.org/wait"]}}))
    with pytest.raises(subprocess.SubprocessError, match="spec.networks: empty; expected at least one network"):
        api.kubectl("annotate", "networkauthentication", "old", "a=b")
    api.kubectl("delete", "networkauthentication", "old", "--wait=false")
    api.kubectl("patch", "networkauthentication", "old", "--type=json", "--patch", json.dumps([{"op": "remove", "path": "/metadata/finalizers"}]))
    until(lambda: "old" not in api.kubectl("get", "networkauthentications", "-o", "name"), lambda: "it is still there", LONG)


def test_without_the_webhook(webhooks):
    """failurePolicy as the chart has it: Ignore, so that a cluster does not stand still for want of a validator."""
    webhooks.profiles.stop()
    status, text = webhooks.try_apply(PROFILE, "--dry-run=server")
    assert (status, "created (server dry run)" in text) == (0, True), text
    webhooks.start_profiles()
    until(lambda: "denied the request" in webhooks.try_apply(PROFILE, "--dry-run=server")[1], lambda: "it is not asked again", LONG)
