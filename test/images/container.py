"""A container of one of our images, run by runc in a network namespace of a test, with the user, the capabilities and the
read-only files that a pod would give it.

    root = unpack(tar, folder)                  # with file capabilities; needs root
    done = run(root, host, ["/usr/lib/linkerd/linkerd2-proxy-init", ...], user=65534, capabilities=["NET_ADMIN", "NET_RAW"])
    program = start(programs, root, host, argv, user=2102, env={...}, mounts={"/identity": folder})
"""

import contextlib
import io
import itertools
import json
import os
import subprocess
import tarfile

_numbers = itertools.count(1)


def read(tar):
    """The configuration and the layer (a TarFile) of an image's tar."""
    with tarfile.open(tar) as file:
        def blob(digest):
            return file.extractfile("blobs/" + digest.replace(":", "/")).read()
        index = json.loads(file.extractfile("index.json").read())
        manifest = json.loads(blob(index["manifests"][0]["digest"]))
        config = json.loads(blob(manifest["config"]["digest"]))
        layer = tarfile.open(fileobj=io.BytesIO(b"".join(blob(one["digest"]) for one in manifest["layers"])))
    return index["manifests"][0], config, layer


def capability_of(member):
    value = member.pax_headers.get("SCHILY.xattr.security.capability")
    return value.encode("utf-8", "surrogateescape") if value else None


def unpack(tar, folder):
    """The files of the image in `folder`, owners, modes and capabilities as a container engine would make them."""
    _, _, layer = read(tar)
    folder.mkdir(mode=0o755)
    with layer:
        for member in layer.getmembers():
            path = folder / member.name
            if member.isdir():
                path.mkdir(mode=member.mode)
            elif member.issym():
                path.symlink_to(member.linkname)
            else:
                path.write_bytes(layer.extractfile(member).read())
            if not member.issym():
                os.chown(path, member.uid, member.gid)
                path.chmod(member.mode)
                if value := capability_of(member):
                    os.setxattr(path, "security.capability", value)
    return folder


def _bundle(folder, root, host, argv, user, capabilities, env, mounts):
    names = [f"CAP_{name}" for name in capabilities]
    binds = [{"destination": str(path), "source": str(source), "type": "bind", "options": ["bind", "rw"]}
             for path, source in (mounts or {}).items()]
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "ociVersion": "1.0.2",
        "process": {"args": [str(arg) for arg in argv], "cwd": "/", "user": {"uid": user, "gid": user},
                    "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", *[f"{key}={value}" for key, value in (env or {}).items()]],
                    "capabilities": {"bounding": names, "effective": names, "permitted": names}, "noNewPrivileges": True},
        "root": {"path": str(root), "readonly": True},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}, *binds],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"},
                                 {"type": "network", "path": host.path}]}}))
    return folder


def _command(folder, *args):
    name = f"ck-{os.getpid()}-{next(_numbers)}"
    return name, ["runc", f"--root={folder}/state", "run", f"--bundle={folder}", name]


def run(root, host, argv, user, capabilities=(), env=None, mounts=None, timeout=60):
    """To its end; the ended process."""
    folder = _bundle(root.parent / f"bundle-{next(_numbers)}", root, host, argv, user, capabilities, env, mounts)
    name, command = _command(folder)
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    finally:
        _delete(folder, name)


def _delete(folder, name):
    """Runc itself may have been killed."""
    subprocess.run(["runc", f"--root={folder}/state", "delete", "--force", name], capture_output=True)


@contextlib.contextmanager
def running(programs, root, host, argv, user, capabilities=(), env=None, mounts=None):
    """The program (lib/proc.py) while it runs; signals for it go through runc."""
    folder = _bundle(root.parent / f"bundle-{next(_numbers)}", root, host, argv, user, capabilities, env, mounts)
    name, command = _command(folder)
    program = programs.start(command, name=name)
    try:
        yield program
    finally:
        program.stop()
        _delete(folder, name)
