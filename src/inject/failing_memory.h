/* For tests, linked with --wrap (meson: failing_memory): one allocation fails, ours and those of jansson, the next ones are served again. */
#pragma once

#include <stdbool.h>

/* jansson's go the same way from here on. */
void failing_memory_init(void);
/* The allocation of this number from now fails: 0 is the next. */
void failing_memory_set(long at);
/* None fails any more. Whether one has. */
bool failing_memory_end(void);
