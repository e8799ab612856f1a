/*
 * A manifest's text before and after a change, byte for byte: what is not changed stays as it is, and no edit reaches into another. What
 * `linkerd inject` makes of whole manifests is in test/cli/inject.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "inject/splice.h"
#include "template/from_yaml.h"

static const struct {
    const char *before, *after; /* the second is what the change makes of the first, as a tree and as a text */
} cases[] = {
    /* A text with + owns the empty lines behind it, and not what follows them, however far that is put in. */
    {"a:\n  b: |+\n    x\n\n  c: 1\n", "a:\n  c: 1\n"},
    {"a:\n  b: |+\n    x\n\n  c: 1\n", "a:\n  b: |+\n    x\n\n"},
    {"a:\n  b: |+\n    x\n\n  c: >-\n    y\nd: 1\n", "a:\n  new: 2\nd: 1\n"},
    {"a:\n  b: |+\n    x\n\n  # of c\n  c: 1\n", "a:\n  # of c\n  c: 1\n"},
    {"a:\n  b: |+\r\n    x\r\n\r\n  c: 1\r\n", "a:\n  c: 1\r\n"},
    {"b: |+\n  x\n\n\nc: 1\n", "c: 1\n"},
    {"a:\n- b: |+\n    x\n\n  c: 1\n- d\n", "a:\n- c: 1\n- d\n"},
    {"a:\n  - |+\n    x\n\n  - y\n  - z\n", "a:\n  - |+\n    x\n\n  - z\n"},
    {"a:\n  - |+\n    x\n\n  - y\n", "a:\n  - y\n"},
    {"a:\n  - |+\n    x\n\n  - y\n", "a:\n  - |+\n    x\n\n  - new\n  - y\n"},
    {"a:\n  b:\n    - |+\n      x\n\n  c: 1\n", "a:\n  b:\n    - |+\n      x\n\n    - new\n  c: 1\n"},
    /* A text without an end of its last line gets none, unless that line is what was put in. */
    {"a:\n  b: 1\n  c: 2", "a:\n  b: 1"},
    {"a:\r\n  b: 1\r\n  c: 2", "a:\r\n  b: 1"},
    {"a:\n  b: 1", "a:\n  new: 2\n"},
    {"a:\n  b: 1\n  c: 2", "a:\n  new: 2\n"},
    {"a:\n  b:\n    c: 1\n  d: 2", "a:\n  b:\n    new: 3\n"},
    {"a:\n  b:\n  - c\n  d: 2", "a:\n  b:\n  - c\n  - new\n"},
    {"a:\n- b\n- c", "a:\n- b\n- new"},
    {"a:\n- b", "a:\n- b\n- new"},
    /* Of one without, empty lines behind it are nobody's. */
    {"a:\n  b: |\n    x\n\n  c: 1\n", "a:\n\n  c: 1\n"},
    {"a:\n  b: >-\n    x\n\n  c: 1\n", "a:\n  b: >-\n    x\n\n"},
    /* An empty key stands where its tag does, and an empty element too. */
    {"{\n  b: 1, !   \n}\n", "{\n  \"new\": \"2\"   \n}\n"},
    {"a: {! : x, b: 1}\n", "a: {b: 1}\n"},
    {"a: {b: 1, ! : x}\n", "a: {b: 1}\n"},
    {"a: {! : x}\n", "a: {\"new\": 2, ! : x}\n"},
    {"a: {! : x, b: 1}\n", "a: {! : x, b: 2}\n"},
    {"a: [!, b]\n", "a: [b]\n"},
    {"a: [b, ! ]\n", "a: [b ]\n"},
    {"a: [! , b]\n", "a: [\"new\", ! , b]\n"},
    {"a: ! \nb: 1\n", "a: enabled \nb: 1\n"},
    {"a: &x !!null # why\nb: 1\n", "a: enabled # why\nb: 1\n"},
    /* Only cuts: nothing was put in. */
    {"a: 1\nb: 2\n", "b: 2\n"},
};

/* What `<<` brings has no place in these brackets from which it could be cut, nor has what is gone with it. */
static const char *const merged[][2] = {
    {"x: &x {p: 1}\na: {<<: *x, b: 2}\n", "x: {p: 1}\na: {b: 2}\n"},
    {"x: &x {p: 1}\na: {b: 2, <<: *x}\n", "x: {p: 1}\na: {}\n"},
    {"x: &x {p: 1}\na:\n  <<: *x\n  b: 2\n", "x: {p: 1}\na:\n  b: 2\n"},
};

static json_t *read_tree(struct arena *arena, const char *text, struct yaml_node **ret_root)
{
    struct yaml_problem problem;
    json_t *tree;

    if (yaml_parse(arena, slice_str(text), 1, YAML, ret_root, &problem) < 0)
        fail_msg("%s: line %d: %s", text, problem.line, problem.msg.text);
    tree = from_yaml_node(*ret_root);
    assert_non_null(tree);
    return tree;
}

static void text_changes_as_the_tree(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct yaml_node *root, *root_after;
        struct errmsg msg = {0};
        struct splice splice;
        struct arena arena;
        struct buffer out;
        json_t *before, *after;

        arena_init(&arena, LIMIT_OBJECT_ARENA);
        buffer_init(&out, LIMIT_INJECT_INPUT);
        before = read_tree(&arena, cases[i].before, &root);
        after = read_tree(&arena, cases[i].after, &root_after);
        splice_init(&splice, slice_str(cases[i].before), 1, root);
        if (splice_object(&splice, root, before, after, &msg) < 0)
            fail_msg("case %zu: %s", i, msg.text);
        assert_int_equal(splice_apply(&splice, &out), 0);
        buffer_add_byte(&out, '\0');
        assert_string_equal(out.data, cases[i].after);
        splice_release(&splice);
        buffer_release(&out);
        json_decref(before);
        json_decref(after);
        arena_release(&arena);
    }
}

static void merged_entries_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(merged) / sizeof(merged[0]); i++) {
        struct yaml_node *root, *root_after;
        struct errmsg msg = {0};
        struct splice splice;
        struct arena arena;
        json_t *before, *after;

        arena_init(&arena, LIMIT_OBJECT_ARENA);
        before = read_tree(&arena, merged[i][0], &root);
        after = read_tree(&arena, merged[i][1], &root_after);
        splice_init(&splice, slice_str(merged[i][0]), 1, root);
        assert_int_equal(splice_object(&splice, root, before, after, &msg), -EINVAL);
        assert_non_null(strstr(msg.text, "p comes from << and cannot be taken out here"));
        splice_release(&splice);
        json_decref(before);
        json_decref(after);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_changes_as_the_tree),
        cmocka_unit_test(merged_entries_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
