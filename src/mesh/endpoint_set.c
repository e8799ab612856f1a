#include "mesh/endpoint_set.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mutation.h"

/* --- one endpoint --- */

struct endpoint *endpoint_new(struct snapshot *source, const struct endpoint_info *info, int64_t default_rtt_ns,
                              int64_t now_ns)
{
    struct endpoint *endpoint = calloc(1, sizeof(*endpoint));

    if (!endpoint)
        return NULL;
    refcount_init(&endpoint->refs);
    refcount_get(&source->refs);
    endpoint->source = source;
    endpoint->info = info;
    atomic_init(&endpoint->rtt_ns, default_rtt_ns);
    atomic_init(&endpoint->stamp_ns, now_ns);
    return endpoint;
}

struct endpoint *endpoint_ref(struct endpoint *endpoint)
{
    refcount_get(&endpoint->refs);
    return endpoint;
}

void endpoint_unref(struct endpoint *endpoint)
{
    if (!endpoint || !refcount_put(&endpoint->refs))
        return;
    snapshot_unref(endpoint->source);
    free(endpoint);
}

enum endpoint_health endpoint_health(const struct endpoint *endpoint)
{
    int64_t health = atomic_load_explicit(&endpoint->health, memory_order_relaxed);

    return health == 0 ? ENDPOINT_READY : health > 0 ? ENDPOINT_EJECTED : ENDPOINT_PROBING;
}

const char *endpoint_health_name(enum endpoint_health health)
{
    static const char *const names[] = {
        [ENDPOINT_READY] = "ready", [ENDPOINT_EJECTED] = "ejected", [ENDPOINT_PROBING] = "probing"};

    return names[health];
}

int64_t endpoint_probe_at(const struct endpoint *endpoint)
{
    int64_t health = atomic_load_explicit(&endpoint->health, memory_order_relaxed);

    return health < 0 ? -health : health;
}

/* A point of time as it stands in `health`: never 0, which means ready. */
static int64_t after(int64_t now_ns, int64_t span_ns)
{
    int64_t at = span_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + span_ns;

    return at > 0 ? at : 1;
}

bool endpoint_claim(struct endpoint *endpoint, int64_t now_ns, int64_t probe_ns)
{
    int64_t health = atomic_load_explicit(&endpoint->health, memory_order_relaxed);
    int64_t due = health < 0 ? -health : health;

    if (health == 0 || now_ns < due)
        return false;
    return atomic_compare_exchange_strong(&endpoint->health, &health, -after(now_ns, probe_ns));
}

bool endpoint_connected(struct endpoint *endpoint)
{
    /* The usual case writes nothing: the line is shared by all workers. */
    if (atomic_load_explicit(&endpoint->failures, memory_order_relaxed))
        atomic_store_explicit(&endpoint->failures, 0, memory_order_relaxed);
    if (atomic_load_explicit(&endpoint->last_error, memory_order_relaxed))
        atomic_store_explicit(&endpoint->last_error, 0, memory_order_relaxed);
    return !endpoint_is_ready(endpoint) && atomic_exchange(&endpoint->health, 0) != 0;
}

bool endpoint_failed(struct endpoint *endpoint, int error, const struct backoff_config *backoff, int64_t now_ns,
                     struct rng *rng)
{
    int64_t health = atomic_load_explicit(&endpoint->health, memory_order_relaxed);
    unsigned failures = atomic_load_explicit(&endpoint->failures, memory_order_relaxed) + 1;
    int64_t until;

    atomic_store_explicit(&endpoint->last_error, error, memory_order_relaxed);
    if (health > 0 || mutation("refusing-endpoint-not-ejected"))
        return false; /* ejected already; this attempt was under way at that time */
    until = mutation("no-backoff-between-connects") ? after(now_ns, 1) : after(now_ns, backoff_delay(backoff, failures, rng));
    if (!atomic_compare_exchange_strong(&endpoint->health, &health, until))
        return false;
    atomic_store_explicit(&endpoint->failures, failures, memory_order_relaxed);
    return true;
}

/* The new description of an address goes on with what is known of its load and health. */
static void inherit(struct endpoint *endpoint, const struct endpoint *old)
{
    int64_t health = atomic_load_explicit(&old->health, memory_order_relaxed);

    atomic_init(&endpoint->rtt_ns, atomic_load_explicit(&old->rtt_ns, memory_order_relaxed));
    atomic_init(&endpoint->stamp_ns, atomic_load_explicit(&old->stamp_ns, memory_order_relaxed));
    atomic_init(&endpoint->failures, atomic_load_explicit(&old->failures, memory_order_relaxed));
    atomic_init(&endpoint->last_error, atomic_load_explicit(&old->last_error, memory_order_relaxed));
    /* A probe under way reports to the old object: the new one may be probed at once. */
    atomic_init(&endpoint->health, health < 0 ? 1 : health);
}

/* --- is a description the same? --- */

static bool labels_eq(const struct labels *a, const struct labels *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!slice_eq(a->items[i].name, b->items[i].name) || !slice_eq(a->items[i].value, b->items[i].value))
            return false;
    return true;
}

