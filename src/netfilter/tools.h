/*
 * Which programs read and write the rules. iptables comes in two kinds that know
 * nothing of each other's rules: nft (nf_tables) and legacy (xtables); plain is
 * whichever of the two the system has chosen.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/errmsg.h"

enum firewall_mode { FIREWALL_LEGACY, FIREWALL_NFT, FIREWALL_PLAIN, FIREWALL_MODE_COUNT };

struct firewall_tools {
    enum firewall_mode mode;
    char restore[PATH_MAX], save[PATH_MAX]; /* full paths */
};

/* "legacy", "nft", "plain". */
const char *firewall_mode_name(enum firewall_mode mode);
/* By that name. 0 or -EINVAL. */
int firewall_mode_parse(const char *name, enum firewall_mode *ret_mode);
/* Whether `path` may be executed; a test has its own. */
typedef bool (*tools_probe)(const char *path);
/*
 * The tools of exactly this mode for `version` 4 or 6, searched in the folders of `search` (as PATH is; may be NULL) and
 * then in the usual system folders. -ENOENT with a sentence when they are not there.
 */
int tools_find(enum firewall_mode mode, int version, const char *search, tools_probe probe, struct errmsg *msg,
               struct firewall_tools *ret_tools);
/* The same, or else those of another mode: nft, then plain, then legacy. */
int tools_find_any(enum firewall_mode mode, int version, const char *search, tools_probe probe, struct errmsg *msg,
                   struct firewall_tools *ret_tools);
