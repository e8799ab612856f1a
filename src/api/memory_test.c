/*
 * Allocation failures: every message of testdata (as the fuzzers' seeds) with the first, second, ... allocation failing.
 * Decoder or encoder says -ENOMEM, and nothing is lost.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/roundtrip.h"
#include "base/limits.h"

static long until_failure = -1; /* allocations that still succeed; negative: all */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static int fails_now(void)
{
    return until_failure >= 0 && until_failure-- == 0 ? (until_failure = 0, 1) : 0;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails_now() ? NULL : __real_realloc(memory, size);
}

static void sweep(const char *message, struct slice bytes)
{
    const struct roundtrip *trip = roundtrip_find(message);
    struct buffer whole;
    int expected;

    buffer_init(&whole, LIMIT_SNAPSHOT);
    expected = trip->run(bytes, NULL, &whole);
    for (long i = 0;; i++) {
        struct errmsg msg = {0};
        struct buffer out;
        bool failed;
        int r;

        buffer_init(&out, LIMIT_SNAPSHOT);
        until_failure = i;
        r = trip->run(bytes, &msg, &out);
        failed = until_failure == 0;
        until_failure = -1;
        /* labels_sort() can do without memory, so that success is allowed, but only the whole of it. */
        if (r == expected)
            assert_true(slice_eq(buffer_slice(&out), buffer_slice(&whole)));
        else
            assert_int_equal(r, -ENOMEM);
        buffer_release(&out);
        if (!failed) {
            assert_true(i >= 2); /* the failures did happen */
            break;
        }
    }
    buffer_release(&whole);
}

static void sweep_file(const char *folder, const char *name, const char *message)
{
    char path[4096], bytes[4096];
    size_t len;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s/%s", CORPUS, folder, name);
    file = fopen(path, "rb");
    assert_non_null(file);
    len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    sweep(message, slice_of(bytes, len));
}

static void allocations_may_fail(void **state)
{
    sweep_file("api_update", "update_add", "Update");
    sweep_file("api_update", "update_remove", "Update");
    sweep_file("api_profile", "profile_service", "DestinationProfile");
    sweep_file("api_profile", "profile_endpoint", "DestinationProfile");
    sweep_file("api_server_policy", "server_detect", "Server");
    sweep_file("api_server_policy", "server_grpc", "Server");
    sweep_file("api_outbound_policy", "policy_detect", "OutboundPolicy");
    sweep_file("api_outbound_policy", "policy_grpc", "OutboundPolicy");
    sweep_file("api_outbound_policy", "policy_tls", "OutboundPolicy");
    sweep_file("api_certify", "certify_request", "CertifyRequest");
    sweep_file("api_certify", "certify_response", "CertifyResponse");
    sweep_file("api_workload", "traffic_addr", "TrafficSpec");
    sweep("OutboundPolicy", SLICE_LIT("")); /* becomes invalid, or fails */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(allocations_may_fail)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
