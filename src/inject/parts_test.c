#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "inject/inject.h"
#include "inject/notes.h"
#include "inject/patch.h"
#include "inject/port_list.h"
#include "inject/quantity.h"

static void quantities(void **state)
{
    static const struct {
        const char *text;
        double number; /* below zero: refused */
    } cases[] = {
        {"0", 0},        {"1", 1},       {"100m", 0.1},   {"1.5", 1.5},     {"1500u", 0.0015}, {".5", 0.5},      {"5.", 5},
        {"250Mi", 262144000}, {"1k", 1000},  {"1e3", 1000},   {"1E3", 1000},    {"1E", 1e18},      {"1Ei", 0x1p60},  {"2e-1", 0.2},
        {"+3", 3},       {"1Gi", 0x1p30},
        {"", -1},        {".", -1},      {"-1", -1},      {"m", -1},        {"1 ", -1},        {"1mi", -1},      {"1K", -1},
        {"1e", -1},      {"1e99", -1},   {"0x1", -1},     {"1,5", -1},      {"one", -1},       {"1.5.1", -1},    {"nan", -1},
        {"10000000000000000000000000000000000000000000", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double number = -1;
        int r = quantity_read(slice_str(cases[i].text), &number);

        if (r != (cases[i].number < 0 ? -EINVAL : 0))
            fail_msg("%s: %d", cases[i].text, r);
        if (r == 0)
            assert_true(fabs(number - cases[i].number) <= 1e-9 * cases[i].number);
    }
}

static void port_lists(void **state)
{
    static const struct {
        const char *list, *want; /* NULL: refused */
    } cases[] = {
        {"", ""},       {"25", "25"},   {" 25 , 8000-8010,", "25,8000-8010"}, {"1-65535", "1-65535"}, {"0", NULL},     {"65536", NULL},
        {"9-8", NULL},  {"8-", NULL},   {"-8", NULL},   {"8-9-10", NULL},     {"mysql", NULL},        {"+8", NULL},    {"8 - 9", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer list;
        int r;

        buffer_init(&list, LIMIT_INJECT_TEXT);
        r = port_list_check(slice_str(cases[i].list), &list);
        if (r != (cases[i].want ? 0 : -EINVAL))
            fail_msg("%s: %d", cases[i].list, r);
        if (cases[i].want)
            assert_true(slice_eq(buffer_slice(&list), slice_str(cases[i].want)));
        buffer_release(&list);
    }
}

static void too_many_ports(void **state)
{
    struct buffer text, list;

    (void)state;
    buffer_init(&text, 1 << 16);
    buffer_init(&list, 1 << 16);
    for (int i = 0; i < LIMIT_INJECT_PORTS; i++)
        buffer_printf(&text, "%d,", i + 1);
    assert_int_equal(port_list_check(buffer_slice(&text), &list), 0);
    buffer_add_lit(&text, "9999");
    assert_int_equal(port_list_check(buffer_slice(&text), &list), -ENOBUFS);
    buffer_release(&text);
    buffer_release(&list);
}

static void warnings_are_bounded(void **state)
{
    struct notes notes;
    char text[2 * LIMIT_INJECT_WARNING];
    const char *kept;

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[sizeof(text) - 1] = text[sizeof(text) - 2] = '\0';
    notes_init(&notes);
    notes_add(&notes, "x%s", text);
    kept = json_string_value(json_array_get(notes.texts, 0));
    assert_int_equal(strlen(kept), LIMIT_INJECT_WARNING - 1); /* the last character would have been half there */
    assert_true(slice_is_utf8(slice_str(kept)));
    for (int i = 0; i < 2 * LIMIT_INJECT_WARNINGS; i++)
        notes_add(&notes, "%d", i);
    assert_int_equal(json_array_size(notes.texts), LIMIT_INJECT_WARNINGS);
    assert_int_equal(notes.dropped, LIMIT_INJECT_WARNINGS + 1);
    notes_release(&notes);
}

static void pointers_are_escaped(void **state)
{
    struct patch patch;
    json_t *want = json_loads("[{\"op\": \"add\", \"path\": \"/spec/template/metadata/annotations/a.io~1b~0c\", \"value\": \"v\"},"
                              " {\"op\": \"add\", \"path\": \"/spec/template/x\", \"value\": []}]", 0, NULL);
    json_t *list = json_array();

    (void)state;
    patch_init(&patch, "/spec/template");
    patch_add(&patch, "/metadata/annotations", "a.io/b~c", json_string("v"));
    patch_ensure_list(&patch, "/x", NULL);
    patch_ensure_list(&patch, "/y", list);
    assert_int_equal(patch.error, 0);
    assert_true(json_equal(patch.operations, want));
    patch_release(&patch);
    json_decref(list);
    json_decref(want);
}

static void owners(void **state)
{
    static const struct {
        const char *pod, *kind, *name;
    } cases[] = {
        {"{}", "", ""},
        {"{\"metadata\": {\"ownerReferences\": [{\"kind\": \"ReplicaSet\", \"name\": \"web-abc\", \"controller\": true}]}}", "ReplicaSet", "web-abc"},
        {"{\"metadata\": {\"labels\": {\"pod-template-hash\": \"abc\"},"
         " \"ownerReferences\": [{\"kind\": \"Node\", \"name\": \"n\"}, {\"kind\": \"ReplicaSet\", \"name\": \"web-abc\", \"controller\": true}]}}",
         "Deployment", "web"},
        {"{\"metadata\": {\"labels\": {\"pod-template-hash\": \"abc\"},"
         " \"ownerReferences\": [{\"kind\": \"ReplicaSet\", \"name\": \"-abc\", \"controller\": true}]}}", "ReplicaSet", "-abc"},
        {"{\"metadata\": {\"labels\": {\"pod-template-hash\": \"abc\"},"
         " \"ownerReferences\": [{\"kind\": \"StatefulSet\", \"name\": \"web-abc\", \"controller\": true}]}}", "StatefulSet", "web-abc"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *pod = json_loads(cases[i].pod, 0, NULL);
        struct pod_owner owner = pod_owner(pod);

        assert_string_equal(owner.kind, cases[i].kind);
        assert_true(slice_eq(owner.name, slice_str(cases[i].name)));
        json_decref(pod);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantities),
        cmocka_unit_test(port_lists),
        cmocka_unit_test(too_many_ports),
        cmocka_unit_test(warnings_are_bounded),
        cmocka_unit_test(pointers_are_escaped),
        cmocka_unit_test(owners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
