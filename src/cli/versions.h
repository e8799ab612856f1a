/* Which version a part of the mesh is, as its admin page tells. */
#pragma once

#include "base/errmsg.h"
#include "base/slice.h"

enum { VERSION_TEXT_MAX = 64 };

/* The version="..." of the first metric whose name ends in _build_info. False when there is none. */
bool version_in_metrics(struct slice metrics, char out[VERSION_TEXT_MAX]);
/* Asks /metrics at the admin address. 0, or a negative errno and a sentence. */
int version_of(const char *admin_address, int64_t timeout_ns, struct errmsg *msg, char out[VERSION_TEXT_MAX]);
