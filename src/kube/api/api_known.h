/*
 * Objects of one kind that cannot be decoded, by namespace and name: how they were
 * written, and when that was seen last. Inside kube/ only.
 */
#pragma once

#include "base/map.h"
#include "kube/objects.h"

struct known {
    struct map map;
};
struct known_item {
    uint64_t digest;
    uint32_t round; /* store_new_round() */
};

void known_init(struct known *known);
void known_release(struct known *known);
/* NULL: it is not there. */
struct known_item *known_find(const struct known *known, struct slice namespace_, struct slice name);
/* Adds it, all zero, unless it is there. NULL without memory. */
struct known_item *known_add(struct known *known, struct slice namespace_, struct slice name);
void known_remove(struct known *known, struct slice namespace_, struct slice name);
/* Removes those of other rounds. */
void known_keep(struct known *known, uint32_t round);
