#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "proxy/takeover_message.h"

static struct app_ports used, seen;
static char bytes[TAKEOVER_MESSAGE_MAX];

static struct addr address(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse(slice_str(text), &addr), 0);
    return addr;
}

static void test_listeners(void **state)
{
    struct takeover_message in = {.kind = TAKEOVER_LISTENERS}, out;
    size_t len;

    in.listeners = (struct listeners){{{3, LISTENER_ADMIN, address("0.0.0.0:4191")},
                                       {4, LISTENER_INBOUND, address("[::]:4143")},
                                       {5, LISTENER_OUTBOUND, address("127.0.0.1:4140")},
                                       {6, LISTENER_OUTBOUND, address("[::1]:4140")}}, 4};
    app_ports_use(&used, 8080);
    app_ports_use(&used, 65535);
    len = takeover_encode(&in, &used, bytes);
    assert_int_equal(len, TAKEOVER_MESSAGE_MAX);
    assert_int_equal(takeover_decode(slice_of(bytes, len), &out, &seen), 0);
    assert_int_equal(out.kind, TAKEOVER_LISTENERS);
    assert_int_equal(out.listeners.count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(out.listeners.items[i].fd, -1); /* descriptors travel beside it */
        assert_int_equal(out.listeners.items[i].role, in.listeners.items[i].role);
        assert_true(addr_eq(out.listeners.items[i].addr, in.listeners.items[i].addr));
    }
    assert_true(app_ports_have(&seen, 8080) && app_ports_have(&seen, 65535) && !app_ports_have(&seen, 8081));
    for (size_t i = 0; i < len; i++)
        assert_int_equal(takeover_decode(slice_of(bytes, i), &out, &seen), -EPROTO);
}

static void test_others(void **state)
{
    static const enum takeover_kind kinds[] = {TAKEOVER_READY, TAKEOVER_GONE, TAKEOVER_REFUSED};
    struct takeover_message out;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct takeover_message in = {.kind = kinds[i], .text = "why"};
        size_t len = takeover_encode(&in, &used, bytes);

        assert_int_equal(takeover_decode(slice_of(bytes, len), &out, &seen), 0);
        assert_int_equal(out.kind, kinds[i]);
        assert_string_equal(out.text, kinds[i] == TAKEOVER_REFUSED ? "why" : "");
    }
}

static void test_nonsense(void **state)
{
    struct takeover_message in = {.kind = TAKEOVER_READY}, out;
    size_t len = takeover_encode(&in, &used, bytes);

    bytes[8]++; /* the version */
    assert_int_equal(takeover_decode(slice_of(bytes, len), &out, &seen), -EPROTONOSUPPORT);
    bytes[8]--;
    bytes[10] = 9; /* no such kind */
    assert_int_equal(takeover_decode(slice_of(bytes, len), &out, &seen), -EPROTO);
    bytes[0]++;
    assert_int_equal(takeover_decode(slice_of(bytes, len), &out, &seen), -EPROTO);
    in.kind = TAKEOVER_LISTENERS;
    in.listeners = (struct listeners){{{3, LISTENER_ADMIN, address("0.0.0.0:4191")}}, 1};
    len = takeover_encode(&in, &used, bytes);
    bytes[16] = LISTENER_ROLES;
    assert_int_equal(takeover_decode(slice_of(bytes, len), &out, &seen), -EPROTO);
    bytes[16] = LISTENER_ADMIN;
    bytes[17] = 5; /* the version of the address */
    assert_int_equal(takeover_decode(slice_of(bytes, len), &out, &seen), -EPROTO);
    bytes[17] = 4;
    bytes[12] = 5; /* more than there are places for */
    assert_int_equal(takeover_decode(slice_of(bytes, len), &out, &seen), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_listeners), cmocka_unit_test(test_others),
                                       cmocka_unit_test(test_nonsense)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
