"""`linkerd logs` against an API server that is played here: which containers are asked for, and how, and what becomes of their lines."""

import contextlib
import http.server
import itertools
import json
import os
import subprocess
import threading
import urllib.parse

import pytest
import yaml

CONTAINERS = ["policy", "destination"]


def pod(name, component, containers=CONTAINERS, init=(), ended=()):
    return {"metadata": {"name": name, "namespace": "linkerd", "labels": {"linkerd.io/control-plane-component": component}},
            "spec": {"initContainers": [{"name": each} for each in init], "containers": [{"name": each} for each in containers]},
            "status": {"initContainerStatuses": [{"name": each, "state": {"terminated": {"exitCode": 0}} if each in ended else {"running": {}}} for each in init]}}


PODS = [pod("destination-1", "destination", init=["linkerd-init", "linkerd-proxy"], ended=["linkerd-init"]), pod("identity-1", "identity", ["identity"])]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path.endswith("/pods"):
            wanted = query["labelSelector"].partition("=")[2]
            return self.answer(200, {"items": [each for each in PODS if wanted in ("", each["metadata"]["labels"]["linkerd.io/control-plane-component"])]})
        name = url.path.split("/")[-2]
        self.server.asked[name, query.pop("container")] = query
        self.server.write(self, name, self.path)

    def stream(self, *pieces):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that is gone


def one_line(handler, name, path):
    handler.stream(b"hello from " + name.encode() + b"\n")


@pytest.fixture
def logs(binaries, tmp_path):
    """logs(*words, write=...): what `linkerd logs` prints, and what each container was asked for."""
    @contextlib.contextmanager
    def start(*words, write=one_line):
        server = Server(("127.0.0.1", 0), Handler)
        server.asked, server.write = {}, write
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "config").write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}))
        process = subprocess.Popen([binaries["linkerd"], "logs", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "KUBECONFIG": str(tmp_path / "config")})
        try:
            yield process, server
        finally:
            process.kill()
            process.wait()
            server.shutdown()
            server.server_close()

    def run(*words, **options):
        with start(*words, **options) as (process, server):
            out, error = process.communicate(timeout=30)
            return process.returncode, out, error, server.asked

    run.start = start
    return run


def test_every_container_that_has_something_to_say(logs):
    status, out, error, asked = logs()
    assert (status, error) == (0, "")
    assert sorted(out.splitlines()) == ["destination-1 destination hello from destination-1", "destination-1 linkerd-proxy hello from destination-1",
                                        "destination-1 policy hello from destination-1", "identity-1 identity hello from identity-1"]
    assert all(query == {"follow": "true", "sinceSeconds": "172800"} for query in asked.values())


@pytest.mark.parametrize("words, containers, query", [
    (["--control-plane-component", "identity"], {("identity-1", "identity")}, {"sinceSeconds": "172800"}),
    (["-c", "policy", "--tail", "5"], {("destination-1", "policy")}, {"sinceSeconds": "172800", "tailLines": "5"}),
    (["-c", "linkerd-init", "-t", "-s", "90s"], {("destination-1", "linkerd-init")}, {"sinceSeconds": "90", "timestamps": "true"}),
    (["--control-plane-component=destination", "--container=destination", "--tail=0", "--no-color"], {("destination-1", "destination")},
     {"sinceSeconds": "172800", "tailLines": "0"}),
])
def test_what_is_chosen(logs, words, containers, query):
    status, _, error, asked = logs(*words)
    assert (status, error, set(asked)) == (0, "", containers)
    assert all(each == {"follow": "true", **query} for each in asked.values())


@pytest.mark.parametrize("words, error", [
    (["--control-plane-component", "controller"], "no pods of the component controller in the namespace linkerd; --linkerd-namespace names another"),
    (["-c", "grafana"], "none of the 2 pods has a container grafana"),
    (["--tail", "few"], '--tail: "few" is no number of lines: expected 0 or more, or -1 for all'),
    (["--since", "0s"], "--since: expected at least 1s"),
    (["-L", "a/b"], '--linkerd-namespace: "a/b" is no namespace: expected at most 63 lower-case letters, digits and dashes'),
])
def test_nothing_to_show(logs, words, error):
    assert logs(*words)[:3] == (1, "", f"linkerd: logs: {error}\n")


def test_lines_come_as_they_are_written(logs):
    """What comes in pieces is one line, and one container's silence holds up no other."""
    end = threading.Event()

    def write(handler, name, path):
        if name == "identity-1":
            handler.stream(b"he", b"llo\n\nlast, without an end")
        else:
            end.wait(30)
            handler.stream()

    with logs.start(write=write) as (process, _):
        lines = [process.stdout.readline() for _ in range(3)]
        end.set()
        out, error = process.communicate(timeout=30)
    assert lines == ["identity-1 identity hello\n", "identity-1 identity \n", "identity-1 identity last, without an end\n"]
    assert (process.returncode, out, error) == (0, "", "")


def test_a_line_without_end_comes_in_pieces(logs):
    status, out, _, _ = logs("-c", "identity", write=lambda handler, *_: handler.stream(*[b"x" * 65536] * 5, b"\n"))
    assert status == 0 and [len(line.removeprefix("identity-1 identity ")) for line in out.splitlines()] == [262144, 65536]


def test_a_container_that_cannot_be_read_is_told_of(logs):
    def write(handler, name, path):
        if "container=policy" in path:
            return handler.answer(400, {"kind": "Status", "message": "container \"policy\" is waiting to start: ContainerCreating"})
        one_line(handler, name, path)

    status, out, error, _ = logs(write=write)
    assert status == 1 and len(out.splitlines()) == 3
    assert error == 'linkerd: logs: destination-1 policy: container "policy" is waiting to start: ContainerCreating\n'


def test_it_ends_when_nobody_reads(logs):
    """As `linkerd logs | head` does."""
    def write(handler, name, path):
        with contextlib.suppress(OSError):
            handler.stream(*itertools.repeat(b"more\n", 1000000))

    with logs.start(write=write) as (process, _):
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=30) == 1
        assert "Broken pipe" in process.stderr.read()
