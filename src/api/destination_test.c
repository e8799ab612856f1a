#include "api/destination.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/duration.h"
#include "base/limits.h"

#define LIT(text) SLICE_LIT(text)

static struct addr addr_of(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse(slice_str(text), &addr), 0);
    return addr;
}

static struct endpoint_update *update_trip(const struct endpoint_update *update)
{
    struct endpoint_update *back = NULL;
    struct errmsg msg = {0};
    struct buffer out;

    buffer_init(&out, 65536);
    assert_int_equal(endpoint_update_encode(update, &msg, &out), 0);
    assert_int_equal(endpoint_update_decode(buffer_slice(&out), &msg, &back), 0);
    buffer_release(&out);
    return back;
}

static void endpoints_come_back(void **state)
{
    struct label own[] = {{LIT("pod"), LIT("web-1")}, {LIT("zone_locality"), LIT("Remote")}};
    struct label common[] = {{LIT("namespace"), LIT("a")}, {LIT("pod"), LIT("none")}};
    struct endpoint_info endpoints[] = {
        {
            .addr = addr_of("10.0.0.1:80"),
            .weight = 10000,
            .identity_kind = IDENTITY_DNS,
            .identity = LIT("web.a.serviceaccount.identity.linkerd.cluster.local"),
            .hint = HINT_H2,
            .opaque_transport_port = 4143,
            .authority_override = LIT("web.a:80"),
            .labels = {own, 2},
            .resource = {METADATA_RESOURCE, .resource_kind = LIT("Pod"), .name = LIT("web-1"), .namespace = LIT("a")},
        },
        {.addr = addr_of("[2001:db8::1]:443"), .hint = HINT_OPAQUE},
    };
    struct endpoint_update update = {
        .kind = ENDPOINTS_ADD, .added = endpoints, .added_count = 2, .set_labels = {common, 2}};
    struct endpoint_update *back = update_trip(&update);
    const struct endpoint_info *first = &back->added[0];

    assert_int_equal(back->added_count, 2);
    assert_int_equal(back->skipped_count, 0);
    assert_true(addr_eq(first->addr, endpoints[0].addr) && first->weight == 10000);
    assert_true(first->identity_kind == IDENTITY_DNS && slice_eq(first->identity, endpoints[0].identity));
    assert_true(slice_eq(first->server_name, first->identity)); /* none was sent */
    assert_true(first->hint == HINT_H2 && first->opaque_transport_port == 4143);
    assert_true(slice_eq(first->authority_override, LIT("web.a:80")));
    assert_true(first->zone_locality == ZONE_REMOTE);
    assert_true(slice_eq(endpoint_label(first, LIT("pod")), LIT("web-1"))); /* its own wins */
    assert_true(slice_eq(endpoint_label(first, LIT("namespace")), LIT("a")));
    assert_null(endpoint_label(first, LIT("other")).ptr);
    assert_true(metadata_eq(&first->resource, &endpoints[0].resource));
    assert_true(addr_eq(back->added[1].addr, endpoints[1].addr) && back->added[1].hint == HINT_OPAQUE);
    assert_true(back->added[1].identity_kind == IDENTITY_NONE && back->added[1].zone_locality == ZONE_UNKNOWN);
    endpoint_update_unref(back);
}

static void removals_and_nothing_come_back(void **state)
{
    struct addr gone[] = {addr_of("10.0.0.1:80")};
    struct endpoint_update *back =
        update_trip(&(struct endpoint_update){.kind = ENDPOINTS_REMOVE, .removed = gone, .removed_count = 1});

    assert_true(back->kind == ENDPOINTS_REMOVE && back->removed_count == 1 && addr_eq(back->removed[0], gone[0]));
    endpoint_update_unref(back);
    back = update_trip(&(struct endpoint_update){.kind = ENDPOINTS_NONE, .exists = true});
    assert_true(back->kind == ENDPOINTS_NONE && back->exists);
    endpoint_update_unref(back);
    back = update_trip(&(struct endpoint_update){.kind = ENDPOINTS_NONE});
    assert_true(back->kind == ENDPOINTS_NONE && !back->exists);
    endpoint_update_unref(back);
}

