/* `linkerd diagnostics policy`: what the policy services tell of a workload's port, or of a destination. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/dump.h"
#include "api/inbound.h"
#include "api/outbound.h"
#include "base/limits.h"
#include "cli/cluster/control_plane.h"
#include "cli/command.h"

struct options {
    struct control_plane_flags control;
    const char *namespace, *output, *token;
    int64_t wait_ns;
};

static const struct flag flags[] = {
    {"namespace", 'n', FLAG_TEXT, offsetof(struct options, namespace), "default", .value = "NAME", .help = "Namespace of the resource"},
    {"output", 'o', FLAG_CHOICE, offsetof(struct options, output), "yaml", "yaml|json", .help = "Output format"},
    {"token", 0, FLAG_TEXT, offsetof(struct options, token), "default:diagnostics", .value = "TEXT",
     .help = "The workload that asks, as NAMESPACE:POD; routes of its namespace count"},
    CONTROL_PLANE_FLAGS(struct options, control, "The policy service (default in the cluster, or 127.0.0.1:8090)"),
    {"wait", 'w', FLAG_DURATION, offsetof(struct options, wait_ns), "5s", .value = "DURATION",
     .help = "How long to wait for an answer"},
    DESTINATION_POD_FLAG(struct options, control),
};

enum subject { SUBJECT_NONE, SUBJECT_SERVICE, SUBJECT_POD, SUBJECT_EXTERNAL };

/* The words that stand before the slash, as kubectl takes them. */
static const struct {
    const char *word;
    enum subject subject;
} kinds[] = {
    {"svc", SUBJECT_SERVICE}, {"service", SUBJECT_SERVICE}, {"services", SUBJECT_SERVICE},
    {"po", SUBJECT_POD}, {"pod", SUBJECT_POD}, {"pods", SUBJECT_POD},
    {"externalworkload", SUBJECT_EXTERNAL}, {"externalworkloads", SUBJECT_EXTERNAL},
};

struct question {
    struct slice path;
    enum dump_type type;
    struct buffer message;
};

struct answer {
    const struct question *question;
    enum dump_form form;
    struct buffer text;
    struct errmsg *msg;
    int error;
};

static enum subject subject_of(struct slice resource, struct slice *ret_name)
{
    size_t slash = slice_find(resource, '/');

    if (slash + 1 >= resource.len)
        return SUBJECT_NONE;
    *ret_name = slice_skip(resource, slash + 1);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (slice_eq(slice_take(resource, slash), slice_str(kinds[i].word)))
            return kinds[i].subject;
    return SUBJECT_NONE;
}

static int ask_workload(const struct options *options, enum subject subject, struct slice name, uint16_t port, struct errmsg *msg,
                        struct question *question)
{
    struct port_spec spec = {.port = port};
    struct buffer workload;
    int r;

    buffer_init(&workload, 4096);
    buffer_add_lit(&workload, "{\"ns\":");
    buffer_add_json(&workload, slice_str(options->namespace));
    buffer_printf(&workload, ",\"%s\":", subject == SUBJECT_POD ? "pod" : "external_workload");
    buffer_add_json(&workload, name);
    buffer_add_lit(&workload, "}");
    spec.workload = buffer_slice(&workload);
    question->path = SLICE_LIT("/io.linkerd.proxy.inbound.InboundServerPolicies/GetPort");
    question->type = DUMP_SERVER;
    r = buffer_error(&workload);
    if (r == 0)
        r = port_spec_encode(&spec, msg, &question->message);
    buffer_release(&workload);
    return r;
}

/* A service by its name, whatever the cluster's domain; anything else by its address. */
static int ask_target(const struct options *options, bool is_service, struct slice name, uint16_t port, struct errmsg *msg,
                      struct question *question)
{
    struct traffic_spec spec = {.source_workload = slice_str(options->token)};
    char authority[600];

    if (is_service) {
        snprintf(authority, sizeof(authority), "%.*s.%s.svc:%u", SLICE_ARGS(slice_take(name, 253)), options->namespace, (unsigned)port);
        spec.authority = slice_str(authority);
    } else {
        spec.by_addr = true;
        spec.addr.port = port;
        if (ip_parse(name, &spec.addr.ip) < 0)
            return errmsg_set(msg, -EINVAL, "\"%.*s\" is not valid: expected svc/NAME, pod/NAME, externalworkload/NAME or an IP address",
                              SLICE_ARGS(slice_take(name, 200)));
    }
    question->path = SLICE_LIT("/io.linkerd.proxy.outbound.OutboundPolicies/Get");
    question->type = DUMP_OUTBOUND_POLICY;
    return traffic_spec_encode(&spec, msg, &question->message);
}

static int make_question(const struct options *options, const struct words *arguments, struct errmsg *msg, struct question *question)
{
    struct slice name = slice_str(arguments->items[0]);
    enum subject subject = subject_of(name, &name);
    uint64_t port;

    if (slice_u64(slice_str(arguments->items[1]), UINT16_MAX, &port) < 0 || port == 0)
        return errmsg_set(msg, -EINVAL, "the port \"%s\" is not valid: expected 1 to 65535", arguments->items[1]);
    if (subject == SUBJECT_POD || subject == SUBJECT_EXTERNAL)
        return ask_workload(options, subject, name, (uint16_t)port, msg, question);
    return ask_target(options, subject == SUBJECT_SERVICE, subject ? name : slice_str(arguments->items[0]), (uint16_t)port, msg, question);
}

static bool take(void *owner, struct slice message)
{
    struct answer *answer = owner;

    answer->error = message_dump(answer->question->type, message, answer->form, answer->msg, &answer->text);
    return true;
}

static int ask(const struct options *options, struct answer *answer, struct errmsg *msg)
{
    struct ask *ask;
    int r = control_plane_open(&options->control, POLICY_PORT, options->wait_ns, msg, &ask);

    if (r < 0)
        return r;
    r = ask_grpc(ask, answer->question->path, buffer_slice(&answer->question->message), 0, take, answer, msg);
    ask_close(ask);
    return r < 0 ? r : answer->error;
}

static int run(void *opaque, const struct words *arguments)
{
    const struct options *options = opaque;
    struct errmsg msg = {""};
    struct question question;
    struct answer answer = {.question = &question, .form = strcmp(options->output, "json") == 0 ? DUMP_JSON : DUMP_YAML, .msg = &msg};
    bool asked = false;
    int r;

    buffer_init(&question.message, LIMIT_GRPC_MESSAGE);
    buffer_init(&answer.text, LIMIT_SNAPSHOT);
    r = make_question(options, arguments, &msg, &question);
    if (r == 0) {
        asked = true;
        r = ask(options, &answer, &msg);
    }
    if (r == 0)
        fwrite(answer.text.data, 1, answer.text.len, stdout);
    else
        complain("diagnostics policy: %s%s", *msg.text ? msg.text : strerror(-r), asked ? "; --api-addr or --source names the policy service" : "");
    buffer_release(&question.message);
    buffer_release(&answer.text);
    return r == 0 ? STATUS_DONE : STATUS_FAILED;
}

const struct command diagnostics_policy_command = {
    .name = "diagnostics policy",
    .usage = "RESOURCE PORT",
    .summary = "Introspect Linkerd's policy state",
    .about = "Asks the policy service, as a proxy does, and prints what it answers: for svc/NAME (or an IP address) what applies to\n"
             "traffic to it, for pod/NAME and externalworkload/NAME what applies to connections that arrive at the port.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct options),
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run,
};
