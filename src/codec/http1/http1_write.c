#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "codec/http1/http1_head.h"
#include "codec/http1/http1_syntax.h"

/*
 * Writes into room at the chain's end. A head of usual size fits the room that
 * was asked for at the beginning; a larger one goes on page by page. Errors stick;
 * finish() takes everything back then.
 */
struct out {
    struct chain *chain;
    struct chain_mark mark;
    char *start, *at, *end; /* the room; [start, at) is written and not yet counted by the chain */
    int error;
};

static void begin(struct out *out, struct chain *chain, size_t about)
{
    size_t room = 0;

    *out = (struct out){.chain = chain, .mark = chain_mark(chain)};
    out->start = chain_room(chain, about < LIMIT_BUFFER_PAGE ? about : LIMIT_BUFFER_PAGE, &room);
    out->at = out->start;
    out->end = out->start ? out->start + room : NULL;
    if (!out->start)
        out->error = -ENOMEM;
}

static void count_written(struct out *out)
{
    if (out->at > out->start)
        chain_grew(out->chain, (size_t)(out->at - out->start));
    out->start = out->at;
}

/* The room is too small: fill it and go on in the next page. */
static void put_far(struct out *out, struct slice bytes)
{
    size_t room;

    count_written(out);
    out->start = out->at = out->end = NULL;
    if (out->error == 0)
        out->error = chain_add(out->chain, bytes);
    if (out->error < 0)
        return;
    out->start = out->at = chain_room(out->chain, 1, &room);
    if (out->start)
        out->end = out->start + room;
    else
        out->error = -ENOMEM;
}

static inline void put(struct out *out, struct slice bytes)
{
    if (bytes.len > (size_t)(out->end - out->at)) {
        put_far(out, bytes);
    } else if (bytes.len) {
        memcpy(out->at, bytes.ptr, bytes.len);
        out->at += bytes.len;
    }
}

#define PUT(out, literal) put((out), SLICE_LIT(literal))

static int finish(struct out *out)
{
    count_written(out);
    if (out->error < 0)
        chain_cut(out->chain, out->mark);
    else if (out->chain->len == 0)
        chain_clear(out->chain);
    return out->error;
}

static void put_field(struct out *out, struct slice name, struct slice value)
{
    put(out, name);
    PUT(out, ": ");
    put(out, value);
    PUT(out, "\r\n");
}

static void put_number(struct out *out, uint64_t number)
{
    char text[20];
    size_t at = sizeof(text);

    do
        text[--at] = (char)('0' + number % 10);
    while (number /= 10);
    put(out, slice_of(text + at, sizeof(text) - at));
}

/* Bytes of all fields as written, or -EINVAL: what was let in here would be read as another message by somebody. */
static ssize_t fields_size(const struct http_field *fields, unsigned count)
{
    size_t size = 0;

    for (unsigned i = 0; i < count; i++) {
        if (!http1_is_token(fields[i].name) || !http1_is_value(fields[i].value))
            return -EINVAL;
        size += fields[i].name.len + fields[i].value.len + 4;
    }
    return (ssize_t)size;
}

/* What stands in the fields, but is written from the framing. */
static bool framed(const struct http_field *field, const struct http1_framing *framing)
{
    if (field->token == HTTP_TOKEN_UPGRADE)
        return !framing->upgrade;
    return field->token == HTTP_TOKEN_CONTENT_LENGTH || http_token_is_hop((enum http_token)field->token);
}

static void put_option(struct out *out, bool *first, struct slice option)
{
    if (*first)
        PUT(out, "Connection: ");
    else
        PUT(out, ", ");
    put(out, option);
    *first = false;
}

static void put_connection(struct out *out, bool old, const struct http1_framing *framing)
{
    bool first = true;

    if (framing->close)
        put_option(out, &first, SLICE_LIT("close"));
    else if (old && framing->keep_alive)
        put_option(out, &first, SLICE_LIT("keep-alive"));
    if (framing->upgrade)
        put_option(out, &first, SLICE_LIT("upgrade"));
    if (framing->te_trailers)
        put_option(out, &first, SLICE_LIT("TE"));
    if (!first)
        PUT(out, "\r\n");
    if (framing->te_trailers)
        PUT(out, "TE: trailers\r\n");
}

static void put_body(struct out *out, const struct http_head *head, const struct http1_framing *framing)
{
    const struct http_field *length = http_find(head, HTTP_TOKEN_CONTENT_LENGTH);

    if (framing->body == HTTP1_BODY_CHUNKED) {
        PUT(out, "Transfer-Encoding: chunked\r\n");
    } else if (framing->body == HTTP1_BODY_LENGTH) {
        PUT(out, "Content-Length: ");
        put_number(out, framing->length);
        PUT(out, "\r\n");
    } else if (framing->body == HTTP1_BODY_NONE && length && head->status / 100 != 1 && head->status != 204) {
        /* To HEAD, or 304: what a body would have had. A request without a body has none. */
        put_field(out, length->name, head->status ? length->value : SLICE_LIT("0"));
    }
}

