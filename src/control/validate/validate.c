#include "control/validate/validate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/list.h"
#include "control/validate/checks.h"
#include "kube/api/api_stream.h"
#include "kube/decode/decode.h"
#include "template/copy.h"

/* Versions do not matter to these: every one that the decoder knows has the same fields. */
static void (*const checks[KUBE_KIND_COUNT])(struct checking *) = {
    [KUBE_SERVICE_PROFILE] = check_service_profile,
    [KUBE_SERVER] = check_server,
    [KUBE_SERVER_AUTHORIZATION] = check_server_authorization,
    [KUBE_AUTHORIZATION_POLICY] = check_authorization_policy,
    [KUBE_MESH_TLS_AUTHENTICATION] = check_mesh_tls_authentication,
    [KUBE_NETWORK_AUTHENTICATION] = check_network_authentication,
    [KUBE_HTTP_ROUTE] = check_http_route,
    [KUBE_POLICY_HTTP_ROUTE] = check_http_route,
    [KUBE_GRPC_ROUTE] = check_grpc_route,
    [KUBE_TLS_ROUTE] = check_tcp_route,
    [KUBE_TCP_ROUTE] = check_tcp_route,
    [KUBE_EGRESS_NETWORK] = check_egress_network,
    [KUBE_RATE_LIMIT_POLICY] = check_rate_limit_policy,
};

const struct path validate_spec = {NULL, {"spec", 4}, 0};

/* One object on its way: as an API server sends it in a watch, through the sources' decoder, to the checks. */
struct examination {
    const struct review *review;
    const struct validate_context *context;
    enum kube_kind kind;
    struct api_handler handler;
    struct decode_sink sink;
    struct reporter reporter;
    const struct yaml_node *root; /* while it is decoded */
    json_t *problems, *warnings;  /* texts */
    bool read;                    /* the decoder took it, or said what is wrong */
    bool no_memory;
};

/* --- collecting --- */

/* "Server default/web: " stands once, before all of them. */
static void on_report(struct reporter *reporter, const struct report *report)
{
    struct examination *e = CONTAINER_OF(reporter, struct examination, reporter);
    struct report bare = *report;
    struct buffer text;

    if (report->severity == REPORT_INFO)
        return;
    bare.file = bare.object = SLICE_NULL;
    buffer_init(&text, LIMIT_VALIDATE_MESSAGE);
    report_format(&bare, &text);
    if (json_array_append_new(report->severity == REPORT_ERROR ? e->problems : e->warnings, review_text(buffer_slice(&text))) < 0 ||
        buffer_error(&text) == -ENOMEM)
        e->no_memory = true;
    buffer_release(&text);
}

static int problem(struct examination *e, struct slice text)
{
    return json_array_append_new(e->problems, review_text(text)) < 0 ? -ENOMEM : 0;
}

static int warning(struct examination *e, const char *text)
{
    return json_array_append_new(e->warnings, review_text(slice_str(text))) < 0 ? -ENOMEM : 0;
}

/* --- decoding and checking --- */

static void run_checks(struct examination *e, const struct kube_object *object)
{
    struct arena scratch;
    struct checking checking = {.context = e->context, .object = object, .spec = yaml_get_lit(e->root, "spec")};

    arena_init(&scratch, LIMIT_OBJECT_ARENA);
    checking.decoder = (struct decoder){.arena = &scratch, .reporter = &e->reporter};
    checks[e->kind](&checking);
    if (checking.decoder.untold)
        decoder_complain(&(struct decoder){.reporter = &e->reporter}, REPORT_WARNING, NULL, NULL, 0, 0, "and %u more complaints like these",
                         checking.decoder.untold);
    e->no_memory |= checking.decoder.no_memory;
    arena_release(&scratch);
}

static void on_decoded(struct decode_sink *sink, const struct decoded *decoded)
{
    struct examination *e = CONTAINER_OF(sink, struct examination, sink);

    e->read = decoded->what == DECODED_OBJECT || json_array_size(e->problems);
    if (decoded->what != DECODED_OBJECT)
        return;
    run_checks(e, decoded->object);
    kube_object_unref(decoded->object);
}

