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

/* Every reason, so that a new one, or another answer of an old one, is meant: what people script against. */
static const struct {
    const char *name;
    uint16_t http;
    uint8_t grpc;
    bool fatal;
} answers_of[] = {
    {"none", 200, 0, false},
    {"discovery-unavailable", 504, 4, true},
    {"policy-unknown", 503, 14, true},
    {"policy-invalid", 500, 13, true},
    {"backend-invalid", 500, 13, true},
    {"no-backend", 503, 14, true},
    {"too-many-destinations", 503, 14, true},
    {"not-authorized", 403, 7, false},
    {"authorization-revoked", 403, 7, false},
    {"route-not-found", 404, 5, false},
    {"route-forbidden", 403, 7, false},
    {"redirected", 301, 5, false},
    {"injected-failure", 500, 9, false},
    {"identity-mismatch", 502, 14, true},
    {"identity-required", 502, 14, true},
    {"client-identity-required", 403, 7, false},
    {"identity-unavailable", 503, 14, true},
    {"tls-handshake-failed", 502, 14, true},
    {"tls-detect-timeout", 0, 14, true},
    {"failfast", 504, 4, true},
    {"load-shed", 503, 14, true},
    {"queue-full", 503, 14, true},
    {"in-flight-limit", 503, 14, true},
    {"connect-refused", 502, 14, true},
    {"connect-timeout", 504, 4, true},
    {"connect-failed", 502, 14, true},
    {"loopback-only-app", 502, 14, true},
    {"loopback-target", 502, 14, true},
    {"override-invalid", 0, 14, true},
    {"override-unknown", 0, 14, true},
    {"loop", 508, 10, true},
    {"wrong-address", 0, 14, true},
    {"no-original-dst", 0, 14, true},
    {"connection-lost", 502, 14, true},
    {"server-reset", 502, 14, true},
    {"server-refused", 502, 14, true},
    {"server-goaway", 502, 14, true},
    {"bad-response", 502, 14, true},
    {"stalled", 502, 14, true},
    {"client-gone", 0, 1, true},
    {"bad-request", 400, 13, true},
    {"uri-too-long", 414, 8, true},
    {"headers-too-large", 431, 8, true},
    {"version-unsupported", 505, 13, true},
    {"head-timeout", 408, 4, true},
    {"protocol-mismatch", 0, 14, true},
    {"transport-header-invalid", 0, 14, true},
    {"flood", 0, 8, true},
    {"request-timeout", 504, 4, false},
    {"response-timeout", 504, 4, false},
    {"idle-timeout", 504, 4, false},
    {"profile-timeout", 504, 4, true},
    {"pattern-limit", 500, 13, false},
    {"out-of-memory", 503, 14, true},
    {"out-of-descriptors", 503, 14, true},
    {"shutting-down", 503, 14, true},
    {"internal", 500, 13, true},
};

static void answers(void **state)
{
    assert_int_equal(sizeof(answers_of) / sizeof(answers_of[0]), REASON_COUNT);
    for (size_t i = 0; i < REASON_COUNT; i++) {
        enum reason reason = i ? reason_find(slice_str(answers_of[i].name)) : REASON_NONE;

        assert_true(i == 0 || reason != REASON_NONE);
        for (int direction = 0; direction < 2; direction++) {
            struct reason_answer answer = reason_answer(reason, (enum direction)direction);

            assert_int_equal(answer.http, answers_of[i].http);
            assert_int_equal(answer.grpc, answers_of[i].grpc);
            assert_int_equal(answer.fatal, answers_of[i].fatal);
        }
    }
}

/* The gRPC status follows from the HTTP one, as in Linkerd's proxy; redirects and failures of filters have their own. */
static void grpc_follows_http(void **state)
{
    static const struct {
        uint16_t http;
        uint8_t grpc;
    } pairs[] = {{403, 7}, {404, 5}, {500, 13}, {502, 14}, {503, 14}, {504, 4}, {508, 10}};

    for (unsigned i = 1; i < REASON_COUNT; i++)
        for (int direction = 0; direction < 2; direction++)
            for (size_t j = 0; j < sizeof(pairs) / sizeof(pairs[0]); j++) {
                struct reason_answer answer = reason_answer((enum reason)i, (enum direction)direction);

                if (answer.http == pairs[j].http && i != REASON_INJECTED_FAILURE)
                    assert_int_equal(answer.grpc, pairs[j].grpc);
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
        cmocka_unit_test(answers),           cmocka_unit_test(grpc_follows_http),
        cmocka_unit_test(finding),           cmocka_unit_test(mappings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
