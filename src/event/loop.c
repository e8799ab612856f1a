#include "event/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    EVENTS_PER_TURN = 256,
    TASKS_PER_TURN = 4096, /* then the sockets get their turn again */
    PAGES_KEPT = 64, /* about what the connections of one turn borrow; fewer cost a brk() and page faults each turn */
};

int loop_init(struct loop *loop, struct sys *sys, size_t max_pages)
{
    uint64_t seed;
    struct poll *poll;
    int r = sys->ops->poll_new(sys, &poll);

    if (r < 0)
        return r;
    *loop = (struct loop){.sys = sys, .poll = poll, .now_ns = sys->ops->now(sys)};
    heap_init(&loop->timers);
    list_init(&loop->tasks);
    list_init(&loop->flushes);
    list_init(&loop->disposals);
    page_pool_init(&loop->pages, PAGES_KEPT, max_pages);
    sys->ops->random(sys, &seed, sizeof(seed));
    rng_seed(&loop->rng, seed);
    return 0;
}

void loop_release(struct loop *loop)
{
    assert(list_empty(&loop->tasks) && list_empty(&loop->flushes) && list_empty(&loop->disposals));
    heap_release(&loop->timers);
    page_pool_release(&loop->pages);
    loop->sys->ops->poll_free(loop->sys, loop->poll);
}

/* Takes what other threads pushed; the stack is newest first, they shall run oldest first. */
static void take_woken(struct loop *loop)
{
    struct waker *newest = atomic_exchange_explicit(&loop->woken, NULL, memory_order_acquire), *oldest = NULL;

    while (newest) {
        struct waker *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct waker *next = oldest->next;

        atomic_store_explicit(&oldest->queued, false, memory_order_release);
        if (oldest->task)
            task_wake(loop, oldest->task);
        oldest = next;
    }
}

static void run_list(struct list *list, int most)
{
    struct list *link;

    while (most-- > 0 && (link = list_pop(list))) {
        struct task *task = CONTAINER_OF(link, struct task, link);

        task->run(task);
    }
}

/* Due timers are taken out first, so that one that sets itself again cannot keep the loop. */
static bool run_timers(struct loop *loop)
{
    struct heap_entry *entry;
    uint32_t last = loop->timers.serial;
    bool any = false;

    while ((entry = heap_first(&loop->timers)) && (int64_t)entry->key <= loop->now_ns && heap_added_before(entry, last)) {
        struct timer *timer = CONTAINER_OF(entry, struct timer, entry);

        heap_remove(&loop->timers, entry);
        if (timer->deadline_ns > loop->now_ns) {
            if (timer->deadline_ns != INT64_MAX)
                (void)heap_add(&loop->timers, entry, (uint64_t)timer->deadline_ns);
            continue;
        }
        timer->deadline_ns = INT64_MAX;
        any = true;
        timer->fire(timer);
    }
    return any;
}

static int64_t wait_limit(struct loop *loop, int64_t wait_ns)
{
    struct heap_entry *first = heap_first(&loop->timers);
    int64_t left;

    if (!list_empty(&loop->tasks) || atomic_load_explicit(&loop->woken, memory_order_relaxed))
        return 0;
    if (!first)
        return wait_ns;
    left = (int64_t)first->key - loop->sys->ops->now(loop->sys);
    if (left < 0)
        left = 0;
    return wait_ns >= 0 && wait_ns < left ? wait_ns : left;
}

bool loop_turn(struct loop *loop, int64_t wait_ns)
{
    struct sys_event events[EVENTS_PER_TURN];
    int n = loop->sys->ops->poll_wait(loop->sys, loop->poll, events, EVENTS_PER_TURN, wait_limit(loop, wait_ns));
    bool any = n > 0;

    loop->now_ns = loop->sys->ops->now(loop->sys);
    for (int i = 0; i < n; i++) {
        struct watch *watch = events[i].token;

        if (watch->fd >= 0)
            watch->on_ready(watch, events[i].what);
    }
    take_woken(loop);
    any |= run_timers(loop) || !list_empty(&loop->tasks);
    run_list(&loop->tasks, TASKS_PER_TURN);
    any |= !list_empty(&loop->flushes);
    run_list(&loop->flushes, INT32_MAX);
    run_list(&loop->disposals, INT32_MAX);
    return any;
}

