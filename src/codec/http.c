#include "codec/http.h"

#include <errno.h>

static const struct {
    struct slice name;
    bool hop;
} tokens[HTTP_TOKEN_COUNT] = {
#define NAME(text) {{(text), sizeof(text) - 1}, false}
#define HOP(text) {{(text), sizeof(text) - 1}, true}
    [HTTP_TOKEN_CONNECTION] = HOP("connection"),
    [HTTP_TOKEN_KEEP_ALIVE] = HOP("keep-alive"),
    [HTTP_TOKEN_PROXY_CONNECTION] = HOP("proxy-connection"),
    [HTTP_TOKEN_TE] = HOP("te"),
    [HTTP_TOKEN_TRAILER] = NAME("trailer"),
    [HTTP_TOKEN_TRANSFER_ENCODING] = HOP("transfer-encoding"),
    [HTTP_TOKEN_UPGRADE] = HOP("upgrade"),
    [HTTP_TOKEN_HTTP2_SETTINGS] = HOP("http2-settings"),
    [HTTP_TOKEN_HOST] = NAME("host"),
    [HTTP_TOKEN_CONTENT_LENGTH] = NAME("content-length"),
    [HTTP_TOKEN_CONTENT_TYPE] = NAME("content-type"),
    [HTTP_TOKEN_EXPECT] = NAME("expect"),
    [HTTP_TOKEN_COOKIE] = NAME("cookie"),
    [HTTP_TOKEN_DATE] = NAME("date"),
    [HTTP_TOKEN_LOCATION] = NAME("location"),
    [HTTP_TOKEN_RETRY_AFTER] = NAME("retry-after"),
    [HTTP_TOKEN_USER_AGENT] = NAME("user-agent"),
    [HTTP_TOKEN_FORWARDED] = NAME("forwarded"),
    [HTTP_TOKEN_GRPC_STATUS] = NAME("grpc-status"),
    [HTTP_TOKEN_GRPC_MESSAGE] = NAME("grpc-message"),
    [HTTP_TOKEN_GRPC_TIMEOUT] = NAME("grpc-timeout"),
    [HTTP_TOKEN_GRPC_RETRY_PUSHBACK_MS] = NAME("grpc-retry-pushback-ms"),
    [HTTP_TOKEN_L5D_CLIENT_ID] = NAME("l5d-client-id"),
    [HTTP_TOKEN_L5D_DST_CANONICAL] = NAME("l5d-dst-canonical"),
    [HTTP_TOKEN_L5D_DST_OVERRIDE] = NAME("l5d-dst-override"),
    [HTTP_TOKEN_L5D_ORIG_PROTO] = NAME("l5d-orig-proto"),
    [HTTP_TOKEN_L5D_PROXY_CONNECTION] = NAME("l5d-proxy-connection"),
    [HTTP_TOKEN_L5D_PROXY_ERROR] = NAME("l5d-proxy-error"),
    [HTTP_TOKEN_L5D_REASON] = NAME("l5d-reason"),
    [HTTP_TOKEN_L5D_REMOTE_IP] = NAME("l5d-remote-ip"),
    [HTTP_TOKEN_L5D_REQUIRE_ID] = NAME("l5d-require-id"),
    [HTTP_TOKEN_L5D_SERVER_ID] = NAME("l5d-server-id"),
#undef NAME
#undef HOP
};

/* Tokens whose names begin with this letter and have this length stand in one short list. */
static enum http_token match(struct slice name, const uint8_t *candidates)
{
    for (; *candidates; candidates++)
        if (slice_eq_nocase(name, tokens[*candidates].name))
            return (enum http_token) * candidates;
    return HTTP_TOKEN_OTHER;
}

