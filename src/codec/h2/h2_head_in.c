/*
 * From the fields of a header block to struct http_head, with the checks of RFC 9113
 * sections 8.1.1, 8.2 and 8.3. All of the block is always decompressed, since
 * the state of HPACK is the connection's; once the head is known to be bad the rest is not looked at.
 */
#include <errno.h>
#include <string.h>

#include "codec/h2/h2_parts.h"

enum {
    FIELDS_ROOM = 16, /* fields that the owner may add */
    BOMB_FACTOR = 16, /* times the limit that a block may inflate to before the connection is given up */
    NO_LENGTH = -1
};

enum pseudo { PSEUDO_METHOD = 1, PSEUDO_SCHEME = 2, PSEUDO_AUTHORITY = 4, PSEUDO_PATH = 8, PSEUDO_STATUS = 16 };

struct reading {
    enum h2_head_kind kind;
    struct arena *arena;
    struct http_head head;
    struct http_field *fields; /* LIMIT_HTTP_FIELDS of them, on the stack */
    unsigned count, cookies;
    size_t size, limit; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    unsigned pseudo;    /* seen, enum pseudo */
    bool regular, no_memory, has_host;
    struct slice host;
    struct h2_head_result result;
};

/* --- characters --- */

/* Lower-case letters, digits and the rest of RFC 9110 section 5.6.2's token. */
static const bool name_chars[256] = {
    ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true,         ['&'] = true,         ['\''] = true,
    ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true,         ['^'] = true,         ['_'] = true,
    ['`'] = true, ['|'] = true, ['~'] = true, ['0' ... '9'] = true, ['a' ... 'z'] = true,
};

static bool is_name(struct slice name)
{
    bool good = name.len > 0;

    for (size_t i = 0; i < name.len; i++)
        good &= name_chars[(uint8_t)name.ptr[i]];
    return good;
}

static bool is_method(struct slice method)
{
    for (size_t i = 0; i < method.len; i++)
        if (!name_chars[(uint8_t)method.ptr[i]] && !(method.ptr[i] >= 'A' && method.ptr[i] <= 'Z'))
            return false;
    return method.len > 0;
}

/* Whether one of eight bytes is a control character; HTAB is reported too and looked at again by the caller. */
static bool has_control(uint64_t eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    uint64_t below_space = (eight - ones * 0x20) & ~eight & tops;
    uint64_t del = eight ^ ones * 0x7f;

    return below_space | ((del - ones) & ~del & tops);
}

static bool is_value_slow(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = (uint8_t)value.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* No control characters but HTAB, no white space at either end (RFC 9113 section 8.2.1). */
static bool is_value(struct slice value)
{
    size_t at = 0;

    if (!value.len)
        return true;
    if (value.ptr[0] == ' ' || value.ptr[0] == '\t' || value.ptr[value.len - 1] == ' ' ||
        value.ptr[value.len - 1] == '\t')
        return false;
    for (; at + 8 <= value.len; at += 8) {
        uint64_t eight;

        memcpy(&eight, value.ptr + at, 8);
        if (has_control(eight))
            break;
    }
    return is_value_slow(slice_skip(value, at));
}

static bool is_scheme(struct slice scheme)
{
    for (size_t i = 0; i < scheme.len; i++) {
        char c = scheme.ptr[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            (i == 0 || (!(c >= '0' && c <= '9') && c != '+' && c != '-' && c != '.')))
            return false;
    }
    return scheme.len > 0;
}

/* Visible characters but /?#@\, which would end or split an authority or, on its way over HTTP/1, a line. */
static const bool authority_chars[256] = {
    [0x21 ... '"'] = true, ['$' ... '.'] = true, ['0' ... '>'] = true, ['A' ... '['] = true, [']' ... '~'] = true,
};

static bool is_authority(struct slice authority)
{
    bool good = true;

    for (size_t i = 0; i < authority.len; i++)
        good &= authority_chars[(uint8_t)authority.ptr[i]];
    return good;
}

/* Bytes above ASCII are let through, as servers do; a fragment is not part of a request (section 8.3.1). */
static bool is_path(struct slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = (uint8_t)path.ptr[i];

        if (c <= 0x20 || c == 0x7f || c == '#')
            return false;
    }
    return path.len > 0;
}

