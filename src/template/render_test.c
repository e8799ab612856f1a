#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "template/template.h"

/* What a file renders to with this data; an error as "!sentence". */
static void render(const char *text, json_t *data, struct buffer *out)
{
    struct template_set *set;
    struct errmsg msg = {""};
    int r;

    assert_int_equal(template_set_new(&set), 0);
    r = template_set_add(set, SLICE_LIT("f"), slice_str(text), &msg);
    if (r == 0)
        r = template_set_check(set, &msg);
    if (r == 0)
        r = template_render(set, SLICE_LIT("f"), data, &msg, out);
    if (r < 0) {
        buffer_clear(out);
        buffer_printf(out, "!%s", msg.text);
    }
    buffer_add_byte(out, '\0');
    template_set_free(set);
}

static void check(const char *text, const char *data, const char *want)
{
    json_t *tree = json_loads(data, JSON_DECODE_ANY, NULL);
    json_t *copy = json_deep_copy(tree);
    struct buffer out;

    assert_non_null(tree);
    buffer_init(&out, LIMIT_TEMPLATE_OUTPUT + 1);
    render(text, tree, &out);
    if (strcmp(out.data, want) != 0)
        print_error("%s\n", text);
    assert_string_equal(out.data, want);
    assert_true(json_equal(tree, copy)); /* rendering changes nothing */
    buffer_release(&out);
    json_decref(copy);
    json_decref(tree);
}

struct example {
    const char *text, *data, *want;
};

#define DATA "{\"s\": \"text\", \"i\": 7, \"r\": 2.0, \"t\": true, \"f\": false, \"n\": null, \"e\": \"\", \"l\": [\"a\", 1, 2.5], \"m\": {\"b\": 1, \"a\": {\"c\": \"deep\"}}, \"el\": [], \"em\": {}}"

static void run(const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(examples[i].text, examples[i].data ? examples[i].data : DATA, examples[i].want);
}

#define RUN(examples) run((examples), sizeof(examples) / sizeof((examples)[0]))

static void test_text_and_trimming(void **state)
{
    static const struct example examples[] = {
        {"", NULL, ""},
        {"a\n", NULL, "a\n"},
        {"a {{ .s }} b", NULL, "a text b"},
        {"a {{- .s -}} b", NULL, "atextb"},
        {"a \n\t{{- /* said\n */ -}} \n b", NULL, "ab"},
        {"a {{/* x */}} b", NULL, "a  b"},
        {"{{.s}}{{ .i}}", NULL, "text7"},
        {"{{ -3 }}|{{-3}}", NULL, "-3|-3"},
        {"{{ \"}}\" }}", NULL, "}}"},
        {"} }} {", NULL, "} }} {"},
    };

    RUN(examples);
}

static void test_values(void **state)
{
    static const struct example examples[] = {
        {"{{ .i }} {{ .r }} {{ .t }} {{ .n }} {{ .nowhere }} {{ .m.a.c }} {{ .m.nowhere }}", NULL, "7 2 true   deep "},
        {"{{ . }}", "1000000.0", "1e+06"},
        {"{{ . }}", "123456.0", "123456"},
        {"{{ . }}", "0.00001", "1e-05"},
        {"{{ . }}", "0.1", "0.1"},
        {"{{ . }}", "-1234567.5", "-1.2345675e+06"},
        {"{{ . }}", "123456789", "123456789"},
        {"{{ \"a\\t\\\"b\\\"\" }}{{ `\\raw` }}{{ true }}{{ 1.50 }}", NULL, "a\t\"b\"\\rawtrue1.5"},
        {"{{ (dict \"k\" .m).k.a.c }}", NULL, "deep"},
        {"{{ $x := .m }}{{ $x.b }}{{ $x = 3 }}{{ $x }}{{ $.s }}", NULL, "13text"},
    };

    RUN(examples);
}

