#include "proxy/config.h"

#include <errno.h>
#include <stdio.h>

#include "base/duration.h"
#include "base/limits.h"
#include "proxy/variables.h"

#define PREFIX "LINKERD2_PROXY_"

/* Where reading stands: everything that is wrong is collected, nothing ends it early. */
struct reader {
    config_lookup lookup;
    void *owner;
    struct arena *arena;
    struct buffer *problems, *warnings;
};

static void problem(struct reader *reader, const char *name, const char *value, const char *expected)
{
    if (value)
        buffer_printf(reader->problems, "%s=\"%.200s\" is not valid: expected %s\n", name, value, expected);
    else
        buffer_printf(reader->problems, "%s is not set: expected %s\n", name, expected);
}

/* The value with spaces at both ends removed, in the arena; .ptr NULL when not set. */
static struct slice text_of(struct reader *reader, const char *name)
{
    const char *value = reader->lookup(reader->owner, name);

    return value ? arena_dup(reader->arena, slice_trim(slice_str(value))) : SLICE_NULL;
}

/* --- one reader for each kind of value: `at` keeps its default when the variable is not set or empty --- */

typedef void (*read_value)(struct reader *reader, const char *name, struct slice text, void *at);

static void read_duration(struct reader *reader, const char *name, struct slice text, void *at)
{
    if (duration_parse(text, at) < 0)
        problem(reader, name, text.ptr, "a duration: a whole number and ms, s, m, h or d, as \"10s\"");
}

static void read_u32(struct reader *reader, const char *name, struct slice text, void *at)
{
    uint64_t number;

    if (slice_u64(text, UINT32_MAX, &number) < 0)
        problem(reader, name, text.ptr, "a whole number up to 4294967295");
    else
        *(uint32_t *)at = (uint32_t)number;
}

static void read_h2_window(struct reader *reader, const char *name, struct slice text, void *at)
{
    uint64_t number;

    if (slice_u64(text, INT32_MAX, &number) < 0 || number == 0)
        problem(reader, name, text.ptr, "a window size from 1 to 2147483647 bytes (RFC 9113)");
    else
        *(uint32_t *)at = (uint32_t)number;
}

static void read_h2_frame(struct reader *reader, const char *name, struct slice text, void *at)
{
    uint64_t number;

    if (slice_u64(text, 16777215, &number) < 0 || number < 16384)
        problem(reader, name, text.ptr, "a frame size from 16384 to 16777215 bytes (RFC 9113)");
    else
        *(uint32_t *)at = (uint32_t)number;
}

static void read_backlog(struct reader *reader, const char *name, struct slice text, void *at)
{
    uint64_t number;

    if (slice_u64(text, INT32_MAX, &number) < 0 || number == 0)
        problem(reader, name, text.ptr, "a number of connections from 1 to 2147483647");
    else
        *(int *)at = (int)number;
}

static void read_bool(struct reader *reader, const char *name, struct slice text, void *at)
{
    if (slice_eq_nocase(text, SLICE_LIT("true")))
        *(bool *)at = true;
    else if (slice_eq_nocase(text, SLICE_LIT("false")))
        *(bool *)at = false;
    else
        problem(reader, name, text.ptr, "true or false");
}

static void read_not_bool(struct reader *reader, const char *name, struct slice text, void *at)
{
    read_bool(reader, name, text, at);
    *(bool *)at = !*(bool *)at;
}

static void read_text(struct reader *reader, const char *name, struct slice text, void *at)
{
    *(struct slice *)at = text;
}

static void read_addr(struct reader *reader, const char *name, struct slice text, void *at)
{
    if (addr_parse(text, at) < 0)
        problem(reader, name, text.ptr, "an address with a port, as \"0.0.0.0:4143\" or \"[::]:4143\"");
}

static void read_ratio(struct reader *reader, const char *name, struct slice text, void *at)
{
    char *end;
    double ratio = strtod(text.ptr, &end);

    if (end == text.ptr || *end || !(ratio >= 0) || ratio > 100)
        problem(reader, name, text.ptr, "a ratio, as \"0.1\"");
    else
        *(double *)at = ratio;
}

