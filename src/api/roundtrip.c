#include "api/roundtrip.h"

#include <assert.h>
#include <errno.h>

#include "api/destination.h"
#include "api/identity.h"
#include "api/inbound.h"
#include "api/outbound.h"
#include "base/arena.h"
#include "base/limits.h"

/* Messages that are snapshots. */
#define SNAPSHOT_TRIP(type)                                                                                 \
    static int trip_##type(struct slice bytes, struct errmsg *msg, struct buffer *out)                      \
    {                                                                                                       \
        struct type *object;                                                                                \
        int r = type##_decode(bytes, msg, &object);                                                         \
                                                                                                            \
        if (r < 0)                                                                                          \
            return r;                                                                                       \
        r = IS_INVALID_##type(object) ? 1 : type##_encode(object, msg, out);                                \
        type##_unref(object);                                                                               \
        return r;                                                                                           \
    }

#define IS_INVALID_endpoint_update(object) false
#define IS_INVALID_profile(object) false
#define IS_INVALID_inbound_policy(object) ((object)->invalid)
#define IS_INVALID_outbound_policy(object) ((object)->invalid)

SNAPSHOT_TRIP(endpoint_update)
SNAPSHOT_TRIP(profile)
SNAPSHOT_TRIP(inbound_policy)
SNAPSHOT_TRIP(outbound_policy)

/* Messages whose text is in an arena of the caller's. `by` is & or nothing: how the encoder takes the struct. */
#define ARENA_TRIP(name, type, by)                                                                          \
    static int trip_##name(struct slice bytes, struct errmsg *msg, struct buffer *out)                      \
    {                                                                                                       \
        struct arena arena;                                                                                 \
        type object;                                                                                        \
        int r;                                                                                              \
                                                                                                            \
        arena_init(&arena, LIMIT_SNAPSHOT);                                                                 \
        r = name##_decode(bytes, &arena, msg, &object);                                                     \
        if (r == 0)                                                                                         \
            r = name##_encode(by object, msg, out);                                                         \
        arena_release(&arena);                                                                              \
        return r;                                                                                           \
    }

ARENA_TRIP(get_destination, struct get_destination, &)
ARENA_TRIP(port_spec, struct port_spec, &)
ARENA_TRIP(traffic_spec, struct traffic_spec, &)
ARENA_TRIP(certify_request, struct certify_request, &)
ARENA_TRIP(certify_response, struct certify_response, &)
ARENA_TRIP(watch_bundle, struct slice, )
ARENA_TRIP(bundle, struct slice, )

static const struct roundtrip roundtrips[] = {
    {"GetDestination", trip_get_destination},
    {"Update", trip_endpoint_update},
    {"DestinationProfile", trip_profile},
    {"PortSpec", trip_port_spec},
    {"Server", trip_inbound_policy},
    {"TrafficSpec", trip_traffic_spec},
    {"OutboundPolicy", trip_outbound_policy},
    {"CertifyRequest", trip_certify_request},
    {"CertifyResponse", trip_certify_response},
    {"WatchBundle", trip_watch_bundle},
    {"Bundle", trip_bundle},
};

const struct roundtrip *roundtrip_find(const char *message)
{
    for (size_t i = 0; i < sizeof(roundtrips) / sizeof(roundtrips[0]); i++)
        if (strcmp(roundtrips[i].message, message) == 0)
            return &roundtrips[i];
    return NULL;
}

int roundtrip_check(const char *message, struct slice bytes)
{
    const struct roundtrip *trip = roundtrip_find(message);
    struct errmsg msg = {0};
    struct buffer first, second;
    int r;

    assert(trip);
    buffer_init(&first, LIMIT_SNAPSHOT);
    buffer_init(&second, LIMIT_SNAPSHOT);
    r = trip->run(bytes, &msg, &first);
    if (r < 0)
        assert(r == -ENOMEM || msg.text[0]);
    if (r == 0 && first.len <= LIMIT_GRPC_MESSAGE) { /* written out, a small message may become larger than may be read */
        int again = trip->run(buffer_slice(&first), &msg, &second);

        assert(again == 0 || again == -ENOMEM);
        assert(again != 0 || slice_eq(buffer_slice(&first), buffer_slice(&second)));
    }
    buffer_release(&first);
    buffer_release(&second);
    return r;
}
