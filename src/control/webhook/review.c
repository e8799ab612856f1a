#include "control/webhook/review.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "kube/access/base64.h"

static const char *const versions[] = {"admission.k8s.io/v1", "admission.k8s.io/v1beta1"};

/* --- reading --- */

static json_t *member_object(const json_t *of, const char *name)
{
    json_t *value = json_object_get(of, name);

    return json_is_object(value) ? value : NULL;
}

static const char *member_text(const json_t *of, const char *name)
{
    const char *text = json_string_value(json_object_get(of, name));

    return text ? text : "";
}

static bool is_known_version(const char *version)
{
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
        if (strcmp(version, versions[i]) == 0)
            return true;
    return false;
}

static int check(const struct review *review, const json_t *request, struct errmsg *msg)
{
    if (strcmp(member_text(review->root, "kind"), "AdmissionReview") != 0 || !is_known_version(review->api_version))
        return errmsg_set(msg, -EINVAL, "the body has kind \"%.64s\" and apiVersion \"%.64s\": expected AdmissionReview and admission.k8s.io/v1 or v1beta1",
                          member_text(review->root, "kind"), review->api_version);
    if (!request || !*review->uid)
        return errmsg_set(msg, -EINVAL, "the AdmissionReview has no request with a uid");
    return 0;
}

static void read_request(const json_t *request, struct review *review)
{
    const json_t *kind = member_object(request, "kind");

    review->uid = member_text(request, "uid");
    review->operation = member_text(request, "operation");
    review->group = member_text(kind, "group");
    review->version = member_text(kind, "version");
    review->kind = member_text(kind, "kind");
    review->namespace_ = member_text(request, "namespace");
    review->sub_resource = member_text(request, "subResource");
    review->dry_run = json_is_true(json_object_get(request, "dryRun"));
    review->object = member_object(request, "object");
    review->old_object = member_object(request, "oldObject");
}

int review_read(struct slice body, struct errmsg *msg, struct review *ret_review)
{
    struct review review = {.root = NULL};
    json_error_t error;
    json_t *request;
    int r;

    if (body.len > LIMIT_ADMISSION)
        return errmsg_set(msg, -ENOBUFS, "the AdmissionReview is larger than %d bytes", LIMIT_ADMISSION);
    review.root = json_loadb(body.ptr ? body.ptr : "", body.len, 0, &error);
    if (!review.root)
        return errmsg_set(msg, -EINVAL, "the body is no JSON: line %d: %s", error.line, error.text);
    review.api_version = member_text(review.root, "apiVersion");
    request = member_object(review.root, "request");
    read_request(request, &review);
    r = check(&review, request, msg);
    if (r < 0)
        json_decref(review.root);
    else
        *ret_review = review;
    return r;
}

void review_release(struct review *review)
{
    json_decref(review->root);
    review->root = NULL;
}

/* --- answering --- */

json_t *review_text(struct slice text)
{
    struct buffer literal;
    json_t *value;

    if (slice_is_utf8(text))
        return json_stringn_nocheck(text.ptr ? text.ptr : "", text.len);
    buffer_init(&literal, (size_t)8 * LIMIT_ADMISSION);
    buffer_add_json(&literal, text);
    value = buffer_error(&literal) ? NULL : json_loadb(literal.data, literal.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    buffer_release(&literal);
    return value;
}

/* A tree's own text, as JSON or in base64. */
static int add_tree(const json_t *tree, bool encoded, struct buffer *out)
{
    char *json = json_dumps(tree, JSON_COMPACT);
    int r = json ? 0 : -ENOMEM;

    if (r == 0)
        r = encoded ? base64_add(out, slice_str(json)) : buffer_add(out, slice_str(json));
    free(json);
    return r;
}

static void add_member(const char *before, const char *text, struct buffer *out)
{
    buffer_add(out, slice_str(before));
    buffer_add_json(out, slice_str(text));
}

static int add_patch(const json_t *patch, struct buffer *out)
{
    int r;

    buffer_add_lit(out, ",\"patchType\":\"JSONPatch\",\"patch\":\"");
    r = add_tree(patch, true, out);
    buffer_add_byte(out, '"');
    return r;
}

static void add_denial(const char *why, struct buffer *out)
{
    add_member(",\"status\":{\"status\":\"Failure\",\"reason\":\"Invalid\",\"code\":422,\"message\":", why, out);
    buffer_add_byte(out, '}');
}

/* By hand: a patch is most of the answer, and as base64 there is nothing in it to escape. */
int review_write(const struct review *review, const struct review_verdict *verdict, struct buffer *ret_body)
{
    int r = 0;

    add_member("{\"apiVersion\":", review->api_version, ret_body);
    add_member(",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":", review->uid, ret_body);
    buffer_printf(ret_body, ",\"allowed\":%s", verdict->denial ? "false" : "true");
    if (verdict->denial)
        add_denial(verdict->denial, ret_body);
    else if (verdict->patch)
        r = add_patch(verdict->patch, ret_body);
    if (r == 0 && json_array_size(verdict->warnings)) {
        buffer_add_lit(ret_body, ",\"warnings\":");
        r = add_tree(verdict->warnings, false, ret_body);
    }
    buffer_add_lit(ret_body, "}}");
    return r < 0 ? r : buffer_error(ret_body);
}
