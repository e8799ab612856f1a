/* The environment as a table: every variable's good and bad value, defaults, and that all mistakes are told at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "proxy/config.h"
#include "proxy/variables.h"

#define P "LINKERD2_PROXY_"

struct pair {
    const char *name, *value;
};

enum { PAIRS_MAX = 160 };

struct environment {
    struct pair pairs[PAIRS_MAX];
    unsigned count;
};

static const struct pair least[] = {
    {P "DESTINATION_SVC_ADDR", "localhost.:8086"},
    {P "IDENTITY_SVC_ADDR", "localhost.:8080"},
    {P "IDENTITY_LOCAL_NAME", "web.ns.serviceaccount.identity.linkerd.cluster.local"},
    {P "IDENTITY_TRUST_ANCHORS", "PEM"},
    {P "IDENTITY_TOKEN_FILE", "/token"},
    {P "IDENTITY_DIR", "/dir"},
};
enum { LEAST = sizeof(least) / sizeof(least[0]) };

static const char *find(void *owner, const char *name)
{
    struct environment *env = owner;

    for (unsigned i = env->count; i-- > 0;) /* the latest wins */
        if (strcmp(env->pairs[i].name, name) == 0)
            return env->pairs[i].value;
    return NULL;
}

static void set(struct environment *env, const char *name, const char *value)
{
    assert_true(env->count < PAIRS_MAX);
    env->pairs[env->count++] = (struct pair){name, value};
}

static struct environment usual(void)
{
    struct environment env = {.count = LEAST};

    memcpy(env.pairs, least, sizeof(least));
    return env;
}

struct outcome {
    int r;
    char problems[16384], warnings[4096];
    struct config config;
};

static void read_with(struct environment *env, unsigned cpus, struct outcome *ret)
{
    struct buffer problems, warnings;

    memset(ret, 0, sizeof(*ret));
    buffer_init(&problems, 64 * 1024);
    buffer_init(&warnings, 64 * 1024);
    ret->r = config_read(find, env, cpus, &problems, &warnings, &ret->config);
    snprintf(ret->problems, sizeof(ret->problems), "%.*s", SLICE_ARGS(buffer_slice(&problems)));
    snprintf(ret->warnings, sizeof(ret->warnings), "%.*s", SLICE_ARGS(buffer_slice(&warnings)));
    buffer_release(&problems);
    buffer_release(&warnings);
}

static bool has_line_for(const char *text, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, len) == 0 && (line[len] == '=' || line[len] == ' '))
            return true;
    return false;
}

