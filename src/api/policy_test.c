/* Inbound and outbound policies, what makes them invalid, and the requests for them. */
#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/inbound.h"
#include "api/outbound.h"
#include "base/arena.h"
#include "base/duration.h"
#include "base/limits.h"

#define LIT(text) SLICE_LIT(text)

static struct cidr net_of(const char *text)
{
    struct cidr net;

    assert_int_equal(cidr_parse(slice_str(text), &net), 0);
    return net;
}

static struct inbound_policy *inbound_trip(const struct inbound_policy *policy)
{
    struct inbound_policy *back = NULL;
    struct errmsg msg = {0};
    struct buffer out;

    buffer_init(&out, 65536);
    assert_int_equal(inbound_policy_encode(policy, &msg, &out), 0);
    assert_int_equal(inbound_policy_decode(buffer_slice(&out), &msg, &back), 0);
    buffer_release(&out);
    return back;
}

static struct outbound_policy *outbound_trip(const struct outbound_policy *policy)
{
    struct outbound_policy *back = NULL;
    struct errmsg msg = {0};
    struct buffer out;

    buffer_init(&out, 65536);
    assert_int_equal(outbound_policy_encode(policy, &msg, &out), 0);
    assert_int_equal(outbound_policy_decode(buffer_slice(&out), &msg, &back), 0);
    buffer_release(&out);
    return back;
}

static void servers_come_back(void **state)
{
    struct cidr except[] = {net_of("10.1.0.0/16")};
    struct authz_network networks[] = {{net_of("10.0.0.0/8"), except, 1}, {net_of("fd00::/8")}};
    struct slice names[] = {LIT("a.b.serviceaccount"), LIT("spiffe://x/y")};
    struct slice suffixes[] = {LIT(""), LIT(".cluster.local"), LIT(".")};
    struct authorization authorizations[] = {{
        .networks = networks, .network_count = 2, .authentication = AUTHZ_TLS_AUTHENTICATED,
        .identities = names, .identity_count = 2, .suffixes = suffixes, .suffix_count = 3,
        .metadata = {METADATA_RESOURCE, LIT("policy.linkerd.io"), LIT("serverauthorization"), LIT("web")},
    }};
    struct inbound_policy policy = {
        .protocol = INBOUND_DETECT, .detect_timeout_ns = 10 * NS_PER_S, .authorizations = authorizations,
        .authorization_count = 1, .metadata = {METADATA_DEFAULT, .name = LIT("deny")},
    };
    struct inbound_policy *back = inbound_trip(&policy);
    const struct authorization *authz = &back->authorizations[0];

    assert_false(back->invalid);
    assert_true(back->protocol == INBOUND_DETECT && back->detect_timeout_ns == 10 * NS_PER_S);
    assert_true(back->metadata.kind == METADATA_DEFAULT && slice_eq(back->metadata.name, LIT("deny")));
    assert_true(slice_eq(labels_find(&back->labels, LIT("kind")), LIT("default")));
    assert_true(authz->network_count == 2 && authz->networks[0].except_count == 1);
    assert_true(ip_eq(authz->networks[0].net.ip, networks[0].net.ip) && authz->networks[0].net.prefix == 8);
    assert_true(ip_eq(authz->networks[1].net.ip, networks[1].net.ip) && authz->networks[1].net.prefix == 8);
    for (int i = 0; i < 2; i++)
        assert_true(slice_eq(authz->identities[i], names[i]));
    for (int i = 0; i < 3; i++)
        assert_true(slice_eq(authz->suffixes[i], suffixes[i]));
    assert_true(metadata_eq(&authz->metadata, &authorizations[0].metadata));
    assert_true(slice_eq(labels_find(&authz->labels, LIT("name")), LIT("web"))); /* for older proxies */
    inbound_policy_unref(back);
}

