"""linkerd-init makes the rules of both families, in nft and legacy, and traffic obeys them: real namespaces, real
sockets, the original destination as the proxy would see it."""

import fcntl
import os
import socket
import struct
import subprocess

import pytest

MODES = ["nft", "legacy"]
FAMILIES = [4, 6]
SO_ORIGINAL_DST = 80
CLOSE_WAIT = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait"
PORTS = ["--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140"]


def tool(mode, family, what):
    return f"ip{'6' if family == 6 else ''}tables-{mode}-{what}"


def saved(host, mode, family):
    """The rules and chains of the nat table, without counters and comments of iptables-save."""
    text = host.run([tool(mode, family, "save"), "-t", "nat"]).stdout
    return [line for line in text.splitlines() if line and line[0] in "-:"]


def ours(host, mode, family):
    return [line for line in saved(host, mode, family) if "PROXY_INIT" in line]


def address(host, family):
    return host.ip4 if family == 4 else host.ip6


def original_dst(conn, family):
    if family == 4:
        raw = conn.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
        return socket.inet_ntop(socket.AF_INET, raw[4:8]), struct.unpack("!H", raw[2:4])[0]
    raw = conn.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
    return socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack("!H", raw[2:4])[0]


def arrives(listener, connect, family, timeout=10):
    """Connects by `connect()` and returns the original destination that the listener sees."""
    listener.settimeout(timeout)
    client = connect()
    try:
        conn, _ = listener.accept()
        with conn:
            return original_dst(conn, family)
    finally:
        client.close()


def connect_as(host, uid, addr, port, gid=None, timeout=5):
    """Tries to connect as another user; the exit status says whether it worked."""
    code = ("import socket,sys\n"
            "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))\n"
            "except OSError as e: print(e); sys.exit(1)")
    return host.run(["/usr/bin/python3", "-c", code, addr, port, timeout], uid=uid, gid=gid,
                    check=False).returncode == 0


@pytest.fixture
def init(binaries):
    def run(host, *flags, mode="nft", check=True, ports=PORTS, **options):
        return host.run([binaries["linkerd-init"], "--iptables-mode", mode, *ports, *flags], check=check, **options)

    return run


