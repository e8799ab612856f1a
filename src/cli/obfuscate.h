/*
 * A page of metrics that may be given away: what names something of its owner's (namespaces, workloads, hosts, addresses, identities ...) is
 * replaced by a digest, equal names by equal digests, so that the page can still be read. Words of the mesh's own (direction, classification,
 * status_code ...) stay. A label that is not known is taken for a name. Pure.
 */
#pragma once

#include "base/buffer.h"

/* Appends. A line that is no sample and no comment is left out, since nobody knows what is in it. 0; the buffer's error; or -ENOMEM. */
int obfuscate(struct slice page, struct buffer *to);
