/*
 * Changing the text of a manifest without memory: each allocation fails once, ours and those of jansson, in a run of its own. Either there
 * is no text, or the same as ever; half a change would be a pod that is half in the mesh.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/failing_memory.h"
#include "inject/patch.h"
#include "inject/splice.h"
#include "inject/tree.h"
#include "inject/workload.h"
#include "template/from_yaml.h"

/* Block style, brackets, both; with CR, without a line end at the end; with what is to be taken out. */
static const char *const documents[] = {
    "kind: Deployment # a\nmetadata:\n  name: web\nspec:\n  template:\n    metadata:\n      labels:\n        app: web\n    spec:\n      containers:\n"
    "      - name: app\n        image: app\n      volumes:\n      - name: data\n        emptyDir: {}\n",
    "{\"kind\": \"Pod\", \"metadata\": {\"name\": \"web\", \"annotations\": {}}, \"spec\": {\"containers\": [{\"name\": \"app\"}]}}",
    "{\n  \"kind\": \"Pod\",\n  \"metadata\": {\n    \"name\": \"web\"\n  },\n  \"spec\": {\n    \"initContainers\": [],\n    \"containers\": [\n"
    "      {\n        \"name\": \"app\"\n      }\n    ]\n  }\n}\n",
    "kind: Pod\r\nmetadata:\r\n  name: web\r\n  annotations: {a: b}\r\nspec:\r\n  containers:\r\n    - name: app\r\n      args: [a, b]",
    "kind: Pod\nmetadata:\n  name: web\n  annotations:\n    linkerd.io/created-by: linkerd/cli\n    own: \"1\"\n  labels:\n"
    "    linkerd.io/control-plane-ns: linkerd\nspec:\n  initContainers:\n  - name: linkerd-init\n  - name: linkerd-proxy\n    env: [{name: A, value: b}]\n"
    "  - name: own\n  containers:\n  - name: app\n  volumes:\n  - name: linkerd-identity-end-entity\n    emptyDir:\n      medium: Memory\n",
};
enum { DOCUMENTS = sizeof(documents) / sizeof(documents[0]) };

struct document {
    struct slice text;
    struct arena arena;
    struct yaml_node *root;
    json_t *before;
};

static void read_document(struct document *document, const char *text)
{
    struct yaml_problem problem;

    document->text = slice_str(text);
    arena_init(&document->arena, 1 << 20);
    assert_int_equal(yaml_parse(&document->arena, document->text, 1, YAML, &document->root, &problem), 0);
    document->before = from_yaml_node(document->root);
    assert_non_null(document->before);
}

static void release_document(struct document *document)
{
    json_decref(document->before);
    arena_release(&document->arena);
}

/* --- changes --- */

/* What injection puts into a pod, in small; NULL when there is no memory. */
static json_t *injected(const struct document *document)
{
    struct workload workload;
    struct patch patch;
    json_t *after = NULL;

    workload_read(document->before, &workload);
    patch_init(&patch, workload.prefix);
    patch_ensure_object(&patch, "/metadata/annotations", json_object_get(workload.meta, "annotations"));
    patch_add(&patch, "/metadata/annotations", "linkerd.io/inject", json_string("enabled"));
    patch_ensure_list(&patch, "/spec/initContainers", json_object_get(workload.spec, "initContainers"));
    patch_add(&patch, "/spec/initContainers/0", NULL, json_pack("{s:s, s:[s, s]}", "name", "linkerd-init", "args", "1", "a\nb\n"));
    patch_add(&patch, "/spec/containers/-", NULL, json_pack("{s:s, s:{}}", "name", "linkerd-proxy", "resources"));
    patch_ensure_list(&patch, "/spec/volumes", json_object_get(workload.spec, "volumes"));
    patch_add(&patch, "/spec/volumes/-", NULL, json_pack("{s:s, s:{s:i}}", "name", "linkerd-identity-token", "x", "mode", 420));
    if (!patch.error)
        after = tree_patch(document->before, patch.operations);
    patch_release(&patch);
    return after;
}

static json_t *uninjected(const struct document *document)
{
    struct uninjection how = {.text = document->text, .node = document->root};

    return tree_uninject(document->before, &how);
}

typedef json_t *change_of(const struct document *document);

/* The text after the change; an error, and nothing in the buffer that counts. */
static int write_change(const struct document *document, change_of *change, struct buffer *ret_text)
{
    json_t *after = change(document);
    struct splice splice;
    struct errmsg msg;
    int r = after ? 0 : -ENOMEM;

    splice_init(&splice, document->text, 1, document->root);
    buffer_init(ret_text, 1 << 20);
    if (r == 0)
        r = splice_object(&splice, document->root, document->before, after, &msg);
    if (r == 0)
        r = splice_apply(&splice, ret_text);
    splice_release(&splice);
    json_decref(after);
    return r;
}

/* How many allocations there were. */
static long run_out(const struct document *document, change_of *change)
{
    struct buffer want, got;
    bool failed;
    long at = 0;

    assert_int_equal(write_change(document, change, &want), 0);
    do {
        int r;

        failing_memory_set(at++);
        r = write_change(document, change, &got);
        failed = failing_memory_end();
        if (r < 0)
            assert_int_equal(r, -ENOMEM);
        else if (!slice_eq(buffer_slice(&want), buffer_slice(&got)))
            fail_msg("allocation %ld: another text:\n%.*s", at, SLICE_ARGS(buffer_slice(&got)));
        buffer_release(&got);
    } while (failed);
    buffer_release(&want);
    return at;
}

static void sweep(change_of *change)
{
    long allocations = 0;

    json_set_alloc_funcs(malloc, free);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        struct document document;

        read_document(&document, documents[i]);
        allocations += run_out(&document, change);
        release_document(&document);
    }
    assert_true(allocations > 50 * DOCUMENTS);
}

static void put_in(void **state)
{
    sweep(injected);
}

static void taken_out(void **state)
{
    long allocations;
    struct document document;

    json_set_alloc_funcs(malloc, free);
    read_document(&document, documents[DOCUMENTS - 1]);
    allocations = run_out(&document, uninjected);
    assert_true(allocations > 20);
    release_document(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_in),
        cmocka_unit_test(taken_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
