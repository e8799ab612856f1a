/* A proxy's URL, and behind a NUL an exception (NO_PROXY), and behind another the host that is asked for. */
#include <assert.h>
#include <stdint.h>

#include "kube/access/proxy_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size), url = slice_take(rest, slice_find(rest, '\0')), no, host;
    struct tunnel_proxy proxy;
    struct tunnel *tunnel;
    struct errmsg msg = {""};
    struct arena arena;

    rest = slice_skip(rest, url.len + 1);
    no = slice_take(rest, slice_find(rest, '\0'));
    host = slice_skip(rest, no.len + 1);
    arena_init(&arena, 1 << 20);
    if (proxy_url_parse(&arena, url, &proxy, &msg) == 0) {
        assert(proxy.kind != TUNNEL_NONE && proxy.host.len && proxy.port);
        if (tunnel_new(&proxy, SLICE_LIT("api"), 443, &tunnel) == 0)
            tunnel_free(tunnel);
    }
    arena_release(&arena);
    const struct proxy_variables variables = {.https = SLICE_LIT("x"), .no = no};
    struct slice chosen = proxy_variables_choose(&variables, true, host, 443);
    assert(chosen.len <= 1);
    return 0;
}
