"""A connection that was opened early, in case the server speaks first, serves the request when the client spoke after all."""

import queue
import re
import socket
import threading

import h2.config
import h2.connection
import h2.events
import pytest

from lib.http import get
from lib.wait import until

REQUEST = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Listener:
    """Every connection that reaches the server, in order, from the moment it is open."""

    def __init__(self, host, port):
        self.sock = host.listen("0.0.0.0", port)
        self.accepted = queue.Queue()
        self.count = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            sock.settimeout(10)
            self.count += 1
            self.accepted.put(sock)

    def next(self):
        return self.accepted.get(timeout=10)


@pytest.fixture
def listener(pair):
    listener = Listener(pair.web.host, 8080)
    yield listener
    listener.sock.close()


def read_until(sock, end):
    data = b""
    while not data.endswith(end):
        piece = sock.recv(4096)
        assert piece, f"ended after {data!r}"
        data += piece
    return data


def gone(sock):
    """Ended without a byte; with a reset where what we sent was not read."""
    try:
        return sock.recv(100) == b""
    except ConnectionResetError:
        return True


def start(pair, meshed_client):
    """Outbound: the client has a proxy, the server none. Inbound: the other way round."""
    pair.service(meshed=False)
    pod, name = (pair.client, "client") if meshed_client else (pair.web, "web")
    pair.control.start([pod.host])
    pod.redirect()
    pod.start_proxy(pair.control.env(name))
    return ("10.99.0.1", 80) if meshed_client else (pair.web.host.ip4, 8080)


def silent_client(pair, outbound=True):
    """A client that has said nothing, when the proxy knows that the server's side is open; the server's end of that is in the listener."""
    address = start(pair, outbound)
    client = pair.client.host.connect(*address, timeout=10)
    pod, direction = (pair.client, "outbound") if outbound else (pair.web, "inbound")
    until(lambda: re.search(rf'tcp_open_total\{{direction="{direction}",peer="dst".* 1\n', pod.metrics()), pod.metrics)
    return client


def step_of(pod, step):
    return lambda: step in get(pod.host, "127.0.0.1", 4191, "/connections").body.decode()


@pytest.mark.parametrize("outbound", [True, False], ids=["outbound", "inbound"])
def test_one_connection_for_http1(pair, listener, outbound):
    with silent_client(pair, outbound) as client:
        server = listener.next()  # opened although the client is silent
        for _ in range(2):
            client.sendall(REQUEST)
            assert b"get / http/1.1" in read_until(server, b"\r\n\r\n").lower()
            server.sendall(ANSWER)
            assert read_until(client, b"ok").startswith(b"HTTP/1.1 200")
    assert listener.count == 1
    server.close()


@pytest.mark.parametrize("outbound", [True, False], ids=["outbound", "inbound"])
def test_one_connection_for_http2(pair, listener, outbound):
    with silent_client(pair, outbound) as client:
        server = listener.next()
        speaker = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        speaker.initiate_connection()
        speaker.send_headers(1, [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "web")], end_stream=True)
        client.sendall(speaker.data_to_send())
        hearer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        hearer.initiate_connection()
        requests = []
        while not requests:
            requests = [e for e in hearer.receive_data(server.recv(4096)) if isinstance(e, h2.events.RequestReceived)]
            server.sendall(hearer.data_to_send())
        hearer.send_headers(requests[0].stream_id, [(":status", "204")], end_stream=True)
        server.sendall(hearer.data_to_send())
        answers = []
        while not answers:
            answers = [e for e in speaker.receive_data(client.recv(4096)) if isinstance(e, h2.events.ResponseReceived)]
        assert (b":status", b"204") in [(bytes(k), bytes(v)) for k, v in answers[0].headers]
    assert listener.count == 1
    server.close()


@pytest.mark.parametrize("last", [b"220 hello\r\n", None], ids=["spoke", "ended"])
def test_never_used_after_the_server_spoke(pair, listener, last):
    """The client's bytes do not say yet what they are when the server sends a byte, or its end: a new connection is made."""
    with silent_client(pair) as client:
        early = listener.next()
        client.sendall(REQUEST[:2])
        until(step_of(pair.client, "detect-http"), "the proxy looks at the client's bytes again")
        if last:
            early.sendall(last)
        else:
            early.shutdown(socket.SHUT_WR)
        client.sendall(REQUEST[2:])
        server = listener.next()
        read_until(server, b"\r\n\r\n")
        server.sendall(ANSWER)
        assert read_until(client, b"ok").startswith(b"HTTP/1.1 200")
        assert gone(early), "the request went to the server that had spoken"
    server.close()
    early.close()


def test_closed_when_it_is_no_http(pair, listener):
    """Opaque after all, by the client's own bytes: the connection that carries them is the only one left."""
    with silent_client(pair) as client:
        early = listener.next()
        client.sendall(b"\x00\x01binary")
        server = listener.next()
        assert server.recv(100) == b"\x00\x01binary"
        assert gone(early)
    server.close()
    early.close()


@pytest.mark.parametrize("outbound", [True, False], ids=["outbound", "inbound"])
def test_settings_are_no_greeting(pair, listener, outbound):
    """An HTTP/2 server sends its SETTINGS to whoever connects; a client that is slow to begin is still waited for."""
    with silent_client(pair, outbound) as client:
        early = listener.next()
        early.sendall(b"\0\0\0\x04\0\0\0\0\0")
        assert gone(early), "the connection is no use to a client that has not spoken"
        client.sendall(REQUEST)
        server = listener.next()
        read_until(server, b"\r\n\r\n")
        server.sendall(ANSWER)
        assert read_until(client, b"ok").startswith(b"HTTP/1.1 200")
    server.close()
    early.close()
