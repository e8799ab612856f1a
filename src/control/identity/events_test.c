#include "kube/api/api_world.h"

#include <stdio.h>

#include "base/duration.h"
#include "control/identity/events.h"

static struct api_world world;
static struct identity_events *events;

static int setup(void **state)
{
    api_world_init(&world, false);
    return identity_events_new(world.client, &(struct identity_events_options){.control_namespace = SLICE_LIT("linkerd")}, &events);
}

static int teardown(void **state)
{
    identity_events_free(events);
    api_world_release(&world);
    return 0;
}

#define DEPLOYMENT "GET /apis/apps/v1/namespaces/linkerd/deployments/linkerd-identity"
#define EVENTS "POST /api/v1/namespaces/linkerd/events"

static void assert_event(const char *request, const char *first, const char *second)
{
    struct served *served = api_next(&world, request);
    struct slice body = buffer_slice(&served->body);

    if (slice_find_slice(body, slice_str(first)) == body.len || slice_find_slice(body, slice_str(second)) == body.len)
        fail_msg("%s and %s are not in %.*s", first, second, SLICE_ARGS(body));
    api_answer(served, 201, NULL, "{}");
}

/* What comes before the uid is known waits for it. */
static void test_issuer(void **state)
{
    struct served *asked;

    identity_events_tell(events, IDENTITY_ISSUER_UPDATED, NULL, "issuer a");
    identity_events_tell(events, IDENTITY_UPDATE_SKIPPED, NULL, "b cannot be used");
    asked = api_next(&world, DEPLOYMENT);
    api_expect_quiet(&world);
    api_answer(asked, 200, NULL, "{\"metadata\":{\"uid\":\"u-1\"}}");
    assert_event(EVENTS, "\"kind\":\"Deployment\",\"namespace\":\"linkerd\",\"uid\":\"u-1\"", "\"type\":\"Normal\",\"reason\":\"IssuerUpdated\",\"message\":\"issuer a\"");
    assert_event(EVENTS, "u-1", "\"type\":\"Warning\",\"reason\":\"IssuerUpdateSkipped\"");
    identity_events_tell(events, IDENTITY_ISSUER_INVALID, NULL, "it is over");
    assert_event(EVENTS, "u-1", "\"type\":\"Warning\",\"reason\":\"IssuerValidationFailed\"");
}

/* A Deployment that may not be read is told of without its uid, and asked for again with the next event. */
static void test_no_uid(void **state)
{
    for (int i = 0; i < 2; i++) {
        identity_events_tell(events, IDENTITY_UPDATE_SKIPPED, NULL, i ? "b" : "a");
        api_answer(api_next(&world, DEPLOYMENT), 403, NULL, "{}");
        assert_event(EVENTS, "\"namespace\":\"linkerd\"}", i ? "\"message\":\"b\"" : "\"message\":\"a\"");
    }
}

static void test_many_early(void **state)
{
    char text[16];

    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "text %d", i);
        identity_events_tell(events, IDENTITY_UPDATE_SKIPPED, NULL, text);
    }
    api_answer(api_next(&world, DEPLOYMENT), 200, NULL, "{\"metadata\":{\"uid\":\"u-1\"}}");
    for (int i = 0; i < 20; i++)
        assert_event(EVENTS, "IssuerUpdateSkipped", "text ");
    api_expect_quiet(&world);
}

static void test_certificate(void **state)
{
    const struct token_subject subject = {.namespace = "shop", .service_account = "web"};

    identity_events_tell(events, IDENTITY_ISSUED, &subject, "issued certificate for web");
    assert_event("POST /api/v1/namespaces/shop/events", "\"kind\":\"ServiceAccount\",\"namespace\":\"shop\"", "\"reason\":\"IssuedLeafCertificate\"");
}

static void test_expiring(void **state)
{
    const int64_t day = 86400 * NS_PER_S;
    static const struct {
        int days, left;
        bool expiring;
    } cases[] = {{3650, 61, false}, {3650, 59, true}, {365, 61, false}, {365, 59, true}, {366, 365, false},
                 {60, 11, false}, {60, 9, true}, {2, 1, false}, {2, 0, true}, {365, -1, true}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(identity_is_expiring(0, cases[i].days * day, (cases[i].days - cases[i].left) * day), cases[i].expiring);
    for (int i = 0; i < 3; i++)
        identity_events_expiring(events, IDENTITY_CERT_ANCHOR, world.authority.anchor, FIXTURE_WALL);
    identity_events_expiring(events, IDENTITY_CERT_ISSUER, world.authority.anchor, FIXTURE_WALL);
    api_answer(api_next(&world, DEPLOYMENT), 200, NULL, "{\"metadata\":{\"uid\":\"u-1\"}}");
    assert_event(EVENTS, "TrustAnchorExpiring", "\"count\":1");
    assert_event(EVENTS, "IssuerExpiring", "linkerd-identity-issuer");
    identity_events_expiring(events, IDENTITY_CERT_ANCHOR, world.authority.anchor, FIXTURE_WALL + day);
    assert_event(EVENTS, "TrustAnchorExpiring", "\"count\":1");
    api_expect_quiet(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_issuer, setup, teardown),      cmocka_unit_test_setup_teardown(test_no_uid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_early, setup, teardown),  cmocka_unit_test_setup_teardown(test_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiring, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
