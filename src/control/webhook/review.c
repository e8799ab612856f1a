#include "control/webhook/review.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "kube/base64.h"

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
        return errmsg_set(msg, -EINVAL, "the body is a %.64s of %.64s: expected an AdmissionReview of admission.k8s.io/v1 or v1beta1",
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

/* A patch travels as the base64 of its JSON. */
static int add_patch(json_t *response, const json_t *patch)
{
    char *json = json_dumps(patch, JSON_COMPACT);
    struct buffer text;
    int r = -ENOMEM;

    buffer_init(&text, (size_t)2 * LIMIT_ADMISSION);
    if (json)
        r = base64_add(&text, slice_str(json));
    if (r == 0 && (json_object_set_new_nocheck(response, "patchType", json_string("JSONPatch")) < 0 ||
                   json_object_set_new_nocheck(response, "patch", json_stringn_nocheck(text.data, text.len)) < 0))
        r = -ENOMEM;
    buffer_release(&text);
    free(json);
    return r;
}

static int add_denial(json_t *response, const char *why)
{
    json_t *status = json_pack("{s:s, s:s, s:o, s:i}", "status", "Failure", "reason", "Invalid", "message", review_text(slice_str(why)),
                               "code", 422);

    if (json_object_set_new_nocheck(response, "allowed", json_false()) < 0) {
        json_decref(status);
        return -ENOMEM;
    }
    return json_object_set_new_nocheck(response, "status", status) < 0 ? -ENOMEM : 0;
}

static int respond(json_t *response, const struct review_verdict *verdict)
{
    int r = 0;

    if (verdict->denial)
        r = add_denial(response, verdict->denial);
    else if (verdict->patch)
        r = add_patch(response, verdict->patch);
    if (r == 0 && json_array_size(verdict->warnings) && json_object_set_nocheck(response, "warnings", verdict->warnings) < 0)
        r = -ENOMEM;
    return r;
}

static int write_body(const struct review *review, json_t *response, struct buffer *ret_body)
{
    json_t *root = json_pack("{s:s, s:s, s:O}", "apiVersion", review->api_version, "kind", "AdmissionReview", "response", response);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    int r = text ? buffer_add(ret_body, slice_str(text)) : -ENOMEM;

    free(text);
    json_decref(root);
    return r;
}

int review_write(const struct review *review, const struct review_verdict *verdict, struct buffer *ret_body)
{
    json_t *response = json_pack("{s:s, s:b}", "uid", review->uid, "allowed", 1);
    int r = response ? respond(response, verdict) : -ENOMEM;

    if (r == 0)
        r = write_body(review, response, ret_body);
    json_decref(response);
    return r;
}
