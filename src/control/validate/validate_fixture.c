#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/validate/validate_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "kube/directory/directory.h"
#include "kube/file.h"
#include "template/from_yaml.h"

static void load(const char *name, struct buffer *ret_text)
{
    char path[1024];
    struct errmsg msg = {""};

    snprintf(path, sizeof(path), TESTDATA "/%s", name);
    if (file_load(slice_str(path), LIMIT_YAML_FILE, ret_text, &msg) < 0)
        fail_msg("%s", msg.text);
}

json_t *validate_cases(const char *name)
{
    struct errmsg msg = {""};
    struct buffer text;
    json_t *cases = NULL;

    load(name, &text);
    if (from_yaml(buffer_slice(&text), name, false, &msg, &cases) < 0)
        fail_msg("%s", msg.text);
    buffer_release(&text);
    assert_true(json_is_array(cases));
    return cases;
}

struct store *validate_world(void)
{
    struct directory *directory;
    struct buffer text;
    struct store *store;

    load("world/world.yaml", &text);
    assert_int_equal(store_new(1, 2, &store), 0);
    assert_int_equal(directory_new(store, NULL, &directory), 0);
    assert_int_equal(directory_apply(directory, SLICE_LIT("world.yaml"), buffer_slice(&text)), 0);
    assert_int_equal(directory_commit(directory), 0);
    directory_free(directory);
    buffer_release(&text);
    return store;
}

static const char *text_of(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : otherwise;
}

json_t *validate_question(const json_t *each)
{
    json_t *object = json_object_get(each, "object"), *old = json_object_get(each, "old");
    char version[128];
    char *slash;
    json_t *review;

    snprintf(version, sizeof(version), "%s", text_of(object, "apiVersion", "/"));
    slash = strchr(version, '/');
    *slash = '\0';
    review = json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:O}}", "apiVersion", "admission.k8s.io/v1", "kind", "AdmissionReview",
                       "request", "uid", "u-1", "operation", text_of(each, "operation", old ? "UPDATE" : "CREATE"), "namespace", "default",
                       "kind", "group", version, "version", slash + 1, "kind", text_of(object, "kind", ""), "object", object);
    assert_non_null(review);
    if (old)
        json_object_set(json_object_get(review, "request"), "oldObject", old);
    if (json_object_get(each, "subResource"))
        json_object_set(json_object_get(review, "request"), "subResource", json_object_get(each, "subResource"));
    return review;
}

static void say(json_t *said, const char *what, const char *text, size_t len)
{
    json_array_append_new(said, json_sprintf("%s: %.*s", what, (int)len, text));
}

/* "KIND NAMESPACE/NAME: a", or "...: 2 problems:\n  a\n  b". */
static void take_apart(json_t *said, const char *message, const json_t *object)
{
    const json_t *metadata = json_object_get(object, "metadata");
    char begin[600];
    struct slice rest = slice_str(message), line;

    snprintf(begin, sizeof(begin), "%s default/%s: ", text_of(object, "kind", ""), text_of(metadata, "name", ""));
    if (!slice_starts(rest, slice_str(begin)))
        fail_msg("\"%s\" does not begin with \"%s\"", message, begin);
    rest = slice_skip(rest, strlen(begin));
    if (slice_find(rest, '\n') == rest.len) {
        say(said, "refused", rest.ptr, rest.len);
        return;
    }
    assert_true(slice_split(&rest, '\n', &line));
    assert_true(slice_ends(line, SLICE_LIT(" problems:")));
    while (slice_split(&rest, '\n', &line)) {
        assert_true(slice_starts(line, SLICE_LIT("  ")));
        say(said, "refused", line.ptr + 2, line.len - 2);
    }
}

json_t *validate_said(const json_t *each, const struct validate_context *context)
{
    json_t *question = validate_question(each), *said = json_array(), *answer, *response, *text;
    char *body = json_dumps(question, 0);
    struct errmsg msg = {""};
    struct buffer out;
    size_t i;

    buffer_init(&out, LIMIT_ADMISSION);
    if (validate_review(slice_str(body), context, &msg, &out) < 0)
        fail_msg("%s: %s", text_of(each, "case", ""), msg.text);
    answer = json_loadb(out.data, out.len, 0, NULL);
    response = json_object_get(answer, "response");
    assert_string_equal(text_of(response, "uid", ""), "u-1");
    if (json_is_true(json_object_get(response, "allowed"))) {
        assert_null(json_object_get(response, "status"));
    } else {
        assert_int_equal(json_integer_value(json_object_get(json_object_get(response, "status"), "code")), 422);
        take_apart(said, text_of(json_object_get(response, "status"), "message", ""), json_object_get(each, "object"));
    }
    json_array_foreach (json_object_get(response, "warnings"), i, text)
        say(said, "warning", json_string_value(text), json_string_length(text));
    buffer_release(&out);
    json_decref(answer);
    free(body);
    json_decref(question);
    return said;
}
