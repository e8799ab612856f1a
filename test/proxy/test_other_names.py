"""The proxy's binary under the names that it has in an image: key and request, waiting for readiness, sleeping."""

import http.server
import os
import subprocess
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID

from lib.controller import make_ca

NAME = "web.shop.serviceaccount.identity.linkerd.cluster.local"
ENV = "LINKERD2_PROXY_IDENTITY_"


@pytest.fixture(scope="module")
def anchors():
    return make_ca("root.linkerd.cluster.local", ec.generate_private_key(ec.SECP256R1())).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def call(binaries, tmp_path):
    """call("sleep", "0.1", VARIABLE="value"): the ended process."""
    (tmp_path / "bin").mkdir()

    def run(name, *args, **env):
        link = tmp_path / "bin" / name
        if not link.exists():
            link.symlink_to(binaries["linkerd-proxy"])
        plain = {key: value for key, value in os.environ.items() if not key.startswith("LINKERD2_")}
        return subprocess.run([link, *args], env={**plain, **env}, capture_output=True, text=True, timeout=30)
    return run


def check_files(folder):
    """key.p8 and csr.der belong together and are for NAME; the key."""
    assert sorted(path.name for path in folder.iterdir()) == ["csr.der", "key.p8"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    key = serialization.load_der_private_key((folder / "key.p8").read_bytes(), None)
    request = x509.load_der_x509_csr((folder / "csr.der").read_bytes())
    assert request.is_signature_valid and request.public_key() == key.public_key()
    names = request.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    return key.private_numbers()


@pytest.mark.parametrize("flags", [["-dir", "{}", "-name", NAME], ["--dir={}", f"--name={NAME}"]])
def test_identity_with_flags_writes_and_ends(call, tmp_path, anchors, flags):
    folder = tmp_path / "identity"  # is made
    done = call("linkerd2-proxy-identity", *[flag.format(folder) for flag in flags], **{ENV + "TRUST_ANCHORS": anchors})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    check_files(folder)


@pytest.mark.parametrize("name", ["linkerd2-proxy-identity", "linkerd2-proxy-run"])
def test_identity_becomes_the_proxy(call, tmp_path, anchors, name):
    """The proxy's own complaint about what else is missing says that it ran; each start has a new key."""
    env = {ENV + "DIR": str(tmp_path / "identity"), ENV + "LOCAL_NAME": NAME, ENV + "TRUST_ANCHORS": anchors}
    keys = []
    for _ in range(2):
        done = call(name, **env)
        assert done.returncode == 64 and "linkerd-proxy: the environment is not valid" in done.stderr, done
        keys.append(check_files(tmp_path / "identity"))
    assert keys[0] != keys[1]


def test_identity_disabled_only_becomes_the_proxy(call, tmp_path):
    done = call("linkerd2-proxy-identity", **{ENV + "DISABLED": "disabled", ENV + "DIR": str(tmp_path / "identity")})
    assert done.returncode == 64 and ENV + "DISABLED" in done.stderr
    assert not (tmp_path / "identity").exists()


@pytest.mark.parametrize("change, said", [
    ({ENV + "DIR": ""}, ENV + "DIR"),
    ({ENV + "LOCAL_NAME": ""}, ENV + "LOCAL_NAME"),
    ({ENV + "LOCAL_NAME": "*.example"}, "*.example"),
    ({ENV + "TRUST_ANCHORS": ""}, ENV + "TRUST_ANCHORS"),
    ({ENV + "TRUST_ANCHORS": "PEM"}, ENV + "TRUST_ANCHORS"),
])
def test_identity_refuses(call, tmp_path, anchors, change, said):
    env = {ENV + "DIR": str(tmp_path / "identity"), ENV + "LOCAL_NAME": NAME, ENV + "TRUST_ANCHORS": anchors, **change}
    done = call("linkerd2-proxy-identity", **env)
    assert done.returncode == 64 and said in done.stderr and "the environment is not valid" not in done.stderr, done
    assert not (tmp_path / "identity").exists()


def test_identity_says_where_it_cannot_write(call, tmp_path, anchors):
    (tmp_path / "file").write_text("")
    done = call("linkerd2-proxy-identity", "-dir", str(tmp_path / "file"), "-name", NAME, **{ENV + "TRUST_ANCHORS": anchors})
    assert done.returncode == 71 and str(tmp_path / "file") in done.stderr, done
    assert call("linkerd2-proxy-identity", "-nonsense", **{ENV + "TRUST_ANCHORS": anchors}).returncode == 64


class Admin:
    """An admin port whose /ready answers 503 the first times."""

    def __init__(self, refusals):
        admin = self
        self.asked = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                admin.asked += 1
                self.send_response(200 if self.path == "/ready" and admin.asked > refusals else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = str(self.server.server_port)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.mark.parametrize("refusals", [0, 3])
def test_await_until_ready(call, refusals):
    with Admin(refusals) as admin:
        done = call("linkerd-await", "--timeout=2m", f"--port={admin.port}", "--verbose")
    assert done.returncode == 0 and admin.asked == refusals + 1
    assert done.stderr.count("is not ready yet") == refusals


def test_await_gives_up(call):
    with Admin(10 ** 6) as admin:
        started = time.monotonic()
        done = call("linkerd-await", "--port", admin.port, "-t", "300ms", "-b", "50ms")
        assert time.monotonic() - started >= 0.3
    assert done.returncode == 69 and f"port {admin.port}" in done.stderr and "300ms" in done.stderr
    done = call("linkerd-await", "--port", admin.port, "--timeout=50ms")  # nobody listens any more
    assert done.returncode == 69


@pytest.mark.parametrize("args", [["--port=0"], ["--port=x"], ["--timeout=2"], ["--timeout"], ["--shutdown"], ["curl"], ["--backoff=0s"]])
def test_await_refuses(call, args):
    done = call("linkerd-await", *args)
    assert done.returncode == 64 and args[0] in done.stderr and "usage:" in done.stderr


@pytest.mark.parametrize("argv", [["sleep", "0.2"], ["sleep", "0.1", "0.1s"], ["bash", "-c", "sleep 0.2"], ["bash", "-c", " sleep  0.2s "]])
def test_sleep(call, argv):
    started = time.monotonic()
    assert call(*argv).returncode == 0
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("argv, status", [
    (["sleep"], 1), (["sleep", "x"], 1), (["sleep", "-1"], 1), (["sleep", "1w"], 1), (["sleep", "1ss"], 1), (["sleep", "nan"], 1),
    (["bash"], 127), (["bash", "-c", "echo"], 127), (["bash", "-c", "sleep 1; id"], 127), (["bash", "-c", "sleep"], 127),
    (["bash", "-i"], 127), (["bash", "-c", "sleep 0.1", "x"], 127),
])
def test_sleep_refuses(call, argv, status):
    done = call(*argv)
    assert done.returncode == status and done.stderr.startswith(f"{argv[0]}: ")
