#include "control/webhook/review.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "inject/workload.h"
#include "kube/base64.h"

static const char *const versions[] = {"admission.k8s.io/v1", "admission.k8s.io/v1beta1"};

/* --- reading --- */

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
    request = member_object(review.root, "request");
    review.api_version = member_text(review.root, "apiVersion");
    review.uid = member_text(request, "uid");
    review.operation = member_text(request, "operation");
    review.kind = member_text(member_object(request, "kind"), "kind");
    review.namespace_ = member_text(request, "namespace");
    review.dry_run = json_is_true(json_object_get(request, "dryRun"));
    review.object = member_object(request, "object");
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

/* --- writing --- */

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
    json_t *status = json_pack("{s:s, s:s, s:s, s:i}", "status", "Failure", "reason", "Invalid", "message", why, "code", 422);

    if (json_object_set_new_nocheck(response, "allowed", json_false()) < 0)
        return -ENOMEM;
    return json_object_set_new_nocheck(response, "status", status) < 0 ? -ENOMEM : 0;
}

static int respond(json_t *response, const struct review_reply *reply)
{
    int r = 0;

    if (reply->denial)
        r = add_denial(response, reply->denial);
    else if (reply->patch)
        r = add_patch(response, reply->patch);
    if (r == 0 && json_array_size(reply->warnings) && json_object_set_nocheck(response, "warnings", reply->warnings) < 0)
        r = -ENOMEM;
    return r;
}

static int write_whole(const struct review *review, json_t *response, struct buffer *ret_body)
{
    json_t *root = json_pack("{s:s, s:s, s:O}", "apiVersion", review->api_version, "kind", "AdmissionReview", "response", response);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    int r = text ? buffer_add(ret_body, slice_str(text)) : -ENOMEM;

    free(text);
    json_decref(root);
    return r;
}

int review_write(const struct review *review, const struct review_reply *reply, struct buffer *ret_body)
{
    json_t *response = json_pack("{s:s, s:b}", "uid", review->uid, "allowed", 1);
    int r = response ? respond(response, reply) : -ENOMEM;

    if (r == 0)
        r = write_whole(review, response, ret_body);
    json_decref(response);
    return r;
}
