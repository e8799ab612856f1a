"""linkerd("words", ...) runs the program, behind the words of `around`, and gives status, stdout and stderr."""

import http.server
import os
import subprocess
import threading

import pytest


@pytest.fixture
def linkerd(binaries, tmp_path):
    def run(*words, around=(), **options):
        env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1", **options.pop("env", {})}
        return subprocess.run([*around, binaries["linkerd"], *[str(word) for word in words]], capture_output=True, text=True,
                              timeout=30, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, **options)

    return run


@pytest.fixture
def admin():
    """admin(path -> (status, text)): an admin port; its address."""
    servers = []

    def start(pages):
        class Pages(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, text = pages.get(self.path, (404, "no such page"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        server.handle_error = lambda *args: None  # a port that is only tried
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
