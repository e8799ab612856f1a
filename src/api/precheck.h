/*
 * What has to hold before protobuf-c may see bytes from outside. protobuf-c
 * 1.4.1 recurses once for every level of nesting without a bound, ends a string
 * at its first NUL, takes any bytes for UTF-8, and merges a message that is there
 * twice otherwise than other decoders do; so this walks the encoded message along
 * the descriptors first (a walk without them could not know which fields are
 * messages) and refuses
 *
 *   - more bytes than LIMIT_GRPC_MESSAGE, nesting beyond LIMIT_PROTOBUF_DEPTH;
 *   - anything that is cut off, over-long, or a group;
 *   - a known field with another wire type than its own;
 *   - a string field (keys and values of maps too) that is not UTF-8 or holds a NUL;
 *   - a message field that is not repeated and there twice (which no encoder writes).
 *
 * Fields that we do not know are stepped over. After it a `char *` of the decoded
 * message is the whole string. No allocation; time is linear in the bytes, as
 * every byte is looked at once per level that it is nested in a known message.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/errmsg.h"
#include "base/slice.h"

/* 0 or -EBADMSG; the sentence names message and field. */
int precheck(const ProtobufCMessageDescriptor *type, struct slice bytes, struct errmsg *msg);
