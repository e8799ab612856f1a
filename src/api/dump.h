/*
 * Messages for people: what a control plane said, field by field, as the proto
 * names them. Fields that are not set are left out; durations, addresses and maps
 * look as people write them. Whatever was said is shown, whether or not the mesh
 * could follow it.
 */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/slice.h"

enum dump_type {
    DUMP_OUTBOUND_POLICY, /* io.linkerd.proxy.outbound.OutboundPolicy */
    DUMP_SERVER,          /* io.linkerd.proxy.inbound.Server */
};
enum dump_form { DUMP_YAML, DUMP_JSON };

/* Appends the text with a line end. -EBADMSG when it is no such message; -ENOMEM or the buffer's error. */
int message_dump(enum dump_type type, struct slice message, enum dump_form form, struct errmsg *msg, struct buffer *out);
