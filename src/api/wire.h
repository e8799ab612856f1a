/*
 * Internal to api/: bytes to protobuf-c structs and back, with the memory in
 * an arena that the caller drops when the plain structs are made.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/slice.h"

/*
 * Checks (api/precheck.h) and decodes. The message lives as long as the arena
 * and is never to be freed by itself. 0, -EBADMSG or -ENOMEM.
 */
int wire_unpack(const ProtobufCMessageDescriptor *type, struct slice bytes, struct arena *arena, struct errmsg *msg,
                void *ret_message /* pointer to a pointer to the message's struct */);

/* Appends the encoded message. 0, -ENOBUFS or -ENOMEM (the buffer's error). */
int wire_pack(const ProtobufCMessage *message, struct buffer *out);
