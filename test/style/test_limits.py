"""Every bound stands on its page, and code enforces it."""

import importlib.machinery
import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
_loader = importlib.machinery.SourceFileLoader("limits_page", str(ROOT / "scripts" / "limits-page"))
limits = importlib.util.module_from_spec(importlib.util.spec_from_loader(_loader.name, _loader))
_loader.exec_module(limits)


def test_the_page_says_what_the_header_says():
    assert (ROOT / "docs/limits.md").read_text() == limits.page((ROOT / "src/base/limits.h").read_text()), \
        "run scripts/limits-page"


def test_every_limit_is_used():
    assert limits.unused(ROOT) == []
