/*
 * For tests and fuzzers: every message of api/ behind one function, bytes to plain
 * structs to bytes.
 */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/slice.h"

struct roundtrip {
    const char *message; /* "Update", as in the protos, without package */
    /* Decodes and encodes. The first failure of either, or 0. 1: decoded to an invalid policy, nothing encoded. */
    int (*run)(struct slice bytes, struct errmsg *msg, struct buffer *out);
};

/* NULL when there is none of this name. */
const struct roundtrip *roundtrip_find(const char *message);

/*
 * Decodes; what can be decoded is encoded, decoded and encoded again, and both encodings must be the same (assert).
 * The value is that of the first decoding.
 */
int roundtrip_check(const char *message, struct slice bytes);
