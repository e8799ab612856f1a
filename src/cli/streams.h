/*
 * Answers of one API server that are read at once, each told as it comes until it ends: logs that are followed.
 *
 *     streams_read(access, timeout_ns, streams, count, &msg)     blocks until all have ended, or one wants no more
 *
 * On a loop of its own, beside the questions of cli/cluster/kube.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "base/slice.h"
#include "kube/access/access.h"

struct api_call;

struct stream {
    const char *path; /* outlives the reading, as the rest does */
    /* False: enough of all of them. */
    bool (*on_bytes)(struct stream *stream, struct slice bytes);
    /* `why` NULL: the answer is whole; else a sentence, in the server's own words where it has any. */
    void (*on_end)(struct stream *stream, const char *why);
    /* of the reading */
    struct streams *all;
    struct api_call *call;
};

/* `timeout_ns`: until each answer begins. 0, also where streams ended with a sentence; -ENOMEM and the like when nothing can be read. */
int streams_read(const struct kube_access *access, int64_t timeout_ns, struct stream *const streams[], size_t count, struct errmsg *msg);
