"""linkerd inject and uninject: a table of cases with what comes out, byte for byte; and what must hold for all of them.

A case is a file of test/cli/inject: `# flags: ...` in its first line, then the parts INPUT, OUTPUT, STDERR and STATUS behind lines `===`.
OUTPUT `same` is the input. The way back gives the input again, but for cases named once-... .
"""

import contextlib
import http.server
import json
import pathlib
import re
import ssl
import subprocess
import threading
import time

import pytest
import yaml

from cluster.pki import Pki

CASES = pathlib.Path(__file__).parent / "inject"


def read_case(path):
    """(flags, input, output, stderr, status); bytes where it is manifests. `\\r` at a line's end stands for CR, `\\e` at the end for no newline."""
    head, *parts = re.split(r"^=== (\w+)\n", path.read_text(), flags=re.MULTILINE)
    found = dict(zip(parts[::2], parts[1::2]))
    text = lambda name: re.sub(r"\\e\n\Z", "", found[name].replace("\\r\n", "\r\n"))  # noqa: E731
    flags = head.removeprefix("# flags:").split()
    output = text("INPUT") if found["OUTPUT"].strip() == "same" else text("OUTPUT")
    return flags, text("INPUT").encode(), output.encode(), found["STDERR"], int(found["STATUS"])


def run(binaries, words, data, cwd):
    done = subprocess.run([binaries["linkerd"], *words], input=data, capture_output=True, timeout=60, cwd=cwd)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture(scope="session")
