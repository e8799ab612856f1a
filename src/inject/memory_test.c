/*
 * What happens when there is no memory: each allocation fails once, ours and those of jansson, in a run of its own. Either nothing is
 * answered, or the same as ever: a patch that lacks something would be an unprotected pod.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/failing_memory.h"
#include "inject/inject_fixture.h"
#include "inject/injector.h"

static const struct inject_request *make_request(struct inject_request *request, json_t *objects, json_t *namespace_)
{
    json_t *pod = json_object_get(objects, "pod");

    json_object_set_new(json_object_get(pod, "metadata"), "annotations",
                        json_pack("{s:s, s:s, s:s, s:s}", "config.linkerd.io/proxy-uid", "7", "config.linkerd.io/opaque-ports", "mysql,25,none",
                                  "config.linkerd.io/proxy-additional-env", "[{\"name\": \"A\", \"value\": \"b\"}]",
                                  "config.linkerd.io/enable-debug-sidecar", "true"));
    *request = (struct inject_request){.object = pod, .namespace_ = "emojivoto", .namespace_annotations = namespace_};
    return request;
}

struct sweep {
    struct fixture fixture;
    struct inject_request request;
    json_t *objects, *namespace_;
    struct inject_answer want;
};

static void setup(struct sweep *sweep)
{
    struct errmsg msg;

    json_set_alloc_funcs(malloc, free);
    fixture_setup(&sweep->fixture, NULL);
    sweep->objects = fixture_load("objects.json");
    sweep->namespace_ = json_pack("{s:s, s:s}", "linkerd.io/inject", "enabled", "config.linkerd.io/proxy-cpu-request", "2");
    make_request(&sweep->request, sweep->objects, sweep->namespace_);
    assert_int_equal(inject(sweep->fixture.injector, &sweep->request, &msg, &sweep->want), 0);
}

static void teardown(struct sweep *sweep)
{
    inject_answer_release(&sweep->want);
    json_decref(sweep->namespace_);
    json_decref(sweep->objects);
    fixture_teardown(&sweep->fixture);
}

static void check(const struct sweep *sweep, long at, int r, struct inject_answer *got)
{
    bool told;

    if (r < 0) {
        if (r != -ENOMEM && r != -EINVAL) /* -EINVAL: a parser does not say why */
            fail_msg("allocation %ld: %d", at, r);
        return;
    }
    told = json_array_size(got->warnings) > json_array_size(sweep->want.warnings); /* the parser of a list of variables may not say why */
    if (got->verdict != sweep->want.verdict || !(json_equal(sweep->want.patch, got->patch) || told))
        fail_msg("allocation %ld: another answer", at);
    inject_answer_release(got);
}

/* `forget`: the containers are made anew in each run; else they are those that the injector remembers. */
static long run_out(struct sweep *sweep, bool forget)
{
    struct inject_answer got;
    struct errmsg msg;
    long at = 0;
    bool failed;

    do {
        int r;

        if (forget)
            rendered_release(sweep->fixture.injector->rendered);
        failing_memory_set(at++);
        r = inject(sweep->fixture.injector, &sweep->request, &msg, &got);
        failed = failing_memory_end();
        check(sweep, at, r, &got);
        assert_int_equal(inject(sweep->fixture.injector, &sweep->request, &msg, &got), 0); /* what is remembered is whole */
        check(sweep, at, 0, &got);
    } while (failed);
    return at;
}

static void every_allocation(void **state)
{
    struct sweep sweep;

    setup(&sweep);
    assert_true(run_out(&sweep, true) > 1000);
    assert_true(run_out(&sweep, false) > 100);
    teardown(&sweep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