static enum http_token match_length(struct slice name)
{
#define LIST(...) match(name, (const uint8_t[]){__VA_ARGS__, 0})
    switch (name.len) {
    case 2:
        return LIST(HTTP_TOKEN_TE);
    case 4:
        return LIST(HTTP_TOKEN_HOST, HTTP_TOKEN_DATE);
    case 6:
        return LIST(HTTP_TOKEN_EXPECT, HTTP_TOKEN_COOKIE);
    case 7:
        return LIST(HTTP_TOKEN_TRAILER, HTTP_TOKEN_UPGRADE);
    case 8:
        return LIST(HTTP_TOKEN_LOCATION);
    case 9:
        return LIST(HTTP_TOKEN_FORWARDED);
    case 10:
        return LIST(HTTP_TOKEN_CONNECTION, HTTP_TOKEN_KEEP_ALIVE, HTTP_TOKEN_USER_AGENT, HTTP_TOKEN_L5D_REASON);
    case 11:
        return LIST(HTTP_TOKEN_GRPC_STATUS, HTTP_TOKEN_RETRY_AFTER);
    case 12:
        return LIST(HTTP_TOKEN_CONTENT_TYPE, HTTP_TOKEN_GRPC_MESSAGE, HTTP_TOKEN_GRPC_TIMEOUT);
    case 13:
        return LIST(HTTP_TOKEN_L5D_CLIENT_ID, HTTP_TOKEN_L5D_REMOTE_IP, HTTP_TOKEN_L5D_SERVER_ID);
    case 14:
        return LIST(HTTP_TOKEN_CONTENT_LENGTH, HTTP_TOKEN_HTTP2_SETTINGS, HTTP_TOKEN_L5D_ORIG_PROTO,
                    HTTP_TOKEN_L5D_REQUIRE_ID);
    case 15:
        return LIST(HTTP_TOKEN_L5D_PROXY_ERROR);
    case 16:
        return LIST(HTTP_TOKEN_PROXY_CONNECTION, HTTP_TOKEN_L5D_DST_OVERRIDE);
    case 17:
        return LIST(HTTP_TOKEN_TRANSFER_ENCODING, HTTP_TOKEN_L5D_DST_CANONICAL);
    case 20:
        return LIST(HTTP_TOKEN_L5D_PROXY_CONNECTION);
    case 22:
        return LIST(HTTP_TOKEN_GRPC_RETRY_PUSHBACK_MS);
    default:
        return HTTP_TOKEN_OTHER;
    }
#undef LIST
}

enum http_token http_token_of(struct slice name)
{
    enum http_token token = match_length(name);

    if (token == HTTP_TOKEN_OTHER && slice_eq_nocase(slice_take(name, 10), SLICE_LIT("l5d-proxy-")))
        return HTTP_TOKEN_L5D_PROXY_OTHER;
    return token;
}

struct slice http_token_name(enum http_token token)
{
    return tokens[token].name;
}

bool http_token_is_hop(enum http_token token)
{
    return tokens[token].hop;
}

const struct http_field *http_find(const struct http_head *head, enum http_token token)
{
    for (unsigned i = 0; i < head->count; i++)
        if (head->fields[i].token == token)
            return &head->fields[i];
    return NULL;
}

const struct http_field *http_find_name(const struct http_head *head, struct slice name)
{
    for (unsigned i = 0; i < head->count; i++)
        if (slice_eq_nocase(head->fields[i].name, name))
            return &head->fields[i];
    return NULL;
}

unsigned http_remove(struct http_head *head, enum http_token token)
{
    unsigned kept = 0, had = head->count;

    for (unsigned i = 0; i < had; i++)
        if (head->fields[i].token != token)
            head->fields[kept++] = head->fields[i];
    head->count = (uint16_t)kept;
    return had - kept;
}

int http_append(struct http_head *head, enum http_token token, struct slice name, struct slice value)
{
    if (head->count >= head->room)
        return -ENOBUFS;
    head->fields[head->count++] = (struct http_field){name, value, (uint8_t)token, 0};
    return 0;
}

bool http_is_grpc(const struct http_head *head)
{
    const struct http_field *type = http_find(head, HTTP_TOKEN_CONTENT_TYPE);
    struct slice prefix = SLICE_LIT("application/grpc");

    if (!type || !slice_eq_nocase(slice_take(type->value, prefix.len), prefix))
        return false;
    return type->value.len == prefix.len || type->value.ptr[prefix.len] == '+' || type->value.ptr[prefix.len] == ';';
}
