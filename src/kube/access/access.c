#include "kube/access/access.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ip.h"
#include "base/limits.h"
#include "kube/access/base64.h"
#include "kube/access/exec_plugin.h"
#include "kube/access/proxy_url.h"
#include "kube/file.h"

void kube_access_release(struct kube_access *access)
{
    exec_plugin_free(access->plugin);
    arena_release(&access->arena);
    *access = (struct kube_access){0};
}

/* --- the server's URL --- */

static int bad_server(struct slice server, struct errmsg *msg)
{
    return errmsg_set(msg, -EINVAL, "server \"%.*s\" is not valid: expected https://HOST:PORT", SLICE_ARGS(slice_take(server, 200)));
}

int kube_split_authority(struct slice text, uint16_t default_port, struct slice *ret_host, uint16_t *ret_port)
{
    size_t end = text.len && text.ptr[0] == '[' ? slice_find(text, ']') : slice_find(text, ':');
    struct slice rest;
    uint64_t port = default_port;
    struct ip ip;

    if (text.len && text.ptr[0] == '[') {
        *ret_host = slice_skip(slice_take(text, end), 1);
        rest = slice_skip(text, end + 1);
        if (end == text.len || ip_parse(*ret_host, &ip) < 0 || ip.version != 6)
            return -EINVAL;
    } else {
        *ret_host = slice_take(text, end);
        rest = slice_skip(text, end);
        if (ip_parse(*ret_host, &ip) < 0 && !san_is_dns(slice_ends(*ret_host, SLICE_LIT(".")) ? slice_take(*ret_host, ret_host->len - 1) : *ret_host))
            return -EINVAL;
    }
    if (rest.len && (rest.ptr[0] != ':' || slice_u64(slice_skip(rest, 1), UINT16_MAX, &port) < 0 || !port))
        return -EINVAL;
    *ret_port = (uint16_t)port;
    return 0;
}

/* A path without query, fragment and what would break a request line. */
static bool is_path(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || (unsigned char)text.ptr[i] >= 0x7f || strchr("?#\\\"", text.ptr[i]))
            return false;
    return true;
}

int kube_access_set_server(struct kube_access *access, struct slice server, struct errmsg *msg)
{
    struct slice rest = server;
    uint16_t port;

    access->server = server;
    access->tls = slice_starts(rest, SLICE_LIT("https://"));
    if (!access->tls && !slice_starts(rest, SLICE_LIT("http://")))
        return bad_server(server, msg);
    rest = slice_skip(rest, access->tls ? 8 : 7);
    port = access->tls ? 443 : 80;
    access->authority = slice_take(rest, slice_find(rest, '/'));
    access->prefix = slice_skip(rest, access->authority.len);
    while (slice_ends(access->prefix, SLICE_LIT("/")))
        access->prefix.len--;
    if (kube_split_authority(access->authority, port, &access->host, &access->port) < 0 || !is_path(access->prefix))
        return bad_server(server, msg);
    return 0;
}

int kube_access_use_environment(struct kube_access *access, struct errmsg *msg)
{
    const struct proxy_variables variables = proxy_variables_read();
    struct slice url = proxy_variables_choose(&variables, access->tls, access->host, access->port);
    int r;

    if (access->proxy.kind != TUNNEL_NONE || !url.len)
        return 0;
    r = proxy_url_parse(&access->arena, url, &access->proxy, msg);
    return r < 0 ? errmsg_prefix(msg, r, "the variable %s_PROXY", access->tls ? "HTTPS" : "HTTP") : 0;
}

/* --- for another user --- */

static int take_name(struct kube_access *access, const char *what, struct slice name, struct errmsg *msg, struct slice *ret_name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < ' ' || name.ptr[i] == 0x7f)
            return errmsg_set(msg, -EINVAL, "the %s to act for has a control character in its name", what);
    if (!name.len)
        return errmsg_set(msg, -EINVAL, "the %s to act for has no name", what);
    *ret_name = arena_dup(&access->arena, name);
    return ret_name->ptr ? 0 : -ENOMEM;
}

int kube_access_impersonate_group(struct kube_access *access, struct slice group, struct errmsg *msg)
{
    if (access->as_group_count == LIMIT_API_GROUPS)
        return errmsg_set(msg, -EINVAL, "groups to act for: expected at most %d", LIMIT_API_GROUPS);
    return take_name(access, "group", group, msg, &access->as_groups[access->as_group_count++]);
}

