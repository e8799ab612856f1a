/*
 * The event loop of one thread: readiness, timers and tasks, in turns.
 *
 * A turn waits for readiness, notes what happened, runs due timers and woken
 * tasks until none is left (bounded), then flushes what was written during the
 * turn, then disposes of what ended. So callbacks only note and wake; work runs
 * from the loop; writes are gathered; and nothing is freed under anyone's feet:
 *
 *     readiness -> watch.on_ready      notes, wakes a task
 *     timers    -> timer.fire          notes, wakes a task
 *     tasks     -> task.run            the work; may wake others
 *     flush     -> flush.run           one write for all that the turn produced
 *     dispose   -> disposal.run        the only place where connections are freed
 *
 * Order is deterministic: first woken runs first, timers by deadline and then
 * by age. All functions are called from the loop's own thread, except
 * waker_wake().
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/chain.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/rng.h"
#include "event/sys.h"

struct waker;

struct loop {
    struct sys *sys;
    struct poll *poll;
    int64_t now_ns; /* monotonic time at the start of this turn */
    struct heap timers;
    size_t timers_reserved;
    struct list tasks;     /* woken, oldest first */
    struct list flushes;   /* asked for this turn */
    struct list disposals; /* asked for this turn */
    struct rng rng;        /* for choices, not for secrets */
    struct page_pool pages;
    _Atomic(struct waker *) woken; /* pushed by other threads */
    bool stop;
};

/* `max_pages` bounds all buffers of the thread. 0 or a negative errno. */
int loop_init(struct loop *loop, struct sys *sys, size_t max_pages);
/* All watches, timers and pages must have been given back. */
void loop_release(struct loop *loop);
/* Turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One turn that waits at most `wait_ns` (-1: as long as the timers allow). False when it had nothing to do. */
bool loop_turn(struct loop *loop, int64_t wait_ns);

/* Readiness of a descriptor, edge by edge. */
struct watch {
    int fd; /* -1 when not watching */
    void (*on_ready)(struct watch *watch, unsigned what); /* SYS_* bits; notes and wakes, frees nothing */
};

int watch_start(struct loop *loop, struct watch *watch, int fd, unsigned flags,
                void (*on_ready)(struct watch *watch, unsigned what));
/* Events of this turn that have not been told yet are dropped. Does nothing when not watching. */
void watch_stop(struct loop *loop, struct watch *watch);
/* Stops and closes the descriptor, in one system call. `abort`: the peer sees a reset. */
void watch_close(struct loop *loop, struct watch *watch, bool abort);

/* A deadline. Moving it later is free; timers never fire early, and at most once for each setting. */
struct timer {
    struct heap_entry entry;
    int64_t deadline_ns; /* INT64_MAX: not set */
    void (*fire)(struct timer *timer);
};

/* Reserves the room that setting needs. 0 or -ENOMEM; then the timer must not be used. */
int timer_init(struct loop *loop, struct timer *timer, void (*fire)(struct timer *timer));
/* Cancels and gives the room back. Allowed on a timer that is all zero. */
void timer_release(struct loop *loop, struct timer *timer);
void timer_set(struct loop *loop, struct timer *timer, int64_t deadline_ns);
static inline void timer_cancel(struct timer *timer) { timer->deadline_ns = INT64_MAX; }
static inline bool timer_is_set(const struct timer *timer) { return timer->deadline_ns != INT64_MAX; }

/* Work for later in this turn. Waking twice runs once. */
struct task {
    struct list link;
    void (*run)(struct task *task);
};

void task_init(struct task *task, void (*run)(struct task *task));
void task_wake(struct loop *loop, struct task *task);
/* Not woken any more. */
void task_cancel(struct task *task);
static inline bool task_is_woken(const struct task *task) { return !list_empty(&task->link); }

/* As a task, but after all tasks of the turn: the place to write. */
void flush_wake(struct loop *loop, struct task *flush);
/* As a task, but when the turn is over: the place to free. */
void dispose_wake(struct loop *loop, struct task *disposal);

/*
 * Lets other threads wake a task of this loop. Embedded in something that lives
 * until waker_release(), which the loop's own thread, or whoever has joined it, calls
 * once no other thread can reach the waker any more. Waking many times before the loop looks runs
 * the task once.
 */
struct waker {
    struct loop *loop;
    struct task *task;
    struct waker *next;   /* in loop->woken */
    _Atomic(bool) queued;
};

void waker_init(struct waker *waker, struct loop *loop, struct task *task);
void waker_release(struct waker *waker);
void waker_wake(struct waker *waker); /* any thread */
