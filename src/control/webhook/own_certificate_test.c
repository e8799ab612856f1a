/* A component that makes its certificate, against an API server that is slow, deaf, quicker for others, or forgetful. Time is the test's. */
#include "kube/api/api_world.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "control/webhook/own_certificate.h"
#include "control/webhook/secret.h"
#include "kube/access/base64.h"

#define CONFIGURATION "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/configuration"
#define APPLY "PATCH " CONFIGURATION "?fieldManager=linkerd-proxy-injector&force=true"
#define SECRETS "/api/v1/namespaces/linkerd/secrets"
#define SECRET SECRETS "/secret"
#define NAME SLICE_LIT("service.linkerd.svc")

static struct {
    struct api_world api;
    struct controller controller;
    FILE *log;
    struct webhook_certificate *certificate;
    struct own_certificate *own;
    /* What the server has. */
    json_t *secret;
    char believed[8192]; /* base64 */
    unsigned version;
} world;

/* --- time --- */

/* Two loops, as the client is in that of the API's world. */
static void settle(void)
{
    do {
        loop_turn(&world.controller.loop, 0);
        api_settle(&world.api);
    } while (loop_turn(&world.controller.loop, 0));
}

static void pass(int64_t seconds)
{
    settle();
    world.api.now_ns += seconds * NS_PER_S;
    world.controller.loop.now_ns = world.api.loop.now_ns = world.api.now_ns; /* a turn of one may begin or end something in the other */
    settle();
}

static struct served *next(const char *expected)
{
    struct served *served;

    settle();
    served = api_next(&world.api, expected);
    return served;
}

static void quiet(void)
{
    settle();
    api_expect_quiet(&world.api);
}

static bool serves(void)
{
    return webhook_certificate_context(world.certificate);
}

/* --- the server --- */

static void reply(struct served *served, unsigned status, const json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);

    api_answer(served, status, NULL, text);
    free(text);
    settle();
}

static void fail_request(struct served *served, unsigned status)
{
    api_answer(served, status, NULL, "{\"kind\":\"Status\",\"message\":\"no\"}");
    settle();
}

static void show_configuration(struct served *served)
{
    char version[16];
    json_t *body;

    snprintf(version, sizeof(version), "%u", world.version);
    body = json_pack("{s:{s:s}, s:[{s:s, s:{s:s}}]}", "metadata", "resourceVersion", version, "webhooks", "name", "webhook", "clientConfig",
                     "caBundle", world.believed);
    reply(served, 200, body);
    json_decref(body);
}

static void show_secret(struct served *served)
{
    if (world.secret)
        reply(served, 200, world.secret);
    else
        fail_request(served, 404);
}

static void keep_secret(struct slice json)
{
    json_decref(world.secret);
    world.secret = json_loadb(json.ptr, json.len, 0, NULL);
    assert_non_null(world.secret);
    json_object_set_new(json_object_get(world.secret, "metadata"), "resourceVersion", json_string("7"));
}

static void forget_secret(void)
{
    world.believed[0] = '\0';
    json_decref(world.secret);
    world.secret = NULL;
}

static void take_secret(struct served *served)
{
    keep_secret(buffer_slice(&served->body));
    reply(served, 201, world.secret);
}

static void take_authority(struct served *served)
{
    json_t *body = json_loadb(served->body.data, served->body.len, 0, NULL), *webhook = json_array_get(json_object_get(body, "webhooks"), 0);
    char version[16];

    snprintf(version, sizeof(version), "%u", world.version); /* it writes to what it has read */
    assert_string_equal(json_string_value(json_object_get(json_object_get(body, "metadata"), "resourceVersion")), version);
    assert_string_equal(json_string_value(json_object_get(webhook, "name")), "webhook");
    snprintf(world.believed, sizeof(world.believed), "%s",
             json_string_value(json_object_get(json_object_get(webhook, "clientConfig"), "caBundle")));
    world.version++;
    json_decref(body);
    reply(served, 200, json_object_get(world.secret, "metadata"));
}

/* Somebody else's pair, made so many days ago, in the Secret; and in the configuration. */
static void others_pair(int64_t days_ago, bool believed)
{
    struct webhook_pair pair;
    struct buffer json, authorities;
    struct errmsg msg;

    assert_int_equal(webhook_pair_make(NAME, NULL, 0, FIXTURE_WALL - days_ago * 24 * FIXTURE_HOUR, &msg, &pair), 0);
    buffer_init(&json, 1 << 20);
    buffer_init(&authorities, 1 << 16);
    assert_int_equal(secret_write(&pair, SLICE_LIT("linkerd"), "secret", "proxy-injector", SLICE_NULL, &json), 0);
    keep_secret(buffer_slice(&json));
    assert_int_equal(base64_add(&authorities, buffer_slice(&pair.authorities)), 0);
    if (believed)
        snprintf(world.believed, sizeof(world.believed), "%.*s", SLICE_ARGS(buffer_slice(&authorities)));
    buffer_release(&json);
    buffer_release(&authorities);
    webhook_pair_release(&pair);
}

