#include "base/failing_memory.h"

#include <stdlib.h>

static long allocations_left = -1; /* < 0: without end */
static bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool allowed(void)
{
    if (allocations_left < 0 || allocations_left-- > 0)
        return true;
    failed = true;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return allowed() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return allowed() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *memory, size_t size)
{
    return allowed() ? __real_realloc(memory, size) : NULL;
}

void failing_memory_set(long at)
{
    failed = false;
    allocations_left = at;
}

bool failing_memory_end(void)
{
    allocations_left = -1;
    return failed;
}
