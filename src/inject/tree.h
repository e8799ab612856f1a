/*
 * Changes to an object that leave it alone: each makes a new tree, which shares with the old one whatever is equal. So two trees tell by
 * their pointers where they differ (inject/splice.h). NULL: out of memory.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/slice.h"
#include "codec/yaml/yaml.h"

/* A JSON Patch of additions, as inject/patch.h makes them. Also NULL when a path leads nowhere. */
json_t *tree_patch(json_t *object, const json_t *patch);

/*
 * Without what injection added: the annotation linkerd.io/inject unless it is `disabled`; what the webhook and `linkerd inject --manual`
 * add, of this project and of Linkerd. A control plane's own pod keeps its annotations and labels. `text` and `node` are what the
 * object was read from: a map or list that gets empty goes too, unless it is one that was empty before ("{}").
 */
struct uninjection {
    struct slice text;
    const struct yaml_node *node;
    bool keep_ingress; /* linkerd.io/inject: ingress stays: it is still wanted */
    bool removed;      /* set when there was something */
};
json_t *tree_uninject(json_t *object, struct uninjection *how);

/* Equal in value: 1 and 1.0 are. Bounded by the trees. */
bool tree_same(const json_t *a, const json_t *b);
/* The same of what was read from a text, which need not become a tree for it. `node` is NULL where the text holds nothing. */
bool tree_is_read_from(const struct yaml_node *node, const json_t *tree);
/* A map or list in brackets that stays as {} or [] when it gets empty; all others go with their key. */
bool tree_keeps_empty(struct slice text, const struct yaml_node *node, const struct yaml_node *parent);