static void read_believed(struct arena *arena, const char *base64, struct x509_bundle *ret_bundle)
{
    struct slice pem;

    assert_int_equal(base64_read(arena, slice_str(base64), &pem), 0);
    assert_int_equal(x509_bundle_read(pem, NULL, ret_bundle), 0);
}

/* Whether the configuration has the first authority of this bundle too, beside its own. */
static bool believes(const char *base64)
{
    struct x509_bundle theirs, now;
    struct arena arena;
    bool has;

    arena_init(&arena, 1 << 20);
    read_believed(&arena, base64, &theirs);
    read_believed(&arena, world.believed, &now);
    has = now.count > 1 && x509_bundle_has(&now, theirs.certs[0]) && !slice_eq(x509_cert_der(now.certs[0]), x509_cert_der(theirs.certs[0]));
    x509_bundle_release(&theirs);
    x509_bundle_release(&now);
    arena_release(&arena);
    return has;
}

/* How often something stands in the log so far. */
static unsigned said(const char *what)
{
    char text[65536] = "";
    unsigned count = 0;
    size_t len;

    log_free(world.controller.log); /* writes what it has */
    rewind(world.log);
    len = fread(text, 1, sizeof(text) - 1, world.log);
    text[len] = '\0';
    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    assert_int_equal(log_new(sys_linux(), fileno(world.log), LOG_PLAIN, SLICE_LIT("info"), &world.controller.log), 0);
    return count;
}

/* --- set-up --- */

static int set_up(void **state)
{
    struct own_certificate_setup setup = {.name = "proxy-injector", .namespace_ = SLICE_LIT("linkerd"), .secret = "secret", .service = "service",
                                          .mutating = true, .configuration = "configuration", .webhook = "webhook"};

    memset(&world, 0, sizeof(world));
    api_world_init(&world.api, false);
    world.version = 1;
    world.log = tmpfile();
    world.controller.sys = &world.api.sys;
    assert_int_equal(loop_init(&world.controller.loop, &world.api.sys, 64), 0);
    assert_int_equal(log_new(sys_linux(), fileno(world.log), LOG_PLAIN, SLICE_LIT("info"), &world.controller.log), 0);
    metrics_init(&world.controller.metrics, 1000, 600 * NS_PER_S, 1);
    world.controller.webhook_families = webhook_certificate_register(&world.controller.metrics);
    world.controller.shard = metrics_shard_new(&world.controller.metrics);
    assert_non_null(world.controller.shard);
    assert_int_equal(webhook_certificate_new(&world.controller, "proxy-injector", NULL, NULL, &world.certificate), 0);
    setup.client = world.api.client;
    setup.certificate = world.certificate;
    assert_int_equal(own_certificate_new(&world.controller, &setup, &world.own), 0);
    return 0;
}

static int tear_down(void **state)
{
    own_certificate_free(world.own);
    webhook_certificate_free(world.certificate);
    api_world_release(&world.api);
    metrics_release(&world.controller.metrics);
    loop_release(&world.controller.loop);
    log_free(world.controller.log);
    fclose(world.log);
    json_decref(world.secret);
    return 0;
}

/* --- rounds --- */

static void first_start(void)
{
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    take_secret(next("POST " SECRETS));
    assert_false(serves());
    take_authority(next(APPLY));
    assert_true(serves());
    quiet();
}

static void a_round_without_change(void)
{
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    quiet();
}

static void the_first(void **state)
{
    first_start();
    pass(9);
    quiet();
    pass(1);
    a_round_without_change();
}

static void one_that_is_there(void **state)
{
    others_pair(1, true);
    a_round_without_change();
    assert_true(serves());
}

/* The configuration may come later: what is served is made all the same, and is believed when it is there. */
static void no_configuration_yet(void **state)
{
    fail_request(next("GET " CONFIGURATION), 404);
    show_secret(next("GET " SECRET));
    take_secret(next("POST " SECRETS));
    assert_true(serves());
    pass(10);
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    take_authority(next(APPLY));
    quiet();
}

