"""The table of commands: help, unknown words, what is not there yet, versions."""

import functools

import pytest

from lib.netns import available

COMMANDS = ["version", "check", "certs", "certs anchor", "certs issuer", "certs show", "token", "token key",
            "token issue", "token check", "identity", "install", "upgrade", "prune", "uninstall", "install-sp", "install-cni", "completion"]
NOWHERE = ["--admin-addr", "127.0.0.1:1"]


def test_help_lists_all(linkerd):
    for words in [], ["--help"], ["-h"], ["help"]:
        done = linkerd(*words)
        assert done.returncode == 0 and done.stderr == ""
        for name in ("version", "check", "certs", "token", "identity", "install", "upgrade", "prune", "uninstall", "install-sp", "completion"):
            assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_everywhere(linkerd, command):
    for words in [*command.split(), "--help"], ["help", *command.split()]:
        done = linkerd(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"linkerd {command}" in done.stdout and "Usage:" in done.stdout


@pytest.mark.parametrize("words, status, error", [
    (["frob"], 1, 'linkerd: unknown command "frob"; see linkerd --help\n'),
    (["--frob"], 1, 'linkerd: unknown flag "--frob"; see linkerd --help\n'),
    (["certs", "frob"], 1, 'linkerd: unknown command "frob" for "linkerd certs"; see linkerd certs --help\n'),
    (["version", "--frob"], 1, "linkerd: version: unknown flag: --frob; see linkerd version --help\n"),
    (["version", "-q"], 1, "linkerd: version: unknown shorthand flag: 'q' in -q; see linkerd version --help\n"),
    (["version", "frob"], 1, 'linkerd: version: unexpected argument "frob"; see linkerd version --help\n'),
    (["version", "--client=maybe"], 1,
     'linkerd: version: invalid value "maybe" for --client: expected true or false; see linkerd version --help\n'),
    (["check", "-o", "wide"], 1,
     'linkerd: check: invalid value "wide" for --output: expected table|json|short; see linkerd check --help\n'),
    (["check", "--wait"], 1, "linkerd: check: flag needs an argument: --wait DURATION; see linkerd check --help\n"),
    (["certs", "show"], 1,
     "linkerd: certs show: an argument is missing: expected FILE...; see linkerd certs show --help\n"),
    (["prune", "--kubeconfig", "nowhere"], 1, "linkerd: prune: there is no kubeconfig file nowhere\n"),
    (["--kubeconfig=nowhere", "uninstall"], 1, "linkerd: uninstall: there is no kubeconfig file nowhere\n"),
    (["-L", "a/b", "prune"], 1, 'linkerd: prune: --linkerd-namespace: "a/b" is no namespace: expected at most 63 lower-case letters, digits and dashes\n'),
    (["upgrade", "--kubeconfig", "nowhere"], 1, "linkerd: upgrade: there is no kubeconfig file nowhere\n"),
    (["--as", "x", "token", "key"], 1, "linkerd: token key: unknown flag: --as; see linkerd token key --help\n"),
    (["alpha", "-"], 2, "linkerd: alpha is not available yet\n"),
    (["viz", "tap"], 2, "linkerd: viz is not available yet\n"),
    (["inject", "--disable-tap", "-"], 2, "linkerd: --disable-tap is not available yet\n"),
])
def test_wrong_lines(linkerd, words, status, error):
    done = linkerd(*words)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", error)


def test_version(linkerd, admin):
    assert linkerd("version", "--client").stdout == "Client version: 0.1.0\n"
    assert linkerd("version", "--client", "--short").stdout == "0.1.0\n"
    assert linkerd("version", *NOWHERE).stdout == "Client version: 0.1.0\nServer version: unavailable\n"
    metrics = '# TYPE x_build_info gauge\nother{version="no"} 1\nx_build_info{version="9.8.7"} 1\n'
    address = admin({"/metrics": (200, metrics)})
    done = linkerd("version", "--admin-addr", address, "--proxy", "--proxy-addr", address)
    assert done.stdout == ("Client version: 0.1.0\nServer version: 9.8.7\nProxy versions:\n"
                           f"\t9.8.7 ({address})\n")


def test_verbose(linkerd):
    """Who is asked, and when that was over; the answer is the same."""
    plain = linkerd("version", "--admin-addr", "127.0.0.1:1")
    for words in (["--verbose", "version"], ["version", "--verbose"], ["version", "--verbose=true"]):
        done = linkerd(*words, "--admin-addr", "127.0.0.1:1")
        assert done.stdout == plain.stdout and done.returncode == plain.returncode
        lines = done.stderr.splitlines()
        assert lines[0].startswith("linkerd: asking 127.0.0.1:1 (") and lines[-1].startswith("linkerd: done with 127.0.0.1:1 ("), lines
    assert linkerd("version", "--verbose=false", "--admin-addr", "127.0.0.1:1").stderr == plain.stderr == ""


@pytest.mark.skipif(not available(), reason="making network namespaces needs root")
def test_the_directory_says_where(linkerd, tmp_path):
    """check and version ask the Pod of the control plane, on another machine, and this one where it is here."""
    linkerd = functools.partial(linkerd, around=["unshare", "--net", "sh", "-c", "ip link set lo up; exec \"$0\" \"$@\""])  # nobody else is there
    pod = tmp_path / "linkerd.yaml"
    for address, expected in (("192.0.2.7", "192.0.2.7"), ("127.0.0.1", "127.0.0.1")):
        pod.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: control, namespace: linkerd}\nspec: {containers: [{name: c}]}\nstatus: {podIP: %s}\n" % address)
        done = linkerd("version", "--verbose", "--wait=10ms", "--source", tmp_path)
        assert f"asking {expected}:9990" in done.stderr, done.stderr
        done = linkerd("check", "--wait=0s", "-o", "json", "--source", tmp_path, "--policy-addr", "127.0.0.1:1")
        for port in (8086, 8080, 9990):
            assert f"({expected}:{port})" in done.stdout, done.stdout
        assert "(127.0.0.1:1)" in done.stdout
    assert "asking 192.0.2.9:9990" in linkerd("--api-addr", "192.0.2.9:8086", "version", "--verbose", "--wait=10ms").stderr
