"""The command line of demo/run."""

import argparse
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent


def seconds(text):
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: expected a number and s, m or h, as 30s")
    return float(found[1]) * {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}[found[2]]


def folder(text):
    path = pathlib.Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a directory")
    return path


def read(argv=None):
    parser = argparse.ArgumentParser(prog="demo/run", description="A mesh on this machine: control plane, example application, load, "
                                     "and a table of who talks to whom. Needs root; leaves nothing behind.")
    parser.add_argument("--for", dest="duration", type=seconds, metavar="TIME",
                        help="end after this time (30s, 5m) with a summary; status 1 when anything failed")
    parser.add_argument("--build", type=folder, default=HERE.parent / "build/release", metavar="DIR",
                        help="folder of the built programs (build/release)")
    parser.add_argument("--manifests", type=folder, default=HERE / "manifests", metavar="DIR",
                        help="directory of manifests that the control plane reads and follows (demo/manifests)")
    parser.add_argument("--plain", action="store_true", help="lines instead of a table that is refreshed in place")
    parser.add_argument("--every", type=seconds, default=None, metavar="TIME", help="time between refreshes (1s; lines: 5s)")
    parser.add_argument("--environment", type=folder, help=argparse.SUPPRESS)  # from demo/run
    return parser.parse_args(argv)


if __name__ == "__main__":
    read()
