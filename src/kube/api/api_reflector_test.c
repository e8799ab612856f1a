#include "kube/api/api_world.h"

#include <stdio.h>

#include "base/duration.h"
#include "kube/api/api_reflector.h"

#define WATCH "GET /api/v1/serviceaccounts?watch=true&allowWatchBookmarks=true&timeoutSeconds=*"
#define STATE WATCH "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
#define EVENT(type, name, version, more)                                                                                \
    "{\"type\":\"" type "\",\"object\":{\"kind\":\"ServiceAccount\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name          \
    "\",\"namespace\":\"default\",\"resourceVersion\":\"" version "\"" more "}}}\n"
#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"default\"}}"
#define BOOKMARK(version, more) "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"ServiceAccount\",\"metadata\":{\"resourceVersion\":\"" version "\"" more "}}}\n"
#define END ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"
#define STATUS(code, reason, message) "{\"kind\":\"Status\",\"code\":" code ",\"reason\":\"" reason "\",\"message\":\"" message "\"}"
#define ANEW "info ServiceAccount: the server does not have what came since; all is asked for anew\n"
#define LIST(version, more, items) "{\"kind\":\"ServiceAccountList\",\"metadata\":{\"resourceVersion\":\"" version "\"" more "},\"items\":[" items "]}"

static struct api_world world;
static struct store *store;
static struct api_reflector *reflector;
static struct subscriber subscriber;
static struct reporter reporter;
static struct buffer changes, reports;
static unsigned synced;

static void on_change(struct subscriber *s, const struct kube_object *old, const struct kube_object *new)
{
    const struct kube_object *object = new ? new : old;

    buffer_printf(&changes, "%c%.*s ", !old ? '+' : !new ? '-' : '~', SLICE_ARGS(object->name));
}

static void on_report(struct reporter *r, const struct report *report)
{
    buffer_printf(&reports, "%s ", report_severity_name(report->severity));
    report_format(report, &reports);
    buffer_add_byte(&reports, '\n');
}

static void on_synced(void *owner)
{
    synced++;
}

static int setup(void **state)
{
    struct api_reflector_options options;

    api_world_init(&world, false);
    assert_int_equal(store_new(1, 2, &store), 0);
    buffer_init(&changes, 1 << 20);
    buffer_init(&reports, 1 << 20);
    subscriber = (struct subscriber){.kinds = STORE_ALL_KINDS, .on_change = on_change};
    assert_int_equal(store_subscribe(store, &subscriber), 0);
    reporter.report = on_report;
    synced = 0;
    options = (struct api_reflector_options){.client = world.client, .store = store, .reporter = &reporter, .kind = KUBE_SERVICE_ACCOUNT,
                                             .version = SLICE_LIT("v1"), .resource = SLICE_LIT("serviceaccounts"), .on_synced = on_synced};
    assert_int_equal(api_reflector_new(&options, &reflector), 0);
    return 0;
}

static int teardown(void **state)
{
    api_reflector_free(reflector);
    store_unsubscribe(store, &subscriber);
    store_free(store);
    buffer_release(&changes);
    buffer_release(&reports);
    api_world_release(&world);
    return 0;
}

static void expect(struct buffer *what, const char *text)
{
    api_settle(&world);
    if (!slice_eq(buffer_slice(what), slice_str(text)))
        fail_msg("\"%.*s\", expected \"%s\"", SLICE_ARGS(buffer_slice(what)), text);
    buffer_clear(what);
}

/* The next request; a `*` in what is expected stands for a number. */
static struct served *next(const char *expected)
{
    char text[600];
    const char *star = strchr(expected, '*');
    struct list *link = world.served.next;

    api_settle(&world);
    for (link = world.served.next; link != &world.served && CONTAINER_OF(link, struct served, link)->taken; link = link->next)
        ;
    if (link != &world.served && star) {
        const struct served *served = CONTAINER_OF(link, struct served, link);
        const char *number = strstr(served->path, "timeoutSeconds=");

        if (number)
            snprintf(text, sizeof(text), "%.*s%.*s%s", (int)(star - expected), expected, (int)strspn(number + 15, "0123456789"), number + 15, star + 1);
        else
            snprintf(text, sizeof(text), "%s", expected);
        return api_next(&world, text);
    }
    return api_next(&world, expected);
}

/* The state of two, and a watch behind it. */
static struct served *begin(void)
{
    struct served *watch = next(STATE);

    api_send(watch, EVENT("ADDED", "a", "5", "") EVENT("ADDED", "b", "6", ""));
    assert_int_equal(synced, 0);
    api_send(watch, BOOKMARK("7", END));
    assert_int_equal(synced, 1);
    expect(&changes, "+a +b ");
    return watch;
}