static bool set_labels_eq(const struct labels *a, const struct labels *b)
{
    static const struct labels none = {0};

    return labels_eq(a ? a : &none, b ? b : &none);
}

static bool h2_eq(const struct h2_client_params *a, const struct h2_client_params *b)
{
    if (!a || !b)
        return a == b;
    return a->has_flow_control == b->has_flow_control && a->has_keep_alive == b->has_keep_alive &&
           a->has_internals == b->has_internals && a->connection_window == b->connection_window &&
           a->stream_window == b->stream_window && a->adaptive_flow_control == b->adaptive_flow_control &&
           a->keep_alive_interval_ns == b->keep_alive_interval_ns &&
           a->keep_alive_timeout_ns == b->keep_alive_timeout_ns &&
           a->keep_alive_while_idle == b->keep_alive_while_idle &&
           a->max_concurrent_reset_streams == b->max_concurrent_reset_streams &&
           a->max_frame_size == b->max_frame_size && a->max_send_buf_size == b->max_send_buf_size;
}

/* All but the weight, which belongs to the slot. */
bool endpoint_info_eq(const struct endpoint_info *a, const struct endpoint_info *b)
{
    return addr_eq(a->addr, b->addr) && a->identity_kind == b->identity_kind && slice_eq(a->identity, b->identity) &&
           slice_eq(a->server_name, b->server_name) && a->hint == b->hint &&
           a->opaque_transport_port == b->opaque_transport_port &&
           slice_eq(a->authority_override, b->authority_override) && a->zone_locality == b->zone_locality &&
           labels_eq(&a->labels, &b->labels) && set_labels_eq(a->set_labels, b->set_labels) && h2_eq(a->h2, b->h2) &&
           metadata_eq(&a->resource, &b->resource);
}

/* --- sets --- */

int addr_cmp(struct addr a, struct addr b)
{
    int order = (int)a.ip.version - (int)b.ip.version;

    if (!order)
        order = memcmp(a.ip.bytes, b.ip.bytes, sizeof(a.ip.bytes));
    return order ? order : (int)a.port - (int)b.port;
}

static struct endpoint_set *set_alloc(size_t room)
{
    struct endpoint_set *set = calloc(1, sizeof(*set) + room * sizeof(set->slots[0]));

    if (set)
        refcount_init(&set->refs);
    return set;
}

/* Gives back the room of slots that were not needed. */
static struct endpoint_set *set_fit(struct endpoint_set *set)
{
    struct endpoint_set *fitting = realloc(set, sizeof(*set) + set->count * sizeof(set->slots[0]));

    return fitting ? fitting : set;
}

struct endpoint_set *endpoint_set_new(bool exists)
{
    struct endpoint_set *set = set_alloc(0);

    if (set)
        set->exists = exists;
    return set;
}

struct endpoint_set *endpoint_set_ref(struct endpoint_set *set)
{
    refcount_get(&set->refs);
    return set;
}

void endpoint_set_unref(struct endpoint_set *set)
{
    if (!set || !refcount_put(&set->refs))
        return;
    for (size_t i = 0; i < set->count; i++)
        endpoint_unref(set->slots[i].endpoint);
    free(set);
}

/* The position of the address, or of the first one behind it. */
static size_t lower_bound(const struct endpoint_set *set, struct addr addr)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (addr_cmp(set->slots[middle].endpoint->info->addr, addr) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct endpoint *endpoint_set_find(const struct endpoint_set *set, struct addr addr)
{
    size_t at = lower_bound(set, addr);

    if (at < set->count && addr_eq(set->slots[at].endpoint->info->addr, addr))
        return set->slots[at].endpoint;
    return NULL;
}

/* Takes over the reference. */
static void append(struct endpoint_set *set, struct endpoint *endpoint, uint32_t weight)
{
    set->slots[set->count++] =
        (struct endpoint_slot){.endpoint = endpoint, .weight = weight, .weight_before = set->total_weight};
    set->total_weight += weight;
}

/* One address of an update, with its place in it: of two with the same address the later one counts. */
struct mention {
    struct addr addr;
    const struct endpoint_info *info; /* NULL: to be removed */
    size_t place;
};

static int by_address(const void *a, const void *b)
{
    const struct mention *x = a, *y = b;
    int order = addr_cmp(x->addr, y->addr);

    return order ? order : (x->place > y->place) - (x->place < y->place);
}

static int mentions_of(const struct endpoint_update *update, struct mention **ret_items, size_t *ret_count)
{
    size_t total = update->kind == ENDPOINTS_ADD ? update->added_count
                   : update->kind == ENDPOINTS_REMOVE ? update->removed_count : 0, count = 0;
    struct mention *items = calloc(total ? total : 1, sizeof(items[0]));

    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < total; i++) {
        const struct endpoint_info *info = update->kind == ENDPOINTS_ADD ? &update->added[i] : NULL;

        items[i] = (struct mention){info ? info->addr : update->removed[i], info, i};
    }
    qsort(items, total, sizeof(items[0]), by_address);
    for (size_t i = 0; i < total; i++)
        if (i + 1 == total || !addr_eq(items[i].addr, items[i + 1].addr))
            items[count++] = items[i];
    *ret_items = items;
    *ret_count = count;
    return 0;
}