static void on_event(struct api_handler *handler, enum api_event event, const struct yaml_node *object)
{
    struct examination *e = CONTAINER_OF(handler, struct examination, handler);
    struct decode_options options = {.reporter = &e->reporter, .strict = e->kind == KUBE_SERVICE_PROFILE};

    if (event != API_ADDED)
        return;
    e->root = object;
    if (decode_document(object, &options, &e->sink) < 0)
        e->no_memory = true;
}

static int set_text(json_t *object, const char *name, const char *value)
{
    return json_object_set_new(object, name, json_string(value)) < 0 ? -ENOMEM : 0;
}

/* The question's namespace, and a name where one is still to be made. */
static json_t *whole_metadata(const struct review *review)
{
    const json_t *given = json_object_get(review->object, "metadata");
    json_t *metadata = json_is_object(given) ? copy_shallow(given) : json_object();
    const char *begin = json_string_value(json_object_get(given, "generateName"));
    struct errmsg name; /* as API servers make it */
    int r = metadata ? 0 : -ENOMEM;

    if (r == 0 && *review->namespace_)
        r = set_text(metadata, "namespace", review->namespace_);
    if (r == 0 && begin && !json_object_get(given, "name")) {
        errmsg_set(&name, 0, "%.58s00000", begin);
        r = json_object_set_new(metadata, "name", review_text(slice_str(name.text))) < 0 ? -ENOMEM : 0;
    }
    if (r < 0) {
        json_decref(metadata);
        return NULL;
    }
    return metadata;
}

/* {"type": "ADDED", "object": ...}; the question says what the object is, which may leave it out. */
static char *as_event(const struct review *review)
{
    json_t *object = copy_shallow(review->object), *event = NULL;
    json_t *version = json_sprintf("%s/%s", review->group, review->version);
    char *text = NULL;

    if (object && json_object_set_new(object, "apiVersion", version) == 0 && set_text(object, "kind", review->kind) == 0 &&
        json_object_set_new(object, "metadata", whole_metadata(review)) == 0)
        event = json_pack("{s:s, s:O}", "type", "ADDED", "object", object);
    else if (!object)
        json_decref(version);
    if (event)
        text = json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(event);
    json_decref(object);
    return text;
}

/* The sources would not read it either. */
static int too_large(struct examination *e)
{
    struct errmsg msg;

    errmsg_set(&msg, 0, "larger than the control plane reads: expected at most %d bytes when it is decoded, %d levels and %d values",
               LIMIT_API_OBJECT, LIMIT_YAML_DEPTH, LIMIT_YAML_NODES);
    return problem(e, slice_str(msg.text));
}

static int examine(struct examination *e)
{
    struct api_stream *stream = NULL;
    struct errmsg msg = {""};
    char *text = as_event(e->review);
    int r = text ? api_stream_new(&e->handler, API_WATCH, &stream) : -ENOMEM;

    if (r == 0)
        r = api_stream_feed(stream, slice_str(text), &msg);
    if (r == -ENOBUFS)
        r = too_large(e);
    else if (r < 0 || !e->read)
        r = -ENOMEM; /* the text is ours: jansson leaves out keys that it has no memory for, and says nothing */
    api_stream_free(stream);
    free(text);
    return e->no_memory ? -ENOMEM : r;
}

/* --- what needs no look --- */

static bool is_being_deleted(const struct review *review)
{
    return json_is_string(json_object_get(json_object_get(review->object, "metadata"), "deletionTimestamp"));
}

static bool is_asked_about(const struct review *review)
{
    return (strcmp(review->operation, "CREATE") == 0 || strcmp(review->operation, "UPDATE") == 0) && review->object &&
           !*review->sub_resource && !is_being_deleted(review);
}

static bool same(const json_t *a, const json_t *b)
{
    return (!a && !b) || json_equal(a, b);
}

/* An update that touches nothing of what is looked at. */
static bool is_unchanged(const struct review *review)
{
    const json_t *old = review->old_object, *new = review->object;

    return strcmp(review->operation, "UPDATE") == 0 && old &&
           same(json_object_get(old, "spec"), json_object_get(new, "spec")) &&
           same(json_object_get(json_object_get(old, "metadata"), "annotations"),
                json_object_get(json_object_get(new, "metadata"), "annotations"));
}

