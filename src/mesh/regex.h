/*
 * Regular expressions of routes. Two ways of matching, as the resources that
 * carry them mean it:
 *
 *   policy   (HTTPRoute, GRPCRoute): the leftmost match that the engine finds is
 *            compared with the whole value. Nothing is anchored, so that the order of
 *            alternatives matters: `a|ab` does not match "ab", `ab|a` does.
 *   profile  (ServiceProfile): spaces around the expression are dropped, `^` and `$` are put before and behind by
 *            concatenation where they are missing, and the path is searched: `a|b` becomes
 *            `^a|b$`, paths that begin with a or end with b.
 *
 * The engine is PCRE2; what is accepted is the part of its language that means the same as
 * in the engine users know from these resources (RE2-like, leftmost-first): no
 * back-references, look-around, recursion, conditions, atomic groups,
 * possessive quantifiers, control verbs; nor constructs that the two read differently (nested classes, `&&`
 * in a class, `\v`, a brace that is no quantifier). regex_new() refuses those by name.
 *
 * Matching is bounded (LIMIT_REGEX_*). Hitting a bound is an error of its own and
 * never "no match": a route that cannot be decided must not be skipped.
 *
 * A regex never changes and may be used by several threads; each brings its own scratch.
 */
#pragma once

#include "base/errmsg.h"
#include "base/slice.h"

struct regex;
struct regex_scratch; /* working memory of one thread */

enum regex_mode { REGEX_POLICY, REGEX_PROFILE };

/* -EINVAL with a sentence that names the place, -E2BIG above LIMIT_REGEX_LENGTH, -ENOMEM. */
int regex_new(struct slice pattern, enum regex_mode mode, struct errmsg *msg, struct regex **ret_regex);
void regex_free(struct regex *regex);

/* NULL without memory. */
struct regex_scratch *regex_scratch_new(void);
void regex_scratch_free(struct regex_scratch *scratch);

/* 1: matches; 0: does not; -EOVERFLOW: a limit was hit; -ENOMEM. */
int regex_match(const struct regex *regex, struct slice value, struct regex_scratch *scratch);

/* Only the inspection that regex_new() does first, for others' tests: 0 or -EINVAL. */
int regex_inspect(struct slice pattern, struct errmsg *msg);
