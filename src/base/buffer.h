/*
 * A growable run of bytes with a maximum, contiguous in memory: for text being
 * built (metrics, JSON, log lines) and for messages being collected. It holds
 * no memory while empty after buffer_release().
 *
 * Errors stick: once an append failed (-ENOBUFS beyond the maximum, -ENOMEM),
 * later ones do nothing, so that a builder may be checked once at its end with
 * buffer_error(). Not for several threads at once.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct buffer {
    char *data;
    size_t len;
    size_t size; /* allocated */
    size_t max;  /* len never exceeds it */
    int error;   /* 0, or the first failure */
};

void buffer_init(struct buffer *buffer, size_t max);
void buffer_release(struct buffer *buffer);
/* Forgets the bytes and the error, keeps the memory. */
void buffer_clear(struct buffer *buffer);
static inline int buffer_error(const struct buffer *buffer) { return buffer->error; }
static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_of(buffer->data, buffer->len);
}

/* Room for `more` bytes behind the last: a pointer to write at, or NULL; buffer_grew() then says how many were written. */
char *buffer_room(struct buffer *buffer, size_t more);
void buffer_grew(struct buffer *buffer, size_t written);
/* Drops bytes at the front; the rest moves there. */
void buffer_drop(struct buffer *buffer, size_t count);

int buffer_add(struct buffer *buffer, struct slice bytes);
static inline int buffer_add_byte(struct buffer *buffer, char byte)
{
    if (buffer->error || buffer->len >= buffer->max || buffer->size - buffer->len < 2) /* or there is no room for it and a NUL */
        return buffer_add(buffer, slice_of(&byte, 1));
    buffer->data[buffer->len++] = byte;
    return 0;
}
#define buffer_add_lit(buffer, literal) buffer_add((buffer), SLICE_LIT(literal))
int buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buffer_vprintf(struct buffer *buffer, const char *format, va_list args);
/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. RFC 8259 section 7. */
int buffer_add_json(struct buffer *buffer, struct slice text);
