"""The same bytes to several proxies, each with a back-end of its own that keeps what it got.

    lab.ask("ours", request) -> Seen
"""

import contextlib
import itertools
import re
import socket
import struct
from dataclasses import dataclass

from differential.backend import Backend
from lib.scripted import Feed, server

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  client_header_timeout 2s; client_body_timeout 2s; lingering_close off;
  server {{
    listen 0.0.0.0:8081; server_name web;
    location / {{
      proxy_pass http://127.0.0.1:9081; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_request_buffering off; proxy_buffering off; proxy_ignore_client_abort on; proxy_read_timeout 2s;
    }}
  }}
}}
"""
HAPROXY = """
global
  nbthread 1
defaults
  mode http
  timeout client 2s
  timeout server 2s
  timeout connect 2s
  timeout http-request 2s
  timeout http-keep-alive 2s
frontend front
  bind 0.0.0.0:8082
  default_backend back
backend back
  server one 127.0.0.1:9082
"""


@dataclass
class Seen:
    statuses: list  # of the answers, without interim ones
    messages: list  # what the back-end got: backend.Message
    ended: bool  # the proxy ended the connection in time

    @property
    def refused(self):
        return not self.messages

    def framing(self):
        """What two servers must agree on, message by message; up to what is no message."""
        known = itertools.takewhile(lambda m: not m.odd and m.method, self.messages)
        return [(m.method, m.body, m.complete) for m in known]


def statuses(answer):
    """Of a sequence of answers; their bodies are short and hold no line like a status line."""
    found = [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3})[ \r]", answer)]
    return [code for code in found if code >= 200 or code == 101]


class Lab:
    """Ours twice, on a port whose protocol is detected and on one that is said to be HTTP/1; nginx and HAProxy."""

    PORTS = {"detect": 8080, "http1": 8088, "nginx": 8081, "haproxy": 8082}
    BACKENDS = {"detect": 8080, "http1": 8088, "nginx": 9081, "haproxy": 9082}
    FOREIGN = ("nginx", "haproxy")
    OURS = ("detect", "http1")

    def __init__(self, pair, network, folder):
        self.pair, self.sender = pair, network.host("stranger")
        self.others = pair.client.host  # nginx and HAProxy, with no redirection
        self.backends, self.fences = {}, 0
        pair.control.ports[8088] = Feed(server(protocol="http1"))
        pair.control.start([pair.web.host])
        for name, port in self.BACKENDS.items():
            host, address = (pair.web.host, "0.0.0.0") if name in self.OURS else (self.others, "127.0.0.1")
            self.backends[name] = Backend(host.listen(address, port))
        pair.web.redirect()
        self.proxy = pair.web.start_proxy(pair.control.env("web", LINKERD2_PROXY_LOG="error"))
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
        (folder / "haproxy.cfg").write_text(HAPROXY)
        pair.client.start_app(["/usr/sbin/nginx", "-c", folder / "nginx.conf", "-e", "stderr"], port=8081, uid=0, name="nginx")
        pair.client.start_app(["/usr/sbin/haproxy", "-q", "-f", folder / "haproxy.cfg"], port=8082, uid=0, name="haproxy")

    def close(self):
        for backend in self.backends.values():
            backend.close()

    def send(self, name, request, seconds=10):
        """Sends it all, ends its direction, reads to the end: what came, and whether the end came."""
        host = self.pair.web.host if name in self.OURS else self.others
        answer = b""
        sock = self.sender.connect(host.ip4, self.PORTS[name], seconds)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no crowd in TIME_WAIT
            with contextlib.suppress(ConnectionError):  # it may have ended it before all was sent
                sock.sendall(request)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(1 << 16):
                answer += chunk
            return answer, True
        except ConnectionError:
            return answer, True
        except TimeoutError:
            return answer, False
        finally:
            sock.close()

    def ask(self, name, request):
        backend = self.backends[name]
        backend.begin()
        answer, ended = self.send(name, request)
        self.fences += 1
        fence, _ = self.send(name, b"GET /fence/%d HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n" % self.fences)
        assert fence.startswith(b"HTTP/1.1 200"), f"{name} does not serve any more: {fence!r}, after {request!r}"
        return Seen(statuses(answer), backend.taken(), ended)
