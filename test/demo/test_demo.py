"""The demo as a user runs it: what it says, its status, and what it leaves (nothing: the fixture looks)."""

import re
import signal
import subprocess

import pytest

from lib.wait import until
from demo.conftest import ROOT

EDGES = [("mobile", "quotes", "quotes-1", "gRPC"), ("mobile", "quotes", "quotes-2", "gRPC"), ("shopper", "web", "web-v1", "HTTP"),
         ("shopper", "web", "web-v2", "HTTP"), ("quotes-1", "cache", "cache", "TCP"), ("quotes-2", "cache", "cache", "TCP"),
         ("visitor", "chat", "chat", "WebSocket")]


def rows(output):
    """The rows of the summary as {(from, calls, by, protocol): the other cells}."""
    cells = [line.split() for line in output.split("Summary of")[1].splitlines()]
    return {tuple(row[:4]): row[4:] for row in cells if row[-1:] in (["yes"], ["NO"])}


@pytest.mark.slow
def test_summary(demo):
    run = demo("--for", "6s")
    assert run.end() == 0, run.output
    found = rows(run.output)
    assert sorted(found) == sorted(EDGES), run.output
    for edge, cells in found.items():
        assert cells[-1] == "yes", run.output
        if edge[3] in ("HTTP", "gRPC"):
            success, rate, *percentiles, _ = cells
            assert success == "100.00%" and float(rate) > 0
            assert all(re.fullmatch(r"<=\d+m?s", bound) for bound in percentiles), run.output
    shares = [float(found["shopper", "web", version, "HTTP"][1]) for version in ("web-v1", "web-v2")]
    assert shares[0] > 3 * shares[1], "the HTTPRoute says nine to one"
    assert re.search(r"shopper [1-9]\d* \(0 failed\), mobile [1-9]\d* \(0 failed\), visitor [1-9]\d* \(0 failed\)", run.output)


@pytest.mark.slow
def test_what_it_says_to_type_works(demo):
    """The lines of the first page, as they stand there, while it runs."""
    run = demo()
    run.until("Look further")
    typed = []
    while not (line := run.until(r"^ *(\S.*)$")[1]).startswith("Change"):
        typed.append(line)
    assert len(typed) == 3
    for line, expected in zip(typed, ("and you are shopper.shop.serviceaccount", "inbound", "response_total{")):
        until(lambda: expected in subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=30).stdout,
              f"{line} does not say {expected}")  # the load begins while one types
    pid = int(run.until(r"kill (\d+)")[1])
    subprocess.run(["kill", str(pid)], check=True)
    assert run.until(r"the application of quotes-1 has ended")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0, "somebody played with it"
    assert "FAILED: the application of quotes-1 has ended" in run.output


@pytest.mark.slow
def test_a_refused_client_is_seen_and_makes_the_status(demo, manifests):
    quotes = manifests / "quotes.yaml"
    quotes.write_text(quotes.read_text().replace("name: mobile}", "name: visitor}"))
    run = demo("--for", "4s", "--manifests", manifests)
    assert run.end() == 1, run.output
    assert re.search(r"FAILED: mobile saw a failure: .*PERMISSION_DENIED.* x[1-9]", run.output), run.output
    assert "FAILED: mobile -> quotes-1: gRPC PermissionDenied" in run.output
    assert rows(run.output)["shopper", "web", "web-v1", "HTTP"][0] == "100.00%", "others are not disturbed"


@pytest.mark.slow
def test_plaintext_and_silence_make_the_status(demo, manifests):
    """A Pod that the manifests call unmeshed is called in plaintext, and a Service that nobody calls is named."""
    chat = manifests / "chat.yaml"
    chat.write_text(chat.read_text().replace("labels: {app: chat, linkerd.io/control-plane-ns: linkerd}", "labels: {app: chat}"))
    (manifests / "unused.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: unused, namespace: shop}\n"
        "spec: {clusterIP: 10.96.0.99, selector: {app: nothing}, ports: [{port: 80}]}\n")
    run = demo("--for", "4s", "--manifests", manifests)
    assert run.end() == 1, run.output
    assert "FAILED: visitor -> chat: not mutual TLS" in run.output or "FAILED: visitor -> 10.77.0.41:8080: not mutual TLS" in run.output
    assert "FAILED: service unused had no traffic" in run.output


@pytest.mark.slow
def test_a_change_is_followed(demo, manifests):
    """An edited file moves requests while it runs, and a broken one is named and changes nothing."""
    run = demo("--manifests", manifests, "--every", "1s")
    run.until(r"shopper +web +web-v1 +HTTP +100.00%")
    web = manifests / "web.yaml"
    web.write_text(web.read_text().replace("weight: 90", "weight: 0").replace("weight: 10", "weight: 1"))
    run.until(r"shopper +web +web-v1 +HTTP +- +0.0")  # all the requests of the last ten seconds went elsewhere
    (manifests / "broken.yaml").write_text("kind: {")
    run.until(r"manifests: broken.yaml:1: ")
    run.until(r"shopper +web +web-v2 +HTTP +100.00%")


@pytest.mark.parametrize("when, number", [
    ("starting", signal.SIGINT),
    *(pytest.param(when, number, marks=pytest.mark.slow) for when in ("starting", "running") for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
      if (when, number) != ("starting", signal.SIGINT)),
], ids=lambda one: getattr(one, "name", one))
def test_nothing_is_left(demo, number, when):
    run = demo("--for", "60s")
    run.until("Making certificates" if when == "starting" else "Clinkerd demo:")
    run.process.send_signal(number)
    status = run.end()
    assert status == (-9 if number == signal.SIGKILL else 130)


@pytest.mark.slow
def test_two_at_once(demo):
    first = demo("--for", "30s")
    first.until("Clinkerd demo:")
    second = demo("--for", "3s")
    assert second.end() == 0, second.output
    first.process.send_signal(signal.SIGTERM)
    assert first.end() == 130
    assert "FAILED" not in first.output


def test_what_cannot_be_is_said(demo, tmp_path):
    run = demo("--for", "soon")
    assert run.end() == 2 and "'soon' is not a duration" in run.output
    run = demo("--manifests", tmp_path)
    assert run.end() == 2 and "has no Pod controller" in run.output