/* --- fields --- */

static void malformed(struct reading *in, const char *what)
{
    if (!in->result.malformed)
        in->result.malformed = what;
}

static struct slice keep(struct reading *in, struct slice bytes)
{
    char *copy = arena_alloc(in->arena, bytes.len);

    if (!copy) {
        in->no_memory = true;
        return SLICE_NULL;
    }
    memcpy(copy, bytes.ptr, bytes.len);
    return slice_of(copy, bytes.len);
}

/* The value in memory that lives on: the usual ones are constants. */
static struct slice keep_one_of(struct reading *in, struct slice value, struct slice usual, struct slice other)
{
    if (slice_eq(value, usual))
        return usual;
    return slice_eq(value, other) ? other : keep(in, value);
}

static void read_status(struct reading *in, struct slice value)
{
    uint64_t status;

    if (value.len != 3 || slice_u64(value, 999, &status) < 0 || status < 100)
        malformed(in, "bad :status");
    else if (status == 101)
        malformed(in, ":status 101"); /* section 8.6 */
    else
        in->head.status = (uint16_t)status;
}

static void read_path(struct reading *in, struct slice value)
{
    if (value.len > LIMIT_HTTP_START_LINE)
        in->result.too_large = 414;
    else if (!is_path(value))
        malformed(in, "bad :path");
    else
        in->head.path = keep(in, value);
}

static enum pseudo pseudo_of(struct slice name)
{
    if (slice_eq(name, SLICE_LIT(":path")))
        return PSEUDO_PATH;
    if (slice_eq(name, SLICE_LIT(":method")))
        return PSEUDO_METHOD;
    if (slice_eq(name, SLICE_LIT(":scheme")))
        return PSEUDO_SCHEME;
    if (slice_eq(name, SLICE_LIT(":status")))
        return PSEUDO_STATUS;
    return slice_eq(name, SLICE_LIT(":authority")) ? PSEUDO_AUTHORITY : 0;
}

static void read_pseudo(struct reading *in, struct slice name, struct slice value)
{
    enum pseudo which = pseudo_of(name);

    if (in->kind == H2_HEAD_TRAILERS)
        return malformed(in, "a pseudo field in trailers");
    if (in->regular)
        return malformed(in, "a pseudo field behind the others");
    if (!which || (which == PSEUDO_STATUS) != (in->kind == H2_HEAD_RESPONSE))
        return malformed(in, "an unknown pseudo field");
    if (in->pseudo & which)
        return malformed(in, "a pseudo field twice");
    in->pseudo |= which;
    switch (which) {
    case PSEUDO_METHOD:
        if (!is_method(value))
            return malformed(in, "bad :method");
        in->head.method = keep_one_of(in, value, SLICE_LIT("GET"), SLICE_LIT("POST"));
        break;
    case PSEUDO_SCHEME:
        if (!is_scheme(value))
            return malformed(in, "bad :scheme");
        in->head.scheme = keep_one_of(in, value, SLICE_LIT("http"), SLICE_LIT("https"));
        break;
    case PSEUDO_AUTHORITY:
        if (!is_authority(value))
            return malformed(in, "bad :authority");
        in->head.authority = keep(in, value);
        break;
    case PSEUDO_PATH:
        return read_path(in, value);
    case PSEUDO_STATUS:
        return read_status(in, value);
    }
}

static void read_content_length(struct reading *in, struct slice value)
{
    uint64_t length;

    if (in->result.content_length != NO_LENGTH)
        malformed(in, "content-length twice");
    else if (!value.len || slice_u64(value, INT64_MAX, &length) < 0)
        malformed(in, "bad content-length");
    else
        in->result.content_length = (int64_t)length;
}

static void read_host(struct reading *in, struct slice value)
{
    if (in->has_host)
        return malformed(in, "two Hosts");
    if (!is_authority(value))
        return malformed(in, "bad Host");
    in->has_host = true;
    in->host = keep(in, value);
}

