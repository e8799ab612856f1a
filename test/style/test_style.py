"""The layout holds: layers, circles, and small things; and the checks themselves can say no."""

import importlib.machinery
import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


include_order, tidy, run_tests = load("include-order"), load("tidy"), load("run-tests")


def test_layers():
    assert include_order.check(ROOT) == []


def test_tidy():
    assert tidy.check(ROOT) == []


@pytest.mark.parametrize("files, said", [
    ({"src/base/a.c": '#include "mesh/b.h"\n', "src/mesh/b.h": ""}, "base/ may not include"),
    ({"src/proxy/a.c": '#include "cli/b.h"\n', "src/cli/b.h": ""}, "proxy/ may not include"),
    ({"src/mesh/a.c": "#include <time.h>\n"}, "purity line"),
    ({"src/mesh/a.c": '#include "inbound.pb-c.h"\n'}, "outside api/"),
    ({"src/mesh/a.c": '#include "mesh/none.h"\n'}, "does not exist"),
    ({"src/misc/a.c": ""}, "in no layer"),
    ({"src/net/a.h": '#include "net/b.h"\n', "src/net/b.h": '#include "net/c.h"\n',
      "src/net/c.h": '#include "net/a.h"\n'}, "net/a.h -> net/b.h -> net/c.h -> net/a.h"),
])
def test_layers_say_no(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = include_order.check(tmp_path)
    assert len(found) == 1 and said in found[0]


@pytest.mark.parametrize("name, text, said", [
    ("a.c", "int a;\t\n", "a tab"),
    ("a.c", "int a; \n", "spaces at the end"),
    ("a.h", "int a;\n", "no #pragma once"),
    ("a.c", "int a;", "no newline"),
    ("a.c", "/* TO" "DO */\n", "left for later"),
    ("a.md", "see /wo" "rk/x\n", "somebody's machine"),
    ("a.c", "typedef struct a b;\n", "typedef"),
    ("a.c", "/*" + "x" * 210 + "*/\n", "columns"),
])
def test_tidy_says_no(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    assert any(said in line for line in tidy.check_file(name, tmp_path / name))


@pytest.mark.parametrize("output, expected", [
    ("Ok:                 12\nExpected Fail:      0\nFail:               1\nUnexpected Pass:    0\nSkipped:            2\n"
     "Timeout:            1\n", (12, 2, 2)),
    ("", (0, 0, 0)),
])
def test_meson_summary_is_read(output, expected):
    assert run_tests.meson_counts(output) == expected


@pytest.mark.parametrize("status, said, expected", [
    (0, (3, 0, 1), (3, 0, 1)),
    (1, (3, 2, 0), (3, 2, 0)),
    (1, (3, 0, 0), (3, 1, 0)),     # it counted no failure, but its status says so
    (None, (3, 0, 0), (3, 1, 0)),  # it took too long
    (0, (0, 0, 0), (0, 1, 0)),     # it found nothing to run
])
def test_a_runner_cannot_hide_failure(status, said, expected):
    counts = run_tests.Counts()
    run_tests.count_runner(counts, "x", status, *said)
    assert (counts.passed, counts.failed, counts.skipped) == expected
