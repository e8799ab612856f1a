/* What a credential plug-in prints, and what it is told of a cluster: within limits, and never half a certificate. */
#include <assert.h>
#include <stdint.h>

#include "kube/access/exec_credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = slice_of(data, size);
    const struct exec_cluster cluster = {.server = text, .ca_pem = text};
    struct exec_credential credential;
    struct errmsg msg = {""};
    struct buffer info;
    struct arena arena;

    arena_init(&arena, 1 << 24);
    if (exec_credential_read(&arena, text, SLICE_LIT("client.authentication.k8s.io/v1"), &credential, &msg) == 0) {
        assert(credential.token.len || credential.certificate_pem.len);
        assert(!credential.certificate_pem.len == !credential.key_pem.len);
    } else {
        assert(msg.text[0]);
    }
    arena_release(&arena);
    buffer_init(&info, 1 << 20);
    (void)exec_info_write(SLICE_LIT("v"), true, &cluster, &info);
    buffer_release(&info);
    return 0;
}
