/*
 * For tests, linked with --wrap (meson: failing_memory, failing_memory_source): one allocation fails, the next ones are served again.
 * Of jansson's too after json_set_alloc_funcs(malloc, free).
 */
#pragma once

#include <stdbool.h>

/* The allocation of this number from now fails: 0 is the next. */
void failing_memory_set(long at);
/* None fails any more. Whether one has. */
bool failing_memory_end(void);
