#include "control/settings.h"

#include <errno.h>

#include "base/duration.h"

/* Where reading stands: everything that is wrong is collected, nothing ends it early. */
struct reader {
    struct settings *settings;
    struct buffer *problems, *notes;
    const char *name;   /* of the flag */
    struct slice value;
    bool own_addr;      /* -addr or --grpc-addr was given: of the one component */
    struct addr addr;
    struct addr server_addr; /* --server-addr; version 0: not given */
};

static void mistake(struct reader *reader, const char *expected)
{
    buffer_printf(reader->problems, "--%s=%.*s is not valid: expected %s\n", reader->name, SLICE_ARGS(slice_take(reader->value, 200)),
                  expected);
}

/* --- one function for each kind of value --- */

/* ":8086" is every address; also "localhost:8086". */
static void read_addr(struct reader *reader, struct addr *ret)
{
    struct slice text = reader->value;
    uint64_t port;

    if (text.len > 1 && text.ptr[0] == ':' && slice_u64(slice_skip(text, 1), UINT16_MAX, &port) == 0) {
        *ret = (struct addr){.ip = {.version = 6}, .port = (uint16_t)port};
        return;
    }
    if (slice_starts(text, SLICE_LIT("localhost:")) && slice_u64(slice_skip(text, 10), UINT16_MAX, &port) == 0) {
        *ret = (struct addr){ip_v4(0x7f000001), (uint16_t)port};
        return;
    }
    if (addr_parse(text, ret) < 0)
        mistake(reader, "an address with a port, as 127.0.0.1:8086, [::1]:8086 or :8086");
}

static void read_bool(struct reader *reader, bool *ret)
{
    if (slice_eq(reader->value, SLICE_LIT("true")) || slice_eq(reader->value, SLICE_LIT("1")))
        *ret = true;
    else if (slice_eq(reader->value, SLICE_LIT("false")) || slice_eq(reader->value, SLICE_LIT("0")))
        *ret = false;
    else
        mistake(reader, "true or false");
}

static void read_duration(struct reader *reader, int64_t *ret_ns)
{
    if (duration_parse_go(reader->value, ret_ns) < 0 || *ret_ns < 0)
        mistake(reader, "a duration, as 24h0m0s or 20s");
}

/* Certificates that have ended before they arrive would be asked for again and again. */
static void read_lifetime(struct reader *reader, int64_t *ret_ns)
{
    if (duration_parse_go(reader->value, ret_ns) < 0 || *ret_ns < NS_PER_S)
        mistake(reader, "a duration of a second or more, as 24h0m0s");
}

static void read_text(struct reader *reader, struct slice *ret)
{
    if (reader->value.len)
        *ret = reader->value;
    else
        mistake(reader, "some text");
}

static void read_networks(struct reader *reader, struct cidr nets[CONTROLLER_NETWORKS_MAX], size_t *ret_count)
{
    struct slice rest = reader->value, part;
    size_t count = 0;

    while (slice_split(&rest, ',', &part)) {
        if (count == CONTROLLER_NETWORKS_MAX || cidr_parse(slice_trim(part), &nets[count]) < 0) {
            mistake(reader, "up to 64 networks with commas between, as 10.0.0.0/8,fd00::/8");
            return;
        }
        count++;
    }
    *ret_count = count;
}

static int read_range(struct slice part, struct kube_port_range *ret)
{
    size_t dash = slice_find(part, '-');
    uint64_t first, last;

    if (slice_u64(slice_take(part, dash), UINT16_MAX, &first) < 0)
        return -EINVAL;
    last = first;
    if (dash < part.len && slice_u64(slice_skip(part, dash + 1), UINT16_MAX, &last) < 0)
        return -EINVAL;
    *ret = (struct kube_port_range){(uint16_t)first, (uint16_t)last};
    return last < first || !first ? -EINVAL : 0;
}

