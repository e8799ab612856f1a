#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/duration.h"
#include "event/loop.h"
#include "event/signals.h"

/* Linux with a clock of the test's: waiting moves it. */
struct test_sys {
    struct sys sys;
    struct sys_ops ops;
    int64_t now_ns;
};

static int64_t test_now(struct sys *sys)
{
    return CONTAINER_OF(sys, struct test_sys, sys)->now_ns;
}

static int test_poll_wait(struct sys *sys, struct poll *poll, struct sys_event *events, int max, int64_t timeout_ns)
{
    struct test_sys *test = CONTAINER_OF(sys, struct test_sys, sys);
    int n = sys_linux()->ops->poll_wait(sys_linux(), poll, events, max, 0);

    if (n == 0 && timeout_ns > 0)
        test->now_ns += timeout_ns;
    return n;
}

struct world {
    struct test_sys sys;
    struct loop loop;
    char told[128]; /* one letter for each thing that ran */
    size_t count;
};

static int set_up(void **state)
{
    static struct world world; /* one test at a time */

    world = (struct world){.sys = {.ops = *sys_linux()->ops, .now_ns = 1000 * NS_PER_S}};
    world.sys.ops.now = test_now;
    world.sys.ops.poll_wait = test_poll_wait;
    world.sys.sys.ops = &world.sys.ops;
    assert_int_equal(loop_init(&world.loop, &world.sys.sys, 64), 0);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    loop_release(&world->loop);
    return 0;
}

static void tell(struct world *world, char what)
{
    assert_true(world->count < sizeof(world->told) - 1);
    world->told[world->count++] = what;
}

/* A task or timer that says its name and may do one thing more. */
struct actor {
    struct world *world;
    struct task task;
    struct timer timer;
    char name;
    struct actor *other;
    void (*then)(struct actor *actor);
};

static void run_task(struct task *task)
{
    struct actor *actor = CONTAINER_OF(task, struct actor, task);

    tell(actor->world, actor->name);
    if (actor->then)
        actor->then(actor);
}

static void run_timer(struct timer *timer)
{
    struct actor *actor = CONTAINER_OF(timer, struct actor, timer);

    tell(actor->world, actor->name);
    if (actor->then)
        actor->then(actor);
}

static void actor_init(struct actor *actor, struct world *world, char name)
{
    *actor = (struct actor){.world = world, .name = name};
    task_init(&actor->task, run_task);
    assert_int_equal(timer_init(&world->loop, &actor->timer, run_timer), 0);
}

static void actor_release(struct actor *actor)
{
    timer_release(&actor->world->loop, &actor->timer);
}

static void wake_other(struct actor *actor)
{
    task_wake(&actor->world->loop, &actor->other->task);
}

static void dispose_other(struct actor *actor)
{
    dispose_wake(&actor->world->loop, &actor->other->task);
}

static void flush_other(struct actor *actor)
{
    flush_wake(&actor->world->loop, &actor->other->task);
}

static void test_tasks_run_in_order(void **state)
{
    struct world *world = *state;
    struct actor a, b, c;

    actor_init(&a, world, 'a');
    actor_init(&b, world, 'b');
    actor_init(&c, world, 'c');
    task_wake(&world->loop, &b.task);
    task_wake(&world->loop, &a.task);
    task_wake(&world->loop, &b.task); /* twice runs once */
    task_wake(&world->loop, &c.task);
    task_cancel(&c.task);
    assert_false(task_is_woken(&c.task));
    assert_true(loop_turn(&world->loop, 0));
    assert_string_equal(world->told, "ba");
    assert_false(loop_turn(&world->loop, 0));
    actor_release(&a);
    actor_release(&b);
    actor_release(&c);
}

static void test_phases_of_a_turn(void **state)
{
    struct world *world = *state;
    struct actor task, flush, disposal, more;

    actor_init(&task, world, 't');
    actor_init(&flush, world, 'f');
    actor_init(&disposal, world, 'd');
    actor_init(&more, world, 'm');
    /* Asked for in the wrong order on purpose. */
    dispose_wake(&world->loop, &disposal.task);
    flush_wake(&world->loop, &flush.task);
    task.other = &more;
    task.then = wake_other;
    task_wake(&world->loop, &task.task);
    loop_turn(&world->loop, 0);
    assert_string_equal(world->told, "tmfd");
    actor_release(&task);
    actor_release(&flush);
    actor_release(&disposal);
    actor_release(&more);
}

/* A flush may ask for a disposal, which still runs in this turn; a task asked for by a flush waits for the next one. */
static void test_phases_chain(void **state)
{
    struct world *world = *state;
    struct actor task, flush, disposal;

    actor_init(&task, world, 't');
    actor_init(&flush, world, 'f');
    actor_init(&disposal, world, 'd');
    task.then = flush_other;
    task.other = &flush;
    flush.then = dispose_other;
    flush.other = &disposal;
    disposal.then = wake_other;
    disposal.other = &task;
    task_wake(&world->loop, &task.task);
    loop_turn(&world->loop, 0);
    assert_string_equal(world->told, "tfd");
    task.then = NULL;
    assert_true(loop_turn(&world->loop, 0)); /* does not wait while a task is woken */
    assert_string_equal(world->told, "tfdt");
    actor_release(&task);
    actor_release(&flush);
    actor_release(&disposal);
}