/* Whether the field stands among the fields of the head. */
static bool is_kept(struct reading *in, enum http_token token, struct slice value)
{
    bool trailers = in->kind == H2_HEAD_TRAILERS;

    switch (token) {
    case HTTP_TOKEN_CONNECTION:
    case HTTP_TOKEN_KEEP_ALIVE:
    case HTTP_TOKEN_PROXY_CONNECTION:
    case HTTP_TOKEN_TRANSFER_ENCODING:
    case HTTP_TOKEN_UPGRADE:
        malformed(in, "a field of HTTP/1 connections"); /* section 8.2.2 */
        return false;
    case HTTP_TOKEN_HTTP2_SETTINGS:
        return false;
    case HTTP_TOKEN_TE:
        if (!slice_eq_nocase(value, SLICE_LIT("trailers")))
            malformed(in, "te other than trailers");
        return true;
    case HTTP_TOKEN_HOST:
        if (in->kind == H2_HEAD_REQUEST)
            read_host(in, value);
        return in->kind == H2_HEAD_RESPONSE;
    case HTTP_TOKEN_CONTENT_LENGTH:
        if (!trailers)
            read_content_length(in, value);
        return !trailers; /* nothing about framing can be said that late, RFC 9110 section 6.5.1 */
    case HTTP_TOKEN_COOKIE:
        in->cookies++;
        return true;
    default:
        return true;
    }
}

/* `known`: the name is a constant, else it is copied. */
static void add_field(struct reading *in, enum http_token token, struct slice known, struct slice name,
                      struct slice value, bool never_index)
{
    size_t name_len = known.len ? 0 : name.len;
    char *copy;

    if (in->count == LIMIT_HTTP_FIELDS) {
        in->result.too_large = 431;
        return;
    }
    copy = arena_alloc(in->arena, name_len + value.len);
    if (!copy) {
        in->no_memory = true;
        return;
    }
    memcpy(copy, name.ptr, name_len);
    memcpy(copy + name_len, value.ptr, value.len);
    in->fields[in->count++] = (struct http_field){.name = known.len ? known : slice_of(copy, name_len),
                                                  .value = slice_of(copy + name_len, value.len),
                                                  .token = (uint8_t)token,
                                                  .never_index = never_index};
}

/* A field as it stands in a head: found well formed, and what its name is. -EBADMSG with a reason. */
static int check_field(struct reading *in, const struct hpack_field *field, enum http_token *ret_token)
{
    struct slice known;

    if (field->entry && field->entry->checked) { /* when it came first */
        *ret_token = (enum http_token)field->entry->token;
        return 0;
    }
    *ret_token = http_token_of(field->name);
    known = http_token_name(*ret_token);
    if (known.len ? !slice_eq(field->name, known) : !is_name(field->name)) { /* tokens are found in any case */
        malformed(in, "bad characters in a name");
        return -EBADMSG;
    }
    if (field->entry) {
        field->entry->token = (uint8_t)*ret_token;
        field->entry->checked = true;
    }
    return 0;
}

static void read_field(struct reading *in, const struct hpack_field *field)
{
    enum http_token token;

    in->size += field->name.len + field->value.len + 32;
    if (in->kind == H2_HEAD_SKIP || in->result.malformed || in->result.too_large || in->no_memory)
        return;
    if (in->size > in->limit) {
        in->result.too_large = 431;
        return;
    }
    if (!(field->entry && field->entry->checked) && !is_value(field->value))
        return malformed(in, "bad characters in a value");
    if (field->name.len && field->name.ptr[0] == ':')
        return read_pseudo(in, field->name, field->value);
    in->regular = true;
    if (check_field(in, field, &token) == 0 && is_kept(in, token, field->value))
        add_field(in, token, http_token_name(token), field->name, field->value, field->never_index);
}

/* --- the end of the block --- */

static void finish_connect(struct reading *in)
{
    if (in->pseudo != (PSEUDO_METHOD | PSEUDO_AUTHORITY) || !in->head.authority.len)
        malformed(in, "CONNECT needs :authority alone"); /* section 8.5 */
}