static void read_ports(struct reader *reader)
{
    struct controller_options *options = &reader->settings->options;
    struct slice rest = reader->value, part;
    size_t room = 1, count = 0;

    for (size_t i = 0; i < rest.len; i++)
        room += rest.ptr[i] == ',';
    options->opaque_ports = room <= UINT16_MAX ? ARENA_ARRAY(&reader->settings->arena, struct kube_port_range, room) : NULL;
    while (options->opaque_ports && rest.len && slice_split(&rest, ',', &part))
        if (read_range(slice_trim(part), &options->opaque_ports[count++]) < 0) {
            mistake(reader, "ports and ranges with commas between, as 25,3306,8000-8100");
            return;
        }
    options->opaque_port_count = count;
}

static void read_policy(struct reader *reader, int *ret)
{
    enum kube_access_policy policy;

    if (kube_access_policy_parse(reader->value, &policy) == 0)
        *ret = (int)policy;
    else
        mistake(reader, "all-unauthenticated, all-authenticated, cluster-unauthenticated, cluster-authenticated, deny or audit");
}

static void read_mode(struct reader *reader, bool *ret_header)
{
    if (!slice_eq(reader->value, SLICE_LIT("transparent")) && !slice_eq(reader->value, SLICE_LIT("transport-header")))
        mistake(reader, "transparent or transport-header");
    *ret_header = slice_eq(reader->value, SLICE_LIT("transport-header"));
}

static void read_scheme(struct reader *reader)
{
    if (!slice_eq(reader->value, SLICE_LIT("linkerd.io/tls")) && !slice_eq(reader->value, SLICE_LIT("kubernetes.io/tls")))
        mistake(reader, "linkerd.io/tls or kubernetes.io/tls");
}

static void read_slices(struct reader *reader)
{
    bool slices = true;

    read_bool(reader, &slices);
    if (!slices)
        mistake(reader, "true: endpoints are read from EndpointSlices");
}

static void read_format(struct reader *reader, enum log_format *ret)
{
    if (!slice_eq(reader->value, SLICE_LIT("plain")) && !slice_eq(reader->value, SLICE_LIT("json")))
        mistake(reader, "plain or json");
    *ret = slice_eq(reader->value, SLICE_LIT("json")) ? LOG_JSON : LOG_PLAIN;
}

static void read_queue(struct reader *reader, unsigned *ret)
{
    uint64_t number;

    if (slice_u64(reader->value, 1000000, &number) < 0 || !number)
        mistake(reader, "a number of updates from 1 to 1000000");
    else
        *ret = (unsigned)number;
}

/* Words of other loggers stand for the nearest level of ours. */
static void read_level(struct reader *reader, struct slice *ret)
{
    if (slice_eq(reader->value, SLICE_LIT("panic")) || slice_eq(reader->value, SLICE_LIT("fatal")))
        *ret = SLICE_LIT("error");
    else if (slice_eq(reader->value, SLICE_LIT("warning")))
        *ret = SLICE_LIT("warn");
    else
        read_text(reader, ret);
}

/* What is accepted and does nothing; a switch that is off asks for nothing. */
static void ignore(struct reader *reader)
{
    buffer_printf(reader->notes, "--%s does nothing here: not available yet\n", reader->name);
}

static void ignore_switch(struct reader *reader)
{
    bool on = false;

    read_bool(reader, &on);
    if (on)
        ignore(reader);
}

static void ignore_number(struct reader *reader)
{
    size_t digits = 0, dots = 0;

    for (size_t i = 0; i < reader->value.len; i++) {
        digits += reader->value.ptr[i] >= '0' && reader->value.ptr[i] <= '9';
        dots += reader->value.ptr[i] == '.';
    }
    if (!digits || dots > 1 || digits + dots < reader->value.len)
        mistake(reader, "a number");
    else
        ignore(reader);
}

/* --- the table --- */

