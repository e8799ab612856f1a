#include "api/wire.h"

#include <errno.h>

#include "api/precheck.h"

static void *alloc_in_arena(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void leave_to_arena(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

int wire_unpack(const ProtobufCMessageDescriptor *type, struct slice bytes, struct arena *arena, struct errmsg *msg,
                void *ret_message)
{
    ProtobufCAllocator allocator = {alloc_in_arena, leave_to_arena, arena};
    ProtobufCMessage *message;
    int r = precheck(type, bytes, msg);

    if (r < 0)
        return r;
    message = protobuf_c_message_unpack(type, &allocator, bytes.len, (const uint8_t *)bytes.ptr);
    if (!message) /* whatever is malformed was refused before */
        return errmsg_set(msg, -ENOMEM, "%s: no memory to decode %zu bytes", type->short_name, bytes.len);
    *(void **)ret_message = message;
    return 0;
}

int wire_pack(const ProtobufCMessage *message, struct buffer *out)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    char *room = buffer_room(out, len);

    if (!room)
        return buffer_error(out);
    buffer_grew(out, protobuf_c_message_pack(message, (uint8_t *)room));
    return 0;
}
