/*
 * What iptables-save printed of the nat table, as far as it is ours: whether our
 * chains exist, how many rules they have, and which rules of the built-in
 * chains jump to them. Pure; slices borrow from the text that was read.
 *
 *     *nat
 *     :PREROUTING ACCEPT [0:0]
 *     :PROXY_INIT_REDIRECT - [0:0]
 *     -A PREROUTING -m comment --comment "..." -j PROXY_INIT_REDIRECT     <- a jump
 *     -A PROXY_INIT_REDIRECT -p tcp ... -j REDIRECT --to-ports 4143       <- a rule
 *     COMMIT
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum chain {
    CHAIN_REDIRECT, /* PROXY_INIT_REDIRECT, entered from PREROUTING */
    CHAIN_OUTPUT,   /* PROXY_INIT_OUTPUT, entered from OUTPUT */
    CHAIN_COUNT
};

enum { SAVED_JUMPS_MAX = 16 }; /* more jumps to one chain than this: somebody's loop, refused */

struct saved_chain {
    bool exists;
    size_t rules;
    struct slice first_rule, last_rule; /* whole lines; the rules lie between them in the text */
    size_t jumps;
    struct slice jump[SAVED_JUMPS_MAX]; /* without "-A ": "PREROUTING -m comment ... -j PROXY_INIT_REDIRECT" */
};

struct saved {
    struct saved_chain chain[CHAIN_COUNT];
    bool other_backend; /* iptables-nft-save warns that the legacy tables have rules too */
};

const char *chain_name(enum chain chain);
/* The built-in chain from which it is entered. */
const char *chain_origin(enum chain chain);

/*
 * Reads the text; chains of other tables than nat are passed over. -E2BIG: more than SAVED_JUMPS_MAX jumps.
 * -EPROTO: the table cannot be changed by iptables at all (made by nft with features that it does not know).
 */
int saved_read(struct slice text, struct saved *ret_saved);
/* Whether there is anything of ours. */
bool saved_has_rules(const struct saved *saved);