static void read_ports(struct reader *reader, const char *name, struct slice text, void *at)
{
    struct port_ranges *ranges = at;
    struct slice rest = text, part;
    size_t most = 1;

    for (size_t i = 0; i < text.len; i++)
        most += text.ptr[i] == ',';
    ranges->count = 0;
    ranges->items = (void *)arena_zalloc(reader->arena, most, sizeof(*ranges->items));
    while (ranges->items && slice_split(&rest, ',', &part)) {
        uint64_t first, last;
        size_t dash;

        part = slice_trim(part);
        dash = slice_find(part, '-');
        if (part.len == 0)
            continue;
        if (slice_u64(slice_take(part, dash), UINT16_MAX, &first) < 0 || first == 0 ||
            (dash < part.len && slice_u64(slice_skip(part, dash + 1), UINT16_MAX, &last) < 0)) {
            problem(reader, name, text.ptr, "ports and ranges of ports from 1 to 65535, as \"25,3306,8000-8100\"");
            return;
        }
        if (dash == part.len)
            last = first;
        if (last < first) {
            problem(reader, name, text.ptr, "ranges whose first port is not above their last");
            return;
        }
        ranges->items[ranges->count].first = (uint16_t)first;
        ranges->items[ranges->count++].last = (uint16_t)last;
    }
}

static void read_networks(struct reader *reader, const char *name, struct slice text, void *at)
{
    struct networks *networks = at;
    struct slice rest = text, part;
    size_t most = 1;

    for (size_t i = 0; i < text.len; i++)
        most += text.ptr[i] == ',';
    networks->count = 0;
    networks->items = ARENA_ARRAY(reader->arena, struct cidr, most);
    while (networks->items && slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (part.len == 0)
            continue;
        if (cidr_parse(part, &networks->items[networks->count]) < 0) {
            problem(reader, name, text.ptr, "addresses or networks, as \"10.0.0.0/8,fd00::/8\"");
            return;
        }
        networks->count++;
    }
}

static void read_names(struct reader *reader, const char *name, struct slice text, void *at)
{
    struct names *names = at;
    struct slice rest = text, part;
    size_t most = 1;

    for (size_t i = 0; i < text.len; i++)
        most += text.ptr[i] == ',';
    names->count = 0;
    names->items = ARENA_ARRAY(reader->arena, struct slice, most);
    while (names->items && slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (part.len > 1 && part.ptr[part.len - 1] == '.')
            part.len--;
        if (part.len)
            names->items[names->count++] = part;
    }
}

struct choice {
    const char *name;
    int value;
};

static int choose(const struct choice *choices, struct slice text, int *ret_value)
{
    for (; choices->name; choices++)
        if (slice_eq_nocase(text, slice_str(choices->name))) {
            *ret_value = choices->value;
            return 0;
        }
    return -EINVAL;
}

static void read_default_policy(struct reader *reader, const char *name, struct slice text, void *at)
{
    if (default_policy_parse(text, at) < 0)
        problem(reader, name, text.ptr, "deny, all-authenticated, all-unauthenticated, cluster-authenticated, "
                                        "cluster-unauthenticated or audit");
}

static void read_log_format(struct reader *reader, const char *name, struct slice text, void *at)
{
    static const struct choice choices[] = {{"plain", LOG_PLAIN}, {"json", LOG_JSON}, {NULL, 0}};
    int value;

    if (choose(choices, text, &value) < 0)
        problem(reader, name, text.ptr, "plain or json");
    else
        *(enum log_format *)at = (enum log_format)value;
}

static void read_access_log(struct reader *reader, const char *name, struct slice text, void *at)
{
    static const struct choice choices[] = {
        {"apache", ACCESS_LOG_APACHE}, {"json", ACCESS_LOG_JSON}, {"none", ACCESS_LOG_OFF}, {NULL, 0}};
    int value;

    if (choose(choices, text, &value) < 0)
        problem(reader, name, text.ptr, "apache or json");
    else
        *(enum access_log *)at = (enum access_log)value;
}

