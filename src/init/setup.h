/* What linkerd-init does with its options: make the rules, show them, or take them out. */
#pragma once

#include "init/options.h"
#include "netfilter/journal.h"

/* 0, or negative after having logged what failed. */
int setup_run(const struct options *options, const struct journal *log);