enum flag_id {
    FLAG_SOURCE, FLAG_ISSUER, FLAG_TOKEN_KEY, FLAG_ANCHORS, FLAG_ADDR, FLAG_DESTINATION_ADDR, FLAG_IDENTITY_ADDR, FLAG_POLICY_ADDR,
    FLAG_ADMIN_ADDR, FLAG_DNS_ADDR, FLAG_CLUSTER_DOMAIN, FLAG_TRUST_DOMAIN, FLAG_NAMESPACE, FLAG_CLUSTER_NETWORKS,
    FLAG_PROBE_NETWORKS, FLAG_DEFAULT_POLICY, FLAG_OPAQUE_PORTS, FLAG_EGRESS_NAMESPACE, FLAG_H2, FLAG_IPV6, FLAG_MODE, FLAG_L5D_HEADERS,
    FLAG_QUEUE, FLAG_LIFETIME, FLAG_SKEW, FLAG_GRACE, FLAG_LOG_LEVEL, FLAG_LOG_FORMAT, FLAG_VERSION, FLAG_HELP,
    FLAG_SERVER_ADDR, FLAG_NO_VALIDATOR, FLAG_KUBECONFIG, FLAG_TLS_CERTIFICATE, FLAG_TLS_KEY, FLAG_MAKE_CERTIFICATE,
    FLAG_VALUES, FLAG_SCHEME, FLAG_SLICES, FLAG_IGNORED, FLAG_IGNORED_SWITCH, FLAG_IGNORED_NUMBER,
};

