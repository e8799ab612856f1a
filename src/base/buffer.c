#include "base/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_init(struct buffer *buffer, size_t max)
{
    *buffer = (struct buffer){.max = max};
}

void buffer_release(struct buffer *buffer)
{
    free(buffer->data);
    buffer_init(buffer, buffer->max);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->len = 0;
    buffer->error = 0;
}

/* Room for `more` bytes and a NUL behind them, which counts neither as length nor against the maximum. */
static char *room_and_nul(struct buffer *buffer, size_t more)
{
    size_t size = buffer->size ? buffer->size : 256;
    char *data;

    if (buffer->error)
        return NULL;
    if (more > buffer->max - buffer->len) {
        buffer->error = -ENOBUFS;
        return NULL;
    }
    if (buffer->len + more < buffer->size)
        return buffer->data + buffer->len;
    while (size <= buffer->len + more)
        size *= 2;
    data = realloc(buffer->data, size);
    if (!data) {
        buffer->error = -ENOMEM;
        return NULL;
    }
    buffer->data = data;
    buffer->size = size;
    return data + buffer->len;
}

char *buffer_room(struct buffer *buffer, size_t more)
{
    return room_and_nul(buffer, more);
}

void buffer_grew(struct buffer *buffer, size_t written)
{
    buffer->len += written;
}

void buffer_drop(struct buffer *buffer, size_t count)
{
    if (count >= buffer->len) {
        buffer->len = 0;
        return;
    }
    memmove(buffer->data, buffer->data + count, buffer->len - count);
    buffer->len -= count;
}

int buffer_add(struct buffer *buffer, struct slice bytes)
{
    char *room = buffer_room(buffer, bytes.len);

    if (!room)
        return buffer->error;
    if (bytes.len)
        memcpy(room, bytes.ptr, bytes.len);
    buffer->len += bytes.len;
    return 0;
}

int buffer_vprintf(struct buffer *buffer, const char *format, va_list args)
{
    va_list again;
    char *room;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0)
        return buffer->error = -EINVAL;
    room = room_and_nul(buffer, (size_t)len);
    if (!room)
        return buffer->error;
    vsnprintf(room, (size_t)len + 1, format, args);
    buffer->len += (size_t)len;
    return 0;
}

int buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    int r;

    va_start(args, format);
    r = buffer_vprintf(buffer, format, args);
    va_end(args);
    return r;
}

/* Bytes of the well-formed UTF-8 character at the front, or 0. */
static size_t utf8_char(struct slice text)
{
    for (size_t len = 1; len <= 4 && len <= text.len; len++)
        if (slice_is_utf8(slice_take(text, len)))
            return len;
    return 0;
}

int buffer_add_json(struct buffer *buffer, struct slice text)
{
    buffer_add_byte(buffer, '"');
    while (text.len) {
        unsigned char c = (unsigned char)text.ptr[0];
        size_t len = utf8_char(text);

        if (c == '"' || c == '\\')
            buffer_printf(buffer, "\\%c", c);
        else if (c == '\n')
            buffer_add_lit(buffer, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buffer_printf(buffer, "\\u%04x", c);
        else if (len == 0)
            buffer_add_lit(buffer, "\\ufffd");
        else
            buffer_add(buffer, slice_take(text, len));
        text = slice_skip(text, len ? len : 1);
    }
    return buffer_add_byte(buffer, '"');
}
