#include "cli/versions.h"

#include <errno.h>

#include "base/limits.h"
#include "cli/ask.h"

static bool version_in_line(struct slice line, char out[VERSION_TEXT_MAX])
{
    size_t labels = slice_find(line, '{');
    size_t at = slice_find_slice(line, SLICE_LIT("version=\""));
    struct slice value;

    if (line.len == 0 || line.ptr[0] == '#' || !slice_ends(slice_take(line, labels), SLICE_LIT("_build_info")) ||
        at == line.len)
        return false;
    value = slice_skip(line, at + sizeof("version=\"") - 1);
    value = slice_take(value, slice_find(value, '"'));
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] <= ' ' || value.ptr[i] > '~')
            return false; /* goes to a terminal */
    return snprintf(out, VERSION_TEXT_MAX, "%.*s", SLICE_ARGS(value)) > 0;
}

bool version_in_metrics(struct slice metrics, char out[VERSION_TEXT_MAX])
{
    struct slice line;

    while (slice_split(&metrics, '\n', &line))
        if (version_in_line(line, out))
            return true;
    return false;
}

int version_of(const char *admin_address, int64_t timeout_ns, struct errmsg *msg, char out[VERSION_TEXT_MAX])
{
    struct ask *ask;
    struct buffer body;
    unsigned status;
    int r = ask_open(admin_address, timeout_ns, msg, &ask);

    if (r < 0)
        return r;
    buffer_init(&body, LIMIT_ADMIN_ANSWER);
    r = ask_get(ask, "/metrics", msg, &status, &body);
    if (r == 0 && status != 200)
        r = errmsg_set(msg, -EREMOTEIO, "%s: /metrics answers %u", admin_address, status);
    if (r == 0 && !version_in_metrics(buffer_slice(&body), out))
        r = errmsg_set(msg, -ENOENT, "%s: its metrics name no version", admin_address);
    buffer_release(&body);
    ask_close(ask);
    return r;
}
