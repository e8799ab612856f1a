/* `linkerd diagnostics endpoints`: what the destination service tells of authorities. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/destination.h"
#include "base/duration.h"
#include "base/limits.h"
#include "cli/cluster/control_plane.h"
#include "cli/command.h"

static const int64_t QUIET_NS = 500 * NS_PER_MS;

struct options {
    struct control_plane_flags control;
    const char *output, *token;
    int64_t wait_ns;
};

static const struct flag flags[] = {
    {"output", 'o', FLAG_CHOICE, offsetof(struct options, output), "table", "table|json", .help = "Output format"},
    CONTROL_PLANE_FLAGS(struct options, control, "The destination service (default in the cluster, or 127.0.0.1:8086)"),
    {"token", 0, FLAG_TEXT, offsetof(struct options, token), .value = "TEXT",
     .help = "The context token to use when making the request to the destination service"},
    {"wait", 'w', FLAG_DURATION, offsetof(struct options, wait_ns), "5s", .value = "DURATION",
     .help = "How long to wait for an answer"},
    DESTINATION_POD_FLAG(struct options, control),
};

/* One endpoint; its texts live in the update that told it. */
struct row {
    const struct endpoint_info *endpoint;
    struct slice namespace, service, pod;
    char ip[IP_TEXT_MAX];
};

struct answers {
    struct endpoint_update **updates;
    size_t update_count;
    struct row *rows;
    size_t count;
    bool unknown; /* the service does not exist */
    struct errmsg *msg;
    int error;
};

static void *grow(void *array, size_t count, size_t size)
{
    return count & (count - 1) ? array : reallocarray(array, count ? count * 2 : 1, size);
}

static int keep_update(struct answers *answers, struct endpoint_update *update)
{
    struct endpoint_update **grown = grow(answers->updates, answers->update_count, sizeof(*grown));

    if (!grown) {
        endpoint_update_unref(update);
        return -ENOMEM;
    }
    answers->updates = grown;
    answers->updates[answers->update_count++] = update;
    return 0;
}

static int add_row(struct answers *answers, const struct endpoint_info *endpoint)
{
    struct row *grown = grow(answers->rows, answers->count, sizeof(*grown)), *row;

    if (!grown)
        return -ENOMEM;
    answers->rows = grown;
    row = &answers->rows[answers->count++];
    *row = (struct row){
        .endpoint = endpoint,
        .namespace = endpoint_label(endpoint, SLICE_LIT("namespace")),
        .service = endpoint_label(endpoint, SLICE_LIT("service")),
        .pod = endpoint_label(endpoint, SLICE_LIT("pod")),
    };
    ip_format(endpoint->addr.ip, row->ip);
    return 0;
}

/* Never enough: the first answer need not hold all endpoints. An error ends it. */
static bool take(void *owner, struct slice message)
{
    struct answers *answers = owner;
    struct endpoint_update *update;

    answers->error = endpoint_update_decode(message, answers->msg, &update);
    if (answers->error == 0)
        answers->error = keep_update(answers, update);
    if (answers->error < 0)
        return true;
    if (update->kind == ENDPOINTS_NONE && !update->exists)
        answers->unknown = true;
    for (size_t i = 0; update->kind == ENDPOINTS_ADD && i < update->added_count && answers->error == 0; i++)
        answers->error = add_row(answers, &update->added[i]);
    return answers->error < 0 || update->kind == ENDPOINTS_NONE;
}

static int ask_authority(const struct options *options, const char *authority, struct answers *answers,
                         struct errmsg *msg)
{
    struct get_destination request = {SLICE_LIT("k8s"), slice_str(authority), slice_str(options->token)};
    struct buffer message;
    struct ask *ask;
    int r = control_plane_open(&options->control, DESTINATION_PORT, options->wait_ns, msg, &ask);

    if (r < 0)
        return r;
    buffer_init(&message, LIMIT_GRPC_MESSAGE);
    answers->msg = msg;
    r = get_destination_encode(&request, msg, &message);
    if (r == 0)
        r = ask_grpc(ask, SLICE_LIT("/io.linkerd.proxy.destination.Destination/Get"), buffer_slice(&message), QUIET_NS,
                     take, answers, msg);
    buffer_release(&message);
    ask_close(ask);
    return r < 0 ? r : answers->error;
}

static int by_name(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int c = slice_cmp(x->namespace, y->namespace);

    if (c == 0)
        c = slice_cmp(x->service, y->service);
    return c ? c : slice_cmp(x->pod, y->pod);
}

