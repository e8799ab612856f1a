#include "kube/timestamp.h"

#include <stdio.h>
#include <time.h>

#include "base/duration.h"

static struct tm calendar(int64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm tm = {0};

    gmtime_r(&seconds, &tm);
    return tm;
}

const char *timestamp_format(int64_t wall_ns, char out[TIMESTAMP_TEXT_MAX])
{
    struct tm tm = calendar(wall_ns);

    strftime(out, TIMESTAMP_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return out;
}

const char *timestamp_format_micro(int64_t wall_ns, char out[TIMESTAMP_TEXT_MAX])
{
    struct tm tm = calendar(wall_ns);
    size_t len = strftime(out, TIMESTAMP_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);

    snprintf(out + len, TIMESTAMP_TEXT_MAX - len, ".%06uZ", (unsigned)(wall_ns % NS_PER_S / NS_PER_US) % 1000000);
    return out;
}
