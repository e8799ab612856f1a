"""The same template and values through our renderer and through Helm's own: the same text, or both refuse.

Helm is there where the programs of a test cluster were built (test/cluster); elsewhere what it said before is compared with."""

import base64
import json
import subprocess

import pytest

from lib.helm import find
from lib.helm import template as run_helm

REFUSED, UNWRITTEN = None, object()  # UNWRITTEN: too long to write here; compared only where Helm is there

VALUES = {
    "s": "text", "i": 7, "r": 2.5, "t": True, "f": False, "e": "", "l": ["a", 1, 2.5], "el": [], "em": {},
    "m": {"b": 1, "a": {"c": "deep"}}, "big": 1234567, "list": [{"k": 1, "j": []}, [1, [2]]],
    "nat": {"a10": 1, "a2": 2, "B": 4, "a": 5, "_x": 6, "a01": 7, "a-b": 8, "1": 9, "10": 10, "2": 11, "y": 12, "a.b/c": 13},
    "words": ["", "1", "1.5", "-1", "+1", "0x1F", "0b1", "0o7", "010", "1_000", "1:30", "2026-01-02", "2026-01-02T10:00:00Z", "~", "on",
              "y", "N", "null", "true", "False", ".5", "5.", "1e3", "1e", ".inf", "-.inf", ".nan", "-", "--", "---", "...", "- a", "?", "? a",
              ":", "a:", "a: b", "a:b", "a #b", "a#b", "#a", "'q'", "\"q\"", " a", "a ", "{}", "[a]", "a,b", "*x", "&x", "!x", "|", ">", "%x",
              "@x", "`x", "a\tb", "a\\b", "=", "<<", "10.0.0.0/8", "::1", "fd00::/8", "1.2.3", "v1.2", "25%", "100m", "$(x)", "\u00e4", "a'b",
              "0644", "08", "1e309", "12e03", "x" * 200, "long words " * 20, "plain words" + " and more" * 30,
              "two  spaces  " * 12 + "end", "- " + "it's " * 40 + ".", "\u00e4 \u00f6 " * 40 + ".", "99999999999999999999"],
    "lines": ["tail  \n" + "word " * 60, "a\nb", "a\nb\n", "a\n\nb\n", "a\n\n", "\n", "\na", " a\nb", "a \nb", "a\n b\n", "a\nb ",
              "tab\there\n", "-----BEGIN\nMII=\n-----END\n"],
    "numbers": [0, 1, -1, 1000000, 123456789, 1.5, 0.1, 1e-7, 1e21, 3.0, 9007199254740993, 0.30000000000000004],
    "deep": {"text": "a\nb\n", "list": ["x\ny"], "more": {"text": "c\nd"}},
}

