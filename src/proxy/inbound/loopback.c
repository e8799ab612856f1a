#include "proxy/inbound/inbound.h"

/* A connect to loopback ends within the call that starts it, so that its result can be read at once. Nothing is sent. */
bool app_listens_on_loopback(struct worker *worker, struct addr dst)
{
    static const uint8_t one[16] = {[15] = 1};
    struct sys *sys = worker->proxy->sys;
    struct addr local = {dst.ip.version == 4 ? ip_v4(0x7f000001) : ip_v6(one), dst.port};
    bool listens;
    int fd;

    if (ip_is_loopback(dst.ip))
        return false;
    fd = sys->ops->connect(sys, local);
    if (fd < 0)
        return false;
    listens = sys->ops->connect_result(sys, fd) == 0;
    sys->ops->close(sys, fd, true);
    return listens;
}
