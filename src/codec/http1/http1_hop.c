#include "base/limits.h"
#include "base/mutation.h"
#include "codec/http1/http1_head.h"
#include "codec/http1/http1_syntax.h"

/*
 * Fields that speak to the far end and have no token of their own. Connection
 * cannot take them away from it: dropping Authorization or X-Forwarded-For on
 * the sender's word would change what the application decides.
 */
static const struct slice end_to_end[] = {
#define NAME(text)                                                                                                     \
    {                                                                                                                  \
        (text), sizeof(text) - 1                                                                                       \
    }
    NAME("authorization"),
    NAME("cache-control"),
    NAME("content-encoding"),
    NAME("content-range"),
    NAME("range"),
    NAME("set-cookie"),
    NAME("via"),
    NAME("x-forwarded-for"),
    NAME("x-forwarded-host"),
    NAME("x-forwarded-proto"),
    NAME("www-authenticate"),
};

/* Of those, and besides the tokens below: no place in a trailer section (RFC 9110 section 6.5.1). */
static const struct slice not_in_trailers[] = {
    NAME("authorization"), NAME("cache-control"), NAME("content-encoding"),   NAME("content-range"),
    NAME("range"),         NAME("set-cookie"),    NAME("www-authenticate"),   NAME("x-forwarded-for"),
    NAME("max-forwards"),  NAME("if-match"),      NAME("if-none-match"),      NAME("proxy-authorization"),
    NAME("pragma"),        NAME("age"),           NAME("proxy-authenticate"), NAME("x-forwarded-proto"),
    NAME("expires"),       NAME("vary"),          NAME("x-forwarded-host"),
#undef NAME
};

static bool among(struct slice name, const struct slice *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq_nocase(name, names[i]))
            return true;
    return false;
}

bool http1_trailer_forbidden(const struct http_field *field)
{
    if (mutation("trailers-all-passed-on"))
        return false;
    switch (field->token) {
    case HTTP_TOKEN_OTHER:
        return among(field->name, not_in_trailers, sizeof(not_in_trailers) / sizeof(not_in_trailers[0]));
    case HTTP_TOKEN_GRPC_STATUS:
    case HTTP_TOKEN_GRPC_MESSAGE:
    case HTTP_TOKEN_GRPC_RETRY_PUSHBACK_MS:
    case HTTP_TOKEN_USER_AGENT:
        return false;
    default: /* framing, routing, l5d-* */
        return true;
    }
}

/* Takes out the fields with this name, unless they are end-to-end. */
static void strip_nominated(struct http_head *head, struct slice name)
{
    unsigned kept = 0;

    if (http_token_of(name) != HTTP_TOKEN_OTHER || among(name, end_to_end, sizeof(end_to_end) / sizeof(end_to_end[0])))
        return;
    for (unsigned i = 0; i < head->count; i++)
        if (!slice_eq_nocase(head->fields[i].name, name))
            head->fields[kept++] = head->fields[i];
    head->count = (uint16_t)kept;
}

/* The nominated names point into field values, which outlive the fields' removal. */
static void strip_all_nominated(struct http_head *head)
{
    struct slice options[LIMIT_HTTP_CONNECTION_OPTIONS], rest;
    unsigned count = 0;

    for (unsigned i = 0; i < head->count; i++) {
        if (head->fields[i].token != HTTP_TOKEN_CONNECTION)
            continue;
        rest = head->fields[i].value;
        while (count < LIMIT_HTTP_CONNECTION_OPTIONS && http1_list_next(&rest, &options[count]))
            count++;
    }
    for (unsigned i = 0; i < count; i++)
        strip_nominated(head, options[i]);
}

void http1_strip_hop(struct http_head *head, bool keep_upgrade)
{
    bool te_done = false;
    unsigned kept = 0;

    strip_all_nominated(head);
    for (unsigned i = 0; i < head->count; i++) {
        struct http_field *field = &head->fields[i];

        if (field->token == HTTP_TOKEN_TE && !te_done && http1_list_has(field->value, SLICE_LIT("trailers"))) {
            field->value = SLICE_LIT("trailers");
            te_done = true;
        } else if (http_token_is_hop((enum http_token)field->token) &&
                   !(field->token == HTTP_TOKEN_UPGRADE && keep_upgrade)) {
            continue;
        }
        head->fields[kept++] = *field;
    }
    head->count = (uint16_t)kept;
}
