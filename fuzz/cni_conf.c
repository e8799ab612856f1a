/* The network configuration that a CNI runtime gives to linkerd-cni; people and other programs write it. */
#include <assert.h>

#include "cni/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct failure failure = {0};
    struct conf conf;

    if (conf_read(slice_of(data, size), &conf, &failure) == 0) {
        assert(conf.version && conf.redirect.inbound_port && conf.redirect.outbound_port);
        for (size_t i = 0; i < conf.redirect.skip_inbound_count; i++)
            assert(conf.redirect.skip_inbound[i].first <= conf.redirect.skip_inbound[i].last);
        for (size_t i = 0; i < conf.redirect.skip_networks_count; i++)
            assert(conf.redirect.skip_networks[i].prefix <= (conf.redirect.skip_networks[i].ip.version == 4 ? 32 : 128));
    } else {
        assert(failure.code && failure.msg.text[0] && failure.details.text[0]);
    }
    conf_release(&conf);
    return 0;
}