static void print_table(const struct answers *answers)
{
    int namespace = sizeof("NAMESPACE") - 1, ip = 2, pod = sizeof("POD") - 1;

    for (size_t i = 0; i < answers->count; i++) {
        const struct row *row = &answers->rows[i];

        namespace = (int)row->namespace.len > namespace ? (int)row->namespace.len : namespace;
        ip = (int)strlen(row->ip) > ip ? (int)strlen(row->ip) : ip;
        pod = (int)row->pod.len > pod ? (int)row->pod.len : pod;
    }
    printf("%-*s   %-*s   %-5s   %-*s   SERVICE\n", namespace, "NAMESPACE", ip, "IP", "PORT", pod, "POD");
    for (size_t i = 0; i < answers->count; i++) {
        const struct row *row = &answers->rows[i];

        printf("%-*.*s   %-*s   %-5u   %-*.*s   %.*s.%.*s\n", namespace, SLICE_ARGS(row->namespace), ip, row->ip,
               (unsigned)row->endpoint->addr.port, pod, SLICE_ARGS(row->pod), SLICE_ARGS(row->service),
               SLICE_ARGS(row->namespace));
    }
}

static void json_labels(const struct endpoint_info *endpoint, struct buffer *out)
{
    buffer_add_lit(out, "\"labels\": {");
    for (size_t i = 0; i < endpoint->labels.count; i++) {
        buffer_printf(out, "%s", i ? ", " : "");
        buffer_add_json(out, endpoint->labels.items[i].name);
        buffer_add_lit(out, ": ");
        buffer_add_json(out, endpoint->labels.items[i].value);
    }
    buffer_add_lit(out, "}");
}

static void json_row(const struct row *row, struct buffer *out)
{
    buffer_add_lit(out, "  {\n    \"namespace\": ");
    buffer_add_json(out, row->namespace);
    buffer_printf(out, ",\n    \"ip\": \"%s\",\n    \"port\": %u,\n    \"pod\": ", row->ip,
                  (unsigned)row->endpoint->addr.port);
    buffer_add_json(out, row->pod);
    buffer_add_lit(out, ",\n    \"service\": ");
    if (row->service.len) {
        char service[600];

        snprintf(service, sizeof(service), "%.*s.%.*s", SLICE_ARGS(row->service), SLICE_ARGS(row->namespace));
        buffer_add_json(out, slice_str(service));
    } else {
        buffer_add_lit(out, "\"\"");
    }
    buffer_printf(out, ",\n    \"weight\": %u,\n    ", row->endpoint->weight);
    if (row->endpoint->identity_kind != IDENTITY_NONE) {
        buffer_add_lit(out, "\"identity\": ");
        buffer_add_json(out, row->endpoint->identity);
        buffer_add_lit(out, ",\n    ");
    }
    json_labels(row->endpoint, out);
    buffer_add_lit(out, "\n  }");
}

static void print_json(const struct answers *answers)
{
    struct buffer out;

    buffer_init(&out, LIMIT_SNAPSHOT);
    buffer_add_lit(&out, "[");
    for (size_t i = 0; i < answers->count; i++) {
        buffer_printf(&out, "%s\n", i ? "," : "");
        json_row(&answers->rows[i], &out);
    }
    buffer_printf(&out, "%s]\n", answers->count ? "\n" : "");
    fwrite(out.data, 1, out.len, stdout);
    buffer_release(&out);
}

static void answers_release(struct answers *answers)
{
    for (size_t i = 0; i < answers->update_count; i++)
        endpoint_update_unref(answers->updates[i]);
    free(answers->updates);
    free(answers->rows);
}

static int run(void *opaque, const struct words *arguments)
{
    const struct options *options = opaque;
    struct answers answers = {.error = 0};
    struct errmsg msg = {""};
    int r = 0;

    for (size_t i = 0; i < arguments->count && r == 0; i++) {
        answers.unknown = false;
        r = ask_authority(options, arguments->items[i], &answers, &msg);
        if (r == 0 && answers.unknown)
            fprintf(stderr, "linkerd: diagnostics endpoints: %s: no such service\n", arguments->items[i]);
    }
    if (answers.count)
        qsort(answers.rows, answers.count, sizeof(*answers.rows), by_name);
    if (r == 0 && strcmp(options->output, "json") == 0)
        print_json(&answers);
    else if (r == 0 && answers.count)
        print_table(&answers);
    else if (r == 0)
        fputs("No endpoints found.\n", stderr);
    answers_release(&answers);
    if (r == 0)
        return STATUS_DONE;
    return complain("diagnostics endpoints: %s; --api-addr or --source names the destination service", *msg.text ? msg.text : strerror(-r));
}

const struct command diagnostics_endpoints_command = {
    .name = "diagnostics endpoints",
    .alias = "diagnostics ep",
    .usage = "AUTHORITY...",
    .summary = "Introspect Linkerd's service discovery state",
    .about = "Asks the destination service for the endpoints of authorities such as\n"
             "web.default.svc.cluster.local:80, as a proxy does.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct options),
    .min_arguments = 1,
    .max_arguments = WORDS_MAX,
    .run = run,
};
