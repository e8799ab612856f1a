"""Helm's own program, which is there where the programs of a test cluster were built (scripts/deps cluster)."""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBERNETES = "1.34.0"  # what --kube-version says: Helm asks no cluster


def find():
    """Its path, or None."""
    done = subprocess.run([ROOT / "scripts/deps", "where", "cluster"], capture_output=True, text=True)
    return shutil.which("helm", path=done.stdout.strip()) if done.returncode == 0 else None


def template(helm, chart, *args, home, namespace="linkerd"):
    return subprocess.run([helm, "template", "linkerd", chart, "-n", namespace, "--kube-version", KUBERNETES, *map(str, args)],
                          capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(home)})
