"""What a listener on the wire between two meshed pods sees."""

import re

import pytest

from lib.wait import until

from proxy.test_pair import echo_server

SECRET = b"a-secret-that-nobody-else-may-read-4711"


@pytest.mark.parametrize("kind", ["http1", "http2", "opaque"])
def test_no_plaintext_between_proxies(pair, network, programs, binaries, tool, tmp_path, kind):
    opaque = kind == "opaque"
    pair.service(port=80, target=8080, protocol="opaque" if opaque else "detect", opaque=opaque)
    if opaque:
        echo_server(pair.web, 8080)
    else:
        pair.web.start_app([binaries["http-echo"], "0.0.0.0:8080"], port=8080, name="http-echo")
    capture = tmp_path / "wire.pcap"
    dump = programs.start([tool("tcpdump"), "-i", "br0", "-U", "-w", capture, "-s", "0", "--immediate-mode", "-Z", "root", "tcp"],
                          namespace=network.switch, name="tcpdump")
    dump.wait_line("listening on")
    pair.start()
    if opaque:
        with pair.client.host.connect("10.99.0.1", 80) as sock:
            sock.sendall(SECRET)
            got = b""
            while len(got) < len(SECRET):
                got += sock.recv(4096)
        assert got == SECRET
    else:
        flag = "--http1.1" if kind == "http1" else "--http2-prior-knowledge"
        answer = pair.curl(flag, "--data-binary", SECRET.decode(), "-H", f"x-secret: {SECRET.decode()}", path="/echo")
        assert answer.stdout == SECRET.decode()
    until(lambda: capture.stat().st_size >= 2000, "a handshake alone is more than was captured")  # it writes packet by packet
    dump.stop()
    wire = capture.read_bytes()
    assert SECRET not in wire and b"x-secret" not in wire and b"HTTP/1.1" not in wire
    assert not re.search(rb"PRI \* HTTP/2", wire)
    assert pair.identity.encode() in wire  # the name in the client hello: we saw the right packets
