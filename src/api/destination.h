/*
 * The messages of io.linkerd.proxy.destination.Destination: the request of both
 * methods, the updates of Get, the profiles of GetProfile. For the proxy (encodes
 * requests, decodes answers) and the controller (the other way round).
 *
 * Decoding takes one complete message without its gRPC frame. 0, or
 *   -EBADMSG  malformed: not protobuf, cut off, nested too deep, a string that is not UTF-8 or holds a NUL;
 *   -ENODATA  well formed, but of no kind that we know: the message is to be passed over;
 *   -ENOMEM   no memory, or more than LIMIT_SNAPSHOT.
 * Encoding appends one message to the buffer. 0, -EINVAL (text that cannot be sent), -ENOBUFS, -ENOMEM.
 *
 * What a decoder does with parts that it cannot use is said at each. A field that is
 * not known is passed over, as protobuf wants it.
 */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/slice.h"
#include "mesh/endpoint.h"
#include "mesh/profile.h"

struct arena;

struct get_destination {
    struct slice scheme;        /* "k8s" */
    struct slice path;          /* host or host:port, not parsed here */
    struct slice context_token; /* see api/workload.h */
};

/* The text lives in `arena`. */
int get_destination_decode(struct slice message, struct arena *arena, struct errmsg *msg,
                           struct get_destination *ret_request);
int get_destination_encode(const struct get_destination *request, struct errmsg *msg, struct buffer *out);

/*
 * An endpoint that cannot be used is left out and counted in skipped_count, and *msg says why for the last one: no
 * address, a port outside 1 to 65535, or a TLS identity that is there but cannot be checked (of an unknown kind, no
 * valid name, a URI without a server name). The last must never turn into plaintext.
 * An authority override that is no authority is taken as none.
 */
int endpoint_update_decode(struct slice message, struct errmsg *msg, struct endpoint_update **ret_update);
int endpoint_update_encode(const struct endpoint_update *update, struct errmsg *msg, struct buffer *out);

/*
 * Leaves out, as other proxies do: routes without a condition that we know, response classes likewise, overrides
 * without weight or name, a retry budget outside its bounds (ratio 0 to 1000, ttl 1 s to 60 s), an endpoint that
 * cannot be used.
 */
int profile_decode(struct slice message, struct errmsg *msg, struct profile **ret_profile);
int profile_encode(const struct profile *profile, struct errmsg *msg, struct buffer *out);