static void read_authority_labels(struct reader *reader, const char *name, struct slice text, void *at)
{
    *(bool *)at = slice_eq(text, SLICE_LIT("unsafe"));
    if (!*(bool *)at)
        problem(reader, name, text.ptr, "\"unsafe\", as the only value that turns these labels on");
}

/* --- the variables --- */

struct variable {
    const char *name;
    read_value read;
    size_t offset;
};

#define AT(member) offsetof(struct config, member)
#define DIRECTION(NAME, member)                                                                             \
    {PREFIX NAME "_DETECT_TIMEOUT", read_duration, AT(member.detect_timeout_ns)},                           \
        {PREFIX NAME "_CONNECT_TIMEOUT", read_duration, AT(member.connect_timeout_ns)},                     \
        {PREFIX NAME "_ACCEPT_KEEPALIVE", read_duration, AT(member.accept_options.keepalive_ns)},           \
        {PREFIX NAME "_CONNECT_KEEPALIVE", read_duration, AT(member.connect_options.keepalive_ns)},         \
        {PREFIX NAME "_ACCEPT_USER_TIMEOUT", read_duration, AT(member.accept_options.user_timeout_ns)},     \
        {PREFIX NAME "_CONNECT_USER_TIMEOUT", read_duration, AT(member.connect_options.user_timeout_ns)},   \
        {PREFIX NAME "_TCP_LISTEN_BACKLOG", read_backlog, AT(member.listen_backlog)},                       \
        {PREFIX NAME "_HTTP_QUEUE_CAPACITY", read_u32, AT(member.http_queue)},                              \
        {PREFIX NAME "_HTTP_FAILFAST_TIMEOUT", read_duration, AT(member.http_failfast_ns)},                 \
        {PREFIX NAME "_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT", read_duration, AT(member.pool_idle_ns)},        \
        {PREFIX NAME "_MAX_IN_FLIGHT", read_u32, AT(member.max_in_flight)},                                 \
        {PREFIX NAME "_DISCOVERY_IDLE_TIMEOUT", read_duration, AT(member.discovery_idle_ns)},               \
        {PREFIX NAME "_SERVER_HTTP2_INITIAL_STREAM_WINDOW_SIZE", read_h2_window, AT(member.stream_window)}, \
        {PREFIX NAME "_SERVER_HTTP2_INITIAL_CONNECTION_WINDOW_SIZE", read_h2_window,                        \
         AT(member.connection_window)},                                                                     \
        {PREFIX NAME "_SERVER_HTTP2_KEEP_ALIVE_INTERVAL", read_duration, AT(member.ping_interval_ns)},      \
        {PREFIX NAME "_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT", read_duration, AT(member.ping_timeout_ns)},        \
        {PREFIX NAME "_SERVER_HTTP2_MAX_CONCURRENT_STREAMS", read_u32, AT(member.max_streams)},             \
        {PREFIX NAME "_SERVER_HTTP2_MAX_FRAME_SIZE", read_h2_frame, AT(member.max_frame)},                  \
        {PREFIX NAME "_SERVER_HTTP2_MAX_HEADER_LIST_SIZE", read_u32, AT(member.max_header_list)},           \
        {PREFIX NAME "_SERVER_HTTP2_MAX_PENDING_ACCEPT_RESET_STREAMS", read_u32, AT(member.max_reset_streams)}