static unsigned lines(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* good NULL: every text is. bad NULL: none is. */
static const struct {
    const char *name, *good, *bad[4];
} variables[] = {
    {P "LOG_FORMAT", "JSON", {"xml", "1"}},
    {P "ACCESS_LOG", "apache", {"nginx"}},
    {P "INBOUND_LISTEN_ADDR", "[::]:4143", {"4143", "localhost:1", "0.0.0.0:65536", "::1:80"}},
    {P "OUTBOUND_LISTEN_ADDR", "127.0.0.1:4140", {":4140", "127.0.0.1", "127.0.0.1:"}},
    {P "OUTBOUND_LISTEN_ADDRS", "127.0.0.1:4140,[::1]:4140", {"127.0.0.1:1,[::1]:2,0.0.0.0:3", "x", "127.0.0.1:1,y"}},
    {P "CONTROL_LISTEN_ADDR", "0.0.0.0:4190", {"x"}},
    {P "ADMIN_LISTEN_ADDR", "[::1]:4191", {"[::1:4191"}},
    {P "INBOUND_DETECT_TIMEOUT", "10s", {"10", "s", "-1s", "1.5s"}},
    {P "OUTBOUND_DETECT_TIMEOUT", "365d", {"ten", "99999999999999999999s"}},
    {P "INBOUND_CONNECT_TIMEOUT", "100ms", {"100 us"}},
    {P "OUTBOUND_CONNECT_TIMEOUT", "1m", {"1w"}},
    {P "INBOUND_ACCEPT_KEEPALIVE", "10000ms", {"x"}},
    {P "OUTBOUND_ACCEPT_KEEPALIVE", "1h", {"x"}},
    {P "INBOUND_CONNECT_KEEPALIVE", "0", {"x"}},
    {P "OUTBOUND_CONNECT_KEEPALIVE", "1s", {"x"}},
    {P "INBOUND_ACCEPT_USER_TIMEOUT", "30s", {"x"}},
    {P "OUTBOUND_ACCEPT_USER_TIMEOUT", "30s", {"x"}},
    {P "INBOUND_CONNECT_USER_TIMEOUT", "30s", {"x"}},
    {P "OUTBOUND_CONNECT_USER_TIMEOUT", "30s", {"x"}},
    {P "INBOUND_TCP_LISTEN_BACKLOG", "1024", {"0", "-1", "2147483648"}},
    {P "OUTBOUND_TCP_LISTEN_BACKLOG", "1", {"many"}},
    {P "INBOUND_HTTP_QUEUE_CAPACITY", "5", {"-1", "4294967296", "1k"}},
    {P "OUTBOUND_HTTP_QUEUE_CAPACITY", "5", {"x"}},
    {P "OUTBOUND_TCP_QUEUE_CAPACITY", "5", {"x"}},
    {P "INBOUND_HTTP_FAILFAST_TIMEOUT", "1s", {"x"}},
    {P "OUTBOUND_HTTP_FAILFAST_TIMEOUT", "1s", {"x"}},
    {P "OUTBOUND_TCP_FAILFAST_TIMEOUT", "1s", {"x"}},
    {P "INBOUND_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT", "1s", {"x"}},
    {P "OUTBOUND_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT", "1s", {"x"}},
    {P "INBOUND_MAX_IN_FLIGHT", "7", {"x"}},
    {P "OUTBOUND_MAX_IN_FLIGHT", "7", {"x"}},
    {P "INBOUND_DISCOVERY_IDLE_TIMEOUT", "1s", {"x"}},
    {P "OUTBOUND_DISCOVERY_IDLE_TIMEOUT", "1s", {"x"}},
    {P "MAX_IDLE_CONNS_PER_ENDPOINT", "7", {"x"}},
    {P "OUTBOUND_MAX_IDLE_CONNS_PER_ENDPOINT", "7", {"x"}},
    {P "INBOUND_SERVER_HTTP2_INITIAL_STREAM_WINDOW_SIZE", "65535", {"0", "2147483648"}},
    {P "OUTBOUND_SERVER_HTTP2_INITIAL_STREAM_WINDOW_SIZE", "65535", {"0"}},
    {P "INBOUND_SERVER_HTTP2_INITIAL_CONNECTION_WINDOW_SIZE", "1048576", {"0"}},
    {P "OUTBOUND_SERVER_HTTP2_INITIAL_CONNECTION_WINDOW_SIZE", "1048576", {"x"}},
    {P "INBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL", "10s", {"10"}},
    {P "OUTBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL", "10s", {"x"}},
    {P "INBOUND_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT", "3s", {"x"}},
    {P "OUTBOUND_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT", "3s", {"x"}},
    {P "INBOUND_SERVER_HTTP2_MAX_CONCURRENT_STREAMS", "100", {"x"}},
    {P "OUTBOUND_SERVER_HTTP2_MAX_CONCURRENT_STREAMS", "100", {"x"}},
    {P "INBOUND_SERVER_HTTP2_MAX_FRAME_SIZE", "16384", {"16383", "16777216"}},
    {P "OUTBOUND_SERVER_HTTP2_MAX_FRAME_SIZE", "16777215", {"1"}},
    {P "INBOUND_SERVER_HTTP2_MAX_HEADER_LIST_SIZE", "65536", {"x"}},
    {P "OUTBOUND_SERVER_HTTP2_MAX_HEADER_LIST_SIZE", "65536", {"x"}},
    {P "INBOUND_SERVER_HTTP2_MAX_PENDING_ACCEPT_RESET_STREAMS", "20", {"x"}},
    {P "OUTBOUND_SERVER_HTTP2_MAX_PENDING_ACCEPT_RESET_STREAMS", "20", {"x"}},
    {P "HTTP2_INITIAL_STREAM_WINDOW_SIZE", "65535", {"0", "x"}},
    {P "HTTP2_INITIAL_CONNECTION_WINDOW_SIZE", "1048576", {"2147483648"}},
    {P "INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION", " 25, 3306,8000-8100,", {"0", "65536", "http", "20-10"}},
    {P "INBOUND_PORTS", "80", {"80-", "-80", "80,,x"}},
    {P "INBOUND_PORTS_REQUIRE_IDENTITY", "1-65535", {"1-65536"}},
    {P "INBOUND_PORTS_REQUIRE_TLS", "443", {"443/tcp"}},
    {P "INBOUND_DEFAULT_POLICY", "cluster-authenticated", {"allow", "Deny all"}},
    {P "INBOUND_IPS", "10.1.2.3,fd00::1", {"10.1.2", "web"}},
    {P "POLICY_CLUSTER_NETWORKS", "10.0.0.0/8,fd00::/8", {"10.0.0.0/33", "fd00::/129"}},
    {P "DESTINATION_PROFILE_NETWORKS", "10.0.0.0/8", {"10.0.0.0/-1", "all"}},
    {P "DESTINATION_PROFILE_INITIAL_TIMEOUT", "500ms", {"x"}},
    {P "INBOUND_METRICS_AUTHORITY_LABELS", "unsafe", {"true", "safe"}},
    {P "OUTBOUND_METRICS_HOSTNAME_LABELS", "true", {"yes", "1"}},
    {P "OUTBOUND_DISABLE_INFORMATIONAL_HEADERS", "False", {"0"}},
    {P "CONTROL_STREAM_INITIAL_TIMEOUT", "3s", {"x"}},
    {P "CONTROL_STREAM_IDLE_TIMEOUT", "5m", {"x"}},
    {P "CONTROL_STREAM_LIFETIME", "1h", {"x"}},
    {P "IDENTITY_MIN_REFRESH", "1m", {"x"}},
    {P "IDENTITY_MAX_REFRESH", "1h", {"x"}},
    {P "DNS_MIN_TTL", "1s", {"x"}},
    {P "DNS_MAX_TTL", "1s", {"x"}},
    {P "METRICS_RETAIN_IDLE", "10m", {"x"}},
    {P "SHUTDOWN_GRACE_PERIOD", "2m", {"x"}},
    {P "SHUTDOWN_ENDPOINT_ENABLED", "true", {"on"}},
    {P "DESTINATION_SVC_ADDR", "127.0.0.1:8086", {"dst", "dst:", ":8086", "dst:0"}},
    {P "IDENTITY_SVC_ADDR", "[::1]:8080", {"id:65536", "id:http"}},
    {P "CORES", "4", {"257", "x", "-1"}},
    {P "CORES_MIN", "2", {"x", "300"}},
    {P "CORES_MAX", "8", {"x", "300"}},
    {P "CORES_MAX_RATIO", "0.5", {"0", "1.1", "nan", "half"}},
};
enum { VARIABLES = sizeof(variables) / sizeof(variables[0]) };

static void test_good_values(void **state)
{
    struct outcome out;

    for (size_t i = 0; i < VARIABLES; i++) {
        struct environment env = usual();
        char spaced[128];

        set(&env, variables[i].name, variables[i].good);
        read_with(&env, 8, &out);
        if (out.r < 0)
            fail_msg("%s", out.problems);
        config_release(&out.config);
        snprintf(spaced, sizeof(spaced), " %s ", variables[i].good);
        set(&env, variables[i].name, spaced);
        read_with(&env, 8, &out);
        if (out.r < 0)
            fail_msg("with spaces: %s", out.problems);
        config_release(&out.config);
    }
}

static void test_empty_is_unset(void **state)
{
    struct outcome out;

    for (size_t i = 0; i < VARIABLES; i++) {
        struct environment env = usual();

        if (strstr(variables[i].name, "_SVC_ADDR"))
            continue; /* those have no default */
        set(&env, variables[i].name, "");
        read_with(&env, 8, &out);
        if (out.r < 0)
            fail_msg("%s", out.problems);
        config_release(&out.config);
    }
}

static void test_bad_values(void **state)
{
    struct outcome out;

    for (size_t i = 0; i < VARIABLES; i++)
        for (int j = 0; j < 4 && variables[i].bad[j]; j++) {
            struct environment env = usual();
            char shown[64];

            set(&env, variables[i].name, variables[i].bad[j]);
            read_with(&env, 8, &out);
            if (out.r != -EINVAL || !has_line_for(out.problems, variables[i].name))
                fail_msg("%s=%s: %d, \"%s\"", variables[i].name, variables[i].bad[j], out.r, out.problems);
            snprintf(shown, sizeof(shown), "=\"%s\"", variables[i].bad[j]);
            if (!strstr(out.problems, shown)) /* the value is shown as it was given */
                fail_msg("%s not in \"%s\"", shown, out.problems);
        }
}

static void test_all_at_once(void **state)
{
    struct environment env = usual();
    struct outcome out;

    for (size_t i = 0; i < VARIABLES; i++)
        set(&env, variables[i].name, variables[i].bad[0]);
    read_with(&env, 8, &out);
    assert_int_equal(out.r, -EINVAL);
    for (size_t i = 0; i < VARIABLES; i++)
        if (!has_line_for(out.problems, variables[i].name))
            fail_msg("%s is not in:\n%s", variables[i].name, out.problems);
}

static void test_missing(void **state)
{
    struct environment env = {.count = 0};
    struct outcome out;

    read_with(&env, 1, &out);
    assert_int_equal(out.r, -EINVAL);
    assert_int_equal(lines(out.problems), LEAST);
    for (size_t i = 0; i < LEAST; i++)
        if (!has_line_for(out.problems, least[i].name))
            fail_msg("%s is not in:\n%s", least[i].name, out.problems);
    for (size_t i = 0; i < LEAST; i++) {
        env = usual();
        set(&env, least[i].name, NULL);
        read_with(&env, 1, &out);
        assert_int_equal(lines(out.problems), 1);
        assert_true(has_line_for(out.problems, least[i].name));
    }
}

static struct config read_good(struct environment *env, unsigned cpus)
{
    static struct outcome out; /* large */

    read_with(env, cpus, &out);
    if (out.r < 0)
        fail_msg("%s", out.problems);
    return out.config;
}

static void expect_addr(struct addr addr, const char *text)
{
    char shown[ADDR_TEXT_MAX];

    assert_string_equal(addr_format(addr, shown), text);
}

static void test_defaults(void **state)
{
    struct environment env = usual();
    struct config c = read_good(&env, 8);
    static const int64_t s = NS_PER_S, ms = NS_PER_MS;

    assert_true(slice_eq(c.log_filter, SLICE_LIT("warn,linkerd=info,hickory=error")));
    assert_int_equal(c.log_format, LOG_PLAIN);
    assert_int_equal(c.access_log, ACCESS_LOG_OFF);
    expect_addr(c.inbound.listen[0], "0.0.0.0:4143");
    expect_addr(c.outbound.listen[0], "127.0.0.1:4140");
    expect_addr(c.admin_listen, "127.0.0.1:4191");
    expect_addr(c.control_listen, "0.0.0.0:4190");
    assert_int_equal(c.inbound.listen_count, 1);
    assert_int_equal(c.outbound.listen_count, 1);
    assert_int_equal(c.inbound.detect_timeout_ns, 10 * s);
    assert_int_equal(c.outbound.detect_timeout_ns, 10 * s);
    assert_int_equal(c.inbound.connect_timeout_ns, 300 * ms);
    assert_int_equal(c.outbound.connect_timeout_ns, 1 * s);
    assert_int_equal(c.inbound.connect_backoff.min_ns, 100 * ms);
    assert_int_equal(c.inbound.connect_backoff.max_ns, 10 * s);
    assert_int_equal(c.outbound.connect_backoff.max_ns, 60 * s);
    assert_true(c.outbound.connect_backoff.jitter == 0.1);
    assert_int_equal(c.inbound.http_failfast_ns, 1 * s);
    assert_int_equal(c.outbound.http_failfast_ns, 3 * s);
    assert_int_equal(c.outbound.tcp_failfast_ns, 3 * s);
    assert_int_equal(c.inbound.http_queue, 10000);
    assert_int_equal(c.outbound.http_queue, 10000);
    assert_int_equal(c.outbound.tcp_queue, 10000);
    assert_int_equal(c.inbound.max_in_flight, 100000);
    assert_int_equal(c.outbound.max_in_flight, 100000);
    assert_int_equal(c.inbound.max_idle_per_endpoint, 10000);
    assert_int_equal(c.outbound.max_idle_per_endpoint, 10000);
    assert_int_equal(c.inbound.pool_idle_ns, 3 * s);
    assert_int_equal(c.outbound.pool_idle_ns, 3 * s);
    assert_int_equal(c.inbound.discovery_idle_ns, 90 * s);
    assert_int_equal(c.outbound.discovery_idle_ns, 5 * s);
    assert_int_equal(c.inbound.accept_options.keepalive_ns, 0);
    assert_int_equal(c.outbound.connect_options.user_timeout_ns, 0);
    assert_int_equal(c.inbound.listen_backlog, 0);
    assert_int_equal(c.inbound.ping_interval_ns, 0);
    assert_int_equal(c.h2_stream_window, 65535);
    assert_int_equal(c.h2_connection_window, 1048576);
    assert_int_equal(c.inbound_default_policy, DEFAULT_ALL_UNAUTHENTICATED);
    assert_int_equal(c.inbound_ips.count + c.cluster_networks.count + c.profile_networks.count, 0);
    assert_int_equal(c.inbound_opaque.count + c.inbound_ports.count + c.require_identity.count + c.require_tls.count, 0);
    assert_int_equal(c.profile_suffixes.count, 1);
    assert_true(slice_eq(c.profile_suffixes.items[0], SLICE_LIT("svc.cluster.local")));
    assert_int_equal(c.profile_initial_timeout_ns, 500 * ms);
    assert_false(c.authority_labels || c.hostname_labels || c.shutdown_endpoint);
    assert_true(c.informational_headers);
    assert_int_equal(c.stream_initial_timeout_ns | c.stream_idle_timeout_ns | c.stream_lifetime_ns, 0);
    assert_int_equal(c.identity_min_refresh_ns, 10 * s);
    assert_int_equal(c.identity_max_refresh_ns, 86400 * s);
    assert_int_equal(c.dns_min_ttl_ns | c.dns_max_ttl_ns, 0);
    assert_int_equal(c.metrics_retain_ns, 600 * s);
    assert_int_equal(c.shutdown_grace_ns, 120 * s);
    assert_int_equal(c.workers, 1);
    assert_int_equal(c.takeover_socket.len, 0);
    assert_true(slice_eq(c.server_name, c.local_name));
    config_release(&c);
}

static void test_cores(void **state)
{
    static const struct {
        const char *cores, *least, *most, *ratio;
        unsigned cpus, workers;
    } cases[] = {
        {NULL, NULL, NULL, NULL, 8, 1}, {"3", NULL, NULL, NULL, 8, 3}, {"3", NULL, NULL, NULL, 2, 3},
        {NULL, "2", NULL, NULL, 8, 2},  {NULL, "2", "6", NULL, 8, 6},  {NULL, "2", "6", NULL, 4, 4},
        {NULL, "2", "1", NULL, 8, 2},   {NULL, NULL, NULL, "0.5", 8, 4}, {NULL, NULL, NULL, "1", 8, 8},
        {NULL, "2", NULL, "0.1", 8, 2}, {"3", "2", NULL, NULL, 8, 2},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct environment env = usual();
        struct config config;

        set(&env, P "CORES", cases[i].cores);
        set(&env, P "CORES_MIN", cases[i].least);
        set(&env, P "CORES_MAX", cases[i].most);
        set(&env, P "CORES_MAX_RATIO", cases[i].ratio);
        config = read_good(&env, cases[i].cpus);
        if (config.workers != cases[i].workers)
            fail_msg("case %zu: %u workers", i, config.workers);
        config_release(&config);
    }
}

static void test_backoff(void **state)
{
    static const struct {
        const char *min, *max, *jitter;
        bool good;
    } cases[] = {
        {"1s", "2s", NULL, true},  {"1s", "1s", "0.5", true}, {NULL, NULL, "0.5", true}, {"1s", NULL, NULL, false},
        {NULL, "1s", NULL, false}, {"2s", "1s", NULL, false}, {"0", "1s", NULL, false},  {"1s", "2s", "-1", false},
        {"1s", "2s", "x", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct environment env = usual();
        struct outcome out;

        set(&env, P "OUTBOUND_CONNECT_EXP_BACKOFF_MIN", cases[i].min);
        set(&env, P "OUTBOUND_CONNECT_EXP_BACKOFF_MAX", cases[i].max);
        set(&env, P "OUTBOUND_CONNECT_EXP_BACKOFF_JITTER", cases[i].jitter);
        read_with(&env, 1, &out);
        if ((out.r == 0) != cases[i].good)
            fail_msg("case %zu: %s", i, out.problems);
        if (out.r < 0) {
            assert_non_null(strstr(out.problems, P "OUTBOUND_CONNECT_EXP_BACKOFF_"));
            continue;
        }
        if (!cases[i].jitter)
            assert_true(out.config.outbound.connect_backoff.jitter == 0); /* given without: none */
        config_release(&out.config);
    }
}

static void test_control_addresses(void **state)
{
    struct environment env = usual();
    struct outcome out;
    struct config config;

    set(&env, P "DESTINATION_SVC_ADDR", "dst.linkerd.svc.cluster.local.:8086");
    read_with(&env, 1, &out);
    assert_int_equal(out.r, -EINVAL); /* not on loopback: who is it? */
    assert_true(has_line_for(out.problems, P "DESTINATION_SVC_NAME"));
    set(&env, P "DESTINATION_SVC_NAME", "destination.linkerd");
    set(&env, P "IDENTITY_SVC_ADDR", "[::1]:8080");
    set(&env, P "IDENTITY_SVC_NAME", "not needed");
    config = read_good(&env, 1);
    assert_true(slice_eq(config.destination.host, SLICE_LIT("dst.linkerd.svc.cluster.local")));
    assert_int_equal(config.destination.port, 8086);
    assert_true(slice_eq(config.destination.identity, SLICE_LIT("destination.linkerd")));
    assert_true(slice_eq(config.identity.host, SLICE_LIT("::1")));
    assert_int_equal(config.identity.identity.len, 0);
    assert_false(config.policy.configured);
    config_release(&config);

    set(&env, P "POLICY_SVC_ADDR", "localhost:8090");
    read_with(&env, 1, &out);
    assert_true(has_line_for(out.problems, P "POLICY_WORKLOAD"));
    set(&env, P "POLICY_WORKLOAD", "{}");
    config = read_good(&env, 1);
    assert_true(config.policy.configured);
    config_release(&config);
}

static void test_identity(void **state)
{
    struct environment env = usual();
    struct outcome out;
    struct config config;

    set(&env, P "IDENTITY_SERVER_ID", "spiffe://root/ns/x");
    set(&env, P "IDENTITY_SERVER_NAME", "x.local");
    config = read_good(&env, 1);
    assert_true(slice_eq(config.local_name, SLICE_LIT("spiffe://root/ns/x")));
    assert_true(slice_eq(config.server_name, SLICE_LIT("x.local")));
    config_release(&config);
    set(&env, P "IDENTITY_DISABLED", "disabled");
    set(&env, P "IDENTITY_MIN_REFRESH", "2h");
    set(&env, P "IDENTITY_MAX_REFRESH", "1h");
    read_with(&env, 1, &out);
    assert_true(has_line_for(out.problems, P "IDENTITY_DISABLED"));
    assert_true(has_line_for(out.problems, P "IDENTITY_MIN_REFRESH"));
}

static void test_lists(void **state)
{
    struct environment env = usual();
    struct config config;
    struct ip ip;

    set(&env, P "INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION", " 25, 3306,8000-8100,");
    set(&env, P "INBOUND_IPS", "10.1.2.3, fd00::1");
    set(&env, P "DESTINATION_PROFILE_SUFFIXES", "svc.cluster.local., example.org");
    set(&env, P "OUTBOUND_LISTEN_ADDRS", "127.0.0.1:1140,[::1]:1140");
    config = read_good(&env, 1);
    assert_true(port_ranges_have(&config.inbound_opaque, 25));
    assert_true(port_ranges_have(&config.inbound_opaque, 8000));
    assert_true(port_ranges_have(&config.inbound_opaque, 8100));
    assert_false(port_ranges_have(&config.inbound_opaque, 7999));
    assert_false(port_ranges_have(&config.inbound_opaque, 8101));
    assert_int_equal(ip_parse(SLICE_LIT("10.1.2.3"), &ip), 0);
    assert_true(networks_have(&config.inbound_ips, ip));
    assert_int_equal(ip_parse(SLICE_LIT("10.1.2.4"), &ip), 0);
    assert_false(networks_have(&config.inbound_ips, ip));
    assert_int_equal(config.outbound.listen_count, 2);
    expect_addr(config.outbound.listen[1], "[::1]:1140");
    assert_true(names_cover(&config.profile_suffixes, SLICE_LIT("web.ns.SVC.cluster.local")));
    assert_true(names_cover(&config.profile_suffixes, SLICE_LIT("example.org")));
    assert_false(names_cover(&config.profile_suffixes, SLICE_LIT("badexample.org")));
    assert_false(names_cover(&config.profile_suffixes, SLICE_LIT("org")));
    config_release(&config);
    set(&env, P "DESTINATION_PROFILE_SUFFIXES", ".");
    config = read_good(&env, 1);
    assert_true(names_cover(&config.profile_suffixes, SLICE_LIT("anything")));
    config_release(&config);
}

/* Whom an ingress controller serves is told less, unless it is asked for. */
static void test_ingress_mode(void **state)
{
    struct environment env = usual();
    struct config config = read_good(&env, 1);

    assert_false(config.ingress_mode);
    assert_true(config.informational_headers);
    config_release(&config);
    set(&env, P "INGRESS_MODE", "true");
    config = read_good(&env, 1);
    assert_true(config.ingress_mode);
    assert_false(config.informational_headers);
    config_release(&config);
    set(&env, P "OUTBOUND_DISABLE_INFORMATIONAL_HEADERS", "false");
    config = read_good(&env, 1);
    assert_true(config.informational_headers);
    config_release(&config);
}

static void test_warnings(void **state)
{
    struct environment env = usual();
    struct outcome out;

    read_with(&env, 1, &out);
    assert_string_equal(out.warnings, "");
    config_release(&out.config);
    set(&env, P "TAP_SVC_NAME", "tap.linkerd");
    read_with(&env, 1, &out);
    assert_int_equal(out.r, 0);
    assert_int_equal(lines(out.warnings), 1);
    assert_non_null(strstr(out.warnings, P "TAP_SVC_NAME: tap is not available yet\n"));
    config_release(&out.config);
}

/* The readers ask for exactly the names that the table says are read or warned about. */
struct asked {
    struct environment env;
    bool seen[PAIRS_MAX * 2];
};

static const char *note(void *owner, const char *name)
{
    struct asked *asked = owner;
    const struct variable_info *info = variable_info_find(slice_str(name));

    if (!info)
        fail_msg("%s is read and not in variables.c", name);
    else
        asked->seen[info - variable_infos] = true;
    return find(&asked->env, name);
}

static void test_table(void **state)
{
    struct asked asked = {.env = usual()};
    struct buffer problems, warnings;
    struct config config;

    assert_true(variable_info_count <= PAIRS_MAX * 2);
    set(&asked.env, P "POLICY_SVC_ADDR", "localhost.:8090");
    set(&asked.env, P "POLICY_WORKLOAD", "{}");
    buffer_init(&problems, 4096);
    buffer_init(&warnings, 4096);
    assert_int_equal(config_read(note, &asked, 1, &problems, &warnings, &config), 0);
    for (unsigned i = 0; i < variable_info_count; i++) {
        const struct variable_info *info = &variable_infos[i];

        if (info->use != USE_NOTHING && !asked.seen[i])
            fail_msg("%s is in variables.c and never read", info->name);
        if (variable_info_find(slice_str(info->name)) != info)
            fail_msg("%s is there twice", info->name);
        assert_true(info->fallback[0] && info->text[0]);
    }
    config_release(&config);
    buffer_release(&problems);
    buffer_release(&warnings);
}

static void test_unknown_names(void **state)
{
    const char *environment[] = {"PATH=/bin", P "LOG=info", P "LOGG=info", "CLINKERD_PROXY_TAKEOVER_SOCKET=/x", "CLINKERD_PROXY_X",
                           P "BUFFER_CAPACITY=10", NULL};
    struct buffer warnings;

    buffer_init(&warnings, 4096);
    variables_warn_unknown(environment, &warnings);
    buffer_add_byte(&warnings, '\0');
    assert_int_equal(lines(warnings.data), 2);
    assert_non_null(strstr(warnings.data, P "LOGG is not a variable of this proxy"));
    assert_non_null(strstr(warnings.data, "CLINKERD_PROXY_X is not"));
    buffer_release(&warnings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_values), cmocka_unit_test(test_empty_is_unset), cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_all_at_once), cmocka_unit_test(test_missing),        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_cores),       cmocka_unit_test(test_backoff),        cmocka_unit_test(test_control_addresses),
        cmocka_unit_test(test_identity),    cmocka_unit_test(test_lists),          cmocka_unit_test(test_ingress_mode),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_table),       cmocka_unit_test(test_unknown_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