int kube_access_check_impersonation(const struct kube_access *access, struct errmsg *msg)
{
    if (access->as.len || !(access->as_group_count || access->as_uid.len || access->as_extra_count))
        return 0;
    return errmsg_set(msg, -EINVAL, "%s to act for, but no user: name one too (--as)", access->as_group_count ? "groups" : access->as_uid.len ? "a uid" : "attributes");
}

int kube_access_impersonate(struct kube_access *access, struct slice as, const char *const *groups, size_t group_count, struct errmsg *msg)
{
    int r = as.len ? take_name(access, "user", as, msg, &access->as) : 0;

    if (group_count)
        access->as_group_count = 0;
    for (size_t i = 0; r == 0 && i < group_count; i++)
        r = kube_access_impersonate_group(access, slice_str(groups[i]), msg);
    return r == 0 ? kube_access_check_impersonation(access, msg) : r;
}

int kube_access_impersonate_uid(struct kube_access *access, struct slice uid, struct errmsg *msg)
{
    return take_name(access, "user's uid", uid, msg, &access->as_uid);
}

/* What a field's name may hold stays, the rest is %-escaped, as the API server expects it (and keys in small letters). */
static int escape_key(struct slice key, struct buffer *to)
{
    for (size_t i = 0; i < key.len; i++) {
        const unsigned char c = (unsigned char)key.ptr[i];

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$&'*+-.^_`|~", c)))
            buffer_add_byte(to, (char)c);
        else if (c >= 'A' && c <= 'Z')
            buffer_add_byte(to, (char)(c | 0x20));
        else
            buffer_printf(to, "%%%02X", c);
    }
    return buffer_error(to);
}

int kube_access_impersonate_extra(struct kube_access *access, struct slice key, struct slice value, struct errmsg *msg)
{
    struct kube_extra extra;
    struct buffer name;
    int r;

    if (access->as_extra_count == LIMIT_API_EXTRAS)
        return errmsg_set(msg, -EINVAL, "attributes to act with: expected at most %d", LIMIT_API_EXTRAS);
    if (!key.len)
        return errmsg_set(msg, -EINVAL, "an attribute to act with has no name");
    r = take_name(access, "attribute", value, msg, &extra.value);
    if (r < 0)
        return r;
    buffer_init(&name, 1024);
    buffer_add_lit(&name, "impersonate-extra-");
    r = escape_key(key, &name);
    extra.name = r == 0 ? arena_dup(&access->arena, buffer_slice(&name)) : SLICE_NULL;
    buffer_release(&name);
    if (r == -ENOBUFS)
        return errmsg_set(msg, -EINVAL, "an attribute to act with has a name that is too long");
    if (!extra.name.ptr)
        return -ENOMEM;
    access->as_extras[access->as_extra_count++] = extra;
    return 0;
}

/* --- in a pod --- */

static struct slice trim_lines(struct slice text)
{
    while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
        text.len--;
    while (text.len && strchr(" \t\r\n", text.ptr[0]))
        text = slice_skip(text, 1);
    return text;
}

/* The pod's namespace; nothing where it cannot be read, for it is a default only. */
static struct slice namespace_of(struct arena *arena, const char *directory)
{
    struct slice path = arena_printf(arena, "%s/namespace", directory), name = SLICE_LIT("");
    struct buffer text;

    if (!path.ptr)
        return name;
    if (file_load(path, 4096, &text, NULL) == 0)
        name = arena_dup(arena, trim_lines(buffer_slice(&text)));
    buffer_release(&text);
    return name;
}

int kube_access_in_pod(const char *host, const char *port, const char *directory, struct kube_access *ret_access,
                       struct errmsg *msg)
{
    struct kube_access access = {0};
    int r;

    if (!host || !*host || !port || !*port)
        return errmsg_set(msg, -ENOENT, "KUBERNETES_SERVICE_HOST is not set, so this is no pod of a cluster: name a kubeconfig file");
    arena_init(&access.arena, LIMIT_KUBECONFIG);
    access.server = arena_printf(&access.arena, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
    access.ca_file = arena_printf(&access.arena, "%s/ca.crt", directory);
    access.token_file = arena_printf(&access.arena, "%s/token", directory);
    access.origin = SLICE_LIT("the cluster that this pod runs in");
    access.namespace_ = namespace_of(&access.arena, directory);
    r = access.server.ptr && access.ca_file.ptr && access.token_file.ptr ? 0 : -ENOMEM;
    if (r == 0)
        r = kube_access_set_server(&access, access.server, msg);
    if (r == 0)
        r = kube_access_use_environment(&access, msg);
    if (r < 0) {
        kube_access_release(&access);
        return r;
    }
    *ret_access = access;
    return 0;
}

/* --- credentials --- */

/* What a token's file or a header may hold: one run of visible characters. */
static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || (unsigned char)text.ptr[i] >= 0x7f)
            return false;
    return text.len > 0;
}

