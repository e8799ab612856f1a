/*
 * A slice is a borrowed run of bytes: a pointer and a length, never NUL
 * terminated, never owned. It is how text and wire bytes travel through the
 * project, so that a NUL inside a name can neither end it early nor hide what
 * follows (a certificate name with a NUL in it is a different name, see
 * net/tls/tls.h). Whoever hands out a slice says how long the memory lives.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;
};

#define SLICE_NULL ((struct slice){NULL, 0})
#define SLICE_LIT(literal) ((struct slice){"" literal, sizeof(literal) - 1})
/* For printf: printf("%.*s", SLICE_ARGS(s)). */
#define SLICE_ARGS(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

/* The bytes of a C string, which may be NULL (an empty slice). */
static inline struct slice slice_str(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline struct slice slice_skip(struct slice s, size_t n)
{
    if (n > s.len)
        n = s.len;
    return (struct slice){s.ptr ? s.ptr + n : NULL, s.len - n};
}

static inline struct slice slice_take(struct slice s, size_t n)
{
    return (struct slice){s.ptr, n < s.len ? n : s.len};
}

/* ASCII case is ignored, other bytes are compared as they are. */
bool slice_eq_nocase(struct slice a, struct slice b);
/* Copies s.len bytes, ASCII letters in lower case. */
void slice_lower(struct slice s, char *to);
bool slice_has_upper(struct slice s);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
/* Bytewise order, a prefix before what it begins: <0, 0 or >0. */
int slice_cmp(struct slice a, struct slice b);
/* Position of the first `byte`, or s.len. */
size_t slice_find(struct slice s, char byte);
/* Position of the first occurrence of `needle`, or s.len. */
size_t slice_find_slice(struct slice s, struct slice needle);
/* Without spaces and tabs at either end. */
struct slice slice_trim(struct slice s);
/*
 * Takes the part before `sep` off the front of *rest and returns true; the
 * separator is dropped. The last part is what remains without a separator.
 * False when nothing remains (rest->ptr is NULL from then on).
 *
 *     while (slice_split(&rest, ',', &part)) ...
 */
bool slice_split(struct slice *rest, char sep, struct slice *ret_part);
/* The whole slice as a decimal number without sign. -EINVAL, or -ERANGE above `max`. */
int slice_u64(struct slice s, uint64_t max, uint64_t *ret_value);
/* A NUL terminated copy on the heap, or NULL. The slice must hold no NUL. */
char *slice_dup(struct slice s);
/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool slice_is_utf8(struct slice s);
