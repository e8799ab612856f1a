/*
 * Makes a snapshot ready for use, before it is published and while only one
 * thread has it: compiles its regular expressions, whose release is given to the snapshot's arena. An
 * inbound policy also gets the authorization of local clients (mesh/authz.h).
 *
 * What does not compile is treated as an answer that this program does not
 * understand: a policy becomes `invalid` as a whole (and an inbound one loses its
 * authorizations, so that it denies); of a profile, the condition with the expression is left out, as is a condition or
 * route that has nothing left to say.
 */
#pragma once

#include "mesh/inbound_policy.h"
#include "mesh/outbound_policy.h"
#include "mesh/profile.h"

/* 0 or -ENOMEM; then the snapshot must not be published. */
int inbound_policy_prepare(struct inbound_policy *policy);
int outbound_policy_prepare(struct outbound_policy *policy);
/* *ret_dropped counts the expressions that were left out; NULL is allowed. */
int profile_prepare(struct profile *profile, unsigned *ret_dropped);
