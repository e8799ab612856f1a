/*
 * A serving certificate that a component makes for its own webhook: a leaf for one name, signed by an authority whose key was thrown away at
 * once, ECDSA P-256, for a year. Pure.
 *
 * Authorities of before stay in the bundle while they are valid, so that whoever still serves with the leaf of before is believed until he
 * has the new one.
 */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/errmsg.h"

struct webhook_pair {
    struct buffer certificate, key; /* PEM; of the leaf */
    struct buffer authorities;      /* PEM: its own first, then those of before */
};

enum { WEBHOOK_PAIR_AUTHORITIES = 4 };

void webhook_pair_init(struct webhook_pair *pair);
void webhook_pair_release(struct webhook_pair *pair);
/*
 * Makes a new one. `before` are bundles of authorities to keep: each of them once, where it is still valid, WEBHOOK_PAIR_AUTHORITIES in all with
 * the new one; a bundle that cannot be read is left out. 0, or a negative errno with a sentence.
 */
int webhook_pair_make(struct slice name, const struct slice before[], size_t count, int64_t wall_ns, struct errmsg *msg,
                      struct webhook_pair *ret_pair);
/*
 * Whether it can serve for the name: 0; -EKEYREJECTED or -EINVAL with why not. *ret_old: two thirds of its time are over, it is to be
 * replaced.
 */
int webhook_pair_check(const struct webhook_pair *pair, struct slice name, int64_t wall_ns, struct errmsg *msg, bool *ret_old);
