/* HTTP/2 from a client: codec/h2/h2.h as a server. */
#include "h2_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size)
        drive_run(H2_SERVER, slice_of(data, size));
    return 0;
}