# Template and what it renders to; None where both refuse.
CASES = [
    ("{{ .Values.s }} {{ .Values.i }} {{ .Values.r }} {{ .Values.t }}", "text 7 2.5 true"),
    ("{{ .Values.none }}|{{ .Values.m.none }}|{{ .Values.m.a.c }}|", "||deep|"),
    ("{{ .Values.none.deeper }}", REFUSED),
    ("{{ .Values.s.x }}", REFUSED),
    ("{{ range .Values.numbers }}{{ . }} {{ end }}",
     "0 1 -1 1e+06 1.23456789e+08 1.5 0.1 1e-07 1e+21 3 9.007199254740992e+15 0.30000000000000004 "),
    ("{{ int .Values.big }} {{ .Values.big }} {{ quote .Values.big }}", '1234567 1.234567e+06 "1.234567e+06"'),
    ("a {{- .Values.s -}} b {{ .Values.s -}}\n\n c\n{{- /* x */ -}}\n d", "atextb textcd"),
    ("{{ if .Values.e }}1{{ else if .Values.el }}2{{ else if .Values.m }}3{{ else }}4{{ end }}", "3"),
    ("{{ with .Values.m.a }}{{ .c }}{{ $.Values.s }}{{ end }}{{ with .Values.em }}1{{ else }}2{{ end }}", "deeptext2"),
    ("{{ range $i, $x := .Values.l }}{{ $i }}={{ $x }};{{ end }}{{ range .Values.el }}x{{ else }}none{{ end }}", "0=a;1=1;2=2.5;none"),
    ("{{ range $k, $v := .Values.nat }}{{ $k }} {{ end }}", "1 10 2 B _x a a-b a.b/c a01 a10 a2 y "),
    ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}{{ if true }}{{ $x = 3 }}{{ end }}{{ $x }}", "13"),
    ('{{ define "d" }}[{{ . }}]{{ end }}{{ template "d" .Values.s }}{{ include "d" 4 | quote }}', '[text]"[4]"'),
    ('{{ define "d" }}{{ $.x }}{{ end }}{{ include "d" (dict "x" "y") }}', "y"),
    ("{{ and .Values.t .Values.s }} {{ and .Values.e .Values.none.deeper }} {{ or .Values.f 7 }} {{ not .Values.e }}", "text  7 true"),
    ("{{ eq .Values.i 7.0 }}{{ eq .Values.s \"a\" \"text\" }}{{ ne .Values.s \"a\" }}{{ eq .Values.none \"\" }}", "truetruetruefalse"),
    ("{{ eq .Values.i 7 }}", REFUSED),
    ("{{ lt 1 2 }}{{ ge 2 2 }}{{ gt \"b\" \"a\" }}{{ le 2.5 2.0 }}", "truetruetruefalse"),
    ("{{ lt \"a\" 1 }}", REFUSED),
    ("{{ .Values.none | default \"x\" }}{{ default 3 .Values.e }}{{ empty .Values.em }}{{ ternary 1 2 true }}", "x3true1"),
    ("{{ int \"12\" }} {{ int \"x\" }} {{ int 3.9 }} {{ int true }} {{ int .Values.none }}", "12 0 3 1 0"),
    ('{{ quote .Values.s }}{{ quote .Values.none }}{{ quote 1.5 }}{{ quote "a\\"b\\\\" }}{{ quote true }}', '"text""1.5""a\\"b\\\\""true"'),
    ('{{ printf "%s-%d %v%% %q %t" "a" 7 2.5 "x" true }}', 'a-7 2.5% "x" true'),
    ('{{ indent 2 "a\\n\\nb\\n" }}|{{ nindent 1 "a" }}|{{ indent 2 "" }}|', "  a\n  \n  b\n  |\n a|  |"),
    ('{{ trim " a \\n" }}{{ trimSuffix "ab" "xab" }}{{ replace "a" "bb" "aXa" }}', "axbbXbb"),
    ('{{ join "," .Values.l }} {{ splitList "," "a,,b," | toJson }} {{ splitList "," "" | toJson }} {{ len .Values.l }}{{ len "ab" }}',
     'a,1,2.5 ["a","","b",""] [""] 32'),
    ('{{ list 1 "a" | toJson }}{{ dict "b" 1 "a" nil | toJson }}{{ omit .Values.m "a" "x" | toJson }}{{ last .Values.l }}{{ hasPrefix "te" .Values.s }}',
     '[1,"a"]{"a":null,"b":1}{"b":1}2.5true'),
    ('{{ merge (dict "m" (dict "x" 1)) (dict "m" (dict "x" 2 "y" 3) "z" 4) | toJson }}', '{"m":{"x":1,"y":3},"z":4}'),
    ('{{ merge (dict "a" "" "d" (dict "x" nil)) (dict "a" 1 "b" nil "c" (dict "n" nil) "d" (dict "x" 1 "y" nil)) | toJson }}',
     '{"a":1,"c":{"n":null},"d":{"x":1}}'),
    ('{{ b64enc "ab" }}{{ sha256sum "abc" }}', "YWI=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ('{{ toJson "<&>\\n" }}{{ toJson .Values.m }}{{ toString 1.5 }}{{ required "no" .Values.s }}',
     '"\\u003c\\u0026\\u003e\\n"{"a":{"c":"deep"},"b":1}1.5text'),
    ('{{ required "no" .Values.e }}', REFUSED),
    ('{{ fail "told" }}', REFUSED),
    ("{{ frobnicate 1 }}", REFUSED),
    ("{{ if 1 }}", REFUSED),
    ("{{ .Values.s", REFUSED),
    ("{{ $nobody }}", REFUSED),
    ("{{ toYaml .Values.list }}", "- j: []\n  k: 1\n- - 1\n  - - 2"),
    ("{{ toYaml .Values.nat }}", UNWRITTEN),
    ("{{ toYaml .Values.words }}", UNWRITTEN),
    ("{{ toYaml .Values.lines }}", UNWRITTEN),
    ("{{ toYaml .Values.numbers }}", UNWRITTEN),
    ("{{ toYaml .Values.deep | nindent 2 }}", UNWRITTEN),
    ("{{ toJson .Values }}", UNWRITTEN),
    ("{{ toYaml .Values }}", UNWRITTEN),
]


@pytest.fixture(scope="session")
def helm():
    return find()


def ours(program, folder, template):
    (folder / "t.tpl").write_text(template)
    (folder / "v.json").write_text(json.dumps(VALUES))
    done = subprocess.run([program, folder / "t.tpl", folder / "v.json"], capture_output=True, text=True, timeout=30)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout if done.returncode == 0 else REFUSED


def helms(helm, folder, template):
    """The text is carried in base64, for Helm reads as YAML what it prints."""
    chart = folder / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: t\nversion: 0.1.0\n")
    (chart / "templates/_t.tpl").write_text('{{ define "t" }}' + template + "{{ end }}" if "define" not in template else
                                            template.replace("{{ end }}{{ template", '{{ end }}{{ define "t" }}{{ template', 1)
                                            .replace("{{ end }}{{ include", '{{ end }}{{ define "t" }}{{ include', 1) + "{{ end }}")
    (chart / "templates/x.yaml").write_text('text: {{ include "t" . | replace "<no value>" "" | b64enc }}\n')
    (folder / "v.json").write_text(json.dumps(VALUES))
    done = run_helm(helm, chart, "-f", folder / "v.json", home=folder)
    if done.returncode:
        return REFUSED
    return base64.b64decode(done.stdout.split("text:")[1].strip()).decode()


@pytest.mark.parametrize("template, want", CASES, ids=range(len(CASES)))
def test_same_text(binaries, helm, tmp_path, template, want):
    got = ours(binaries["render-template"], tmp_path, template)
    if want is not UNWRITTEN:
        assert got == want
    if helm:
        assert got == helms(helm, tmp_path, template)