/* How older control planes tell what a policy is. */
static void labels_become_metadata(void **state)
{
    static const struct {
        const char *name, *kind, *group;
        struct metadata metadata;
    } samples[] = {
        {"default:deny", NULL, NULL, {METADATA_DEFAULT, .name = {"deny", 4}}},
        {"deny", "default", "", {METADATA_DEFAULT, .name = {"deny", 4}}},
        {"web", NULL, NULL, {METADATA_RESOURCE, {"policy.linkerd.io", 17}, {"server", 6}, {"web", 3}}},
        {"srv:web", NULL, "g", {METADATA_RESOURCE, {"g", 1}, {"srv", 3}, {"web", 3}}},
        {"srv:web", "k", "g", {METADATA_RESOURCE, {"g", 1}, {"k", 1}, {"srv:web", 7}}},
        {"deny", "default", NULL, {METADATA_RESOURCE, {"policy.linkerd.io", 17}, {"default", 7}, {"deny", 4}}},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct label items[3];
        struct inbound_policy policy = {.protocol = INBOUND_OPAQUE, .labels = {items, 0}};
        struct inbound_policy *back;

        if (samples[i].group)
            items[policy.labels.count++] = (struct label){LIT("group"), slice_str(samples[i].group)};
        if (samples[i].kind)
            items[policy.labels.count++] = (struct label){LIT("kind"), slice_str(samples[i].kind)};
        items[policy.labels.count++] = (struct label){LIT("name"), slice_str(samples[i].name)};
        back = inbound_trip(&policy);
        if (back->invalid || !metadata_eq(&back->metadata, &samples[i].metadata))
            fail_msg("%zu: %s: %.*s", i, samples[i].name, SLICE_ARGS(back->metadata.name));
        inbound_policy_unref(back);
    }
}

#define ALL_NETWORKS &(struct authz_network){.net = {{.version = 4}, 0}}, 1
#define DENY {METADATA_DEFAULT, .name = LIT("deny")}
#define META {METADATA_DEFAULT, .name = LIT("x")}

static void servers_that_cannot_be_followed_deny(void **state)
{
    struct named_match no_token = {LIT("no token"), {VALUE_EXACT, LIT("")}};
    struct named_match newline = {LIT("a"), {VALUE_EXACT, LIT("b\nc")}};
    struct named_match no_name = {LIT(""), {VALUE_EXACT, LIT("v")}};
    struct http_route_match bad_matches[] = {{.headers = &no_token, .header_count = 1},
                                             {.headers = &newline, .header_count = 1},
                                             {.queries = &no_name, .query_count = 1},
                                             {.method = LIT("G ET")}};
    struct filter bad_filters[] = {
        {FILTER_HTTP_FAILURE, .failure = {.code = 99}},
        {FILTER_HTTP_FAILURE, .failure = {.code = 500, .numerator = 3, .denominator = 2}},
        {FILTER_REDIRECT, .redirect = {.path_kind = PATH_REPLACE_FULL, .path = LIT("relative")}},
        {FILTER_REDIRECT, .redirect = {.path_kind = PATH_REPLACE_PREFIX, .path = LIT("/a\r\nset-cookie: x")}},
        {FILTER_REDIRECT, .redirect = {.host = LIT("a/b")}},
        {FILTER_REDIRECT, .redirect = {.scheme = LIT("1a")}},
        {FILTER_REDIRECT, .redirect = {.status = 1000}},
        {FILTER_REQUEST_HEADERS, .headers = {.set = &(struct header_pair){LIT("a"), LIT("\r")}, .set_count = 1}},
        {FILTER_REQUEST_HEADERS, .headers = {.remove = &LIT(""), .remove_count = 1}},
    };
    struct authorization no_networks = {.metadata = META};
    struct authorization no_metadata = {ALL_NETWORKS};
    struct inbound_rule rule = {0};
    struct inbound_route route = {.metadata = META, .rules = &rule, .rule_count = 1};
    struct inbound_policy policy = {.protocol = INBOUND_HTTP1, .routes = &route, .route_count = 1, .metadata = DENY};
    struct inbound_policy *back = inbound_trip(&policy);

    assert_false(back->invalid);
    inbound_policy_unref(back);
    rule.match_count = 1;
    for (size_t i = 0; i < sizeof(bad_matches) / sizeof(bad_matches[0]); i++) {
        rule.http_matches = &bad_matches[i];
        back = inbound_trip(&policy);
        assert_true(back->invalid && back->authorization_count == 0 && back->route_count == 0);
        assert_true(slice_starts(back->invalid_reason, LIT("protocol: routes[0]: rules[0]: matches[0]: ")));
        inbound_policy_unref(back);
    }
    rule = (struct inbound_rule){.filters = {NULL, 1}};
    for (size_t i = 0; i < sizeof(bad_filters) / sizeof(bad_filters[0]); i++) {
        rule.filters.items = &bad_filters[i];
        back = inbound_trip(&policy);
        if (!back->invalid || !slice_starts(back->invalid_reason, LIT("protocol: routes[0]: rules[0]: filters[0]: ")))
            fail_msg("filter %zu: %.*s", i, SLICE_ARGS(back->invalid_reason));
        inbound_policy_unref(back);
    }
    rule.filters.count = 0;
    policy.authorization_count = 1;
    policy.authorizations = &no_networks;
    back = inbound_trip(&policy);
    assert_true(back->invalid && slice_eq(back->invalid_reason, LIT("authorizations[0]: networks: missing")));
    inbound_policy_unref(back);
    policy.authorizations = &no_metadata;
    back = inbound_trip(&policy);
    assert_true(back->invalid && slice_eq(back->invalid_reason, LIT("authorizations[0]: labels: no name")));
    inbound_policy_unref(back);
}

