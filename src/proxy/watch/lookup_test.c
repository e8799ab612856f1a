/* Leases, snapshots and waiters in one thread: the worker's side (lookup.h) and the control thread's (directory.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "proxy/watch/lookup.h"

enum { IDLE_NS = 20 * 1000 * 1000 };

struct snapshot {
    int refs, value;
};

static int alive; /* snapshots that exist */

static struct snapshot *snapshot_new(int value)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

    *snapshot = (struct snapshot){1, value};
    alive++;
    return snapshot;
}

static void *ref(void *snapshot)
{
    ((struct snapshot *)snapshot)->refs++;
    return snapshot;
}

static void unref(void *at)
{
    struct snapshot *snapshot = at;

    if (--snapshot->refs == 0) {
        alive--;
        free(snapshot);
    }
}

struct world {
    struct loop loop;
    struct directory directory;
    struct lookup_table table, other; /* two workers */
    struct task control, waiting;
    unsigned control_runs, wakes, changes, forgotten;
    int old_value;
};

static void control_runs(struct task *task)
{
    CONTAINER_OF(task, struct world, control)->control_runs++;
}

static void waiting_runs(struct task *task)
{
    CONTAINER_OF(task, struct world, waiting)->wakes++;
}

static void changed(struct lookup *lookup, void *old)
{
    struct world *w = lookup->table->owner;

    w->changes++;
    w->old_value = old ? ((struct snapshot *)old)->value : -1;
}

static void forgotten(struct lookup *lookup)
{
    ((struct world *)lookup->table->owner)->forgotten++;
}

static void settle(struct world *w)
{
    while (loop_turn(&w->loop, 0))
        ;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_int_equal(loop_init(&w->loop, sys_linux(), 16), 0);
    directory_init(&w->directory, sys_linux());
    w->directory.failfast_ns = NS_PER_S;
    w->directory.queue_capacity = 10;
    for (int kind = 0; kind < WATCHED_KINDS; kind++) {
        w->directory.ref[kind] = ref;
        w->directory.unref[kind] = unref;
    }
    task_init(&w->control, control_runs);
    task_init(&w->waiting, waiting_runs);
    lookup_table_init(&w->table, &w->directory, &w->loop, WATCHED_TARGET, IDLE_NS);
    lookup_table_init(&w->other, &w->directory, &w->loop, WATCHED_TARGET, IDLE_NS);
    w->table.owner = w->other.owner = w;
    w->table.on_change = changed;
    w->table.on_forget = forgotten;
    settle(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    lookup_table_release(&w->table);
    lookup_table_release(&w->other);
    directory_detach(&w->directory);
    directory_release(&w->directory);
    task_cancel(&w->control);
    task_cancel(&w->waiting);
    loop_release(&w->loop);
    free(w);
    assert_int_equal(alive, 0);
    return 0;
}

static struct slice key_of(const char *text)
{
    return slice_str(text);
}

static struct watched *next(struct world *w, bool wanted)
{
    bool got = !wanted;
    struct watched *watched = directory_next_change(&w->directory, &got);

    assert_non_null(watched);
    assert_int_equal(got, wanted);
    return watched;
}

static void none_left(struct world *w)
{
    bool wanted;

    assert_null(directory_next_change(&w->directory, &wanted));
}

/* Passes the idle time without sleeping for a fixed one: turns that wait for the timer. */
static void until_forgotten(struct world *w, unsigned count)
{
    while (w->forgotten < count)
        loop_turn(&w->loop, -1);
}

static void test_one_watch_for_all(void **state)
{
    struct world *w = *state;
    struct watched *a, *b, *c;

    assert_int_equal(directory_lease(&w->directory, WATCHED_TARGET, key_of("10.0.0.1:80"), &a), 0);
    assert_int_equal(directory_lease(&w->directory, WATCHED_TARGET, key_of("10.0.0.1:80"), &b), 0);
    assert_int_equal(directory_lease(&w->directory, WATCHED_ENDPOINTS, key_of("10.0.0.1:80"), &c), 0);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c); /* of another kind */
    assert_int_equal(directory_count(&w->directory, WATCHED_TARGET), 1);
    assert_ptr_equal(next(w, true), a);
    assert_ptr_equal(next(w, true), c);
    none_left(w);
    directory_return(a);
    none_left(w); /* one lease is left */
    directory_return(b);
    directory_return(c);
    directory_return(NULL);
    assert_ptr_equal(next(w, false), a);
    assert_int_equal(directory_count(&w->directory, WATCHED_TARGET), 0);
    watched_free(a);
    watched_free(next(w, false));
    none_left(w);
}

/* Returned and leased again before the control thread looked: nothing has happened. */
static void test_back_in_time(void **state)
{
    struct world *w = *state;
    struct watched *a, *again;

    assert_int_equal(directory_lease(&w->directory, WATCHED_PORT, key_of("80"), &a), 0);
    next(w, true);
    directory_return(a);
    assert_int_equal(directory_lease(&w->directory, WATCHED_PORT, key_of("80"), &again), 0);
    assert_ptr_equal(a, again);
    assert_ptr_equal(next(w, true), a); /* told, and still wanted */
    none_left(w);
    directory_return(a);
}

/* And after it looked: a new life. */
static void test_new_life(void **state)
{
    struct world *w = *state;
    struct watched *a, *again;

    assert_int_equal(directory_lease(&w->directory, WATCHED_PORT, key_of("80"), &a), 0);
    next(w, true);
    directory_return(a);
    assert_ptr_equal(next(w, false), a);
    assert_int_equal(directory_lease(&w->directory, WATCHED_PORT, key_of("80"), &again), 0);
    assert_ptr_not_equal(a, again);
    watched_free(a);
    assert_ptr_equal(next(w, true), again);
    directory_return(again);
}

