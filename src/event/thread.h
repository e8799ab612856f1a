/*
 * A thread with an event loop of its own, and work handed to it from outside.
 * The program's first thread runs a loop too, without this.
 */
#pragma once

#include <pthread.h>

#include "event/loop.h"

struct thread {
    struct loop loop;
    pthread_t id;
    const char *name;                     /* at most 15 bytes, seen in ps and perf */
    int (*start)(struct thread *thread);  /* runs first, in the new thread; negative ends it */
    void (*finish)(struct thread *thread); /* runs last, in the thread */
    int result;                           /* of start */
};

/* Starts it; the loop is ready when this returns. 0 or a negative errno. */
int thread_start(struct thread *thread, struct sys *sys, size_t max_pages);
/* Waits until the thread has ended by loop_stop() in it. */
void thread_join(struct thread *thread);
