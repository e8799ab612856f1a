/* Points of time as Kubernetes objects write them (RFC 3339, UTC). Pure. */
#pragma once

#include <stdint.h>

enum { TIMESTAMP_TEXT_MAX = 32 };

/* metav1.Time: "2026-11-23T12:00:00Z". Returns `out`. */
const char *timestamp_format(int64_t wall_ns, char out[TIMESTAMP_TEXT_MAX]);
/* metav1.MicroTime: "2026-11-23T12:00:00.000001Z". Returns `out`. */
const char *timestamp_format_micro(int64_t wall_ns, char out[TIMESTAMP_TEXT_MAX]);