struct merge {
    struct endpoint_set *old, *set;
    struct endpoint_update *update;
    bool reset;
    int64_t default_rtt_ns, now_ns;
    struct endpoint_change change;
};

/* The endpoint for a mention: the old object if nothing changed, else a new one. */
static int merge_one(struct merge *m, const struct mention *mention, struct endpoint *old)
{
    struct endpoint *endpoint;

    if (old && endpoint_info_eq(old->info, mention->info)) {
        append(m->set, endpoint_ref(old), mention->info->weight);
        return 0;
    }
    if (!old && m->set->count >= LIMIT_ENDPOINTS) {
        m->change.refused++;
        return 0;
    }
    endpoint = endpoint_new(&m->update->snapshot, mention->info, m->default_rtt_ns, m->now_ns);
    if (!endpoint)
        return -ENOMEM;
    if (old) {
        inherit(endpoint, old);
        m->change.replaced++;
    } else {
        m->change.added++;
    }
    append(m->set, endpoint, mention->info->weight);
    return 0;
}

/* An old endpoint that the update does not mention. */
static void merge_old(struct merge *m, const struct endpoint_slot *slot)
{
    if (m->reset)
        m->change.removed++;
    else
        append(m->set, endpoint_ref(slot->endpoint), slot->weight);
}

/* Both sides are in the order of addresses. */
static int merge_all(struct merge *m, const struct mention *mentions, size_t count)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        struct endpoint *old = NULL;

        while (at < m->old->count && addr_cmp(m->old->slots[at].endpoint->info->addr, mentions[i].addr) < 0)
            merge_old(m, &m->old->slots[at++]);
        if (at < m->old->count && addr_eq(m->old->slots[at].endpoint->info->addr, mentions[i].addr))
            old = m->old->slots[at++].endpoint;
        if (mentions[i].info) {
            int r = merge_one(m, &mentions[i], old);

            if (r < 0)
                return r;
        } else if (old && mutation("withdrawn-endpoint-kept")) {
            append(m->set, endpoint_ref(old), 1);
        } else if (old) {
            m->change.removed++;
        }
    }
    while (at < m->old->count)
        merge_old(m, &m->old->slots[at++]);
    return 0;
}

/* Marks those of the old set whose objects the new one does not hold. */
static void mark_withdrawn(const struct endpoint_set *old, const struct endpoint_set *set)
{
    for (size_t i = 0, j = 0; i < old->count; i++) {
        struct endpoint *endpoint = old->slots[i].endpoint;

        while (j < set->count && addr_cmp(set->slots[j].endpoint->info->addr, endpoint->info->addr) < 0)
            j++;
        if (j == set->count || set->slots[j].endpoint != endpoint)
            atomic_store_explicit(&endpoint->withdrawn, true, memory_order_release);
    }
}

int endpoint_set_apply(struct endpoint_set *old, struct endpoint_update *update, bool reset, int64_t default_rtt_ns,
                       int64_t now_ns, struct endpoint_set **ret_set, struct endpoint_change *ret_change)
{
    struct merge m = {.old = old, .update = update, .default_rtt_ns = default_rtt_ns, .now_ns = now_ns,
                      .reset = reset || update->kind == ENDPOINTS_NONE};
    struct mention *mentions;
    size_t count;
    int r;

    r = mentions_of(update, &mentions, &count);
    if (r < 0)
        return r;
    m.set = set_alloc(old->count + (update->kind == ENDPOINTS_ADD ? count : 0));
    if (!m.set) {
        free(mentions);
        return -ENOMEM;
    }
    m.set->exists = update->kind != ENDPOINTS_NONE || update->exists;
    r = merge_all(&m, mentions, count);
    free(mentions);
    if (r < 0) {
        endpoint_set_unref(m.set);
        return r;
    }
    m.set = set_fit(m.set);
    mark_withdrawn(old, m.set);
    *ret_set = m.set;
    if (ret_change)
        *ret_change = m.change;
    return 0;
}

struct endpoint_counts endpoint_set_counts(const struct endpoint_set *set)
{
    struct endpoint_counts counts = {0};

    for (size_t i = 0; i < set->count; i++) {
        const struct endpoint *endpoint = set->slots[i].endpoint;
        int64_t at = endpoint_probe_at(endpoint);
        int error = atomic_load_explicit(&endpoint->last_error, memory_order_relaxed);

        switch (endpoint_health(endpoint)) {
        case ENDPOINT_READY: counts.ready++; continue;
        case ENDPOINT_EJECTED: counts.ejected++; break;
        case ENDPOINT_PROBING: counts.probing++; break;
        }
        if (at && (!counts.probe_at_ns || at < counts.probe_at_ns))
            counts.probe_at_ns = at;
        if (error)
            counts.last_error = error;
    }
    return counts;
}
