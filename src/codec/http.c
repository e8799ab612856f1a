#include "codec/http.h"

#include <errno.h>

static const struct {
    struct slice name;
    bool hop;
} tokens[HTTP_TOKEN_COUNT] = {
#define NAME(text)                                                                                                     \
    {                                                                                                                  \
        {(text), sizeof(text) - 1}, false                                                                              \
    }
#define HOP(text)                                                                                                      \
    {                                                                                                                  \
        {(text), sizeof(text) - 1}, true                                                                               \
    }
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

/* The tokens whose names have this length. */
static const uint8_t by_length[][5] = {
    [2] = {HTTP_TOKEN_TE},
    [4] = {HTTP_TOKEN_HOST, HTTP_TOKEN_DATE},
    [6] = {HTTP_TOKEN_EXPECT, HTTP_TOKEN_COOKIE},
    [7] = {HTTP_TOKEN_TRAILER, HTTP_TOKEN_UPGRADE},
    [8] = {HTTP_TOKEN_LOCATION},
    [9] = {HTTP_TOKEN_FORWARDED},
    [10] = {HTTP_TOKEN_CONNECTION, HTTP_TOKEN_KEEP_ALIVE, HTTP_TOKEN_USER_AGENT, HTTP_TOKEN_L5D_REASON},
    [11] = {HTTP_TOKEN_GRPC_STATUS, HTTP_TOKEN_RETRY_AFTER},
    [12] = {HTTP_TOKEN_CONTENT_TYPE, HTTP_TOKEN_GRPC_MESSAGE, HTTP_TOKEN_GRPC_TIMEOUT},
    [13] = {HTTP_TOKEN_L5D_CLIENT_ID, HTTP_TOKEN_L5D_REMOTE_IP, HTTP_TOKEN_L5D_SERVER_ID},
    [14] = {HTTP_TOKEN_CONTENT_LENGTH, HTTP_TOKEN_HTTP2_SETTINGS, HTTP_TOKEN_L5D_ORIG_PROTO, HTTP_TOKEN_L5D_REQUIRE_ID},
    [15] = {HTTP_TOKEN_L5D_PROXY_ERROR},
    [16] = {HTTP_TOKEN_PROXY_CONNECTION, HTTP_TOKEN_L5D_DST_OVERRIDE},
    [17] = {HTTP_TOKEN_TRANSFER_ENCODING, HTTP_TOKEN_L5D_DST_CANONICAL},
    [20] = {HTTP_TOKEN_L5D_PROXY_CONNECTION},
    [22] = {HTTP_TOKEN_GRPC_RETRY_PUSHBACK_MS},
};

enum http_token http_token_of(struct slice name)
{
    char first, last;

    if (name.len == 0)
        return HTTP_TOKEN_OTHER;
    first = (char)(name.ptr[0] | 0x20);
    last = (char)(name.ptr[name.len - 1] | 0x20);
    if (name.len < sizeof(by_length) / sizeof(by_length[0]))
        for (const uint8_t *token = by_length[name.len]; *token; token++) {
            struct slice candidate = tokens[*token].name;

            /* Most names that are none of ours end here, without a call. */
            if (candidate.ptr[0] == first && candidate.ptr[name.len - 1] == last && slice_eq_nocase(name, candidate))
                return (enum http_token) * token;
        }
    if (first == 'l' && slice_eq_nocase(slice_take(name, 10), SLICE_LIT("l5d-proxy-")))
        return HTTP_TOKEN_L5D_PROXY_OTHER;
    return HTTP_TOKEN_OTHER;
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
