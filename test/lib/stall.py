"""An application that takes its time, for tests of timeouts: `python3 stall.py PORT`, HTTP/1 and HTTP/2 with prior knowledge.

    /never... no answer
    /half     a head and five bytes, then nothing
    /drip     a byte for each piece of the request's body that comes, until it ends
    /upgrade  101, and then whatever comes goes back
    else      200
"""

import socket
import sys
import threading


def http1(c, seen):
    while True:
        while b"\r\n\r\n" not in seen:
            more = c.recv(65536)
            if not more:
                return
            seen += more
        head, _, seen = seen.partition(b"\r\n\r\n")
        path = head.split(b" ")[1].decode().partition("?")[0]
        chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        if path == "/half":
            c.sendall(chunked + b"5\r\nhello\r\n")
        elif path == "/drip":
            c.sendall(chunked)
            while not seen.endswith(b"0\r\n\r\n"):
                if seen:
                    c.sendall(b"1\r\n.\r\n")
                seen = c.recv(65536)
                if not seen:
                    return
            c.sendall(b"0\r\n\r\n")
            seen = b""
        elif path == "/upgrade":
            c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
            while more := c.recv(65536):
                c.sendall(more)
            return
        elif not path.startswith("/never"):
            c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")


def http2(c, seen):
    import h2.config
    import h2.connection
    import h2.events
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    conn.initiate_connection()
    c.sendall(conn.data_to_send())
    while seen:
        for event in conn.receive_data(seen):
            if isinstance(event, h2.events.RequestReceived):
                path = dict(event.headers)[b":path"]
                if path.startswith(b"/never"):
                    continue
                conn.send_headers(event.stream_id, [(":status", "200")])
                conn.send_data(event.stream_id, b"hello", end_stream=path != b"/half")
        c.sendall(conn.data_to_send())
        seen = c.recv(65536)


def serve(c):
    try:
        seen = c.recv(65536)
        (http2 if seen.startswith(b"PRI ") else http1)(c, seen)
    except OSError:
        pass
    c.close()


if __name__ == "__main__":
    listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
