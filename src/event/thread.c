#include "event/thread.h"

#include <signal.h>

static void *thread_main(void *arg)
{
    struct thread *thread = arg;

    thread->result = thread->start(thread);
    if (thread->result == 0)
        loop_run(&thread->loop);
    thread->finish(thread);
    return NULL;
}

int thread_prepare(struct thread *thread, struct sys *sys, size_t max_pages)
{
    return loop_init(&thread->loop, sys, max_pages);
}

int thread_start(struct thread *thread)
{
    sigset_t all, before;
    int r;

    /* Signals go to the first thread, which reads them from a descriptor. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&thread->id, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return -r;
    pthread_setname_np(thread->id, thread->name);
    return 0;
}

void thread_join(struct thread *thread)
{
    pthread_join(thread->id, NULL);
}

void thread_release(struct thread *thread)
{
    loop_release(&thread->loop);
}
