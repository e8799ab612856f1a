#include "inject/tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inject/workload.h"
#include "template/copy.h"

/* --- JSON Patch --- */

enum { STEP_MAX = 1024 };

/* Takes a step off a pointer, with ~1 and ~0 as / and ~ (RFC 6901 section 4). NULL when it is none. */
static const char *take_step(const char *pointer, char step[STEP_MAX])
{
    size_t len = 0;

    if (*pointer++ != '/')
        return NULL;
    for (; *pointer && *pointer != '/'; pointer++) {
        if (len + 1 == STEP_MAX)
            return NULL;
        if (*pointer == '~' && (pointer[1] == '0' || pointer[1] == '1'))
            step[len++] = *++pointer == '0' ? '~' : '/';
        else
            step[len++] = *pointer;
    }
    step[len] = '\0';
    return pointer;
}

/* "-" is behind the last. */
static size_t index_of(const json_t *list, const char *step)
{
    char *end;
    unsigned long at = strtoul(step, &end, 10);

    if (strcmp(step, "-") == 0)
        return json_array_size(list);
    return *step && !*end ? at : SIZE_MAX;
}

/* Puts a value (taken over) under the step of a copy (taken over): added where the pointer ends, replaced on the way there. */
static json_t *put(json_t *copy, const char *step, bool last, json_t *value)
{
    int r = -1;

    if (value && json_is_object(copy))
        r = json_object_set_nocheck(copy, step, value);
    else if (value && json_is_array(copy))
        r = last ? json_array_insert(copy, index_of(copy, step), value) : json_array_set(copy, index_of(copy, step), value);
    json_decref(value);
    if (r == 0)
        return copy;
    json_decref(copy);
    return NULL;
}

static json_t *with_added(json_t *tree, const char *pointer, json_t *value)
{
    char step[STEP_MAX];
    json_t *child;

    pointer = take_step(pointer, step);
    if (!pointer)
        return NULL;
    if (!*pointer)
        return put(copy_shallow(tree), step, true, json_incref(value));
    child = json_is_array(tree) ? json_array_get(tree, index_of(tree, step)) : json_object_get(tree, step);
    child = child ? with_added(child, pointer, value) : NULL;
    return child ? put(copy_shallow(tree), step, false, child) : NULL;
}

json_t *tree_patch(json_t *object, const json_t *patch)
{
    json_t *tree = json_incref(object), *operation, *next;
    size_t i;

    json_array_foreach (patch, i, operation) {
        const char *path = json_string_value(json_object_get(operation, "path"));

        next = path ? with_added(tree, path, json_object_get(operation, "value")) : NULL;
        json_decref(tree);
        tree = next;
        if (!tree)
            break;
    }
    return tree;
}

/* --- taking out --- */

/* Of a copy that is our own: its member as a copy that is our own too. NULL when it is no map or list, or there is no memory. */
static json_t *own(json_t *copy, const char *name)
{
    json_t *member = json_object_get(copy, name);

    if (!json_is_object(member) && !json_is_array(member))
        return NULL;
    member = copy_shallow(member);
    return member && json_object_set_new_nocheck(copy, name, member) == 0 ? member : NULL;
}

bool tree_keeps_empty(struct slice text, const struct yaml_node *node, const struct yaml_node *parent)
{
    if (!node || !parent || node->form != YAML_FLOW)
        return false;
    if (parent->form != YAML_FLOW)
        return true;
    return node->end - node->start > 3 && node->end <= text.len && text.ptr[node->start + 1] == ' ' && text.ptr[node->end - 2] == ' ';
}

