#include "kube/api/api_source.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mutation.h"
#include "kube/api/api_reflector.h"
#include "kube/api/api_stream.h"
#include "kube/kinds.h"
#include "mesh/backoff.h"

#define DISCOVERY                                                                                                       \
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"                                               \
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"

enum { RESOURCE_MAX = 64, ETAG_MAX = 256 };

/* What discovery says of a kind. */
struct served {
    unsigned rank; /* of the version in kube_kinds, from 1: the newest; 0: not served */
    char resource[RESOURCE_MAX];
};

struct api_source {
    struct api_client *client;
    struct store *store;
    uint32_t kinds;
    struct reporter *reporter;
    struct api_reflector *reflectors[KUBE_KIND_COUNT];
    /* discovery */
    struct served served[KUBE_KIND_COUNT];
    struct api_handler handler;
    struct api_stream *stream;
    struct api_call *call;
    struct timer timer;
    struct task look; /* whether all is synced */
    char etag[ETAG_MAX];
    size_t groups;    /* that the answer named */
    unsigned failures;
    bool discovered;  /* once */
};

/*
 * Kinds that every API server has, in this version. Pods that have ended have no address and no proxy; where many jobs run, most pods are such.
 */
static const struct {
    enum kube_kind kind;
    const char *resource, *version, *fields;
} built_in[] = {
    {KUBE_NAMESPACE, "namespaces", "v1"},
    {KUBE_NODE, "nodes", "v1"},
    {KUBE_SERVICE_ACCOUNT, "serviceaccounts", "v1"},
    {KUBE_SERVICE, "services", "v1"},
    {KUBE_ENDPOINT_SLICE, "endpointslices", "v1"},
    {KUBE_POD, "pods", "v1", "status.phase!=Succeeded,status.phase!=Failed"},
};

static bool is_built_in(enum kube_kind kind)
{
    for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++)
        if (built_in[i].kind == kind)
            return true;
    return kind == KUBE_ENDPOINTS;
}

static bool is_wanted(const struct api_source *source, int kind)
{
    return source->kinds & STORE_KIND(kind);
}

static void tell(struct api_source *source, enum report_severity severity, struct slice object, const char *reason)
{
    const struct report report = {.severity = severity, .object = object, .reason = slice_str(reason)};

    if (source->reporter)
        source->reporter->report(source->reporter, &report);
}

/* --- reflectors --- */

static void look(struct task *task)
{
    struct api_source *source = CONTAINER_OF(task, struct api_source, look);

    if (!source->discovered || store_is_synced(source->store))
        return;
    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++)
        if (source->reflectors[kind] && !api_reflector_is_synced(source->reflectors[kind]))
            return;
    store_set_synced(source->store);
    malloc_trim(0); /* reading all of it leaves holes */
}

static void on_synced(void *owner)
{
    struct api_source *source = owner;

    task_wake(api_client_loop(source->client), &source->look);
}

/* `fields`: NULL for all objects of the kind. */
static int reflect(struct api_source *source, enum kube_kind kind, struct slice version, const char *resource, const char *fields)
{
    const struct api_reflector_options options = {
        .client = source->client,
        .store = source->store,
        .reporter = source->reporter,
        .kind = kind,
        .version = version,
        .resource = slice_str(resource),
        .selection.fields = slice_str(fields ? fields : ""),
        .read_only = kind == KUBE_POD, /* of which there may be very many */
        .on_synced = on_synced,
        .owner = source,
    };

    return api_reflector_new(&options, &source->reflectors[kind]);
}

static int reflect_built_in(struct api_source *source)
{
    int r = 0;

    for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]) && r == 0; i++)
        if (is_wanted(source, built_in[i].kind))
            r = reflect(source, built_in[i].kind, slice_str(built_in[i].version), built_in[i].resource, built_in[i].fields);
    return r;
}

/* --- what discovery says --- */

