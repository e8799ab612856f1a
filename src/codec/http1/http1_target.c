#include "codec/authority.h"
#include "codec/http1/http1_head.h"

/* "http://" or "https://" in any case: how long it is, and its literal; 0 for none. */
static size_t scheme_of(struct slice target, struct slice *ret_scheme)
{
    if (slice_eq_nocase(slice_take(target, 7), SLICE_LIT("http://"))) {
        *ret_scheme = SLICE_LIT("http");
        return 7;
    }
    if (slice_eq_nocase(slice_take(target, 8), SLICE_LIT("https://"))) {
        *ret_scheme = SLICE_LIT("https");
        return 8;
    }
    return 0;
}

static int read_connect_target(struct http1_scan *scan, struct slice target, struct http_head *head)
{
    struct authority authority;

    if (authority_parse(target, &authority) < 0 || !authority.has_port)
        return http1_refuse(scan, 400, "CONNECT needs host:port");
    head->scheme = head->path = SLICE_NULL;
    head->authority = target;
    return 0;
}

static int read_absolute_target(struct http1_scan *scan, struct slice target, size_t scheme_len, struct http_head *head)
{
    struct slice rest = slice_skip(target, scheme_len);
    struct authority authority;
    size_t n = 0;

    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
        n++;
    /* Userinfo is refused here too. An @ in a path is fine. */
    if (authority_parse(slice_take(rest, n), &authority) < 0)
        return http1_refuse(scan, 400, "bad authority in the request target");
    head->authority = slice_take(rest, n);
    head->path = slice_skip(rest, n);
    head->absolute_form = true;
    if (head->path.len == 0)
        head->path = slice_eq(head->method, SLICE_LIT("OPTIONS")) ? SLICE_LIT("*") : SLICE_LIT("/");
    if (head->path.ptr[0] == '?') /* has no other spelling in place, and nobody sends it */
        return http1_refuse(scan, 400, "request target without a path");
    return 0;
}

int http1_read_target(struct http1_scan *scan, struct slice target, struct http_head *head)
{
    size_t scheme_len;

    head->absolute_form = false;
    head->authority = SLICE_NULL;
    if (slice_eq(head->method, SLICE_LIT("CONNECT")))
        return read_connect_target(scan, target, head);
    head->scheme = SLICE_LIT("http");
    head->path = target;
    if (target.ptr[0] == '/')
        return 0;
    if (slice_eq(target, SLICE_LIT("*")) && slice_eq(head->method, SLICE_LIT("OPTIONS")))
        return 0;
    scheme_len = scheme_of(target, &head->scheme);
    if (scheme_len)
        return read_absolute_target(scan, target, scheme_len, head);
    return http1_refuse(scan, 400, "bad form of request target");
}
