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
#include <stdlib.h>

#include "inject/inject_fixture.h"

static long allocations_left = -1; /* < 0: without end */
static bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool allowed(void)
{
    if (allocations_left < 0 || allocations_left-- > 0)
        return true;
    failed = true;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return allowed() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return allowed() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *memory, size_t size)
{
    return allowed() ? __real_realloc(memory, size) : NULL;
}

static void *json_malloc_(size_t size)
{
    return __wrap_malloc(size);
}

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

static void every_allocation(void **state)
{
    json_t *objects, *namespace_;
    struct inject_request request;
    struct inject_answer want, got;
    struct fixture fixture;
    struct errmsg msg;
    long at = 0;

    json_set_alloc_funcs(json_malloc_, free);
    fixture_setup(&fixture, NULL);
    objects = fixture_load("objects.json");
    namespace_ = json_pack("{s:s, s:s}", "linkerd.io/inject", "enabled", "config.linkerd.io/proxy-cpu-request", "2");
    assert_int_equal(inject(fixture.injector, make_request(&request, objects, namespace_), &msg, &want), 0);
    do {
        int r;

        failed = false;
        allocations_left = at++;
        r = inject(fixture.injector, &request, &msg, &got);
        allocations_left = -1;
        if (r == 0) {
            bool told = json_array_size(got.warnings) > json_array_size(want.warnings); /* the parser of a list of variables may not say why */

            if (got.verdict != want.verdict || !(json_equal(want.patch, got.patch) || told))
                fail_msg("allocation %ld: another answer", at);
            inject_answer_release(&got);
        } else if (r != -ENOMEM && r != -EINVAL) { /* -EINVAL: a parser does not say why */
            fail_msg("allocation %ld: %d", at, r);
        }
    } while (failed);
    assert_true(at > 1000);
    inject_answer_release(&want);
    json_decref(namespace_);
    json_decref(objects);
    fixture_teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
