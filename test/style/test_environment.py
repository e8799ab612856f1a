"""The variables of Linkerd's proxy: each is in our table with what becomes of it, and the page says what the table says."""

import importlib.machinery
import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
_loader = importlib.machinery.SourceFileLoader("environment_page", str(ROOT / "scripts" / "environment-page"))
environment = importlib.util.module_from_spec(importlib.util.spec_from_loader(_loader.name, _loader))
_loader.exec_module(environment)
TABLE = (ROOT / "src/proxy/variables.c").read_text()


def test_the_page_says_what_the_table_says():
    assert (ROOT / "docs/environment.md").read_text() == environment.page(TABLE), "run scripts/environment-page"


def test_every_row_is_read():
    assert len(list(environment.rows(TABLE))) == TABLE.count("USE_") > 130


def test_every_variable_of_linkerd():
    ours = {row["name"]: row["use"].lower() for row in environment.rows(TABLE)}
    theirs = dict(line.split() for line in (ROOT / "test/proxy/variables.txt").read_text().splitlines() if line[0] != "#")
    assert len(theirs) > 130
    assert {name: ours.get(name) for name in theirs} == theirs
    assert all(name in theirs or name.startswith("CLINKERD_") for name in ours)
