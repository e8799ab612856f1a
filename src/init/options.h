/*
 * What linkerd-init was asked to do. The flags are those of Linkerd's proxy-init
 * and three of ours: --remove, --version, and --help with text of our own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "netfilter/journal.h"
#include "netfilter/rules.h"
#include "netfilter/tools.h"

struct options {
    struct redirect redirect; /* arrays belong to the options */
    enum firewall_mode mode;
    bool mode_given;
    bool ipv6, simulate, remove, wait, version;
    const char *netns;          /* NULL: this one */
    int64_t close_wait_s;       /* 0: left alone */
    enum journal_level log_level;
    bool log_json;
};

/*
 * Reads the command line. -EINVAL: *problems has a line for each mistake. *ret_help as in flags.h. The options are to be
 * released in every case.
 */
int options_parse(int argc, char *const argv[], struct buffer *problems, bool *ret_help, struct options *ret_options);
void options_release(struct options *options);
/* Appends the help text. */
void options_help(struct buffer *out);
