/* Names of the mesh that travel in questions and certificates: their parts are parts of the text, and make it again. */
#include <assert.h>
#include <stddef.h>

#include "control/cluster_host.h"
#include "mesh/identity_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lies_in(struct slice part, struct slice whole)
{
    assert(!part.len || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void hosts(struct slice text)
{
    struct errmsg msg = {""};
    struct cluster_host host;
    int r = cluster_host_parse(text, SLICE_LIT("cluster.local"), &msg, &host);

    assert(r == 0 || msg.text[0]); /* a sentence */
    if (r == 0 && !host.is_addr) {
        assert(host.service.len && host.namespace_.len);
        lies_in(host.service, text);
        lies_in(host.namespace_, text);
        lies_in(host.instance, text);
    }
    if (cluster_host_parse_service(text, SLICE_LIT("cluster.local"), &msg, &host) == 0)
        assert(host.service.len && host.namespace_.len && !host.instance.len);
}

static void workloads(struct slice text)
{
    struct workload_name workload;
    struct slice again;
    struct arena arena;

    if (workload_identity_parse(text, &workload) < 0)
        return;
    assert(identity_parse(text).kind == IDENTITY_DNS);
    arena_init(&arena, 65536);
    assert(workload_identity(&workload, &arena, &again) == 0 && slice_eq(again, text));
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct identity identity = identity_parse(text);

    assert(identity.kind == IDENTITY_NONE || slice_eq(identity.name, text));
    hosts(text);
    workloads(text);
    return 0;
}
