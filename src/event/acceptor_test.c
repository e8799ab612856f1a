/* A listener that stops before the last descriptors, and goes on when there are more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "event/acceptor.h"

/* Linux with a limit of descriptors that the test says. */
struct world {
    struct sys sys;
    struct sys_ops ops;
    struct loop loop;
    struct acceptor acceptor;
    struct addr addr;
    int limit, base, client[200], client_count, taken[200], taken_count, pauses;
};

static int64_t at_ns(struct sys *sys)
{
    return sys_linux()->ops->now(sys);
}

static int limit_of(struct sys *sys)
{
    return CONTAINER_OF(sys, struct world, sys)->limit;
}

static void take(struct acceptor *acceptor, int fd, struct addr peer)
{
    struct world *world = CONTAINER_OF(acceptor, struct world, acceptor);

    world->taken[world->taken_count++] = fd;
}

static void note_pause(struct acceptor *acceptor, int error)
{
    CONTAINER_OF(acceptor, struct world, acceptor)->pauses++;
}

static void open_world(struct world *world, enum descriptor_use use)
{
    int fd;

    *world = (struct world){.ops = *sys_linux()->ops, .limit = INT32_MAX};
    world->ops.descriptor_limit = limit_of;
    world->sys.ops = &world->ops;
    assert_int_equal(loop_init(&world->loop, &world->sys, 16), 0);
    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1:0"), &world->addr), 0);
    fd = world->ops.listen(&world->sys, world->addr, 0);
    assert_true(fd >= 0);
    assert_int_equal(world->ops.local_addr(&world->sys, fd, &world->addr), 0);
    assert_int_equal(acceptor_start(&world->acceptor, &world->loop, fd, use, take), 0);
    world->acceptor.paused = note_pause;
    world->base = world->ops.descriptor_next(&world->sys);
}

static void call(struct world *world, int count)
{
    while (count--) {
        int fd = world->ops.connect(&world->sys, world->addr);

        assert_true(fd >= 0);
        world->client[world->client_count++] = fd;
    }
}

static void turn_for(struct world *world, int64_t ns)
{
    int64_t until = at_ns(&world->sys) + ns;

    while (at_ns(&world->sys) < until)
        loop_turn(&world->loop, 10 * NS_PER_MS);
}

static void turn_until_taken(struct world *world, int count)
{
    while (world->taken_count < count)
        loop_turn(&world->loop, 10 * NS_PER_MS);
}

static void close_world(struct world *world)
{
    acceptor_close(&world->acceptor);
    acceptor_close(&world->acceptor);
    for (int i = 0; i < world->taken_count; i++)
        close(world->taken[i]);
    for (int i = 0; i < world->client_count; i++)
        close(world->client[i]);
    loop_release(&world->loop);
}

/* Accepting stops at half of few descriptors, waits, and goes on when there are more. */
static void test_stops_before_the_last(void **state)
{
    struct world world;

    open_world(&world, DESCRIPTOR_ACCEPT);
    call(&world, 20);
    world.limit = 2 * (world.base + 20 + 6); /* half is kept: room for about six beside the clients */
    while (!world.pauses)
        loop_turn(&world.loop, 10 * NS_PER_MS);
    assert_in_range(world.taken_count, 5, 8);
    turn_for(&world, 250 * NS_PER_MS);
    assert_in_range(world.taken_count, 5, 8); /* it looked again, and took none of what is kept */
    world.limit = 100000;
    turn_until_taken(&world, 20);
    close_world(&world);
}

static void test_essential_takes_all(void **state)
{
    struct world world;

    open_world(&world, DESCRIPTOR_ESSENTIAL);
    call(&world, 20);
    world.limit = 8;
    turn_until_taken(&world, 20);
    assert_int_equal(world.pauses, 0);
    close_world(&world);
}

static void test_what_is_kept(void **state)
{
    static const struct {
        int limit, fd;
        enum descriptor_use use;
        bool spare;
    } cases[] = {
        {64, 63, DESCRIPTOR_ESSENTIAL, true}, {64, 47, DESCRIPTOR_DIAL, true},     {64, 48, DESCRIPTOR_DIAL, false},
        {64, 31, DESCRIPTOR_ACCEPT, true},    {64, 32, DESCRIPTOR_ACCEPT, false},  {1000000, 999903, DESCRIPTOR_DIAL, true},
        {1000000, 999904, DESCRIPTOR_DIAL, false}, {1000000, 999647, DESCRIPTOR_ACCEPT, true}, {1000000, 999648, DESCRIPTOR_ACCEPT, false},
    };
    struct world world = {.ops = *sys_linux()->ops};

    world.ops.descriptor_limit = limit_of;
    world.sys.ops = &world.ops;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        world.limit = cases[i].limit;
        assert_int_equal(descriptors_spare(&world.sys, cases[i].fd, cases[i].use), cases[i].spare);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops_before_the_last),
        cmocka_unit_test(test_essential_takes_all),
        cmocka_unit_test(test_what_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
