#include "base/errmsg.h"

#include <stdarg.h>
#include <stdio.h>

int errmsg_set(struct errmsg *msg, int code, const char *format, ...)
{
    va_list args;

    if (!msg)
        return code;
    va_start(args, format);
    vsnprintf(msg->text, sizeof(msg->text), format, args);
    va_end(args);
    return code;
}

int errmsg_prefix(struct errmsg *msg, int code, const char *format, ...)
{
    struct errmsg before;
    va_list args;
    int len;

    if (!msg)
        return code;
    before = *msg;
    va_start(args, format);
    len = vsnprintf(msg->text, sizeof(msg->text), format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof(msg->text))
        snprintf(msg->text + len, sizeof(msg->text) - (size_t)len, ": %.*s", (int)(sizeof(msg->text) - (size_t)len),
                 before.text);
    return code;
}
