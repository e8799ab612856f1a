#include "event/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void read_signals(struct watch *watch, unsigned what)
{
    struct signals *signals = CONTAINER_OF(watch, struct signals, watch);
    struct signalfd_siginfo info;

    while (watch->fd >= 0 && read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        signals->on_signal(signals, (int)info.ssi_signo);
}

int signals_start(struct signals *signals, struct loop *loop, const int *numbers,
                  void (*on_signal)(struct signals *signals, int number))
{
    sigset_t set;
    int fd, r;

    sigemptyset(&set);
    for (; *numbers; numbers++)
        sigaddset(&set, *numbers);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    signals->loop = loop;
    signals->on_signal = on_signal;
    r = watch_start(loop, &signals->watch, fd, 0, read_signals);
    if (r < 0)
        close(fd);
    return r;
}

void signals_stop(struct signals *signals)
{
    watch_close(signals->loop, &signals->watch, false);
}
