/* Quantities of Kubernetes: "100m", "1.5", "250Mi", "1e3". */
#pragma once

#include "base/slice.h"

/* -EINVAL when it is none or negative. Approximate beyond 15 digits, which is enough to compare and to count cores. */
int quantity_read(struct slice text, double *ret_number);
