#include "kube/api/api_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "kube/api/api_source.h"

#define GROUP(name, versions) "{\"metadata\":{\"name\":\"" name "\"},\"versions\":[" versions "]}"
#define VERSION(name, resources) "{\"version\":\"" name "\",\"resources\":[" resources "]}"
#define RESOURCE(name, kind)                                                                                            \
    "{\"resource\":\"" name "\",\"responseKind\":{\"group\":\"\",\"version\":\"\",\"kind\":\"" kind "\"},\"verbs\":[\"get\",\"list\",\"watch\"]}"
#define GROUPS(groups) "{\"kind\":\"APIGroupDiscoveryList\",\"metadata\":{},\"items\":[" groups "]}"
#define APPS GROUP("apps", VERSION("v1", RESOURCE("deployments", "Deployment")))
#define STATE(kind, items) items "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"" kind "\",\"metadata\":{\"resourceVersion\":\"9\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define SERVER(version)                                                                                                 \
    "{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"policy.linkerd.io/" version "\",\"kind\":\"Server\",\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},"        \
    "\"spec\":{\"podSelector\":{},\"port\":80}}}\n"

static struct api_world world;
static struct store *store;
static struct api_source *source;

static int setup(void **state)
{
    api_world_init(&world, false);
    assert_int_equal(store_new(1, 2, &store), 0);
    assert_int_equal(api_source_new(world.client, store, STORE_KIND(KUBE_SERVICE) | STORE_KIND(KUBE_ENDPOINTS) | STORE_KIND(KUBE_SERVER) | STORE_KIND(KUBE_SERVICE_PROFILE), NULL, &source), 0);
    return 0;
}

static int teardown(void **state)
{
    api_source_free(source);
    store_free(store);
    api_world_release(&world);
    return 0;
}

/* The request for this path that was not taken yet; NULL: there is none. */
static struct served *find(const char *path)
{
    api_settle(&world);
    LIST_FOR_EACH (link, &world.served) {
        struct served *served = CONTAINER_OF(link, struct served, link);
        size_t len = strlen(path);

        if (!served->taken && strncmp(served->path, path, len) == 0 && (!served->path[len] || served->path[len] == '?')) {
            served->taken = true;
            return served;
        }
    }
    return NULL;
}

static struct served *take(const char *path)
{
    struct served *served = find(path);

    if (!served)
        fail_msg("nobody asked for %s", path);
    return served;
}

static size_t count(enum kube_kind kind)
{
    return store_all(store, kind).count;
}

static void test_synced(void **state)
{
    struct served *services = take("/api/v1/services"), *discovery = take("/apis"), *servers;

    assert_non_null(strstr(discovery->accept, "as=APIGroupDiscoveryList"));
    api_send(services, STATE("Service", ""));
    assert_false(store_is_synced(store)); /* what else there is, is not known yet */
    api_answer(discovery, 200, "etag: \"1\"", GROUPS(APPS "," GROUP("policy.linkerd.io",
               VERSION("v1beta1", RESOURCE("servers", "Server")) "," VERSION("v9", RESOURCE("servers", "Server")) "," VERSION("v1beta2", RESOURCE("servers", "Server") "," RESOURCE("x", "X")))));
    servers = take("/apis/policy.linkerd.io/v1beta2/servers"); /* the newest that we read */
    assert_false(store_is_synced(store));
    api_send(servers, STATE("Server", SERVER("v1beta2")));
    assert_true(store_is_synced(store));
    assert_int_equal(count(KUBE_SERVER), 1);
    assert_null(find("/api/v1/endpoints"));
    assert_null(find("/api/v1/pods")); /* not asked for */
}

/* Definitions that come, change their version and go. */
static void test_definitions(void **state)
{
    struct served *discovery, *watch;

    api_answer(take("/apis"), 200, "etag: \"1\"", GROUPS(APPS));
    api_send(take("/api/v1/services"), STATE("Service", ""));
    assert_true(store_is_synced(store));
    api_pass(&world, DISCOVERY_NS);
    discovery = take("/apis");
    assert_string_equal(discovery->if_none_match, "\"1\"");
    api_answer(discovery, 304, NULL, "");
    api_pass(&world, DISCOVERY_NS);
    api_answer(take("/apis"), 200, "etag: \"2\"", GROUPS(APPS "," GROUP("policy.linkerd.io", VERSION("v1beta1", RESOURCE("servers", "Server")))));
    watch = take("/apis/policy.linkerd.io/v1beta1/servers");
    api_send(watch, STATE("Server", SERVER("v1beta1")));
    assert_int_equal(count(KUBE_SERVER), 1);
    api_pass(&world, DISCOVERY_NS);
    discovery = take("/apis");
    assert_string_equal(discovery->if_none_match, "\"2\"");
    api_answer(discovery, 200, "etag: \"3\"", GROUPS(APPS "," GROUP("policy.linkerd.io", VERSION("v1beta3", RESOURCE("servers", "Server")))));
    assert_true(watch->gone);
    watch = take("/apis/policy.linkerd.io/v1beta3/servers");
    assert_int_equal(count(KUBE_SERVER), 1); /* stays meanwhile */
    api_send(watch, STATE("Server", SERVER("v1beta3")));
    assert_int_equal(count(KUBE_SERVER), 1);
    api_pass(&world, DISCOVERY_NS);
    api_answer(take("/apis"), 200, "etag: \"4\"", GROUPS(APPS));
    assert_true(watch->gone);
    assert_int_equal(count(KUBE_SERVER), 0);
}

/* Answers that are no discovery remove nothing. */
static void test_bad_discovery(void **state)
{
    static const char *const answers[] = {"{\"kind\":\"APIGroupList\",\"groups\":[]}", GROUPS(""), "{\"items\":[" APPS, "<html>", "{}"};

    api_answer(take("/apis"), 200, NULL, GROUPS(APPS "," GROUP("policy.linkerd.io", VERSION("v1beta1", RESOURCE("servers", "Server")))));
    api_send(take("/apis/policy.linkerd.io/v1beta1/servers"), STATE("Server", SERVER("v1beta1")));
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        api_pass(&world, 11 * NS_PER_S);
        api_answer(take("/apis"), 200, "etag: \"x\"", answers[i]);
        assert_int_equal(count(KUBE_SERVER), 1);
    }
    api_pass(&world, 11 * NS_PER_S);
    api_answer(take("/apis"), 500, NULL, "");
    api_pass(&world, 11 * NS_PER_S);
    assert_string_equal(take("/apis")->if_none_match, "");
    assert_int_equal(count(KUBE_SERVER), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_synced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_definitions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_discovery, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
