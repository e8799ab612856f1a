#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/limits.h"
#include "mesh/identity_name.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void kinds(void **state)
{
    static const struct {
        struct slice name;
        enum endpoint_identity kind;
    } cases[] = {
        {{"web.ns.serviceaccount.identity.linkerd.cluster.local", 52}, IDENTITY_DNS},
        {{"a", 1}, IDENTITY_DNS},
        {{"a_b.c-d", 7}, IDENTITY_DNS},
        {{"A.b", 3}, IDENTITY_DNS},
        {{L63 ".x", 65}, IDENTITY_DNS},
        {{L63 "a.x", 66}, IDENTITY_NONE},
        {{L63 "." L63 "." L63 "." L63, 255}, IDENTITY_NONE},
        {{"", 0}, IDENTITY_NONE},
        {{".", 1}, IDENTITY_NONE},
        {{"a.", 2}, IDENTITY_NONE},
        {{".a", 2}, IDENTITY_NONE},
        {{"a..b", 4}, IDENTITY_NONE},
        {{"-a", 2}, IDENTITY_NONE},
        {{"a-", 2}, IDENTITY_NONE},
        {{"a-.b", 4}, IDENTITY_NONE},
        {{"*.a", 3}, IDENTITY_NONE},
        {{"a b", 3}, IDENTITY_NONE},
        {{"a\0b", 3}, IDENTITY_NONE},
        {{"a.b\0", 4}, IDENTITY_NONE},
        {{"10.0.0.1", 8}, IDENTITY_NONE},
        {{"2001:db8::1", 11}, IDENTITY_NONE},
        {{"gr\xc3\xbc\xc3\x9f", 6}, IDENTITY_NONE},
        {{"spiffe://root/ns/web", 20}, IDENTITY_URI},
        {{"https://a", 9}, IDENTITY_URI},
        {{"urn:x", 5}, IDENTITY_URI},
        {{"spiffe:", 7}, IDENTITY_NONE},
        {{":x", 2}, IDENTITY_NONE},
        {{"1x:y", 4}, IDENTITY_NONE},
        {{"spiffe://a b", 12}, IDENTITY_NONE},
        {{"spiffe://a\0b", 12}, IDENTITY_NONE},
        {{"spiffe://a\"b", 12}, IDENTITY_NONE},
        {{"spi ffe://a", 11}, IDENTITY_NONE},
    };
    static char longer[LIMIT_IDENTITY + 1];

    for (size_t i = 0; i < COUNT(cases); i++)
        if (identity_parse(cases[i].name).kind != cases[i].kind)
            fail_msg("%.*s", SLICE_ARGS(cases[i].name));
    memset(longer, 'a', sizeof(longer));
    memcpy(longer, "urn:", 4);
    assert_true(identity_is_uri(slice_of(longer, LIMIT_IDENTITY)));
    assert_false(identity_is_uri(slice_of(longer, LIMIT_IDENTITY + 1)));
}

static void equality(void **state)
{
    struct identity none = {0}, a = identity_parse(SLICE_LIT("a.b")), same = identity_parse(SLICE_LIT("a.b")),
                    upper = identity_parse(SLICE_LIT("A.b")), nul = {IDENTITY_DNS, {"a.b\0c", 5}},
                    uri = {IDENTITY_URI, {"a.b", 3}};

    assert_true(identity_eq(a, same));
    assert_false(identity_eq(a, upper));
    assert_false(identity_eq(a, nul));
    assert_false(identity_eq(a, uri));
    assert_false(identity_eq(none, none));
}

static void workloads(void **state)
{
    static const struct {
        const char *name, *parts[4]; /* NULL: not one */
    } cases[] = {
        {"web.ns.serviceaccount.identity.linkerd.cluster.local", {"web", "ns", "linkerd", "cluster.local"}},
        {"a.b.c.ns.serviceaccount.identity.l5d.x", {"a.b.c", "ns", "l5d", "x"}},
        {"x.serviceaccount.identity.y.ns.serviceaccount.identity.linkerd.local",
         {"x.serviceaccount.identity.y", "ns", "linkerd", "local"}},
        {"10.0.0.1.ns.serviceaccount.identity.linkerd.local", {"10.0.0.1", "ns", "linkerd", "local"}},
        {"ns.serviceaccount.identity.linkerd.cluster.local", {NULL}},
        {"web.ns.serviceaccount.identity.linkerd", {NULL}},
        {"web.ns.serviceaccount.linkerd.cluster.local", {NULL}},
        {"web.ns.serviceaccount.identity.linkerd.cluster.local.", {NULL}},
        {"", {NULL}},
    };
    struct arena arena;

    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct workload_name w;
        struct slice back;
        int r = workload_identity_parse(slice_str(cases[i].name), &w);

        assert_int_equal(r, cases[i].parts[0] ? 0 : -EINVAL);
        if (r < 0)
            continue;
        assert_true(slice_eq(w.service_account, slice_str(cases[i].parts[0])));
        assert_true(slice_eq(w.namespace, slice_str(cases[i].parts[1])));
        assert_true(slice_eq(w.control_namespace, slice_str(cases[i].parts[2])));
        assert_true(slice_eq(w.trust_domain, slice_str(cases[i].parts[3])));
        assert_int_equal(workload_identity(&w, &arena, &back), 0);
        assert_true(slice_eq(back, slice_str(cases[i].name)));
    }
    arena_release(&arena);
}

static void workloads_are_checked(void **state)
{
    static const struct workload_name bad[] = {
        {{"", 0}, {"ns", 2}, {"l", 1}, {"d", 1}},          {{"a", 1}, {"n.s", 3}, {"l", 1}, {"d", 1}},
        {{"a", 1}, {"ns", 2}, {"l.x", 3}, {"d", 1}},       {{"a", 1}, {"ns", 2}, {"l", 1}, {"d.", 2}},
        {{"a/b", 3}, {"ns", 2}, {"l", 1}, {"d", 1}},       {{"a\0b", 3}, {"ns", 2}, {"l", 1}, {"d", 1}},
        {{L63 "." L63 "." L63, 191}, {L63, 63}, {"l", 1}, {"d", 1}}, /* too long together */
    };
    struct arena arena;
    struct slice name = SLICE_LIT("untouched");

    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(workload_identity(&bad[i], &arena, &name), -EINVAL);
    assert_true(slice_eq(name, SLICE_LIT("untouched")));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(equality),
        cmocka_unit_test(workloads),
        cmocka_unit_test(workloads_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
