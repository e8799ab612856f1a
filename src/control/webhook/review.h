/*
 * Admission reviews (admission.k8s.io, v1 and v1beta1): what an API server asks about an object that is being made or changed, and the
 * answer in its form. What the answer is, others decide: control/injector/review.h, control/validate/validate.h.
 *
 *     review_read(body, &msg, &review)             -EINVAL: HTTP 400
 *     review_write(&review, &verdict, &body)
 *     review_release(&review)
 *
 * Pure.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/errmsg.h"

/* The texts live as long as the review; those that it lacks are "". */
struct review {
    json_t *root;            /* all of it, owned */
    const char *api_version; /* "admission.k8s.io/v1": the answer says the same */
    const char *uid;         /* of the question */
    const char *operation;   /* "CREATE", "UPDATE", ... */
    const char *group, *version, *kind;
    const char *namespace_;
    const char *sub_resource; /* "status"; "" for the object itself */
    bool dry_run;             /* nothing may be changed elsewhere: no events */
    json_t *object;           /* NULL where the operation has none */
    json_t *old_object;       /* of an UPDATE */
};

/* -EINVAL when it is no review; -ENOBUFS above LIMIT_ADMISSION; -ENOMEM. */
int review_read(struct slice body, struct errmsg *msg, struct review *ret_review);
void review_release(struct review *review);

struct review_verdict {
    const char *denial;   /* why it is refused; NULL: it is allowed */
    const json_t *patch;  /* JSON patch; NULL: none */
    json_t *warnings;     /* array of texts; NULL or empty: none */
};

/* Appends the answer's body. 0; -ENOBUFS when it is too large, -ENOMEM. */
int review_write(const struct review *review, const struct review_verdict *verdict, struct buffer *ret_body);
/* A JSON text; bytes that are not UTF-8 (a character that was cut) become U+FFFD. NULL without memory. */
json_t *review_text(struct slice text);
