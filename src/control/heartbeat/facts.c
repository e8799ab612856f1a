#include "control/heartbeat/facts.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "codec/yaml/yaml.h"
#include "kube/decode/fields.h"

void facts_add(struct facts *facts, const char *name, struct slice value)
{
    unsigned at = 0;

    if (facts->count == FACTS_MAX || strlen(name) >= FACT_NAME_MAX || !value.len || value.len >= FACT_VALUE_MAX)
        return;
    while (at < facts->count && strcmp(facts->items[at].name, name) < 0)
        at++;
    if (at < facts->count && strcmp(facts->items[at].name, name) == 0)
        return;
    memmove(&facts->items[at + 1], &facts->items[at], (facts->count - at) * sizeof(facts->items[0]));
    facts->count++;
    snprintf(facts->items[at].name, FACT_NAME_MAX, "%s", name);
    snprintf(facts->items[at].value, FACT_VALUE_MAX, "%.*s", SLICE_ARGS(value));
}

void facts_escape(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';

        if (plain)
            buffer_add_byte(out, c);
        else
            buffer_printf(out, "%%%02X", (unsigned char)c);
    }
}

void facts_query(const struct facts *facts, struct buffer *out)
{
    for (unsigned i = 0; i < facts->count; i++) {
        if (i)
            buffer_add_byte(out, '&');
        facts_escape(out, slice_str(facts->items[i].name));
        buffer_add_byte(out, '=');
        facts_escape(out, slice_str(facts->items[i].value));
    }
}

/* --- answers --- */

static struct slice text_of(const struct yaml_node *node)
{
    return node && node->kind == YAML_STRING ? node->text : SLICE_LIT("");
}

static const struct yaml_item *items_of(const struct yaml_node *list)
{
    return list && list->kind == YAML_LIST ? list->items : NULL;
}

/* NULL where it is no JSON. The arena is the caller's to release. */
static const struct yaml_node *read_json(struct arena *arena, struct slice text)
{
    struct yaml_problem problem;
    struct yaml_node *root = NULL;

    arena_init(arena, (size_t)8 * LIMIT_API_ANSWER);
    return yaml_parse(arena, text, 1, JSON, &root, &problem) < 0 ? NULL : root;
}

static void add_number(struct facts *facts, const char *name, int64_t number)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", (long long)number);
    facts_add(facts, name, slice_str(text));
}

bool facts_read_config(struct facts *facts, struct slice answer)
{
    struct arena arena;
    const struct yaml_node *metadata = yaml_get_lit(read_json(&arena, answer), "metadata");
    struct slice uid = text_of(yaml_get_lit(metadata, "uid"));
    int64_t created_ns;

    facts_add(facts, "uuid", uid);
    if (time_parse(text_of(yaml_get_lit(metadata, "creationTimestamp")), &created_ns) == 0)
        add_number(facts, "install-time", created_ns / NS_PER_S);
    arena_release(&arena);
    return uid.len > 0;
}

bool facts_read_version(struct facts *facts, struct slice answer)
{
    struct arena arena;
    struct slice version = text_of(yaml_get_lit(read_json(&arena, answer), "gitVersion"));

    facts_add(facts, "k8s-version", version);
    arena_release(&arena);
    return version.len > 0;
}

bool facts_read_extensions(struct facts *facts, struct slice answer)
{
    struct arena arena;
    const struct yaml_node *list = yaml_get_lit(read_json(&arena, answer), "items");
    bool found = list && list->kind == YAML_LIST;

    for (const struct yaml_item *item = items_of(list); item; item = item->next) {
        struct slice name = text_of(yaml_get_lit(yaml_get_lit(yaml_get_lit(item->value, "metadata"), "labels"), "linkerd.io/extension"));
        char fact[FACT_NAME_MAX];

        snprintf(fact, sizeof(fact), "ext-%.*s", SLICE_ARGS(name));
        if (name.len)
            facts_add(facts, fact, SLICE_LIT("1"));
    }
    arena_release(&arena);
    return found;
}

/* Of a list that was asked for with a limit: what is in it, and how many more there are. */
bool facts_read_profiles(struct facts *facts, struct slice answer)
{
    struct arena arena;
    const struct yaml_node *root = read_json(&arena, answer), *list = yaml_get_lit(root, "items");
    const struct yaml_node *more = yaml_get_lit(yaml_get_lit(root, "metadata"), "remainingItemCount");
    bool found = list && list->kind == YAML_LIST;

    if (found)
        add_number(facts, "service-profile-count", (int64_t)list->count + (more && more->kind == YAML_INTEGER ? more->integer : 0));
    arena_release(&arena);
    return found;
}

/* A sample is a list of a time and a number that is written as text. */
static bool read_sample(const struct yaml_node *sample, double *ret_number)
{
    const struct yaml_item *time = items_of(yaml_get_lit(sample, "value"));
    struct slice text = time && time->next ? text_of(time->next->value) : SLICE_NULL;
    char copy[64], *end;

    if (!text.len || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ret_number = strtod(copy, &end);
    return !*end && isfinite(*ret_number);
}

bool facts_read_number(struct facts *facts, const char *name, int digits, struct slice answer)
{
    struct arena arena;
    const struct yaml_node *data = yaml_get_lit(read_json(&arena, answer), "data"), *result = yaml_get_lit(data, "result");
    bool found = slice_eq(text_of(yaml_get_lit(data, "resultType")), SLICE_LIT("vector")) && result && result->kind == YAML_LIST && result->count == 1;
    char text[64];
    double number;

    found = found && read_sample(result->items->value, &number);
    if (found) {
        snprintf(text, sizeof(text), "%.*f", digits, number);
        facts_add(facts, name, slice_str(text));
    }
    arena_release(&arena);
    return found;
}
