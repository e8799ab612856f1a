"""/connections of the admin port: each connection with its step, and below it its requests."""

import re

import pytest

from lib.netns import available
from lib.wait import until
from proxy.test_environment import connections, stall

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")

# A request's line: age, step, status so far, bytes of the bodies, what it asks for.
LINE = re.compile(r"^  request (\S+) +(\S+) +(\d+) +(\d+) +(\d+) (\S+) (\S+)$", re.M)


def requests(pod, path):
    return [match.groups()[1:] for match in LINE.finditer(connections(pod)) if match[7].startswith(path)]


def test_stalled_requests(pair):
    pair.service()
    stall(pair.web)
    pair.start()
    with pair.client.host.connect("10.99.0.1", 80) as never, pair.client.host.connect("10.99.0.1", 80) as half:
        never.sendall(b"POST /never?token=secret HTTP/1.1\r\nHost: web\r\nContent-Length: 10\r\n\r\n1234")
        half.sendall(b"GET /half HTTP/1.1\r\nHost: web\r\n\r\n")
        for pod in (pair.client, pair.web):
            until(lambda pod=pod: requests(pod, "/never") == [("forward", "0", "4", "0", "POST", "/never")])
            until(lambda pod=pod: requests(pod, "/half") == [("forward", "200", "0", "5", "GET", "/half")])
            assert "secret" not in connections(pod)
    for pod in (pair.client, pair.web):
        until(lambda pod=pod: not LINE.search(connections(pod)))


def test_what_clients_say_is_bounded(pair):
    """A long path is cut, and of a connection with many requests some are shown."""
    import h2.connection

    pair.service()
    stall(pair.web)
    pair.start()
    with pair.client.host.connect("10.99.0.1", 80) as sock:
        conn = h2.connection.H2Connection()
        conn.initiate_connection()
        for i in range(90):
            conn.send_headers(1 + 2 * i, [(":method", "GET"), (":scheme", "http"), (":authority", "web"),
                                          (":path", "/never/" + "x" * 200)], end_stream=True)
        sock.sendall(conn.data_to_send())
        seen = until(lambda: len(LINE.findall(connections(pair.client))) == 90 and connections(pair.client))
        assert all(match[7] == "/never/" + "x" * 73 + "..." for match in LINE.finditer(seen))
        assert " 90 " in seen.splitlines()[2], "the connection counts them"