static void test_control_is_woken(void **state)
{
    struct world *w = *state;
    struct watched *a, *b;

    assert_int_equal(directory_lease(&w->directory, WATCHED_PORT, key_of("80"), &a), 0);
    settle(w);
    assert_int_equal(w->control_runs, 0);
    directory_attach(&w->directory, &w->loop, &w->control); /* of what came before, too */
    settle(w);
    assert_int_equal(w->control_runs, 1);
    assert_int_equal(directory_lease(&w->directory, WATCHED_PORT, key_of("81"), &b), 0);
    settle(w);
    assert_int_equal(w->control_runs, 2);
    directory_return(a);
    directory_return(b);
    settle(w);
    assert_int_equal(w->control_runs, 3);
}

static void test_limit(void **state)
{
    struct world *w = *state;
    struct watched **all = calloc(LIMIT_PORT_POLICIES, sizeof(*all)), *more;
    char key[16];

    for (int i = 0; i < LIMIT_PORT_POLICIES; i++) {
        snprintf(key, sizeof(key), "%d", i);
        assert_int_equal(directory_lease(&w->directory, WATCHED_PORT, key_of(key), &all[i]), 0);
    }
    assert_int_equal(directory_lease(&w->directory, WATCHED_PORT, key_of("one more"), &more), -ENOSPC);
    assert_int_equal(directory_lease(&w->directory, WATCHED_PORT, key_of("7"), &more), 0); /* known ones are had */
    directory_return(more);
    assert_int_equal(directory_lease(&w->directory, WATCHED_TARGET, key_of("a"), &more), 0); /* other kinds as well */
    directory_return(more);
    for (int i = 0; i < LIMIT_PORT_POLICIES; i++)
        directory_return(all[i]);
    free(all);
}

static void test_waits_for_the_first(void **state)
{
    struct world *w = *state;
    struct lookup_waiter waiter = {0};
    struct lookup *lookup;

    assert_int_equal(lookup_get(&w->table, key_of("a:80"), &lookup), 0);
    assert_null(lookup->snapshot);
    list_init(&waiter.link);
    lookup_unwait(&waiter); /* allowed */
    lookup_wait(lookup, &waiter, &w->waiting);
    settle(w);
    assert_int_equal(w->wakes, 0);
    cell_publish(&next(w, true)->cell, snapshot_new(1));
    settle(w);
    assert_int_equal(w->wakes, 1);
    assert_int_equal(w->changes, 1);
    assert_int_equal(w->old_value, -1);
    assert_int_equal(((struct snapshot *)lookup->snapshot)->value, 1);
    cell_publish(&lookup->watched->cell, snapshot_new(2));
    cell_publish(&lookup->watched->cell, snapshot_new(3)); /* the latest wins */
    settle(w);
    assert_int_equal(w->wakes, 2);
    assert_int_equal(w->changes, 2);
    assert_int_equal(w->old_value, 1);
    assert_int_equal(((struct snapshot *)lookup->snapshot)->value, 3);
    assert_int_equal(alive, 1);
    cell_publish(&lookup->watched->cell, NULL); /* withdrawn: what is in force stays */
    settle(w);
    assert_int_equal(((struct snapshot *)lookup->snapshot)->value, 3);
    lookup_unwait(&waiter);
    cell_publish(&lookup->watched->cell, snapshot_new(4));
    settle(w);
    assert_int_equal(w->wakes, 2);
    lookup_put(lookup);
}

static void test_known_already(void **state)
{
    struct world *w = *state;
    struct lookup *lookup, *same, *others;

    assert_int_equal(lookup_get(&w->table, key_of("a:80"), &lookup), 0);
    cell_publish(&next(w, true)->cell, snapshot_new(1));
    settle(w);
    assert_int_equal(lookup_get(&w->table, key_of("a:80"), &same), 0);
    assert_ptr_equal(lookup, same);
    assert_int_equal(lookup_get(&w->other, key_of("a:80"), &others), 0);
    assert_ptr_not_equal(lookup, others);
    assert_ptr_equal(lookup->watched, others->watched);
    assert_non_null(others->snapshot); /* at once */
    none_left(w);
    lookup_put(lookup);
    lookup_put(same);
    lookup_put(others);
    lookup_put(NULL);
}

static void test_idle_is_forgotten(void **state)
{
    struct world *w = *state;
    struct lookup *lookup, *again;
    struct watched *watched;

    assert_int_equal(lookup_get(&w->table, key_of("a:80"), &lookup), 0);
    watched = next(w, true);
    cell_publish(&watched->cell, snapshot_new(1));
    settle(w);
    lookup_use(lookup);
    lookup_put(lookup);
    assert_false(timer_is_set(&lookup->idle)); /* one user is left */
    lookup_put(lookup);
    assert_true(timer_is_set(&lookup->idle));
    assert_int_equal(lookup_get(&w->table, key_of("a:80"), &again), 0); /* in time */
    assert_ptr_equal(lookup, again);
    assert_false(timer_is_set(&lookup->idle));
    lookup_put(again);
    until_forgotten(w, 1);
    assert_int_equal(w->table.map.count, 0);
    assert_ptr_equal(next(w, false), watched);
    watched_free(watched);
    assert_int_equal(alive, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_one_watch_for_all), TEST(test_back_in_time),        TEST(test_new_life),      TEST(test_control_is_woken),
        TEST(test_limit),             TEST(test_waits_for_the_first), TEST(test_known_already), TEST(test_idle_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
