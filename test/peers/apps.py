"""Applications for pods, each one file of Python away from any library but websockets:

    python apps.py http PORT            HTTP/1.1; says what it was sent, see Http
    python apps.py tls PORT CERT KEY    the same over TLS of its own
    python apps.py greeter PORT         speaks first, then echoes
    python apps.py websocket PORT       sends every message back reversed
"""

import http.server
import json
import socket
import ssl
import sys
import threading
import time


class Http(http.server.BaseHTTPRequestHandler):
    """GET /status/N; /chunked; /slow/SECONDS; /until-close; /header?NAME=VALUE; anything: the request as JSON."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "app", ""

    def handle_one_request(self):
        self.body = b""
        super().handle_one_request()

    def answer(self):
        self.body = self.read_body()
        words = self.path.split("?")[0].strip("/").split("/")
        if words[0] == "status":
            self.reply(int(words[1]), b"" if words[1] in ("204", "304") else b"as asked\n")
        elif words[0] == "chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Trailer", "x-sum")
            self.end_headers()
            for part in (b"one", b"two", b"three"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
            self.wfile.write(b"0\r\nx-sum: 11\r\n\r\n")
        elif words[0] == "until-close":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"to the end")
            self.close_connection = True
        else:
            if words[0] == "slow":
                time.sleep(float(words[1]))
            self.reply(200, json.dumps({"method": self.command, "path": self.path, "version": self.request_version,
                                        "headers": [[k.lower(), v] for k, v in self.headers.items()],
                                        "body": self.body.decode(errors="replace")}).encode())

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_HEAD = answer

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status, body):
        self.send_response(status)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        if "?" in self.path:
            for pair in self.path.split("?")[1].split("&"):
                if "=" in pair:
                    self.send_header(*pair.split("=", 1))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128


def greeter(port):
    listener = socket.create_server(("0.0.0.0", port))

    def serve(sock):
        sock.sendall(b"220 hello\r\n")
        while data := sock.recv(4096):
            sock.sendall(data)
        sock.close()

    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def websocket(port):
    import asyncio
    import websockets

    async def echo(peer):
        async for message in peer:
            await peer.send(message[::-1])

    async def serve():
        async with websockets.serve(echo, "0.0.0.0", port):
            await asyncio.Future()

    asyncio.run(serve())


def main(kind, port, *more):
    port = int(port)
    if kind == "greeter":
        greeter(port)
    if kind == "websocket":
        websocket(port)
    server = Server(("0.0.0.0", port), Http)
    if kind == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*more)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
