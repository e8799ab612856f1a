/* Paths of steps: order, waiting, going back, switching, cancelling, and one end only. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "proxy/step.h"

struct traveller {
    struct walker walker;
    enum step_result next; /* what `gate` returns */
    char diary[256];
    unsigned finished, failed;
};

static void note(struct walker *walker, const char *what, enum why why)
{
    static const char *const names[] = {"start", "io", "timer", "watch", "cancel"};
    struct traveller *t = CONTAINER_OF(walker, struct traveller, walker);
    size_t len = strlen(t->diary);

    snprintf(t->diary + len, sizeof(t->diary) - len, "%s%s(%s)", len ? " " : "", what, names[why]);
}

static void finish(struct walker *walker, bool failed)
{
    struct traveller *t = CONTAINER_OF(walker, struct traveller, walker);

    t->finished++;
    t->failed += failed;
    assert_true(walker->over);
    assert_string_equal(walker_step(walker), "ended");
}

static enum step_result pass(struct walker *walker, enum why why)
{
    note(walker, "pass", why);
    return STEP_NEXT;
}

static enum step_result gate(struct walker *walker, enum why why)
{
    note(walker, "gate", why);
    return CONTAINER_OF(walker, struct traveller, walker)->next;
}

static enum step_result arrive(struct walker *walker, enum why why)
{
    note(walker, "arrive", why);
    return STEP_DONE;
}

static enum step_result aside(struct walker *walker, enum why why)
{
    note(walker, "aside", why);
    return STEP_DONE;
}

static const struct step road[] = {{"pass", pass}, {"gate", gate}, {"arrive", arrive}, {NULL, NULL}};
static const struct step lane[] = {{"aside", aside}, {NULL, NULL}};

static enum step_result back_once(struct walker *walker, enum why why)
{
    struct traveller *t = CONTAINER_OF(walker, struct traveller, walker);

    note(walker, "back", why);
    if (t->next == STEP_NEXT)
        return STEP_NEXT;
    t->next = STEP_NEXT;
    walker->at = 0;
    return STEP_AGAIN;
}

static enum step_result turn_off(struct walker *walker, enum why why)
{
    note(walker, "turn", why);
    walker->path = lane;
    return STEP_SWITCH;
}

static const struct step loop_road[] = {{"pass", pass}, {"back", back_once}, {"arrive", arrive}, {NULL, NULL}};
static const struct step fork_road[] = {{"pass", pass}, {"turn", turn_off}, {"arrive", arrive}, {NULL, NULL}};

static void test_waits(void **state)
{
    struct traveller t = {.next = STEP_WAIT};

    walker_init(&t.walker, road, finish);
    assert_string_equal(walker_step(&t.walker), "pass");
    walk(&t.walker, WHY_START);
    assert_string_equal(walker_step(&t.walker), "gate");
    walk(&t.walker, WHY_IO);
    walk(&t.walker, WHY_TIMER);
    t.next = STEP_NEXT;
    walk(&t.walker, WHY_WATCH);
    assert_string_equal(t.diary, "pass(start) gate(start) gate(io) gate(timer) gate(watch) arrive(start)");
    assert_int_equal(t.finished, 1);
    assert_int_equal(t.failed, 0);
    walk(&t.walker, WHY_IO); /* late news change nothing */
    walk_cancel(&t.walker);
    assert_int_equal(t.finished, 1);
}

static void test_fails(void **state)
{
    struct traveller t = {.next = STEP_FAIL};

    walker_init(&t.walker, road, finish);
    walk(&t.walker, WHY_START);
    assert_string_equal(t.diary, "pass(start) gate(start)");
    assert_int_equal(t.finished, 1);
    assert_int_equal(t.failed, 1);
}

static void test_cancelled(void **state)
{
    struct traveller t = {.next = STEP_WAIT};

    walker_init(&t.walker, road, finish);
    walk(&t.walker, WHY_START);
    t.next = STEP_NEXT; /* what a cancelled step returns is ignored */
    walk_cancel(&t.walker);
    assert_string_equal(t.diary, "pass(start) gate(start) gate(cancel)");
    assert_int_equal(t.finished, 1);
    assert_int_equal(t.failed, 1);
    walk_cancel(&t.walker);
    assert_int_equal(t.finished, 1);
}

static void test_goes_back(void **state)
{
    struct traveller t = {.next = STEP_AGAIN};

    walker_init(&t.walker, loop_road, finish);
    walk(&t.walker, WHY_START);
    assert_string_equal(t.diary, "pass(start) back(start) pass(start) back(start) arrive(start)");
}

static void test_switches(void **state)
{
    struct traveller t = {0};

    walker_init(&t.walker, fork_road, finish);
    walk(&t.walker, WHY_START);
    assert_string_equal(t.diary, "pass(start) turn(start) aside(start)");
    assert_int_equal(t.finished, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),     cmocka_unit_test(test_fails),    cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_goes_back), cmocka_unit_test(test_switches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