static struct slice text_of(const struct yaml_node *node)
{
    return node && node->kind == YAML_STRING ? node->text : SLICE_LIT("");
}

static const struct yaml_item *items_of(const struct yaml_node *list)
{
    return list && list->kind == YAML_LIST ? list->items : NULL;
}

/* The place of the version among those that we read of the kind, from 1; 0: none. */
static unsigned rank_of(enum kube_kind kind, struct slice version)
{
    struct slice rest = slice_str(kube_kinds[kind].versions), one;
    unsigned rank = 0;

    while (slice_split(&rest, ' ', &one)) {
        rank++;
        if (slice_eq(one, version))
            return rank;
    }
    return 0;
}

static struct slice version_of(enum kube_kind kind, unsigned rank)
{
    struct slice rest = slice_str(kube_kinds[kind].versions), one = SLICE_NULL;

    while (rank-- && slice_split(&rest, ' ', &one))
        ;
    return one;
}

static bool can_be_watched(const struct yaml_node *resource)
{
    bool list = false, watch = false;

    for (const struct yaml_item *verb = items_of(yaml_get_lit(resource, "verbs")); verb; verb = verb->next) {
        list |= slice_eq(text_of(verb->value), SLICE_LIT("list"));
        watch |= slice_eq(text_of(verb->value), SLICE_LIT("watch"));
    }
    return list && watch;
}

static void take_resource(struct api_source *source, struct slice group, struct slice version, const struct yaml_node *node)
{
    struct slice name = text_of(yaml_get_lit(yaml_get_lit(node, "responseKind"), "kind")), resource = text_of(yaml_get_lit(node, "resource"));
    struct served *served;
    enum kube_kind kind;
    unsigned rank;

    if (kube_kind_find(group, name, &kind) < 0 || is_built_in(kind) || !can_be_watched(node))
        return;
    served = &source->served[kind];
    rank = rank_of(kind, version);
    if (!rank || (served->rank && served->rank <= rank) || !resource.len || resource.len >= RESOURCE_MAX)
        return;
    served->rank = rank;
    memcpy(served->resource, resource.ptr, resource.len);
    served->resource[resource.len] = '\0';
}

static void on_group(struct api_handler *handler, enum api_event event, const struct yaml_node *group)
{
    struct api_source *source = CONTAINER_OF(handler, struct api_source, handler);
    struct slice name = text_of(yaml_get_lit(yaml_get_lit(group, "metadata"), "name"));

    if (event != API_ITEM)
        return;
    source->groups++;
    for (const struct yaml_item *version = items_of(yaml_get_lit(group, "versions")); version; version = version->next)
        for (const struct yaml_item *resource = items_of(yaml_get_lit(version->value, "resources")); resource; resource = resource->next)
            take_resource(source, name, text_of(yaml_get_lit(version->value, "version")), resource->value);
}

/* --- and what follows from it --- */

static int follow(struct api_source *source, enum kube_kind kind)
{
    struct api_reflector **reflector = &source->reflectors[kind];
    const struct served *served = &source->served[kind];
    struct slice version = version_of(kind, served->rank);

    if (*reflector && served->rank && slice_eq(api_reflector_version(*reflector), version))
        return 0;
    if (*reflector) {
        api_reflector_free(*reflector);
        *reflector = NULL;
        if (!served->rank) {
            tell(source, REPORT_INFO, kube_kind_name(kind), "not served any more");
            return api_reflector_clear(source->store, kind);
        }
    }
    return served->rank ? reflect(source, kind, version, served->resource, NULL) : 0;
}

static int follow_all(struct api_source *source)
{
    int r = 0;

    for (int kind = 0; kind < KUBE_KIND_COUNT && r == 0; kind++)
        if (is_wanted(source, kind) && !is_built_in((enum kube_kind)kind))
            r = follow(source, (enum kube_kind)kind);
    return r;
}

/* --- asking --- */