static void an_unknown_inbound_filter_stays_local(void **state)
{
    struct filter filter = {FILTER_UNKNOWN};
    struct inbound_rule rule = {.filters = {&filter, 1}};
    struct inbound_route route = {.metadata = META, .rules = &rule, .rule_count = 1};
    struct inbound_policy policy = {.protocol = INBOUND_HTTP2, .routes = &route, .route_count = 1, .metadata = DENY};
    struct inbound_policy *back = inbound_trip(&policy);

    assert_false(back->invalid);
    assert_int_equal(back->routes[0].rules[0].filters.items[0].kind, FILTER_UNKNOWN);
    inbound_policy_unref(back);
}

static void malformed_bytes_are_no_policy(void **state)
{
    struct inbound_policy *inbound = NULL;
    struct outbound_policy *outbound = NULL;

    assert_int_equal(inbound_policy_decode(LIT("\x0a\x05"), NULL, &inbound), -EBADMSG);
    assert_int_equal(outbound_policy_decode(LIT("\x0a\x05"), NULL, &outbound), -EBADMSG);
    assert_true(!inbound && !outbound);
    assert_int_equal(inbound_policy_decode(LIT(""), NULL, &inbound), 0); /* well formed, says nothing */
    assert_int_equal(outbound_policy_decode(LIT(""), NULL, &outbound), 0);
    assert_true(inbound->invalid && outbound->invalid);
    assert_true(slice_eq(inbound->invalid_reason, LIT("protocol: missing or of no kind that is known here")));
    assert_true(slice_eq(outbound->invalid_reason, LIT("metadata: missing")));
    inbound_policy_unref(inbound);
    outbound_policy_unref(outbound);
}

#define BALANCER(text)                                                                                      \
    {.metadata = META, .kind = BACKEND_BALANCER,                                                            \
     .balancer = {.path = LIT(text), .default_rtt_ns = 30 * NS_PER_MS, .decay_ns = 10 * NS_PER_S}}

