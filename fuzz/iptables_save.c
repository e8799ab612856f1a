/* What iptables-save prints, as the rules of this machine's other programs shape it. */
#include <assert.h>

#include "netfilter/rules.h"

static bool inside(struct slice part, struct slice whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct redirect redirect = {.inbound_port = 4143, .outbound_port = 4140, .proxy_uid = 2102};
    struct slice text = slice_of(data, size);
    struct buffer out;
    struct saved saved;

    if (saved_read(text, &saved) < 0)
        return 0;
    buffer_init(&out, 1 << 20);
    for (int i = 0; i < CHAIN_COUNT; i++) {
        const struct saved_chain *chain = &saved.chain[i];
        size_t wrong;

        assert(chain->jumps <= SAVED_JUMPS_MAX);
        assert(inside(chain->first_rule, text) && inside(chain->last_rule, text));
        for (size_t j = 0; j < chain->jumps; j++)
            assert(inside(chain->jump[j], text) && slice_find(chain->jump[j], '\n') == chain->jump[j].len);
        assert(rules_compare(&redirect, 4, &saved, i, &wrong) == 0);
    }
    if (rules_remove(&saved, &out) == 0)
        assert((out.len > 0) == saved_has_rules(&saved)); /* nothing of ours: nothing to do */
    buffer_clear(&out);
    if (rules_install(&redirect, 4, &saved, &out) == 0)
        assert(slice_ends(buffer_slice(&out), SLICE_LIT("COMMIT\n")));
    buffer_release(&out);
    return 0;
}
