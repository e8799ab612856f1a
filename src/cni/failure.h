/*
 * A failure as the CNI specification has it (section 2, "Error"): a number, a
 * sentence and what to do. Printed on standard output; the status is then 1.
 */
#pragma once

#include "base/errmsg.h"

enum cni_code {
    CNI_VERSION = 1,      /* a cniVersion that is not spoken here */
    CNI_ENVIRONMENT = 4,  /* a CNI_ variable is missing or wrong */
    CNI_IO = 5,           /* standard input or output */
    CNI_DECODE = 6,       /* what came is no JSON */
    CNI_CONFIG = 7,       /* it is, but not as expected */
    CNI_TRY_AGAIN = 11,   /* the pod cannot be read now */
    CNI_UNAVAILABLE = 50, /* STATUS: ADD would fail */
    CNI_RULES = 100       /* the rules cannot be made, or are not there */
};

struct failure {
    enum cni_code code;
    struct errmsg msg, details; /* what failed; what to do */
};

/* Writes it, and returns -1, so that a check can end in one line. */
int failure_set(struct failure *failure, enum cni_code code, const char *details, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
