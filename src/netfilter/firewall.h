/*
 * The rules of this network namespace: read, made as they should be, taken out.
 * Each change is one transaction of one family, prepared from what was read
 * just before and checked by reading again. Everything can be repeated.
 *
 *     struct firewall fw = {.version = 4, .tools = tools, .wait_ns = 5 * NS_PER_S};
 *     r = firewall_install(&fw, &redirect, &msg);
 *
 * Blocks; nothing is kept between calls. Errors say what failed, what iptables
 * printed and what to do about it.
 */
#pragma once

#include <stdint.h>

#include "base/errmsg.h"
#include "netfilter/rules.h"
#include "netfilter/saved.h"
#include "netfilter/tools.h"

struct firewall {
    int version; /* 4 or 6 */
    struct firewall_tools tools;
    int64_t wait_ns; /* how long to wait for the lock that iptables programs share; whole seconds, at least one */
    /* Told what is run and what was printed, for a log; may be NULL. */
    void (*trace)(void *owner, const char *program, struct slice input, struct slice output);
    void *trace_owner;
};

/* Makes the rules so. *ret_changed (may be NULL): false when they were so before. */
int firewall_install(const struct firewall *firewall, const struct redirect *redirect, struct errmsg *msg,
                     bool *ret_changed);
/*
 * Whether the rules are there, by number and not by words, which differ between versions of iptables. -ENOENT with a
 * sentence that says what is missing.
 */
int firewall_check(const struct firewall *firewall, const struct redirect *redirect, struct errmsg *msg);
/* Takes our rules out. *ret_changed (may be NULL): false when there were none. */
int firewall_remove(const struct firewall *firewall, struct errmsg *msg, bool *ret_changed);
/* What is there now, as text in *text (a fresh buffer, released by the caller) and as what it means. */
int firewall_read(const struct firewall *firewall, struct errmsg *msg, struct buffer *ret_text,
                  struct saved *ret_saved);
/* What to do about a complaint of iptables, or NULL. For messages that others print. */
const char *firewall_hint(struct slice complaint);