/* Names that stand behind one another share the first one's line of help. */
static const struct flag {
    const char *name;
    enum flag_id id;
    bool is_switch;
    const char *example, *help;
} flags[] = {
    {"source", FLAG_SOURCE, false, "DIR", "directory of Kubernetes-style YAML that the control plane reads and follows"},
    {"kubeconfig", FLAG_KUBECONFIG, false, "FILE", "without --source: access to the Kubernetes API server to read (that of the pod we run in)"},
    {"issuer", FLAG_ISSUER, false, "DIR", "directory of the identity issuer: tls.crt, tls.key, ca.crt or crt.pem, key.pem"},
    {"token-key", FLAG_TOKEN_KEY, false, "FILE", "public keys (PEM) that sign the tokens of workloads (in a cluster: its API server checks them)"},
    {"trust-anchors", FLAG_ANCHORS, false, "FILE", "trust anchors (PEM), where they are not beside the issuer; of the injector, as mounted"},
    {"addr", FLAG_ADDR, false, "ADDR", "address of the gRPC service, or of the webhook, where only one component runs"},
    {"grpc-addr", FLAG_ADDR, false, NULL, NULL},
    {"destination-addr", FLAG_DESTINATION_ADDR, false, "ADDR", "address of the destination service (127.0.0.1:8086)"},
    {"identity-addr", FLAG_IDENTITY_ADDR, false, "ADDR", "address of the identity service (127.0.0.1:8080)"},
    {"policy-addr", FLAG_POLICY_ADDR, false, "ADDR", "address of the policy services (127.0.0.1:8090)"},
    {"admin-addr", FLAG_ADMIN_ADDR, false, "ADDR", "address of /metrics, /ready, /live and /ping (127.0.0.1:9990; destination: 9996; proxy-injector: 9995; sp-validator: 9997)"},
    {"metrics-addr", FLAG_ADMIN_ADDR, false, NULL, NULL},
    {"dns-addr", FLAG_DNS_ADDR, false, "ADDR", "address, UDP and TCP, to answer DNS for the cluster domain on (none)"},
    {"server-addr", FLAG_SERVER_ADDR, false, "ADDR", "address of the policy component's validating webhook (none)"},
    {"admission-controller-disabled", FLAG_NO_VALIDATOR, true, NULL, "serve no such webhook (false)"},
    {"server-tls-certs", FLAG_TLS_CERTIFICATE, false, "FILE", "certificate (PEM) of a webhook's port (/var/run/linkerd/tls/tls.crt)"},
    {"server-tls-key", FLAG_TLS_KEY, false, "FILE", "its key (/var/run/linkerd/tls/tls.key)"},
    {"make-certificate", FLAG_MAKE_CERTIFICATE, true, NULL, "instead: make it, into the webhook's Secret, and its authority into the configuration (false)"},
    {"values", FLAG_VALUES, false, "FILE", "values of the installation, for the injector (/var/run/linkerd/config/values)"},
    {"cluster-domain", FLAG_CLUSTER_DOMAIN, false, "NAME", "domain of service names (cluster.local)"},
    {"identity-trust-domain", FLAG_TRUST_DOMAIN, false, "NAME", "domain of identities (that of the cluster)"},
    {"identity-domain", FLAG_TRUST_DOMAIN, false, NULL, NULL},
    {"controller-namespace", FLAG_NAMESPACE, false, "NAME", "namespace of the control plane, a part of identities (linkerd)"},
    {"control-plane-namespace", FLAG_NAMESPACE, false, NULL, NULL},
    {"linkerd-namespace", FLAG_NAMESPACE, false, NULL, NULL},
    {"cluster-networks", FLAG_CLUSTER_NETWORKS, false, "NETS", "networks of pods and services (all private ones)"},
    {"probe-networks", FLAG_PROBE_NETWORKS, false, "NETS", "networks that health probes come from (none)"},
    {"default-policy", FLAG_DEFAULT_POLICY, false, "POLICY", "who may connect where nothing else says so (all-unauthenticated)"},
    {"default-opaque-ports", FLAG_OPAQUE_PORTS, false, "PORTS", "ports without protocol detection (those of usual server-first protocols)"},
    {"global-egress-network-namespace", FLAG_EGRESS_NAMESPACE, false, "NAME", "namespace of EgressNetworks for everybody (linkerd-egress)"},
    {"enable-h2-upgrade", FLAG_H2, true, NULL, "carry HTTP/1 between proxies in HTTP/2 (true)"},
    {"enable-ipv6", FLAG_IPV6, true, NULL, "of endpoints with both families use the IPv6 address (true)"},
    {"outbound-transport-mode", FLAG_MODE, false, "MODE", "transparent, or transport-header for all connections between proxies (transparent)"},
    {"allow-l5d-request-headers", FLAG_L5D_HEADERS, true, NULL, "let requests set their own timeouts and retries by l5d-* headers (false)"},
    {"stream-queue-capacity", FLAG_QUEUE, false, "N", "updates that may wait for a proxy before its call is ended (100)"},
    {"identity-issuance-lifetime", FLAG_LIFETIME, false, "TIME", "how long a workload's certificate is valid (24h0m0s)"},
    {"identity-clock-skew-allowance", FLAG_SKEW, false, "TIME", "by how much clocks may differ (20s)"},
    {"shutdown-grace-period", FLAG_GRACE, false, "TIME", "how long connections may last after SIGTERM (10s)"},
    {"log-level", FLAG_LOG_LEVEL, false, "LEVEL", "error, warn, info, debug, trace, or target=level with commas between (info)"},
    {"log-format", FLAG_LOG_FORMAT, false, "FORMAT", "plain or json (plain)"},
    {"version", FLAG_VERSION, true, NULL, "print the version and end"},
    {"help", FLAG_HELP, true, NULL, "print this and end"},
    {"h", FLAG_HELP, true, NULL, NULL},
    /* Of Linkerd's own components, for what is not here. */
    {"kube-apiclient-qps", FLAG_IGNORED_NUMBER, false, NULL, NULL},
    {"kube-apiclient-burst", FLAG_IGNORED_NUMBER, false, NULL, NULL},
    {"enable-endpoint-slices", FLAG_SLICES, true, NULL, NULL},
    {"enable-pprof", FLAG_IGNORED_SWITCH, true, NULL, NULL},
    {"export-queue-metrics", FLAG_IGNORED_SWITCH, true, NULL, NULL},
    {"ext-endpoint-zone-weights", FLAG_IGNORED_SWITCH, true, NULL, NULL},
    {"meshed-http2-client-params", FLAG_IGNORED, false, NULL, NULL},
    {"identity-scheme", FLAG_SCHEME, false, NULL, NULL},
    {"trace-collector", FLAG_IGNORED, false, NULL, NULL},
    {"policy-deployment-name", FLAG_IGNORED, false, NULL, NULL},
    {"patch-timeout-ms", FLAG_IGNORED_NUMBER, false, NULL, NULL},
};

