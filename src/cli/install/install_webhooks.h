/*
 * What the API server believes of an installation's webhooks, so that an upgrade does not take it away: their certificates are made by
 * components, and the chart has no caBundle of its own, but what was applied before, Linkerd's chart for one, may have had it.
 */
#pragma once

#include "cli/install/install_found.h"

/*
 * The configurations whose caBundle applying a manifest without one would empty, as what was applied last had it: an array for
 * install_render(), for the caller to release.
 */
int found_webhooks(const struct found *found, struct errmsg *msg, json_t **ret_objects);