static int add_token_of_file(const struct kube_access *access, struct buffer *ret_value, struct errmsg *msg)
{
    struct buffer text;
    struct slice token;
    int r = file_load(access->token_file, LIMIT_TOKEN, &text, msg);

    token = trim_lines(buffer_slice(&text));
    if (r == 0 && !is_token(token))
        r = errmsg_set(msg, -EINVAL, "%.*s holds no token", SLICE_ARGS(access->token_file));
    if (r == 0)
        r = buffer_printf(ret_value, "Bearer %.*s", SLICE_ARGS(token));
    file_forget(&text);
    return r;
}

int kube_access_authorization(const struct kube_access *access, struct buffer *ret_value, struct errmsg *msg)
{
    const struct exec_credential *given = exec_plugin_credential(access->plugin);
    char pair[1024];
    int len, r;

    if (access->token_file.len) {
        r = add_token_of_file(access, ret_value, msg);
        if (r == 0 || !access->token.len)
            return r;
    }
    if (access->token.len)
        return is_token(access->token) ? buffer_printf(ret_value, "Bearer %.*s", SLICE_ARGS(access->token))
                                       : errmsg_set(msg, -EINVAL, "the token of %.*s has spaces or control characters in it", SLICE_ARGS(access->origin));
    if (given && given->token.len)
        return is_token(given->token) ? buffer_printf(ret_value, "Bearer %.*s", SLICE_ARGS(given->token))
                                      : errmsg_set(msg, -EINVAL, "the token that %.*s gave has spaces or control characters in it", SLICE_ARGS(access->exec.command));
    if (!access->user.len)
        return 0;
    len = snprintf(pair, sizeof(pair), "%.*s:%.*s", SLICE_ARGS(access->user), SLICE_ARGS(access->password));
    if (len < 0 || (size_t)len >= sizeof(pair))
        return errmsg_set(msg, -EINVAL, "username and password of %.*s are too long", SLICE_ARGS(access->origin));
    buffer_add_lit(ret_value, "Basic ");
    r = base64_add(ret_value, slice_of(pair, (size_t)len));
    explicit_bzero(pair, sizeof(pair));
    return r;
}

/* The text itself, or what is in the file. */
static int load(struct slice pem, struct slice file, struct buffer *held, struct slice *ret_pem, struct errmsg *msg)
{
    int r;

    *ret_pem = pem;
    if (pem.len || !file.len)
        return 0;
    r = file_load(file, LIMIT_PEM, held, msg);
    *ret_pem = buffer_slice(held);
    if (r == 0 && !held->len)
        r = errmsg_set(msg, -EINVAL, "%.*s is empty: expected PEM", SLICE_ARGS(file));
    return r;
}

int kube_access_tls(const struct kube_access *access, struct sys *sys, struct tls_context **ret_context,
                    struct errmsg *msg)
{
    const struct exec_credential *given = exec_plugin_credential(access->plugin);
    struct tls_web options = {.insecure = access->insecure};
    struct buffer ca = {0}, certificate = {0}, key = {0};
    int r;

    if (!access->tls) {
        *ret_context = NULL;
        return 0;
    }
    r = access->insecure ? 0 : load(access->ca_pem, access->ca_file, &ca, &options.anchors, msg);
    if (given && given->certificate_pem.len) {
        options.certificate = given->certificate_pem;
        options.key = given->key_pem;
    } else {
        if (r == 0)
            r = load(access->certificate_pem, access->certificate_file, &certificate, &options.certificate, msg);
        if (r == 0)
            r = load(access->key_pem, access->key_file, &key, &options.key, msg);
    }
    if (r == 0)
        r = tls_web_context_new(sys, &options, msg, ret_context);
    buffer_release(&ca);
    buffer_release(&certificate);
    file_forget(&key);
    return r;
}

int kube_access_proxy_tls(const struct kube_access *access, struct sys *sys, struct tls_context **ret_context, struct errmsg *msg)
{
    struct tls_web options = {.insecure = access->insecure};
    struct buffer ca = {0};
    int r;

    if (!access->proxy.tls) {
        *ret_context = NULL;
        return 0;
    }
    r = access->insecure ? 0 : load(access->ca_pem, access->ca_file, &ca, &options.anchors, msg);
    if (r == 0)
        r = tls_web_context_new(sys, &options, msg, ret_context);
    buffer_release(&ca);
    return r;
}
