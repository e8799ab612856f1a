/* The hand-over between two proxies: total, bounded; what is understood is encoded to the same again. */
#include <assert.h>
#include <string.h>

#include "proxy/takeover_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char again[TAKEOVER_MESSAGE_MAX];
    static struct takeover_message message, second;
    struct app_ports ports = {.own_count = 0};
    size_t len;

    if (takeover_decode(slice_of(data, size), &message, &ports) != 0)
        return 0;
    len = takeover_encode(&message, &ports, again);
    assert(takeover_decode(slice_of(again, len), &second, &ports) == 0);
    assert(message.kind == second.kind && message.listeners.count == second.listeners.count);
    assert(strcmp(message.text, second.text) == 0);
    return 0;
}
