#include "codec/detect.h"

#include "base/limits.h"
#include "base/mutation.h"
#include "codec/http1_syntax.h"

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

/* What stands where the target of a registered method begins: HTTP1, MORE, or OPAQUE for "not this rule". */
static enum detected judge_target(struct slice rest)
{
    struct slice http = SLICE_LIT("http");

    if (rest.len == 0)
        return DETECT_MORE;
    if (rest.ptr[0] == '/' || rest.ptr[0] == '*')
        return DETECT_HTTP1;
    if (!slice_eq_nocase(slice_take(rest, 4), slice_take(http, rest.len)))
        return DETECT_OPAQUE;
    return rest.len < 4 ? DETECT_MORE : DETECT_HTTP1;
}

/* Whether " HTTP/" comes before the end of the line. `from` is where it may begin at the earliest. */
static enum detected search_version(struct slice bytes, size_t from, size_t *seen)
{
    struct slice version = SLICE_LIT(" HTTP/"),
                 line = slice_take(slice_skip(bytes, from), LIMIT_HTTP_START_LINE - from);
    size_t end;

    if (*seen > from + version.len) {
        line = slice_skip(line, *seen - version.len - from);
        from = *seen - version.len;
    }
    end = slice_find(line, '\n');
    if (slice_find_slice(slice_take(line, end), version) < end && !mutation("odd-methods-are-opaque"))
        return DETECT_HTTP1;
    if (end < line.len || bytes.len >= LIMIT_HTTP_START_LINE)
        return DETECT_OPAQUE;
    *seen = bytes.len;
    return DETECT_MORE;
}

static enum detected judge_line(struct slice bytes, size_t start, size_t *seen)
{
    struct slice line = slice_skip(bytes, start), method;
    enum detected is;

    method = slice_take(line, http1_token_span(line.ptr, line.ptr + line.len));
    if (method.len == line.len)
        return bytes.len < LIMIT_HTTP_START_LINE ? DETECT_MORE : DETECT_OPAQUE;
    if (method.len == 0 || line.ptr[method.len] != ' ')
        return DETECT_OPAQUE;
    if (is_registered(method)) {
        is = judge_target(slice_skip(line, method.len + 1));
        if (is != DETECT_OPAQUE)
            return is;
    }
    return search_version(bytes, start + method.len, seen);
}

enum detected detect_http(struct slice bytes, size_t *seen)
{
    struct slice preface = SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    size_t start = 0;

    if (slice_starts(bytes, preface))
        return DETECT_HTTP2;
    if (slice_starts(preface, bytes))
        return DETECT_MORE;
    while (start < bytes.len && start < LIMIT_HTTP_START_LINE && (bytes.ptr[start] == '\r' || bytes.ptr[start] == '\n'))
        start++;
    if (start == LIMIT_HTTP_START_LINE)
        return DETECT_OPAQUE;
    if (start == bytes.len)
        return DETECT_MORE;
    return judge_line(bytes, start, seen);
}
