/*
 * Port ranges as people write them on a command line: "8080" or "8000-8010",
 * both ends included.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct port_range {
    uint16_t first, last; /* first <= last */
};

/* 0, or -EINVAL: not a number, above 65535, or the wrong way round. Spaces at the ends are ignored. */
int port_range_parse(struct slice text, struct port_range *ret_range);
bool port_range_has(struct port_range range, uint16_t port);