static void take_addr(struct reader *reader, enum flag_id id)
{
    struct settings *settings = reader->settings;

    switch (id) {
    case FLAG_DESTINATION_ADDR: read_addr(reader, &settings->destination_addr); break;
    case FLAG_IDENTITY_ADDR: read_addr(reader, &settings->identity_addr); break;
    case FLAG_POLICY_ADDR: read_addr(reader, &settings->policy_addr); break;
    case FLAG_ADMIN_ADDR: read_addr(reader, &settings->admin_addr); break;
    case FLAG_DNS_ADDR: read_addr(reader, &settings->dns_addr); break;
    case FLAG_SERVER_ADDR: read_addr(reader, &reader->server_addr); break;
    default:
        reader->own_addr = true;
        read_addr(reader, &reader->addr);
        break;
    }
}

static void take_switch(struct reader *reader, enum flag_id id)
{
    struct settings *settings = reader->settings;

    switch (id) {
    case FLAG_H2: read_bool(reader, &settings->options.h2_upgrade); break;
    case FLAG_IPV6: read_bool(reader, &settings->options.ipv6); break;
    case FLAG_L5D_HEADERS: read_bool(reader, &settings->options.allow_l5d_headers); break;
    case FLAG_NO_VALIDATOR: read_bool(reader, &settings->no_validator); break;
    case FLAG_MAKE_CERTIFICATE: read_bool(reader, &settings->make_certificate); break;
    case FLAG_VERSION: read_bool(reader, &settings->version); break;
    default: read_bool(reader, &settings->help); break;
    }
}

static void take(struct reader *reader, enum flag_id id)
{
    struct settings *settings = reader->settings;
    struct controller_options *options = &settings->options;

    switch (id) {
    case FLAG_SOURCE: read_text(reader, &options->source); break;
    case FLAG_ISSUER: settings->issuer = reader->value.ptr; break;
    case FLAG_TOKEN_KEY: settings->token_key = reader->value.ptr; break;
    case FLAG_ANCHORS: settings->trust_anchors = reader->value.ptr; break;
    case FLAG_TLS_CERTIFICATE: settings->tls_certificate = reader->value.ptr; break;
    case FLAG_TLS_KEY: settings->tls_key = reader->value.ptr; break;
    case FLAG_VALUES: settings->values = reader->value.ptr; break;
    case FLAG_CLUSTER_DOMAIN:
        settings->domain_given = true;
        read_text(reader, &options->cluster_domain);
        break;
    case FLAG_TRUST_DOMAIN: read_text(reader, &options->trust_domain); break;
    case FLAG_NAMESPACE: read_text(reader, &options->namespace_); break;
    case FLAG_EGRESS_NAMESPACE: read_text(reader, &options->egress_namespace); break;
    case FLAG_CLUSTER_NETWORKS: read_networks(reader, options->cluster_networks, &options->cluster_network_count); break;
    case FLAG_PROBE_NETWORKS: read_networks(reader, options->probe_networks, &options->probe_network_count); break;
    case FLAG_DEFAULT_POLICY: read_policy(reader, &options->default_policy); break;
    case FLAG_OPAQUE_PORTS: read_ports(reader); break;
    case FLAG_MODE: read_mode(reader, &options->transport_header); break;
    case FLAG_QUEUE: read_queue(reader, &options->queue_capacity); break;
    case FLAG_LIFETIME: read_lifetime(reader, &settings->issuance_lifetime_ns); break;
    case FLAG_SKEW: read_duration(reader, &settings->clock_skew_ns); break;
    case FLAG_GRACE: read_duration(reader, &settings->grace_ns); break;
    case FLAG_LOG_LEVEL: read_level(reader, &settings->log_level); break;
    case FLAG_LOG_FORMAT: read_format(reader, &settings->log_format); break;
    case FLAG_H2:
    case FLAG_IPV6:
    case FLAG_L5D_HEADERS:
    case FLAG_NO_VALIDATOR:
    case FLAG_MAKE_CERTIFICATE:
    case FLAG_VERSION:
    case FLAG_HELP: take_switch(reader, id); break;
    case FLAG_KUBECONFIG: settings->kubeconfig = reader->value.len ? reader->value.ptr : NULL; break;
    case FLAG_SCHEME: read_scheme(reader); break;
    case FLAG_SLICES: read_slices(reader); break;
    case FLAG_IGNORED: ignore(reader); break;
    case FLAG_IGNORED_SWITCH: ignore_switch(reader); break;
    case FLAG_IGNORED_NUMBER: ignore_number(reader); break;
    default: take_addr(reader, id); break;
    }
}

