/*
 * Admission reviews (admission.k8s.io, v1 and v1beta1): what an API server asks about an object that is being made or changed, and what it
 * is told. Every webhook reads and writes them here. Pure.
 *
 *     review_read(body, &msg, &review)          -EINVAL: HTTP 400
 *     review_write(&review, &reply, &body)
 *     review_release(&review)
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/errmsg.h"

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

struct review_reply {
    const char *denial;     /* NULL: the object is let through; else why not: a sentence with field and reason */
    const json_t *patch;    /* a JSON Patch, or NULL; not with a denial */
    json_t *warnings;       /* an array of texts, or NULL */
};

/* Appends the answer's body. 0; -ENOBUFS when it is too large, -ENOMEM. */
int review_write(const struct review *review, const struct review_reply *reply, struct buffer *ret_body);
