"""The validator proves redirection, and can say no: exit 95 with what is missing."""

import os
import subprocess

import pytest

FAMILIES = [4, 6]
NOWHERE = {4: "192.0.2.2:1404", 6: "[fd00::1]:20001"}
RULES = ["--iptables-mode", "nft", "--incoming-proxy-port", "4143", "--proxy-uid", "2102"]


@pytest.fixture
def validate(binaries):
    def run(host, *flags, timeout="10s", **options):
        return host.run([binaries["linkerd-init"], "validate", "--timeout", timeout, *flags], check=False, **options)

    return run


def connect(family):
    return ["--listen-addr", "[::]:4140", "--connect-addr", NOWHERE[family]]


@pytest.fixture
def ruled(network, binaries):
    def make(*flags):
        host = network.host()
        host.run([binaries["linkerd-init"], *RULES, *flags])
        return host

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_yes(ruled, validate, family):
    done = validate(ruled("--outgoing-proxy-port", "4140"), *connect(family), uid=65534)
    assert done.returncode == 0, done.stderr
    assert "validated" in done.stderr


def test_yes_in_legacy_mode(network, binaries, validate):
    host = network.host()
    host.run([binaries["linkerd-init"], "--iptables-mode", "legacy", "-p", "4143", "-o", "4140"])
    for family in FAMILIES:
        assert validate(host, *connect(family)).returncode == 0


def test_both_families_at_once(ruled, validate):
    done = validate(ruled("--outgoing-proxy-port", "4140"), "--listen-addr", "[::]:4140", "--connect-addr",
                    ",".join(NOWHERE.values()))
    assert done.returncode == 0 and done.stderr.count("validated") == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_no_rules(network, validate, family):
    done = validate(network.host(), *connect(family), timeout="300ms")
    assert done.returncode == 95
    assert f"the IPv{family} OUTPUT rules that redirect to port 4140 are missing" in done.stderr


@pytest.mark.parametrize("family, status", [(4, 0), (6, 95)])
def test_only_ipv4_rules(ruled, validate, family, status):
    done = validate(ruled("--outgoing-proxy-port", "4140", "--ipv6=false"), *connect(family),
                    timeout="10s" if status == 0 else "300ms")
    assert done.returncode == status
    assert status == 0 or "IPv6 OUTPUT rules" in done.stderr


def test_one_family_of_two_is_not_enough(ruled, validate):
    done = validate(ruled("--outgoing-proxy-port", "4140", "--ipv6=false"), "--listen-addr", "[::]:4140",
                    "--connect-addr", ",".join(NOWHERE.values()), timeout="300ms")
    assert done.returncode == 95
    assert "validated: 192.0.2.2:1404" in done.stderr and "IPv6 OUTPUT rules" in done.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_port(ruled, validate, family):
    """Redirected to a port where nobody is, and to one where a stranger is, silent or talking."""
    host = ruled("--outgoing-proxy-port", "4999")
    done = validate(host, *connect(family))
    assert done.returncode == 95
    assert "another port than 4140" in done.stderr
    with host.listen("::", 4999):
        done = validate(host, *connect(family), timeout="300ms")
    assert done.returncode == 95
    assert "not this one" in done.stderr and "another port than 4140" in done.stderr


def test_stranger_who_talks(ruled, validate, programs):
    host = ruled("--outgoing-proxy-port", "4999")
    code = ("import socket\ns = socket.create_server(('::', 4999), family=socket.AF_INET6, dualstack_ipv6=True)\n"
            "print('ready', flush=True)\nwhile True: s.accept()[0].sendall(b'x' * 64)")
    programs.start(["/usr/bin/python3", "-c", code], namespace=host, name="stranger").wait_line("ready")
    done = validate(host, *connect(4))
    assert done.returncode == 95
    assert "something else than this program answered" in done.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_skipped_user(ruled, validate, family):
    """Run as the proxy's user it is not redirected, and says as whom it ran."""
    done = validate(ruled("--outgoing-proxy-port", "4140"), *connect(family), uid=2102, timeout="300ms")
    assert done.returncode == 95
    assert "user 2102" in done.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_no_route(ruled, validate, family):
    host = ruled("--outgoing-proxy-port", "4140")
    host.ip(f"-{family}", "route", "del", "default")
    done = validate(host, *connect(family))
    assert done.returncode == 95
    assert "no route" in done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:4140", "[::1]:4140"])
def test_reaching_itself_proves_nothing(network, validate, address):
    """An address that is the listener's own succeeds without any rules; that must not count."""
    done = validate(network.host(), "--listen-addr", "[::]:4140", "--connect-addr", address)
    assert done.returncode == 95
    assert "without having been redirected" in done.stderr


def test_port_taken(ruled, validate):
    host = ruled("--outgoing-proxy-port", "4140")
    with host.listen("::", 4140):
        done = validate(host, *connect(4))
    assert done.returncode == 95
    assert "is there already" in done.stderr


def test_by_link_name(ruled, binaries, tmp_path):
    """As Linkerd's injector runs it, with the environment's log settings."""
    link = tmp_path / "linkerd2-network-validator"
    os.symlink(binaries["linkerd-init"], link)
    host = ruled("--outgoing-proxy-port", "4140")
    done = host.run([link, "--log-format", "plain", "--log-level", "debug", "--connect-addr", NOWHERE[6],
                     "--listen-addr", "[::]:4140", "--timeout", "10s"])
    assert done.returncode == 0
    done = host.run([link, "--connect-addr", NOWHERE[6], "--listen-addr", "[::]:4140"],
                    env={**os.environ, "LINKERD_NETWORK_VALIDATOR_LOG_FORMAT": "json"})
    assert done.stderr.startswith('{"level":')


def test_signal(network, binaries, programs):
    host = network.host()
    program = programs.start([binaries["linkerd-init"], "validate", "--timeout", "1m", *connect(4)], namespace=host)
    program.wait_line("connecting to")
    program.kill()
    assert program.wait_exit() == 95


@pytest.mark.parametrize("flags, said", [
    (["--timeout", "120"], "--timeout"),
    (["--listen-addr", "4140"], "--listen-addr"),
    (["--connect-addr", "example.com:80"], "--connect-addr"),
    (["--connect-addr", "1.2.3.4:0"], "--connect-addr"),
    (["--log-level", "loud"], "--log-level"),
    (["--no-such"], "--no-such"),
])
def test_usage(binaries, flags, said):
    done = subprocess.run([binaries["linkerd-init"], "validate", *flags], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