static const struct flag *find_flag(struct slice name)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (slice_eq(name, slice_str(flags[i].name)))
            return &flags[i];
    return NULL;
}

/* One flag with its value, which may be the next argument; how many arguments that were. */
static int take_argument(struct reader *reader, int left, char *const argv[])
{
    struct slice text = slice_str(argv[0]), name;
    const struct flag *flag;
    size_t equals;

    text = slice_skip(text, slice_starts(text, SLICE_LIT("--")) ? 2 : 1);
    equals = slice_find(text, '=');
    name = slice_take(text, equals);
    flag = find_flag(name);
    if (!flag) {
        buffer_printf(reader->problems, "%s is not a flag; --help lists them\n", argv[0]);
        return 1;
    }
    reader->name = flag->name;
    if (equals < text.len) {
        reader->value = slice_skip(text, equals + 1);
    } else if (flag->is_switch) {
        reader->value = SLICE_LIT("true");
    } else if (left > 1) {
        reader->value = slice_str(argv[1]);
        take(reader, flag->id);
        return 2;
    } else {
        buffer_printf(reader->problems, "--%s needs a value\n", flag->name);
        return 1;
    }
    take(reader, flag->id);
    return 1;
}

/* --- the whole --- */

static unsigned find_component(struct slice name)
{
    static const struct {
        const char *name;
        unsigned bits;
    } components[] = {{"destination", COMPONENT_DESTINATION}, {"identity", COMPONENT_IDENTITY}, {"policy", COMPONENT_POLICY},
                      {"all", COMPONENT_ALL}, {"proxy-injector", COMPONENT_INJECTOR}, {"sp-validator", COMPONENT_SP_VALIDATOR}};

    for (size_t i = 0; i < sizeof(components) / sizeof(components[0]); i++)
        if (slice_eq(name, slice_str(components[i].name)))
            return components[i].bits;
    return 0;
}

/* In the image the policy component has a name of its own, and no word on its command line says so. */
static unsigned component_of_program(const char *argv0)
{
    static const char policy[] = "linkerd-policy-controller";
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

    return argv0 && strcmp(slash ? slash + 1 : argv0, policy) == 0 ? COMPONENT_POLICY : 0;
}

