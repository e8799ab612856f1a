"""h2spec against an inbound port whose policy says HTTP/2: what is judged is the proxy, not the application behind it."""

import re

import pytest

from lib.scripted import Feed, server


@pytest.mark.parametrize("strict", [[], ["--strict"]], ids=["generic", "strict"])
def test_h2spec(pair, folder, tool, network, strict):
    h2spec, nghttpd = tool("h2spec"), tool("nghttpd")
    (folder / "index.html").write_text("hello over two\n")
    pair.control.ports[8081] = Feed(server(protocol="http2"))
    pair.web.start_app([nghttpd, "--no-tls", "-d", str(folder), "8081"], port=8081, name="nghttpd")
    stranger = network.host("stranger")
    pair.control.start([pair.web.host])
    pair.web.redirect()
    pair.web.start_proxy(pair.control.env("web"))
    done = stranger.run([h2spec, "-h", pair.web.host.ip4, "-p", "8081", "-P", "/index.html", "-o", "5", *strict],
                        check=False, timeout=150)
    total, passed, skipped, failed = map(int, re.search(
        r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout).groups())
    assert failed == 0, done.stdout[done.stdout.find("Failures:"):]
    assert passed == total == (146 if strict else 145) and skipped == 0
