"""The component proxy-injector as an API server meets it, without a cluster: namespaces are manifests in a directory."""

import concurrent.futures
import json
import socket
import ssl
import subprocess
import threading

import pytest

from lib.wait import until
from lib.webhook import NAME, Injector, Pair, containers, installed, patched, pod, review_of


@pytest.fixture
def injector(tmp_path, programs, binaries):
    return Injector(tmp_path, programs, binaries)


def proxy_env(thing):
    proxy, = [c for c in thing["spec"]["initContainers"] + thing["spec"]["containers"] if c["name"] == "linkerd-proxy"]
    return {one["name"]: one.get("value") for one in proxy["env"]}


def still_answers(injector):
    assert "linkerd-proxy" in containers(patched(pod(), injector.review(pod())))


def test_a_pod_gets_its_proxy(injector):
    injector.start()
    assert injector.page("/ready")[0] == 200 and injector.page("/ping")[0] == 200
    made = patched(pod(), injector.review(pod()))
    assert containers(made) == ["linkerd-init", "linkerd-proxy", "app"]
    assert proxy_env(made)["LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS"].strip() == injector.anchor.strip()
    assert made["metadata"]["annotations"]["linkerd.io/created-by"].startswith("linkerd/proxy-injector ")
    assert "patch" not in injector.review(pod(annotations=()))
    denied = injector.review(pod(annotations={"linkerd.io/inject": "enabled", "config.linkerd.io/default-inbound-policy": "open"}.items()))
    assert not denied["allowed"] and "default-inbound-policy" in denied["status"]["message"]
    warned = injector.review(pod(annotations={"linkerd.io/inject": "enabled", "config.linkerd.io/proxy-log-level": "loud,"}.items()))
    assert warned["allowed"] and "patch" in warned


def test_over_http2(injector, tmp_path):
    injector.start()
    (tmp_path / "review.json").write_text(json.dumps(review_of(pod())))
    (tmp_path / "ca.pem").write_text(injector.pair.certificate_pem)
    for version, flag in (("2", "--http2"), ("1.1", "--http1.1")):
        done = subprocess.run(["curl", "-sS", flag, "--cacert", tmp_path / "ca.pem", "--resolve", f"{NAME}:{injector.port}:{injector.host}",
                               "-H", "content-type: application/json", "--data-binary", f"@{tmp_path}/review.json", "-w", "\n%{http_code} %{http_version}",
                               f"https://{NAME}:{injector.port}/?timeout=10s"], capture_output=True, text=True, check=True)
        body, _, last = done.stdout.rpartition("\n")
        assert last == f"200 {version}"
        assert json.loads(body)["response"]["patchType"] == "JSONPatch"


@pytest.mark.parametrize("status, request_", [
    (405, {"method": "GET", "body": None}), (405, {"method": "PUT", "body": "{}"}), (404, {"path": "/other", "body": "{}"}),
    (415, {"body": "{}", "headers": {"content-type": "text/plain"}}), (415, {"body": "{}", "headers": {}}), (400, {"body": "no JSON"}),
    (400, {"body": ""}), (400, {"body": "{}"}), (400, {"body": "[" * 100000}),
    (400, {"body": json.dumps({**review_of(pod()), "request": {}})}),
], ids=lambda value: str(value)[:40])
def test_what_is_no_review_is_refused(injector, status, request_):
    injector.start()
    connection = injector.connect()
    assert injector.ask(connection=connection, **request_)[0] == status
    if status in (404, 405, 415, 400):  # nothing is left unread: the connection goes on
        assert injector.ask(json.dumps(review_of(pod())), connection)[0] == 200
    connection.close()
    still_answers(injector)


def test_a_body_that_is_too_large(injector):
    """Told by its length, before any of it has come."""
    injector.start()
    connection = injector.tls_socket(injector.trust())
    connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4194305\r\n\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    still_answers(injector)


def test_a_body_without_end(injector):
    """Chunks for ever: refused as soon as it is too much, not when it ends."""
    injector.start()
    connection = injector.tls_socket(injector.trust())
    connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    answered = b""
    try:
        for _ in range(100000):
            connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
    except OSError:
        pass  # it has hung up
    try:
        while piece := connection.recv(65536):
            answered += piece
    except OSError:
        pass
    assert answered == b"" or answered.startswith(b"HTTP/1.1 413 "), answered[:100]
    still_answers(injector)


def test_garbage_and_silence_keep_nobody_out(injector):
    injector.start()
    held = []
    for number in range(600):  # more than there may be connections
        one = socket.create_connection((injector.host, injector.port), timeout=20)
        if number % 2:
            one.sendall(b"GET / HTTP/1.1\r\n\r\n" if number % 4 == 1 else b"\x16\x03\x01\x02")
        held.append(one)
    still_answers(injector)
    injector.program.wait_line(r"WARN proxy-injector: no TLS with 127\.")
    untrusting = injector.trust(pair=Pair())
    with pytest.raises(ssl.SSLError):
        injector.tls_socket(untrusting)
    still_answers(injector)
    for one in held:
        one.close()