static void finish_request(struct reading *in)
{
    struct http_head *head = &in->head;

    if (!(in->pseudo & PSEUDO_METHOD))
        return malformed(in, "no :method");
    if (in->has_host && head->authority.len && !slice_eq_nocase(in->host, head->authority))
        return malformed(in, "Host is not :authority"); /* section 8.3.1 */
    if (slice_eq(head->method, SLICE_LIT("CONNECT")))
        return finish_connect(in);
    if (!(in->pseudo & PSEUDO_SCHEME) || !(in->pseudo & PSEUDO_PATH))
        return malformed(in, "no :scheme or no :path");
    if (head->path.ptr[0] != '/' &&
        !(slice_eq(head->path, SLICE_LIT("*")) && slice_eq(head->method, SLICE_LIT("OPTIONS"))))
        return malformed(in, ":path does not begin with /");
    if (in->has_host && !head->authority.len)
        head->authority = in->host;
}

/* Crumbs become one field, in the place of the first (section 8.2.3). */
static void join_cookies(struct reading *in)
{
    struct http_field *first = NULL;
    unsigned kept = 0;
    size_t len = 0;
    char *to;

    for (unsigned i = 0; i < in->count; i++)
        if (in->fields[i].token == HTTP_TOKEN_COOKIE)
            len += in->fields[i].value.len + 2;
    to = arena_alloc(in->arena, len);
    if (!to) {
        in->no_memory = true;
        return;
    }
    for (unsigned i = 0; i < in->count; i++) {
        struct http_field field = in->fields[i];

        if (field.token == HTTP_TOKEN_COOKIE) {
            memcpy(to, field.value.ptr, field.value.len);
            memcpy(to + field.value.len, "; ", 2);
            if (first) {
                first->value.len += field.value.len + 2;
                first->never_index |= field.never_index;
            } else {
                first = &in->fields[kept++];
                *first = field;
                first->value.ptr = to;
            }
            to += field.value.len + 2;
        } else {
            in->fields[kept++] = field;
        }
    }
    in->count = kept;
}

/* The head leaves the stack for the arena. */
static void give_head(struct reading *in)
{
    size_t room = in->count + (in->kind == H2_HEAD_TRAILERS ? 0 : FIELDS_ROOM);
    struct http_head *head = arena_alloc(in->arena, sizeof(*head) + room * sizeof(*in->fields));

    if (!head)
        return;
    *head = in->head;
    head->version = HTTP_2;
    head->fields = (struct http_field *)(head + 1);
    head->count = (uint16_t)in->count;
    head->room = (uint16_t)room;
    if (in->count)
        memcpy(head->fields, in->fields, in->count * sizeof(*in->fields));
    in->result.head = head;
}

static void finish(struct reading *in)
{
    if (in->kind == H2_HEAD_REQUEST)
        finish_request(in);
    else if (in->kind == H2_HEAD_RESPONSE && !(in->pseudo & PSEUDO_STATUS))
        malformed(in, "no :status");
    if (in->cookies > 1 && !in->result.malformed)
        join_cookies(in);
    if (!in->result.malformed && !in->no_memory)
        give_head(in);
}

int h2_head_read(struct h2_conn *conn, struct slice block, enum h2_head_kind kind, struct arena *arena,
                 struct h2_head_result *ret_result)
{
    struct http_field fields[LIMIT_HTTP_FIELDS]; /* not cleared */
    struct reading in = {
        .kind = kind,
        .arena = arena,
        .fields = fields,
        .limit = kind == H2_HEAD_TRAILERS ? LIMIT_HTTP_TRAILERS : h2_or(conn->config->max_header_list, LIMIT_HTTP_HEAD),
        .result.content_length = NO_LENGTH,
    };
    struct hpack_field field;
    int r;

    while ((r = hpack_decode(&conn->decoder, &block, &field)) > 0) {
        read_field(&in, &field);
        if (in.size > in.limit * BOMB_FACTOR)
            return h2_fail(conn, H2_ENHANCE_YOUR_CALM, "a header block inflates beyond measure");
    }
    if (r == -ENOMEM)
        return h2_fail_memory(conn);
    if (r < 0)
        return h2_fail(conn, H2_COMPRESSION_ERROR, "bad header compression");
    if (kind != H2_HEAD_SKIP && !in.result.malformed && !in.result.too_large && !in.no_memory)
        finish(&in);
    *ret_result = in.result;
    return 0;
}
