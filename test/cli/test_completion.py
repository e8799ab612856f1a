"""The scripts of `linkerd completion`, run by the shells that they are for."""

import shutil
import subprocess

import pytest

# A line up to the cursor, and what completes it: all of these, none of those.
LINES = [
    ("linkerd ", {"install", "check", "diagnostics", "completion", "help"}, {"viz", "anchor", "--help"}),
    ("linkerd ins", {"install", "install-sp"}, {"uninstall"}),
    ("linkerd certs ", {"anchor", "issuer", "show"}, {"install"}),
    ("linkerd diagnostics ", {"endpoints", "proxy-metrics"}, {"install"}),
    ("linkerd dg pro", {"profile", "proxy-metrics"}, {"endpoints", "policy"}),
    ("linkerd upgrade --f", {"--force", "--from-manifests"}, {"--ha"}),
    ("linkerd install --", {"--help", "--ha", "--crds", "--kubeconfig", "--ignore-cluster"}, {"--force"}),
    ("linkerd --context x install --ig", {"--ignore-cluster"}, {"--ha"}),
    ("linkerd install -o ", {"yaml", "json"}, {"install"}),
    ("linkerd install --output j", {"json"}, {"yaml"}),
    ("linkerd completion ", {"bash", "zsh", "fish"}, {"install"}),
    ("linkerd certs anchor --", {"--help"}, {"--ha"}),
]


def bash(script, line):
    """As readline splits the line: at = too."""
    words = line.replace("=", " = ").split() + ([""] if line.endswith(" ") else [])
    program = f"{script}\ncomplete -p linkerd >&2\nCOMP_WORDS=({' '.join(repr(word) for word in words)})\nCOMP_CWORD={len(words) - 1}\n_linkerd\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    done = subprocess.run(["bash", "--norc", "-eu"], input=program, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "complete -o default -F _linkerd linkerd" in done.stderr, done.stderr
    return set(done.stdout.split())


def fish(script, line):
    done = subprocess.run(["fish", "--no-config", "-c", f"{script}\ncomplete -C {line!r}"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return {word.split("\t")[0] for word in done.stdout.splitlines()}


@pytest.mark.parametrize("shell", [bash, fish])
@pytest.mark.parametrize("line, these, not_those", LINES, ids=[line for line, *_ in LINES])
def test_completion(linkerd, shell, line, these, not_those):
    if not shutil.which(shell.__name__):
        pytest.skip(f"there is no {shell.__name__}")
    found = shell(linkerd("completion", shell.__name__).stdout, line)
    assert these <= found and not not_those & found, found


def test_bash_with_equals(linkerd):
    script = linkerd("completion", "bash").stdout
    assert bash(script, "linkerd install --output=") >= {"yaml", "json"} and bash(script, "linkerd install --output=j") == {"json"}


def test_zsh_reads_it(linkerd):
    if not shutil.which("zsh"):
        pytest.skip("there is no zsh")
    program = linkerd("completion", "zsh").stdout + "\n__linkerd_command certs anchor\n__linkerd_flags install | tr ' ' '\\n'\necho $_comps[linkerd]\n"
    done = subprocess.run(["zsh", "-f"], input=program, capture_output=True, text=True, timeout=30)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert lines[0] == "certs anchor" and "--crds" in lines and "_bash_complete" in lines[-1], lines


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_same_each_time(linkerd, shell):
    first = linkerd("completion", shell)
    assert (first.returncode, first.stderr) == (0, "") and first.stdout == linkerd("completion", shell).stdout


@pytest.mark.parametrize("words, says", [([], "expected bash|zsh|fish"), (["tcsh"], 'none for "tcsh": expected bash, zsh or fish'), (["bash", "zsh"], "unexpected argument")])
def test_wrong_shells(linkerd, words, says):
    done = linkerd("completion", *words)
    assert (done.returncode, done.stdout) == (1, "") and says in done.stderr
