"""Control planes that an upgrade finds: this project's of an earlier day, and Linkerd's own, each with certificates of this moment."""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml

from cluster.cluster import ROOT
from lib import helm

sys.path.insert(0, str(ROOT / "images"))
import layout  # noqa: E402

DATA = ROOT / "test" / "cluster" / "data"
WEBHOOKS = {"injector": "linkerd-proxy-injector", "profile": "linkerd-sp-validator", "policy": "linkerd-policy-validator"}
EDGE = "edge-26.9.1"  # what it says of itself; nothing depends on it
EDGE_PROGRAMS = ("linkerd2-controller", "linkerd2-policy-controller", "linkerd2-proxy", "linkerd2-proxy-identity")


def certificates(mesh, folder):
    """name -> PEM: anchors, issuer.crt, issuer.key; and of the webhooks ca, and for each its crt and key."""
    for words in (["anchor", f"--out={folder}"], ["issuer", f"--out={folder}/issuer", f"--ca={folder}/ca.crt", f"--ca-key={folder}/ca.key"]):
        subprocess.run([mesh.linkerd, "certs", *words], check=True, capture_output=True, timeout=30)
    found = {"anchors": folder / "ca.crt", "issuer.crt": folder / "issuer/tls.crt", "issuer.key": folder / "issuer/tls.key"}
    pki = mesh.cluster.pki
    for name, service in WEBHOOKS.items():
        pki.certificate(service, service, names=[f"{service}.linkerd.svc"], authority="webhooks")
        found |= {f"{name}.crt": pki.folder / f"{service}.crt", f"{name}.key": pki.folder / f"{service}.key"}
    found["ca"] = pki.folder / "webhooks.crt"
    return {name: path.read_text().strip() for name, path in found.items()}


def _fill(value, pems):
    if isinstance(value, dict):
        return {key: _fill(one, pems) for key, one in value.items()}
    if isinstance(value, list):
        return [_fill(one, pems) for one in value]
    if not isinstance(value, str):
        return value
    if found := re.fullmatch(r"base64:@([a-z.]+)@", value):
        return base64.b64encode(pems[found[1]].encode()).decode()
    # In YAML within a string, a PEM is a scalar in double quotes: on one line.
    return re.sub(r"(['\"]?)@([a-z.]+)@\1", lambda found: json.dumps(pems[found[2]]) if found[1] else pems[found[2]], value)


def of_ours(mesh, folder):
    """The manifests of data/earlier.yaml."""
    pems = certificates(mesh, folder)
    return yaml.safe_dump_all(_fill(thing, pems) for thing in yaml.load_all((DATA / "earlier.yaml").read_text(), Loader=yaml.CSafeLoader))


# --- Linkerd's own ---

def peers():
    """The folder with Linkerd's programs and charts, or None."""
    folder = os.environ.get("LINKERD_PEERS")
    found = folder and all((pathlib.Path(folder) / name).exists() for name in (*EDGE_PROGRAMS, "linkerd2-charts")) and helm.find()
    return pathlib.Path(folder) if found else None


def edge_images(build, out):
    """Linkerd's programs in images of the names that its chart has; rules, validator and the rest of a pod's start are ours."""
    source, paths = layout.Source(build, EDGE), []
    proxy = layout.proxy(f"cr.l5d.io/linkerd/proxy:{EDGE}", source)
    proxy.file("/usr/lib/linkerd/linkerd-await", source.ours("linkerd-proxy"), mode=0o755)  # was a link to the next
    _add_theirs(proxy, {"linkerd2-proxy": "/usr/lib/linkerd/linkerd2-proxy", "linkerd2-proxy-identity": "/usr/lib/linkerd/linkerd2-proxy-identity"})
    controller = layout.controller(f"cr.l5d.io/linkerd/controller:{EDGE}", source)
    _add_theirs(controller, {"linkerd2-controller": "/controller", "linkerd2-policy-controller": "/linkerd-policy-controller"})
    for label, image in (("edge-proxy", proxy), ("edge-controller", controller)):
        paths.append(pathlib.Path(out) / f"{label}.tar")
        image.write(paths[-1])
    return paths


def _add_theirs(image, programs):
    """Programs of LINKERD_PEERS where the image has them, with the libraries of those that are not static."""
    for name, path in programs.items():
        program = peers() / name
        image.file(path, program, mode=0o755)
        if b"ld-linux" in program.read_bytes()[:4096]:
            for library, file in layout.Source.libraries(program).items():
                image.file(library, file, mode=0o755)


def edge_charts(mesh, folder):
    """(the folder of Linkerd's charts, whole; the values of an installation), and values.yaml with them in the folder."""
    charts, pems = folder / "charts", certificates(mesh, folder)
    shutil.copytree(peers() / "linkerd2-charts", charts)
    for chart in ("linkerd-crds", "linkerd-control-plane"):
        shutil.copytree(charts / "partials", charts / chart / "charts" / "partials")
    values = {"linkerdVersion": EDGE, "cliVersion": f"linkerd/cli {EDGE}", "identityTrustAnchorsPEM": pems["anchors"] + "\n",
              "identity": {"issuer": {"tls": {"crtPEM": pems["issuer.crt"] + "\n", "keyPEM": pems["issuer.key"] + "\n"}}}}
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    return charts, values


def of_edge(mesh, folder):
    """(definitions, the rest): what Linkerd's `install` prints, by its charts and Helm, and the Secret in which it keeps the values."""
    charts, values = edge_charts(mesh, folder)

    def rendered(chart, *flags):
        done = helm.template(helm.find(), charts / chart, *flags, home=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def named(kind, **more):
        return {"apiVersion": "v1", "kind": kind, **more}

    labels = {"linkerd.io/control-plane-ns": "linkerd"}
    not_injected = {"linkerd.io/is-control-plane": "true", "config.linkerd.io/admission-webhooks": "disabled"}
    around = [named("Namespace", metadata={"name": "linkerd", "labels": {**labels, **not_injected}, "annotations": {"linkerd.io/inject": "disabled"}}),
              named("Secret", metadata={"name": "linkerd-config-overrides", "namespace": "linkerd", "labels": labels},
                    stringData={"linkerd-config-overrides": yaml.safe_dump(values)})]
    return (rendered("linkerd-crds", "--set=installGatewayAPI=true"),
            "---\n".join([yaml.safe_dump_all(around), rendered("linkerd-control-plane", f"--values={folder}/values.yaml")]))
