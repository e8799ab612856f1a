#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/failing_memory.h"
#include "base/limits.h"
#include "control/destination/answers.h"

static char part[LIMIT_FIRST_ANSWERS / 4];

static void make(struct answers *answers, struct answer *answer, unsigned parts)
{
    for (unsigned i = 0; i < parts; i++)
        assert_int_equal(answer_add(answer, slice_of(part, sizeof(part))), 0);
    answers_keep(answers, answer);
}

/* Those wanted last stay. */
static void test_bound(void **state)
{
    struct answers answers;
    struct answer items[4] = {0};

    answers_init(&answers);
    for (int i = 0; i < 3; i++)
        make(&answers, &items[i], 1);
    answers_keep(&answers, &items[0]);
    assert_int_equal(answers.bytes, 3 * sizeof(part));
    make(&answers, &items[3], 3);
    assert_false(answer_is_made(&items[1]));
    assert_false(answer_is_made(&items[2]));
    assert_true(answer_is_made(&items[0]));
    assert_int_equal(answers.bytes, LIMIT_FIRST_ANSWERS);
    make(&answers, &items[1], 8); /* too large for all: kept alone */
    assert_true(answer_is_made(&items[1]));
    assert_int_equal(answers.bytes, 8 * sizeof(part));
    make(&answers, &items[2], 1);
    assert_int_equal(answers.bytes, sizeof(part));
    for (int i = 0; i < 4; i++)
        answers_forget(&answers, &items[i]);
    assert_int_equal(answers.bytes, 0);
    assert_true(list_empty(&answers.kept));
}

static void test_no_memory(void **state)
{
    struct answers answers;

    answers_init(&answers);
    for (long at = 0; at < 2; at++) {
        struct answer answer = {0};

        assert_int_equal(answer_add(&answer, SLICE_LIT("first")), 0);
        failing_memory_set(at);
        assert_int_equal(answer_add(&answer, SLICE_LIT("second")), -ENOMEM);
        assert_true(failing_memory_end());
        assert_false(answer_is_made(&answer));
        answers_forget(&answers, &answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
