#include "template/from_yaml.h"

#include <errno.h>
#include <math.h>

#include "base/limits.h"
#include "codec/yaml/yaml.h"

static json_t *convert(const struct yaml_node *node, bool reals);

static json_t *convert_map(const struct yaml_node *node, bool reals)
{
    json_t *map = json_object();

    for (const struct yaml_item *item = node->items; map && item; item = item->next)
        if (json_object_setn_new_nocheck(map, item->key.ptr, item->key.len, convert(item->value, reals)) < 0) {
            json_decref(map);
            return NULL;
        }
    return map;
}

static json_t *convert_list(const struct yaml_node *node, bool reals)
{
    json_t *list = json_array();

    for (const struct yaml_item *item = node->items; list && item; item = item->next)
        if (json_array_append_new(list, convert(item->value, reals)) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *convert(const struct yaml_node *node, bool reals)
{
    switch (node ? node->kind : YAML_NULL) {
    case YAML_NULL:
        break;
    case YAML_BOOLEAN:
        return json_boolean(node->boolean);
    case YAML_INTEGER:
        return reals ? json_real((double)node->integer) : json_integer(node->integer);
    case YAML_NUMBER:
        return json_real(node->number);
    case YAML_STRING:
        return json_stringn_nocheck(node->text.len ? node->text.ptr : "", node->text.len);
    case YAML_LIST:
        return convert_list(node, reals);
    case YAML_MAP:
        return convert_map(node, reals);
    }
    return json_null();
}

/* The first number that JSON does not have (.inf, .nan). */
static const struct yaml_node *find_endless(const struct yaml_node *node)
{
    const struct yaml_node *found = NULL;

    if (!node)
        return NULL;
    if (node->kind == YAML_NUMBER)
        return isfinite(node->number) ? NULL : node;
    if (node->kind != YAML_LIST && node->kind != YAML_MAP)
        return NULL;
    for (const struct yaml_item *item = node->items; !found && item; item = item->next)
        found = find_endless(item->value);
    return found;
}

static int refuse(const struct yaml_node *root, const char *name, struct errmsg *msg)
{
    const struct yaml_node *endless = find_endless(root);

    if (!endless)
        return errmsg_set(msg, -ENOMEM, "%s: out of memory", name);
    return errmsg_set(msg, -EINVAL, "%s:%d:%d: %.*s is no number that can be written as JSON", name, endless->line, endless->column,
                      SLICE_ARGS(endless->text));
}

json_t *from_yaml_node(const struct yaml_node *node)
{
    return convert(node, false);
}

int from_yaml(struct slice text, const char *name, bool numbers_as_reals, struct errmsg *msg, json_t **ret_tree)
{
    struct yaml_document document = {SLICE_NULL, 1};
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    json_t *tree = NULL;
    struct arena arena;
    int line = 1, r = 0;

    arena_init(&arena, LIMIT_OBJECT_ARENA);
    if (yaml_next_document(&text, &line, &document))
        r = yaml_parse(&arena, document.text, document.line, YAML, &root, &problem);
    if (r < 0)
        errmsg_set(msg, r, "%s:%d:%d: %s", name, problem.line, problem.column, problem.msg.text);
    else if (!(tree = convert(root, numbers_as_reals)))
        r = refuse(root, name, msg);
    else
        *ret_tree = tree;
    arena_release(&arena);
    return r;
}
