"""Certificates' whole life in a real cluster: the anchors changed under load by what docs/trust.md says to type, issuers replaced in both
schemes, and refused when they are no good."""

import datetime
import json
import os
import pathlib
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cluster.cluster import ROOT, Cluster, missing_programs
from cluster.installed import Pair, b64
from cluster.mesh import DEPLOYMENTS, SHOP_DEPLOYMENTS, Mesh, make_images

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root"),
              pytest.mark.skipif(bool(missing_programs()), reason="the cluster's programs are not built: scripts/deps cluster")]

RUNNING = ("the proxies that run believe the trust anchors in force", "the proxies that run have certificates of the issuer in force")
LIFETIME = 40  # seconds, of a proxy's certificate

# A connection of its own for each question: through opaque TCP, where each is a handshake between the proxies.
DIALER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: dialer, namespace: shop}
spec:
  selector: {matchLabels: {app: dialer}}
  template:
    metadata: {labels: {app: dialer}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: dialer
        image: localhost/clinkerd/demo-shop:1
        imagePullPolicy: Never
        command: [sh, -c, "while :; do redis-cli -h cache.shop.svc.cluster.local ping || echo failed; sleep 0.1; done"]
"""


def steps():
    """The lines to type of docs/trust.md, a list for each step, without the check that ends it."""
    text = (ROOT / "docs" / "trust.md").read_text().split("## Changing the anchor in a cluster\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^ {7}\S.*\n)+", text, re.MULTILINE)
    found = [[line.strip() for line in block.splitlines()] for block in blocks]
    assert len(found) == 3 and all(step[-1] == "linkerd check --proxy" for step in found), found
    return [step[:-1] for step in found]


class Operator:
    """Somebody at a shell beside the API server, in a folder."""

    def __init__(self, mesh, folder):
        self.mesh, self.folder = mesh, folder

    def type(self, *lines):
        path = f"{pathlib.Path(self.mesh.linkerd).parent}:{os.environ['PATH']}"
        return self.mesh.cluster.inside(["env", f"PATH={path}", "bash", "-e", "-o", "pipefail", "-c", "\n".join(lines)], cwd=self.folder, timeout=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("operator")


@pytest.fixture(scope="module")
def mesh(binaries, folder, tmp_path_factory):
    images = tmp_path_factory.mktemp("images")
    try:
        tars = make_images(binaries["linkerd-proxy"].parent.parent.parent, images)
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")
    with Cluster(nodes=1) as cluster:
        mesh = Mesh(cluster, binaries["linkerd"])
        cluster.load(*tars)
        mesh.load_shop(images)
        mesh.operator = Operator(mesh, folder)
        mesh.operator.type("linkerd certs anchor --out anchor", "linkerd certs issuer --ca anchor/ca.crt --ca-key anchor/ca.key --out issuer")
        mesh.install("--identity-trust-anchors-file", folder / "anchor/ca.crt", "--identity-issuer-certificate-file", folder / "issuer/tls.crt",
                     "--identity-issuer-key-file", folder / "issuer/tls.key", f"--identity-issuance-lifetime={LIFETIME}s")
        mesh.open_shop()
        mesh.apply(DIALER)
        mesh.kubectl("rollout", "status", "-n", "shop", "deploy/dialer", "--timeout=60s", timeout=70)
        yield mesh


def look_at_volumes(mesh):
    """The kubelet looks at the volumes of a pod that changes, and else when its time has come."""
    for name in DEPLOYMENTS:
        for pod in mesh.pods("linkerd", **{"linkerd.io/proxy-deployment": name}):
            said = f"test/looked-at={datetime.datetime.now().timestamp()}"
            mesh.kubectl("annotate", "pod", "-n", "linkerd", pod["metadata"]["name"], said, "--overwrite")


def checked(mesh):
    """What the check says of the proxies that run: sentence -> result."""
    said = json.loads(mesh.cluster.inside([mesh.linkerd, "check", "--proxy", "-o", "json", "--wait=0s"], check=False, timeout=120).stdout)
    return {one["description"]: one.get("error", one["result"]) for category in said["categories"] for one in category["checks"]}


def await_check(mesh):
    """The rows that were not well before it was."""
    def is_over():
        nonlocal last
        last = checked(mesh)
        wrong.update({row: last.get(row, "not looked at") for row in RUNNING if last.get(row) != "success"})
        return all(last.get(row) == "success" for row in RUNNING)

    last, wrong = None, {}
    look_at_volumes(mesh)
    try:
        mesh.cluster.until(is_over, "the check of the proxies that run")
    except TimeoutError:
        pytest.fail(str({row: result for row, result in last.items() if result != "success"}))
    return wrong


def anchors_of(pod):
    proxy = next(one for one in pod["spec"]["initContainers"] if one["name"] == "linkerd-proxy")
    pem = next(one["value"] for one in proxy["env"] if one["name"] == "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS")
    return {one.serial_number for one in x509.load_pem_x509_certificates(pem.encode())}


def serials(*paths):
    return {one.serial_number for path in paths for one in x509.load_pem_x509_certificates(path.read_bytes())}


def new_pod_speaks(mesh, name, anchors):
    """A pod that is made now has these anchors, and is understood; the injector's volume may be later than identity's."""
    def made():
        mesh.kubectl("delete", "pod", "-n", "shop", name, "--ignore-not-found", "--grace-period=0", "--force")
        mesh.kubectl("run", name, "-n", "shop", "--image=localhost/clinkerd/demo-shop:1", "--image-pull-policy=Never", "--command", "--", "sleep", "1d")
        return anchors_of(json.loads(mesh.kubectl("get", "pod", "-n", "shop", name, "-o", "json"))) == anchors

    mesh.cluster.until(made, f"a pod with the anchors of {name}")
    mesh.kubectl("wait", "-n", "shop", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", timeout=70)
    assert mesh.kubectl("exec", "-n", "shop", name, "-c", name, "--", "redis-cli", "-h", "cache.shop.svc.cluster.local", "ping").strip() == "PONG"


def containers(mesh):
    """Of all pods that were there: their ids and how often their containers were started."""
    items = json.loads(mesh.kubectl("get", "pods", "-A", "-o", "json"))["items"]
    return {pod["metadata"]["uid"]: (pod["metadata"]["name"], sum(one["restartCount"] for kind in ("initContainerStatuses", "containerStatuses")
                                                                  for one in pod["status"].get(kind, []))) for pod in items}


def reported(mesh, lines):
    """The shopper has said so many lines more."""
    seen = len(mesh.said("visitor"))
    mesh.cluster.until(lambda: len(mesh.said("visitor")) >= seen + lines, "the shopper's report")


def test_the_anchor_is_rotated_under_load(mesh, folder):
    """Step by step as documented; no request fails, no pod and no container is started again."""
    before = containers(mesh)
    old = folder / "anchor/ca.crt"
    new = folder / "new-anchor/ca.crt"
    await_check(mesh)
    for number, (step, anchors) in enumerate(zip(steps(), ((old, new), (old, new), (new,))), 1):
        mesh.operator.type(*step)
        if number == 2:  # what comes too early is refused
            with pytest.raises(RuntimeError, match="has a certificate that the new anchors do not vouch for"):
                mesh.operator.type(steps()[2][0].split(" | ")[0])
        wrong = await_check(mesh)
        assert all("these have others as yet: " in said for said in wrong.values()), wrong
        assert number != 2 or RUNNING[1] in wrong  # certificates take their time; anchors may have reached all before the check
        new_pod_speaks(mesh, f"step-{number}", serials(*anchors))
    reported(mesh, 2)
    counts, errors = mesh.reports()
    assert not errors and set(counts) == {200} and sum(counts.values()) > 500, (counts, errors)
    assert set(mesh.said("reader")) == {"done"} and not mesh.said("keeper")
    dialled = mesh.kubectl("logs", "-n", "shop", "deploy/dialer", "-c", "dialer", "--tail=-1").splitlines()
    assert set(dialled) == {"PONG"} and len(dialled) > 200, [line for line in dialled if line != "PONG"]
    after = containers(mesh)
    assert before == {uid: after.get(uid) for uid in before}


def test_who_the_pods_are(mesh, folder):
    """`linkerd identity`: of a pod, of pods with a label; by the new issuer."""
    pods = mesh.pods("shop", app="web")
    name = "web.shop.serviceaccount.identity.linkerd.cluster.local"
    said = mesh.cli("identity", "-n", "shop", pods[0]["metadata"]["name"])
    assert said.startswith(f"POD {pods[0]['metadata']['name']} (1 of 1)\n\nSubject:     CN={name}\nNames:       DNS:{name}\n"
                           "Issuer:      CN=identity.linkerd.cluster.local\nCA:          no\nKey:         ECDSA P-256\n"), said
    all_of_them = json.loads(mesh.cli("identity", "-n", "shop", "-l", "app=web", "--chain", "-o", "json"))
    assert {one["pod"] for one in all_of_them} == {f"shop/{pod['metadata']['name']}" for pod in pods}
    issuer = x509.load_pem_x509_certificate((folder / "new-issuer/tls.crt").read_bytes())
    for one in all_of_them:
        assert [cert["isCA"] for cert in one["certificates"]] == [False, True]
        assert int(one["certificates"][1]["serial"], 16) == issuer.serial_number


def test_a_container_that_starts_again_knows_the_anchors(mesh, folder):
    """In a pod that was made with the old anchor alone."""
    pod, = mesh.pods("shop", app="cache")
    assert anchors_of(pod) == serials(folder / "anchor/ca.crt")
    pids = mesh.cluster.nodes[0].run(["pgrep", "-f", "linkerd2-proxy|linkerd-proxy"], check=False).stdout.split()
    name = pod["metadata"]["name"]
    restarted = [pid for pid in pids if pathlib.Path(f"/proc/{pid}/environ").exists() and f"_pod_name={name}".encode() in
                 pathlib.Path(f"/proc/{pid}/environ").read_bytes()]
    assert restarted
    for pid in restarted:
        mesh.cluster.kill(int(pid))

    def is_ready_again():
        now, = mesh.pods("shop", app="cache")
        proxy, = [one for one in now["status"]["initContainerStatuses"] if one["name"] == "linkerd-proxy"]
        return proxy["restartCount"] == 1 and proxy["ready"]

    mesh.cluster.until(is_ready_again, "the proxy that was killed", 60)
    assert checked(mesh)[RUNNING[0]] == "success"


# --- issuers ---

def anchor_of(folder):
    """The key and the certificate in force, as a signer: the new one, if it was rotated before."""
    name = "new-anchor" if (folder / "new-anchor").exists() else "anchor"
    found = Pair("x", ca=True)
    found.key = load_pem_private_key((folder / name / "ca.key").read_bytes(), None)
    found.certificate = x509.load_pem_x509_certificate((folder / name / "ca.crt").read_bytes())
    return found


def secret(certificate, key, scheme):
    names = ("tls.crt", "tls.key") if scheme == "kubernetes.io/tls" else ("crt.pem", "key.pem")
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "type": scheme if scheme == "kubernetes.io/tls" else "Opaque",
                       "metadata": {"name": "linkerd-identity-issuer", "namespace": "linkerd"},
                       "data": {names[0]: b64(certificate), names[1]: b64(key)}})


def give(mesh, pair, scheme, key=None):
    mesh.kubectl("apply", "-f", "-", "--force-conflicts", "--server-side", text=secret(pair.pem, (key or pair).key_pem, scheme))
    look_at_volumes(mesh)


def events(mesh, reason):
    items = json.loads(mesh.kubectl("get", "events", "-n", "linkerd", "--field-selector", f"reason={reason}", "-o", "json"))["items"]
    return [one["message"] for one in items if one["involvedObject"]["name"] == "linkerd-identity"]


def await_event(mesh, reason, word):
    mesh.cluster.until(lambda: [one for one in events(mesh, reason) if word in one], f"the event {reason} {word}")


def await_issuer(mesh, pair):
    """Proxies get certificates of it."""
    await_event(mesh, "IssuerUpdated", pair.certificate.subject.rfc4514_string())

    def is_of_it():
        shown = json.loads(mesh.cli("identity", "-n", "shop", "-l", "app=web", "--chain", "-o", "json"))
        return all(int(one["certificates"][1]["serial"], 16) == pair.certificate.serial_number for one in shown)

    mesh.cluster.until(is_of_it, "certificates of the new issuer")


BAD = [
    ("an RSA key", "ECDSA P-256", lambda good, other: (Pair("bad", good, ca=True, key="rsa"), None)),
    ("expired", "expired", lambda good, other: (Pair("bad", good, ca=True, begins=-10, ends=-1), None)),
    ("of another anchor", "", lambda good, other: (Pair("bad", other, ca=True), None)),
    ("of another key", "key", lambda good, other: (Pair("bad", good, ca=True), Pair("bad", good, ca=True))),
    ("no CA", "CA", lambda good, other: (Pair("bad", good), None)),
]


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["linkerd.io/tls", "kubernetes.io/tls"])
def test_the_issuer_is_replaced_and_refused(mesh, folder, scheme):
    """A good one is taken; bad ones are told, and leave the last good one in force."""
    anchor, other = anchor_of(folder), Pair("other", ca=True)
    if scheme == "kubernetes.io/tls":  # the type of a Secret cannot be changed
        mesh.kubectl("delete", "secret", "-n", "linkerd", "linkerd-identity-issuer")
    good = Pair(f"good.{scheme.split('.')[0]}", anchor, ca=True)
    give(mesh, good, scheme)
    await_issuer(mesh, good)
    for what, word, make in BAD:
        seen = sum(counted(mesh).values())
        pair, key = make(anchor, other)
        give(mesh, pair, scheme, key)
        mesh.cluster.until(lambda: sum(counted(mesh).values()) > seen, f"the event of an issuer {what}")
        assert any(word in one for one in events(mesh, "IssuerUpdateSkipped")), (what, events(mesh, "IssuerUpdateSkipped"))
    mesh.kubectl("rollout", "restart", "-n", "shop", "deploy/shopper")  # a new proxy is certified by the last good one
    mesh.await_shop()
    shown = json.loads(mesh.cli("identity", "-n", "shop", "-l", "app=shopper", "--chain", "-o", "json"))
    assert good.certificate.serial_number in {int(one["certificates"][1]["serial"], 16) for one in shown}
    again = Pair(f"again.{scheme.split('.')[0]}", anchor, ca=True)
    give(mesh, again, scheme)
    await_issuer(mesh, again)


def counted(mesh):
    items = json.loads(mesh.kubectl("get", "events", "-n", "linkerd", "--field-selector", "reason=IssuerUpdateSkipped", "-o", "json"))["items"]
    return {one["message"]: one.get("count") or one.get("series", {}).get("count", 1) for one in items}


@pytest.mark.long
def test_an_issuer_that_ends(mesh, folder):
    """Its certificates end with it; requests are refused and told; a good one mends it."""
    anchor = anchor_of(folder)
    short = Pair("short", anchor, ca=True, ends=45 / 86400)
    give(mesh, short, "kubernetes.io/tls")
    await_event(mesh, "IssuerUpdated", "CN=short")
    await_event(mesh, "IssuerValidationFailed", "")
    good = Pair("after", anchor, ca=True)
    give(mesh, good, "kubernetes.io/tls")
    await_issuer(mesh, good)
    for name in SHOP_DEPLOYMENTS:
        mesh.kubectl("rollout", "status", "-n", "shop", f"deploy/{name}", "--timeout=120s", timeout=130)
    assert mesh.shopper("curl", "-sS", "http://web.shop.svc.cluster.local/").startswith("hello")
