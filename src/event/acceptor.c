#include "event/acceptor.h"

#include <errno.h>

#include "base/duration.h"

enum { ACCEPTS_PER_EVENT = 32 }; /* a listener that has more is told again */

static const int64_t PAUSE_NS = 100 * NS_PER_MS;

static void look_away(struct acceptor *acceptor, int error)
{
    struct loop *loop = acceptor->loop;

    loop->sys->ops->poll_remove(loop->sys, loop->poll, acceptor->watch.fd);
    timer_set(loop, &acceptor->pause, loop->now_ns + PAUSE_NS);
    if (acceptor->paused)
        acceptor->paused(acceptor, error);
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

static void on_connection(struct watch *watch, unsigned what)
{
    struct acceptor *acceptor = CONTAINER_OF(watch, struct acceptor, watch);
    struct sys *sys = acceptor->loop->sys;

    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        struct addr peer;
        int fd = sys->ops->accept(sys, watch->fd, &peer);

        if (fd >= 0) {
            bool spare = descriptors_spare(sys, fd, acceptor->use);

            acceptor->accepted(acceptor, fd, peer);
            if (spare)
                continue;
            look_away(acceptor, EMFILE);
            return;
        }
        if (is_shortage(-fd))
            look_away(acceptor, -fd);
        if (fd != -ECONNABORTED && fd != -EINTR)
            return;
    }
}

static void look_again(struct timer *timer)
{
    struct acceptor *acceptor = CONTAINER_OF(timer, struct acceptor, pause);
    struct loop *loop = acceptor->loop;

    if (!descriptors_spare(loop->sys, -1, acceptor->use) ||
        loop->sys->ops->poll_add(loop->sys, loop->poll, acceptor->watch.fd, SYS_SHARED, &acceptor->watch) < 0)
        timer_set(loop, timer, loop->now_ns + PAUSE_NS);
}

int acceptor_start(struct acceptor *acceptor, struct loop *loop, int fd, enum descriptor_use use,
                   void (*accepted)(struct acceptor *acceptor, int fd, struct addr peer))
{
    int r;

    *acceptor = (struct acceptor){.watch.fd = -1, .use = use, .accepted = accepted};
    r = timer_init(loop, &acceptor->pause, look_again);
    if (r < 0)
        return r;
    r = watch_start(loop, &acceptor->watch, fd, SYS_SHARED, on_connection);
    if (r < 0) {
        timer_release(loop, &acceptor->pause);
        return r;
    }
    acceptor->loop = loop;
    return 0;
}

int acceptor_stop(struct acceptor *acceptor)
{
    int fd = acceptor->watch.fd;

    if (!acceptor->loop)
        return -1;
    watch_stop(acceptor->loop, &acceptor->watch); /* another process may share the listener: its close alone ends no watch */
    timer_release(acceptor->loop, &acceptor->pause);
    acceptor->loop = NULL;
    return fd;
}

void acceptor_close(struct acceptor *acceptor)
{
    struct loop *loop = acceptor->loop;
    int fd = acceptor_stop(acceptor);

    if (fd >= 0)
        loop->sys->ops->close(loop->sys, fd, false);
}
