"""Sizes of the container images, and of the programs that are in them."""

import re
import subprocess
import sys

from parts import Missing
from scenes import HERE

TITLE = "images and programs"
ROWS = {
    "proxy_mib": ("image proxy with init and xtables, unpacked, MiB", 1), "controller_mib": ("image controller, unpacked, MiB", 1),
    "cni-plugin_mib": ("image cni-plugin, unpacked, MiB", 1),
    "linkerd-proxy_mib": ("linkerd-proxy, MiB, with symbols", 1), "linkerd-controller_mib": ("linkerd-controller, MiB, with symbols", 1),
    "linkerd_mib": ("linkerd, MiB, with symbols", 1),
}
TARGETS = [("proxy_mib", 15), ("controller_mib", 10)]

PROGRAMS = {"linkerd-proxy": "proxy", "linkerd-controller": "control", "linkerd": "cli"}
IMAGES = ("proxy", "controller", "cni-plugin")


def measure(options, folder):
    done = subprocess.run([sys.executable, HERE.parent / "images/make", f"--build={options.build}", f"--out={folder}", *IMAGES], capture_output=True,
                          text=True)
    if done.returncode:
        raise Missing(done.stderr.strip())
    figures = {f"{name}_mib": float(size) for name, size in re.findall(r"/([\w-]+):\S+ .* ([0-9.]+) MiB$", done.stdout, re.MULTILINE)}
    for name, program in PROGRAMS.items():
        figures[f"{name}_mib"] = (options.build / "src" / program / name).stat().st_size / 1048576
    return figures
