#include "base/limits.h"
#include "base/mutation.h"
#include "codec/authority.h"
#include "codec/http1/http1_head.h"
#include "codec/http1/http1_syntax.h"

/* What was met among the fields so far. */
struct facts {
    bool host, length, coding;              /* there is one */
    bool close, keep_alive, upgrade_option; /* Connection */
    bool upgrade, h2c;                      /* Upgrade, and whether it offers h2c */
    bool expect_continue, te_trailers;
    unsigned options; /* of Connection */
    uint64_t length_value;
};

static int read_host(struct http1_scan *scan, struct http_head *head, struct http_field *field, struct facts *facts)
{
    struct authority authority;

    if (facts->host && !mutation("two-hosts-accepted"))
        return http1_refuse(scan, 400, "more than one Host");
    facts->host = true;
    if (field->value.len && authority_parse(field->value, &authority) < 0)
        return http1_refuse(scan, 400, "bad Host");
    if (head->authority.len)
        field->value = head->authority;
    else
        head->authority = field->value;
    return 0;
}

static int read_length(struct http1_scan *scan, const struct http_field *field, struct facts *facts)
{
    if (facts->length && !mutation("two-lengths-accepted"))
        return http1_refuse(scan, 400, "more than one Content-Length");
    facts->length = true;
    if (slice_u64(field->value, INT64_MAX, &facts->length_value) < 0)
        return http1_refuse(scan, 400, "bad Content-Length");
    return 0;
}

/* A coding that exists (RFC 9112 section 7.2) is another thing than one made up to confuse. */
static bool known_coding(struct slice value)
{
    static const struct slice names[] = {
        {"gzip", 4}, {"deflate", 7}, {"compress", 8}, {"x-gzip", 6}, {"x-compress", 10}};
    struct slice first = SLICE_NULL;

    if (!http1_list_next(&value, &first))
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_eq_nocase(first, names[i]))
            return true;
    return false;
}

static int read_coding(struct http1_scan *scan, const struct http_head *head, const struct http_field *field,
                       struct facts *facts)
{
    if (facts->coding)
        return http1_refuse(scan, 400, "more than one Transfer-Encoding");
    facts->coding = true;
    if (head->version == HTTP_1_0)
        return http1_refuse(scan, 400, "Transfer-Encoding in HTTP/1.0");
    if (slice_eq_nocase(field->value, SLICE_LIT("chunked")))
        return 0;
    if (known_coding(field->value))
        return http1_refuse(scan, 501, "unsupported transfer coding");
    return http1_refuse(scan, 400, "bad Transfer-Encoding");
}

static int read_connection(struct http1_scan *scan, const struct http_field *field, struct facts *facts)
{
    struct slice rest = field->value, option;

    while (http1_list_next(&rest, &option)) {
        if (++facts->options > LIMIT_HTTP_CONNECTION_OPTIONS)
            return http1_refuse(scan, 400, "too many connection options");
        if (slice_eq_nocase(option, SLICE_LIT("close")))
            facts->close = true;
        else if (slice_eq_nocase(option, SLICE_LIT("keep-alive")))
            facts->keep_alive = true;
        else if (slice_eq_nocase(option, SLICE_LIT("upgrade")))
            facts->upgrade_option = true;
    }
    return 0;
}

static int read_special(struct http1_scan *scan, struct http_head *head, struct http_field *field, struct facts *facts)
{
    switch (field->token) {
    case HTTP_TOKEN_CONTENT_LENGTH:
        return read_length(scan, field, facts);
    case HTTP_TOKEN_TRANSFER_ENCODING:
        return read_coding(scan, head, field, facts);
    case HTTP_TOKEN_CONNECTION:
        return read_connection(scan, field, facts);
    case HTTP_TOKEN_UPGRADE:
        facts->upgrade |= field->value.len > 0;
        facts->h2c |= http1_list_has(field->value, SLICE_LIT("h2c"));
        return 0;
    case HTTP_TOKEN_EXPECT:
        facts->expect_continue |= slice_eq_nocase(field->value, SLICE_LIT("100-continue"));
        return 0;
    case HTTP_TOKEN_TE:
        facts->te_trailers |= http1_list_has(field->value, SLICE_LIT("trailers"));
        return 0;
    default:
        return 0;
    }
}

