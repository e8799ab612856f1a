#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "kube/access/access.h"
#include "kube/access/proxy_url.h"

static const struct {
    const char *url;
    enum tunnel_kind kind;
    bool tls;
    const char *host;
    unsigned port;
    const char *user, *password; /* NULL host: refused */
} urls[] = {
    {"http://proxy:3128", TUNNEL_HTTP, false, "proxy", 3128, "", ""},
    {"http://proxy/", TUNNEL_HTTP, false, "proxy", 80, "", ""},
    {"proxy:8080", TUNNEL_HTTP, false, "proxy", 8080, "", ""},
    {"https://proxy.example.com", TUNNEL_HTTP, true, "proxy.example.com", 443, "", ""},
    {"socks5://10.0.0.1", TUNNEL_SOCKS5, false, "10.0.0.1", 1080, "", ""},
    {"socks5h://[fd00::1]:1", TUNNEL_SOCKS5, false, "fd00::1", 1, "", ""},
    {"http://me:p%40ss%3a@proxy", TUNNEL_HTTP, false, "proxy", 80, "me", "p@ss:"},
    {"http://me:a@b@proxy", TUNNEL_HTTP, false, "proxy", 80, "me", "a@b"},
    {"http://me@proxy", TUNNEL_HTTP, false, "proxy", 80, "me", ""},
    {"ftp://proxy", .host = NULL}, {"socks4://proxy", .host = NULL}, {"", .host = NULL}, {"http://", .host = NULL}, {"http://proxy:0", .host = NULL},
    {"http://proxy/path", .host = NULL}, {"http://a b", .host = NULL}, {"http://me:%0d@proxy", .host = NULL}, {"http://me:%4@proxy", .host = NULL},
    {"http://me:%@proxy", .host = NULL}, {"http://%3a:x@proxy", .host = NULL}, {"http://pro\nxy", .host = NULL},
};

static void test_urls(void **state)
{
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct tunnel_proxy proxy;
        struct errmsg msg = {""};
        struct arena arena;
        int r;

        arena_init(&arena, 1 << 16);
        r = proxy_url_parse(&arena, slice_str(urls[i].url), &proxy, &msg);
        if (r != (urls[i].host ? 0 : -EINVAL))
            fail_msg("%s: %d %s", urls[i].url, r, msg.text);
        if (r == 0) {
            assert_int_equal(proxy.kind, urls[i].kind);
            assert_int_equal(proxy.tls, urls[i].tls);
            assert_true(slice_eq(proxy.host, slice_str(urls[i].host)));
            assert_int_equal(proxy.port, urls[i].port);
            assert_true(slice_eq(proxy.user, slice_str(urls[i].user)));
            assert_true(slice_eq(proxy.password, slice_str(urls[i].password)));
        }
        arena_release(&arena);
    }
}

static const struct {
    const char *no, *host;
    uint16_t port;
    bool proxied;
} exceptions[] = {
    {"", "api.example.com", 443, true},
    {"", "localhost", 443, false},
    {"", "LocalHost", 443, false},
    {"", "127.1.2.3", 443, false},
    {"", "::1", 443, false},
    {"*", "api.example.com", 443, false},
    {"example.com", "api.example.com", 443, false},
    {"example.com", "example.com", 443, false},
    {"example.com", "notexample.com", 443, true},
    {" other , EXAMPLE.com ", "example.com", 443, false},
    {".example.com", "api.example.com", 443, false},
    {".example.com", "example.com", 443, true},
    {"*.example.com", "api.example.com", 443, false},
    {"*.example.com", "example.com", 443, true},
    {"api.example.com:6443", "api.example.com", 443, true},
    {"api.example.com:6443", "api.example.com", 6443, false},
    {"10.0.0.0/8", "10.96.0.1", 443, false},
    {"10.0.0.0/8", "11.96.0.1", 443, true},
    {"10.0.0.0/8", "ten.example", 443, true},
    {"10.96.0.1", "10.96.0.1", 443, false},
    {"10.96.0.1:443", "10.96.0.1", 443, false},
    {"10.96.0.1:80", "10.96.0.1", 443, true},
    {"fd00::1", "fd00::1", 443, false},
    {"[fd00::1]:443", "fd00::1", 443, false},
    {"[fd00::1]:80", "fd00::1", 443, true},
    {"fd00::/8", "fd12::1", 443, false},
    {",,", "api", 443, true},
    {".", "api", 443, true},
};

static void test_exceptions(void **state)
{
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
        const struct proxy_variables variables = {SLICE_LIT("http://p:1"), SLICE_LIT(""), slice_str(exceptions[i].no)};
        struct slice url = proxy_variables_choose(&variables, true, slice_str(exceptions[i].host), exceptions[i].port);

        if ((url.len > 0) != exceptions[i].proxied)
            fail_msg("NO_PROXY=%s %s:%u", exceptions[i].no, exceptions[i].host, exceptions[i].port);
        assert_int_equal(proxy_variables_choose(&variables, false, slice_str(exceptions[i].host), 80).len, 0); /* HTTP_PROXY is not set */
    }
}

static void test_environment(void **state)
{
    struct kube_access access = {0};
    struct errmsg msg = {""};

    arena_init(&access.arena, 1 << 16);
    assert_int_equal(kube_access_set_server(&access, SLICE_LIT("https://api.example:6443"), &msg), 0);
    setenv("https_proxy", "http://small:1", 1);
    assert_int_equal(kube_access_use_environment(&access, &msg), 0);
    assert_true(slice_eq(access.proxy.host, SLICE_LIT("small")));
    assert_int_equal(kube_access_use_environment(&access, &msg), 0); /* one is set already */
    access.proxy = (struct tunnel_proxy){0};
    setenv("HTTPS_PROXY", "socks5://capital:2", 1);
    assert_int_equal(kube_access_use_environment(&access, &msg), 0);
    assert_int_equal(access.proxy.kind, TUNNEL_SOCKS5);
    access.proxy = (struct tunnel_proxy){0};
    setenv("NO_PROXY", "api.example:6443", 1);
    assert_int_equal(kube_access_use_environment(&access, &msg), 0);
    assert_int_equal(access.proxy.kind, TUNNEL_NONE);
    setenv("NO_PROXY", "", 1);
    setenv("HTTPS_PROXY", "ftp://me:secret@x", 1);
    assert_int_equal(kube_access_use_environment(&access, &msg), -EINVAL);
    assert_non_null(strstr(msg.text, "the variable HTTPS_PROXY: expected http://HOST:PORT"));
    assert_null(strstr(msg.text, "secret"));
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("NO_PROXY");
    kube_access_release(&access);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_urls), cmocka_unit_test(test_exceptions), cmocka_unit_test(test_environment)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
