"""Every command and flag of Linkerd's CLI, from testdata/commands.tsv: there, with its letter and default, or said not to be."""

import collections
import csv
import pathlib
import re

import pytest
import yaml

Row = collections.namedtuple("Row", "command kind long letter type default scope notes versions state")
ROWS = [Row(*row) for row in csv.reader(pathlib.Path(__file__).with_name("testdata").joinpath("commands.tsv").open(), delimiter="\t", quoting=csv.QUOTE_NONE)
        if not row[0].startswith("#")]
COMMANDS = list(dict.fromkeys(row.command for row in ROWS if row.kind == "command" and row.state == "here"))
LATER = list(dict.fromkeys(row.command for row in ROWS if row.kind == "command" and row.state != "here"))
NOW = {"linkerd endpoints": "diagnostics endpoints", "linkerd check config": "check", "linkerd install config": "install",
       "linkerd install control-plane": "install", "linkerd upgrade config": "upgrade", "linkerd upgrade control-plane": "upgrade"}
GROUPS = {"linkerd", "linkerd diagnostics", "linkerd help"}  # no command of their own
# Defaults of ours: images and registries are this project's, and an identity is what it is without being asked for.
OTHERWISE = {"registry", "proxy-image", "cni-image", "cni-image-version", "cni-log-level"}


def name_of(command):
    return NOW.get(command, command.removeprefix("linkerd "))


@pytest.fixture(scope="module")
def documented(binaries):
    """`linkerd doc`: name -> flag -> what is said of it."""
    import subprocess
    done = subprocess.run([binaries["linkerd"], "doc"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return {each["name"]: {flag["name"]: flag for flag in each.get("options", [])} for each in yaml.safe_load(done.stdout)}


@pytest.mark.parametrize("command", COMMANDS)
def test_command(linkerd, command):
    words = command.split()[1:]
    for line in [*words, "--help"], ["help", *words]:
        done = linkerd(*line)
        assert done.returncode == 0 and "Usage:" in done.stdout, done.stderr
        assert ("of Linkerd 2.8 is now" in done.stderr) == (command in NOW)


@pytest.mark.parametrize("command", LATER)
def test_later(linkerd, command):
    done = linkerd(*command.split()[1:], "--whatever", "x")
    assert (done.returncode, done.stdout) == (2, "") and "is not available yet" in done.stderr


@pytest.mark.parametrize("command, flag", [(row.command, row.long) for row in ROWS if row.kind == "flag" and row.state == "later" and row.command in COMMANDS])
def test_later_flag(linkerd, command, flag):
    done = linkerd(*command.split()[1:], flag)
    assert (done.returncode, done.stdout) == (2, "") and f"{flag} is not available yet" in done.stderr


def same_default(ours, theirs):
    duration = r"(\d+h)?(\d+m)?(\d+s)?"
    if re.fullmatch(duration, theirs) and re.fullmatch(duration, ours):
        def seconds(text):
            return sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in re.findall(r"(\d+)([hms])", text))
        return seconds(ours) == seconds(theirs)
    return ours == theirs


def said_default(flag):
    found = re.search(r"\(default ([^ ;)]+)\)", flag.get("usage", ""))
    return str(flag.get("default_value", "")) or (found[1] if found else "")


def flags_of(command):
    """With those of 2.8 and edge apart: the newest default counts."""
    rows = {}
    for row in ROWS:
        if row.command == command and row.kind == "flag" and row.state in ("here", "old") and row.long != "--help":
            rows[row.long.removeprefix("--")] = row
    return rows


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in GROUPS])
def test_flags(documented, command):
    there, wrong = documented[name_of(command)], []
    for name, row in flags_of(command).items():
        if name not in there:
            wrong.append(f"--{name} is missing")
            continue
        if row.letter.removeprefix("-") != there[name].get("shorthand", "") and not (row.letter == "" and row.versions == "2.8"):
            wrong.append(f"--{name}: {row.letter} is not {there[name].get('shorthand')}")
        ours = said_default(there[name])
        if ours and row.state == "here" and row.default not in ("", "[]", "-1") and "<" not in row.default and name not in OTHERWISE and not same_default(ours, row.default):
            wrong.append(f"--{name}: default {ours} is not {row.default}")
    assert not wrong


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in GROUPS])
def test_flags_of_all(linkerd, command):
    """What every command of Linkerd's takes, behind its name and in front of it, whether it has a use for it or not."""
    words = [word for row in ROWS if row.command == "linkerd" and row.kind == "flag" and row.long != "--help"
             for word in ([row.long] if row.type == "bool" else [row.letter or row.long, "x"])]
    for line in [*command.split()[1:], *words, "--frob"], [*words, *command.split()[1:], "--frob"]:
        done = linkerd(*line)
        assert done.returncode == 1 and "unknown flag: --frob" in done.stderr, done.stderr