static const struct variable variables[] = {
    {PREFIX "LOG", read_text, AT(log_filter)},
    {PREFIX "LOG_FORMAT", read_log_format, AT(log_format)},
    {PREFIX "ACCESS_LOG", read_access_log, AT(access_log)},
    {PREFIX "INBOUND_LISTEN_ADDR", read_addr, AT(inbound.listen[0])},
    {PREFIX "OUTBOUND_LISTEN_ADDR", read_addr, AT(outbound.listen[0])},
    {PREFIX "CONTROL_LISTEN_ADDR", read_addr, AT(control_listen)},
    {PREFIX "ADMIN_LISTEN_ADDR", read_addr, AT(admin_listen)},
    DIRECTION("INBOUND", inbound),
    DIRECTION("OUTBOUND", outbound),
    {PREFIX "OUTBOUND_TCP_QUEUE_CAPACITY", read_u32, AT(outbound.tcp_queue)},
    {PREFIX "OUTBOUND_TCP_FAILFAST_TIMEOUT", read_duration, AT(outbound.tcp_failfast_ns)},
    {PREFIX "MAX_IDLE_CONNS_PER_ENDPOINT", read_u32, AT(inbound.max_idle_per_endpoint)},
    {PREFIX "OUTBOUND_MAX_IDLE_CONNS_PER_ENDPOINT", read_u32, AT(outbound.max_idle_per_endpoint)},
    {PREFIX "HTTP2_INITIAL_STREAM_WINDOW_SIZE", read_h2_window, AT(h2_stream_window)},
    {PREFIX "HTTP2_INITIAL_CONNECTION_WINDOW_SIZE", read_h2_window, AT(h2_connection_window)},
    {PREFIX "INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION", read_ports, AT(inbound_opaque)},
    {PREFIX "INBOUND_PORTS", read_ports, AT(inbound_ports)},
    {PREFIX "INBOUND_PORTS_REQUIRE_IDENTITY", read_ports, AT(require_identity)},
    {PREFIX "INBOUND_PORTS_REQUIRE_TLS", read_ports, AT(require_tls)},
    {PREFIX "INBOUND_DEFAULT_POLICY", read_default_policy, AT(inbound_default_policy)},
    {PREFIX "INBOUND_IPS", read_networks, AT(inbound_ips)},
    {PREFIX "POLICY_CLUSTER_NETWORKS", read_networks, AT(cluster_networks)},
    {PREFIX "DESTINATION_PROFILE_NETWORKS", read_networks, AT(profile_networks)},
    {PREFIX "DESTINATION_PROFILE_SUFFIXES", read_names, AT(profile_suffixes)},
    {PREFIX "DESTINATION_PROFILE_INITIAL_TIMEOUT", read_duration, AT(profile_initial_timeout_ns)},
    {PREFIX "INBOUND_METRICS_AUTHORITY_LABELS", read_authority_labels, AT(authority_labels)},
    {PREFIX "OUTBOUND_METRICS_HOSTNAME_LABELS", read_bool, AT(hostname_labels)},
    {PREFIX "OUTBOUND_DISABLE_INFORMATIONAL_HEADERS", read_not_bool, AT(informational_headers)},
    {PREFIX "INGRESS_MODE", read_bool, AT(ingress_mode)},
    {PREFIX "DESTINATION_CONTEXT", read_text, AT(destination_context)},
    {PREFIX "POLICY_WORKLOAD", read_text, AT(policy_workload)},
    {PREFIX "CONTROL_STREAM_INITIAL_TIMEOUT", read_duration, AT(stream_initial_timeout_ns)},
    {PREFIX "CONTROL_STREAM_IDLE_TIMEOUT", read_duration, AT(stream_idle_timeout_ns)},
    {PREFIX "CONTROL_STREAM_LIFETIME", read_duration, AT(stream_lifetime_ns)},
    {PREFIX "IDENTITY_DIR", read_text, AT(identity_dir)},
    {PREFIX "IDENTITY_TOKEN_FILE", read_text, AT(token_file)},
    {PREFIX "IDENTITY_TRUST_ANCHORS", read_text, AT(trust_anchors)},
    {PREFIX "IDENTITY_LOCAL_NAME", read_text, AT(local_name)},
    {PREFIX "IDENTITY_MIN_REFRESH", read_duration, AT(identity_min_refresh_ns)},
    {PREFIX "IDENTITY_MAX_REFRESH", read_duration, AT(identity_max_refresh_ns)},
    {PREFIX "DNS_MIN_TTL", read_duration, AT(dns_min_ttl_ns)},
    {PREFIX "DNS_MAX_TTL", read_duration, AT(dns_max_ttl_ns)},
    {PREFIX "METRICS_RETAIN_IDLE", read_duration, AT(metrics_retain_ns)},
    {PREFIX "SHUTDOWN_GRACE_PERIOD", read_duration, AT(shutdown_grace_ns)},
    {PREFIX "SHUTDOWN_ENDPOINT_ENABLED", read_bool, AT(shutdown_endpoint)},
    {"CLINKERD_PROXY_TAKEOVER_SOCKET", read_text, AT(takeover_socket)},
};

