"""The HTTP/1 parser beside those of nginx and HAProxy, over the same bytes, with a back-end behind each that keeps what it got.

What is ambiguous is refused by ours and nothing of it reaches the application. What ours passes on is read by a strict
reader without a guess, and framed as the other servers frame it, as far as they take it. Where they do something else the
corpus says why, and docs/http1-differences.md has it as a table (CLINKERD_WRITE_DOCS=1 writes it anew).

    SEED=7 COUNT=100000 pytest test/differential     more requests than CI makes, or those that a failure named
"""

import collections
import concurrent.futures
import os
import pathlib

import pytest

from differential.corpus import CUT, OPAQUE, PASS, REFUSE, corpus
from differential.lab import Lab
from differential.mutate import requests
from lib.netns import available

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "http1-differences.md"
PAGE_HEAD = """# How our HTTP/1 parser differs from others

Made by test/differential from its corpus, which is sent to our inbound proxy, to nginx 1.22 and to HAProxy 2.6 (both as
Debian 12 has them, with their default strictness). A row is there when one of the three does something else than the others: refused
(nothing reached the application), passed, or passed as something that a strict reader does not take (odd). Everything
else of the corpus all three treat alike. `cut`: the head was passed on before its body turned out to be broken; the server
behind never sees a complete message.

| request | ours | nginx | HAProxy | why |
| --- | --- | --- | --- | --- |
"""

pytestmark = pytest.mark.skipif(not available(), reason="making network namespaces needs root")


def everywhere(lab, asked):
    """{server: {key: Seen}} of requests {key: bytes}, one after the other at each server."""
    def one(name):
        return name, {key: lab.ask(name, request) for key, request in asked.items()}

    with concurrent.futures.ThreadPoolExecutor(len(lab.PORTS)) as pool:
        return dict(pool.map(one, lab.PORTS))


def complete(seen):
    return sum(message.complete and not message.odd for message in seen.messages)


def complaint(case, seen, on):
    """What ours did with a case that it should not have done, or None."""
    odd = [message.odd for message in seen.messages if message.odd]
    if not seen.ended:
        return "the connection was not ended"
    if case.ours == OPAQUE and on == "detect":
        return None if odd and not complete(seen) else "it was taken for HTTP"
    if odd:
        return f"passed on, and it is odd: {odd}"
    if case.ours in (REFUSE, OPAQUE):
        if seen.messages:
            return f"passed on: {seen.messages}"
        if not any(status >= 400 for status in seen.statuses) and "cut short" not in case.name:
            return f"no error status, but {seen.statuses}"
    if case.ours == PASS and (complete(seen) != case.count or len(seen.messages) != case.count):
        return f"{len(seen.messages)} messages, {complete(seen)} complete; {case.count} were asked for; {seen.statuses}"
    if case.ours == CUT and complete(seen) != case.count:
        return f"{complete(seen)} complete messages instead of {case.count}"
    return None


def short(seen):
    """For the table, and to count outcomes. How many messages there were is compared elsewhere: a server that ends a
    connection because the client's direction ended may or may not have passed on what came after the first."""
    if any(message.odd for message in seen.messages):
        return "passed, odd"
    if complete(seen):
        return "passed"
    return "cut" if seen.messages else "refused"


def table(cases, seen):
    rows = []
    for key, case in cases.items():
        verdicts = [short(seen[name][key]) for name in ("http1", "nginx", "haproxy")]
        if case.ours == OPAQUE:
            verdicts[0] = "refused; opaque where detected"
        if len(set(verdicts)) > 1:
            name = key.replace("|", "\\|")
            rows.append((key, f"| {name} | {' | '.join(verdicts)} | {case.why} |"))
    return rows


def test_corpus(lab):
    cases = corpus()
    seen = everywhere(lab, {key: case.request for key, case in cases.items()})
    wrong = [f"{on}: {key}: {text}" for key, case in cases.items() for on in lab.OURS
             if (text := complaint(case, seen[on][key], on))]
    assert not wrong, "\n".join(wrong)
    assert not (wrong := [text for key in cases for text in compare(cases[key].request, {name: seen[name][key] for name in seen})]), "\n".join(wrong)

    rows = table(cases, seen)
    if os.environ.get("CLINKERD_WRITE_DOCS"):
        PAGE.write_text(PAGE_HEAD + "\n".join(row for _, row in rows) + "\n")
    # A row more is fine (another version of the others agrees with us by now); a difference that has no row is not.
    page = PAGE.read_text()
    # What is cut short meets the others in the middle of something: what they do then is not the same each time.
    missing = [row for key, row in rows if "cut short" not in key and f"| {key.replace('|', chr(92) + '|')} |" not in page]
    assert not missing, "not in docs/http1-differences.md:\n" + "\n".join(missing)
    assert not (unexplained := [key for key, _ in rows if not cases[key].why]), unexplained


def compare(request, seen):
    """What must never be, whatever the request was."""
    for on in Lab.OURS:
        ours = seen[on]
        if not ours.ended:
            yield f"{on}: the connection was not ended by {request!r}"
        if any(message.odd for message in ours.messages):
            if on == "http1":
                yield f"{on}: passed on {[m.odd for m in ours.messages if m.odd]}, from {request!r}"
            taken = [name for name in Lab.FOREIGN if complete(seen[name])]
            if taken and complete(ours) == 0:
                yield f"{on}: went on as opaque bytes, and is a request to {taken}: {request!r}"
            continue
        for name in Lab.FOREIGN:
            for at, (mine, other) in enumerate(zip(ours.framing(), seen[name].framing())):
                if mine != other and not cut_alike(mine, other):
                    yield f"{on} and {name} read message {at} differently: {mine} and {other}, of {request!r}"
                    break


def cut_alike(mine, other):
    """One did not get to its end (refused on the way, or the sender went), and is the beginning of the other."""
    (method, body, whole), (method2, body2, whole2) = mine, other
    return method == method2 and (not whole and body2.startswith(body) or not whole2 and body.startswith(body2))


@pytest.mark.slow
def test_mutations(lab):
    seed, count = int(os.environ.get("SEED", 1)), int(os.environ.get("COUNT", 4000))
    print(f"SEED={seed} COUNT={count}")
    cases, wrong, outcomes = corpus(), [], collections.Counter()
    waiting = dict(requests(seed, count, cases))
    seen = everywhere(lab, waiting)
    for number, request in waiting.items():
        each = {name: seen[name][number] for name in seen}
        wrong += [f"SEED={seed}, request {number}: {text}" for text in compare(request, each)]
        outcomes[tuple(short(each[name]) for name in ("http1", "nginx", "haproxy"))] += 1
    assert not wrong, "\n".join(wrong[:20])
    # The run was worth something: all three passed some on, and ours refused what another took.
    assert sum(n for (ours, *_), n in outcomes.items() if ours == "passed") > count / 20, outcomes
    assert sum(n for (ours, *others), n in outcomes.items() if ours == "refused" and set(others) != {"refused"}) > 0, outcomes
    print("\n".join(f"{n:6} {key}" for key, n in outcomes.most_common(12)))