/* Everything behind the start line. */
static void put_rest(struct out *out, const struct http_head *head, const struct http1_framing *framing)
{
    bool host_due = head->status == 0 && head->authority.len > 0, host_done = false;

    if (host_due && !http_find(head, HTTP_TOKEN_HOST)) {
        put_field(out, SLICE_LIT("Host"), head->authority);
        host_done = true;
    }
    for (unsigned i = 0; i < head->count; i++) {
        const struct http_field *field = &head->fields[i];

        if (framed(field, framing))
            continue;
        if (field->token == HTTP_TOKEN_HOST && head->status == 0) {
            if (!host_done)
                put_field(out, field->name, host_due ? head->authority : field->value);
            host_done = true;
            continue;
        }
        put_field(out, field->name, field->value);
    }
    put_connection(out, head->version == HTTP_1_0, framing);
    put_body(out, head, framing);
    PUT(out, "\r\n");
}

static bool is_target(struct slice s)
{
    return s.len == 0 || http1_target_span(s.ptr, s.ptr + s.len) == s.len;
}

/* The target in its form; three parts of which some may be empty. -EINVAL if it could not be read back. */
static int target_parts(const struct http_head *head, struct slice ret_parts[4])
{
    bool asterisk = slice_eq(head->path, SLICE_LIT("*"));

    for (int i = 0; i < 4; i++)
        ret_parts[i] = SLICE_NULL;
    if (!is_target(head->scheme) || !is_target(head->authority) || !is_target(head->path))
        return -EINVAL;
    if (slice_eq(head->method, SLICE_LIT("CONNECT"))) {
        ret_parts[0] = head->authority;
        return head->authority.len ? 0 : -EINVAL;
    }
    if (head->path.len == 0 || (head->path.ptr[0] != '/' && !asterisk))
        return -EINVAL;
    if (head->absolute_form && head->authority.len && head->scheme.len) {
        ret_parts[0] = head->scheme;
        ret_parts[1] = SLICE_LIT("://");
        ret_parts[2] = head->authority;
    }
    if (!(asterisk && ret_parts[0].len))
        ret_parts[3] = head->path;
    return 0;
}

enum { FRAMING_ROOM = 256 }; /* version, Host, Connection, TE, length, line ends */

int http1_write_request(struct chain *chain, const struct http_head *head, const struct http1_framing *framing)
{
    ssize_t fields = fields_size(head->fields, head->count);
    struct slice target[4];
    struct out out;

    assert(head->status == 0);
    if (fields < 0 || target_parts(head, target) < 0 || !http1_is_token(head->method))
        return -EINVAL;
    begin(&out, chain, (size_t)fields + head->method.len + 2 * head->authority.len + head->path.len + FRAMING_ROOM);
    put(&out, head->method);
    PUT(&out, " ");
    for (int i = 0; i < 4; i++)
        put(&out, target[i]);
    put(&out, head->version == HTTP_1_0 ? SLICE_LIT(" HTTP/1.0\r\n") : SLICE_LIT(" HTTP/1.1\r\n"));
    put_rest(&out, head, framing);
    return finish(&out);
}

int http1_write_response(struct chain *chain, const struct http_head *head, const struct http1_framing *framing)
{
    ssize_t fields = fields_size(head->fields, head->count);
    struct slice reason = framing->reason.len ? framing->reason : http1_reason(head->status);
    struct out out;

    if (fields < 0 || head->status < 100 || head->status > 999 || !http1_is_value(reason))
        return -EINVAL;
    begin(&out, chain, (size_t)fields + reason.len + FRAMING_ROOM);
    put(&out, head->version == HTTP_1_0 ? SLICE_LIT("HTTP/1.0 ") : SLICE_LIT("HTTP/1.1 "));
    put_number(&out, head->status);
    PUT(&out, " ");
    put(&out, reason);
    PUT(&out, "\r\n");
    put_rest(&out, head, framing);
    return finish(&out);
}

int http1_write_chunk(struct chain *chain, struct slice data)
{
    struct out out;
    char size[20];

    if (data.len == 0)
        return 0; /* a chunk of size 0 would be the last */
    begin(&out, chain, 1);
    put(&out, slice_of(size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", data.len)));
    put(&out, data);
    PUT(&out, "\r\n");
    return finish(&out);
}

int http1_write_last_chunk(struct chain *chain, const struct http_field *trailers, unsigned count)
{
    ssize_t size = fields_size(trailers, count);
    struct out out;

    if (size < 0)
        return -EINVAL;
    begin(&out, chain, (size_t)size + 8);
    PUT(&out, "0\r\n");
    for (unsigned i = 0; i < count; i++)
        if (!http1_trailer_forbidden(&trailers[i]))
            put_field(&out, trailers[i].name, trailers[i].value);
    PUT(&out, "\r\n");
    return finish(&out);
}
