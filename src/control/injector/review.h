/*
 * Admission reviews (admission.k8s.io, v1 and v1beta1): what an API server asks about an object that is being made, and what it is told.
 *
 *     review_read(body, &msg, &review)       -EINVAL: HTTP 400
 *     review_answer(&review, injector, annotations of the namespace review.namespace_, &msg, &body, &outcome)
 *     review_release(&review)
 *
 * Objects other than pods and Services, and operations other than CREATE, are let through as they are. A pod is let through too when it gets
 * no proxy; it is refused where inject/inject.h says so, and when the chart cannot be rendered. Pure.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "inject/inject.h"

/* The texts live as long as the review. */
struct review {
    json_t *root;            /* all of it, owned */
    const char *api_version; /* "admission.k8s.io/v1": the answer says the same */
    const char *uid;         /* of the question */
    const char *operation, *kind, *namespace_;
    bool dry_run;            /* nothing may be changed elsewhere: no events */
    json_t *object;          /* NULL where the operation has none */
};

/* -EINVAL when it is no review; -ENOBUFS above LIMIT_ADMISSION; -ENOMEM. */
int review_read(struct slice body, struct errmsg *msg, struct review *ret_review);
void review_release(struct review *review);
/* Whether the annotations of the namespace matter for the answer. */
bool review_needs_namespace(const struct review *review);

/* For metrics and events. */
struct review_outcome {
    enum inject_verdict verdict;
    unsigned skips;           /* bits of 1 << enum inject_skip */
    const char *annotated_at; /* static text */
    size_t warnings;
    struct errmsg message;    /* as Linkerd's events have it: "Linkerd sidecar proxy injected"; "" for what is none of our business */
};

/* Appends the answer's body. 0; -ENOBUFS when it is too large, -ENOMEM. */
int review_answer(const struct review *review, const struct injector *injector, json_t *namespace_annotations, struct buffer *ret_body,
                  struct review_outcome *ret_outcome);
