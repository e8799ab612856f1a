#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "codec/yaml/yaml.h"

/* A tree on one line: n (null), b:true, i:420, f:1.5, "text", [a b], {k: v}. */
static void show(const struct yaml_node *node, struct buffer *out)
{
    const char *separator = "";

    switch (node ? node->kind : YAML_NULL) {
    case YAML_NULL:
        buffer_add_lit(out, "n");
        return;
    case YAML_BOOLEAN:
        buffer_printf(out, "b:%s", node->boolean ? "true" : "false");
        return;
    case YAML_INTEGER:
        buffer_printf(out, "i:%lld", (long long)node->integer);
        return;
    case YAML_NUMBER:
        buffer_printf(out, "f:%g", node->number);
        return;
    case YAML_STRING:
        buffer_add_json(out, node->text);
        return;
    default:
        break;
    }
    buffer_add_byte(out, node->kind == YAML_LIST ? '[' : '{');
    for (const struct yaml_item *item = node->items; item; item = item->next, separator = " ") {
        buffer_printf(out, "%s%.*s%s", separator, SLICE_ARGS(item->key), node->kind == YAML_MAP ? ": " : "");
        show(item->value, out);
    }
    buffer_add_byte(out, node->kind == YAML_LIST ? ']' : '}');
}

/* Every document of the text, one line each; a problem as "!line:column code sentence". */
static void parse_all(const char *text, enum yaml_syntax syntax, struct buffer *out)
{
    struct slice rest = slice_str(text);
    struct yaml_document document = {rest, 1};
    struct yaml_problem problem;
    struct yaml_node *root;
    struct arena arena;
    int line = 1, r;

    while (syntax == JSON || yaml_next_document(&rest, &line, &document)) {
        arena_init(&arena, (size_t)1 << 30);
        r = yaml_parse(&arena, document.text, document.line, syntax, &root, &problem);
        if (out->len)
            buffer_add_byte(out, '\n');
        if (r < 0)
            buffer_printf(out, "!%d:%d %s", problem.line, problem.column, problem.msg.text);
        else
            show(root, out);
        arena_release(&arena);
        if (syntax == JSON)
            break;
    }
    buffer_add_byte(out, '\0');
}

static void check(const char *text, enum yaml_syntax syntax, const char *want)
{
    struct buffer out;

    buffer_init(&out, 1u << 20);
    parse_all(text, syntax, &out);
    assert_string_equal(out.data, want);
    buffer_release(&out);
}

struct sample {
    const char *text, *want;
};

