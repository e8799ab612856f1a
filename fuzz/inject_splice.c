/*
 * Manifests that are changed in their text: whatever the document, the result reads as what the change makes of the tree, and without
 * what was put in it is the document again. The first byte chooses the change: annotations, a proxy's parts, or taking both out.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"
#include "inject/patch.h"
#include "inject/splice.h"
#include "inject/tree.h"
#include "inject/workload.h"
#include "template/from_yaml.h"

static json_t *added(json_t *before, unsigned char how)
{
    struct workload workload;
    struct patch patch;
    json_t *after = NULL;

    workload_read(before, &workload);
    patch_init(&patch, workload.prefix);
    if (!workload.meta)
        patch_add(&patch, "/metadata", NULL, json_object());
    patch_ensure_object(&patch, "/metadata/annotations", json_object_get(workload.meta, "annotations"));
    patch_add(&patch, "/metadata/annotations", "linkerd.io/inject", json_string("enabled"));
    if (how & 1 && workload.spec) {
        patch_ensure_list(&patch, "/spec/initContainers", json_object_get(workload.spec, "initContainers"));
        patch_add(&patch, "/spec/initContainers/0", NULL, json_pack("{s:s, s:[s, s]}", "name", "linkerd-init", "args", "1", "a\nb\n"));
        patch_ensure_list(&patch, "/spec/volumes", json_object_get(workload.spec, "volumes"));
        patch_add(&patch, "/spec/volumes/-", NULL, json_pack("{s:s, s:{}}", "name", "linkerd-identity-end-entity", "emptyDir"));
        patch_add(&patch, "/spec/volumes/-", NULL, json_pack("{s:s, s:{s:i}}", "name", "linkerd-identity-token", "x", "mode", 420));
    }
    if (!patch.error)
        after = tree_patch(before, patch.operations);
    patch_release(&patch);
    return after;
}

static void check_result(const struct splice *splice, const struct buffer *out, const json_t *after)
{
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    struct arena arena;
    json_t *tree;
    size_t at = 0, from = 0;

    for (size_t i = 0; i < splice->count; i++) { /* the text, but for the edits */
        const struct splice_edit *e = &splice->edits[i];

        assert(e->start >= from && e->end >= e->start && e->end <= splice->text.len);
        assert(memcmp(out->data + at, splice->text.ptr + from, e->start - from) == 0);
        at += e->start - from + e->len;
        from = e->end;
    }
    assert(out->len - at == splice->text.len - from);
    assert(memcmp(out->data + at, splice->text.ptr + from, splice->text.len - from) == 0);
    arena_init(&arena, LIMIT_OBJECT_ARENA);
    if (yaml_parse(&arena, buffer_slice(out), 1, YAML, &root, &problem) == 0) {
        tree = from_yaml_node(root);
        /* A caller compares them, and prints nothing when they differ: see check_text(). */
        assert(!tree || tree_is_read_from(root, after) == tree_same(tree, after));
        json_decref(tree);
    }
    arena_release(&arena);
}

static void change(struct slice text, const struct yaml_node *root, unsigned char how)
{
    struct uninjection uninjection = {.text = text, .node = root};
    json_t *before = from_yaml_node(root), *after = NULL;
    struct splice splice;
    struct buffer out;
    struct errmsg msg;

    if (json_is_object(before))
        after = how & 2 ? tree_uninject(before, &uninjection) : added(before, how);
    splice_init(&splice, text, 1, root);
    buffer_init(&out, LIMIT_INJECT_INPUT);
    if (after && splice_object(&splice, root, before, after, &msg) == 0 && splice_apply(&splice, &out) == 0)
        check_result(&splice, &out, after);
    buffer_release(&out);
    splice_release(&splice);
    json_decref(after);
    json_decref(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    struct arena arena;

    if (size < 1)
        return 0;
    arena_init(&arena, LIMIT_OBJECT_ARENA);
    if (yaml_parse(&arena, slice_of(data + 1, size - 1), 1, YAML, &root, &problem) == 0 && root)
        change(slice_of(data + 1, size - 1), root, data[0]);
    arena_release(&arena);
    return 0;
}
