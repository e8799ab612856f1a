#include "base/arena.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_ALIGN = 16,
    ARENA_BLOCK = 1024, /* first block; later ones double up to ARENA_BLOCK_MAX */
    ARENA_BLOCK_MAX = 64 * 1024,
};

struct arena_block {
    struct arena_block *older;
    size_t size; /* with this head */
};

struct arena_cleanup {
    struct arena_cleanup *older;
    void (*run)(void *what);
    void *what;
};

void arena_init(struct arena *arena, size_t max)
{
    *arena = (struct arena){.max = max};
}

void arena_lend(struct arena *arena, void *memory, size_t size)
{
    arena->at = memory;
    arena->end = arena->at + size;
}

static void run_cleanups(struct arena *arena)
{
    while (arena->cleanups) {
        struct arena_cleanup *cleanup = arena->cleanups;

        arena->cleanups = cleanup->older;
        cleanup->run(cleanup->what);
    }
}

void arena_release(struct arena *arena)
{
    run_cleanups(arena);
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->older;
        free(block);
    }
    arena_init(arena, arena->max);
}

static void use_block(struct arena *arena, struct arena_block *block)
{
    arena->at = (char *)block + ((sizeof(*block) + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1));
    arena->end = (char *)block + block->size;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = NULL;

    run_cleanups(arena);
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->older;
        if (!arena->blocks && block->size <= (size_t)4 * ARENA_BLOCK)
            keep = block;
        else
            free(block);
    }
    arena_init(arena, arena->max);
    if (keep) {
        arena->blocks = keep;
        arena->used = keep->size;
        use_block(arena, keep);
    }
}

static int add_block(struct arena *arena, size_t least)
{
    size_t head = (sizeof(struct arena_block) + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    size_t size = arena->blocks ? arena->blocks->size * 2 : ARENA_BLOCK;
    struct arena_block *block;

    if (size > ARENA_BLOCK_MAX)
        size = ARENA_BLOCK_MAX;
    if (size < least + head)
        size = least + head;
    if (size > arena->max - arena->used) {
        size = least + head;
        if (size > arena->max - arena->used)
            return -ENOBUFS;
    }
    block = malloc(size);
    if (!block)
        return -ENOMEM;
    block->size = size;
    block->older = arena->blocks;
    arena->blocks = block;
    arena->used += size;
    use_block(arena, block);
    return 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *memory;

    if (size > SIZE_MAX / 4)
        return NULL;
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (size > (size_t)(arena->end - arena->at) || !arena->at)
        if (add_block(arena, size) < 0)
            return NULL;
    memory = arena->at;
    arena->at += size;
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size)
{
    void *memory;

    if (size && count > SIZE_MAX / 4 / size)
        return NULL;
    memory = arena_alloc(arena, count * size);
    if (memory)
        memset(memory, 0, count * size);
    return memory;
}

struct slice arena_dup(struct arena *arena, struct slice bytes)
{
    char *copy = arena_alloc(arena, bytes.len + 1);

    if (!copy)
        return SLICE_NULL;
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    copy[bytes.len] = '\0';
    return slice_of(copy, bytes.len);
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    char *text;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return SLICE_NULL;
    text = arena_alloc(arena, (size_t)len + 1);
    if (!text)
        return SLICE_NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return slice_of(text, (size_t)len);
}

int arena_on_release(struct arena *arena, void (*run)(void *what), void *what)
{
    struct arena_cleanup *cleanup = arena_alloc(arena, sizeof(*cleanup));

    if (!cleanup)
        return -ENOMEM;
    *cleanup = (struct arena_cleanup){arena->cleanups, run, what};
    arena->cleanups = cleanup;
    return 0;
}
