"""Descriptors run out: those who use them up wait, and the control plane, the admin port and others go on."""

import re
import time

import pytest

from lib.http import get
from lib.mesh import ADMIN, PROXY_UID
from lib.netns import available
from proxy.test_hostile import road, served  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")


def limits(pid):
    with open(f"/proc/{pid}/limits") as file:
        return re.search(r"^Max open files\s+(\d+)\s+(\d+)", file.read(), re.M).groups()


def squeeze(road, count):  # noqa: F811
    """The limits as an operator may set them, changed while the proxy runs."""
    road.proxied.host.run(["prlimit", f"--pid={road.proxied.proxy.pid}", f"--nofile={count}:{count}"], uid=PROXY_UID)


def test_soft_limit_is_raised(road):  # noqa: F811
    road.go()
    soft, hard = limits(road.proxied.proxy.pid)
    assert soft == hard


def discovered(road):  # noqa: F811
    """The answer for a destination, or a port, that the proxy never asked about; no application is there."""
    with road.sender.connect(road.address, road.port2, 30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
        return sock.recv(65536)


def test_crowd(road):  # noqa: F811
    """More connections than descriptors: metrics answer, the control plane stays connected, and traffic goes on when they leave."""
    road.go()
    served(road)
    asked = len(road.control.asked)
    squeeze(road, 96)
    crowd = [road.sender.connect(road.address, road.port) for _ in range(150)]
    road.proxied.proxy.wait_line("no descriptors left for new connections")
    for _ in range(3):  # a new connection each
        assert get(road.proxied.host, "127.0.0.1", ADMIN, "/metrics").status == 200
    for sock in crowd[:20]:
        sock.sendall(b"GET / HTTP/1.1\r\n")
    for sock in crowd:
        sock.close()
    begin = time.monotonic()
    served(road)  # the very first after the crowd: nothing had to be found again
    assert time.monotonic() - begin < 20
    assert not re.search("discovery-unavailable|control.*(lost|EMFILE|Too many open files)", road.proxied.proxy.output)
    assert len(road.control.asked) >= asked and road.proxied.proxy.running()


@pytest.mark.slow
def test_control_plane_in_a_crowd(road):  # noqa: F811
    """Each that was accepted asks for a connection onwards; what was never asked about is found, by those who wait behind."""
    road.go()
    served(road)
    squeeze(road, 128)
    crowd = [road.sender.connect(road.address, road.port) for _ in range(200)]
    road.proxied.proxy.wait_line("no descriptors left for new connections")
    for sock in crowd:
        sock.setblocking(False)
        sock.send(b"GET /crowd HTTP/1.1\r\nHost: web\r\n\r\n")
    answers = []
    for sock in crowd[:32]:
        sock.settimeout(20)
        answers.append(sock.recv(100)[:12])
    assert set(answers) <= {b"HTTP/1.1 200", b"HTTP/1.1 503"} and answers.count(b"HTTP/1.1 200") >= 8, answers
    for sock in crowd:
        sock.close()
    answer = discovered(road)
    assert re.match(rb"HTTP/1.1 (502|503|504) ", answer) and b"discovery" not in answer, answer
    assert "discovery-unavailable" not in road.proxied.proxy.output