static void test_watch(void **state)
{
    struct served *watch = begin();

    api_send(watch, EVENT("ADDED", "c", "8", "") EVENT("MODIFIED", "a", "9", ",\"labels\":{\"x\":\"1\"}") EVENT("DELETED", "b", "10", ""));
    expect(&changes, "+c ~a -b ");
    api_send(watch, EVENT("MODIFIED", "a", "11", ",\"labels\":{\"x\":\"1\"}")); /* a write without a change */
    expect(&changes, "");
    api_send(watch, BOOKMARK("20", ""));
    api_pass(&world, 300 * NS_PER_S);
    api_end(watch);
    watch = next(WATCH "&resourceVersion=20"); /* goes on where it was */
    api_send(watch, EVENT("DELETED", "c", "21", ""));
    expect(&changes, "-c ");
    expect(&reports, "");
    assert_int_equal(synced, 1);
}

/* The connection breaks: what is known stays, and the watch goes on from where it was. */
static void test_broken_off(void **state)
{
    struct served *watch = begin();

    api_send(watch, EVENT("ADDED", "c", "8", ""));
    expect(&changes, "+c ");
    api_cut(&world);
    expect(&changes, "");
    assert_true(slice_starts(buffer_slice(&reports), SLICE_LIT("warning ServiceAccount: GET https://10.96.0.1:443/api/v1/serviceaccounts?watch")));
    assert_true(slice_ends(buffer_slice(&reports), SLICE_LIT("; what is known stays in force\n")));
    buffer_clear(&reports);
    api_pass(&world, NS_PER_S);
    watch = next(WATCH "&resourceVersion=8");
    api_send(watch, ""); /* its head alone */
    expect(&reports, "info ServiceAccount: up to date again\n");
    world.refuse = true;
    api_cut(&world);
    for (int i = 0; i < 20; i++)
        api_pass(&world, 10 * NS_PER_S);
    expect(&changes, "");
    world.refuse = false;
    api_pass(&world, 20 * NS_PER_S);
    watch = next(WATCH "&resourceVersion=8");
    api_send(watch, EVENT("ADDED", "d", "12", ""));
    expect(&changes, "+d ");
}

/* Too old, inside the stream: what the new state does not bring goes when all of it has come, not before. */
static void test_expired(void **state)
{
    struct served *watch = begin();

    api_send(watch, "{\"type\":\"ERROR\",\"object\":" STATUS("410", "Expired", "too old") "}\n");
    watch = next(STATE);
    api_send(watch, EVENT("ADDED", "c", "30", ""));
    expect(&changes, "+c ");
    api_cut(&world); /* half of it: nothing is removed */
    expect(&changes, "");
    api_pass(&world, NS_PER_S);
    watch = next(STATE);
    api_send(watch, EVENT("ADDED", "b", "31", "") EVENT("ADDED", "c", "30", ""));
    expect(&changes, "");
    api_send(watch, BOOKMARK("32", END));
    expect(&changes, "-a ");
    assert_int_equal(synced, 1);
}

/* The same as a status of the answer. */
static void test_gone(void **state)
{
    struct served *watch = begin();

    api_pass(&world, 2 * NS_PER_S);
    api_end(watch);
    api_answer(next(WATCH "&resourceVersion=7"), 410, NULL, STATUS("410", "Expired", "too old"));
    watch = next(STATE);
    api_send(watch, BOOKMARK("40", END));
    expect(&changes, "-a -b ");
    expect(&reports, ANEW);
}

/* A server without WatchList: a list in pages, then a watch. */
static void test_list(void **state)
{
    struct served *watch;

    api_answer(next(STATE), 422, NULL, STATUS("422", "Invalid", "sendInitialEvents is forbidden"));
    api_answer(next("GET /api/v1/serviceaccounts?limit=500"), 200, NULL, LIST("50", ",\"continue\":\"x+/=\"", ITEM("a") "," ITEM("b")));
    expect(&changes, "+a +b ");
    assert_int_equal(synced, 0);
    api_answer(next("GET /api/v1/serviceaccounts?limit=500&continue=x%2B%2F%3D"), 200, NULL, LIST("50", "", ITEM("c")));
    assert_int_equal(synced, 1);
    expect(&changes, "+c ");
    watch = next(WATCH "&resourceVersion=50");
    api_send(watch, "{\"type\":\"ERROR\",\"object\":" STATUS("410", "Gone", "compacted") "}\n");
    api_answer(next("GET /api/v1/serviceaccounts?limit=500"), 200, NULL, LIST("60", ",\"continue\":\"y\"", ITEM("b")));
    api_answer(next("GET /api/v1/serviceaccounts?limit=500&continue=y"), 410, NULL, STATUS("410", "Expired", "too old"));
    expect(&changes, "");
    api_pass(&world, NS_PER_S);
    api_answer(next("GET /api/v1/serviceaccounts?limit=500"), 200, NULL, LIST("70", "", ITEM("b")));
    expect(&changes, "-a -c ");
    next(WATCH "&resourceVersion=70");
    expect(&reports, ANEW ANEW);
}

