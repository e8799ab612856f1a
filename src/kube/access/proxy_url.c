#include "kube/access/proxy_url.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "kube/access/access.h"

/* --- a URL --- */

static const struct scheme {
    const char *prefix;
    enum tunnel_kind kind;
    bool tls;
    uint16_t port;
} schemes[] = {
    {"http://", TUNNEL_HTTP, false, 80},
    {"https://", TUNNEL_HTTP, true, 443},
    {"socks5://", TUNNEL_SOCKS5, false, 1080},
    {"socks5h://", TUNNEL_SOCKS5, false, 1080},
};

enum { SCHEMES = sizeof(schemes) / sizeof(schemes[0]) };

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Copies, with %XX as bytes. NUL and line ends are refused: no header holds them. */
static int unescape(struct arena *arena, struct slice text, struct slice *ret_text)
{
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < text.len; i++) {
        int high = text.ptr[i] == '%' && i + 2 < text.len ? digit(text.ptr[i + 1]) : -1, low = high >= 0 ? digit(text.ptr[i + 2]) : -1;

        if (text.ptr[i] == '%' && low < 0)
            return -EINVAL;
        out[len] = text.ptr[i] == '%' ? (char)(high << 4 | low) : text.ptr[i];
        if ((unsigned char)out[len] < ' ' || out[len] == 0x7f)
            return -EINVAL;
        i += text.ptr[i] == '%' ? 2 : 0;
        len++;
    }
    out[len] = '\0';
    *ret_text = slice_of(out, len);
    return 0;
}

static size_t find_last(struct slice text, char byte)
{
    size_t at = text.len;

    while (at > 0 && text.ptr[at - 1] != byte)
        at--;
    return at ? at - 1 : text.len;
}

/* "user:password@" in front of the host; the password may hold an @. */
static int take_login(struct arena *arena, struct slice *rest, struct tunnel_proxy *proxy)
{
    size_t at = find_last(*rest, '@');
    struct slice login = slice_take(*rest, at), user = slice_take(login, slice_find(login, ':'));
    int r;

    if (at == rest->len)
        return 0;
    *rest = slice_skip(*rest, at + 1);
    r = unescape(arena, user, &proxy->user);
    if (r == 0)
        r = unescape(arena, slice_skip(login, user.len + 1), &proxy->password);
    return r == 0 && slice_find(proxy->user, ':') < proxy->user.len ? -EINVAL : r;
}

static const struct scheme *take_scheme(struct slice *rest)
{
    for (size_t i = 0; i < SCHEMES; i++)
        if (slice_starts(*rest, slice_str(schemes[i].prefix))) {
            *rest = slice_skip(*rest, strlen(schemes[i].prefix));
            return &schemes[i];
        }
    return slice_find_slice(*rest, SLICE_LIT("://")) == rest->len ? &schemes[0] : NULL;
}

int proxy_url_parse(struct arena *arena, struct slice url, struct tunnel_proxy *ret_proxy, struct errmsg *msg)
{
    struct slice rest = url;
    const struct scheme *scheme = take_scheme(&rest);
    struct tunnel_proxy proxy = {0};
    int r = scheme && url.len <= LIMIT_TUNNEL ? 0 : -EINVAL;

    if (r == 0) {
        proxy = (struct tunnel_proxy){.kind = scheme->kind, .tls = scheme->tls};
        if (slice_ends(rest, SLICE_LIT("/")))
            rest.len--;
        r = take_login(arena, &rest, &proxy);
    }
    if (r == 0)
        r = kube_split_authority(rest, scheme->port, &proxy.host, &proxy.port);
    if (r == 0) {
        proxy.host = arena_dup(arena, proxy.host);
        r = proxy.host.ptr ? 0 : -ENOMEM;
    }
    if (r < 0)
        return errmsg_set(msg, r, r == -ENOMEM ? "no memory" : "expected http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, perhaps with USER:PASSWORD@ in front of HOST");
    *ret_proxy = proxy;
    return 0;
}

/* --- the environment --- */

static struct slice variable(const char *name, const char *other)
{
    const char *value = getenv(name);

    return slice_str(value && *value ? value : getenv(other));
}

struct proxy_variables proxy_variables_read(void)
{
    return (struct proxy_variables){variable("HTTPS_PROXY", "https_proxy"), variable("HTTP_PROXY", "http_proxy"), variable("NO_PROXY", "no_proxy")};
}

/* "name:80" without its port; a colon in an address is none. False: it has another port. */
static bool take_port(struct slice *entry, uint16_t port)
{
    size_t colon = find_last(*entry, ':');
    struct slice host = slice_take(*entry, colon);
    uint64_t wanted;
    struct ip ip;

    if (ip_parse(*entry, &ip) == 0 || colon == entry->len || slice_u64(slice_skip(*entry, colon + 1), UINT16_MAX, &wanted) < 0)
        return true;
    *entry = host;
    return wanted == port;
}

static bool name_matches(struct slice entry, struct slice host)
{
    if (slice_starts(entry, SLICE_LIT("*.")))
        entry = slice_skip(entry, 1);
    if (!entry.len || (entry.ptr[0] != '.' && slice_eq_nocase(entry, host)))
        return entry.len > 0;
    if (host.len <= entry.len)
        return false;
    if (!slice_eq_nocase(slice_skip(host, host.len - entry.len), entry))
        return false;
    return entry.ptr[0] == '.' || host.ptr[host.len - entry.len - 1] == '.';
}

static bool entry_matches(struct slice entry, struct slice host, uint16_t port)
{
    struct cidr cidr;
    struct ip ip;

    if (slice_eq(entry, SLICE_LIT("*")))
        return true;
    if (!take_port(&entry, port))
        return false;
    if (entry.len > 2 && entry.ptr[0] == '[' && slice_ends(entry, SLICE_LIT("]")))
        entry = slice_of(entry.ptr + 1, entry.len - 2);
    if (cidr_parse(entry, &cidr) == 0)
        return ip_parse(host, &ip) == 0 && cidr_contains(cidr, ip);
    return name_matches(entry, host);
}

static bool is_excepted(struct slice no, struct slice host, uint16_t port)
{
    struct slice entry;
    struct ip ip;

    if (slice_eq_nocase(host, SLICE_LIT("localhost")) || (ip_parse(host, &ip) == 0 && ip_is_loopback(ip)))
        return true;
    while (slice_split(&no, ',', &entry))
        if (slice_trim(entry).len && entry_matches(slice_trim(entry), host, port))
            return true;
    return false;
}

struct slice proxy_variables_choose(const struct proxy_variables *variables, bool tls, struct slice host, uint16_t port)
{
    struct slice url = tls ? variables->https : variables->http;

    return url.len && !is_excepted(variables->no, host, port) ? url : SLICE_LIT("");
}