static void set_defaults(struct reader *reader)
{
    struct settings *settings = reader->settings;

    settings->tls_certificate = "/var/run/linkerd/tls/tls.crt";
    settings->tls_key = "/var/run/linkerd/tls/tls.key";
    settings->values = "/var/run/linkerd/config/values";
    settings->issuance_lifetime_ns = 24 * 3600 * NS_PER_S;
    settings->clock_skew_ns = 20 * NS_PER_S;
    settings->grace_ns = 10 * NS_PER_S;
    settings->log_level = SLICE_LIT("info");
    settings->options.cluster_domain = SLICE_LIT("cluster.local");
    settings->options.namespace_ = SLICE_LIT("linkerd");
    settings->options.egress_namespace = SLICE_LIT("linkerd-egress");
    settings->options.default_policy = KUBE_ACCESS_ALL_UNAUTHENTICATED;
    settings->options.h2_upgrade = true;
    settings->options.ipv6 = true;
    settings->options.queue_capacity = LIMIT_SUBSCRIBER_QUEUE;
    reader->value = SLICE_LIT("10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8");
    read_networks(reader, settings->options.cluster_networks, &settings->options.cluster_network_count);
    reader->value = SLICE_LIT("25,587,3306,4444,5432,6379,9300,11211");
    read_ports(reader);
}

/* A dot behind a domain means the same name; the wire has none. */
static struct slice without_dot(struct slice domain)
{
    return slice_ends(domain, SLICE_LIT(".")) ? slice_take(domain, domain.len - 1) : domain;
}

/* Where nothing was said: in a cluster all addresses, as the chart expects; elsewhere loopback. sp-validator is asked by API servers alone. */
static void default_addr(const struct settings *settings, struct addr *addr, uint16_t port)
{
    bool everywhere = settings->cluster || settings->components == COMPONENT_SP_VALIDATOR;

    if (!addr->port)
        *addr = (struct addr){everywhere ? (struct ip){.version = 6} : ip_v4(0x7f000001), port};
}

static struct addr *own_addr(struct settings *settings)
{
    switch (settings->components) {
    case COMPONENT_IDENTITY: return &settings->identity_addr;
    case COMPONENT_POLICY: return &settings->policy_addr;
    case COMPONENT_INJECTOR:
    case COMPONENT_SP_VALIDATOR: return &settings->webhook_addr;
    default: return &settings->destination_addr;
    }
}

static uint16_t admin_port(const struct settings *settings)
{
    switch (settings->components) {
    case COMPONENT_DESTINATION: return 9996;
    case COMPONENT_INJECTOR: return 9995;
    case COMPONENT_SP_VALIDATOR: return 9997;
    default: return 9990;
    }
}

/* Of the policy component alone; it says where. */
static void finish_validator(struct reader *reader)
{
    struct settings *settings = reader->settings;

    if (reader->server_addr.ip.version && !(settings->components & COMPONENT_POLICY))
        buffer_printf(reader->problems, "--server-addr is of the policy component: expected --addr\n");
    else if (reader->server_addr.ip.version && !settings->no_validator)
        settings->webhook_addr = reader->server_addr;
}

static void finish_addrs(struct reader *reader)
{
    struct settings *settings = reader->settings;

    if (reader->own_addr && settings->components == COMPONENT_ALL)
        buffer_printf(reader->problems, "--addr names one service: with `all`, use --destination-addr, --identity-addr, --policy-addr\n");
    else if (reader->own_addr)
        *own_addr(settings) = reader->addr;
    default_addr(settings, &settings->destination_addr, 8086);
    default_addr(settings, &settings->identity_addr, 8080);
    default_addr(settings, &settings->policy_addr, 8090);
    if (settings->components & (COMPONENT_INJECTOR | COMPONENT_SP_VALIDATOR))
        default_addr(settings, &settings->webhook_addr, 8443);
    finish_validator(reader);
    default_addr(settings, &settings->admin_addr, admin_port(settings));
}

