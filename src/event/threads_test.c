#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "event/cell.h"
#include "event/thread.h"

enum { WAKES = 20000, PUBLICATIONS = 5000, READERS = 3 };

/* A thread with a task that other threads wake, until it was told to end. */
struct woken_thread {
    struct thread thread;
    struct waker waker;
    struct task task;
    _Atomic(unsigned) asked; /* work given by the others */
    unsigned done;           /* as seen by the task */
    unsigned runs;
    bool started, finished;
};

static void do_work(struct task *task)
{
    struct woken_thread *woken = CONTAINER_OF(task, struct woken_thread, task);

    woken->runs++;
    woken->done = atomic_load(&woken->asked);
    if (woken->done == 2 * WAKES + 1)
        loop_stop(&woken->thread.loop);
}

static int woken_start(struct thread *thread)
{
    CONTAINER_OF(thread, struct woken_thread, thread)->started = true;
    return 0;
}

static void woken_finish(struct thread *thread)
{
    CONTAINER_OF(thread, struct woken_thread, thread)->finished = true;
}

static void *wake_often(void *arg)
{
    struct woken_thread *woken = arg;

    for (int i = 0; i < WAKES; i++) {
        atomic_fetch_add(&woken->asked, 1);
        waker_wake(&woken->waker);
    }
    return NULL;
}

/* No wake-up is lost, however it races with the loop looking. */
static void test_waker_from_two_threads(void **state)
{
    struct woken_thread woken = {.thread = {.name = "woken", .start = woken_start, .finish = woken_finish}};
    pthread_t wakers[2];

    task_init(&woken.task, do_work);
    waker_init(&woken.waker, &woken.thread.loop, &woken.task);
    assert_int_equal(thread_prepare(&woken.thread, sys_linux(), 16), 0);
    assert_int_equal(thread_start(&woken.thread), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&wakers[i], NULL, wake_often, &woken), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(wakers[i], NULL);
    atomic_fetch_add(&woken.asked, 1);
    waker_wake(&woken.waker);
    thread_join(&woken.thread);
    waker_release(&woken.waker); /* not in the thread, which may end while the last wake-up is still being given */
    task_cancel(&woken.task);
    thread_release(&woken.thread);
    assert_true(woken.started && woken.finished);
    assert_int_equal(woken.done, 2 * WAKES + 1);
    assert_true(woken.runs <= 2 * WAKES + 1);
}

static int refuse(struct thread *thread)
{
    return -ENOENT;
}

static void note_finish(struct thread *thread)
{
    CONTAINER_OF(thread, struct woken_thread, thread)->finished = true;
}

static void test_start_that_fails(void **state)
{
    struct woken_thread woken = {.thread = {.name = "refuses", .start = refuse, .finish = note_finish}};

    assert_int_equal(thread_prepare(&woken.thread, sys_linux(), 16), 0);
    assert_int_equal(thread_start(&woken.thread), 0);
    thread_join(&woken.thread);
    thread_release(&woken.thread);
    assert_int_equal(woken.thread.result, -ENOENT);
    assert_true(woken.finished);
}

/* A waker that was woken and is released before the loop looked runs nothing. */
static void test_waker_released_while_queued(void **state)
{
    struct loop loop;
    struct waker waker[3];
    struct task task[3];

    assert_int_equal(loop_init(&loop, sys_linux(), 16), 0);
    for (int i = 0; i < 3; i++) {
        task_init(&task[i], NULL);
        waker_init(&waker[i], &loop, &task[i]);
        waker_wake(&waker[i]);
    }
    waker_release(&waker[1]);
    assert_true(task_is_woken(&task[0]));
    assert_false(task_is_woken(&task[1]));
    assert_true(task_is_woken(&task[2]));
    for (int i = 0; i < 3; i++) {
        waker_release(&waker[i]);
        waker_release(&waker[i]); /* twice does no harm */
        task_cancel(&task[i]);
    }
    assert_false(loop_turn(&loop, 0) && !list_empty(&loop.tasks));
    loop_release(&loop);
}

/* --- cells --- */

struct snapshot {
    _Atomic(unsigned) refs;
    unsigned number;
};

static _Atomic(unsigned) snapshots_alive; /* of this test */

static struct snapshot *new_snapshot(unsigned number)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

    assert_non_null(snapshot);
    atomic_init(&snapshot->refs, 1);
    snapshot->number = number;
    atomic_fetch_add(&snapshots_alive, 1);
    return snapshot;
}

static void *ref_snapshot(void *what)
{
    struct snapshot *snapshot = what;

    atomic_fetch_add(&snapshot->refs, 1);
    return snapshot;
}

static void unref_snapshot(void *what)
{
    struct snapshot *snapshot = what;

    if (atomic_fetch_sub(&snapshot->refs, 1) > 1)
        return;
    free(snapshot);
    atomic_fetch_sub(&snapshots_alive, 1);
}

