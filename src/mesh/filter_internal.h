/* What filter.c and redirect.c share. Not for others. */
#pragma once

#include "mesh/filter.h"

/* 1 and the location; 0: it leads to where the request goes already; -EINVAL: it cannot be built; -ENOMEM. */
int redirect_location(const struct redirect *redirect, const struct http_head *head, const struct route_found *found,
                      struct arena *arena, struct slice *ret_location);
