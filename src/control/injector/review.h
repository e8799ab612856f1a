/*
 * The injector's answers to admission reviews (control/webhook/review.h reads them and writes the answer).
 *
 *     review_answer(&review, injector, annotations of the namespace review.namespace_, &body, &outcome)
 *
 * Objects other than pods and Services, and operations other than CREATE, are let through as they are. A pod is let through too when it gets
 * no proxy; it is refused where inject/inject.h says so, and when the chart cannot be rendered. Pure.
 */
#pragma once

#include "control/webhook/review.h"
#include "inject/inject.h"

/* Whether the annotations of the namespace matter for the answer. */
bool review_needs_namespace(const struct review *review);

/* For metrics and events. */
struct review_outcome {
    enum inject_verdict verdict;
    unsigned skips;           /* bits of 1 << enum inject_skip */
    const char *annotated_at; /* static text */
    size_t warnings;
    struct errmsg warning;    /* all of them, or as many as there is room for and how many more; "" */
    struct errmsg message;    /* as Linkerd's events have it: "Linkerd sidecar proxy injected"; "" for what is none of our business */
};

/* Appends the answer's body. 0; -ENOBUFS when it is too large, -ENOMEM. */
int review_answer(const struct review *review, const struct injector *injector, json_t *namespace_annotations, struct buffer *ret_body,
                  struct review_outcome *ret_outcome);
