#include "cni/failure.h"

#include <stdarg.h>
#include <stdio.h>

int failure_set(struct failure *failure, enum cni_code code, const char *details, const char *format, ...)
{
    va_list args;

    failure->code = code;
    snprintf(failure->details.text, sizeof(failure->details.text), "%s", details);
    va_start(args, format);
    vsnprintf(failure->msg.text, sizeof(failure->msg.text), format, args);
    va_end(args);
    return -1;
}