def anchors(binaries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("anchors")
    subprocess.run([binaries["linkerd"], "certs", "anchor"], cwd=folder, check=True, capture_output=True, timeout=30)
    return folder / "ca.crt"


@pytest.fixture
def manual(anchors):
    return ["--manual", "--ignore-cluster", "--identity-trust-anchors-file", str(anchors)]


@pytest.mark.parametrize("path", sorted(CASES.glob("*.case")), ids=lambda path: path.stem)
def test_case(binaries, tmp_path, path):
    flags, given, output, stderr, status = read_case(path)
    got = run(binaries, [*flags, "-"], given, tmp_path)
    assert got == (status, output, stderr)


REVERSIBLE = [path for path in sorted(CASES.glob("*.case")) if "uninject" not in path.read_text().partition("\n")[0] and "=== STATUS\n0" in path.read_text()
              and not path.stem.startswith("once-")]


@pytest.mark.parametrize("path", REVERSIBLE, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", ["annotation", "manual"])
def test_and_back(binaries, tmp_path, manual, path, form):
    _, given, *_ = read_case(path)
    words = manual if form == "manual" else []
    status, injected, error = run(binaries, ["inject", *words, "-"], given, tmp_path)
    assert status == 0, error
    assert run(binaries, ["uninject", "-"], injected, tmp_path)[:2] == (0, given)
    assert run(binaries, ["inject", *words, "-"], injected, tmp_path)[:2] == (0, injected), "a second time changes nothing"


def objects(text):
    for document in yaml.load_all(text, Loader=yaml.CSafeLoader):
        if isinstance(document, dict):
            yield from document["items"] if document.get("kind") == "List" else [document]


@pytest.mark.parametrize("path", REVERSIBLE, ids=lambda path: path.stem)
def test_another_parser_reads_the_proxy(binaries, tmp_path, manual, path):
    """What PyYAML reads: the objects as they were, with a proxy first among the init containers of each pod; and the same as -o json says."""
    _, given, *_ = read_case(path)
    status, text, error = run(binaries, ["inject", *manual, "-"], given, tmp_path)
    assert status == 0, error
    as_json = run(binaries, ["inject", *manual, "-o", "json", "-"], given, tmp_path)[1]
    lines = [json.loads(line) for line in as_json.splitlines()]
    assert list(objects(text)) == [item for one in lines if isinstance(one, dict) for item in (one["items"] if one.get("kind") == "List" else [one])]
    for before, after in zip(objects(given), objects(text), strict=True):
        assert without_proxy(after) == without_proxy(before)


def without_proxy(item):
    """By other means than ours: what injection adds, and empty things, are left out."""
    def clean(value):
        if isinstance(value, dict):
            kept = {key: clean(member) for key, member in value.items() if not str(key).startswith("linkerd.io/")}
            return {key: member for key, member in kept.items() if member not in ({}, [], None)}
        if isinstance(value, list):
            return [clean(member) for member in value if not (isinstance(member, dict) and str(member.get("name", "")).startswith("linkerd-"))]
        return value
    return clean(item)


def test_folder(binaries, tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    pod = "kind: Pod\nmetadata:\n  name: {}\nspec:\n  containers: []\n"
    (tmp_path / "in" / "a.yaml").write_text(pod.format("a"))
    (tmp_path / "in" / "sub" / "b.yaml").write_text("---\n" + pod.format("b").rstrip("\n"))
    (tmp_path / "in" / "z.yaml").write_text(pod.format("z"))
    status, out, error = run(binaries, ["inject", "in"], b"", tmp_path)
    assert status == 0
    assert [item["metadata"]["name"] for item in objects(out)] == ["a", "b", "z"]
    assert error == '\npod "a" injected\npod "b" injected\npod "z" injected\n\n'


POD = b"kind: Pod\nmetadata:\n  name: far # away\nspec:\n  containers: []\n"


@pytest.fixture
def site(tmp_path):
    """site(pages, tls): an http or https server; its URL. A page is bytes, or a status with a Location."""
    servers = []

    def start(pages, tls=False):
        class Site(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                page = pages.get(self.path, 404)
                self.send_response(200 if isinstance(page, bytes) else page if isinstance(page, int) else page[0])
                if isinstance(page, tuple):
                    self.send_header("Location", page[1])
                body = page if isinstance(page, bytes) else b""
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
        server.handle_error = lambda *args: None
        if tls:
            pki = Pki(tmp_path / "pki")
            pki.authority("ca")
            pki.certificate("site", "site", names=["127.0.0.1"])
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tmp_path / "pki" / "site.crt", tmp_path / "pki" / "site.key")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_several(binaries, tmp_path, site):
    (tmp_path / "a.yaml").write_bytes(POD.replace(b"far # away", b"near"))
    status, out, error = run(binaries, ["inject", "a.yaml", site({"/app.yaml": POD}) + "/app.yaml", "-"], POD.replace(b"far # away", b"here"), tmp_path)
    assert status == 0 and [item["metadata"]["name"] for item in objects(out)] == ["near", "far", "here"] and b"far # away" in out
    assert error == '\npod "near" injected\npod "far" injected\npod "here" injected\n\n'


@pytest.mark.parametrize("location", ["/there/app.yaml", "app.yaml", "//{authority}/there/app.yaml", "{base}/there/app.yaml?a=b"])
def test_redirected(binaries, tmp_path, site, location):
    pages = {"/there/app.yaml": POD, "/there/app.yaml?a=b": POD}
    base = site(pages)
    pages["/there/old"] = (302, location.format(base=base, authority=base.removeprefix("http://")))
    status, out, error = run(binaries, ["uninject", base + "/there/old#part"], b"", tmp_path)
    assert status == 0 and list(objects(out))[0]["metadata"]["name"] == "far", error


def test_https(binaries, tmp_path, site, monkeypatch):
    """Believed by the authorities of the system, which are those of SSL_CERT_FILE here; and never left for http."""
    pages = {"/app.yaml": POD}
    base = site(pages, tls=True)
    pages["/down"] = (301, site({"/app.yaml": POD}) + "/app.yaml")
    status, out, error = run(binaries, ["inject", base + "/app.yaml"], b"", tmp_path)
    assert (status, out) == (1, b"") and "TLS: " in error
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pki" / "ca.crt"))
    status, out, error = run(binaries, ["inject", base + "/app.yaml"], b"", tmp_path)
    assert status == 0 and list(objects(out))[0]["metadata"]["name"] == "far", error
    status, out, error = run(binaries, ["inject", base + "/down"], b"", tmp_path)
    assert (status, out) == (1, b"") and "which is less safe than https" in error


@pytest.mark.parametrize("page, sentence", [
    ("/none", "/none: status 404"), ("/loop", "it is redirected more than 10 times"), ("/file", "which is less safe than https"),
    ("/empty", "status 302"), ("", "/: status 404"),
])
def test_url_refused(binaries, tmp_path, site, page, sentence):
    base = site({"/loop": (302, "/loop"), "/file": (302, "file:///etc/passwd"), "/empty": (302, "")})
    status, out, error = run(binaries, ["inject", base + page], b"", tmp_path)
    assert (status, out) == (1, b"") and sentence in error, error


@pytest.mark.parametrize("words, sentence", [
    (["http://127.0.0.1:1/app.yaml"], "cannot connect to 127.0.0.1:1"),
    (["http://user@host/"], "http://user@host/: server \"http://user@host\" is not valid"),
    (["http://host/ a"], "it is too long, or has spaces"),
    (["nothing-here.yaml"], "nothing-here.yaml: No such file or directory"),
    ([], "an argument is missing"),
    (["--disable-identity", "-"], "--disable-identity is no longer supported"),
    (["--admin-port", "99999", "-"], "expected a port from 1 to 65535"),
    (["--default-inbound-policy", "maybe", "-"], "expected all-unauthenticated"),
    (["--proxy-cpu-request", "2", "--proxy-cpu-limit", "1", "-"], "limit"),
    (["--manual", "--ignore-cluster", "-"], "--identity-trust-anchors-file"),
    (["--manual", "--kubeconfig", "no-such-file", "-"], "no-such-file"),
    (["-o", "xml", "-"], "expected yaml|json"),
])
def test_refused(binaries, tmp_path, words, sentence):
    status, out, error = run(binaries, ["inject", *words], b"kind: Pod\n", tmp_path)
    assert (status, out) == (1, b"")
    assert sentence in error


def test_flags_without_effect_are_told(binaries, tmp_path):
    status, _, error = run(binaries, ["inject", "--init-image", "x", "--trace-collector", "y", "--proxy-cpu", "100m", "-"], b"kind: Pod\nspec:\n  containers: []\n", tmp_path)
    assert status == 0
    assert "--init-image of Linkerd 2.8" in error and "--trace-collector of Linkerd 2.8" in error and "use --proxy-cpu-request" in error


def test_not_available_yet(binaries, tmp_path):
    assert run(binaries, ["inject", "--disable-tap", "-"], b"", tmp_path)[0] == 2


def test_thousand_objects(binaries, tmp_path):
    pod = "---\nkind: Deployment\nmetadata:\n  name: d{}\nspec:\n  template:\n    spec:\n      containers:\n      - name: app\n        image: app\n"
    given = "".join(pod.format(i) for i in range(1000)).encode()
    started = time.monotonic()
    status, out, _ = run(binaries, ["inject", "-"], given, tmp_path)
    assert status == 0 and out.count(b"linkerd.io/inject: enabled") == 1000
    assert time.monotonic() - started < 10  # linear: a tenth of a second where nothing else runs


def test_installation_in_the_cluster(binaries, tmp_path, admin, anchors):
    """--manual takes the values and the trust anchors of the installation."""
    chart = pathlib.Path(__file__).resolve().parents[2] / "chart" / "linkerd-control-plane" / "values.yaml"
    values = yaml.safe_load(chart.read_text())
    values["proxy"]["ports"]["admin"] = 5191
    pages = {"/api/v1/namespaces/mesh/configmaps/linkerd-config": {"data": {"values": json.dumps(values)}},
             "/api/v1/namespaces/mesh/configmaps/linkerd-identity-trust-roots": {"data": {"ca-bundle.crt": anchors.read_text()}}}
    address = admin({path: (200, json.dumps(page)) for path, page in pages.items()})
    (tmp_path / "config").write_text(json.dumps({
        "clusters": [{"name": "c", "cluster": {"server": f"http://{address}"}}], "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}))
    status, out, error = run(binaries, ["inject", "--manual", "-L", "mesh", "--kubeconfig", "config", "-"],
                             b"kind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n  - name: app\n", tmp_path)
    if status != 0 and "https" in error:
        pytest.skip("clusters are asked over TLS only")
    assert status == 0, error
    proxy = next(objects(out))["spec"]["initContainers"][1]
    assert {"containerPort": 5191, "name": "linkerd-admin"} in [{k: v for k, v in port.items() if k != "protocol"} for port in proxy["ports"]]
