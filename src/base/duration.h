/*
 * Spans and points of time are int64_t nanoseconds under names that end in _ns;
 * points are on the monotonic clock of the event layer unless a name says
 * wall. This reads and prints what people write.
 */
#pragma once

#include <stdint.h>

#include "base/slice.h"

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* The proxy's environment: a whole number and ms, s, m, h or d; a bare 0. 0, -EINVAL or -ERANGE. */
int duration_parse(struct slice text, int64_t *ret_ns);
/* Go's form, as Kubernetes resources and the CLI have it: "1h15m30.918273645s", "-2s", "1.5h", us and ns too. */
int duration_parse_go(struct slice text, int64_t *ret_ns);
enum { DURATION_TEXT_MAX = 32 };
/* "1h2m", "250ms", "1s500ms", "0s": the largest part and, unless zero, the next smaller. Returns `out`. */
char *duration_format(int64_t ns, char out[DURATION_TEXT_MAX]);
