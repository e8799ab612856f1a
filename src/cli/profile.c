/* `linkerd diagnostics profile`: what the destination service tells of an address. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/destination.h"
#include "base/duration.h"
#include "base/limits.h"
#include "cli/cluster/control_plane.h"
#include "cli/command.h"

struct options {
    struct control_plane_flags control;
    const char *token;
    int64_t wait_ns;
};

static const struct flag flags[] = {
    CONTROL_PLANE_FLAGS(struct options, control, "The destination service (default in the cluster, or 127.0.0.1:8086)"),
    {"token", 0, FLAG_TEXT, offsetof(struct options, token), .value = "TEXT",
     .help = "The context token to use when making the request to the destination service"},
    {"wait", 'w', FLAG_DURATION, offsetof(struct options, wait_ns), "5s", .value = "DURATION",
     .help = "How long to wait for an answer"},
    DESTINATION_POD_FLAG(struct options, control),
};

struct answer {
    struct profile *profile;
    struct errmsg *msg;
    int error;
};

static bool take(void *owner, struct slice message)
{
    struct answer *answer = owner;

    answer->error = profile_decode(message, answer->msg, &answer->profile);
    return true;
}

static int ask_profile(const struct options *options, const char *address, struct answer *answer, struct errmsg *msg)
{
    struct get_destination request = {SLICE_LIT("k8s"), slice_str(address), slice_str(options->token)};
    struct buffer message;
    struct ask *ask;
    int r = control_plane_open(&options->control, DESTINATION_PORT, options->wait_ns, msg, &ask);

    if (r < 0)
        return r;
    buffer_init(&message, LIMIT_GRPC_MESSAGE);
    r = get_destination_encode(&request, msg, &message);
    if (r == 0)
        r = ask_grpc(ask, SLICE_LIT("/io.linkerd.proxy.destination.Destination/GetProfile"), buffer_slice(&message), 0,
                     take, answer, msg);
    buffer_release(&message);
    ask_close(ask);
    return r < 0 ? r : answer->error;
}

static void add_labels(const struct labels *labels, struct buffer *out)
{
    buffer_add_byte(out, '{');
    for (size_t i = 0; i < labels->count; i++) {
        buffer_printf(out, "%s", i ? ", " : "");
        buffer_add_json(out, labels->items[i].name);
        buffer_add_lit(out, ": ");
        buffer_add_json(out, labels->items[i].value);
    }
    buffer_add_byte(out, '}');
}

static void add_routes(const struct profile *profile, struct buffer *out)
{
    buffer_add_lit(out, ",\n  \"routes\": [");
    for (size_t i = 0; i < profile->route_count; i++) {
        const struct profile_route *route = &profile->routes[i];

        buffer_printf(out, "%s\n    {\"labels\": ", i ? "," : "");
        add_labels(&route->labels, out);
        buffer_printf(out, ", \"isRetryable\": %s, \"timeoutMs\": %lld}", route->is_retryable ? "true" : "false",
                      (long long)(route->timeout_ns / NS_PER_MS));
    }
    buffer_printf(out, "%s]", profile->route_count ? "\n  " : "");
}

static void add_overrides(const struct profile *profile, struct buffer *out)
{
    buffer_add_lit(out, ",\n  \"dstOverrides\": [");
    for (size_t i = 0; i < profile->override_count; i++) {
        buffer_printf(out, "%s\n    {\"authority\": ", i ? "," : "");
        buffer_add_json(out, profile->overrides[i].authority);
        buffer_printf(out, ", \"weight\": %u}", profile->overrides[i].weight);
    }
    buffer_printf(out, "%s]", profile->override_count ? "\n  " : "");
}

static void add_endpoint(const struct endpoint_info *endpoint, struct buffer *out)
{
    char addr[ADDR_TEXT_MAX];

    buffer_printf(out, ",\n  \"endpoint\": {\n    \"addr\": \"%s\",\n    \"weight\": %u,\n    ",
                  addr_format(endpoint->addr, addr), endpoint->weight);
    if (endpoint->identity_kind != IDENTITY_NONE) {
        buffer_add_lit(out, "\"identity\": ");
        buffer_add_json(out, endpoint->identity);
        buffer_add_lit(out, ",\n    ");
    }
    if (endpoint->opaque_transport_port)
        buffer_printf(out, "\"opaqueTransportPort\": %u,\n    ", (unsigned)endpoint->opaque_transport_port);
    buffer_add_lit(out, "\"labels\": ");
    add_labels(&endpoint->labels, out);
    buffer_add_lit(out, "\n  }");
}

static void print_profile(const struct profile *profile)
{
    struct buffer out;

    buffer_init(&out, LIMIT_SNAPSHOT);
    buffer_add_lit(&out, "{\n  \"fullyQualifiedName\": ");
    buffer_add_json(&out, profile->fully_qualified_name);
    buffer_printf(&out, ",\n  \"opaqueProtocol\": %s", profile->opaque_protocol ? "true" : "false");
    if (profile->has_retry_budget)
        buffer_printf(&out, ",\n  \"retryBudget\": {\"retryRatio\": %g, \"minRetriesPerSecond\": %u, \"ttlMs\": %lld}",
                      profile->retry_budget.retry_ratio, profile->retry_budget.min_retries_per_second,
                      (long long)(profile->retry_budget.ttl_ns / NS_PER_MS));
    add_routes(profile, &out);
    add_overrides(profile, &out);
    if (profile->endpoint)
        add_endpoint(profile->endpoint, &out);
    buffer_add_lit(&out, "\n}\n");
    fwrite(out.data, 1, out.len, stdout);
    buffer_release(&out);
}

static int run(void *opaque, const struct words *arguments)
{
    const struct options *options = opaque;
    struct errmsg msg = {""};
    struct answer answer = {.msg = &msg};
    int r = ask_profile(options, arguments->items[0], &answer, &msg);

    if (r < 0)
        return complain("diagnostics profile: %s; --api-addr or --source names the destination service", *msg.text ? msg.text : strerror(-r));
    print_profile(answer.profile);
    profile_unref(answer.profile);
    return STATUS_DONE;
}

const struct command diagnostics_profile_command = {
    .name = "diagnostics profile",
    .usage = "ADDRESS",
    .summary = "Introspect Linkerd's profile of an address or authority",
    .about = "Asks the destination service for the profile of IP:PORT or of an authority, as a proxy does, and prints the\n"
             "first answer as JSON.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct options),
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