static void wake_itself(struct actor *actor)
{
    task_wake(&actor->world->loop, &actor->task);
    actor->world->count = 0;
}

/* A task that wakes itself forever cannot keep a turn. */
static void test_a_turn_is_bounded(void **state)
{
    struct world *world = *state;
    struct actor a;

    actor_init(&a, world, 'a');
    a.then = wake_itself;
    task_wake(&world->loop, &a.task);
    assert_true(loop_turn(&world->loop, -1));
    assert_true(task_is_woken(&a.task));
    task_cancel(&a.task);
    actor_release(&a);
}

static void test_timers_by_deadline_then_age(void **state)
{
    struct world *world = *state;
    int64_t start = world->loop.now_ns;
    struct actor a, b, c, d;

    actor_init(&a, world, 'a');
    actor_init(&b, world, 'b');
    actor_init(&c, world, 'c');
    actor_init(&d, world, 'd');
    timer_set(&world->loop, &a.timer, start + 30);
    timer_set(&world->loop, &b.timer, start + 20);
    timer_set(&world->loop, &c.timer, start + 20);
    timer_set(&world->loop, &d.timer, start + 10);
    timer_cancel(&d.timer);
    assert_false(timer_is_set(&d.timer));
    while (world->count < 3)
        loop_turn(&world->loop, -1);
    assert_string_equal(world->told, "bca");
    assert_int_equal(world->sys.now_ns, start + 30);
    actor_release(&a);
    actor_release(&b);
    actor_release(&c);
    actor_release(&d);
}

static void test_timer_moved(void **state)
{
    struct world *world = *state;
    int64_t start = world->loop.now_ns;
    struct actor a, b;

    actor_init(&a, world, 'a');
    actor_init(&b, world, 'b');
    timer_set(&world->loop, &a.timer, start + 10);
    timer_set(&world->loop, &a.timer, start + 40); /* later: free */
    timer_set(&world->loop, &b.timer, start + 50);
    timer_set(&world->loop, &b.timer, start + 20); /* earlier: moves */
    while (world->count < 2)
        loop_turn(&world->loop, -1);
    assert_string_equal(world->told, "ba");
    assert_int_equal(world->sys.now_ns, start + 40);
    /* Cancelled and set again while the old place is still in the heap. */
    timer_set(&world->loop, &a.timer, start + 60);
    timer_cancel(&a.timer);
    timer_set(&world->loop, &a.timer, start + 70);
    while (world->count < 3)
        loop_turn(&world->loop, -1);
    assert_int_equal(world->sys.now_ns, start + 70);
    assert_false(loop_turn(&world->loop, 0));
    actor_release(&a);
    actor_release(&b);
}

static void set_again_in_the_past(struct actor *actor)
{
    timer_set(&actor->world->loop, &actor->timer, 1);
}

/* A timer that sets itself to the past fires once a turn, and keeps no other from firing. */
static void test_timer_in_the_past(void **state)
{
    struct world *world = *state;
    struct actor a, b;

    actor_init(&a, world, 'a');
    actor_init(&b, world, 'b');
    a.then = set_again_in_the_past;
    timer_set(&world->loop, &a.timer, 1);
    timer_set(&world->loop, &b.timer, world->loop.now_ns);
    assert_true(loop_turn(&world->loop, 0));
    assert_true(loop_turn(&world->loop, 0));
    world->told[world->count] = 0;
    assert_non_null(strchr(world->told, 'b'));
    assert_true(world->count <= 3);
    actor_release(&a);
    actor_release(&b);
}

static void test_many_timers(void **state)
{
    enum { COUNT = 1000 };
    struct world *world = *state;
    static struct timer timers[COUNT];
    static struct timer zero;

    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(timer_init(&world->loop, &timers[i], run_timer), 0);
        timer_set(&world->loop, &timers[i], INT64_MAX - 1 - i);
    }
    for (int i = 0; i < COUNT; i++)
        timer_release(&world->loop, &timers[i]);
    assert_int_equal(world->loop.timers_reserved, 0);
    assert_int_equal(world->loop.timers.count, 0);
    timer_release(&world->loop, &zero); /* never initialised */
}

struct peer {
    struct watch watch;
    unsigned what;
    unsigned times;
};

static void note_ready(struct watch *watch, unsigned what)
{
    struct peer *peer = CONTAINER_OF(watch, struct peer, watch);

    peer->what |= what;
    peer->times++;
}