/* Requests that are never answered, one after the other: each has a deadline, and the next round begins after a pause. */
static void a_deaf_server(void **state)
{
    static const char *const requests[] = {"GET " CONFIGURATION, "GET " SECRET, "POST " SECRETS, APPLY};

    for (size_t deaf = 0; deaf < sizeof(requests) / sizeof(requests[0]); deaf++) {
        struct served *last;

        forget_secret();
        if (deaf > 0)
            show_configuration(next(requests[0]));
        if (deaf > 1)
            show_secret(next(requests[1]));
        if (deaf > 2)
            take_secret(next(requests[2]));
        last = next(requests[deaf]);
        pass(9);
        assert_false(last->gone);
        pass(1);
        assert_true(last->gone);
        quiet();
        pass(9);
        quiet();
        pass(1);
    }
    assert_false(serves());
    forget_secret();
    first_start();
    assert_int_equal(said("it is tried again"), 1); /* not once for each attempt */
}

static void errors(void **state)
{
    fail_request(next("GET " CONFIGURATION), 500);
    pass(10);
    show_configuration(next("GET " CONFIGURATION));
    fail_request(next("GET " SECRET), 403);
    pass(10);
    show_configuration(next("GET " CONFIGURATION));
    api_answer(next("GET " SECRET), 200, NULL, "[1]");
    pass(10);
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    fail_request(next("POST " SECRETS), 403);
    assert_false(serves());
    pass(10);
    first_start();
}

/* Trouble is told once, and again when there was none in between. */
static void trouble_again(void **state)
{
    first_start();
    for (unsigned i = 1; i <= 2; i++) {
        pass(10);
        fail_request(next("GET " CONFIGURATION), 500);
        pass(10);
        fail_request(next("GET " CONFIGURATION), 500);
        pass(10);
        a_round_without_change();
        assert_int_equal(said("it is tried again"), i);
    }
    assert_true(serves());
}

/* --- several replicas --- */

static void another_was_quicker_with_the_secret(void **state)
{
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    fail_request(next("POST " SECRETS), 409);
    others_pair(0, true);
    world.version++;
    assert_false(serves());
    quiet();
    pass(1);
    a_round_without_change();
    assert_true(serves());
}

static void another_was_quicker_with_the_configuration(void **state)
{
    others_pair(0, false);
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    fail_request(next(APPLY), 409);
    assert_false(serves());
    pass(1);
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    take_authority(next(APPLY));
    assert_true(serves());
}

/* A new one is served when a reading has shown that it is believed, not before. */
static void an_old_one_is_replaced(void **state)
{
    struct tls_context *first;

    others_pair(1, true);
    a_round_without_change();
    first = webhook_certificate_context(world.certificate);
    others_pair(250, true); /* two thirds of its year are over */
    pass(10);
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    take_secret(next("PUT " SECRET));
    take_authority(next(APPLY));
    assert_ptr_equal(webhook_certificate_context(world.certificate), first);
    pass(4);
    quiet();
    pass(1);
    a_round_without_change();
    assert_ptr_not_equal(webhook_certificate_context(world.certificate), first);
}

/* Another program has served until now, by a Secret without authorities of its own: what vouches for it stays in the configuration. */
static void anothers_is_taken_over(void **state)
{
    char theirs[sizeof(world.believed)];
    struct served *applied;

    others_pair(1, true);
    json_object_del(json_object_get(world.secret, "data"), "ca.crt");
    snprintf(theirs, sizeof(theirs), "%s", world.believed);
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    take_secret(next("PUT " SECRET));
    applied = next(APPLY);
    assert_false(serves());
    take_authority(applied);
    assert_true(serves());
    assert_true(believes(theirs));
    pass(10);
    a_round_without_change();
}

/* What others take away is put back. */
static void it_is_mended(void **state)
{
    first_start();
    world.believed[0] = '\0';
    pass(10);
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    take_authority(next(APPLY));
    pass(5);
    json_decref(world.secret);
    world.secret = NULL;
    show_configuration(next("GET " CONFIGURATION));
    show_secret(next("GET " SECRET));
    take_secret(next("POST " SECRETS));
    take_authority(next(APPLY));
    pass(5);
    a_round_without_change();
    assert_true(serves());
}

static void ended_in_the_middle(void **state)
{
    struct served *last;

    show_configuration(next("GET " CONFIGURATION));
    last = next("GET " SECRET);
    own_certificate_free(world.own);
    world.own = NULL;
    settle();
    assert_true(last->gone);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(the_first),
        ROW(one_that_is_there),
        ROW(no_configuration_yet),
        ROW(a_deaf_server),
        ROW(errors),
        ROW(trouble_again),
        ROW(another_was_quicker_with_the_secret),
        ROW(another_was_quicker_with_the_configuration),
        ROW(an_old_one_is_replaced),
        ROW(anothers_is_taken_over),
        ROW(it_is_mended),
        ROW(ended_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
