#include "netfilter/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

int netns_enter(const char *path, struct errmsg *msg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;

    if (fd < 0)
        return errmsg_set(msg, -errno, "cannot open the network namespace %s: %s", path, strerror(errno));
    if (setns(fd, CLONE_NEWNET) < 0)
        r = errmsg_set(msg, -errno, "cannot enter the network namespace %s: %s%s", path, strerror(errno),
                       errno == EPERM ? "; this needs CAP_SYS_ADMIN (run as root)"
                       : errno == EINVAL ? "; it is not the file of a network namespace"
                                         : "");
    close(fd);
    return r;
}
