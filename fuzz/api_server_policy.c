/* Server messages (api/): what can be decoded is encoded again, twice, to the same bytes. */
#include "api/roundtrip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    roundtrip_check("Server", slice_of(data, size));
    return 0;
}