@pytest.mark.parametrize("mode", MODES)
def test_rules_as_written(network, init, mode):
    """The saved table of each family, whole, in Linkerd's order and with its comments."""
    host = network.host()
    init(host, "--proxy-uid", "2102", "--proxy-gid", "2103", "--inbound-ports-to-ignore", "4190,4191,4567-4568",
         "--outbound-ports-to-ignore", "25", "--subnets-to-ignore", "10.9.8.7/8,fd00::/8", mode=mode)
    for family, subnet in ((4, "10.0.0.0/8"), (6, "fd00::/8")):
        rules = [line for line in saved(host, mode, family) if line.startswith("-A")]
        c = "-m comment --comment"
        assert rules == [
            f'-A PREROUTING {c} "proxy-init/install-proxy-init-prerouting" -j PROXY_INIT_REDIRECT',
            f'-A OUTPUT {c} "proxy-init/install-proxy-init-output" -j PROXY_INIT_OUTPUT',
            f'-A PROXY_INIT_OUTPUT -m owner --uid-owner 2102 {c} "proxy-init/ignore-proxy-user-id" -j RETURN',
            f'-A PROXY_INIT_OUTPUT -m owner --gid-owner 2103 {c} "proxy-init/ignore-proxy-group-id" -j RETURN',
            f'-A PROXY_INIT_OUTPUT -o lo {c} "proxy-init/ignore-loopback" -j RETURN',
            f'-A PROXY_INIT_OUTPUT -p tcp -m multiport --dports 25 {c} "proxy-init/ignore-port-25" -j RETURN',
            f'-A PROXY_INIT_OUTPUT -p tcp {c} "proxy-init/redirect-all-outgoing-to-proxy-port" -j REDIRECT --to-ports 4140',
            f'-A PROXY_INIT_REDIRECT -p tcp -m multiport --dports 4190,4191,4567:4568 {c} '
            '"proxy-init/ignore-port-4190,4191,4567:4568" -j RETURN',
            f'-A PROXY_INIT_REDIRECT -s {subnet} {c} "proxy-init/ignore-subnet-{subnet}" -j RETURN',
            f'-A PROXY_INIT_REDIRECT -p tcp {c} "proxy-init/redirect-all-incoming-to-proxy-port" -j REDIRECT --to-ports 4143',
        ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_redirects_both_directions(network, init, mode, family):
    pod, peer = network.host("pod"), network.host("peer")
    init(pod, "--proxy-uid", "2102", mode=mode)
    proxy_in, proxy_out = pod.listen("::", 4143), pod.listen("::", 4140)
    pod_addr, peer_addr = address(pod, family), address(peer, family)
    assert arrives(proxy_in, lambda: peer.connect(pod_addr, 8080), family) == (pod_addr, 8080)
    assert arrives(proxy_out, lambda: pod.connect(peer_addr, 80), family) == (peer_addr, 80)
    # To itself over loopback: not redirected.
    app = pod.listen("::", 9000)
    app.settimeout(10)
    loopback = "127.0.0.1" if family == 4 else "::1"
    pod.connect(loopback, 9000).close()
    app.accept()[0].close()
    for sock in (proxy_in, proxy_out, app):
        sock.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_skips(network, init, mode, family):
    """Ports and sources to ignore reach the application itself."""
    pod, peer, other = network.host("pod"), network.host("peer"), network.host("other")
    skipped = f"{other.ip4}/32,{other.ip6}/128"
    init(pod, "--proxy-uid", "2102", "--inbound-ports-to-ignore", "7000,7100-7110", "--outbound-ports-to-ignore", "6000",
         "--subnets-to-ignore", skipped, mode=mode)
    addr = address(pod, family)
    for client, port in ((peer, 7000), (peer, 7105), (other, 8080)):
        app = pod.listen("::", port)
        app.settimeout(10)
        client.connect(addr, port).close()
        app.accept()[0].close()
        app.close()
    with pytest.raises(OSError):  # redirected to 4143, where nobody listens, though an application is there
        with pod.listen("::", 7111):
            peer.connect(addr, 7111, 5)
    service = peer.listen("::", 6000)
    service.settimeout(10)
    pod.connect(address(peer, family), 6000).close()
    service.accept()[0].close()
    service.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_proxy_user_and_group(network, init, mode, family):
    """What the proxy sends goes out; what others send goes to the proxy."""
    pod, peer = network.host("pod"), network.host("peer")
    init(pod, "--proxy-uid", "2102", "--proxy-gid", "2222", mode=mode)
    service = peer.listen("::", 80)
    addr = address(peer, family)
    assert connect_as(pod, 2102, addr, 80)
    assert connect_as(pod, 1000, addr, 80, gid=2222)
    assert not connect_as(pod, 1000, addr, 80)  # goes to 4140, where nobody listens
    assert not connect_as(pod, 0, addr, 80)
    service.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_only_listed_ports(network, init, mode, family):
    pod, peer = network.host("pod"), network.host("peer")
    init(pod, "--ports-to-redirect", "8080,8081", mode=mode)
    addr = address(pod, family)
    with pod.listen("::", 4143) as proxy:
        assert arrives(proxy, lambda: peer.connect(addr, 8081), family) == (addr, 8081)
    with pod.listen("::", 9090) as app:
        app.settimeout(10)
        peer.connect(addr, 9090).close()
        app.accept()[0].close()


@pytest.mark.parametrize("family", FAMILIES)
def test_udp_is_left_alone(network, init, family):
    pod, peer = network.host("pod"), network.host("peer")
    init(pod)
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with peer.inside():
        server = socket.socket(kind, socket.SOCK_DGRAM)
        server.bind((address(peer, family), 5353))
    with pod.inside():
        client = socket.socket(kind, socket.SOCK_DGRAM)
    server.settimeout(10)
    client.sendto(b"hello", (address(peer, family), 5353))
    assert server.recv(100) == b"hello"
    server.close()
    client.close()


@pytest.mark.parametrize("mode", MODES)
def test_repeated(network, init, mode):
    """Twice is as once; other settings replace the first ones; the jumps stay single."""
    host = network.host()
    init(host, "--proxy-uid", "2102", mode=mode)
    first = [saved(host, mode, family) for family in FAMILIES]
    again = init(host, "--proxy-uid", "2102", mode=mode)
    assert "as before" in again.stderr
    assert [saved(host, mode, family) for family in FAMILIES] == first
    init(host, "--proxy-uid", "77", "--inbound-ports-to-ignore", "1-3", mode=mode)
    for family in FAMILIES:
        lines = saved(host, mode, family)
        assert sum("-j PROXY_INIT_REDIRECT" in line for line in lines) == 1
        assert sum("-j PROXY_INIT_OUTPUT" in line for line in lines) == 1
        assert sum("--uid-owner" in line for line in lines) == 1
        assert any("--uid-owner 77" in line for line in lines)
        assert any("--dports 1:3" in line for line in lines)


@pytest.mark.parametrize("mode", MODES)
def test_several_at_once(network, binaries, programs, mode):
    """Eight at the same time: all succeed, and the rules are there once."""
    host = network.host()
    argv = [binaries["linkerd-init"], "--iptables-mode", mode, *PORTS, "--use-wait-flag"]
    for program in [programs.start(argv, namespace=host) for _ in range(8)]:
        assert program.wait_exit() == 0, program.output
    for family in FAMILIES:
        lines = saved(host, mode, family)
        assert sum("-j PROXY_INIT_REDIRECT" in line for line in lines) == 1
        assert sum("-j PROXY_INIT_OUTPUT" in line for line in lines) == 1
        assert sum(line.startswith("-A PROXY_INIT") for line in lines) == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_surplus_jumps_and_foreign_rules(network, init, mode, family):
    """A doubled jump becomes single; what others have in the table stays, in place, through making and removing."""
    host = network.host()
    init(host, mode=mode)
    iptables = tool(mode, family, "restore").removesuffix("-restore")
    host.run([iptables, "-t", "nat", "-N", "THEIRS"])
    host.run([iptables, "-t", "nat", "-A", "THEIRS", "-p", "tcp", "--dport", "1", "-j", "RETURN"])
    host.run([iptables, "-t", "nat", "-I", "PREROUTING", "1", "-m", "comment", "--comment",
              "not -j PROXY_INIT_REDIRECT", "-j", "THEIRS"])
    host.run([iptables, "-t", "nat", "-A", "OUTPUT", "-m", "comment", "--comment",
              "proxy-init/install-proxy-init-output", "-j", "PROXY_INIT_OUTPUT"])
    init(host, mode=mode)
    lines = saved(host, mode, family)
    assert sum(line.endswith("-j PROXY_INIT_OUTPUT") for line in lines) == 1
    init(host, "--remove", mode=mode, ports=[])
    lines = [line for line in saved(host, mode, family) if not line.startswith(":") or "THEIRS" in line]
    assert [line.split(" ")[0:2] for line in lines if line.startswith(":")] == [[":THEIRS", "-"]]
    assert len(lines) == 3 and ours(host, mode, family) == [
        '-A PREROUTING -m comment --comment "not -j PROXY_INIT_REDIRECT" -j THEIRS']


@pytest.mark.parametrize("mode", MODES)
def test_remove_leaves_nothing(network, init, binaries, mode):
    host, peer = network.host(), network.host("peer")
    before = {family: saved(host, mode, family) for family in FAMILIES}
    init(host, "--proxy-uid", "2102", "--inbound-ports-to-ignore", "1,2,3", mode=mode)
    done = host.run([binaries["linkerd-init"], "--remove"])  # finds by itself which kind it was
    assert done.stderr.count("rules are removed") == 2
    for family in FAMILIES:
        assert ours(host, mode, family) == []
        assert [line for line in saved(host, mode, family) if line.startswith("-A")] == [
            line for line in before[family] if line.startswith("-A")]
    with host.listen("::", 8080) as app:
        app.settimeout(10)
        peer.connect(host.ip4, 8080).close()
        app.accept()[0].close()
    assert host.run([binaries["linkerd-init"], "--remove"]).stderr == ""  # nothing to do is no failure


def test_remove_makes_no_legacy_tables(network, binaries):
    """Looking for legacy rules must not make the kernel's legacy tables."""
    host = network.host()
    host.run([binaries["linkerd-init"], "--remove"])
    with host.inside(), open("/proc/thread-self/net/ip_tables_names") as names:
        assert names.read() == ""


def test_ipv4_only(network, init):
    host = network.host()
    init(host, "--ipv6=false")
    assert ours(host, "nft", 4)
    assert ours(host, "nft", 6) == []


def test_many_ports(network, init):
    """Lists longer than one match can hold."""
    host = network.host()
    ports = ",".join([str(p) for p in range(2000, 2040)] + [f"{p}-{p + 1}" for p in range(3000, 3040, 2)])
    for mode in MODES:
        init(host, "--inbound-ports-to-ignore", ports, mode=mode)
        rules = [line for line in ours(host, mode, 4) if "multiport" in line]
        assert [line.split("--dports ")[1].split()[0].replace(":", ",").count(",") + 1 for line in rules] == [
            15, 15, 14, 14, 14, 8]
        init(host, "--remove", mode=mode, ports=[])


def test_netns_flag(network, binaries):
    """From outside, into a namespace by its file."""
    host, other = network.host(), network.host("other")
    other.run([binaries["linkerd-init"], "--iptables-mode", "nft", *PORTS, "--netns", host.path,
               "--timeout-close-wait-secs", "77"])
    assert ours(host, "nft", 4) and ours(host, "nft", 6)
    assert host.run(["cat", CLOSE_WAIT]).stdout == "77\n" != other.run(["cat", CLOSE_WAIT]).stdout
    assert not ours(other, "nft", 4)
    other.run([binaries["linkerd-init"], "--remove", "--netns", host.path])
    assert not ours(host, "nft", 4) and not ours(host, "nft", 6)


def test_close_wait(network, init):
    host = network.host()
    init(host, "--timeout-close-wait-secs", "123")
    assert host.run(["cat", CLOSE_WAIT]).stdout == "123\n"


def test_simulate_runs_nothing(network, binaries):
    """The text is the transaction: given to iptables-restore, it makes what a real run makes."""
    host, real = network.host(), network.host("real")
    flags = [*PORTS, "--proxy-uid", "2102", "--inbound-ports-to-ignore", "1,2", "--iptables-mode", "nft"]
    # Without privilege: it needs none.
    shown = host.run([binaries["linkerd-init"], *flags, "--simulate", "--timeout-close-wait-secs", "9"], uid=65534).stdout
    assert ours(host, "nft", 4) == []
    v4, v6 = shown.split("# ip6tables-nft-restore --noflush\n")
    host.run(["iptables-nft-restore", "--noflush"], input=v4)
    host.run(["ip6tables-nft-restore", "--noflush"], input=v6)
    real.run([binaries["linkerd-init"], *flags])
    for family in FAMILIES:
        assert saved(host, "nft", family) == saved(real, "nft", family)


# ---- failures say what failed and what to do ----


def test_without_privilege(network, init, binaries):
    host = network.host()
    for mode in MODES:
        done = init(host, mode=mode, check=False, uid=65534)
        assert done.returncode == 1
        assert "CAP_NET_ADMIN" in done.stderr, done.stderr
    assert ours(host, "nft", 4) == []


def test_capabilities_without_root(network, binaries, tmp_path):
    """File capabilities on our program alone are enough, though iptables has none (as in the image)."""
    host = network.host()
    program = tmp_path / "linkerd-init"
    program.write_bytes(open(binaries["linkerd-init"], "rb").read())
    program.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    if not os.path.exists("/usr/sbin/setcap"):
        pytest.skip("setcap (libcap2-bin) is not installed")
    subprocess.run(["/usr/sbin/setcap", "cap_net_raw,cap_net_admin+eip", program], check=True)
    host.run([program, "--iptables-mode", "nft", *PORTS], uid=65534)
    assert ours(host, "nft", 4) and ours(host, "nft", 6)


def test_no_iptables(network, binaries, tmp_path):
    """Where no iptables is installed at all: a mount namespace whose sbin folders are empty."""
    host = network.host()
    script = ("for d in /usr/local/sbin /usr/sbin /sbin; do mount -t tmpfs none $d 2>/dev/null; done; "
              f"exec {binaries['linkerd-init']} --iptables-mode nft {' '.join(PORTS)}")
    done = host.run(["unshare", "--mount", "sh", "-c", script], check=False)
    assert done.returncode == 1
    assert "iptables-nft-restore" in done.stderr and "install iptables" in done.stderr


def test_other_mode_when_missing(network, binaries, tmp_path):
    """The mode that was asked for is not installed: another is used, with a warning."""
    host = network.host()
    script = ("d=$(mktemp -d); cp -a /usr/sbin/xtables-nft-multi /usr/sbin/ip*tables-nft* $d; "
              "mount -t tmpfs none /usr/sbin; cp -a $d/* /usr/sbin/; rm -r $d; "
              f"exec {binaries['linkerd-init']} --iptables-mode legacy {' '.join(PORTS)}")
    done = host.run(["unshare", "--mount", "sh", "-c", script])
    assert "iptables mode legacy is not installed" in done.stderr
    assert ours(host, "nft", 4) and ours(host, "nft", 6)


@pytest.mark.slow
def test_lock_busy(network, init, tmp_path):
    """Legacy iptables takes a lock: waited for, bounded, and named."""
    host = network.host()
    lock = tmp_path / "xtables.lock"
    env = {**os.environ, "XTABLES_LOCKFILE": str(lock)}
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = init(host, mode="legacy", check=False, env=env)
        assert done.returncode == 1
        assert "xtables lock" in done.stderr and "--use-wait-flag" in done.stderr
    init(host, mode="legacy", env=env)  # free again
    done = init(host, mode="legacy", check=False, env={**os.environ, "XTABLES_LOCKFILE": "/nonexistent/lock"},
                ports=["--incoming-proxy-port", "1", "--outgoing-proxy-port", "2"])
    assert done.returncode == 1 and "XTABLES_LOCKFILE" in done.stderr


def test_transaction_is_whole(network, init):
    """When a family's transaction fails, nothing of it is there: here another chain uses ours, so it cannot go."""
    host = network.host()
    init(host)
    host.run(["iptables-nft", "-t", "nat", "-N", "THEIRS"])
    host.run(["iptables-nft", "-t", "nat", "-A", "THEIRS", "-j", "PROXY_INIT_OUTPUT"])
    before = saved(host, "nft", 4)
    done = init(host, "--remove", ports=[], check=False)
    assert done.returncode == 1
    assert "IPv4 were not removed" in done.stderr
    assert saved(host, "nft", 4) == before
    assert ours(host, "nft", 6) == []  # the other family is not held up


@pytest.mark.parametrize("flags, said", [
    ([], "--incoming-proxy-port is needed"),
    ([*PORTS, "--inbound-ports-to-ignore", "1,http"], '"http" is not a port'),
    ([*PORTS, "--netns", "/nonexistent"], "cannot open the network namespace /nonexistent"),
    ([*PORTS, "--netns", "/etc/passwd"], "is not the file of a network namespace"),
])
def test_bad_flags(binaries, flags, said):
    done = subprocess.run([binaries["linkerd-init"], *flags], capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 2)
    assert said in done.stderr


def test_json_log(network, init):
    import json
    done = init(network.host(), "--log-format", "json", "--log-level", "debug")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines and all({"level", "msg", "time"} <= set(line) for line in lines)
