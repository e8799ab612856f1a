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

/* Makes the loop, so that watches, timers and wakers can be set up before the thread runs. 0 or a negative errno. */
int thread_prepare(struct thread *thread, struct sys *sys, size_t max_pages);
/* Starts it. 0 or a negative errno; the loop stays the caller's to release then. */
int thread_start(struct thread *thread);
/* Waits until the thread has ended by loop_stop() in it. Its loop is still there, for wakers to be released. */
void thread_join(struct thread *thread);
/* Gives the loop back, after the join, or when the thread was never started. */
void thread_release(struct thread *thread);
