#include "kube/status.h"

#include "base/limits.h"
#include "base/map.h"
#include "kube/timestamp.h"

bool status_is_ours(enum kube_kind kind)
{
    return kind == KUBE_HTTP_ROUTE || kind == KUBE_POLICY_HTTP_ROUTE || kind == KUBE_GRPC_ROUTE || kind == KUBE_TLS_ROUTE ||
           kind == KUBE_TCP_ROUTE || kind == KUBE_RATE_LIMIT_POLICY || kind == KUBE_EGRESS_NETWORK;
}

static bool has_parents(enum kube_kind kind)
{
    return kind != KUBE_RATE_LIMIT_POLICY && kind != KUBE_EGRESS_NETWORK;
}

/* --- reading a document --- */

static struct slice text_of(const struct yaml_node *node)
{
    return node && node->kind == YAML_STRING ? node->text : SLICE_LIT("");
}

static int64_t integer_of(const struct yaml_node *node, int64_t otherwise)
{
    return node && node->kind == YAML_INTEGER ? node->integer : otherwise;
}

static const struct yaml_item *items_of(const struct yaml_node *list)
{
    return list && list->kind == YAML_LIST ? list->items : NULL;
}

static bool is_our_parent(const struct yaml_node *parent)
{
    return slice_eq(text_of(yaml_get_lit(parent, "controllerName")), SLICE_LIT(STATUS_CONTROLLER));
}

/* Outside of routes: Accepted is ours, other conditions are not. */
static bool is_our_condition(const struct yaml_node *condition)
{
    return slice_eq(text_of(yaml_get_lit(condition, "type")), SLICE_LIT("Accepted"));
}

/* --- digests --- */

static uint64_t add_text(uint64_t digest, struct slice text)
{
    return siphash13(text.ptr, text.len, digest, 1);
}

static uint64_t add_number(uint64_t digest, int64_t number)
{
    return siphash13(&number, sizeof(number), digest, 2);
}

static uint64_t add_ref(uint64_t digest, struct slice group, struct slice kind, struct slice ns, struct slice name, int64_t port)
{
    return add_number(add_text(add_text(add_text(add_text(digest, group), kind), ns), name), port);
}

static uint64_t add_condition(uint64_t digest, struct slice type, struct slice status, struct slice reason, struct slice message, int64_t generation)
{
    return add_number(add_text(add_text(add_text(add_text(digest, type), status), reason), message), generation);
}

static const char *status_text(bool holds)
{
    return holds ? "True" : "False";
}

uint64_t status_digest(const struct status_entry *entries, size_t count, int64_t generation)
{
    uint64_t digest = 0;

    for (size_t i = 0; i < count; i++) {
        const struct status_entry *entry = &entries[i];

        digest = add_ref(digest, entry->group, entry->kind, entry->namespace_, entry->name, entry->port);
        for (unsigned j = 0; j < entry->condition_count; j++) {
            const struct status_condition *condition = &entry->conditions[j];

            digest = add_condition(digest, slice_str(condition->type), slice_str(status_text(condition->holds)), slice_str(condition->reason),
                                   slice_str(condition->message), generation);
        }
    }
    return digest;
}

static uint64_t add_condition_node(uint64_t digest, const struct yaml_node *condition, int64_t generation)
{
    return add_condition(digest, text_of(yaml_get_lit(condition, "type")), text_of(yaml_get_lit(condition, "status")),
                         text_of(yaml_get_lit(condition, "reason")), text_of(yaml_get_lit(condition, "message")),
                         integer_of(yaml_get_lit(condition, "observedGeneration"), generation));
}

static uint64_t add_ref_node(uint64_t digest, const struct yaml_node *ref)
{
    return add_ref(digest, text_of(yaml_get_lit(ref, "group")), text_of(yaml_get_lit(ref, "kind")), text_of(yaml_get_lit(ref, "namespace")),
                   text_of(yaml_get_lit(ref, "name")), integer_of(yaml_get_lit(ref, "port"), 0));
}

