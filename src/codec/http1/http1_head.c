#include "codec/http1/http1_head.h"

#include "base/limits.h"
#include "base/mutation.h"
#include "codec/http1/http1_syntax.h"

enum what { REQUEST, RESPONSE, TRAILERS };

/* How reading a piece ended, besides a refusal. */
enum { INCOMPLETE = 0, DONE = 1 };

/* The bytes of one head; `at` is what was read of them. */
struct reader {
    const char *start, *at, *end;
    struct http1_scan *scan;
};

/* The line end where `at` is. */
static int read_crlf(struct reader *r, const char *why)
{
    if (r->at == r->end)
        return INCOMPLETE;
    if (*r->at == '\n' && mutation("bare-line-feed-accepted")) {
        r->at++;
        return DONE;
    }
    if (*r->at != '\r')
        return http1_refuse(r->scan, 400, why);
    if (r->end - r->at < 2)
        return INCOMPLETE;
    if (r->at[1] != '\n')
        return http1_refuse(r->scan, 400, "carriage return without line feed");
    r->at += 2;
    return DONE;
}

/* "name: value CRLF". */
static int read_field(struct reader *r, struct http_field *ret_field)
{
    struct slice name = slice_of(r->at, http1_token_span(r->at, r->end)), value;
    int result;

    r->at += name.len;
    if (r->at == r->end)
        return INCOMPLETE;
    if (name.len == 0)
        return http1_refuse(r->scan, 400, *r->at == ' ' || *r->at == '\t' ? "folded field line" : "bad field name");
    if (*r->at != ':')
        return http1_refuse(r->scan, 400,
                            *r->at == ' ' || *r->at == '\t' ? "whitespace before colon" : "bad field name");
    r->at++;
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
    value = slice_of(r->at, http1_value_span(r->at, r->end));
    r->at += value.len;
    result = read_crlf(r, "control byte in a field");
    if (result != DONE)
        return result;
    while (value.len && (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
        value.len--;
    *ret_field = (struct http_field){name, value, (uint8_t)http_token_of(name), 0};
    return DONE;
}

/* All fields to the empty line. */
static int read_fields(struct reader *r, struct http_head *head)
{
    unsigned room = head->room < LIMIT_HTTP_FIELDS ? head->room : LIMIT_HTTP_FIELDS;

    head->count = 0;
    while (r->at < r->end && *r->at != '\r') {
        int result;

        if (head->count == room)
            return http1_refuse(r->scan, 431, "too many fields");
        result = read_field(r, &head->fields[head->count]);
        if (result != DONE)
            return result;
        head->count++;
    }
    return read_crlf(r, "");
}

static int read_version(struct reader *r, struct http_head *head)
{
    size_t have = (size_t)(r->end - r->at), n = have < 8 ? have : 8;

    if (memcmp(r->at, "HTTP/1.1", n) == 0) {
        head->version = HTTP_1_1;
    } else if (memcmp(r->at, "HTTP/1.0", n) == 0) {
        head->version = HTTP_1_0;
    } else {
        for (size_t i = 0; i < n; i++) { /* well-formed, but not ours? */
            bool digit = r->at[i] >= '0' && r->at[i] <= '9';

            if (i == 5 || i == 7 ? !digit : r->at[i] != "HTTP/1.1"[i])
                return http1_refuse(r->scan, 400, "bad version");
        }
        if (n == 8)
            return http1_refuse(r->scan, 505, "unsupported version");
    }
    if (n < 8)
        return INCOMPLETE;
    r->at += 8;
    return DONE;
}

/* RFC 9112 section 2.2: one empty line before a request is passed over. */
static int skip_empty_line(struct reader *r)
{
    if (r->at < r->end && *r->at == '\r')
        return read_crlf(r, "");
    return r->at < r->end ? DONE : INCOMPLETE;
}

static int read_request_line(struct reader *r, struct http_head *head)
{
    struct slice target;
    int result;

    head->method = slice_of(r->at, http1_token_span(r->at, r->end));
    r->at += head->method.len;
    if (r->at == r->end)
        return INCOMPLETE;
    if (head->method.len == 0 || *r->at != ' ')
        return http1_refuse(r->scan, 400, "bad method");
    r->at++;
    target = slice_of(r->at, http1_target_span(r->at, r->end));
    r->at += target.len;
    if (r->at == r->end)
        return INCOMPLETE;
    if (target.len == 0 || *r->at != ' ')
        return http1_refuse(r->scan, 400, *r->at == '#' ? "fragment in the request target" : "bad request target");
    r->at++;
    result = read_version(r, head);
    if (result != DONE)
        return result;
    result = read_crlf(r, "bytes behind the version");
    if (result != DONE)
        return result;
    return http1_read_target(r->scan, target, head) < 0 ? -400 : DONE;
}

/* The SP behind the status is demanded by the grammar and left out by many. */
static int read_status_line(struct reader *r, struct http_head *head, struct slice *ret_reason)
{
    unsigned status = 0;
    int result = read_version(r, head);

    if (result != DONE)
        return result;
    for (int i = 0; i < 4; i++, r->at++) {
        if (r->at == r->end)
            return INCOMPLETE;
        if (i == 0 ? *r->at != ' ' : *r->at < '0' || *r->at > '9')
            return http1_refuse(r->scan, 400, "bad status");
        if (i > 0)
            status = status * 10 + (unsigned)(*r->at - '0');
    }
    if (status < 100)
        return http1_refuse(r->scan, 400, "bad status");
    head->status = (uint16_t)status;
    if (r->at < r->end && *r->at == ' ')
        r->at++;
    else if (r->at < r->end && *r->at != '\r')
        return http1_refuse(r->scan, 400, "bad status");
    *ret_reason = slice_of(r->at, http1_value_span(r->at, r->end));
    r->at += ret_reason->len;
    return read_crlf(r, "control byte in the status line");
}

/* `start_line` is 0 while it is incomplete; `total` are the bytes of the head as far as they are known. */
static int check_limits(struct http1_scan *scan, enum what what, size_t start_line, size_t total)
{
    if (mutation("head-without-limit"))
        return 0;
    if (what == TRAILERS)
        return total > LIMIT_HTTP_TRAILERS ? http1_refuse(scan, 431, "trailers too large") : 0;
    if ((start_line ? start_line : total) > LIMIT_HTTP_START_LINE)
        return http1_refuse(scan, 414, "start line too long");
    if (start_line && total - start_line > LIMIT_HTTP_HEAD)
        return http1_refuse(scan, 431, "head too large");
    return 0;
}

/*
 * Whether the head that was incomplete before has its end now; looks at new bytes
 * only. What is in its lines is judged when they are read.
 */
static int find_end(struct slice bytes, struct http1_scan *scan, enum what what)
{
    size_t at = scan->seen;
    int r;

    for (; at < bytes.len; at++) {
        at += slice_find(slice_skip(bytes, at), '\n');
        if (at == bytes.len)
            break;
        if ((at == 0 || bytes.ptr[at - 1] != '\r') && !mutation("bare-line-feed-accepted"))
            return http1_refuse(scan, 400, "line feed without carriage return");
        if (at >= 2 && bytes.ptr[at - 2] == '\r')
            return http1_refuse(scan, 400, "carriage return without line feed");
        if (at >= 2 ? bytes.ptr[at - 2] == '\n' : what == TRAILERS)
            return DONE;
        if (at >= 2 && !scan->start_line)
            scan->start_line = at + 1;
    }
    scan->seen = bytes.len;
    r = check_limits(scan, what, scan->start_line, bytes.len);
    return r < 0 ? r : INCOMPLETE;
}

static int read_head(struct reader *r, enum what what, struct http_head *head, struct http1_framing *ret_framing)
{
    int result = DONE;

    if (what == REQUEST)
        result = skip_empty_line(r);
    if (result == DONE && what == REQUEST)
        result = read_request_line(r, head);
    else if (result == DONE && what == RESPONSE)
        result = read_status_line(r, head, &ret_framing->reason);
    if (result != DONE)
        return result;
    r->scan->start_line = (size_t)(r->at - r->start);
    result = check_limits(r->scan, what, r->scan->start_line, r->scan->start_line);
    return result < 0 ? result : read_fields(r, head);
}

static ssize_t parse(struct slice bytes, enum what what, struct http1_scan *scan, struct http_head *head,
                     struct http1_framing *ret_framing)
{
    struct reader r = {bytes.ptr, bytes.ptr, bytes.ptr + bytes.len, scan};
    size_t total;
    int result, limits;

    if (bytes.len <= scan->seen)
        return INCOMPLETE;
    if (scan->seen) {
        result = find_end(bytes, scan, what);
        if (result != DONE)
            return result;
        scan->start_line = 0;
    }
    result = read_head(&r, what, head, ret_framing);
    if (result < 0)
        return result;
    total = result == DONE ? (size_t)(r.at - r.start) : bytes.len;
    limits = check_limits(scan, what, scan->start_line, total);
    if (limits < 0)
        return limits;
    if (result == DONE)
        return (ssize_t)total;
    scan->seen = bytes.len;
    return INCOMPLETE;
}

ssize_t http1_parse_request(struct slice bytes, struct http1_scan *scan, struct http_head *head,
                            struct http1_framing *ret_framing)
{
    struct http1_framing framing = {0};
    ssize_t n = parse(bytes, REQUEST, scan, head, &framing);
    int r;

    if (n <= 0)
        return n;
    head->status = 0;
    r = http1_frame_request(scan, head, &framing);
    if (r < 0)
        return r;
    *scan = (struct http1_scan){0};
    *ret_framing = framing;
    return n;
}

ssize_t http1_parse_response(struct slice bytes, unsigned asked, struct http1_scan *scan, struct http_head *head,
                             struct http1_framing *ret_framing)
{
    struct http1_framing framing = {0};
    ssize_t n = parse(bytes, RESPONSE, scan, head, &framing);

    if (n == 0)
        return 0;
    head->method = head->scheme = head->authority = head->path = SLICE_NULL;
    head->absolute_form = false;
    if (n < 0 || http1_frame_response(scan, head, asked, &framing) < 0)
        return -502;
    *scan = (struct http1_scan){0};
    *ret_framing = framing;
    return n;
}

ssize_t http1_parse_trailers(struct slice bytes, struct http1_scan *scan, struct http_head *trailers)
{
    unsigned kept = 0;
    ssize_t n = parse(bytes, TRAILERS, scan, trailers, NULL);

    if (n <= 0)
        return n;
    for (unsigned i = 0; i < trailers->count; i++)
        if (!http1_trailer_forbidden(&trailers->fields[i]))
            trailers->fields[kept++] = trailers->fields[i];
    trailers->count = (uint16_t)kept;
    *scan = (struct http1_scan){0};
    return n;
}
