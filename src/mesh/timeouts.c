#include "mesh/timeouts.h"

#include "base/duration.h"

/* Takes all fields of the name out. True and the first one's time if that can be read. */
static bool take(struct http_head *head, struct slice name, int64_t *ret_ns)
{
    const struct http_field *field = http_find_name(head, name);
    struct slice value = field ? field->value : SLICE_NULL;
    uint16_t kept = 0;
    int64_t ns;

    if (!field)
        return false;
    for (uint16_t i = 0; i < head->count; i++)
        if (!slice_eq_nocase(head->fields[i].name, name))
            head->fields[kept++] = head->fields[i];
    head->count = kept;
    if (duration_parse(slice_trim(value), &ns) < 0)
        return false;
    *ret_ns = ns > 0 ? ns : 1; /* 0 means none in our structs, and "at once" in the request */
    return true;
}

struct route_timeouts timeouts_for_request(const struct outbound_rule *rule, struct http_head *head)
{
    struct route_timeouts timeouts = rule->timeouts;

    if (!rule->allow_l5d_headers)
        return timeouts;
    take(head, SLICE_LIT("l5d-timeout"), &timeouts.request_ns);
    take(head, SLICE_LIT("l5d-request-timeout"), &timeouts.request_ns);
    take(head, SLICE_LIT("l5d-response-timeout"), &timeouts.response_ns);
    return timeouts;
}