static const int64_t S = NS_PER_S, MS = NS_PER_MS;

static void defaults(struct config *config)
{
    config->log_filter = SLICE_LIT("warn,linkerd=info,hickory=error");
    config->inbound = (struct direction_config){
        .listen_count = 1, .detect_timeout_ns = 10 * S, .connect_timeout_ns = 300 * MS,
        .connect_backoff = {.min_ns = 100 * MS, .max_ns = 10 * S, .jitter = 0.1}, .http_failfast_ns = 1 * S, .tcp_failfast_ns = 1 * S,
        .http_queue = 10000, .tcp_queue = 10000, .max_in_flight = 100000, .max_idle_per_endpoint = 10000,
        .pool_idle_ns = 3 * S, .discovery_idle_ns = 90 * S,
    };
    config->outbound = (struct direction_config){
        .listen_count = 1, .detect_timeout_ns = 10 * S, .connect_timeout_ns = 1 * S,
        .connect_backoff = {.min_ns = 100 * MS, .max_ns = 60 * S, .jitter = 0.1}, .http_failfast_ns = 3 * S, .tcp_failfast_ns = 3 * S,
        .http_queue = 10000, .tcp_queue = 10000, .max_in_flight = 100000, .max_idle_per_endpoint = 10000,
        .pool_idle_ns = 3 * S, .discovery_idle_ns = 5 * S,
    };
    (void)addr_parse(SLICE_LIT("0.0.0.0:4143"), &config->inbound.listen[0]);
    (void)addr_parse(SLICE_LIT("127.0.0.1:4140"), &config->outbound.listen[0]);
    (void)addr_parse(SLICE_LIT("127.0.0.1:4191"), &config->admin_listen);
    (void)addr_parse(SLICE_LIT("0.0.0.0:4190"), &config->control_listen);
    config->h2_stream_window = LIMIT_H2_STREAM_WINDOW;
    config->h2_connection_window = LIMIT_H2_CONNECTION_WINDOW;
    config->inbound_default_policy = DEFAULT_ALL_UNAUTHENTICATED;
    config->profile_initial_timeout_ns = 500 * MS;
    config->informational_headers = true;
    config->identity_min_refresh_ns = 10 * S;
    config->identity_max_refresh_ns = 86400 * S;
    config->metrics_retain_ns = 600 * S;
    config->shutdown_grace_ns = 120 * S;
}

static void read_backoff(struct reader *reader, const char *direction, struct backoff_config *backoff)
{
    char name[96];
    struct slice text[3];
    static const char *const parts[] = {"MIN", "MAX", "JITTER"};

    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), PREFIX "%s_CONNECT_EXP_BACKOFF_%s", direction, parts[i]);
        text[i] = text_of(reader, name);
        if (!text[i].len)
            continue;
        if (i == 2)
            read_ratio(reader, name, text[i], &backoff->jitter);
        else
            read_duration(reader, name, text[i], i ? &backoff->max_ns : &backoff->min_ns);
    }
    if ((text[0].len || text[1].len) && !text[2].len)
        backoff->jitter = 0;
    if (!text[0].len != !text[1].len || backoff->min_ns > backoff->max_ns || backoff->min_ns <= 0)
        buffer_printf(reader->problems,
                      PREFIX "%s_CONNECT_EXP_BACKOFF_MIN and _MAX are not valid: expected both, above 0, the first not "
                             "above the second\n",
                      direction);
}