static uint64_t digest_of_parents(const struct yaml_node *status, int64_t generation)
{
    uint64_t digest = 0;

    for (const struct yaml_item *item = items_of(yaml_get_lit(status, "parents")); item; item = item->next) {
        if (!is_our_parent(item->value))
            continue;
        digest = add_ref_node(digest, yaml_get_lit(item->value, "parentRef"));
        for (const struct yaml_item *each = items_of(yaml_get_lit(item->value, "conditions")); each; each = each->next)
            digest = add_condition_node(digest, each->value, generation);
    }
    return digest;
}

static uint64_t digest_of_conditions(const struct yaml_node *status, int64_t generation)
{
    uint64_t digest = add_ref_node(0, yaml_get_lit(status, "targetRef"));
    bool any = false;

    for (const struct yaml_item *each = items_of(yaml_get_lit(status, "conditions")); each; each = each->next) {
        if (!is_our_condition(each->value))
            continue;
        digest = add_condition_node(digest, each->value, generation);
        any = true;
    }
    return any ? digest : 0;
}

uint64_t status_digest_document(const struct yaml_node *object, enum kube_kind kind)
{
    int64_t generation = integer_of(yaml_get_lit(yaml_get_lit(object, "metadata"), "generation"), 0);
    const struct yaml_node *status = yaml_get_lit(object, "status");

    return has_parents(kind) ? digest_of_parents(status, generation) : digest_of_conditions(status, generation);
}

/* --- writing --- */

static void write_node(struct buffer *out, const struct yaml_node *node);

static void write_items(struct buffer *out, const struct yaml_node *node)
{
    bool map = node->kind == YAML_MAP;

    buffer_add_byte(out, map ? '{' : '[');
    for (const struct yaml_item *item = node->items; item; item = item->next) {
        if (item != node->items)
            buffer_add_byte(out, ',');
        if (map) {
            buffer_add_json(out, item->key);
            buffer_add_byte(out, ':');
        }
        write_node(out, item->value);
    }
    buffer_add_byte(out, map ? '}' : ']');
}

/* As it came: of JSON, so that numbers are written as they were. */
static void write_node(struct buffer *out, const struct yaml_node *node)
{
    switch (node->kind) {
    case YAML_LIST:
    case YAML_MAP: write_items(out, node); break;
    case YAML_STRING: buffer_add_json(out, node->text); break;
    case YAML_NULL: buffer_add_lit(out, "null"); break;
    case YAML_BOOLEAN: buffer_add(out, node->boolean ? SLICE_LIT("true") : SLICE_LIT("false")); break;
    default: buffer_add(out, node->text); break;
    }
}

/* A comma before all but the first of a list. */
static void next_item(struct buffer *out, bool *first)
{
    if (!*first)
        buffer_add_byte(out, ',');
    *first = false;
}

static void write_field(struct buffer *out, const char *name, struct slice value)
{
    buffer_printf(out, "\"%s\":", name);
    buffer_add_json(out, value);
}

/* Since when the condition has the status that it has now; empty: it had another, or was not there. */
static struct slice since(const struct yaml_node *conditions, const struct status_condition *condition)
{
    for (const struct yaml_item *each = items_of(conditions); each; each = each->next)
        if (slice_eq(text_of(yaml_get_lit(each->value, "type")), slice_str(condition->type)) &&
            slice_eq(text_of(yaml_get_lit(each->value, "status")), slice_str(status_text(condition->holds))))
            return text_of(yaml_get_lit(each->value, "lastTransitionTime"));
    return SLICE_LIT("");
}

struct writing {
    struct buffer *out;
    const struct yaml_node *status; /* as it is */
    int64_t generation;
    char now[TIMESTAMP_TEXT_MAX];
};

static void write_conditions(const struct writing *writing, const struct status_entry *entry, const struct yaml_node *old, bool *first)
{
    struct buffer *out = writing->out;

    for (unsigned i = 0; i < entry->condition_count; i++) {
        const struct status_condition *condition = &entry->conditions[i];
        struct slice time = since(old, condition);

        next_item(out, first);
        buffer_printf(out, "{\"type\":\"%s\",\"status\":\"%s\",\"reason\":\"%s\",", condition->type, status_text(condition->holds), condition->reason);
        write_field(out, "message", slice_str(condition->message));
        buffer_add_byte(out, ',');
        write_field(out, "lastTransitionTime", time.len ? time : slice_str(writing->now));
        buffer_printf(out, ",\"observedGeneration\":%lld}", (long long)writing->generation);
    }
}