static void outbound_policies_come_back(void **state)
{
    struct route_backend backends[] = {{.backend = BALANCER("web.a.svc.cluster.local:80"), .weight = 9},
                                       {.backend = {.metadata = META}, .weight = 1}};
    struct retry_config retry = {.max_retries = 2, .max_request_bytes = 65536,
                                 .statuses = &(struct status_range){500, 599}, .status_count = 1};
    struct outbound_rule rule = {
        .backends = {DISTRIBUTION_RANDOM_AVAILABLE, backends, 2},
        .timeouts = {.request_ns = 5 * NS_PER_S, .idle_ns = 7},
        .retry = &retry,
        .allow_l5d_headers = true,
    };
    struct host_match host = {HOST_SUFFIX, LIT("example.org")};
    struct outbound_route route = {.metadata = META, .hosts = &host, .host_count = 1, .rules = &rule, .rule_count = 1};
    struct outbound_rule tcp_rule = {.backends = {DISTRIBUTION_FIRST_AVAILABLE, backends, 1}};
    struct outbound_route tcp = {.metadata = META, .rules = &tcp_rule, .rule_count = 1};
    struct outbound_policy policy = {
        .metadata = META, .protocol = OUTBOUND_DETECT, .detect_timeout_ns = NS_PER_S,
        .http1 = {&route, 1}, .http2 = {&route, 1, {ACCRUAL_CONSECUTIVE, 7, {NS_PER_S, 60 * NS_PER_S, 0.5}}},
        .opaque = {&tcp, 1},
    };
    struct outbound_policy *back = outbound_trip(&policy);
    const struct outbound_rule *rule_back;

    assert_false(back->invalid);
    rule_back = &back->http2.items[0].rules[0];
    assert_true(back->detect_timeout_ns == NS_PER_S && back->http1.count == 1 && back->opaque.count == 1);
    assert_true(back->http2.accrual.kind == ACCRUAL_CONSECUTIVE && back->http2.accrual.max_failures == 7);
    assert_true(back->http2.accrual.backoff.jitter == 0.5 && back->http1.accrual.kind == ACCRUAL_NONE);
    assert_true(slice_eq(back->http2.items[0].hosts[0].name, LIT("example.org")));
    assert_true(rule_back->backends.count == 2 && rule_back->backends.backends[0].weight == 9);
    assert_true(slice_eq(rule_back->backends.backends[0].backend.balancer.path, LIT("web.a.svc.cluster.local:80")));
    assert_int_equal(rule_back->backends.backends[1].backend.kind, BACKEND_INVALID);
    assert_true(rule_back->timeouts.request_ns == 5 * NS_PER_S && rule_back->timeouts.idle_ns == 7);
    assert_true(rule_back->retry->max_retries == 2 && rule_back->retry->statuses[0].end == 599);
    assert_true(rule_back->allow_l5d_headers);
    outbound_policy_unref(back);
}

/* Each of these makes the policy invalid, with a sentence that ends so. */
static void outbound_policies_that_cannot_be_followed(void **state)
{
    struct route_backend good = {.backend = BALANCER("web:80")}, no_path = {.backend = BALANCER("")};
    struct outbound_rule rules[2];
    struct outbound_route route = {.metadata = META, .rules = rules, .rule_count = 1};
    struct retry_config retry = {.statuses = &(struct status_range){500, 600}, .status_count = 1};
    struct outbound_policy policy = {.metadata = META, .protocol = OUTBOUND_HTTP1, .http1 = {&route, 1}};
    struct outbound_policy *back;

#define EXPECT(sentence)                                                                                    \
    do {                                                                                                    \
        back = outbound_trip(&policy);                                                                      \
        if (!back->invalid || !slice_eq(back->invalid_reason, LIT(sentence)))                               \
            fail_msg("line %d: %.*s", __LINE__, SLICE_ARGS(back->invalid_reason));                          \
        outbound_policy_unref(back);                                                                        \
    } while (0)

    rules[0] = rules[1] = (struct outbound_rule){.backends = {DISTRIBUTION_FIRST_AVAILABLE, &no_path, 1}};
    EXPECT("protocol: http1.routes[0]: rules[0]: backends[0]: balancer.discovery: no destination");
    rules[0].backends.count = 0;
    EXPECT("protocol: http1.routes[0]: rules[0]: backends: none to choose from");
    rules[0].backends = (struct distribution){DISTRIBUTION_FIRST_AVAILABLE, &good, 1};
    rules[0].retry = &retry;
    EXPECT("protocol: http1.routes[0]: rules[0]: retry.status_ranges[0]: 500 to 600 is no range of HTTP statuses");
    rules[0].retry = NULL;
    policy.http1.accrual = (struct failure_accrual){ACCRUAL_CONSECUTIVE, 7, {NS_PER_S, NS_PER_MS, 0.5}};
    EXPECT("protocol: backoff: the maximum is 0 or less than the minimum");
    policy.http1.accrual = (struct failure_accrual){ACCRUAL_UNIFIED, .success_rate_threshold = 1.5};
    EXPECT("protocol: unified.success_rate_threshold: not between 0 and 1");
    policy.http1.accrual = (struct failure_accrual){0};
    route.metadata.kind = METADATA_NONE;
    EXPECT("protocol: http1.routes[0]: metadata: missing");
    route.metadata.kind = METADATA_DEFAULT;
    back = outbound_trip(&policy);
    assert_false(back->invalid);
    outbound_policy_unref(back);
    policy = (struct outbound_policy){.metadata = META, .protocol = OUTBOUND_OPAQUE, .opaque = {&route, 1}};
    rules[1] = rules[0];
    route.rule_count = 2;
    EXPECT("protocol: opaque.routes[0]: rules: 2, must be one");
}