/* "host.:port", with an identity unless it is on loopback. */
static void read_control(struct reader *reader, const char *service, bool required, struct control_addr *ret)
{
    char addr_name[64], id_name[64];
    struct slice text, host;
    struct ip ip;
    uint64_t port;
    size_t colon;

    snprintf(addr_name, sizeof(addr_name), PREFIX "%s_SVC_ADDR", service);
    snprintf(id_name, sizeof(id_name), PREFIX "%s_SVC_NAME", service);
    text = text_of(reader, addr_name);
    if (!text.len) {
        if (required)
            problem(reader, addr_name, NULL, "a host and port, as \"linkerd-dst-headless.linkerd.svc.cluster.local.:8086\"");
        return;
    }
    for (colon = text.len; colon > 0 && text.ptr[colon - 1] != ':'; colon--)
        ;
    host = slice_take(text, colon ? colon - 1 : 0);
    if (!host.len || slice_u64(slice_skip(text, colon), UINT16_MAX, &port) < 0 || port == 0) {
        problem(reader, addr_name, text.ptr, "a host and port, as \"linkerd-dst-headless.linkerd.svc.cluster.local.:8086\"");
        return;
    }
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = slice_of(host.ptr + 1, host.len - 2);
    else if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    ret->configured = true;
    ret->host = host;
    ret->port = (uint16_t)port;
    ret->identity = text_of(reader, id_name);
    if (slice_eq_nocase(host, SLICE_LIT("localhost")) || (ip_parse(host, &ip) == 0 && ip_is_loopback(ip)))
        ret->identity = SLICE_NULL; /* the service beside us is spoken to in plaintext */
    else if (!ret->identity.len)
        problem(reader, id_name, NULL, "the service's identity, as it is not on loopback");
}

static void read_listeners(struct reader *reader, struct config *config)
{
    struct slice rest = text_of(reader, PREFIX "OUTBOUND_LISTEN_ADDRS"), part, all = rest;
    unsigned count = 0;

    if (!rest.len)
        return;
    while (slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (!part.len)
            continue;
        if (count == 2 || addr_parse(part, &config->outbound.listen[count]) < 0) {
            problem(reader, PREFIX "OUTBOUND_LISTEN_ADDRS", all.ptr,
                    "one or two addresses with ports, as \"127.0.0.1:4140,[::1]:4140\"");
            return;
        }
        count++;
    }
    if (count)
        config->outbound.listen_count = count;
}

static void read_identity(struct reader *reader, struct config *config)
{
    struct slice id = text_of(reader, PREFIX "IDENTITY_SERVER_ID"), sni = text_of(reader, PREFIX "IDENTITY_SERVER_NAME");
    struct slice disabled = text_of(reader, PREFIX "IDENTITY_DISABLED");

    if (disabled.len)
        problem(reader, PREFIX "IDENTITY_DISABLED", disabled.ptr, "not to be set: a proxy always has an identity");
    if (id.len)
        config->local_name = id;
    config->server_name = sni.len ? sni : config->local_name;
    if (!config->local_name.len)
        problem(reader, PREFIX "IDENTITY_LOCAL_NAME", NULL,
                "the proxy's identity, as \"sa.ns.serviceaccount.identity.linkerd.cluster.local\"");
    if (!config->trust_anchors.len)
        problem(reader, PREFIX "IDENTITY_TRUST_ANCHORS", NULL, "the trust anchors in PEM");
    if (!config->token_file.len)
        problem(reader, PREFIX "IDENTITY_TOKEN_FILE", NULL, "the path of the workload's token");
    if (!config->identity_dir.len)
        problem(reader, PREFIX "IDENTITY_DIR", NULL, "a directory, which may hold key.p8 and csr.der");
    if (config->identity_min_refresh_ns > config->identity_max_refresh_ns)
        buffer_printf(reader->problems, PREFIX "IDENTITY_MIN_REFRESH is above " PREFIX "IDENTITY_MAX_REFRESH\n");
}

/* A number of threads; 0 when it is not set. */
static uint32_t read_threads(struct reader *reader, const char *name)
{
    struct slice text = text_of(reader, name);
    uint64_t number = 0;

    if (text.len && (slice_u64(text, 256, &number) < 0 || number == 0)) {
        problem(reader, name, text.ptr, "a number of threads from 1 to 256");
        return 0;
    }
    return (uint32_t)number;
}

