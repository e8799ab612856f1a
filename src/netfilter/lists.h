/*
 * Lists of ports and networks with a comma between each, as flags, annotations
 * and configurations have them. What cannot be read is a line in `problems`,
 * never left out silently.
 *
 *     struct list_reading in = {"--inbound-ports-to-ignore", LIST_RANGES, &problems, NULL, 0};
 *     lists_add(&in, SLICE_LIT("4190,4191,8000-8010"));      <- as often as there are pieces
 *     redirect.skip_inbound = in.items;                      <- an array of the kind, the caller's to free
 */
#pragma once

#include "base/buffer.h"
#include "netfilter/rules.h"

enum list_kind {
    LIST_PORTS,   /* uint16_t: 80 */
    LIST_RANGES,  /* struct port_range: 80 or 8000-8010 */
    LIST_NETWORKS /* struct cidr: 10.0.0.0/8; an address without prefix is refused, it would be a guess which */
};

struct list_reading {
    const char *name; /* for complaints */
    enum list_kind kind;
    struct buffer *problems;
    void *items; /* on the heap; NULL when there are none */
    size_t count;
};

/* Appends the items of the list; empty ones (a comma too many) are passed over. At most LIMIT_PORT_LIST in all. */
void lists_add(struct list_reading *reading, struct slice list);
/* The arrays become the redirect's: the only ports that are redirected, and what is left out. */
void redirect_take_lists(struct redirect *redirect, const struct list_reading *inbound_only, const struct list_reading *skip_inbound,
                         const struct list_reading *skip_outbound, const struct list_reading *skip_networks);
/* Frees the arrays of a redirect whose arrays came from here. */
void redirect_release(struct redirect *redirect);
