/* A kubeconfig, perhaps of two files with a NUL between: whatever comes, reading and choosing end within their limits. */
#include <assert.h>
#include <stdint.h>

#include "kube/access/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size), first = slice_take(bytes, slice_find(bytes, '\0'));
    struct kubeconfig *config;
    struct kube_access access;
    struct buffer value;
    struct errmsg msg = {""};

    if (kubeconfig_new(&config) < 0)
        return 0;
    if (kubeconfig_add(config, SLICE_LIT("/a/config"), first, &msg) < 0 ||
        kubeconfig_add(config, SLICE_LIT("b"), slice_skip(bytes, first.len + 1), &msg) < 0) {
        kubeconfig_free(config);
        return 0;
    }
    if (kubeconfig_choose(config, SLICE_LIT(""), &access, &msg) == 0) {
        kubeconfig_free(config);
        assert(access.host.len && access.port && access.server.len);
        buffer_init(&value, 65536);
        access.token_file = SLICE_LIT(""); /* no files */
        (void)kube_access_authorization(&access, &value, &msg);
        buffer_release(&value);
        kube_access_release(&access);
    } else {
        kubeconfig_free(config);
    }
    return 0;
}
