/*
 * What happens when there is no memory: each allocation fails once, ours and those of jansson, in a run of its own. Either nothing is
 * answered, or the same as ever: an answer that forgot a problem would let a broken object in.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/failing_memory.h"
#include "base/limits.h"
#include "control/validate/validate_fixture.h"

static int ask(const struct review *review, const struct validate_context *context, struct buffer *out)
{
    struct validate_opinion opinion;
    struct review_verdict verdict;
    int r = validate(review, context, &opinion);

    buffer_init(out, LIMIT_ADMISSION);
    if (r < 0)
        return r;
    verdict = validate_verdict(&opinion);
    r = review_write(review, &verdict, out);
    validate_opinion_release(&opinion);
    return r;
}

static bool is_json(struct slice text)
{
    json_t *root = json_loadb(text.ptr, text.len, 0, NULL);

    json_decref(root);
    return root != NULL;
}

/*
 * Of a review that was read: jansson's parser loses characters that it has no memory for, and says nothing. What it writes may lack a key
 * then; that is no JSON, which to an API server is as good as no answer.
 */
static void sweep(struct slice body, const struct validate_context *context)
{
    struct buffer expected, out;
    struct review review;
    struct errmsg msg;
    long n = 0;
    bool failed;

    assert_int_equal(review_read(body, &msg, &review), 0);
    assert_int_equal(ask(&review, context, &expected), 0);
    do {
        int r;

        failing_memory_set(n++);
        r = ask(&review, context, &out);
        failed = failing_memory_end();
        assert_true(r == 0 || (r == -ENOMEM && failed));
        if (r == 0 && !slice_eq(buffer_slice(&out), buffer_slice(&expected)) && is_json(buffer_slice(&out)))
            fail_msg("allocation %ld: %.*s\ninstead of %.*s", n, SLICE_ARGS(buffer_slice(&out)), SLICE_ARGS(buffer_slice(&expected)));
        buffer_release(&out);
    } while (failed);
    assert_true(n > 20); /* so that a sweep that fails nothing is noticed */
    buffer_release(&expected);
    review_release(&review);
}

static void sweep_cases(const char *file, size_t every, const struct validate_context *context)
{
    json_t *all = validate_cases(file);

    for (size_t i = 0; i < json_array_size(all); i += every) {
        json_t *question = validate_question(json_array_get(all, i));
        char *body = json_dumps(question, 0);

        sweep(slice_str(body), context);
        free(body);
        json_decref(question);
    }
    json_decref(all);
}

static void every_allocation_may_fail(void **state)
{
    struct store *world = validate_world();
    const struct validate_context context = {world, SLICE_LIT("cluster.local")};

    json_set_alloc_funcs(malloc, free);
    sweep_cases("profile.yaml", 7, &context);
    sweep_cases("server.yaml", 7, &context);
    sweep_cases("policy.yaml", 9, &context);
    sweep_cases("routes.yaml", 9, &context);
    store_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
