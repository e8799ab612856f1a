"""What is in each image: paths, users, capabilities and defaults, by the name of the image.

The paths and the arguments that programs take there are Linkerd's, so that pods that its injector made run our images, and
ours run its. A file with capabilities is a copy of its own: a program that has them cannot be started at all in a
container that drops them (execve fails with EPERM), so the network validator is not a link to proxy-init.
"""

import pathlib
import re
import subprocess
import tempfile

from oci import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROXY_USER, INIT_USER, CONTROLLER_USER = 2102, 65534, 2103
FIREWALL = ("net_raw", "net_admin")
EXTENSIONS = ("libxt_*.so", "libipt_*.so", "libip6t_*.so")  # iptables-legacy-save fails on a rule whose extension is not there
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"  # of the public web, as Debian has them; net/tls/tls_web.c looks there
PROGRAMS = {"linkerd-proxy": "src/proxy", "linkerd-controller": "src/control", "linkerd-init": "src/init", "linkerd-cni": "src/cni"}


class Missing(Exception):
    """Something that an image holds is not on this machine."""


class Source:
    """Where the files come from: our programs in a build folder, and what Debian has installed on this machine."""

    def __init__(self, build, version):
        self.build, self.version = pathlib.Path(build), version
        self._ours = {}

    def ours(self, name):
        """One of our programs, without symbols, as bytes; refused unless it stands alone."""
        if name not in self._ours:
            self._ours[name] = self._stripped(self.build / PROGRAMS[name] / name)
        return self._ours[name]

    @staticmethod
    def _stripped(path):
        if not path.exists():
            raise Missing(f"{path} is not built; run `make build`")
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / path.name
            _run("strip", "--strip-all", "-o", out, path)
            if "INTERP" in _run("readelf", "--program-headers", "--wide", out):
                raise Missing(f"{path} needs shared libraries; an image takes static programs: scripts/run-tests --build release")
            return out.read_bytes()

    @staticmethod
    def system(path):
        if not pathlib.Path(path).exists():
            raise Missing(f"{path} is not installed; run `scripts/deps system`")
        return pathlib.Path(path)

    @staticmethod
    def libraries(*paths):
        """What these programs and libraries load, by the path that the loader looks at, with the loader itself."""
        found = {}
        for path in paths:
            for line in _run("ldd", path).splitlines():
                if match := re.search(r"(?:=> )?(/\S+) \(0x", line):
                    found[match[1]] = pathlib.Path(match[1]).resolve()
        return dict(sorted(found.items()))


def _run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"{' '.join(map(str, argv))}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def _add_libraries(image, source, *paths):
    for name, file in source.libraries(*paths).items():
        image.file(name, file, mode=0o755)


def _add_firewall(image, source):
    """Debian's iptables of both kinds, with every extension: others may have made rules beside ours."""
    programs = {kind: source.system(f"/usr/sbin/xtables-{kind}-multi") for kind in ("legacy", "nft")}
    for kind, path in programs.items():
        image.file(f"/usr/sbin/xtables-{kind}-multi", path, mode=0o755, capabilities=FIREWALL)
        for family in ("iptables", "ip6tables"):
            for suffix in ("", "-save", "-restore"):
                image.link(f"/usr/sbin/{family}-{kind}{suffix}", f"xtables-{kind}-multi")
    folder = next(pathlib.Path("/usr/lib").glob("*-linux-gnu/xtables"), None)
    if folder is None:
        raise Missing("the extensions of iptables are not installed; run `scripts/deps system`")
    extensions = sorted(path for pattern in EXTENSIONS for path in folder.glob(pattern))
    for path in extensions:
        if path.is_symlink():
            image.link(path, str(path.readlink()))
        else:
            image.file(path, path)
    _add_libraries(image, source, *programs.values(), *extensions)
    image.file("/run/xtables.lock", b"", mode=0o666)  # without a volume on /run, a user who is not root still has the lock