/* What cannot be used is left out, and never becomes an endpoint without TLS. */
static void useless_endpoints_are_left_out(void **state)
{
    struct endpoint_info endpoints[] = {
        {.addr = {.ip = ip_v4(1), .port = 0}},
        {.addr = addr_of("10.0.0.1:80"), .identity_kind = IDENTITY_DNS, .identity = LIT("not a name")},
        {.addr = addr_of("10.0.0.2:80"), .identity_kind = IDENTITY_URI, .identity = LIT("spiffe://a/b")},
        {.addr = addr_of("10.0.0.3:80"), .identity_kind = IDENTITY_URI, .identity = LIT("nothing"),
         .server_name = LIT("a")},
        {.addr = addr_of("10.0.0.4:80"), .identity_kind = IDENTITY_URI, .identity = LIT("spiffe://a/b"),
         .server_name = LIT("a.b")},
        {.addr = {.port = 80}},
    };
    struct endpoint_update *back =
        update_trip(&(struct endpoint_update){.kind = ENDPOINTS_ADD, .added = endpoints, .added_count = 6});

    assert_int_equal(back->added_count, 1);
    assert_int_equal(back->skipped_count, 5);
    assert_true(addr_eq(back->added[0].addr, endpoints[4].addr));
    assert_true(slice_eq(back->added[0].server_name, LIT("a.b")));
    endpoint_update_unref(back);
}

static void unknown_kinds_are_told(void **state)
{
    /* add{addrs{addr{10.0.0.1:80}, tls_identity{field 9}}} */
    static const char unknown_identity[] = "\x0a\x11\x0a\x0f\x0a\x09\x0a\x05\x0d\x01\x00\x00\x0a\x10\x50\x2a\x02\x48\x01";
    struct endpoint_update *update = NULL;
    struct errmsg msg = {0};

    assert_int_equal(endpoint_update_decode(LIT(""), &msg, &update), -ENODATA);
    assert_int_equal(endpoint_update_decode(LIT("\x22\x00"), &msg, &update), -ENODATA);
    assert_int_equal(endpoint_update_decode(LIT("\x0a"), &msg, &update), -EBADMSG);
    assert_null(update);
    assert_int_equal(endpoint_update_decode(slice_of(unknown_identity, sizeof(unknown_identity) - 1), &msg, &update), 0);
    assert_int_equal(update->added_count, 0);
    assert_int_equal(update->skipped_count, 1);
    assert_string_equal(msg.text, "add[0]: tls_identity: of a kind that is not known here");
    endpoint_update_unref(update);
}

static void text_that_cannot_be_sent_is_refused(void **state)
{
    struct label labels[] = {{LIT("a"), LIT("b\0c")}};
    struct endpoint_update update = {.kind = ENDPOINTS_ADD, .set_labels = {labels, 1}};
    struct buffer out;

    buffer_init(&out, 100);
    assert_int_equal(endpoint_update_encode(&update, NULL, &out), -EINVAL);
    labels[0].value = LIT("\xff");
    assert_int_equal(endpoint_update_encode(&update, NULL, &out), -EINVAL);
    assert_int_equal(out.len, 0);
    labels[0].value = slice_of("0123456789012345678901234567890123456789012345678901234567890123456789"
                               "012345678901234567890123456789", 100);
    assert_int_equal(endpoint_update_encode(&update, NULL, &out), -ENOBUFS);
    buffer_release(&out);
}

static struct profile *profile_trip(const struct profile *profile)
{
    struct profile *back = NULL;
    struct errmsg msg = {0};
    struct buffer out;

