/*
 * The trust anchors and the issuer of an installation: those that the values
 * hold, checked, or new ones (an anchor of ten years whose key is forgotten, an
 * issuer of one) put into the values when there are none.
 */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"

/* `values` need not be complete. -EINVAL, -EKEYREJECTED, ... with a sentence that names the value. */
int install_identity(json_t *values, int64_t wall_ns, struct errmsg *msg);
