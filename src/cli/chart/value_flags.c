#include "cli/chart/value_flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/chart/values.h"
#include "cli/files.h"

static int put_file(json_t *values, const char *path, const char *file, struct errmsg *msg)
{
    struct buffer bytes;
    int r;

    buffer_init(&bytes, LIMIT_PEM);
    r = file_read(file, msg, &bytes);
    if (r == 0 && !slice_is_utf8(buffer_slice(&bytes)))
        r = errmsg_set(msg, -EINVAL, "%s: is not UTF-8 text", file);
    if (r == 0)
        r = values_put(values, path, json_stringn(bytes.data ? bytes.data : "", bytes.len));
    if (bytes.data)
        explicit_bzero(bytes.data, bytes.len);
    buffer_release(&bytes);
    return r;
}

static int put(json_t *values, const struct value_flag *flag, const char *text, struct errmsg *msg)
{
    int64_t ns;
    char *end;
    long long number;

    switch (flag->kind) {
    case VALUE_TEXT:
        break;
    case VALUE_NUMBER:
        errno = 0;
        number = strtoll(text, &end, 10);
        if (*end || end == text || errno)
            return errmsg_set(msg, -EINVAL, "invalid value \"%s\" for --%s: expected a number", text, flag->flag);
        return values_put(values, flag->path, json_integer(number));
    case VALUE_DURATION:
        if (duration_parse_go(slice_str(text), &ns) < 0 || ns < 0)
            return errmsg_set(msg, -EINVAL, "invalid value \"%s\" for --%s: expected a span of time such as 30s or 24h", text, flag->flag);
        break;
    case VALUE_FILE:
        return put_file(values, flag->path, text, msg);
    }
    return values_put(values, flag->path, json_string(text));
}

int value_flags_put(const struct value_flag *flags, size_t count, const void *options, json_t *values, struct errmsg *msg)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        const char *text = *(const char *const *)(const void *)((const char *)options + flags[i].at);

        if (text && *text) /* NULL: the command has no such flag */
            r = put(values, &flags[i], text, msg);
    }
    return r;
}