void loop_run(struct loop *loop)
{
    while (!loop->stop)
        loop_turn(loop, -1);
}

void loop_stop(struct loop *loop)
{
    loop->stop = true;
}

int watch_start(struct loop *loop, struct watch *watch, int fd, unsigned flags,
                void (*on_ready)(struct watch *watch, unsigned what))
{
    int r = loop->sys->ops->poll_add(loop->sys, loop->poll, fd, flags, watch);

    if (r < 0)
        return r;
    watch->fd = fd;
    watch->on_ready = on_ready;
    return 0;
}

void watch_stop(struct loop *loop, struct watch *watch)
{
    if (watch->fd < 0)
        return;
    loop->sys->ops->poll_remove(loop->sys, loop->poll, watch->fd);
    watch->fd = -1;
}

void watch_close(struct loop *loop, struct watch *watch, bool abort)
{
    if (watch->fd < 0)
        return;
    loop->sys->ops->close(loop->sys, watch->fd, abort); /* the kernel drops it from the poll */
    watch->fd = -1;
}

int timer_init(struct loop *loop, struct timer *timer, void (*fire)(struct timer *timer))
{
    if (loop->timers_reserved >= loop->timers.size) {
        size_t size = loop->timers.size ? loop->timers.size * 2 : 64;
        struct heap_entry **slots = realloc(loop->timers.slots, size * sizeof(struct heap_entry *));

        if (!slots)
            return -ENOMEM;
        loop->timers.slots = slots;
        loop->timers.size = size;
    }
    loop->timers_reserved++;
    *timer = (struct timer){.deadline_ns = INT64_MAX, .fire = fire};
    return 0;
}

void timer_release(struct loop *loop, struct timer *timer)
{
    if (!timer->fire)
        return;
    heap_remove(&loop->timers, &timer->entry);
    loop->timers_reserved--;
    *timer = (struct timer){.deadline_ns = INT64_MAX};
}

void timer_set(struct loop *loop, struct timer *timer, int64_t deadline_ns)
{
    int r;

    assert(timer->fire);
    timer->deadline_ns = deadline_ns;
    if (timer->entry.place) {
        if ((uint64_t)deadline_ns >= timer->entry.key)
            return; /* fires early, looks again, and goes back: cheaper than moving it each time */
        heap_remove(&loop->timers, &timer->entry);
    }
    /* A deadline in the past counts as now, so that one that is set there again and again stands behind others due. */
    r = heap_add(&loop->timers, &timer->entry, (uint64_t)(deadline_ns > loop->now_ns ? deadline_ns : loop->now_ns));
    assert(r == 0); /* timer_init() reserved the room */
    (void)r;
}

void task_init(struct task *task, void (*run)(struct task *task))
{
    list_init(&task->link);
    task->run = run;
}

static void join(struct list *list, struct task *task)
{
    if (list_empty(&task->link))
        list_push(list, &task->link);
}

void task_wake(struct loop *loop, struct task *task)
{
    join(&loop->tasks, task);
}

void task_cancel(struct task *task)
{
    list_remove(&task->link);
}

void flush_wake(struct loop *loop, struct task *flush)
{
    join(&loop->flushes, flush);
}

void dispose_wake(struct loop *loop, struct task *disposal)
{
    join(&loop->disposals, disposal);
}

void waker_init(struct waker *waker, struct loop *loop, struct task *task)
{
    waker->loop = loop;
    waker->task = task;
    waker->next = NULL;
    atomic_init(&waker->queued, false);
}

void waker_release(struct waker *waker)
{
    if (!waker->loop)
        return;
    waker->task = NULL;
    if (atomic_load_explicit(&waker->queued, memory_order_acquire))
        take_woken(waker->loop); /* takes it off the stack; others in it are woken as they should */
    waker->loop = NULL;
}

void waker_wake(struct waker *waker)
{
    struct loop *loop = waker->loop;
    struct waker *head;

    if (atomic_exchange_explicit(&waker->queued, true, memory_order_acq_rel))
        return;
    head = atomic_load_explicit(&loop->woken, memory_order_relaxed);
    do
        waker->next = head;
    while (!atomic_compare_exchange_weak_explicit(&loop->woken, &head, waker, memory_order_release,
                                                  memory_order_relaxed));
    if (!head)
        loop->sys->ops->poll_wake(loop->sys, loop->poll);
}
