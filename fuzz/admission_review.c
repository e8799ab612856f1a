/*
 * Admission reviews: whatever the body is, it is refused with a sentence or answered with JSON whose uid is that of the question, and the
 * answer's patch is a list of additions. Before a NUL byte stands the body, behind it the namespace's annotations as JSON.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "control/injector/review.h"
#include "kube/access/base64.h"
#include "template/from_yaml.h"

static void look_at_patch(const json_t *response)
{
    const char *text = json_string_value(json_object_get(response, "patch"));
    struct arena arena;
    struct slice bytes;
    json_t *patch, *operation;
    size_t i;

    if (!text)
        return;
    arena_init(&arena, (size_t)4 * LIMIT_ADMISSION);
    assert(base64_read(&arena, slice_str(text), &bytes) == 0);
    patch = json_loadb(bytes.ptr, bytes.len, 0, NULL);
    assert(json_array_size(patch) > 0);
    json_array_foreach (patch, i, operation)
        assert(json_object_get(operation, "value") && *member_text(operation, "path") == '/');
    json_decref(patch);
    arena_release(&arena);
}

static void answer(const struct review *review, const struct injector *injector, json_t *annotations)
{
    struct review_outcome outcome;
    struct buffer body;
    json_t *root;
    int r;

    buffer_init(&body, (size_t)4 * LIMIT_ADMISSION);
    r = review_answer(review, injector, annotations, &body, &outcome);
    assert(r == 0 || r == -ENOMEM || r == -ENOBUFS);
    if (r == 0) {
        root = json_loadb(body.data, body.len, 0, NULL);
        assert(strcmp(member_text(member_object(root, "response"), "uid"), review->uid) == 0);
        look_at_patch(member_object(root, "response"));
        json_decref(root);
    }
    buffer_release(&body);
}

static void start(struct template_set **templates, struct injector **injector)
{
    struct injector_setup setup = {.trust_anchors = "x", .namespace_ = "linkerd", .created_by = "linkerd/proxy-injector fuzz"};
    struct errmsg msg;

    for (size_t i = 0; i < chart_files_count; i++)
        if (strcmp(chart_files[i].name, "linkerd-control-plane/values.yaml") == 0 &&
            from_yaml(slice_of(chart_files[i].text, chart_files[i].len), "values", true, &msg, &setup.values) < 0)
            abort();
    if (inject_templates(chart_files, chart_files_count, &msg, templates) < 0)
        abort();
    setup.templates = *templates;
    if (injector_new(&setup, &msg, injector) < 0)
        abort();
    json_decref(setup.values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct template_set *templates;
    static struct injector *injector;
    struct slice all = slice_of(data, size);
    size_t end = slice_find(all, '\0');
    struct slice rest = slice_skip(all, end + 1);
    json_t *annotations = rest.len ? json_loadb(rest.ptr, rest.len, 0, NULL) : NULL;
    struct review review;
    struct errmsg msg = {""};

    if (!injector)
        start(&templates, &injector);
    if (review_read(slice_take(all, end), &msg, &review) < 0) {
        assert(msg.text[0]);
    } else {
        answer(&review, injector, annotations);
        review_release(&review);
    }
    json_decref(annotations);
    return 0;
}