static void test_blocks(void **state)
{
    static const struct example examples[] = {
        {"{{ if .t }}a{{ else }}b{{ end }}{{ if .f }}a{{ end }}", NULL, "a"},
        {"{{ if .n }}a{{ else if .e }}b{{ else if .i }}c{{ else }}d{{ end }}!", NULL, "c!"},
        {"{{ if .el }}1{{ end }}{{ if .em }}2{{ end }}{{ if .l }}3{{ end }}{{ if .r }}4{{ end }}", NULL, "34"},
        {"{{ with .m.a }}{{ .c }}{{ $.s }}{{ end }}{{ with .e }}no{{ else }}{{ .s }}{{ end }}", NULL, "deeptexttext"},
        {"{{ with $x := .m }}{{ $x.b }}{{ .b }}{{ end }}", NULL, "11"},
        {"{{ range .l }}<{{ . }}>{{ end }}{{ range .el }}x{{ else }}none{{ end }}", NULL, "<a><1><2.5>none"},
        {"{{ range $i, $x := .l }}{{ $i }}={{ $x }},{{ end }}", NULL, "0=a,1=1,2=2.5,"},
        {"{{ range $k, $v := .m }}{{ $k }};{{ end }}{{ range $v := .l }}{{ $v }}{{ end }}{{ range .n }}x{{ end }}", NULL, "a;b;a12.5"},
        {"{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}{{ if true }}{{ $x = 3 }}{{ end }}{{ $x }}", NULL, "13"},
        {"{{ define \"d\" }}[{{ . }}{{ $ }}]{{ end }}{{ template \"d\" .s }}{{ include \"d\" 4 }}{{ include \"d\" .n | trim }}", NULL,
         "[texttext][44][]"},
        {"{{ define \"r\" }}{{ if . }}x{{ include \"r\" (splitList \",\" \"\" | len | eq 2) }}{{ end }}{{ end }}{{ include \"r\" true }}", NULL, "x"},
    };

    RUN(examples);
}

static void test_words(void **state)
{
    static const struct example examples[] = {
        {"{{ and .t .s }}{{ and .e .nowhere.deeper }}{{ or .f .i }}{{ or .n .e \"x\" }}{{ not .e }}", NULL, "text7xtrue"},
        {"{{ eq .i 7 }}{{ eq .s \"a\" \"text\" }}{{ ne .s \"a\" }}{{ eq .n nil }}{{ eq .n \"\" }}{{ eq .t true }}", NULL, "truetruetruetruefalsetrue"},
        {"{{ lt 1 2 }}{{ ge .i 7 }}{{ gt \"b\" \"a\" }}{{ le 2.5 2.0 }}", NULL, "truetruetruefalse"},
        {"{{ default 3 .n }}{{ .s | default \"x\" }}{{ empty .em }}{{ ternary 1 2 .t }}{{ 1.0 | int | eq 1 }}{{ int \"12\" }}", NULL, "3texttrue1true12"},
        {"{{ quote .s }}{{ quote .n }}{{ quote .i }}{{ quote \"a\\\"b\" }}", NULL, "\"text\"\"7\"\"a\\\"b\""},
        {"{{ printf \"%s-%d %v%% %q %t\" .s .i .r .s .t }}", NULL, "text-7 2% \"text\" true"},
        {"{{ \"a\\nb\\n\" | indent 2 }}|{{ \"a\" | nindent 1 }}|{{ \"\" | indent 2 }}|", NULL, "  a\n  b\n  |\n a|  |"},
        {"{{ trim \" a \\n\" }}{{ trimSuffix \"ab\" \"xab\" }}{{ replace \"a\" \"bb\" \"aXa\" }}", NULL, "axbbXbb"},
        {"{{ join \",\" .l }}{{ splitList \",\" \"a,,b,\" | toJson }}{{ len .l }}{{ len .s }}", NULL, "a,1,2.5[\"a\",\"\",\"b\",\"\"]34"},
        {"{{ list 1 \"a\" | toJson }}{{ dict \"a\" 1 \"b\" .n | toJson }}{{ omit .m \"a\" | toJson }}{{ last .l }}{{ hasPrefix \"te\" .s }}", NULL,
         "[1,\"a\"]{\"a\":1,\"b\":null}{\"b\":1}2.5true"},
        {"{{ merge (dict \"m\" (dict \"x\" 1)) (dict \"m\" (dict \"x\" 2 \"y\" 3) \"z\" 4) | toJson }}", NULL, "{\"m\":{\"x\":1,\"y\":3},\"z\":4}"},
        {"{{ b64enc \"\" }}|{{ b64enc \"a\" }}{{ b64enc \"ab\" }}{{ b64enc \"abc\" }}", NULL, "|YQ==YWI=YWJj"},
        {"{{ sha256sum \"abc\" }}", NULL, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"{{ toJson \"<&\\n\" }}{{ toString 3.0 }}{{ required \"no\" .s }}", NULL, "\"\\u003c\\u0026\\n\"3text"},
    };

    RUN(examples);
}