static int find_kind(struct examination *e, bool *ret_known)
{
    const struct review *review = e->review;
    struct errmsg msg;

    *ret_known = kube_kind_find(slice_str(review->group), slice_str(review->kind), &e->kind) == 0 && checks[e->kind] &&
                 kube_kind_reads_version(e->kind, slice_str(review->version));
    if (*ret_known)
        return 0;
    errmsg_set(&msg, 0, "not checked: this control plane does not know %.80s/%.40s %.80s", review->group, review->version, review->kind);
    return warning(e, msg.text);
}

/* --- the opinion --- */

static void begin_denial(struct examination *e, struct buffer *denial)
{
    const json_t *metadata = json_object_get(e->review->object, "metadata");
    const char *name = json_string_value(json_object_get(metadata, "name"));

    buffer_printf(denial, "%s %.64s%s%.253s: ", e->review->kind, e->review->namespace_, *e->review->namespace_ ? "/" : "", name ? name : "");
    if (json_array_size(e->problems) > 1)
        buffer_printf(denial, "%zu problems:", json_array_size(e->problems));
}

/* What is too long is left out as a whole; the first fits. */
static int write_denial(struct examination *e, struct validate_opinion *opinion)
{
    size_t count = json_array_size(e->problems), told = 0;

    begin_denial(e, &opinion->denial);
    for (; told < count; told++) {
        struct slice text = slice_str(json_string_value(json_array_get(e->problems, told)));

        if (opinion->denial.len + text.len + 64 > LIMIT_VALIDATE_MESSAGE)
            break;
        buffer_printf(&opinion->denial, "%s%.*s", count > 1 ? "\n  " : "", SLICE_ARGS(text));
    }
    if (told < count)
        buffer_printf(&opinion->denial, "\n  and %zu more", count - told);
    opinion->problems = count;
    buffer_add_byte(&opinion->denial, '\0');
    return buffer_error(&opinion->denial);
}

static int conclude(struct examination *e, struct validate_opinion *opinion)
{
    if (!json_array_size(e->problems))
        return 0;
    if (!is_unchanged(e->review))
        return write_denial(e, opinion);
    return json_array_extend(e->warnings, e->problems) < 0 ? -ENOMEM : 0;
}

int validate(const struct review *review, const struct validate_context *context, struct validate_opinion *ret_opinion)
{
    struct examination e = {.review = review, .context = context, .handler.event = on_event, .sink.decoded = on_decoded,
                            .reporter.report = on_report, .problems = json_array(), .warnings = json_array()};
    struct validate_opinion opinion = {.warnings = e.warnings};
    bool known = false;
    int r = e.problems && e.warnings ? 0 : -ENOMEM;

    buffer_init(&opinion.denial, (size_t)2 * LIMIT_VALIDATE_MESSAGE);
    if (r == 0 && is_asked_about(review))
        r = find_kind(&e, &known);
    if (r == 0 && known)
        r = examine(&e);
    if (r == 0)
        r = conclude(&e, &opinion);
    json_decref(e.problems);
    if (r < 0)
        validate_opinion_release(&opinion);
    else
        *ret_opinion = opinion;
    return r;
}

void validate_opinion_release(struct validate_opinion *opinion)
{
    buffer_release(&opinion->denial);
    json_decref(opinion->warnings);
}

struct review_verdict validate_verdict(const struct validate_opinion *opinion)
{
    return (struct review_verdict){.denial = opinion->denial.len ? opinion->denial.data : NULL, .warnings = opinion->warnings};
}

int validate_review(struct slice body, const struct validate_context *context, struct errmsg *msg, struct buffer *ret_body)
{
    struct validate_opinion opinion;
    struct review_verdict verdict;
    struct review review;
    int r = review_read(body, msg, &review);

    if (r < 0)
        return r;
    r = validate(&review, context, &opinion);
    if (r == 0) {
        verdict = validate_verdict(&opinion);
        r = review_write(&review, &verdict, ret_body);
        validate_opinion_release(&opinion);
    }
    review_release(&review);
    return r;
}
