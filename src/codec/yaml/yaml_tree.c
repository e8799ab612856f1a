/* Looking at a tree: keys, names of kinds, digests. */
#include "base/map.h"
#include "codec/yaml/yaml.h"

const struct yaml_node *yaml_get(const struct yaml_node *node, struct slice key)
{
    if (!node || node->kind != YAML_MAP)
        return NULL;
    for (const struct yaml_item *item = node->items; item; item = item->next)
        if (slice_eq(item->key, key))
            return item->value;
    return NULL;
}

const char *yaml_kind_name(enum yaml_kind kind)
{
    static const char *const names[] = {
        [YAML_NULL] = "nothing",  [YAML_BOOLEAN] = "a boolean", [YAML_INTEGER] = "a number", [YAML_NUMBER] = "a number",
        [YAML_STRING] = "a text", [YAML_LIST] = "a list",       [YAML_MAP] = "a map",
    };

    return names[kind];
}

static void mix(uint64_t digest[2], const void *bytes, size_t len)
{
    digest[0] = siphash13(bytes, len, digest[0], 0x6b756265);
    digest[1] = siphash13(bytes, len, digest[1], 0x79616d6c);
}

void yaml_digest(const struct yaml_node *node, uint64_t ret_digest[2])
{
    uint64_t digest[2] = {(uint64_t)node->kind, node->count};

    switch (node->kind) {
    case YAML_NULL:
        break;
    case YAML_BOOLEAN:
        mix(digest, &node->boolean, sizeof(node->boolean));
        break;
    case YAML_INTEGER:
        mix(digest, &node->integer, sizeof(node->integer));
        break;
    case YAML_NUMBER:
    case YAML_STRING:
        mix(digest, node->text.ptr, node->text.len);
        break;
    case YAML_LIST:
    case YAML_MAP:
        for (const struct yaml_item *item = node->items; item; item = item->next) {
            uint64_t below[2];

            yaml_digest(item->value, below);
            mix(digest, item->key.ptr, item->key.len);
            mix(digest, below, sizeof(below));
        }
    }
    mix(digest, &node->kind, sizeof(node->kind));
    ret_digest[0] = digest[0];
    ret_digest[1] = digest[1];
}

static bool is_left_out(struct slice key)
{
    return slice_eq(key, SLICE_LIT("resourceVersion")) || slice_eq(key, SLICE_LIT("managedFields"));
}

static void digest_metadata(const struct yaml_node *metadata, uint64_t ret_digest[2])
{
    uint64_t below[2];

    ret_digest[0] = ret_digest[1] = (uint64_t)metadata->kind;
    for (const struct yaml_item *item = metadata->items; item; item = item->next) {
        if (is_left_out(item->key))
            continue;
        yaml_digest(item->value, below);
        mix(ret_digest, item->key.ptr, item->key.len);
        mix(ret_digest, below, sizeof(below));
    }
}

void yaml_digest_object(const struct yaml_node *object, uint64_t ret_digest[2])
{
    uint64_t digest[2] = {(uint64_t)object->kind, object->count}, below[2];

    for (const struct yaml_item *item = object->items; item; item = item->next) {
        if (slice_eq(item->key, SLICE_LIT("metadata")) && item->value->kind == YAML_MAP)
            digest_metadata(item->value, below);
        else
            yaml_digest(item->value, below);
        mix(digest, item->key.ptr, item->key.len);
        mix(digest, below, sizeof(below));
    }
    ret_digest[0] = digest[0];
    ret_digest[1] = digest[1];
}