static void test_watch(void **state)
{
    struct world *world = *state;
    struct peer peer = {.watch.fd = -1};
    int fds[2];
    char byte;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(watch_start(&world->loop, &peer.watch, fds[0], 0, note_ready), 0);
    loop_turn(&world->loop, 0);
    assert_int_equal(peer.what, SYS_WRITABLE);
    peer.what = 0;
    assert_false(loop_turn(&world->loop, 0)); /* an edge, not a level */
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_true(loop_turn(&world->loop, 0));
    assert_true(peer.what & SYS_READABLE);
    assert_false(peer.what & SYS_HANGUP);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[1]);
    loop_turn(&world->loop, 0);
    assert_true(peer.what & SYS_HANGUP);
    watch_close(&world->loop, &peer.watch, false);
    assert_int_equal(peer.watch.fd, -1);
    watch_close(&world->loop, &peer.watch, false); /* twice does no harm */
    watch_stop(&world->loop, &peer.watch);
}

struct closing {
    struct watch watch;
    struct closing *other;
    struct loop *loop;
    unsigned times;
};

static void stop_other(struct watch *watch, unsigned what)
{
    struct closing *closing = CONTAINER_OF(watch, struct closing, watch);

    closing->times++;
    watch_stop(closing->loop, &closing->other->watch);
}

/* What was ready in the same turn is not told any more once its watch was stopped. */
static void test_watch_stopped_in_its_turn(void **state)
{
    struct world *world = *state;
    struct closing pair[2] = {{.loop = &world->loop}, {.loop = &world->loop}};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; i < 2; i++) {
        pair[i].other = &pair[!i];
        assert_int_equal(watch_start(&world->loop, &pair[i].watch, fds[i], 0, stop_other), 0);
    }
    loop_turn(&world->loop, 0);
    assert_int_equal(pair[0].times + pair[1].times, 1);
    for (int i = 0; i < 2; i++) {
        watch_stop(&world->loop, &pair[i].watch);
        close(fds[i]);
    }
}

static void test_abort_is_a_reset(void **state)
{
    struct world *world = *state;
    struct sys *sys = sys_linux();
    struct addr addr, peer;
    struct watch watch = {.fd = -1};
    int listener, out, in = -EAGAIN;
    char byte;

    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1:0"), &addr), 0);
    listener = sys->ops->listen(sys, addr, 0);
    assert_true(listener >= 0);
    assert_int_equal(sys->ops->local_addr(sys, listener, &addr), 0);
    out = sys->ops->connect(sys, addr);
    assert_true(out >= 0);
    while (in == -EAGAIN)
        in = sys->ops->accept(sys, listener, &peer);
    assert_true(in >= 0);
    assert_int_equal(sys->ops->connect_result(sys, out), 0);
    assert_int_equal(sys->ops->original_dst(sys, in, &peer), -ENOENT);
    assert_int_equal(watch_start(&world->loop, &watch, in, 0, note_ready), 0);
    watch_close(&world->loop, &watch, true);
    assert_int_equal(sys->ops->readv(sys, out, &(struct iovec){&byte, 1}, 1), -ECONNRESET);
    close(out);
    close(listener);
}

struct counted_signals {
    struct signals signals;
    int last, times;
};

static void count_signal(struct signals *signals, int number)
{
    struct counted_signals *counted = CONTAINER_OF(signals, struct counted_signals, signals);

    counted->last = number;
    counted->times++;
}

static void test_signals(void **state)
{
    struct world *world = *state;
    struct counted_signals counted = {.signals.watch.fd = -1};
    sigset_t set;

    assert_int_equal(signals_start(&counted.signals, &world->loop, (int[]){SIGUSR1, SIGUSR2, 0}, count_signal), 0);
    raise(SIGUSR2);
    loop_turn(&world->loop, 0);
    assert_int_equal(counted.last, SIGUSR2);
    raise(SIGUSR1);
    raise(SIGUSR2);
    loop_turn(&world->loop, 0);
    assert_int_equal(counted.times, 3);
    signals_stop(&counted.signals);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void stop_loop(struct actor *actor)
{
    loop_stop(&actor->world->loop);
}

static void test_run_until_stopped(void **state)
{
    struct world *world = *state;
    struct actor a;

    actor_init(&a, world, 'a');
    a.then = stop_loop;
    timer_set(&world->loop, &a.timer, world->loop.now_ns + 5 * NS_PER_S);
    loop_run(&world->loop);
    assert_string_equal(world->told, "a");
    actor_release(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_tasks_run_in_order),
        TEST(test_phases_of_a_turn),
        TEST(test_phases_chain),
        TEST(test_a_turn_is_bounded),
        TEST(test_timers_by_deadline_then_age),
        TEST(test_timer_moved),
        TEST(test_timer_in_the_past),
        TEST(test_many_timers),
        TEST(test_watch),
        TEST(test_watch_stopped_in_its_turn),
        TEST(test_abort_is_a_reset),
        TEST(test_signals),
        TEST(test_run_until_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