def proxy(name, source):
    image = Image(name, entrypoint=["/usr/lib/linkerd/linkerd2-proxy-identity"], user=INIT_USER, env={
        "LINKERD_CONTAINER_VERSION_OVERRIDE": source.version, "LINKERD2_PROXY_LOG": "warn,linkerd=info",
        "LINKERD2_PROXY_LOG_FORMAT": "plain"})
    image.file("/usr/lib/linkerd/linkerd2-proxy", source.ours("linkerd-proxy"), mode=0o755)
    for link, target in {"/usr/lib/linkerd/linkerd2-proxy-identity": "linkerd2-proxy", "/usr/lib/linkerd/linkerd-await": "linkerd2-proxy",
                         "/usr/bin/linkerd2-proxy-run": "../lib/linkerd/linkerd2-proxy", "/bin/sleep": "../usr/lib/linkerd/linkerd2-proxy",
                         "/bin/bash": "../usr/lib/linkerd/linkerd2-proxy"}.items():
        image.link(link, target)
    image.file("/usr/lib/linkerd/linkerd2-proxy-init", source.ours("linkerd-init"), mode=0o755, capabilities=FIREWALL)
    image.file("/usr/lib/linkerd/linkerd2-network-validator", source.ours("linkerd-init"), mode=0o755)
    image.file("/usr/lib/linkerd/linkerd2-proxy-version.txt", f"{source.version}\n".encode())
    image.file("/usr/lib/linkerd/LICENSE", ROOT / "LICENSE")
    _add_firewall(image, source)
    return image


def proxy_init(name, source):
    """The init container of releases that had an image of its own for it."""
    image = Image(name, entrypoint=["/usr/local/bin/proxy-init"], user=INIT_USER)
    image.file("/usr/local/bin/proxy-init", source.ours("linkerd-init"), mode=0o755, capabilities=FIREWALL)
    image.file("/LICENSE", ROOT / "LICENSE")
    _add_firewall(image, source)
    return image


def controller(name, source):
    image = Image(name, entrypoint=["/controller"], user=CONTROLLER_USER, env={"LINKERD_CONTAINER_VERSION_OVERRIDE": source.version})
    image.file("/controller", source.ours("linkerd-controller"), mode=0o755)
    image.link("/linkerd-policy-controller", "controller")
    image.link("/go/bin/controller", "../../controller")
    image.file(AUTHORITIES, source.system(AUTHORITIES).resolve())  # a heartbeat may go to an https address
    image.file("/LICENSE", ROOT / "LICENSE")
    return image


def cni_plugin(name, source):
    """The plugin, which the runtime of the node runs; its installer, which writes into directories of root's; two controllers: one program."""
    image = Image(name, entrypoint=["/usr/bin/linkerd2-cni-install"])
    image.file("/opt/cni/bin/linkerd-cni", source.ours("linkerd-cni"), mode=0o755)
    image.link("/usr/bin/linkerd2-cni-install", "../../opt/cni/bin/linkerd-cni")
    for controller in ("linkerd-cni-repair-controller", "linkerd-cni-taint-controller"):
        image.link(f"/usr/lib/linkerd/{controller}", "../../../opt/cni/bin/linkerd-cni")
    image.file("/LICENSE", ROOT / "LICENSE")
    return image


def debug(name, source):
    """tshark of Debian, which runs as root and looks at all devices of the pod."""
    image = Image(name, entrypoint=["tshark", "-i", "any"], env={"PATH": "/usr/bin:/bin"})
    programs = [source.system(path) for path in ("/usr/bin/tshark", "/usr/bin/dumpcap", "/usr/bin/true", "/usr/bin/sleep")]
    for path in programs:
        image.file(path, path.resolve(), mode=0o755)
    plugins = sorted(pathlib.Path("/usr/lib").glob("*-linux-gnu/wireshark/**/*.so"))
    for path in plugins:
        image.file(path, path)
    _add_libraries(image, source, *programs, *plugins)
    for path in sorted(source.system("/usr/share/wireshark").rglob("*")):
        if path.is_file() and path.suffix != ".html":
            image.file(path, path.resolve())
    image.folder("/tmp", mode=0o1777)  # where a capture is written while it is read
    return image


IMAGES = {"proxy": proxy, "proxy-init": proxy_init, "controller": controller, "cni-plugin": cni_plugin, "debug": debug}
