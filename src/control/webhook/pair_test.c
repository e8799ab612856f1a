#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/duration.h"
#include "control/webhook/secret.h"
#include "net/x509/x509.h"

#define NAME SLICE_LIT("linkerd-proxy-injector.linkerd.svc")
#define DAY (24 * 3600 * NS_PER_S)
static const int64_t NOW = 1795000000 * NS_PER_S;

static struct webhook_pair make(struct slice before, int64_t wall_ns)
{
    struct webhook_pair pair;
    struct errmsg msg = {""};

    if (webhook_pair_make(NAME, &before, 1, wall_ns, &msg, &pair) < 0)
        fail_msg("%s", msg.text);
    return pair;
}

static int check(const struct webhook_pair *pair, struct slice name, int64_t wall_ns, bool *ret_old)
{
    struct errmsg msg = {""};
    int r = webhook_pair_check(pair, name, wall_ns, &msg, ret_old);

    assert_true(r == 0 || msg.text[0]);
    return r;
}

static size_t authorities(const struct webhook_pair *pair)
{
    struct x509_bundle bundle;
    size_t count;

    assert_int_equal(x509_bundle_read(buffer_slice(&pair->authorities), NULL, &bundle), 0);
    count = bundle.count;
    x509_bundle_release(&bundle);
    return count;
}

static void good_for_a_year(void **state)
{
    static const struct {
        int64_t days;
        int r;
        bool old;
    } cases[] = {{0, 0, false}, {240, 0, false}, {246, 0, true}, {364, 0, true}, {366, -EKEYREJECTED, true}, {-1, -EKEYREJECTED, false}};
    struct webhook_pair pair = make(SLICE_NULL, NOW);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool old = false;

        assert_int_equal(check(&pair, NAME, NOW + cases[i].days * DAY, &old), cases[i].r);
        assert_int_equal(old, cases[i].old);
    }
    webhook_pair_release(&pair);
}

static void what_cannot_serve(void **state)
{
    struct webhook_pair pair = make(SLICE_NULL, NOW), other = make(SLICE_NULL, NOW), mixed;
    bool old;

    assert_int_equal(check(&pair, SLICE_LIT("linkerd-sp-validator.linkerd.svc"), NOW, &old), -EKEYREJECTED);
    mixed = pair;
    mixed.key = other.key;
    assert_int_equal(check(&mixed, NAME, NOW, &old), -EKEYREJECTED);
    mixed = pair;
    mixed.authorities = other.authorities;
    assert_int_equal(check(&mixed, NAME, NOW, &old), -EKEYREJECTED);
    mixed = pair;
    mixed.key = pair.certificate;
    assert_true(check(&mixed, NAME, NOW, &old) < 0);
    webhook_pair_init(&mixed);
    assert_int_equal(check(&mixed, NAME, NOW, &old), -EINVAL);
    webhook_pair_release(&mixed);
    webhook_pair_release(&pair);
    webhook_pair_release(&other);
}

/* Those of before stay while they are valid, four in all; what is none is left out. */
static void authorities_overlap(void **state)
{
    struct webhook_pair pair = make(SLICE_LIT("nonsense"), NOW);
    bool old;

    assert_int_equal(authorities(&pair), 1);
    for (size_t i = 1; i < 7; i++) {
        struct webhook_pair next = make(buffer_slice(&pair.authorities), NOW + (int64_t)i * DAY);

        assert_int_equal(authorities(&next), i < 4 ? i + 1 : 4);
        assert_int_equal(check(&next, NAME, NOW + (int64_t)i * DAY, &old), 0);
        pair.authorities.len = 0; /* the leaf of before, under the authorities of now */
        assert_int_equal(buffer_add(&pair.authorities, buffer_slice(&next.authorities)), 0);
        assert_int_equal(check(&pair, NAME, NOW + (int64_t)i * DAY, &old), 0);
        webhook_pair_release(&pair);
        pair = next;
    }
    {
        struct webhook_pair last = make(buffer_slice(&pair.authorities), NOW + 400 * DAY);

        assert_int_equal(authorities(&last), 1);
        webhook_pair_release(&last);
    }
    webhook_pair_release(&pair);
}

/* Of two bundles, each authority once; one that cannot be read does not spoil the other. */
static void authorities_of_two(void **state)
{
    struct webhook_pair one = make(SLICE_NULL, NOW), two = make(buffer_slice(&one.authorities), NOW), both;
    const struct slice before[] = {buffer_slice(&one.authorities), buffer_slice(&two.authorities)};
    const struct slice broken[] = {SLICE_LIT("nonsense"), buffer_slice(&one.authorities)};
    struct errmsg msg;

    assert_int_equal(webhook_pair_make(NAME, before, 2, NOW, &msg, &both), 0);
    assert_int_equal(authorities(&both), 3);
    webhook_pair_release(&both);
    assert_int_equal(webhook_pair_make(NAME, broken, 2, NOW, &msg, &both), 0);
    assert_int_equal(authorities(&both), 2);
    webhook_pair_release(&both);
    webhook_pair_release(&one);
    webhook_pair_release(&two);
}

static void through_a_secret(void **state)
{
    struct webhook_pair pair = make(SLICE_NULL, NOW), read;
    struct buffer json, version;
    bool old;

    buffer_init(&json, 1 << 20);
    buffer_init(&version, 1 << 10);
    webhook_pair_init(&read);
    assert_int_equal(secret_write(&pair, SLICE_LIT("linkerd"), "s", "proxy-injector", SLICE_LIT("42"), &json), 0);
    assert_int_equal(secret_read(buffer_slice(&json), &read, &version), 0);
    assert_true(slice_eq(buffer_slice(&version), SLICE_LIT("42")));
    assert_true(slice_eq(buffer_slice(&read.key), buffer_slice(&pair.key)));
    assert_int_equal(check(&read, NAME, NOW, &old), 0);
    webhook_pair_release(&read);
    webhook_pair_init(&read);
    assert_int_equal(secret_read(SLICE_LIT("{\"metadata\":{},\"data\":{\"tls.crt\":\"*\",\"tls.key\":7}}"), &read, &version), 0);
    assert_int_equal(read.certificate.len + read.key.len + read.authorities.len, 0);
    assert_int_equal(secret_read(SLICE_LIT("[]"), &read, &version), -EINVAL);
    webhook_pair_release(&read);
    webhook_pair_release(&pair);
    buffer_release(&json);
    buffer_release(&version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_for_a_year),
        cmocka_unit_test(what_cannot_serve),
        cmocka_unit_test(authorities_overlap),
        cmocka_unit_test(authorities_of_two),
        cmocka_unit_test(through_a_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
