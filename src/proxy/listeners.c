#include "proxy/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "event/log.h"
#include "proxy/config.h"

struct wanted {
    enum listener_role role;
    struct addr addr;
    int backlog;
    const char *variable;
};

static int inherit(struct listeners *inherited, const struct wanted *wanted)
{
    for (unsigned i = 0; inherited && i < inherited->count; i++) {
        struct listening *item = &inherited->items[i];
        int fd = item->fd;

        if (fd >= 0 && item->role == wanted->role && addr_eq(item->addr, wanted->addr)) {
            item->fd = -1;
            return fd;
        }
    }
    return -1;
}

static int open_one(struct listeners *listeners, const struct wanted *wanted, struct sys *sys, struct log *log,
                    struct listeners *inherited)
{
    char text[ADDR_TEXT_MAX];
    int fd = inherit(inherited, wanted);

    if (fd < 0)
        fd = sys->ops->listen(sys, wanted->addr, wanted->backlog);
    if (fd < 0) {
        log_line(log, LOG_ERROR, "start", "cannot listen on %s (%s): %s%s", addr_format(wanted->addr, text), wanted->variable,
                 strerror(-fd), fd == -EADDRINUSE ? "; another proxy runs here (to take over from it, see docs/lifecycle.md)" : "");
        return fd;
    }
    listeners->items[listeners->count++] = (struct listening){fd, wanted->role, wanted->addr};
    return 0;
}

int listeners_open(struct listeners *listeners, const struct config *config, struct sys *sys, struct log *log,
                   struct listeners *inherited)
{
    struct wanted wanted[LISTENINGS_MAX] = {
        {LISTENER_ADMIN, config->admin_listen, 0, "LINKERD2_PROXY_ADMIN_LISTEN_ADDR"},
        {LISTENER_INBOUND, config->inbound.listen[0], config->inbound.listen_backlog, "LINKERD2_PROXY_INBOUND_LISTEN_ADDR"},
    };
    unsigned count = 2;

    for (unsigned i = 0; i < config->outbound.listen_count; i++)
        wanted[count++] = (struct wanted){LISTENER_OUTBOUND, config->outbound.listen[i], config->outbound.listen_backlog,
                                          "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS"};
    listeners->count = 0;
    for (unsigned i = 0; i < count; i++) {
        int r = open_one(listeners, &wanted[i], sys, log, inherited);

        if (r < 0) {
            listeners_close(listeners, sys);
            return r;
        }
    }
    return 0;
}

int listeners_admin(const struct listeners *listeners)
{
    for (unsigned i = 0; i < listeners->count; i++)
        if (listeners->items[i].role == LISTENER_ADMIN) {
            int fd = fcntl(listeners->items[i].fd, F_DUPFD_CLOEXEC, 3);

            return fd < 0 ? -errno : fd;
        }
    return -ENOENT;
}

void listeners_close(struct listeners *listeners, struct sys *sys)
{
    for (unsigned i = 0; i < listeners->count; i++)
        if (listeners->items[i].fd >= 0)
            sys->ops->close(sys, listeners->items[i].fd, false);
    listeners->count = 0;
}
