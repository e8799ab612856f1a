"""The files of LINKERD2_PROXY_IDENTITY_DIR and the token when they cannot be used: said by name, and nothing is served in their place."""

import os
import pathlib
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lib.mesh import PROXY_UID
from lib.netns import available

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")


def key(private):
    return private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def folder(path):
    path.mkdir()


def unreadable(path):
    path.write_bytes(b"x")
    path.chmod(0)


def text(data):
    return lambda path: path.write_bytes(data)


UNUSABLE = {  # file, how it is made, what is said of it
    "key is empty": ("key.p8", text(b""), "key.p8"),
    "key is a folder": ("key.p8", folder, "key.p8: Is a directory"),
    "key without permission": ("key.p8", unreadable, "key.p8: Permission denied"),
    "key is garbage": ("key.p8", text(b"\xff" * 200), "key.p8"),
    "key is cut off": ("key.p8", text(key(ec.generate_private_key(ec.SECP256R1()))[:60]), "key.p8"),
    "key is RSA": ("key.p8", text(key(rsa.generate_private_key(65537, 2048))), "key.p8"),
    "key of another curve": ("key.p8", text(key(ec.generate_private_key(ec.SECP384R1()))), "key.p8"),
    "key without end": ("key.p8", text(b"x" * (1 << 20)), "key.p8"),
    "request is garbage": ("csr.der", text(b"\xff" * 200), "csr.der"),
    "request is a folder": ("csr.der", folder, "csr.der: Is a directory"),
    "request is empty": ("csr.der", text(b""), "csr.der"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable(pair, pod, binaries, tmp_path, name):
    """The proxy ends at once, with a sentence that names the variable and the file."""
    file, make, said = UNUSABLE[name]
    env = {**pair.control.env("web"), "LINKERD2_PROXY_ADMIN_LISTEN_ADDR": "127.0.0.1:4191",
           "LINKERD2_PROXY_INBOUND_LISTEN_ADDR": "127.0.0.1:4143", "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR": "127.0.0.1:4140"}
    where = pathlib.Path(env["LINKERD2_PROXY_IDENTITY_DIR"])
    make(where / file)
    if (where / file).exists():
        os.chown(where / file, PROXY_UID, PROXY_UID)
    done = subprocess.run(pair.web.host.wrap([binaries["linkerd-proxy"]], uid=PROXY_UID), env={**os.environ, **env}, capture_output=True,
                          text=True, timeout=20)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "LINKERD2_PROXY_IDENTITY_DIR" in line and said in line]
    assert done.returncode not in (0, None) and done.returncode > 0 and lines, (done.returncode, done.stdout, done.stderr)
