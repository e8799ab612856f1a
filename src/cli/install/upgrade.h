/* What `linkerd upgrade` would make of an installation without flags: what `linkerd prune` compares with. */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"
#include "cli/install/install_found.h"

/* The values of the installation with the identity in force, under their names of today. For the caller to release. */
int upgrade_values(const struct found *found, struct errmsg *msg, json_t **ret_values);