/* Reported once, and its last good version stays, through new beginnings too. */
static void test_broken_object(void **state)
{
    struct served *watch = begin();

    api_send(watch, EVENT("MODIFIED", "a", "8", ",\"labels\":7"));
    expect(&changes, "");
    expect(&reports, "error ServiceAccount default/a: metadata.labels: expected a map of texts, found the number 7\n");
    api_send(watch, EVENT("MODIFIED", "a", "9", ",\"labels\":7"));
    expect(&reports, "");
    api_send(watch, "{\"type\":\"ERROR\",\"object\":" STATUS("410", "Expired", "too old") "}\n");
    watch = next(STATE);
    api_send(watch, EVENT("ADDED", "a", "9", ",\"labels\":7") EVENT("ADDED", "b", "6", "") BOOKMARK("10", END));
    expect(&changes, "");
    expect(&reports, ANEW);
    api_send(watch, EVENT("MODIFIED", "a", "11", ",\"labels\":8"));
    expect(&reports, "error ServiceAccount default/a: metadata.labels: expected a map of texts, found the number 8\n");
    api_send(watch, EVENT("MODIFIED", "a", "12", ",\"labels\":{\"x\":\"1\"}"));
    expect(&changes, "~a ");
    api_send(watch, EVENT("DELETED", "a", "13", ",\"labels\":7"));
    expect(&changes, "-a ");
}

static void test_refused(void **state)
{
    struct served *watch;

    api_answer(next(STATE), 403, NULL, STATUS("403", "Forbidden", "no rights"));
    assert_true(slice_ends(buffer_slice(&reports), SLICE_LIT("status 403: no rights; the role of this user or service account must allow it; it is asked again\n")));
    buffer_clear(&reports);
    api_pass(&world, NS_PER_S);
    api_answer(next(STATE), 403, NULL, STATUS("403", "Forbidden", "no rights"));
    expect(&reports, ""); /* that was said */
    api_pass(&world, NS_PER_S);
    watch = next(STATE);
    api_send(watch, BOOKMARK("1", END));
    expect(&reports, "info ServiceAccount: up to date again\n");
    assert_int_equal(synced, 1);
}

/* Answers that are no watch, and ones that stop in the middle. */
static void test_nonsense(void **state)
{
    struct served *watch = next(STATE);

    api_send(watch, EVENT("ADDED", "a", "5", "") "<html>");
    expect(&changes, "+a ");
    assert_true(slice_starts(buffer_slice(&reports), SLICE_LIT("warning ServiceAccount: the API server's answer cannot be used: no JSON")));
    buffer_clear(&reports);
    api_pass(&world, NS_PER_S);
    watch = next(STATE);
    api_send(watch, EVENT("ADDED", "a", "5", ""));
    api_pass(&world, 61 * NS_PER_S);
    assert_true(slice_starts(buffer_slice(&reports), SLICE_LIT("warning ServiceAccount: the API server stopped in the middle of its state")));
    buffer_clear(&reports);
    api_pass(&world, 2 * NS_PER_S);
    watch = next(STATE);
    api_send(watch, "{\"type\":\"ERROR\",\"object\":" STATUS("500", "InternalError", "etcdserver: leader changed") "}\n");
    expect(&reports, "warning ServiceAccount: the API server ended the watch: status 500: etcdserver: leader changed; it is asked again\n");
    expect(&changes, "");
}

/* A watch that the server forgets to end. */
static void test_overdue(void **state)
{
    struct served *watch = begin();

    api_pass(&world, 700 * NS_PER_S);
    next(WATCH "&resourceVersion=7");
    assert_true(watch->gone);
    assert_int_equal(api_reflector_clear(store, KUBE_SERVICE_ACCOUNT), 0);
    expect(&changes, "-a -b ");
}

/* One namespace, and only what selectors name, however it is asked for. */
static void test_selection(void **state)
{
    struct api_reflector_options options = {
        .client = world.client, .store = store, .kind = KUBE_POD, .version = SLICE_LIT("v1"), .resource = SLICE_LIT("pods"), .on_synced = on_synced,
        .selection = {SLICE_LIT("linkerd-cni"), SLICE_LIT("spec.nodeName=node1,status.phase!=Failed"), SLICE_LIT("linkerd.io/control-plane-ns")}};
    struct api_reflector *pods;
    struct served *asked;

    begin();
    assert_int_equal(api_reflector_new(&options, &pods), 0);
    asked = next("GET /api/v1/namespaces/linkerd-cni/pods?fieldSelector=spec.nodeName%3Dnode1%2Cstatus.phase%21%3DFailed&labelSelector=linkerd.io%2Fcontrol-plane-ns"
                 "&watch=true&allowWatchBookmarks=true&timeoutSeconds=*&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    api_answer(asked, 422, NULL, STATUS("422", "Invalid", "no"));
    asked = next("GET /api/v1/namespaces/linkerd-cni/pods?fieldSelector=spec.nodeName%3Dnode1%2Cstatus.phase%21%3DFailed&labelSelector=linkerd.io%2Fcontrol-plane-ns"
                 "&limit=500");
    api_answer(asked, 200, NULL, LIST("9", "", ""));
    api_settle(&world);
    assert_true(api_reflector_is_synced(pods));
    api_reflector_free(pods);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expired, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overdue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_selection, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
