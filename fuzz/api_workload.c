/* Requests and the JSON texts in them (api/workload.h). */
#include "api/roundtrip.h"
#include "api/workload.h"
#include "base/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct context_token token;
    struct workload workload;
    struct arena arena;

    arena_init(&arena, 64 * 1024);
    context_token_parse(text, &arena, NULL, &token);
    workload_parse(text, &arena, NULL, &workload);
    arena_release(&arena);
    roundtrip_check("GetDestination", text);
    roundtrip_check("PortSpec", text);
    roundtrip_check("TrafficSpec", text);
    return 0;
}
