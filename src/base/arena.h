/*
 * An arena is the memory of one lifetime: a connection, a request, a message.
 * Allocation moves a pointer; everything goes at once with arena_release().
 * Whatever is not memory (a descriptor, a reference, a timer) registers a
 * cleanup and is given back at the same moment, the newest first.
 *
 * An arena is born with a maximum. Beyond it, or when the system has no memory,
 * arena_alloc() returns NULL and the caller sheds what it was doing; nothing
 * already in the arena is harmed. Not for several threads at once.
 */
#pragma once

#include <stddef.h>

#include "base/slice.h"

struct arena_block;
struct arena_cleanup;

struct arena {
    char *at, *end;              /* free room in the newest block */
    struct arena_block *blocks;  /* newest first */
    struct arena_cleanup *cleanups;
    size_t used;                 /* bytes taken from the system */
    size_t max;                  /* bytes that may be taken from the system */
};

/* Takes no memory until the first allocation. */
void arena_init(struct arena *arena, size_t max);
/* The first `size` bytes are taken from there; it is the caller's, aligned for any type, and outlives the arena's use. */
void arena_lend(struct arena *arena, void *memory, size_t size);
/* Runs the cleanups and frees all; the arena may be used again as after init. */
void arena_release(struct arena *arena);
/* As release, but keeps the first block for the next use if it is small. */
void arena_reset(struct arena *arena);

/* `size` bytes aligned for any type, not initialised, or NULL. A size of 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);
/* The same, zeroed, for `count` elements; NULL as well when the product overflows. */
void *arena_zalloc(struct arena *arena, size_t count, size_t size);
/* A copy of the bytes, with a NUL behind it that the slice does not count; .ptr NULL on failure. */
struct slice arena_dup(struct arena *arena, struct slice bytes);
/* printf into the arena; .ptr is NULL on failure. */
struct slice arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Have `run(what)` called when the arena is released or reset. 0 or -ENOMEM (then it is not registered). */
int arena_on_release(struct arena *arena, void (*run)(void *what), void *what);

#define ARENA_NEW(arena, type) ((type *)arena_zalloc((arena), 1, sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_zalloc((arena), (count), sizeof(type)))
