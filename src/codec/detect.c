#include "codec/detect.h"

#include "base/limits.h"
#include "base/mutation.h"
#include "codec/h2/h2_frame.h"
#include "codec/http1/http1_syntax.h"

/* IANA's registry of HTTP methods, without PRI. */
static const struct slice methods[] = {
#define NAME(text)                                                                                                     \
    {                                                                                                                  \
        (text), sizeof(text) - 1                                                                                       \
    }
    NAME("ACL"),
    NAME("BASELINE-CONTROL"),
    NAME("BIND"),
    NAME("CHECKIN"),
    NAME("CHECKOUT"),
    NAME("CONNECT"),
    NAME("COPY"),
    NAME("DELETE"),
    NAME("GET"),
    NAME("HEAD"),
    NAME("LABEL"),
    NAME("LINK"),
    NAME("LOCK"),
    NAME("MERGE"),
    NAME("MKACTIVITY"),
    NAME("MKCALENDAR"),
    NAME("MKCOL"),
    NAME("MKREDIRECTREF"),
    NAME("MKWORKSPACE"),
    NAME("MOVE"),
    NAME("OPTIONS"),
    NAME("ORDERPATCH"),
    NAME("PATCH"),
    NAME("POST"),
    NAME("PROPFIND"),
    NAME("PROPPATCH"),
    NAME("PUT"),
    NAME("QUERY"),
    NAME("REBIND"),
    NAME("REPORT"),
    NAME("SEARCH"),
    NAME("TRACE"),
    NAME("UNBIND"),
    NAME("UNCHECKOUT"),
    NAME("UNLINK"),
    NAME("UNLOCK"),
    NAME("UPDATE"),
    NAME("UPDATEREDIRECTREF"),
    NAME("VERSION-CONTROL"),
#undef NAME
};

static bool is_registered(struct slice method)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (slice_eq(method, methods[i]))
            return true;
    return false;
}

enum { SCHEME_MAX = 32 };

static bool is_scheme_char(char c) /* RFC 3986 section 3.1 */
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

/* A URI of any scheme ("ftp://"): servers that still know HTTP/0.9 take "GET ftp://h/" without a version. */
static enum detected judge_scheme(struct slice rest)
{
    struct slice mark = SLICE_LIT("://");
    size_t len = 0;

    while (len < rest.len && len < SCHEME_MAX && is_scheme_char(rest.ptr[len]))
        len++;
    rest = slice_take(slice_skip(rest, len), mark.len);
    if (len == 0 || len == SCHEME_MAX || !slice_eq(rest, slice_take(mark, rest.len)))
        return DETECT_OPAQUE;
    return rest.len < mark.len ? DETECT_MORE : DETECT_HTTP1;
}

/* What stands where the target of a registered method begins: HTTP1, MORE, or OPAQUE for "not this rule". */
static enum detected judge_target(struct slice rest)
{
    struct slice http = SLICE_LIT("http");

    if (rest.len == 0)
        return DETECT_MORE;
    if (rest.ptr[0] == '/' || rest.ptr[0] == '*')
        return DETECT_HTTP1;
    if (!slice_eq_nocase(slice_take(rest, 4), slice_take(http, rest.len)))
        return judge_scheme(rest);
    return rest.len < 4 ? DETECT_MORE : DETECT_HTTP1;
}

/* What servers take for a space in a start line: the blanks of RFC 9112 section 3, and HTAB, VT and FF. */
static bool is_blank(unsigned char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\v' || byte == '\f';
}

/* What else the most lenient (those that split by Unicode's white space) take for one. */
static bool is_odd_blank(unsigned char byte)
{
    return is_blank(byte) || byte == '\r' || (byte >= 0x1c && byte <= 0x1f) || byte == 0x85 || byte == 0xa0;
}

static struct slice skip_blanks(struct slice bytes, bool (*is)(unsigned char byte))
{
    while (bytes.len && is((unsigned char)bytes.ptr[0]))
        bytes = slice_skip(bytes, 1);
    return bytes;
}

