#include <errno.h>

#include "codec/authority.h"
#include "mesh/filter_internal.h"

static bool is_default_port(struct slice scheme, unsigned port)
{
    return (port == 80 && slice_eq_nocase(scheme, SLICE_LIT("http"))) ||
           (port == 443 && slice_eq_nocase(scheme, SLICE_LIT("https")));
}

/* host or host:port; a port that the scheme implies is left out. */
static struct slice join(struct arena *arena, struct slice host, bool brackets, unsigned port)
{
    if (port)
        return arena_printf(arena, brackets ? "[%.*s]:%u" : "%.*s:%u", SLICE_ARGS(host), port);
    return brackets ? arena_printf(arena, "[%.*s]", SLICE_ARGS(host)) : arena_dup(arena, host);
}

/*
 * The location's authority: what the policy gives of host and port, the rest from the request. Where the policy gives both they
 * stand as they are; otherwise a port that the new scheme implies is not shown.
 */
static int new_authority(const struct redirect *redirect, const struct http_head *head, struct slice scheme,
                         struct arena *arena, struct slice *ret_authority)
{
    struct authority old = {0};
    bool have_old = authority_parse(head->authority, &old) == 0;

    if (redirect->host.len && redirect->port) {
        *ret_authority = join(arena, redirect->host, false, redirect->port);
    } else if (redirect->host.len) {
        unsigned port = have_old && old.has_port && !is_default_port(scheme, old.port) ? old.port : 0;

        *ret_authority = join(arena, redirect->host, false, port);
    } else if (!have_old) {
        return -EINVAL;
    } else if (redirect->port) {
        *ret_authority =
            join(arena, old.host, old.is_ip6, is_default_port(scheme, redirect->port) ? 0 : redirect->port);
    } else {
        *ret_authority = head->authority;
    }
    return ret_authority->ptr ? 0 : -ENOMEM;
}

/* The part of the path that the route's prefix matched is replaced; the query stays. */
static int replace_prefix(struct slice prefix, const struct http_head *head, const struct route_found *found,
                          struct arena *arena, struct slice *ret_path)
{
    size_t path_len = slice_find(head->path, '?');
    struct slice rest;

    if (found->path_kind != PATH_PREFIX || found->path_len > path_len)
        return -EINVAL;
    rest = slice_skip(head->path, found->path_len); /* with the query */
    *ret_path = arena_printf(arena, "%.*s%s%.*s", SLICE_ARGS(prefix),
                             found->path_len < path_len && rest.ptr[0] != '/' ? "/" : "", SLICE_ARGS(rest));
    return ret_path->ptr ? 0 : -ENOMEM;
}

static int new_path(const struct redirect *redirect, const struct http_head *head, const struct route_found *found,
                    struct arena *arena, struct slice *ret_path)
{
    int r = 0;

    switch (redirect->path_kind) {
    case PATH_KEEP: *ret_path = head->path; break;
    case PATH_REPLACE_FULL: *ret_path = redirect->path; break;
    case PATH_REPLACE_PREFIX: r = replace_prefix(redirect->path, head, found, arena, ret_path); break;
    }
    if (r < 0)
        return r;
    if (!ret_path->len)
        *ret_path = SLICE_LIT("/");
    return ret_path->ptr[0] == '/' ? 0 : -EINVAL; /* "*" leads nowhere either */
}

/* What goes into a field: visible ASCII without spaces. */
static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7f)
            return false;
    return true;
}

int redirect_location(const struct redirect *redirect, const struct http_head *head, const struct route_found *found,
                      struct arena *arena, struct slice *ret_location)
{
    struct slice old_scheme = head->scheme.len ? head->scheme : SLICE_LIT("http");
    struct slice scheme = redirect->scheme.len ? redirect->scheme : old_scheme, authority, path = SLICE_NULL;
    int r;

    r = new_authority(redirect, head, scheme, arena, &authority);
    if (r == 0)
        r = new_path(redirect, head, found, arena, &path);
    if (r < 0)
        return r;
    if (slice_eq_nocase(scheme, old_scheme) && slice_eq_nocase(authority, head->authority) &&
        slice_eq(path, head->path))
        return 0;
    *ret_location = arena_printf(arena, "%.*s://%.*s%.*s", SLICE_ARGS(scheme), SLICE_ARGS(authority), SLICE_ARGS(path));
    if (!ret_location->ptr)
        return -ENOMEM;
    return is_printable(*ret_location) ? 1 : -EINVAL;
}
