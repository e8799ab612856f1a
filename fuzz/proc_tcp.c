/* A line of the kernel's table of sockets: total, and a listener always has a port that was written there. */
#include "codec/proc_tcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint16_t port;

    (void)proc_tcp_line(slice_of(data, size), &port);
    return 0;
}
