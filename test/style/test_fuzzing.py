"""docs/fuzzing.md names every fuzz target, and each has a corpus."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_every_target_is_in_the_table():
    targets = set(re.findall(r"^  '(\w+)': \[", (ROOT / "fuzz" / "meson.build").read_text(), re.M))
    rows = [line for line in (ROOT / "docs" / "fuzzing.md").read_text().splitlines() if line.startswith("| ")]
    named = {name for row in rows[2:] for name in row.rstrip(" |").rsplit("|", 1)[1].replace(" ", "").split(",")}
    assert targets and targets == named


def test_every_target_has_a_corpus():
    sources = {path.stem for path in (ROOT / "fuzz").glob("*.c")} - {"replay"}
    for name in sources:
        assert any((ROOT / "fuzz" / "corpus" / name).iterdir()), name
