/*
 * Whether an object may be stored: admission reviews of ServiceProfiles, of policy.linkerd.io's kinds and of the Gateway API's routes.
 *
 *     validate(&review, &context, &opinion)     what the webhooks ask
 *     validate_opinion_release(&opinion)
 *
 * Three things decide, in this order: the decoder that the sources use (kube/decode/decode.h), so that what a source could not read is refused here
 * and nothing else of that sort; what Linkerd's validators refuse; what can never do what it says (a pattern that does not compile, a
 * ServiceProfile that no Service can have). What is legal and has no effect is a warning. All that is wrong is told at once, with field and
 * reason. docs/validation.md has the list.
 *
 * Let through without a look: deletions, subresources, objects that are being deleted (their finalizers must go), kinds and versions that we
 * do not know (with a warning). A change that leaves spec and annotations as they were is not refused for what is wrong with them: somebody
 * else's label must not wait for it. Pure.
 */
#pragma once

#include "control/webhook/review.h"
#include "kube/store.h"

struct validate_context {
    const struct store *store;   /* for what other objects say; NULL: they are not looked at */
    struct slice cluster_domain; /* empty: not known */
};

struct validate_opinion {
    struct buffer denial; /* NUL terminated; empty: it may be stored */
    size_t problems;      /* that were told in it */
    json_t *warnings;     /* array of texts */
};

/* 0 or -ENOMEM; then there is nothing to release. */
int validate(const struct review *review, const struct validate_context *context, struct validate_opinion *ret_opinion);
void validate_opinion_release(struct validate_opinion *opinion);
/* As the answer has it; points into the opinion. */
struct review_verdict validate_verdict(const struct validate_opinion *opinion);

/* From the bytes of a review to those of the answer. Errors of review_read() with a sentence, or those of the two above. */
int validate_review(struct slice body, const struct validate_context *context, struct errmsg *msg, struct buffer *ret_body);