@pytest.mark.slow
def test_certificates_change_under_requests(injector):
    """Those who are connected go on; new ones see the new certificate; a pair that is none changes nothing."""
    injector.start()
    kept, stop, failures = injector.connect(), threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                injector.review(pod(), kept)
            except Exception as error:  # noqa: BLE001: whatever it is, the test is to show it
                failures.append(error)
                return

    worker = threading.Thread(target=work)
    worker.start()
    try:
        old, start = injector.pair, len(injector.program.lines)
        injector.serve(Pair())
        injector.program.wait_line("the serving certificate is that of CN=.* days left", start=start)
        still_answers(injector)
        with pytest.raises(ssl.SSLError):
            injector.tls_socket(injector.trust(pair=old))
        injector.tls.put(tls_crt=old.certificate_pem, tls_key=injector.pair.key_pem)
        injector.program.wait_line("WARN proxy-injector: the last good serving certificate stays: .*does not belong to the key")
        still_answers(injector)
        assert injector.page("/ready")[0] == 200
    finally:
        stop.set()
        worker.join()
    assert not failures
    kept.close()


def test_ready_when_there_is_a_certificate(injector):
    for name in ("tls.crt", "tls.key"):
        (injector.tls.folder / name).unlink()
    injector.start()
    injector.program.wait_line("WARN proxy-injector: there is no usable serving certificate yet: .*tls.crt: No such file")
    assert injector.page("/ready")[0] == 503
    with pytest.raises(OSError):
        injector.tls_socket(injector.trust())
    injector.serve(Pair())
    until(lambda: injector.page("/ready")[0] == 200)
    still_answers(injector)


@pytest.mark.slow
def test_values_and_anchors_are_followed(injector, binaries):
    injector.start()
    values, anchor = installed(binaries, "--set", "proxy.logLevel=trace")
    injector.config.put(values=values)
    until(lambda: proxy_env(patched(pod(), injector.review(pod())))["LINKERD2_PROXY_LOG"].startswith("trace"))
    injector.anchors.put(**{"ca-bundle_crt": anchor})
    until(lambda: proxy_env(patched(pod(), injector.review(pod())))["LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS"].strip() == anchor.strip())
    for bad, why in (("proxy: 7", 'have no map "proxy"'), (":\n- {", "values:"), ("", "no map")):
        start = len(injector.program.lines)
        injector.config.put(values=bad)
        injector.program.wait_line(f"WARN proxy-injector: the last good values and trust anchors stay in force: .*{why}", start=start)
        assert injector.page("/ready")[0] == 200
        still_answers(injector)


def test_without_values_it_is_not_ready(injector):
    (injector.config.folder / "values").unlink()
    injector.start()
    injector.program.wait_line("ERROR proxy-injector: there are no usable values: .*No such file")
    assert injector.page("/ready")[0] == 503
    status, text = injector.ask(json.dumps(review_of(pod())))
    assert status == 500 and "no usable values" in text
    injector.config.put(values=injector.values)
    until(lambda: injector.page("/ready")[0] == 200)
    still_answers(injector)


def test_namespaces_count(injector):
    injector.start()
    plain = pod(annotations=())
    assert "patch" not in injector.review(plain)
    injector.write("ns.yaml", {"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "default", "annotations": {"linkerd.io/inject": "enabled", "config.linkerd.io/proxy-log-level": "debug"}}})
    until(lambda: "patch" in injector.review(plain))
    assert proxy_env(patched(plain, injector.review(plain)))["LINKERD2_PROXY_LOG"].startswith("debug")


def test_counted_as_linkerd_counts(injector):
    injector.start()
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "1", "controller": True}
    injector.review(pod(annotations={"linkerd.io/inject": "enabled", "config.linkerd.io/proxy-log-level": "debug"}.items(), owner=owner))
    injector.review(pod(annotations=(), owner=owner))
    injector.review({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": {}})
    lines = [line for line in injector.page("/metrics")[1].splitlines() if line.startswith("proxy_inject")]
    assert sorted(lines) == [
        'proxy_inject_admission_requests_total{owner_kind="statefulset",namespace="default",annotation_at=""} 1',
        'proxy_inject_admission_requests_total{owner_kind="statefulset",namespace="default",annotation_at="workload",proxy_log_level="debug"} 1',
        'proxy_inject_admission_responses_total{owner_kind="statefulset",namespace="default",skip="false",skip_reason="",annotation_at="workload",proxy_log_level="debug"} 1',
        'proxy_inject_admission_responses_total{owner_kind="statefulset",namespace="default",skip="true",skip_reason="injection_enable_annotation_absent",annotation_at=""} 1',
    ]


def test_many_at_once(injector):
    injector.start()

    def some(number):
        connection = injector.connect()
        try:
            return [containers(patched(pod(f"p{number}-{i}"), injector.review(pod(f"p{number}-{i}"), connection))) for i in range(10)]
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        results = [one for many in pool.map(some, range(64)) for one in many]
    assert len(results) == 640 and all(one == ["linkerd-init", "linkerd-proxy", "app"] for one in results)


def test_it_ends_when_it_is_told(injector):
    injector.start()
    kept = injector.connect()
    injector.review(pod(), kept)
    injector.program.kill()
    assert injector.program.wait_exit() == 0
    kept.close()


def test_the_command_line_of_the_chart(injector, binaries):
    """As the container has it; what is not said stands in the image's paths."""
    done = subprocess.run([binaries["linkerd-controller"], "proxy-injector", "--help"], capture_output=True, text=True, check=True)
    for default in ("/var/run/linkerd/tls/tls.crt", "/var/run/linkerd/tls/tls.key", "/var/run/linkerd/config/values", "proxy-injector: 9995"):
        assert default in done.stdout
    injector.start("-log-format=plain", "-enable-pprof=false")
    still_answers(injector)
