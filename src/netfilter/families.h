/*
 * The rules of a network namespace in both families: which tools are used, in
 * which order, and what a log says of it. For the programs that make rules; the
 * calling thread is in the namespace already (netns.h).
 *
 *     families_init(&families, ipv6, wait, &log);
 *     r = families_find_tools(&families, FIREWALL_NFT, &msg);
 *     r = families_install(&families, &redirect, &msg);
 */
#pragma once

#include <stdbool.h>

#include "netfilter/firewall.h"
#include "netfilter/journal.h"

struct families {
    const struct journal *log;
    size_t count; /* 1: IPv4 alone; 2: IPv6 too */
    struct firewall firewall[2];
};

/* Without IPv6 in the kernel there is nothing to redirect there: a warning, not a failure. `wait`: a minute for the lock, not five seconds. */
void families_init(struct families *families, bool ipv6, bool wait, const struct journal *log);
/* Those of `mode`, or else of another one with a warning. */
int families_find_tools(struct families *families, enum firewall_mode mode, struct errmsg *msg);
int families_install(const struct families *families, const struct redirect *redirect, struct errmsg *msg);
/* -ENOENT with a sentence when the rules are not there; other errors when that cannot be seen. */
int families_check(const struct families *families, const struct redirect *redirect, struct errmsg *msg);
/* Whether `path` may be executed, for tools.h. */
bool tool_is_executable(const char *path);
