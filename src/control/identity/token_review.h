/*
 * Tokens checked by the API server (TokenReview of authentication.k8s.io/v1): it
 * knows which service account a token is of, for whom it was made, and whether
 * the pod that it belongs to is still there.
 *
 * A token counts when the server has authenticated it for the audience of the mesh (TOKEN_AUDIENCE) and its user is a
 * service account. A server that cannot be asked decides nothing: TOKEN_UNAVAILABLE.
 */
#pragma once

#include "kube/api/api_client.h"
#include "net/token/token.h"

/* The client outlives the validator. 0 or -ENOMEM. */
int token_review_new(struct api_client *client, struct token_validator **ret_validator);
/* What the server's answer says: for validate(), and tests. `why` has room for a sentence. */
enum token_verdict token_review_read(struct slice answer, struct token_subject *ret_subject, struct errmsg *why);