static void scalars_mean_what_kubernetes_makes_of_them(void **state)
{
    static const struct sample samples[] = {
        {"on", "b:true"},
        {"yes", "b:true"},
        {"y", "b:true"},
        {"True", "b:true"},
        {"TRUE", "b:true"},
        {"off", "b:false"},
        {"No", "b:false"},
        {"n", "b:false"},
        {"tRUE", "\"tRUE\""},
        {"yEs", "\"yEs\""},
        {"\"on\"", "\"on\""},
        {"'yes'", "\"yes\""},
        {"!!str on", "\"on\""},
        {"! 12", "\"12\""},
        {"~", "n"},
        {"null", "n"},
        {"Null", "n"},
        {"''", "\"\""},
        {"0", "i:0"},
        {"-0", "i:0"},
        {"0644", "i:420"},
        {"0o17", "i:15"},
        {"0x1F", "i:31"},
        {"0b101", "i:5"},
        {"1_000", "i:1000"},
        {"+12", "i:12"},
        {"-12", "i:-12"},
        {"089", "f:89"},
        {"0x", "\"0x\""},
        {"12a", "\"12a\""},
        {"9223372036854775807", "i:9223372036854775807"},
        {"-9223372036854775808", "i:-9223372036854775808"},
        {"9223372036854775808", "f:9.22337e+18"},
        {"18446744073709551616", "f:1.84467e+19"},
        {"1.5", "f:1.5"},
        {".5", "f:0.5"},
        {"1.", "f:1"},
        {"1e3", "f:1000"},
        {"1.5E-1", "f:0.15"},
        {"1e", "\"1e\""},
        {".inf", "f:inf"},
        {"-.Inf", "f:-inf"},
        {".nan", "f:nan"},
        {".", "\".\""},
        {"-", "[n]"},
        {"+", "\"+\""},
        {"1.2.3.4", "\"1.2.3.4\""},
        {"1:30", "\"1:30\""},
        {"2001-01-01", "\"2001-01-01\""},
        {"2001-01-01T00:00:00Z", "\"2001-01-01T00:00:00Z\""},
        {"10s", "\"10s\""},
        {"infinity", "\"infinity\""},
        {"!!int 7", "i:7"},
        {"!!int '7'", "i:7"},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        check(samples[i].text, YAML, samples[i].want);
}

static void documents(void **state)
{
    static const struct sample samples[] = {
        {"", ""},
        {"# only words\n", ""},
        {"---\n---\n", ""},
        {"a: 1\n---\nb: 2\n", "{a: i:1}\n{b: i:2}"},
        {"--- {a: 1}\n--- # one\n[2]\n...\n# end\n", "{a: i:1}\n[i:2]"},
        {"%YAML 1.1\n---\na: 1\n", "{a: i:1}"},
        {"\xef\xbb\xbf---\na: 1\n", "{a: i:1}"},
        {"a: 1\r\n---\r\nb: 2\r\n", "{a: i:1}\n{b: i:2}"},
        {"text: |\n  one\n   two\n  ---x\n---\nb: 2\n", "{text: \"one\\n two\\n---x\\n\"}\n{b: i:2}"},
        {"a: >-\n  folded\n  line\n", "{a: \"folded line\"}"},
        /* A broken one spoils itself only, and the lines are those of the stream. */
        {"a: 1\n---\nb: [1\nc: }\n---\nd: 4\n", "!4:"},
        {"a: 1\n---\nb: 1\n b: 2\n---\nd: 4\n", "!3:"},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct buffer out;

        buffer_init(&out, 1u << 20);
        parse_all(samples[i].text, YAML, &out);
        /* The library words its own complaints; place and neighbours are ours. */
        if (samples[i].want[0] == '!')
            assert_true(strstr(out.data, samples[i].want) == strchr(out.data, '!') && strstr(out.data, "\n{d: i:4}"));
        else
            assert_string_equal(out.data, samples[i].want);
        buffer_release(&out);
    }
}

static void quoted_texts(void **state)
{
    static const struct sample samples[] = {
        {"'it''s'", "\"it's\""},
        {"''''''''''''''''''''''' x'", "\"''''''''''' x\""},
        {"'one\n two\n\n  three '", "\"one two\\nthree \""},
        {"'a \t\n \t b'", "\"a b\""},
        {"\"a\\tb\\\\\\\"\\/\\x41\\u00e9\\U0001F600\\e\"", "\"a\\u0009b\\\\\\\"/A\xc3\xa9\xf0\x9f\x98\x80\\u001b\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"\"one\\\n   two\n three\\n\n four\\ \n\n five\"", "\"onetwo three\\n four \\nfive\""},
        {"\"\\N\\_\\L\\P\"", "\"\xc2\x85\xc2\xa0\xe2\x80\xa8\xe2\x80\xa9\""},
        {"|\n  a\n   b\n\n  c\n", "\"a\\n b\\n\\nc\\n\""},
        {">\n  a\n  b\n\n  c\n", "\"a b\\nc\\n\""},
        {">-\n  a\n  \tb\n", "!2:1 a folded text (>) with a line that begins with a tab; use | or spaces"},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        check(samples[i].text, YAML, samples[i].want);
}

/* libfyaml takes what stands behind an empty one for its lines; nobody shall miss a key that is there. */
static void empty_block_texts(void **state)
{
    static const struct sample samples[] = {
        {"a: |\nb: 1\n", "{a: \"\" b: i:1}"},
        {"a: |\n", "{a: \"\"}"},
        {"a:\n  b: |\nc: 1\n", "{a: {b: \"\"} c: i:1}"},
        {"a:\n  b: |\n\n", "{a: {b: \"\"}}"},
        {"a:\n  b: |\n  c: 1\n", "!3:1 the text (| or >) before this has no line of its own; write \"\" for an empty one"},
        {"a:\n  b: >-\n\n  c: 1\n", "!3:1 the text (| or >) before this has no line of its own; write \"\" for an empty one"},
        {"a:\n  - |\r\n  - b\r\n", "!3:1 the text (| or >) before this has no line of its own; write \"\" for an empty one"},
        {"- a: |+\n  b: 1\n", "!2:1 the text (| or >) before this has no line of its own; write \"\" for an empty one"},
        /* However little it is put in, and whatever stands in front of its map. */
        {"a:\n  b: |\n   c: 1\n", "{a: {b: \"c: 1\\n\"}}"},
        {"a:\n  b: |1\n    c\n", "{a: {b: \" c\\n\"}}"},
        {"a:\n- |\n c\n- d\n", "{a: [\"c\\n\" \"d\"]}"},
        {"a: &x\n  b: |\n   c\n", "{a: {b: \"c\\n\"}}"},
        {"a: !!map\n  b: |\n   c\n", "{a: {b: \"c\\n\"}}"},
        {"a:\n  &x b: |\n   c\n", "{a: {b: \"c\\n\"}}"},
        {"a:\n- - |\n   c\n", "{a: [[\"c\\n\"]]}"},
        {"a:\n- &x\n  - |\n   c\n", "{a: [[\"c\\n\"]]}"},
        {"? |\n a\n: b\n", "{a\n: \"b\"}"},
        {"|\n c\n", "\"c\\n\""},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        check(samples[i].text, YAML, samples[i].want);
}

static void aliases_and_merges(void **state)
{
    static const struct sample samples[] = {
        {"a: &x {p: 1}\nb: *x\n", "{a: {p: i:1} b: {p: i:1}}"},
        {"a: &x 1\nb: [*x, *x]\n", "{a: i:1 b: [i:1 i:1]}"},
        {"a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  p: 9\n", "{a: {p: i:1 q: i:2} b: {p: i:9 q: i:2}}"},
        {"a: &x {p: 1}\nb: &y {p: 2, q: 3}\nc: {<<: [*x, *y]}\n",
         "{a: {p: i:1} b: {p: i:2 q: i:3} c: {p: i:1 q: i:3}}"},
        {"'<<': 1\n", "{<<: i:1}"},
        {"a: &x 1\nb: &x 2\nc: *x\n", "{a: i:1 b: i:2 c: i:2}"},
        {"a: *x\n", "!1:5 the alias *x has no anchor before it"},
        {"a: &x [*x]\n", "!1:9 the alias *x has no anchor before it"},
        {"a: {<<: 1}\n", "!1:9 expected a map or a list of maps behind <<, found a number"},
        {"a: {<<: [1]}\n", "!1:10 expected a map behind <<, found a number"},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        check(samples[i].text, YAML, samples[i].want);
}

static void keys(void **state)
{
    static const struct sample samples[] = {
        {"on: 1\n1: 2\n0x10: 3\n1.50: 4\n", "{true: i:1 1: i:2 16: i:3 1.50: i:4}"},
        {"a: 1\nb: 2\na: 3\n", "!3:1 the key \"a\" is here already, on line 1; remove one of them"},
        {"a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\ng: 1\nh: 1\ni: 1\nc: 2\n",
         "!10:1 the key \"c\" is here already, on line 3; remove one of them"},
        {"on: 1\n'true': 2\n", "!2:1 the key \"true\" is here already, on line 1; remove one of them"},
        {"[a]: 1\n", "!1:1 expected a text as key, found a list"},
        {"? ~\n: 1\n", "!1:3 expected a key, found nothing"},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        check(samples[i].text, YAML, samples[i].want);
}

static void json(void **state)
{
    static const struct sample samples[] = {
        {"{\"a\": [1, -2.5e1, true, null, \"x\\/y\\u00e9\\ud83d\\ude00\"]}",
         "{a: [i:1 f:-25 b:true n \"x/y\xc3\xa9\xf0\x9f\x98\x80\"]}"},
        {"{\n\t\"a\":\t\"on\"\n}\n", "{a: \"on\"}"},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        check(samples[i].text, JSON, samples[i].want);
}

static void refused(const char *text, size_t len, enum yaml_syntax syntax, int code, int line, const char *part)
{
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    struct arena arena;

    arena_init(&arena, (size_t)1 << 30);
    assert_int_equal(yaml_parse(&arena, slice_of(text, len), 1, syntax, &root, &problem), code);
    assert_int_equal(problem.line, line);
    if (!strstr(problem.msg.text, part))
        fail_msg("expected \"%s\" in \"%s\"", part, problem.msg.text);
    assert_null(root);
    arena_release(&arena);
}

static void refusals(void **state)
{
#define REFUSED(text, ...) refused(text, sizeof(text) - 1, __VA_ARGS__)
    REFUSED("a: 1\nb: \0\n", YAML, -EINVAL, 2, "a control byte (0x00)");
    REFUSED("a: \x1b\n", YAML, -EINVAL, 1, "a control byte (0x1b)");
    REFUSED("a: \xff\n", YAML, -EINVAL, 1, "not UTF-8");
    REFUSED("a: \"\\0\"\n", YAML, -EINVAL, 1, "NUL");
    REFUSED("a: !ref x\n", YAML, -EINVAL, 1, "the tag \"!ref\" has no meaning here");
    REFUSED("a: !!binary aGk=\n", YAML, -EINVAL, 1, "has no meaning here");
    REFUSED("a: \"\\ud83d\"\n", YAML, -EINVAL, 1, "escape");
    REFUSED("a: \"\\ud83d\\u0041\"\n", YAML, -EINVAL, 1, "surrogate");
    REFUSED("a: \"\\q\"\n", YAML, -EINVAL, 1, "escape");
    REFUSED("a: b: c\n", YAML, -EINVAL, 1, "not valid YAML");
    REFUSED("a:\n\tb: 1\n", YAML, -EINVAL, 2, "not valid YAML");
    REFUSED("{a: 1}\n{b: 2}\n", YAML, -EINVAL, 2, "");
    REFUSED("{\"a\": 1} {\"b\": 2}", JSON, -EINVAL, 1, "");
    REFUSED("{\"a\": tru}", JSON, -EINVAL, 1, "not valid JSON");
    REFUSED("{\"a\": 1", JSON, -EINVAL, 1, "not valid JSON");
    REFUSED("{a: 1}", JSON, -EINVAL, 1, "not valid JSON");
#undef REFUSED
}

static void limits(void **state)
{
    size_t size = LIMIT_YAML_FILE + 1, at = 0;
    char *text = malloc(size);
    struct buffer laughs;

    assert_non_null(text);
    memset(text, ' ', size);
    refused(text, size, YAML, -ENOBUFS, 1, "larger than");
    memset(text, '[', 5000);
    refused(text, 5000, YAML, -ENOBUFS, 1, "nested deeper than 100 levels");
    refused(text, 5000, JSON, -ENOBUFS, 1, "nested deeper than 100 levels");
    for (at = 0; at < 300; at += 3)
        memcpy(text + at, "- ", 3);
    free(text);

    /* Each line repeats the one before ten times. */
    buffer_init(&laughs, 1u << 16);
    buffer_add_lit(&laughs, "a0: &a0 [x]\n");
    for (int i = 1; i < 10; i++)
        buffer_printf(&laughs, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1,
                      i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    refused(laughs.data, laughs.len, YAML, -ENOBUFS, 6, "values in one document, aliases written out");
    buffer_clear(&laughs);
    buffer_add_lit(&laughs, "a: &a 1\nb:\n");
    for (int i = 0; i <= LIMIT_YAML_ALIASES; i++)
        buffer_add_lit(&laughs, "- *a\n");
    refused(laughs.data, laughs.len, YAML, -ENOBUFS, 3 + LIMIT_YAML_ALIASES, "more than 1000 aliases");
    buffer_release(&laughs);
}

static void digest_of(const char *text, uint64_t ret_digest[2])
{
    struct yaml_problem problem;
    struct yaml_node *root;
    struct arena arena;

    arena_init(&arena, 1u << 20);
    assert_int_equal(yaml_parse(&arena, slice_str(text), 1, YAML, &root, &problem), 0);
    yaml_digest(root, ret_digest);
    arena_release(&arena);
}

static void digests(void **state)
{
    static const char *const same[] = {"a: {b: [1, x]}\n", "# words\na:\n  b:\n  - 1\n  - 'x'\n",
                                       "a: {b: [0x1, &y x]}\n"};
    static const char *const other[] = {"a: {b: [1, y]}\n", "a: {b: ['1', x]}\n", "a: {b: [1], x: ~}\n",
                                        "a: {b: [x, 1]}\n", "b: {a: [1, x]}\n",   "a: {b: [1, [x]]}\n"};
    uint64_t first[2], digest[2];

    digest_of(same[0], first);
    for (size_t i = 1; i < sizeof(same) / sizeof(same[0]); i++) {
        digest_of(same[i], digest);
        assert_memory_equal(first, digest, sizeof(first));
    }
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        digest_of(other[i], digest);
        assert_memory_not_equal(first, digest, sizeof(first));
    }
}

static void lookups(void **state)
{
    struct yaml_problem problem;
    struct yaml_node *root;
    struct arena arena;

    arena_init(&arena, 1u << 20);
    assert_int_equal(yaml_parse(&arena, SLICE_LIT("\n a: 1\n b:\n   c: x\n"), 10, YAML, &root, &problem), 0);
    assert_int_equal(root->line, 11);
    assert_int_equal(yaml_get_lit(root, "a")->line, 11);
    assert_int_equal(yaml_get_lit(root, "a")->column, 5);
    assert_int_equal(yaml_get_lit(yaml_get_lit(root, "b"), "c")->line, 13);
    assert_null(yaml_get_lit(root, "d"));
    assert_null(yaml_get_lit(yaml_get_lit(root, "a"), "d"));
    assert_null(yaml_get_lit(NULL, "d"));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_mean_what_kubernetes_makes_of_them),
        cmocka_unit_test(documents),
        cmocka_unit_test(quoted_texts),
        cmocka_unit_test(empty_block_texts),
        cmocka_unit_test(aliases_and_merges),
        cmocka_unit_test(keys),
        cmocka_unit_test(json),
        cmocka_unit_test(refusals),
        cmocka_unit_test(limits),
        cmocka_unit_test(digests),
        cmocka_unit_test(lookups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