struct reading_thread {
    struct thread thread;
    struct cell *cell;
    struct cell_reader reader;
    struct task task;
    unsigned last, takes;
    bool in_order;
};

static void read_cell(struct task *task)
{
    struct reading_thread *reading = CONTAINER_OF(task, struct reading_thread, task);
    struct snapshot *snapshot;

    if (!cell_changed(&reading->reader))
        return;
    snapshot = cell_take(&reading->reader);
    reading->takes++;
    reading->in_order &= snapshot->number > reading->last;
    reading->last = snapshot->number;
    unref_snapshot(snapshot);
    if (reading->last == PUBLICATIONS)
        loop_stop(&reading->thread.loop);
}

static int reading_start(struct thread *thread)
{
    struct reading_thread *reading = CONTAINER_OF(thread, struct reading_thread, thread);

    task_init(&reading->task, read_cell);
    cell_subscribe(reading->cell, &reading->reader, &thread->loop, &reading->task);
    return 0;
}

static void reading_finish(struct thread *thread)
{
    struct reading_thread *reading = CONTAINER_OF(thread, struct reading_thread, thread);

    cell_unsubscribe(&reading->reader);
    task_cancel(&reading->task);
}

/* Every reader sees publications in order, the last one for certain, and no snapshot is lost or freed early. */
static void test_cell_across_threads(void **state)
{
    struct cell cell;
    struct reading_thread readers[READERS];

    cell_init(&cell, ref_snapshot, unref_snapshot);
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reading_thread){
            .thread = {.name = "reader", .start = reading_start, .finish = reading_finish},
            .cell = &cell,
            .in_order = true,
        };
        assert_int_equal(thread_prepare(&readers[i].thread, sys_linux(), 16), 0);
    assert_int_equal(thread_start(&readers[i].thread), 0);
    }
    for (unsigned i = 1; i <= PUBLICATIONS; i++) {
        cell_publish(&cell, new_snapshot(i));
        if (i % 64 == 0)
            sched_yield();
    }
    for (int i = 0; i < READERS; i++) {
        thread_join(&readers[i].thread);
        thread_release(&readers[i].thread);
        assert_true(readers[i].in_order);
        assert_int_equal(readers[i].last, PUBLICATIONS);
        assert_true(readers[i].takes <= PUBLICATIONS);
    }
    cell_release(&cell);
    assert_int_equal(atomic_load(&snapshots_alive), 0);
}

static unsigned runs_of_count;

static void count_run(struct task *task)
{
    runs_of_count++;
}

static void test_cell_in_one_thread(void **state)
{
    struct loop loop;
    struct cell cell;
    struct cell_reader reader = {0};
    struct task task;
    struct snapshot *snapshot;

    assert_int_equal(loop_init(&loop, sys_linux(), 16), 0);
    cell_init(&cell, ref_snapshot, unref_snapshot);
    task_init(&task, count_run);
    runs_of_count = 0;
    assert_null(cell_get(&cell));
    cell_unsubscribe(&reader); /* never subscribed */

    cell_subscribe(&cell, &reader, &loop, &task);
    loop_turn(&loop, 0);
    assert_int_equal(runs_of_count, 0); /* nothing was published yet */
    assert_false(cell_changed(&reader));

    for (unsigned i = 1; i <= 3; i++)
        cell_publish(&cell, new_snapshot(i));
    loop_turn(&loop, 0);
    assert_int_equal(runs_of_count, 1); /* latest wins, nothing queues */
    assert_true(cell_changed(&reader));
    snapshot = cell_take(&reader);
    assert_int_equal(snapshot->number, 3);
    unref_snapshot(snapshot);
    assert_false(cell_changed(&reader));

    cell_publish(&cell, NULL); /* withdrawn */
    assert_true(cell_changed(&reader));
    assert_null(cell_take(&reader));

    cell_publish(&cell, new_snapshot(5));
    cell_unsubscribe(&reader); /* with a wake-up on its way */
    loop_turn(&loop, 0);
    assert_int_equal(runs_of_count, 1);

    cell_subscribe(&cell, &reader, &loop, &task); /* wakes at once, there is something */
    loop_turn(&loop, 0);
    assert_int_equal(runs_of_count, 2);
    snapshot = cell_get(&cell);
    assert_int_equal(snapshot->number, 5);
    unref_snapshot(snapshot);
    cell_unsubscribe(&reader);
    cell_release(&cell);
    assert_int_equal(atomic_load(&snapshots_alive), 0);
    loop_release(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waker_from_two_threads),   cmocka_unit_test(test_start_that_fails),
        cmocka_unit_test(test_waker_released_while_queued), cmocka_unit_test(test_cell_across_threads),
        cmocka_unit_test(test_cell_in_one_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
