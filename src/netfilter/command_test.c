#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/duration.h"
#include "base/limits.h"
#include "netfilter/command.h"

/* Here the shell is the program under test's subject, not part of command_run(). */
static int run(const char *script, struct slice input, int64_t timeout_ns, struct errmsg *msg,
               struct command_result *result)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct command command = {argv, input, timeout_ns};

    return command_run(&command, msg, result);
}

static void test_both_outputs_and_status(void **state)
{
    struct command_result result;
    struct errmsg msg = {""};

    assert_int_equal(run("cat; echo bad >&2; exit 3", SLICE_LIT("in\n"), 20 * NS_PER_S, &msg, &result), 0);
    assert_int_equal(result.status, 3);
    assert_true(slice_eq(buffer_slice(&result.output), SLICE_LIT("in\n")));
    assert_true(slice_eq(buffer_slice(&result.errors), SLICE_LIT("bad\n")));
    command_result_release(&result);
}

static void test_large_input_both_ways(void **state)
{
    struct command_result result;
    struct errmsg msg = {""};
    size_t len = 3 * 1024 * 1024;
    char *bytes = malloc(len);

    assert_non_null(bytes);
    memset(bytes, 'x', len);
    assert_int_equal(run("cat", slice_of(bytes, len), 60 * NS_PER_S, &msg, &result), 0);
    assert_int_equal(result.output.len, len);
    assert_memory_equal(result.output.data, bytes, len);
    command_result_release(&result);
    /* A program that does not want its input is no failure of ours. */
    assert_int_equal(run("exit 0", slice_of(bytes, len), 60 * NS_PER_S, &msg, &result), 0);
    assert_int_equal(result.status, 0);
    command_result_release(&result);
    free(bytes);
}

static void test_limits(void **state)
{
    struct command_result result;
    struct errmsg msg = {""};

    assert_int_equal(run("head -c 17000000 /dev/zero", SLICE_NULL, 60 * NS_PER_S, &msg, &result), -ENOBUFS);
    assert_true(result.output.len <= LIMIT_COMMAND_OUTPUT);
    command_result_release(&result);
    assert_int_equal(run("head -c 100000 /dev/zero >&2; exit 1", SLICE_NULL, 60 * NS_PER_S, &msg, &result), 0);
    assert_int_equal(result.errors.len, LIMIT_COMMAND_ERRORS);
    command_result_release(&result);
}

static void test_deadline(void **state)
{
    struct command_result result;
    struct errmsg msg = {""};

    assert_int_equal(run("exec sleep 1000", SLICE_NULL, 50 * NS_PER_MS, &msg, &result), -ETIMEDOUT);
    assert_int_equal(result.status, 128 + 9);
    assert_non_null(strstr(msg.text, "50ms"));
    command_result_release(&result);
}

/* What a program leaves behind is not waited for, even when it holds the outputs. */
static void test_orphan(void **state)
{
    struct command_result result;
    struct errmsg msg = {""};

    assert_int_equal(run("sleep 1 & echo out", SLICE_NULL, 60 * NS_PER_S, &msg, &result), 0);
    assert_true(slice_eq(buffer_slice(&result.output), SLICE_LIT("out\n")));
    command_result_release(&result);
}

static void test_cannot_start(void **state)
{
    const char *argv[] = {"/nonexistent/program", NULL};
    struct command command = {argv, SLICE_NULL, NS_PER_S};
    struct command_result result;
    struct errmsg msg = {""};

    assert_int_equal(command_run(&command, &msg, &result), -ENOENT);
    assert_string_equal(msg.text, "cannot run /nonexistent/program: No such file or directory");
    command_result_release(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_outputs_and_status),
        cmocka_unit_test(test_large_input_both_ways),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_orphan),
        cmocka_unit_test(test_cannot_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
