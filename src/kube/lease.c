#include "kube/lease.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mutation.h"
#include "codec/yaml/yaml.h"
#include "kube/timestamp.h"

static const int64_t LOOK_NS = 2 * NS_PER_S; /* of those that wait, and after failures */
enum { VERSION_MAX = 64, IDENTITY_MAX = 256 };

/* What the request under way does. */
enum lease_asking {
    ASKING_NOTHING,
    ASKING_HOLDER,  /* who has it */
    ASKING_TO_MAKE, /* there is none */
    ASKING_TO_HOLD, /* renewed, or taken */
    ASKING_TO_END   /* given up */
};

/* The lease as the server had it last. */
struct lease_seen {
    char version[VERSION_MAX]; /* resourceVersion; "": never seen */
    char holder[IDENTITY_MAX];
    int64_t duration_ns;
    int64_t transitions;
    int64_t since_ns; /* it has not changed */
};

struct lease {
    struct api_client *client;
    struct lease_options options;
    struct api_call *call;
    enum lease_asking asking;
    int64_t asked_ns;
    struct lease_seen seen;
    bool held;              /* as on_change() was told */
    int64_t held_until_ns;  /* by what was renewed */
    int64_t next_ns;        /* request */
    bool given_up, complained;
    struct timer timer;
};

static int64_t now_of(const struct lease *lease)
{
    return api_client_loop(lease->client)->now_ns;
}

/* --- what the server says --- */

static void keep(char *to, size_t size, const struct yaml_node *node)
{
    bool fits = node && node->kind == YAML_STRING && node->text.len < size;

    snprintf(to, size, "%.*s", fits ? (int)node->text.len : 0, fits ? node->text.ptr : "");
}

static int64_t integer_of(const struct yaml_node *node, int64_t otherwise)
{
    return node && node->kind == YAML_INTEGER && node->integer >= 0 && node->integer < INT32_MAX ? node->integer : otherwise;
}

/* False: it is no Lease. */
static bool read_lease(struct lease *lease, struct slice answer)
{
    struct lease_seen seen = {.since_ns = now_of(lease)};
    struct yaml_node *root = NULL;
    struct yaml_problem problem;
    const struct yaml_node *spec;
    struct arena arena;

    arena_init(&arena, (size_t)2 * LIMIT_API_ANSWER);
    if (yaml_parse(&arena, answer, 1, JSON, &root, &problem) < 0)
        root = NULL;
    spec = yaml_get_lit(root, "spec");
    keep(seen.version, sizeof(seen.version), yaml_get_lit(yaml_get_lit(root, "metadata"), "resourceVersion"));
    keep(seen.holder, sizeof(seen.holder), yaml_get_lit(spec, "holderIdentity"));
    seen.duration_ns = integer_of(yaml_get_lit(spec, "leaseDurationSeconds"), lease->options.duration_ns / NS_PER_S) * NS_PER_S;
    seen.transitions = integer_of(yaml_get_lit(spec, "leaseTransitions"), 0);
    arena_release(&arena);
    if (!seen.version[0])
        return false;
    if (strcmp(seen.version, lease->seen.version) == 0)
        seen.since_ns = lease->seen.since_ns;
    lease->seen = seen;
    return true;
}

static bool is_mine(const struct lease *lease)
{
    return slice_eq(slice_str(lease->seen.holder), lease->options.identity);
}

/* Nobody has it, or who has it has not been heard of for all of its time. */
static bool may_take(const struct lease *lease)
{
    return !lease->seen.holder[0] || is_mine(lease) || now_of(lease) >= lease->seen.since_ns + lease->seen.duration_ns || mutation("lease-taken-early");
}

/* --- requests --- */

static void write_lease(const struct lease *lease, struct buffer *out)
{
    bool make = lease->asking == ASKING_TO_MAKE, end = lease->asking == ASKING_TO_END, renew = is_mine(lease);
    struct loop *loop = api_client_loop(lease->client);
    char now[TIMESTAMP_TEXT_MAX];

    timestamp_format_micro(loop->sys->ops->wall(loop->sys), now);
    buffer_add_lit(out, "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{");
    if (make) {
        buffer_printf(out, "\"name\":\"%.*s\",\"namespace\":\"%.*s\"},", SLICE_ARGS(lease->options.name), SLICE_ARGS(lease->options.namespace_));
    } else {
        buffer_add_lit(out, "\"resourceVersion\":");
        buffer_add_json(out, slice_str(lease->seen.version));
        buffer_add_lit(out, "},");
    }
    buffer_add_lit(out, "\"spec\":{\"holderIdentity\":");
    buffer_add_json(out, end ? SLICE_LIT("") : lease->options.identity);
    buffer_printf(out, ",\"leaseDurationSeconds\":%lld,\"renewTime\":\"%s\"", end ? 1 : (long long)(lease->options.duration_ns / NS_PER_S), now);
    if (!end && (make || !renew))
        buffer_printf(out, ",\"acquireTime\":\"%s\",\"leaseTransitions\":%lld", now, make ? 0 : (long long)lease->seen.transitions + 1);
    buffer_add_lit(out, "}}");
}

static void on_end(struct api_call *call, const struct api_answer *answer);
static const struct api_call_events call_events = {.on_end = on_end};