static bool is_added_annotation(const char *name, const char *value, const struct uninjection *how)
{
    static const char *const names[] = {"linkerd.io/created-by", "linkerd.io/proxy-version", "linkerd.io/trust-root-sha256",
                                        "linkerd.io/identity-mode"};

    if (strcmp(name, "linkerd.io/inject") == 0)
        return strcmp(value, "disabled") != 0 && !(how->keep_ingress && strcmp(value, "ingress") == 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool is_added_label(const char *name, const char *value, const struct uninjection *how)
{
    return strncmp(name, "linkerd.io/proxy-", strlen("linkerd.io/proxy-")) == 0 || strcmp(name, "linkerd.io/workload-ns") == 0 ||
           strcmp(name, "linkerd.io/control-plane-ns") == 0;
}

typedef bool is_added(const char *name, const char *value, const struct uninjection *how);

static bool holds_added(json_t *map, is_added *added, const struct uninjection *how)
{
    const char *key;
    json_t *value;

    json_object_foreach (map, key, value)
        if (json_is_string(value) && added(key, json_string_value(value), how))
            return true;
    return false;
}

/* What is empty now goes, unless it is to stay. */
static void drop_empty(json_t *from, const char *name, struct uninjection *how, const struct yaml_node *parent)
{
    json_t *member = json_object_get(from, name);
    size_t size = json_is_array(member) ? json_array_size(member) : json_object_size(member);

    if (size == 0 && !tree_keeps_empty(how->text, yaml_get(parent, slice_str(name)), parent))
        json_object_del(from, name);
}

static int clean_map(json_t *meta, const char *name, is_added *added, struct uninjection *how, const struct yaml_node *parent)
{
    json_t *map = json_object_get(meta, name), *value;
    const char *key;
    void *next;

    if (!holds_added(map, added, how))
        return 0;
    map = own(meta, name);
    if (!map)
        return -1;
    how->removed = true;
    json_object_foreach_safe (map, next, key, value)
        if (json_is_string(value) && added(key, json_string_value(value), how))
            json_object_del(map, key);
    drop_empty(meta, name, how, parent);
    return 0;
}

/* `object` is our own copy of what has a member `metadata`. */
static int clean_meta(json_t *object, struct uninjection *how, const struct yaml_node *parent)
{
    json_t *meta = member_object(object, "metadata");
    const struct yaml_node *node = yaml_get_lit(parent, "metadata");

    if (json_object_get(member_object(meta, "labels"), "linkerd.io/control-plane-component"))
        return 0;
    if (!holds_added(member_object(meta, "annotations"), is_added_annotation, how) &&
        !holds_added(member_object(meta, "labels"), is_added_label, how))
        return 0;
    meta = own(object, "metadata");
    if (!meta || clean_map(meta, "annotations", is_added_annotation, how, node) < 0 ||
        clean_map(meta, "labels", is_added_label, how, node) < 0)
        return -1;
    drop_empty(object, "metadata", how, parent);
    return 0;
}

static const char *const init_containers[] = {"linkerd-init", "linkerd-proxy", "linkerd-network-validator", NULL};
static const char *const containers[] = {"linkerd-proxy", "linkerd-debug", NULL};
static const char *const volumes[] = {"linkerd-identity-end-entity", "linkerd-proxy-init-xtables-lock", "linkerd-identity-token", NULL};

static bool is_named(const json_t *item, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(member_text(item, "name"), *names) == 0)
            return true;
    return false;
}

static int clean_list(json_t *spec, const char *name, const char *const *names, struct uninjection *how, const struct yaml_node *parent)
{
    json_t *list = member_array(spec, name);
    size_t found = 0;

    for (size_t i = 0; i < json_array_size(list); i++)
        found += is_named(json_array_get(list, i), names);
    if (!found)
        return 0;
    how->removed = true;
    list = json_array();
    for (size_t i = 0; list && i < json_array_size(json_object_get(spec, name)); i++) {
        json_t *item = json_array_get(json_object_get(spec, name), i);

        if (!is_named(item, names) && json_array_append(list, item) < 0) {
            json_decref(list);
            return -1;
        }
    }
    if (!list || json_object_set_new_nocheck(spec, name, list) < 0)
        return -1;
    drop_empty(spec, name, how, parent);
    return 0;
}

static int clean_spec(json_t *pod, struct uninjection *how, const struct yaml_node *node)
{
    const struct yaml_node *below = yaml_get_lit(node, "spec");
    json_t *spec = own(pod, "spec");

    return !spec || clean_list(spec, "initContainers", init_containers, how, below) < 0 ||
                   clean_list(spec, "containers", containers, how, below) < 0 || clean_list(spec, "volumes", volumes, how, below) < 0
               ? -1
               : 0;
}

/* Our own copies from the object down to the pod's template; the object itself where that is the pod. */
static json_t *own_pod(json_t *object, const char *pointer, const struct yaml_node **node)
{
    char step[STEP_MAX];

    while (object && *pointer) {
        pointer = take_step(pointer, step);
        if (!pointer)
            return NULL;
        object = own(object, step);
        *node = yaml_get(*node, slice_str(step));
    }
    return object;
}

json_t *tree_uninject(json_t *object, struct uninjection *how)
{
    json_t *copy = copy_shallow(object), *pod = copy;
    const struct yaml_node *node = how->node;
    struct workload workload;
    int r = copy ? 0 : -1;

    workload_read(object, &workload);
    how->removed = false;
    if (r == 0)
        r = clean_meta(copy, how, node);
    if (r == 0 && workload.spec) {
        pod = own_pod(copy, workload.prefix, &node);
        r = !pod || (pod != copy && clean_meta(pod, how, node) < 0) ? -1 : clean_spec(pod, how, node);
    }
    if (r == 0 && how->removed)
        return copy;
    json_decref(copy);
    return r == 0 ? json_incref(object) : NULL;
}

/* --- comparing --- */

static bool same_maps(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;

    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach ((json_t *)(uintptr_t)a, key, value) {
        const json_t *other = json_object_get(b, key);

        if (!other || !tree_same(value, other))
            return false;
    }
    return true;
}

bool tree_same(const json_t *a, const json_t *b)
{
    if (a == b)
        return true;
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    if (json_is_number(a) && json_is_number(b))
        return !(json_number_value(a) < json_number_value(b)) && !(json_number_value(a) > json_number_value(b));
    if (!a || !b || json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_object(a))
        return same_maps(a, b);
    if (json_is_array(a)) {
        for (size_t i = 0; i < json_array_size(a) && json_array_size(a) == json_array_size(b); i++)
            if (!tree_same(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return json_array_size(a) == json_array_size(b);
    }
    return !json_is_string(a) || (json_string_length(a) == json_string_length(b) &&
                                  memcmp(json_string_value(a), json_string_value(b), json_string_length(a)) == 0);
}

static bool is_map_read_from(const struct yaml_node *node, const json_t *map)
{
    if (!json_is_object(map) || json_object_size(map) != node->count)
        return false;
    for (const struct yaml_item *item = node->items; item; item = item->next) {
        const json_t *value = json_object_getn(map, item->key.ptr, item->key.len);

        if (!value || !tree_is_read_from(item->value, value))
            return false;
    }
    return true;
}

static bool is_list_read_from(const struct yaml_node *node, const json_t *list)
{
    size_t i = 0;

    if (!json_is_array(list) || json_array_size(list) != node->count)
        return false;
    for (const struct yaml_item *item = node->items; item; item = item->next)
        if (!tree_is_read_from(item->value, json_array_get(list, i++)))
            return false;
    return true;
}

bool tree_is_read_from(const struct yaml_node *node, const json_t *tree)
{
    switch (node ? node->kind : YAML_NULL) {
    case YAML_NULL:
        break;
    case YAML_BOOLEAN:
        return json_is_boolean(tree) && json_is_true(tree) == node->boolean;
    case YAML_INTEGER:
        if (json_is_integer(tree))
            return json_integer_value(tree) == node->integer;
        __attribute__((fallthrough));
    case YAML_NUMBER:
        return json_is_number(tree) && !isnan(node->number) && !(json_number_value(tree) < node->number) && !(json_number_value(tree) > node->number);
    case YAML_STRING:
        return json_is_string(tree) && slice_eq(node->text, slice_of(json_string_value(tree), json_string_length(tree)));
    case YAML_LIST:
        return is_list_read_from(node, tree);
    case YAML_MAP:
        return is_map_read_from(node, tree);
    }
    return json_is_null(tree);
}