/* What is known of a cluster, and nothing where nothing is. */
static void test_lookup(void **state)
{
    static const char objects[] = "{\"objects of the cluster\": [{\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\": {\"name\": \"n\"}, \"at\": \"here\"},"
                                  "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"n\", \"namespace\": \"m\"}, \"at\": \"there\"}]}";
    static const struct example examples[] = {
        {"{{ (lookup \"v1\" \"Node\" \"\" \"n\").at }}{{ (lookup \"v1\" \"Pod\" \"m\" \"n\").at }}", objects, "herethere"},
        {"{{ define \"d\" }}{{ (lookup \"v1\" \"Node\" \"\" \"n\").at }}{{ end }}{{ include \"d\" (list) }}", objects, "here"},
        {"{{ toJson (lookup \"v1\" \"Pod\" \"\" \"n\") }}{{ toJson (lookup \"v2\" \"Node\" \"\" \"n\") }}{{ toJson (lookup \"v1\" \"Node\" \"\" \"o\") }}",
         objects, "{}{}{}"},
        {"{{ toJson (lookup \"v1\" \"Node\" \"\" \"n\") }}{{ range (lookup \"v1\" \"Node\" \"\" \"n\").items }}x{{ end }}", NULL, "{}"},
        {"{{ lookup \"v1\" \"Node\" \"\" \"\" }}", NULL, "!f:1: lookup: the name is empty: lists are not looked up"},
        {"{{ lookup \"v1\" \"Node\" \"\" 1 }}", NULL, "!f:1: lookup: argument 4 is an integer: expected a text"},
    };

    RUN(examples);
}

static void test_yaml(void **state)
{
    static const struct example examples[] = {
        {"{{ toYaml . }}", "{\"b\": [1, \"a\", [2, [3]], {\"k\": 1, \"j\": []}], \"a\": {\"x\": {}}}",
         "a:\n  x: {}\nb:\n- 1\n- a\n- - 2\n  - - 3\n- j: []\n  k: 1"},
        {"{{ toYaml . }}", "{\"a10\": 1, \"a2\": 2.0, \"B\": 2.5, \"y\": \"yes\", \"n\": null, \"e\": \"\"}",
         "B: 2.5\na2: 2\na10: 1\ne: \"\"\n\"n\": null\n\"y\": \"yes\""},
        {"{{ toYaml . }}", "[\"1\", \"1.5\", \"0x1F\", \"1_000\", \"1:30\", \"2026-01-02\", \"~\", \"on\", \".5\", \"1e3\", \"10.0.0.0/8\", \"-\"]",
         "- \"1\"\n- \"1.5\"\n- \"0x1F\"\n- \"1_000\"\n- \"1:30\"\n- \"2026-01-02\"\n- \"~\"\n- \"on\"\n- \".5\"\n- \"1e3\"\n- 10.0.0.0/8\n- '-'"},
        {"{{ toYaml . }}", "[\"a: b\", \"a:b\", \"a #b\", \"#a\", \"'q'\", \" a\", \"a \", \"{}\", \"*x\", \"a\\tb\", \"\\u0001\"]",
         "- 'a: b'\n- a:b\n- 'a #b'\n- '#a'\n- '''q'''\n- ' a'\n- 'a '\n- '{}'\n- '*x'\n- \"a\\tb\"\n- \"\\x01\""},
        {"{{ toYaml . }}", "{\"p\": \"a\\nb\\n\", \"q\": \"a\\n\\nb\", \"r\": \"a\\n\\n\", \"l\": [\"x\\ny\"]}",
         "l:\n- |-\n  x\n  y\np: |\n  a\n  b\nq: |-\n  a\n\n  b\nr: |+\n  a\n"},
    };

    RUN(examples);
}

static void test_refused_when_read(void **state)
{
    static const struct example examples[] = {
        {"a\n{{ frob .x }}", NULL, "!f:2: unknown word \"frob\": see docs/chart.md for those that templates may use"},
        {"{{ tpl \"v1\" }}", NULL, "!f:1: unknown word \"tpl\": see docs/chart.md for those that templates may use"},
        {"{{ .x", NULL, "!f:1: unexpected \"the end of the file\": expected the end of the action, }}"},
        {"{{ if .x }}\na", NULL, "!f:2: the block that begins in line 1 has no end: expected {{ end }}"},
        {"{{ end }}", NULL, "!f:1: unexpected end: no block is open"},
        {"{{ else }}", NULL, "!f:1: unexpected else: no block is open"},
        {"{{ define \"a\" }}x", NULL, "!f:1: the definition that begins in line 1 has no end: expected {{ end }}"},
        {"{{ if true }}{{ define \"a\" }}{{ end }}{{ end }}", NULL, "!f:1: define: stands inside a block: expected it at the top of the file"},
        {"{{ define \"a\" }}{{ end }}{{ define \"a\" }}{{ end }}", NULL, "!f:1: \"a\" is defined already, in f"},
        {"{{ $x }}", NULL, "!f:1: undefined variable \"$x\""},
        {"{{ if $y := 1 }}{{ end }}{{ $y }}", NULL, "!f:1: undefined variable \"$y\""},
        {"{{ quote }}", NULL, "!f:1: quote: 0 arguments: expected 1"},
        {"{{ .x | default }}", NULL, "!f:1: default: 1 arguments: expected 2"},
        {"{{ .x .y }}", NULL, "!f:1: a value is called like a word: expected a word in front of arguments"},
        {"{{ quote len .x }}", NULL, "!f:1: quote: 2 arguments: expected 1"},
        {"{{ eq len .x }}", NULL, "!f:1: len: is an argument, but wants arguments itself: put it in parentheses"},
        {"{{ (.x }}", NULL, "!f:1: unexpected \"}}\": expected )"},
        {"{{ \"a }}", NULL, "!f:1: a text in quotes has no end on its line"},
        {"{{ \"a\n\" }}", NULL, "!f:1: a text in quotes has no end on its line"},
        {"{{ \"\\q\" }}", NULL, "!f:1: unknown escape \\q in a text: expected one of \\n \\t \\r \\\" \\\\"},
        {"{{ include \"none\" . }}", NULL, "!f:1: there is no template \"none\""},
        {"{{ }}", NULL, "!f:1: unexpected \"}}\": expected a word or a value"},
        {"{{ range $a, $b, $c := .l }}{{ end }}", NULL, "!f:1: undefined variable \"$a\""},
        {"{{ /* x", NULL, "!f:1: a comment has no end: expected */"},
        {"{{ 12x }}", NULL, "!f:1: \"12x\" is no number"},
    };

    RUN(examples);
}