static int start_request(struct lease *lease)
{
    struct api_request request = {.timeout_ns = LEASE_WRITE_TIMEOUT_NS};
    struct buffer path, body;
    int r;

    buffer_init(&path, 1024);
    buffer_init(&body, 8192);
    buffer_printf(&path, "/apis/coordination.k8s.io/v1/namespaces/%.*s/leases", SLICE_ARGS(lease->options.namespace_));
    if (lease->asking != ASKING_TO_MAKE)
        buffer_printf(&path, "/%.*s", SLICE_ARGS(lease->options.name));
    if (lease->asking != ASKING_HOLDER) {
        write_lease(lease, &body);
        request.method = lease->asking == ASKING_TO_MAKE ? "POST" : "PATCH";
        request.content_type = lease->asking == ASKING_TO_MAKE ? SLICE_LIT(API_JSON) : SLICE_LIT(API_MERGE_PATCH);
        request.body = buffer_slice(&body);
    }
    request.path = buffer_slice(&path);
    r = buffer_error(&path) ? buffer_error(&path) : buffer_error(&body);
    if (r == 0)
        r = api_call_start(lease->client, &request, &call_events, lease, &lease->call);
    buffer_release(&path);
    buffer_release(&body);
    return r;
}

static void ask(struct lease *lease, enum lease_asking what)
{
    lease->asking = what;
    lease->asked_ns = now_of(lease);
    if (start_request(lease) < 0) {
        lease->asking = ASKING_NOTHING;
        lease->next_ns = now_of(lease) + LOOK_NS;
    }
}

/* --- holding --- */

/* The one place where it changes hands. */
static void look_if_held(struct lease *lease)
{
    bool held = !lease->given_up && now_of(lease) < lease->held_until_ns;

    if (held == lease->held)
        return;
    lease->held = held;
    lease->options.on_change(lease->options.owner, held);
}

static void set_timer(struct lease *lease)
{
    int64_t at_ns = lease->asking == ASKING_NOTHING ? lease->next_ns : INT64_MAX;

    if (lease->held && lease->held_until_ns < at_ns)
        at_ns = lease->held_until_ns;
    if (lease->given_up || at_ns == INT64_MAX)
        timer_cancel(&lease->timer);
    else
        timer_set(api_client_loop(lease->client), &lease->timer, at_ns);
}

static void taken(struct lease *lease)
{
    lease->held_until_ns = lease->asked_ns + lease->options.duration_ns / 3 * 2;
    lease->next_ns = lease->asked_ns + lease->options.duration_ns / 3;
}

static void lost(struct lease *lease)
{
    lease->held_until_ns = 0;
    lease->next_ns = now_of(lease) + LOOK_NS;
}

/* Who has it is known: what to do about that. */
static void decide(struct lease *lease)
{
    if (may_take(lease))
        ask(lease, ASKING_TO_HOLD);
    else
        lost(lease);
}

static void trouble(struct lease *lease, const struct api_answer *answer)
{
    lease->next_ns = now_of(lease) + LOOK_NS;
    if (lease->complained)
        return;
    lease->complained = true;
    if (lease->options.on_trouble)
        lease->options.on_trouble(lease->options.owner, answer->error ? answer->why : "the API server's answer is no Lease");
}

static void on_answer(struct lease *lease, enum lease_asking asked, const struct api_answer *answer)
{
    bool gone = answer->status == 404 && asked != ASKING_TO_MAKE, read = !answer->error && read_lease(lease, answer->body);

    if (read)
        lease->complained = false;
    if (read && asked == ASKING_HOLDER)
        decide(lease);
    else if (read)
        taken(lease);
    else if (gone && asked == ASKING_HOLDER)
        ask(lease, ASKING_TO_MAKE);
    else if (gone || answer->status == 409) /* somebody was quicker */
        ask(lease, ASKING_HOLDER);
    else
        trouble(lease, answer);
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct lease *lease = api_call_owner(call);
    enum lease_asking asked = lease->asking;

    lease->call = NULL;
    lease->asking = ASKING_NOTHING;
    if (lease->given_up)
        return;
    on_answer(lease, asked, answer);
    look_if_held(lease);
    set_timer(lease);
}

static void on_time(struct timer *timer)
{
    struct lease *lease = CONTAINER_OF(timer, struct lease, timer);

    look_if_held(lease);
    if (lease->asking == ASKING_NOTHING && now_of(lease) >= lease->next_ns)
        ask(lease, lease->held && is_mine(lease) ? ASKING_TO_HOLD : ASKING_HOLDER);
    set_timer(lease);
}

/* --- life --- */

int lease_new(struct api_client *client, const struct lease_options *options, struct lease **ret_lease)
{
    struct lease *lease = calloc(1, sizeof(*lease));

    if (!lease)
        return -ENOMEM;
    lease->client = client;
    lease->options = *options;
    if (!lease->options.duration_ns)
        lease->options.duration_ns = LEASE_DURATION_NS;
    if (timer_init(api_client_loop(client), &lease->timer, on_time) < 0) {
        free(lease);
        return -ENOMEM;
    }
    lease->next_ns = now_of(lease);
    set_timer(lease);
    *ret_lease = lease;
    return 0;
}

void lease_free(struct lease *lease)
{
    if (!lease)
        return;
    api_call_cancel(lease->call);
    timer_release(api_client_loop(lease->client), &lease->timer);
    free(lease);
}

bool lease_is_held(const struct lease *lease)
{
    return lease->held && now_of(lease) < lease->held_until_ns;
}

void lease_give_up(struct lease *lease)
{
    bool held = lease_is_held(lease);

    lease->given_up = true;
    api_call_cancel(lease->call);
    lease->call = NULL;
    lease->asking = ASKING_NOTHING;
    look_if_held(lease);
    set_timer(lease);
    if (held)
        ask(lease, ASKING_TO_END);
}

struct slice lease_holder(const struct lease *lease)
{
    return slice_str(lease->seen.holder);
}