static void forget_stream(struct api_source *source)
{
    api_call_cancel(source->call);
    source->call = NULL;
    api_stream_free(source->stream);
    source->stream = NULL;
}

static void ask_after(struct api_source *source, int64_t delay_ns)
{
    struct loop *loop = api_client_loop(source->client);

    timer_set(loop, &source->timer, loop->now_ns + delay_ns);
}

static void fail(struct api_source *source, const char *why, int64_t retry_after_ns)
{
    int64_t delay = backoff_delay(&BACKOFF_INBOUND, ++source->failures, &api_client_loop(source->client)->rng);

    forget_stream(source);
    source->etag[0] = '\0';
    if (source->failures == 1)
        tell(source, REPORT_WARNING, SLICE_LIT("discovery"), why);
    ask_after(source, delay > retry_after_ns ? delay : retry_after_ns);
}

static void on_data(struct api_call *call, struct slice bytes)
{
    struct api_source *source = api_call_owner(call);
    struct errmsg msg;

    if (api_stream_feed(source->stream, bytes, &msg) < 0)
        fail(source, msg.text, 0);
}

static void keep_etag(struct api_source *source, struct slice etag)
{
    source->etag[0] = '\0';
    if (etag.len >= ETAG_MAX)
        return;
    memcpy(source->etag, etag.ptr ? etag.ptr : "", etag.len);
    source->etag[etag.len] = '\0';
}

/* All of it has come. */
static void finish(struct api_source *source, struct slice etag)
{
    if (api_stream_end(source->stream) < 0 || !source->groups) {
        fail(source, "the answer is no APIGroupDiscoveryList; Kubernetes 1.29 or later is needed", 0);
        return;
    }
    if (follow_all(source) < 0) {
        fail(source, "no memory", 0);
        return;
    }
    keep_etag(source, etag);
    source->discovered = true;
    on_synced(source);
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct api_source *source = api_call_owner(call);

    source->call = NULL;
    if (answer->error) {
        fail(source, answer->why, answer->retry_after_ns);
        return;
    }
    if (answer->status != 304)
        finish(source, answer->etag);
    if (!source->stream) /* it failed */
        return;
    forget_stream(source);
    source->failures = 0;
    if (!mutation("definitions-are-asked-for-once"))
        ask_after(source, DISCOVERY_NS);
}

static const struct api_call_events events = {.on_data = on_data, .on_end = on_end};

static void ask(struct timer *timer)
{
    struct api_source *source = CONTAINER_OF(timer, struct api_source, timer);
    const struct api_request request = {.path = SLICE_LIT("/apis"), .accept = SLICE_LIT(DISCOVERY), .if_none_match = slice_str(source->etag)};

    memset(source->served, 0, sizeof(source->served));
    source->groups = 0;
    if (api_stream_new(&source->handler, API_LIST, &source->stream) < 0 || api_call_start(source->client, &request, &events, source, &source->call) < 0)
        fail(source, "no memory", 0);
}

/* --- the source --- */

int api_source_new(struct api_client *client, struct store *store, uint32_t kinds, struct reporter *reporter,
                   struct api_source **ret_source)
{
    struct api_source *source = calloc(1, sizeof(*source));
    int r;

    if (!source)
        return -ENOMEM;
    source->client = client;
    source->store = store;
    source->kinds = kinds;
    source->reporter = reporter;
    source->handler.event = on_group;
    task_init(&source->look, look);
    r = timer_init(api_client_loop(client), &source->timer, ask);
    if (r == 0)
        r = reflect_built_in(source);
    if (r < 0) {
        api_source_free(source);
        return r;
    }
    ask_after(source, 0);
    *ret_source = source;
    return 0;
}

void api_source_free(struct api_source *source)
{
    if (!source)
        return;
    forget_stream(source);
    timer_release(api_client_loop(source->client), &source->timer);
    task_cancel(&source->look);
    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++)
        api_reflector_free(source->reflectors[kind]);
    free(source);
}