/* The number of workers: at least CORES or CORES_MIN, at most CORES_MAX or its ratio of the processors. */
static void read_cores(struct reader *reader, unsigned cpus, struct config *config)
{
    uint32_t cores = read_threads(reader, PREFIX "CORES"), least = read_threads(reader, PREFIX "CORES_MIN");
    uint32_t most = read_threads(reader, PREFIX "CORES_MAX");
    struct slice text = text_of(reader, PREFIX "CORES_MAX_RATIO");
    double ratio = 0;

    if (text.len) {
        read_ratio(reader, PREFIX "CORES_MAX_RATIO", text, &ratio);
        if (ratio <= 0 || ratio > 1)
            problem(reader, PREFIX "CORES_MAX_RATIO", text.ptr, "a ratio above 0 and up to 1");
    }
    if (!least)
        least = cores ? cores : 1;
    if (ratio > 0 && !most)
        most = (uint32_t)(cpus * ratio + 0.5);
    if (most > 256)
        most = 256;
    config->workers = most > least ? most : least;
    if (config->workers > cpus && cpus && !cores && config->workers > least)
        config->workers = cpus > least ? cpus : least;
}

/* Those that ask for something which is not there yet; a `false` asks for nothing. */
static void warn_later(struct reader *reader)
{
    for (unsigned i = 0; i < variable_info_count; i++) {
        const struct variable_info *info = &variable_infos[i];
        struct slice text = info->use == USE_LATER ? text_of(reader, info->name) : SLICE_NULL;

        if (text.len && !slice_eq_nocase(text, SLICE_LIT("false")))
            buffer_printf(reader->warnings, "%s: %s is not available yet\n", info->name, info->text);
    }
}

int config_read(config_lookup lookup, void *owner, unsigned cpus, struct buffer *problems, struct buffer *warnings,
                struct config *ret_config)
{
    struct config config = {0};
    struct reader reader = {lookup, owner, &config.arena, problems, warnings};
    size_t before = problems->len;

    arena_init(&config.arena, 4 * 1024 * 1024);
    defaults(&config);
    read_names(&reader, PREFIX "DESTINATION_PROFILE_SUFFIXES", SLICE_LIT("svc.cluster.local."), &config.profile_suffixes);
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        struct slice text = text_of(&reader, variables[i].name);

        if (text.len)
            variables[i].read(&reader, variables[i].name, text, (char *)&config + variables[i].offset);
    }
    if (config.ingress_mode && !text_of(&reader, PREFIX "OUTBOUND_DISABLE_INFORMATIONAL_HEADERS").len)
        config.informational_headers = false; /* whom an ingress controller serves need not know */
    read_listeners(&reader, &config);
    read_backoff(&reader, "INBOUND", &config.inbound.connect_backoff);
    read_backoff(&reader, "OUTBOUND", &config.outbound.connect_backoff);
    read_control(&reader, "DESTINATION", true, &config.destination);
    read_control(&reader, "POLICY", false, &config.policy);
    read_control(&reader, "IDENTITY", true, &config.identity);
    if (config.policy.configured && !config.policy_workload.len)
        problem(&reader, PREFIX "POLICY_WORKLOAD", NULL, "this workload, as {\"ns\":\"NAMESPACE\",\"pod\":\"POD\"}");
    read_identity(&reader, &config);
    read_cores(&reader, cpus, &config);
    warn_later(&reader);
    if (problems->len > before || buffer_error(problems)) {
        arena_release(&config.arena);
        return -EINVAL;
    }
    *ret_config = config;
    return 0;
}

void config_release(struct config *config)
{
    arena_release(&config->arena);
}

bool port_ranges_have(const struct port_ranges *ranges, uint16_t port)
{
    for (size_t i = 0; i < ranges->count; i++)
        if (port >= ranges->items[i].first && port <= ranges->items[i].last)
            return true;
    return false;
}

bool networks_have(const struct networks *networks, struct ip ip)
{
    for (size_t i = 0; i < networks->count; i++)
        if (cidr_contains(networks->items[i], ip))
            return true;
    return false;
}

bool names_cover(const struct names *suffixes, struct slice name)
{
    for (size_t i = 0; i < suffixes->count; i++) {
        struct slice suffix = suffixes->items[i];

        if (slice_eq(suffix, SLICE_LIT(".")) || slice_eq_nocase(name, suffix))
            return true;
        if (name.len > suffix.len && name.ptr[name.len - suffix.len - 1] == '.' &&
            slice_eq_nocase(slice_skip(name, name.len - suffix.len), suffix))
            return true;
    }
    return false;
}