    buffer_init(&out, 65536);
    assert_int_equal(profile_encode(profile, &msg, &out), 0);
    assert_int_equal(profile_decode(buffer_slice(&out), &msg, &back), 0);
    buffer_release(&out);
    return back;
}

static void profiles_come_back(void **state)
{
    struct request_condition path = {REQUEST_PATH, .text = LIT("/a|/b")};
    struct response_class classes[] = {
        {{RESPONSE_STATUS, .min = 500, .max = 599}, true},
        {{RESPONSE_STATUS, .min = 1, .max = 7}, true},       /* no statuses: left out */
        {{RESPONSE_STATUS, .min = 0, .max = 404}, false},    /* one end: that status alone */
        {{RESPONSE_ALL}, true},                              /* an empty list: left out */
    };
    struct profile_route routes[] = {
        {.condition = {REQUEST_NOT, &path, 1}, .classes = classes, .class_count = 4, .timeout_ns = 3 * NS_PER_MS},
        {.condition = {REQUEST_METHOD, .text = LIT("BAD METHOD")}}, /* left out */
        {.condition = {REQUEST_METHOD, .text = LIT("POST")}, .is_retryable = true},
    };
    struct weighted_dst overrides[] = {
        {LIT("v1.a.svc.cluster.local:80"), 9},
        {LIT("v2.a.svc.cluster.local:80"), 0}, /* left out, as the next */
        {LIT("no name at all"), 1},
    };
    struct profile profile = {
        .fully_qualified_name = LIT("web.a.svc.cluster.local"),
        .routes = routes, .route_count = 3,
        .has_retry_budget = true, .retry_budget = {0.25, 10, 10 * NS_PER_S},
        .overrides = overrides, .override_count = 3,
    };
    struct profile *back = profile_trip(&profile);

    assert_int_equal(back->route_count, 2);
    assert_true(back->routes[0].condition.kind == REQUEST_NOT &&
                slice_eq(back->routes[0].condition.children[0].text, LIT("/a|/b")));
    assert_int_equal(back->routes[0].class_count, 2);
    assert_true(back->routes[0].classes[1].condition.min == 404 && back->routes[0].classes[1].condition.max == 404);
    assert_true(back->routes[0].timeout_ns == 3 * NS_PER_MS && back->routes[1].timeout_ns == 0);
    assert_true(back->routes[1].is_retryable && slice_eq(back->routes[1].condition.text, LIT("POST")));
    assert_true(back->has_retry_budget && back->retry_budget.retry_ratio == 0.25);
    assert_true(back->override_count == 1 && back->overrides[0].weight == 9);
    assert_null(back->endpoint);
    profile_unref(back);

    profile.retry_budget.ttl_ns = 61 * NS_PER_S;
    back = profile_trip(&profile);
    assert_false(back->has_retry_budget);
    profile_unref(back);
    profile.retry_budget = (struct retry_budget_config){1001, 10, 10 * NS_PER_S};
    back = profile_trip(&profile);
    assert_false(back->has_retry_budget);
    profile_unref(back);
    back = profile_trip(&(struct profile){0});
    assert_true(back->route_count == 0 && back->fully_qualified_name.len == 0 && !back->opaque_protocol);
    profile_unref(back);
}

static void a_reference_keeps_a_snapshot(void **state)
{
    struct profile *profile = profile_trip(&(struct profile){.fully_qualified_name = LIT("web.a")});
    struct profile *second = profile_ref(profile);

    profile_unref(profile);
    assert_true(slice_eq(second->fully_qualified_name, LIT("web.a")));
    profile_unref(second);
    profile_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_come_back),
        cmocka_unit_test(removals_and_nothing_come_back),
        cmocka_unit_test(useless_endpoints_are_left_out),
        cmocka_unit_test(unknown_kinds_are_told),
        cmocka_unit_test(text_that_cannot_be_sent_is_refused),
        cmocka_unit_test(profiles_come_back),
        cmocka_unit_test(a_reference_keeps_a_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
