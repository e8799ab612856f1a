#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "mesh/reason.h"

/* The closed sets of Linkerd's metrics. */
static const char *const inbound_labels[] = {"loadshed", "failfast", "tls detection timeout", "gateway loop",
                                             "gateway domain invalid", "i/o", "unexpected", NULL};
static const char *const outbound_labels[] = {"loadshed", "failfast", "identity required", "i/o",
                                              "response timeout", "unexpected", NULL};
static const char *const route_labels[] = {"FAIL_FAST", "LOAD_SHED", "REQUEST_TIMEOUT", "RESPONSE_HEADERS_TIMEOUT",
                                           "RESPONSE_STREAM_TIMEOUT", "IDLE_TIMEOUT", "CANCEL", "REFUSED",
                                           "ENHANCE_YOUR_CALM", "RESET", "GO_AWAY", "IO", "UNKNOWN", NULL};
static const char *const tcp_route_labels[] = {"", "forbidden", "invalid_backend", "invalid_policy", "unexpected",
                                               NULL};

static bool among(const char *label, const char *const *set)
{
    for (; *set; set++)
        if (strcmp(label, *set) == 0)
            return true;
    return false;
}

static void rows_are_complete(void **state)
{
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        const struct reason_info *row = reason_info((enum reason)i);

        assert_non_null(row->name);
        for (const char *c = row->name; *c; c++)
            assert_true((*c >= 'a' && *c <= 'z') || *c == '-');
        assert_true(row->what && row->what[strlen(row->what) - 1] == '.');
        assert_true(row->todo && row->todo[strlen(row->todo) - 1] == '.');
        assert_true(!row->route_label || among(row->route_label, route_labels));
        assert_true(among(row->tcp_route_label, tcp_route_labels));
        assert_true(!row->error_label[DIRECTION_OUTBOUND] ||
                    among(row->error_label[DIRECTION_OUTBOUND], outbound_labels));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(row->name, reason_name((enum reason)j));
    }
}

/* Labels that only one direction knows fall to "unexpected" in the other. */
static void inbound_labels_are_closed(void **state)
{
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        const char *label = reason_info((enum reason)i)->error_label[DIRECTION_INBOUND];

        assert_true(!label || among(label, inbound_labels));
    }
}

static void answers(void **state)
{
    static const struct {
        const char *name;
        enum direction direction;
        uint16_t http;
        uint8_t grpc;
        bool fatal;
    } cases[] = {
        {"failfast", DIRECTION_INBOUND, 504, 4, true},
        {"failfast", DIRECTION_OUTBOUND, 504, 4, true},
        {"load-shed", DIRECTION_INBOUND, 503, 14, true},
        {"load-shed", DIRECTION_OUTBOUND, 503, 14, true},
        {"queue-full", DIRECTION_OUTBOUND, 503, 14, true},
        {"not-authorized", DIRECTION_INBOUND, 403, 7, false},
        {"route-not-found", DIRECTION_INBOUND, 404, 5, false},
        {"route-not-found", DIRECTION_OUTBOUND, 404, 5, false},
        {"request-timeout", DIRECTION_OUTBOUND, 504, 4, false},
        {"response-timeout", DIRECTION_OUTBOUND, 504, 4, false},
        {"profile-timeout", DIRECTION_OUTBOUND, 504, 4, true},
        {"identity-required", DIRECTION_OUTBOUND, 502, 14, true},
        {"identity-mismatch", DIRECTION_OUTBOUND, 502, 14, true},
        {"connect-refused", DIRECTION_OUTBOUND, 502, 14, true},
        {"connect-timeout", DIRECTION_OUTBOUND, 504, 4, true},
        {"loop", DIRECTION_INBOUND, 508, 10, true},
        {"policy-invalid", DIRECTION_OUTBOUND, 500, 13, true},
        {"redirected", DIRECTION_OUTBOUND, 301, 5, false},
        {"injected-failure", DIRECTION_OUTBOUND, 500, 9, false},
        {"bad-request", DIRECTION_INBOUND, 400, 13, true},
        {"internal", DIRECTION_INBOUND, 500, 13, true},
        {"client-gone", DIRECTION_INBOUND, 0, 1, true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reason_answer answer = reason_answer(reason_find(slice_str(cases[i].name)), cases[i].direction);

        assert_int_equal(answer.http, cases[i].http);
        assert_int_equal(answer.grpc, cases[i].grpc);
        assert_int_equal(answer.fatal, cases[i].fatal);
    }
}

static void finding(void **state)
{
    for (unsigned i = 1; i < REASON_COUNT; i++)
        assert_int_equal(reason_find(slice_str(reason_name((enum reason)i))), i);
    assert_int_equal(reason_find(SLICE_LIT("")), REASON_NONE);
    assert_int_equal(reason_find(SLICE_LIT("Failfast")), REASON_NONE);
    assert_int_equal(reason_find(SLICE_LIT("failfast ")), REASON_NONE);
    assert_string_equal(reason_name((enum reason)9999), "internal");
}

static void mappings(void **state)
{
    assert_string_equal(reason_reset_label(7), "REFUSED");
    assert_string_equal(reason_reset_label(8), "CANCEL");
    assert_string_equal(reason_reset_label(11), "ENHANCE_YOUR_CALM");
    assert_string_equal(reason_reset_label(0), "RESET");
    assert_int_equal(reason_of_connect(ECONNREFUSED), REASON_CONNECT_REFUSED);
    assert_int_equal(reason_of_connect(ETIMEDOUT), REASON_CONNECT_TIMEOUT);
    assert_int_equal(reason_of_connect(EHOSTUNREACH), REASON_CONNECT_FAILED);
    assert_int_equal(reason_of_connect(EMFILE), REASON_OUT_OF_DESCRIPTORS);
    /* What policy decides is counted by policy's own families. */
    assert_null(reason_info(REASON_NOT_AUTHORIZED)->error_label[DIRECTION_INBOUND]);
    assert_null(reason_info(REASON_ROUTE_NOT_FOUND)->error_label[DIRECTION_INBOUND]);
    assert_string_equal(reason_info(REASON_TLS_DETECT_TIMEOUT)->error_label[DIRECTION_INBOUND],
                        "tls detection timeout");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete), cmocka_unit_test(inbound_labels_are_closed),
        cmocka_unit_test(answers),           cmocka_unit_test(finding),
        cmocka_unit_test(mappings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
