"""Every row of `linkerd check` with each of its marks."""

import datetime
import json
import os
import pathlib
import re
import socket
import time

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "checks.md"
NOWHERE = "127.0.0.1:1"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec:\n  clusterIP: None\n  ports: [{port: 80}]\n"


@pytest.fixture
def check(linkerd):
    """check(flags) -> (status, {description: (mark, error)})"""

    def run(*flags, control=NOWHERE, **options):
        addresses = [f"--{name}={control}" for name in ("api-addr", "policy-addr", "identity-addr", "admin-addr")]
        done = linkerd("check", "--wait", "0s", "-o", "json", *addresses, *flags, **options)
        assert done.stderr == ""
        rows, said = {}, json.loads(done.stdout)
        for category in said["categories"]:
            for row in category["checks"]:
                rows[row["description"]] = (row["result"], row.get("error"))
                if "hint" in row:
                    assert f"\n## {row['hint'].split('#')[1]}\n" in DOCS.read_text()
        assert said["success"] == (done.returncode == 0)
        return done.returncode, rows

    return run


def mark(rows, start):
    return next(value for name, value in rows.items() if name.startswith(start))


def make(tmp_path, name, begins, ends):
    now = datetime.datetime.now(datetime.timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    cert = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(7).not_valid_before(now + datetime.timedelta(days=begins))
            .not_valid_after(now + datetime.timedelta(days=ends))
            .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    path = tmp_path / f"{name}.crt"
    path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("begins, ends, row, result", [
    (-1, 100, "trust anchors: not expired", "success"),
    (-9, -1, "trust anchors: not expired", "error"),
    (-1, 100, "trust anchors: valid for at least 60 days", "success"),
    (-1, 59, "trust anchors: valid for at least 60 days", "warning"),
    (-1, 100, "trust anchors: the clock is not behind the certificate", "success"),
    (1, 100, "trust anchors: the clock is not behind the certificate", "error"),
])
def test_anchor_rows(check, tmp_path, begins, ends, row, result):
    _, rows = check("--anchors", make(tmp_path, "a", begins, ends))
    assert mark(rows, row)[0] == result


def test_issuer_rows(check, linkerd, tmp_path):
    linkerd("certs", "anchor", "--out", "m")
    linkerd("certs", "issuer", "--ca", "m/ca.crt", "--ca-key", "m/ca.key", "--out", "m/i")
    _, rows = check("--anchors", "m/ca.crt", "--issuer", "m/i")
    names = ["issuer: can be read", "issuer: has its key", "issuer: signed by the trust anchors"]
    assert [mark(rows, name)[0] for name in names] == ["success"] * 3
    linkerd("token", "key", "--out", "m")
    (tmp_path / "m/token.key").replace(tmp_path / "m/i/tls.key")
    _, rows = check("--anchors", make(tmp_path, "stranger", -1, 99), "--issuer", "m/i")
    assert [mark(rows, name)[0] for name in names] == ["success", "error", "error"]
    _, rows = check("--issuer", "nowhere")
    assert rows["issuer: can be read"] == ("error", "nowhere/tls.crt: No such file or directory")


def test_source_rows(check, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.yaml").write_text(SERVICE)
    _, rows = check("--source", source)
    assert {mark(rows, "source directory: " + name)[0] for name in ("can", "every doc", "every field")} == {"success"}
    (source / "a.yaml").write_text(SERVICE + "  bogus: 1\n---\nkind: Service\napiVersion: v1\nmetadata: {}\n")
    _, rows = check("--source", source)
    assert mark(rows, "source directory: every doc")[0] == "error"
    assert mark(rows, "source directory: every field")[0] == "warning"
    assert "a.yaml:7" in mark(rows, "source directory: every field")[1]
    _, rows = check("--source", source / "nowhere")
    assert mark(rows, "source directory: can")[0] == "error"


def test_control_plane_and_proxy_rows(check, admin):
    pages = {"/ready": (200, "ready"), "/metrics": (200, 'x_build_info{version="0.1.0"} 1\n'
                                                    f"control_identity_cert_expiration_timestamp_seconds {time.time() + 9999}\n")}
    good = admin(pages)
    _, rows = check("--proxy-addr", good, control=good)
    assert {rows[name][0] for name in rows if good in name} == {"success"}
    bad = admin({"/ready": (503, "no certificate yet\n"), "/metrics": (200, 'x_build_info{version="0.0.9"} 1\n')})
    status, rows = check("--proxy-addr", bad, control=bad)
    assert status == 1
    assert rows[f"the proxy is ready ({bad})"] == ("error", f"{bad}: /ready answers 503: no certificate yet")
    assert rows[f"the control plane is ready ({bad})"][0] == "error"
    assert mark(rows, "the proxy and this")[1] == f"{bad} runs 0.0.9, this program is 0.1.0"
    assert mark(rows, "the control plane and this")[0] == "warning"
    _, rows = check()
    for name in "destination", "policy", "identity":
        assert rows[f"the {name} service accepts connections ({NOWHERE})"] == (
            "error", f"{NOWHERE}: cannot connect: Connection refused")


@pytest.mark.parametrize("expires,renewed,result,clock", [
    (3600, -60, "success", "success"), (-60, -3600, "error", "success"), (3600, 600, "success", "error"), (None, None, "error", None),
    ("junk", "junk", "error", None)])
def test_certificate_of_a_proxy(check, admin, expires, renewed, result, clock):
    now, lines = time.time(), []
    for name, value in (("expiration", expires), ("refresh", renewed)):
        if value is not None:
            text = value if isinstance(value, str) else f"{now + value:.3f}"
            lines.append(f"control_identity_cert_{name}_timestamp_seconds {text}\n")
    address = admin({"/ready": (200, "ready"), "/metrics": (200, "".join(lines))})
    status, rows = check("--proxy-addr", address)
    found = mark(rows, "the proxy has a valid certificate")
    assert found[0] == result and (result == "success" or address in found[1])
    if clock:
        assert mark(rows, "the proxy's clock is not ahead")[0] == clock
    else:
        assert not any(name.startswith("the proxy's clock") for name in rows)
    _, rows = check("--proxy-addr", NOWHERE)
    assert mark(rows, "the proxy has a valid certificate") == ("error", f"{NOWHERE}: cannot connect: Connection refused")


def test_silence_is_not_health(linkerd):
    """A port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        done = linkerd("version", "--wait", "100ms", "--admin-addr", address)
        assert "Server version: unavailable" in done.stdout


def test_open_files(check):
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit, result in (1000, "error"), (4096, "warning"):
        if hard < limit:
            pytest.skip("the limit here is lower")
        _, rows = check(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
        assert rows["enough files may be open"][0] == result


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_privileges(check):
    _, rows = check()
    assert rows["may make redirect rules (CAP_NET_ADMIN)"][0] == "success"
    assert any(name.startswith("the kernel can redirect") for name in rows)


def test_forms(linkerd):
    table = linkerd("check", "--wait", "0s")
    assert re.match(r"kernel\n------\n[√‼×] ", table.stdout) and "\033" not in table.stdout
    assert table.stdout.endswith("\nStatus check results are ×\n") and table.returncode == 1
    assert "\n    see docs/checks.md#control-plane-ports for hints\n" in table.stdout
    short = linkerd("check", "--wait", "0s", "-o", "short")
    assert "√" not in short.stdout and short.stdout.endswith("\nStatus check results are ×\n")
