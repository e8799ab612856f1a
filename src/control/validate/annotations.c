/* Annotations of what is reached outbound: retries, time limits, circuit breaking. */
#include "control/validate/checks.h"

#include "base/duration.h"

/* What is wrong with a value, as what is expected instead; NULL: nothing. */
typedef const char *annotation_check(struct slice value);

static const char *check_duration(struct slice value)
{
    int64_t ns;

    return duration_parse(value, &ns) == 0 ? NULL : "a whole number with a unit, e.g. \"300ms\", \"10s\" or \"1m\"";
}

static const char *check_limit(struct slice value)
{
    uint64_t number;

    return slice_u64(value, UINT16_MAX, &number) == 0 ? NULL : "a whole number from 0 to 65535";
}

static bool is_status(struct slice text)
{
    uint64_t number;

    return text.len == 3 && slice_u64(text, 599, &number) == 0 && number >= 100;
}

static bool is_status_range(struct slice text)
{
    size_t dash = slice_find(text, '-');
    struct slice first = slice_take(text, dash), last = slice_skip(text, dash + 1);

    return dash < text.len && is_status(first) && is_status(last) && slice_cmp(first, last) <= 0;
}

static const char *check_http_statuses(struct slice value)
{
    struct slice rest = value, one;

    while (slice_split(&rest, ',', &one))
        if (!slice_eq_nocase(one, SLICE_LIT("5xx")) && !slice_eq_nocase(one, SLICE_LIT("gateway-error")) && !is_status(one) &&
            !is_status_range(one))
            return "5xx, gateway-error, statuses (503) and ranges of them (500-504), with a comma and no space between";
    return value.len ? NULL : "5xx, gateway-error, statuses or ranges of them";
}

static const char *check_grpc_codes(struct slice value)
{
    static const char *const codes[] = {"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"};
    struct slice rest = value, one;
    const char *expected = "cancelled, deadline-exceeded, internal, resource-exhausted or unavailable, with a comma and no space between";

    while (slice_split(&rest, ',', &one)) {
        bool known = false;

        for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
            known |= slice_eq_nocase(one, slice_str(codes[i]));
        if (!known)
            return expected;
    }
    return value.len ? NULL : expected;
}

enum { HTTP = 1 << ANNOTATIONS_OF_HTTP_ROUTE, GRPC = 1 << ANNOTATIONS_OF_GRPC_ROUTE, EGRESS = 1 << ANNOTATIONS_OF_EGRESS_NETWORK };

static const struct {
    const char *name;
    unsigned places; /* where it counts */
    annotation_check *check;
} annotations[] = {
    {"retry.linkerd.io/http", HTTP | EGRESS, check_http_statuses},
    {"retry.linkerd.io/grpc", GRPC | EGRESS, check_grpc_codes},
    {"retry.linkerd.io/limit", HTTP | GRPC | EGRESS, check_limit},
    {"retry.linkerd.io/timeout", HTTP | GRPC | EGRESS, check_duration},
    {"timeout.linkerd.io/request", HTTP | GRPC | EGRESS, check_duration},
    {"timeout.linkerd.io/response", HTTP | GRPC | EGRESS, check_duration},
    {"timeout.linkerd.io/idle", HTTP | GRPC | EGRESS, check_duration},
};

static bool is_of_a_family(struct slice key)
{
    return slice_starts(key, SLICE_LIT("retry.linkerd.io/")) || slice_starts(key, SLICE_LIT("timeout.linkerd.io/"));
}

static void check_pair(struct checking *checking, const struct path *path, const struct kube_pair *pair, enum annotation_place place,
                       bool fatal)
{
    for (size_t i = 0; i < sizeof(annotations) / sizeof(annotations[0]); i++) {
        const char *expected;

        if (!slice_eq(pair->key, slice_str(annotations[i].name)))
            continue;
        expected = annotations[i].check(pair->value);
        if (!(annotations[i].places & 1u << place))
            warn(checking, path, NULL, "it has no effect on an object of this kind");
        else if (expected)
            decoder_complain(&checking->decoder, fatal ? REPORT_ERROR : REPORT_WARNING, path, NULL, 0, 0, "is \"%.*s\": expected %s%s",
                             SHORT(pair->value), expected, fatal ? "" : "; it is ignored");
        return;
    }
    if (is_of_a_family(pair->key))
        warn(checking, path, NULL, "no such annotation; it is ignored");
    else if (place != ANNOTATIONS_OF_EGRESS_NETWORK && slice_starts(pair->key, SLICE_LIT("balancer.linkerd.io/")))
        warn(checking, path, NULL, "it has no effect on a route; write it on the Service or EgressNetwork");
}

void check_annotations(struct checking *checking, enum annotation_place place, bool fatal)
{
    struct path metadata = {NULL, {"metadata", 8}, 0}, list = PATH_OF(&metadata, "annotations");
    const struct kube_map *map = &checking->object->annotations;

    for (size_t i = 0; i < map->count; i++) {
        struct path at = {&list, map->items[i].key, 0};

        check_pair(checking, &at, &map->items[i], place, fatal);
    }
}
