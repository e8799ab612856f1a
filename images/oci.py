"""Container images without a container engine: an image layout in one tar, which `ctr images import`, skopeo and registries take.

    image = Image("localhost/clinkerd/proxy:dev", entrypoint=["/usr/lib/linkerd/linkerd2-proxy"], user=2102)
    image.folder("/var/run", mode=0o755)
    image.file("/usr/lib/linkerd/linkerd2-proxy", pathlib.Path("build/release/..."), mode=0o755)
    image.link("/bin/sh", "dash")
    image.write("proxy.tar")

One layer, files in the order of their names, no time anywhere: the same content is the same tar, byte for byte.
"""

import hashlib
import io
import json
import os
import struct
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CAPABILITIES = {"net_admin": 12, "net_raw": 13, "net_bind_service": 10}


def file_capabilities(*names):
    """The value of security.capability: permitted, inheritable and effective, version 2 (linux/capability.h)."""
    bits = sum(1 << _CAPABILITIES[name] for name in names)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    return struct.pack("<IIIII", 0x02000001, low, low, high, high)


class Image:
    def __init__(self, name, entrypoint=(), user=None, env=None, labels=None, architecture=None):
        self.name, self.entries = name, {}
        self.architecture = architecture or ARCHITECTURES[os.uname().machine]
        self.config = {"Entrypoint": list(entrypoint)}
        if user is not None:
            self.config["User"] = str(user)
        if env:
            self.config["Env"] = [f"{key}={value}" for key, value in sorted(env.items())]
        if labels:
            self.config["Labels"] = dict(sorted(labels.items()))

    def _add(self, path, kind, content=b"", mode=0o755, uid=0, link="", capabilities=()):
        name = str(path).strip("/")
        for parent in _parents(name):
            self.entries.setdefault(parent, (tarfile.DIRTYPE, b"", 0o755, 0, "", ()))
        self.entries[name] = (kind, content, mode, uid, link, capabilities)

    def folder(self, path, mode=0o755, uid=0):
        self._add(path, tarfile.DIRTYPE, mode=mode, uid=uid)

    def file(self, path, content, mode=0o644, uid=0, capabilities=()):
        """`content`: bytes, or a path to read."""
        data = content if isinstance(content, bytes) else content.read_bytes()
        self._add(path, tarfile.REGTYPE, data, mode, uid, capabilities=capabilities)

    def link(self, path, to):
        self._add(path, tarfile.SYMTYPE, link=to, mode=0o777)

    @property
    def size(self):
        """Bytes when unpacked."""
        return sum(len(content) for _, content, *_ in self.entries.values())

    def _layer(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(self.entries):
                kind, content, mode, uid, link, capabilities = self.entries[name]
                info = tarfile.TarInfo(name)
                info.type, info.mode, info.uid, info.gid, info.linkname, info.size = kind, mode, uid, uid, link, len(content)
                if capabilities:
                    value = file_capabilities(*capabilities).decode("utf-8", "surrogateescape")
                    info.pax_headers = {"SCHILY.xattr.security.capability": value}
                tar.addfile(info, io.BytesIO(content))
        return out.getvalue()

    def write(self, path):
        """Writes the tar; the digest of its manifest."""
        layer = self._layer()
        blobs = {}

        def blob(data, media):
            digest = hashlib.sha256(data).hexdigest()
            blobs[f"blobs/sha256/{digest}"] = data
            return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{digest}", "size": len(data)}

        config = blob(_json({
            "architecture": self.architecture, "os": "linux", "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }), "config.v1+json")
        manifest = blob(_json({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
            "layers": [blob(layer, "layer.v1.tar")],
        }), "manifest.v1+json")
        manifest["annotations"] = {"io.containerd.image.name": self.name,
                                   "org.opencontainers.image.ref.name": self.name.rsplit(":", 1)[-1]}
        manifest["platform"] = {"architecture": self.architecture, "os": "linux"}
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}
        files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": _json(index), **blobs}
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(files):
                info = tarfile.TarInfo(name)
                info.mode, info.size = 0o644, len(files[name])
                tar.addfile(info, io.BytesIO(files[name]))
        return manifest["digest"]


def _parents(name):
    parts = name.split("/")[:-1]
    return ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
