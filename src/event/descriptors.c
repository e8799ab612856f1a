#include "event/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mutation.h"

void descriptors_prepare(void)
{
    struct rlimit limit;
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

bool descriptors_spare(struct sys *sys, int fd, enum descriptor_use use)
{
    int limit = sys->ops->descriptor_limit(sys), kept = 0;

    if (use >= DESCRIPTOR_DIAL)
        kept += smaller(LIMIT_DESCRIPTORS_KEPT, limit / 4);
    if (use >= DESCRIPTOR_ACCEPT)
        kept += smaller(LIMIT_DESCRIPTORS_DIALS, limit / 4);
    if (kept == 0 || mutation("descriptors-for-everybody"))
        return true;
    if (fd < 0)
        fd = sys->ops->descriptor_next(sys);
    return fd >= 0 && fd < limit - kept;
}