static void an_unknown_outbound_filter_makes_it_invalid(void **state)
{
    /* metadata{default:"x"} protocol{http1{routes{metadata{default:"x"} rules{filters{}}}}} */
    static const char bytes[] = "\x12\x03\x0a\x01x\x0a\x0d\x1a\x0b\x0a\x09\x0a\x03\x0a\x01x\x1a\x02\x12\x00";
    struct outbound_policy *policy = NULL;

    assert_int_equal(outbound_policy_decode(slice_of(bytes, sizeof(bytes) - 1), NULL, &policy), 0);
    assert_true(policy->invalid);
    assert_true(slice_eq(policy->invalid_reason,
                         LIT("protocol: http1.routes[0]: rules[0]: filters[0]: of no kind that is known here")));
    outbound_policy_unref(policy);
}

static void filters_of_other_routes_cannot_be_sent(void **state)
{
    struct filter filter = {FILTER_RESPONSE_HEADERS};
    struct outbound_rule rule = {.filters = {&filter, 1}};
    struct outbound_route route = {.metadata = META, .rules = &rule, .rule_count = 1};
    struct outbound_policy policy = {.metadata = META, .protocol = OUTBOUND_GRPC, .grpc = {&route, 1}};
    struct buffer out;

    buffer_init(&out, 65536);
    assert_int_equal(outbound_policy_encode(&policy, NULL, &out), -EINVAL);
    policy = (struct outbound_policy){.metadata = META, .protocol = OUTBOUND_TLS, .tls = {&route, 1}};
    assert_int_equal(outbound_policy_encode(&policy, NULL, &out), -EINVAL);
    buffer_release(&out);
}

static void requests_come_back(void **state)
{
    struct port_spec port = {LIT("a:b"), 80}, port_back;
    struct traffic_spec addr = {.source_workload = LIT("a:b"), .by_addr = true}, back;
    struct arena arena;
    struct buffer out;

    arena_init(&arena, 4096);
    buffer_init(&out, 4096);
    assert_int_equal(port_spec_encode(&port, NULL, &out), 0);
    assert_int_equal(port_spec_decode(buffer_slice(&out), &arena, NULL, &port_back), 0);
    assert_true(port_back.port == 80 && slice_eq(port_back.workload, LIT("a:b")));
    assert_int_equal(port_spec_decode(LIT("\x0a\x03" "a:b"), &arena, NULL, &port_back), -EINVAL);
    assert_int_equal(port_spec_decode(LIT("\x10\x80\x80\x04"), &arena, NULL, &port_back), -EINVAL);

    buffer_clear(&out);
    addr_parse(LIT("[2001:db8::1]:443"), &addr.addr);
    assert_int_equal(traffic_spec_encode(&addr, NULL, &out), 0);
    assert_int_equal(traffic_spec_decode(buffer_slice(&out), &arena, NULL, &back), 0);
    assert_true(back.by_addr && addr_eq(back.addr, addr.addr));
    buffer_clear(&out);
    addr.addr.port = 0;
    assert_int_equal(traffic_spec_encode(&addr, NULL, &out), 0);
    assert_int_equal(traffic_spec_decode(buffer_slice(&out), &arena, NULL, &back), -EINVAL);
    assert_int_equal(traffic_spec_decode(LIT(""), &arena, NULL, &back), -EINVAL);
    assert_int_equal(traffic_spec_decode(LIT("\x1a\x01" "w"), &arena, NULL, &back), 0);
    assert_true(!back.by_addr && slice_eq(back.authority, LIT("w")));
    buffer_release(&out);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_come_back),
        cmocka_unit_test(labels_become_metadata),
        cmocka_unit_test(servers_that_cannot_be_followed_deny),
        cmocka_unit_test(an_unknown_inbound_filter_stays_local),
        cmocka_unit_test(malformed_bytes_are_no_policy),
        cmocka_unit_test(outbound_policies_come_back),
        cmocka_unit_test(outbound_policies_that_cannot_be_followed),
        cmocka_unit_test(an_unknown_outbound_filter_makes_it_invalid),
        cmocka_unit_test(filters_of_other_routes_cannot_be_sent),
        cmocka_unit_test(requests_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