static void write_ref(struct buffer *out, const struct status_entry *entry)
{
    buffer_add_byte(out, '{');
    write_field(out, "group", entry->group);
    buffer_add_byte(out, ',');
    write_field(out, "kind", entry->kind);
    buffer_add_byte(out, ',');
    if (entry->namespace_.len) {
        write_field(out, "namespace", entry->namespace_);
        buffer_add_byte(out, ',');
    }
    write_field(out, "name", entry->name);
    if (entry->port)
        buffer_printf(out, ",\"port\":%u", entry->port);
    buffer_add_byte(out, '}');
}

/* The conditions that we gave this parent. */
static const struct yaml_node *conditions_of(const struct yaml_node *status, const struct status_entry *entry)
{
    uint64_t wanted = add_ref(0, entry->group, entry->kind, entry->namespace_, entry->name, entry->port);

    for (const struct yaml_item *item = items_of(yaml_get_lit(status, "parents")); item; item = item->next)
        if (is_our_parent(item->value) && add_ref_node(0, yaml_get_lit(item->value, "parentRef")) == wanted)
            return yaml_get_lit(item->value, "conditions");
    return NULL;
}

static void write_parents(const struct writing *writing, const struct status_entry *entries, size_t count)
{
    struct buffer *out = writing->out;
    bool first = true;

    buffer_add_lit(out, "\"parents\":[");
    for (const struct yaml_item *item = items_of(yaml_get_lit(writing->status, "parents")); item; item = item->next) {
        if (is_our_parent(item->value))
            continue;
        next_item(out, &first);
        write_node(out, item->value);
    }
    for (size_t i = 0; i < count; i++) {
        bool first_condition = true;

        next_item(out, &first);
        buffer_add_lit(out, "{\"parentRef\":");
        write_ref(out, &entries[i]);
        buffer_add_lit(out, ",\"controllerName\":\"" STATUS_CONTROLLER "\",\"conditions\":[");
        write_conditions(writing, &entries[i], conditions_of(writing->status, &entries[i]), &first_condition);
        buffer_add_lit(out, "]}");
    }
    buffer_add_byte(out, ']');
}

static void write_own_conditions(const struct writing *writing, const struct status_entry *entries, size_t count)
{
    const struct yaml_node *old = yaml_get_lit(writing->status, "conditions");
    struct buffer *out = writing->out;
    bool first = true;

    buffer_add_lit(out, "\"conditions\":[");
    for (const struct yaml_item *each = items_of(old); each; each = each->next) {
        if (is_our_condition(each->value))
            continue;
        next_item(out, &first);
        write_node(out, each->value);
    }
    for (size_t i = 0; i < count; i++)
        write_conditions(writing, &entries[i], old, &first);
    buffer_add_byte(out, ']');
    if (count && entries[0].name.len) {
        buffer_add_lit(out, ",\"targetRef\":");
        write_ref(out, &entries[0]);
    }
}

int status_write_patch(const struct yaml_node *object, enum kube_kind kind, const struct status_entry *entries, size_t count,
                       int64_t wall_ns, struct buffer *out)
{
    const struct yaml_node *metadata = yaml_get_lit(object, "metadata");
    struct writing writing = {.out = out, .status = yaml_get_lit(object, "status"),
                              .generation = integer_of(yaml_get_lit(metadata, "generation"), 0)};

    timestamp_format(wall_ns, writing.now);
    buffer_add_lit(out, "{\"metadata\":{");
    write_field(out, "resourceVersion", text_of(yaml_get_lit(metadata, "resourceVersion")));
    buffer_add_lit(out, "},\"status\":{");
    if (has_parents(kind))
        write_parents(&writing, entries, count);
    else
        write_own_conditions(&writing, entries, count);
    buffer_add_lit(out, "}}");
    return buffer_error(out);
}