/* Length of the line's part in which "HTTP/" may stand: to its end, or to a byte that no start line has. */
static size_t text_span(struct slice line)
{
    size_t at = 0;

    while (at < line.len &&
           ((unsigned char)line.ptr[at] >= ' ' || is_blank((unsigned char)line.ptr[at]) || line.ptr[at] == '\r'))
        at++;
    return at;
}

static bool has_version(struct slice text)
{
    struct slice version = SLICE_LIT("HTTP/");
    size_t at;

    for (; (at = slice_find_slice(text, version)) < text.len; text = slice_skip(text, at + 1))
        if (at > 0 && is_blank((unsigned char)text.ptr[at - 1]))
            return true;
    return false;
}

/* Whether a blank and "HTTP/" come before the end of the line. `start` is where they may begin at the earliest. */
static enum detected search_version(struct slice bytes, size_t start, size_t *seen)
{
    enum { VERSION = 6 }; /* the blank too */
    struct slice line = slice_take(slice_skip(bytes, start), LIMIT_HTTP_START_LINE - start);
    size_t end;

    if (*seen > start + VERSION)
        line = slice_skip(line, *seen - VERSION - start);
    end = text_span(line);
    if (has_version(slice_take(line, end)) && !mutation("odd-methods-are-opaque"))
        return DETECT_HTTP1;
    if (end < line.len)
        return DETECT_OPAQUE;
    if (bytes.len >= LIMIT_HTTP_START_LINE) /* 414, when it looks like a target */
        return judge_target(skip_blanks(slice_skip(bytes, start), is_blank));
    *seen = bytes.len;
    return DETECT_MORE;
}

/* A registered method was read: HTTP1, MORE, or OPAQUE for "not this rule". */
static enum detected judge_registered(struct slice rest)
{
    struct slice target = skip_blanks(rest, is_odd_blank);

    return target.len < rest.len ? judge_target(target) : DETECT_OPAQUE;
}

static enum detected judge_line(struct slice bytes, size_t start, size_t *seen)
{
    struct slice line = slice_skip(bytes, start), method, rest;
    enum detected is;

    method = slice_take(line, http1_token_span(line.ptr, line.ptr + line.len));
    rest = slice_skip(line, method.len);
    if (rest.len == 0) /* nothing but a token as long as a start line may be: 414 */
        return bytes.len < LIMIT_HTTP_START_LINE ? DETECT_MORE : DETECT_HTTP1;
    if (method.len == 0)
        return DETECT_OPAQUE;
    if (is_registered(method)) {
        is = judge_registered(rest);
        if (is != DETECT_OPAQUE)
            return is;
    }
    if (!is_blank((unsigned char)rest.ptr[0]))
        return DETECT_OPAQUE;
    return search_version(bytes, start + method.len, seen);
}

/* Empty lines and blanks in front, which lenient servers pass over. */
static size_t skip_front(struct slice bytes)
{
    size_t start = 0;

    while (start < bytes.len && start < LIMIT_HTTP_START_LINE &&
           (bytes.ptr[start] == '\r' || bytes.ptr[start] == '\n' || is_blank((unsigned char)bytes.ptr[start])))
        start++;
    return start;
}

enum detected detect_http(struct slice bytes, size_t *seen)
{
    struct slice preface = SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    size_t start;

    if (slice_starts(bytes, preface))
        return DETECT_HTTP2;
    if (slice_starts(preface, bytes))
        return DETECT_MORE;
    start = skip_front(bytes);
    if (start == LIMIT_HTTP_START_LINE)
        return DETECT_OPAQUE;
    if (start == bytes.len)
        return DETECT_MORE;
    return judge_line(bytes, start, seen);
}

enum detected detect_server(struct slice bytes)
{
    enum { LENGTH = 3, SETTING = 6 };
    /* Up to 42 settings, no flags, stream 0. */
    static const unsigned char start[H2_FRAME_HEADER] = {0, 0, 0, H2_FRAME_SETTINGS};
    const unsigned char *at = (const unsigned char *)bytes.ptr;

    for (size_t i = 0; i < bytes.len && i < H2_FRAME_HEADER; i++)
        if (i == LENGTH - 1 ? at[i] % SETTING : at[i] != start[i])
            return DETECT_OPAQUE;
    return bytes.len < H2_FRAME_HEADER ? DETECT_MORE : DETECT_HTTP2;
}