static int read_facts(struct http1_scan *scan, struct http_head *head, bool request, struct facts *ret_facts)
{
    *ret_facts = (struct facts){0};
    for (unsigned i = 0; i < head->count; i++) {
        struct http_field *field = &head->fields[i];
        int r = 0;

        if (field->token == HTTP_TOKEN_HOST && request)
            r = read_host(scan, head, field, ret_facts);
        else if (field->token != HTTP_TOKEN_OTHER)
            r = read_special(scan, head, field, ret_facts);
        if (r < 0)
            return r;
    }
    if (ret_facts->length && ret_facts->coding && !mutation("length-with-coding-accepted"))
        return http1_refuse(scan, 400, "Content-Length with Transfer-Encoding");
    return 0;
}

static bool stays_open(const struct http_head *head, const struct facts *facts)
{
    return !facts->close && (head->version == HTTP_1_1 || facts->keep_alive);
}

int http1_frame_request(struct http1_scan *scan, struct http_head *head, struct http1_framing *ret_framing)
{
    bool connect = slice_eq(head->method, SLICE_LIT("CONNECT")), recent = head->version == HTTP_1_1;
    struct facts facts;
    int r = read_facts(scan, head, true, &facts);

    if (r < 0)
        return r;
    if (connect && (facts.coding || facts.length_value))
        return http1_refuse(scan, 400, "CONNECT with a body"); /* RFC 9110 section 9.3.6: it has none */
    ret_framing->keep_alive = stays_open(head, &facts);
    ret_framing->close = facts.close;
    /* RFC 9110 section 7.8: an HTTP/1.0 client cannot ask for it. */
    ret_framing->upgrade = recent && !connect && facts.upgrade_option && facts.upgrade && !facts.h2c;
    ret_framing->expect_continue = recent && facts.expect_continue;
    ret_framing->te_trailers = facts.te_trailers;
    ret_framing->no_host = head->authority.len == 0;
    ret_framing->length = facts.length_value;
    ret_framing->body = connect        ? HTTP1_BODY_TUNNEL
                        : facts.coding ? HTTP1_BODY_CHUNKED
                        : facts.length ? HTTP1_BODY_LENGTH
                                       : HTTP1_BODY_NONE;
    return 0;
}

/* RFC 9112 section 6.3, in its order. */
static enum http1_body response_body(unsigned status, unsigned asked, const struct facts *facts)
{
    if (status == 101 || ((asked & HTTP1_ASKED_CONNECT) && status / 100 == 2))
        return HTTP1_BODY_TUNNEL;
    if ((asked & HTTP1_ASKED_HEAD) || status / 100 == 1 || status == 204 || status == 304)
        return HTTP1_BODY_NONE;
    if (facts->coding)
        return HTTP1_BODY_CHUNKED;
    return facts->length ? HTTP1_BODY_LENGTH : HTTP1_BODY_UNTIL_CLOSE;
}

int http1_frame_response(struct http1_scan *scan, struct http_head *head, unsigned asked,
                         struct http1_framing *ret_framing)
{
    struct facts facts;
    enum http1_body body;
    int r = read_facts(scan, head, false, &facts);

    if (r < 0)
        return r;
    if (head->status == 101 && !(asked & HTTP1_ASKED_UPGRADE))
        return http1_refuse(scan, 502, "101 that nobody asked for");
    body = response_body(head->status, asked, &facts);
    if (body == HTTP1_BODY_TUNNEL || head->status / 100 == 1 || head->status == 204)
        http_remove(head, HTTP_TOKEN_CONTENT_LENGTH);
    ret_framing->body = (uint8_t)body;
    ret_framing->length = body == HTTP1_BODY_LENGTH ? facts.length_value : 0;
    ret_framing->close = facts.close;
    ret_framing->keep_alive = stays_open(head, &facts) && body != HTTP1_BODY_UNTIL_CLOSE && body != HTTP1_BODY_TUNNEL;
    ret_framing->interim = head->status / 100 == 1 && head->status != 101;
    ret_framing->upgrade = facts.upgrade && (head->status == 101 || head->status == 426);
    return 0;
}
