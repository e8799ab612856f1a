#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/duration.h"
#include "control/views.h"
#include "event/sys.h"

/* Views in time that stands still but for pass(); one that is made anew says that it has told `tells` calls. */
static struct world {
    struct sys sys;
    struct sys_ops ops;
    int64_t now_ns;
    struct loop loop;
    struct views views;
    unsigned remade;
    size_t tells;
    bool frees;
} world;

struct thing {
    struct view view;
    unsigned remade;
};

static int64_t now(struct sys *sys)
{
    return world.now_ns;
}

static void remake(struct view *view)
{
    CONTAINER_OF(view, struct thing, view)->remade++;
    world.remade++;
    view->views->told += world.tells;
}

static void drop(struct view *view)
{
    view_release(view);
    free(CONTAINER_OF(view, struct thing, view));
}

/* The tests' views have no calls, and stay nevertheless. */
static void leave(struct view *view)
{
    if (world.frees)
        drop(view);
}

static const struct view_kind kind = {sizeof(struct thing), remake, leave};

static void turn(void)
{
    while (loop_turn(&world.loop, 0))
        ;
}

static void pass(int64_t ns)
{
    world.now_ns += ns;
    turn();
}

static int begin(void **state)
{
    world = (struct world){.ops = *sys_linux()->ops, .now_ns = NS_PER_S};
    world.ops.now = now;
    world.sys.ops = &world.ops;
    assert_int_equal(loop_init(&world.loop, &world.sys, 16), 0);
    assert_int_equal(views_init(&world.views, &world.loop, 1000), 0);
    return 0;
}

static int end(void **state)
{
    views_release(&world.views);
    loop_release(&world.loop);
    return 0;
}

static struct thing *thing_of(const char *key)
{
    struct view *view;

    assert_int_equal(views_get(&world.views, &kind, key, (int)strlen(key), 100, &view), 1);
    view_follow(view, "Thing %s", key);
    return CONTAINER_OF(view, struct thing, view);
}

/* Only what follows a topic, and once a turn. */
static void test_topics(void **state)
{
    struct thing *a = thing_of("a"), *b = thing_of("b");

    views_touch(&world.views, "Thing %s", "a");
    views_touch(&world.views, "Thing %s", "a");
    views_touch(&world.views, "Thing %s", "c");
    assert_int_equal(world.remade, 0);
    turn();
    assert_int_equal(a->remade, 1);
    assert_int_equal(b->remade, 0);
    view_forget(&a->view);
    views_touch(&world.views, "Thing %s", "a");
    turn();
    assert_int_equal(a->remade, 1);
    drop(&a->view);
    drop(&b->view);
}

/* A change alone is told at once; those that follow many messages are told together, after a rest that the messages measure. */
static void test_rest(void **state)
{
    struct thing *a = thing_of("a"), *b = thing_of("b");

    world.tells = 1000; /* 40 ms */
    views_touch(&world.views, "Thing %s", "a");
    turn();
    assert_int_equal(a->remade, 1);
    for (int i = 0; i < 39; i++) {
        views_touch(&world.views, "Thing %s", i % 2 ? "a" : "b");
        pass(NS_PER_MS);
    }
    assert_int_equal(world.remade, 1);
    pass(NS_PER_MS);
    assert_int_equal(a->remade, 2);
    assert_int_equal(b->remade, 1);
    pass(80 * NS_PER_MS); /* both have told 1,000 */
    views_touch(&world.views, "Thing %s", "a");
    turn();
    assert_int_equal(a->remade, 3);
    drop(&a->view);
    drop(&b->view);
}

/* However many messages: half a second. A change without messages costs no rest. */
static void test_rest_has_an_end(void **state)
{
    struct thing *a = thing_of("a");

    world.tells = 1000 * 1000;
    views_touch(&world.views, "Thing %s", "a");
    turn();
    views_touch(&world.views, "Thing %s", "a");
    pass(499 * NS_PER_MS);
    assert_int_equal(a->remade, 1);
    world.tells = 0;
    pass(NS_PER_MS);
    assert_int_equal(a->remade, 2);
    views_touch(&world.views, "Thing %s", "a");
    turn();
    assert_int_equal(a->remade, 3);
    drop(&a->view);
}

/* Who joins a view that is about to be made anew waits until it was: what it is told and what the others know is the same. */
static void test_joins_what_is_told(void **state)
{
    struct thing *a = thing_of("a"), *b;
    struct list call;
    struct view *found;

    list_push(&a->view.calls, &call);
    world.tells = 1000;
    views_touch(&world.views, "Thing %s", "a");
    turn();
    views_touch(&world.views, "Thing %s", "a"); /* to be told in 40 ms */
    assert_int_equal(views_get(&world.views, &kind, "a", 1, 100, &found), 0);
    assert_ptr_equal(found, &a->view);
    assert_int_equal(a->remade, 2);
    pass(80 * NS_PER_MS);
    assert_int_equal(a->remade, 2);
    list_remove(&call);
    views_touch(&world.views, "Thing %s", "a");
    world.frees = true;
    b = thing_of("a"); /* without calls it is gone, and made again */
    assert_int_equal(b->remade, 0);
    world.frees = false;
    drop(&b->view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_topics, begin, end),
        cmocka_unit_test_setup_teardown(test_rest, begin, end),
        cmocka_unit_test_setup_teardown(test_rest_has_an_end, begin, end),
        cmocka_unit_test_setup_teardown(test_joins_what_is_told, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
