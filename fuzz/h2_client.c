/* HTTP/2 from a server: codec/h2/h2.h as a client. */
#include "h2_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size)
        drive_run(H2_CLIENT, slice_of(data, size));
    return 0;
}
