#include "control/injector/review.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "kube/base64.h"
#include "template/copy.h"

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

bool review_needs_namespace(const struct review *review)
{
    return strcmp(review->operation, "CREATE") == 0 && review->object && *review->namespace_ &&
           (strcmp(review->kind, "Pod") == 0 || strcmp(review->kind, "Service") == 0);
}

/* --- answering --- */

/* A patch travels as the base64 of its JSON. */
static int add_patch(json_t *response, json_t *patch)
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

static int respond(json_t *response, const struct inject_answer *answer)
{
    int r = 0;

    if (answer->verdict == INJECT_REFUSED)
        r = add_denial(response, answer->denial.text);
    else if (answer->patch)
        r = add_patch(response, answer->patch);
    if (r == 0 && json_array_size(answer->warnings) && json_object_set_nocheck(response, "warnings", answer->warnings) < 0)
        r = -ENOMEM;
    return r;
}

/* An object in a review may lack its kind: the question names it. */
static json_t *whole_object(const struct review *review)
{
    json_t *object = copy_shallow(review->object);

    if (object && json_object_set_new_nocheck(object, "kind", json_string(review->kind)) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* What cannot be rendered refuses the pod: a warning would come too late. */
static int ask(const struct review *review, const struct injector *injector, json_t *namespace_annotations, struct inject_answer *ret_answer)
{
    json_t *object = whole_object(review);
    struct inject_request request = {.object = object, .namespace_ = review->namespace_, .namespace_annotations = namespace_annotations};
    struct errmsg msg = {""};
    int r = object ? inject(injector, &request, &msg, ret_answer) : -ENOMEM;

    if (r < 0 && r != -ENOMEM) {
        *ret_answer = (struct inject_answer){.verdict = INJECT_REFUSED, .annotated_at = "", .denial = msg};
        r = 0;
    }
    json_decref(object);
    return r;
}

static void describe(const struct review *review, const struct inject_answer *answer, struct review_outcome *outcome)
{
    char *end = outcome->message.text;

    *outcome = (struct review_outcome){.verdict = answer->verdict, .skips = answer->skips, .annotated_at = answer->annotated_at,
                                       .warnings = json_array_size(answer->warnings)};
    if (strcmp(review->kind, "Pod") != 0)
        return;
    if (answer->verdict == INJECT_YES)
        errmsg_set(&outcome->message, 0, "Linkerd sidecar proxy injected");
    else if (answer->verdict == INJECT_REFUSED)
        errmsg_set(&outcome->message, 0, "Linkerd sidecar proxy injection refused: %.400s", answer->denial.text);
    else
        errmsg_set(&outcome->message, 0, "Linkerd sidecar proxy injection skipped: ");
    for (enum inject_skip skip = 0; skip < SKIP_COUNT; skip++)
        if (answer->skips & (1U << skip)) {
            size_t used = strlen(end);

            snprintf(end + used, sizeof(outcome->message.text) - used, "%s%s", end[used - 1] == ' ' ? "" : ", ", inject_skip_text(skip));
        }
}

static int write_answer(const struct review *review, json_t *response, struct buffer *ret_body)
{
    json_t *root = json_pack("{s:s, s:s, s:O}", "apiVersion", review->api_version, "kind", "AdmissionReview", "response", response);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    int r = text ? buffer_add(ret_body, slice_str(text)) : -ENOMEM;

    free(text);
    json_decref(root);
    return r;
}

int review_answer(const struct review *review, const struct injector *injector, json_t *namespace_annotations, struct buffer *ret_body,
                  struct review_outcome *ret_outcome)
{
    json_t *response = json_pack("{s:s, s:b}", "uid", review->uid, "allowed", 1);
    struct inject_answer answer = {.verdict = INJECT_NO, .annotated_at = ""};
    int r = response ? 0 : -ENOMEM;

    *ret_outcome = (struct review_outcome){.verdict = INJECT_NO, .annotated_at = ""};
    if (r == 0 && review_needs_namespace(review)) {
        r = ask(review, injector, namespace_annotations, &answer);
        if (r == 0) {
            r = respond(response, &answer);
            describe(review, &answer, ret_outcome);
        }
    }
    if (r == 0)
        r = write_answer(review, response, ret_body);
    inject_answer_release(&answer);
    json_decref(response);
    return r;
}