/* Where the chart mounts them: a Secret of the issuer, which need not have its anchors, and a ConfigMap of the anchors. */
static void finish_issuer(struct settings *settings)
{
    bool is_as_in_chart = settings->components == COMPONENT_INJECTOR || (settings->cluster && !settings->issuer);

    if (settings->components == COMPONENT_INJECTOR && settings->cluster && !settings->trust_anchors)
        settings->anchors_map = "linkerd-identity-trust-roots";
    if (is_as_in_chart && !settings->trust_anchors)
        settings->trust_anchors = "/var/run/linkerd/identity/trust-roots/ca-bundle.crt";
    if (!settings->issuer)
        settings->issuer = "/var/run/linkerd/identity/issuer";
}

static void finish(struct reader *reader)
{
    struct settings *settings = reader->settings;

    settings->cluster = !settings->options.source.len && (settings->components != COMPONENT_SP_VALIDATOR || settings->make_certificate) &&
                        (settings->components != COMPONENT_IDENTITY || !settings->token_key);
    finish_addrs(reader);
    finish_issuer(settings);
    settings->options.cluster_domain = without_dot(settings->options.cluster_domain);
    if (!settings->options.trust_domain.len)
        settings->options.trust_domain = settings->options.cluster_domain;
    settings->options.trust_domain = without_dot(settings->options.trust_domain);
    if (settings->options.source.len && settings->kubeconfig)
        buffer_printf(reader->problems, "--source and --kubeconfig name two sources of resources: expected one of them\n");
    if (settings->make_certificate && !settings->cluster)
        buffer_printf(reader->problems, "--make-certificate needs an API server: expected it without --source\n");
    if ((settings->components & COMPONENT_IDENTITY) && !settings->token_key && !settings->cluster)
        buffer_printf(reader->problems, "--token-key is not set: expected a file with the public keys that sign workload tokens\n");
    if (!settings->options.cluster_network_count)
        buffer_printf(reader->problems, "--cluster-networks is empty: expected at least one network\n");
}

int settings_read(struct settings *settings, int argc, char *const argv[], struct buffer *problems, struct buffer *notes)
{
    struct reader reader = {.settings = settings, .problems = problems, .notes = notes};

    *settings = (struct settings){0};
    arena_init(&settings->arena, 4 * 1024 * 1024);
    set_defaults(&reader);
    settings->components = component_of_program(argc > 0 ? argv[0] : NULL);
    for (int i = 1; i < argc;) {
        if (argv[i][0] == '-' && argv[i][1]) {
            i += take_argument(&reader, argc - i, &argv[i]);
            continue;
        }
        if (settings->components || !(settings->components = find_component(slice_str(argv[i]))))
            buffer_printf(problems, "\"%s\" is not expected here: expected one of destination, identity, policy, proxy-injector, sp-validator, all, then flags\n", argv[i]);
        i++;
    }
    if (settings->help || settings->version)
        return 0;
    if (!settings->components && !problems->len)
        buffer_printf(problems, "no component: expected one of destination, identity, policy, proxy-injector, sp-validator, all\n");
    if (settings->components)
        finish(&reader);
    return problems->len ? -EINVAL : 0;
}

void settings_release(struct settings *settings)
{
    arena_release(&settings->arena);
}

void settings_help(struct buffer *out)
{
    buffer_printf(out, "linkerd-controller destination|identity|policy|proxy-injector|sp-validator|all [flags]\nlinkerd-controller heartbeat --help\n\nFlags (with one dash or two):\n");
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        size_t start = out->len;

        if (!flags[i].help)
            continue;
        buffer_printf(out, "  --%s%s%s", flags[i].name, flags[i].example ? " " : "", flags[i].example ? flags[i].example : "");
        for (size_t j = i + 1; j < sizeof(flags) / sizeof(flags[0]) && flags[j].id == flags[i].id; j++)
            buffer_printf(out, ", -%s", flags[j].name);
        buffer_printf(out, "%*s%s\n", out->len - start < 44 ? (int)(44 - (out->len - start)) : 2, "", flags[i].help);
    }
}
