"""Bytes in bulk, and an echo, over plain TCP.

    bulk.py serve PORT               the first byte of a connection decides: e, everything comes back; otherwise the
                                     bytes are counted, and the count is the answer to the end
    bulk.py send HOST PORT BYTES     prints the seconds from the first byte until the answer has come
"""

import socket
import sys
import threading
import time

CHUNK = 1 << 18


def serve_one(sock):
    buffer = memoryview(bytearray(CHUNK))
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        count = sock.recv_into(buffer)
        total, echo = count, buffer[:1] == b"e"
        while count:
            if echo:
                sock.sendall(buffer[:count])
            count = sock.recv_into(buffer)
            total += count
        if not echo:
            sock.sendall(str(total).encode())


def serve(port):
    threading.stack_size(1 << 18)
    with socket.create_server(("0.0.0.0", port), backlog=1024) as listener:
        while True:
            threading.Thread(target=serve_one, args=(listener.accept()[0],), daemon=True).start()


def send(host, port, total):
    data = memoryview(bytes(CHUNK))
    with socket.create_connection((host, port), 30) as sock:
        sock.settimeout(120)
        start, left = time.monotonic(), total
        while left:
            part = data[:min(left, CHUNK)]
            sock.sendall(part)
            left -= len(part)
        sock.shutdown(socket.SHUT_WR)
        answer = sock.recv(64)
        if int(answer or 0) != total:
            raise SystemExit(f"sent {total} bytes, {answer!r} arrived")
    print(time.monotonic() - start)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
