/*
 * The redirection as data, and its text for `iptables-restore --noflush`. One
 * text is one transaction for one family: all of it holds, or none. Pure.
 *
 *     PREROUTING -> PROXY_INIT_REDIRECT         OUTPUT -> PROXY_INIT_OUTPUT
 *       RETURN  ports to skip                     RETURN  the proxy's user
 *       RETURN  networks to skip (sources)        RETURN  the proxy's group
 *       REDIRECT tcp to the inbound port          RETURN  the loopback device
 *                                                 RETURN  ports to skip
 *                                                 REDIRECT tcp to the outbound port
 *
 * The order is the meaning: the first rule that fits decides. Only TCP is
 * redirected. Each rule carries a comment `proxy-init/...` that says why it is there.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/ip.h"
#include "netfilter/ports.h"
#include "netfilter/saved.h"

/* What is to be redirected. The arrays belong to the caller. */
struct redirect {
    uint16_t inbound_port, outbound_port; /* where the proxy listens, not 0 */
    uint32_t proxy_uid, proxy_gid;        /* whose traffic is left alone; 0: no such rule */
    const uint16_t *inbound_only;         /* only these ports are redirected; none: all */
    size_t inbound_only_count;
    const struct port_range *skip_inbound;
    size_t skip_inbound_count;
    const struct port_range *skip_outbound;
    size_t skip_outbound_count;
    const struct cidr *skip_networks; /* of both families; each rule set takes its own */
    size_t skip_networks_count;
};

/*
 * Appends the transaction that makes the rules of `version` (4 or 6) so, whatever was there: our chains are created or
 * emptied and filled, a missing jump is added, surplus ones are taken out. Errors stick to the buffer.
 */
int rules_install(const struct redirect *redirect, int version, const struct saved *saved, struct buffer *out);
/* Appends the transaction that takes out what `saved` has of ours, and nothing else. Adds nothing where there is nothing. */
int rules_remove(const struct saved *saved, struct buffer *out);
/* Appends the rules of one chain alone, a line each, as iptables-save prints them. */
int rules_chain(const struct redirect *redirect, int version, enum chain chain, struct buffer *out);
/*
 * Compares the chain, rule by rule and in order, with what it should be: how many are missing, different or too many.
 * The text is that of iptables 1.8; another version may print equal rules differently.
 */
int rules_compare(const struct redirect *redirect, int version, const struct saved *saved, enum chain chain,
                  size_t *ret_wrong);
