/*
 * Admission reviews of the validating webhooks: whatever the body is, it is refused with a sentence or answered with JSON whose uid is that
 * of the question; what is refused has a message, and what is told is bounded.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "control/validate/validate.h"
#include "kube/directory/directory.h"

static const char world[] =
    "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}, status: "
    "{podIP: 10.0.0.1}}\n---\n"
    "{apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {name: s}, spec: {podSelector: {}, port: 80}}\n---\n"
    "{apiVersion: policy.linkerd.io/v1alpha1, kind: HTTPLocalRateLimitPolicy, metadata: {name: r}, spec: {targetRef: {group: "
    "policy.linkerd.io, kind: Server, name: s}}}\n";

static struct store *start(void)
{
    struct directory *directory;
    struct store *store;

    if (store_new(1, 2, &store) < 0 || directory_new(store, NULL, &directory) < 0 ||
        directory_apply(directory, SLICE_LIT("world.yaml"), slice_str(world)) < 0 || directory_commit(directory) < 0)
        abort();
    directory_free(directory);
    return store;
}

static void look_at(struct slice body, struct slice question)
{
    json_t *root = json_loadb(body.ptr, body.len, 0, NULL), *asked = json_loadb(question.ptr, question.len, 0, NULL);
    json_t *response = json_object_get(root, "response"), *status = json_object_get(response, "status");

    assert(json_equal(json_object_get(response, "uid"), json_object_get(json_object_get(asked, "request"), "uid")));
    assert(json_is_true(json_object_get(response, "allowed")) == !status);
    assert(!status || json_string_length(json_object_get(status, "message")) > 0);
    assert(json_array_size(json_object_get(response, "warnings")) <= (size_t)3 * LIMIT_SOURCE_REPORTS);
    json_decref(root);
    json_decref(asked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct store *store;
    struct validate_context context = {.cluster_domain = SLICE_LIT("cluster.local")};
    struct slice body = slice_of(data, size);
    struct errmsg msg = {""};
    struct buffer out;
    int r;

    if (!store)
        store = start();
    context.store = store;
    buffer_init(&out, (size_t)4 * LIMIT_ADMISSION);
    r = validate_review(body, &context, &msg, &out);
    assert(r == 0 || r == -EINVAL || r == -ENOBUFS);
    assert(r == 0 || msg.text[0]);
    if (r == 0)
        look_at(buffer_slice(&out), body);
    buffer_release(&out);
    return 0;
}
