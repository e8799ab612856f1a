/*
 * A set of objects of one kind, by namespace and name: which ones a list has
 * brought, which ones cannot be decoded. Inside kube/ only.
 */
#pragma once

#include "base/map.h"
#include "kube/objects.h"

struct known {
    struct map map;
};

void known_init(struct known *known);
void known_release(struct known *known);
/* The digest that goes with it, or NULL. */
uint64_t *known_find(const struct known *known, struct slice namespace_, struct slice name);
/* Adds it with digest 0, unless it is there. NULL without memory. */
uint64_t *known_add(struct known *known, struct slice namespace_, struct slice name);
void known_remove(struct known *known, struct slice namespace_, struct slice name);
/* Removes those that the other does not have. */
void known_keep(struct known *known, const struct known *other);