static void test_refused_when_rendered(void **state)
{
    static const struct example examples[] = {
        {"a\n{{ .nowhere.deeper }}", NULL, "!f:2: nothing there to take .deeper from: expected a map"},
        {"{{ .s.x }}", NULL, "!f:1: cannot take .x from a text: expected a map"},
        {"{{ .m }}", NULL, "!f:1: printing a map: expected a text or a number; toYaml prints the others"},
        {"{{ eq .i 7.0 }}", NULL, "!f:1: eq: comparing an integer and a number: expected two of one kind (int makes integers)"},
        {"{{ lt .s 1 }}", NULL, "!f:1: lt: comparing a text and an integer: expected two numbers or texts of one kind (int makes integers)"},
        {"{{ fail \"told: so\" }}", NULL, "!f:1: fail: told: so"},
        {"{{ required \"x is required\" .n }}", NULL, "!f:1: required: x is required"},
        {"{{ range .s }}{{ end }}", NULL, "!f:1: range over a text: expected a list or a map"},
        {"{{ printf \"%d\" .s }}", NULL, "!f:1: printf: %d of a text: expected %s or %q of a text, %d of an integer, %t of a boolean, %v of one of these"},
        {"{{ printf \"%d\" }}", NULL, "!f:1: printf: the format \"%d\" does not fit its 0 arguments"},
        {"{{ dict \"a\" }}", NULL, "!f:1: dict: 1 arguments: expected keys and values in turn"},
        {"{{ trim .i }}", NULL, "!f:1: trim: got an integer: expected a text"},
        {"{{ define \"a\" }}{{ include \"a\" . }}{{ end }}\n{{ include \"a\" . }}", NULL, "!f:1: include: too many templates include one another"},
        {"{{ include .s . }}", NULL, "!f:1: include: there is no template \"text\""},
    };

    RUN(examples);
}

/* Deep, long and large things end with an error that says which bound it was. */
static void test_bounds(void **state)
{
    struct buffer text, out;
    json_t *data = json_loads("{\"l\": [1,2,3,4,5,6,7,8,9,10]}", 0, NULL);

    buffer_init(&text, LIMIT_TEMPLATE_FILE * 2);
    buffer_init(&out, LIMIT_TEMPLATE_OUTPUT + 1);
    for (int i = 0; i < LIMIT_TEMPLATE_DEPTH; i++)
        buffer_add_lit(&text, "{{ if 1 }}");
    buffer_add_byte(&text, '\0');
    render(text.data, data, &out);
    assert_string_equal(out.data, "!f:1: more than 64 parentheses and blocks within one another");
    buffer_clear(&text);
    buffer_clear(&out);
    for (int i = 0; i < 8; i++)
        buffer_add_lit(&text, "{{ range $.l }}");
    for (int i = 0; i < 8; i++)
        buffer_add_lit(&text, "{{ end }}");
    buffer_add_byte(&text, '\0');
    render(text.data, data, &out);
    assert_string_equal(out.data, "!f:1: the template takes too many steps");
    buffer_release(&text);
    buffer_release(&out);
    json_decref(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_and_trimming), cmocka_unit_test(test_values),          cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_words),             cmocka_unit_test(test_lookup),          cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_refused_when_read), cmocka_unit_test(test_refused_when_rendered), cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
