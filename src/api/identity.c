#include "api/identity.h"

#include "api/convert.h"
#include "api/wire.h"
#include "base/duration.h"
#include "base/limits.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "identity.pb-c.h"
#include "trust_bundle.pb-c.h"

/* --- decoding --- */

static int take_request(struct decoder *d, const Identity__CertifyRequest *from, struct certify_request *ret)
{
    int r = take_text(d, from->identity, &ret->identity);

    if (r == 0)
        r = take_bytes(d, from->token, &ret->token);
    return r < 0 ? r : take_bytes(d, from->certificate_signing_request, &ret->csr);
}

int certify_request_decode(struct slice message, struct arena *arena, struct errmsg *msg,
                           struct certify_request *ret_request)
{
    struct errmsg unread = {0};
    struct decoder d = {arena, msg ? msg : &unread};
    struct certify_request request = {0};
    Identity__CertifyRequest *wire;
    struct arena scratch;
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&identity__certify_request__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0)
        r = take_request(&d, wire, &request);
    arena_release(&scratch);
    if (r == 0)
        *ret_request = request;
    return r;
}

static int take_timestamp(struct decoder *d, const Google__Protobuf__Timestamp *from, int64_t *ret_wall_ns)
{
    if (!from || from->seconds <= 0 || from->nanos < 0 || from->nanos >= NS_PER_S)
        return errmsg_set(d->msg, -EBADMSG, "valid_until: missing or no time after 1970");
    /* The year 2262 and all that is later are the same to us. */
    *ret_wall_ns =
        from->seconds >= INT64_MAX / NS_PER_S ? INT64_MAX : from->seconds * NS_PER_S + from->nanos;
    return 0;
}

static int take_response(struct decoder *d, const Identity__CertifyResponse *from, struct certify_response *ret)
{
    int r;

    if (from->leaf_certificate.len == 0)
        return errmsg_set(d->msg, -EBADMSG, "leaf_certificate: missing");
    r = take_bytes(d, from->leaf_certificate, &ret->leaf);
    if (r == 0)
        r = TAKE_LIST(d, "intermediate_certificates", take_bytes, from->intermediate_certificates,
                      from->n_intermediate_certificates, ret->intermediates, ret->intermediate_count);
    return r < 0 ? r : take_timestamp(d, from->valid_until, &ret->valid_until_wall_ns);
}

int certify_response_decode(struct slice message, struct arena *arena, struct errmsg *msg,
                            struct certify_response *ret_response)
{
    struct errmsg unread = {0};
    struct decoder d = {arena, msg ? msg : &unread};
    struct certify_response response = {0};
    Identity__CertifyResponse *wire;
    struct arena scratch;
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&identity__certify_response__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0)
        r = take_response(&d, wire, &response);
    arena_release(&scratch);
    if (r == 0)
        *ret_response = response;
    return r;
}

int watch_bundle_decode(struct slice message, struct arena *arena, struct errmsg *msg, struct slice *ret_trust_domain)
{
    struct errmsg unread = {0};
    struct decoder d = {arena, msg ? msg : &unread};
    struct slice trust_domain = SLICE_NULL;
    Trust__WatchBundle *wire;
    struct arena scratch;
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&trust__watch_bundle__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0)
        r = take_text(&d, wire->trust_domain, &trust_domain);
    arena_release(&scratch);
    if (r == 0)
        *ret_trust_domain = trust_domain;
    return r;
}

int bundle_decode(struct slice message, struct arena *arena, struct errmsg *msg, struct slice *ret_anchors_pem)
{
    struct errmsg unread = {0};
    struct decoder d = {arena, msg ? msg : &unread};
    struct slice pem = SLICE_NULL;
    Trust__Bundle *wire;
    struct arena scratch;
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&trust__bundle__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0 && wire->anchors_pem.len == 0)
        r = errmsg_set(d.msg, -EBADMSG, "anchors_pem: missing");
    if (r == 0)
        r = take_bytes(&d, wire->anchors_pem, &pem);
    arena_release(&scratch);
    if (r == 0)
        *ret_anchors_pem = pem;
    return r;
}

/* --- encoding --- */

int certify_request_encode(const struct certify_request *request, struct errmsg *msg, struct buffer *out)
{
    Identity__CertifyRequest wire = IDENTITY__CERTIFY_REQUEST__INIT;
    struct arena scratch;
    struct encoder e = {&scratch, msg, 0};
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    wire.identity = give_text(&e, request->identity);
    wire.token = give_bytes(request->token);
    wire.certificate_signing_request = give_bytes(request->csr);
    r = give_end(&e, &wire.base, out);
    arena_release(&scratch);
    return r;
}

int certify_response_encode(const struct certify_response *response, struct errmsg *msg, struct buffer *out)
{
    Identity__CertifyResponse wire = IDENTITY__CERTIFY_RESPONSE__INIT;
    Google__Protobuf__Timestamp until = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    struct arena scratch;
    struct encoder e = {&scratch, msg, 0};
    size_t n = response->intermediate_count;
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    until.seconds = response->valid_until_wall_ns / NS_PER_S;
    until.nanos = (int32_t)(response->valid_until_wall_ns % NS_PER_S);
    wire.leaf_certificate = give_bytes(response->leaf);
    wire.valid_until = &until;
    wire.intermediate_certificates = n ? give_memory(&e, n, sizeof(*wire.intermediate_certificates)) : NULL;
    wire.n_intermediate_certificates = wire.intermediate_certificates ? n : 0;
    for (size_t i = 0; i < wire.n_intermediate_certificates; i++)
        wire.intermediate_certificates[i] = give_bytes(response->intermediates[i]);
    r = give_end(&e, &wire.base, out);
    arena_release(&scratch);
    return r;
}

int watch_bundle_encode(struct slice trust_domain, struct errmsg *msg, struct buffer *out)
{
    Trust__WatchBundle wire = TRUST__WATCH_BUNDLE__INIT;
    struct arena scratch;
    struct encoder e = {&scratch, msg, 0};
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    wire.trust_domain = give_text(&e, trust_domain);
    r = give_end(&e, &wire.base, out);
    arena_release(&scratch);
    return r;
}

int bundle_encode(struct slice anchors_pem, struct errmsg *msg, struct buffer *out)
{
    Trust__Bundle wire = TRUST__BUNDLE__INIT;
    struct encoder e = {NULL, msg, 0};

    wire.anchors_pem = give_bytes(anchors_pem);
    return give_end(&e, &wire.base, out);
}
