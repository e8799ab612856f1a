#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "kube/kube_fixture.h"

#define assert_slice(slice, text) assert_true(slice_eq((slice), SLICE_LIT(text)))

static struct ip ip(const char *text)
{
    struct ip out;

    assert_int_equal(ip_parse(slice_str(text), &out), 0);
    return out;
}

/* The names in a set, with a space between each. */
static void assert_set(struct kube_set set, const char *names)
{
    struct buffer out;

    buffer_init(&out, 1u << 16);
    for (size_t i = 0; i < set.count; i++)
        buffer_printf(&out, "%s%.*s", i ? " " : "", SLICE_ARGS(set.items[i]->name));
    buffer_add_byte(&out, '\0');
    assert_string_equal(out.data, names);
    buffer_release(&out);
}

static void objects_are_found(void **state)
{
    struct fixture f;

    fixture_init(&f, false);
    fixture_apply(
        &f, "a.yaml",
        "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: prod}, spec: {clusterIP: 10.96.0.1, "
        "clusterIPs: [10.96.0.1, 'fd00::1']}}\n---\n"
        "{apiVersion: v1, kind: Service, metadata: {name: api, namespace: prod}, spec: {clusterIP: 10.96.0.2}}\n---\n"
        "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: test}, spec: {clusterIP: 10.96.0.1}}\n---\n"
        "{apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: prod}, spec: {nodeName: n1}, status: {podIP: "
        "10.0.0.1, hostIP: 192.168.0.1}}\n---\n"
        "{apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: prod}, spec: {nodeName: n1, "
        "serviceAccountName: sa}, status: {podIP: 10.0.0.2, hostIP: 192.168.0.1}}\n---\n"
        "{apiVersion: v1, kind: Pod, metadata: {name: old, namespace: prod}, spec: {nodeName: n1}, status: {podIP: "
        "10.0.0.1, phase: Failed}}\n---\n"
        "{apiVersion: v1, kind: Node, metadata: {name: n1}}\n");
    fixture_expect_reports(&f, "");
    fixture_expect_events(&f, "+ Service prod/web\n+ Service prod/api\n+ Service test/web\n+ Pod prod/web-0\n"
                              "+ Pod prod/web-1\n+ Pod prod/old\n+ Node n1\n");
    assert_non_null(store_get(f.store, KUBE_SERVICE, SLICE_LIT("prod"), SLICE_LIT("web")));
    assert_non_null(store_get(f.store, KUBE_NODE, SLICE_LIT(""), SLICE_LIT("n1")));
    assert_null(store_get(f.store, KUBE_POD, SLICE_LIT("prod"), SLICE_LIT("web")));
    assert_null(store_get(f.store, KUBE_SERVICE, SLICE_LIT("prodw"), SLICE_LIT("eb")));
    assert_set(store_all(f.store, KUBE_SERVICE), "web api web");
    assert_set(store_in(f.store, KUBE_SERVICE, SLICE_LIT("prod")), "web api");
    assert_set(store_in(f.store, KUBE_SERVICE, SLICE_LIT("none")), "");
    assert_set(store_by_ip(f.store, STORE_SERVICES_BY_IP, ip("10.96.0.1")), "web web");
    assert_set(store_by_ip(f.store, STORE_SERVICES_BY_IP, ip("fd00::1")), "web");
    assert_set(store_by_ip(f.store, STORE_SERVICES_BY_IP, (struct ip){0}), "");
    assert_set(store_by_ip(f.store, STORE_PODS_BY_IP, ip("10.0.0.1")), "web-0");
    assert_set(store_by_ip(f.store, STORE_PODS_BY_HOST_IP, ip("192.168.0.1")), "web-0 web-1");
    assert_set(store_by_name(f.store, STORE_PODS_ON_NODE, SLICE_NULL, SLICE_LIT("n1")), "web-0 web-1 old");
    assert_set(store_by_name(f.store, STORE_PODS_OF_SERVICE_ACCOUNT, SLICE_LIT("prod"), SLICE_LIT("default")),
               "web-0 old");
    assert_set(store_by_name(f.store, STORE_PODS_OF_SERVICE_ACCOUNT, SLICE_LIT("prod"), SLICE_LIT("sa")), "web-1");

    /* An object that changes leaves its old keys. */
    fixture_apply(
        &f, "a.yaml",
        "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: prod}, spec: {clusterIP: 10.96.0.9}}\n");
    fixture_expect_events(&f, "~ Service prod/web\n- Service prod/api\n- Service test/web\n- Pod prod/web-0\n"
                              "- Pod prod/web-1\n- Pod prod/old\n- Node n1\n");
    assert_set(store_by_ip(f.store, STORE_SERVICES_BY_IP, ip("10.96.0.1")), "");
    assert_set(store_by_ip(f.store, STORE_SERVICES_BY_IP, ip("fd00::1")), "");
    assert_set(store_by_ip(f.store, STORE_SERVICES_BY_IP, ip("10.96.0.9")), "web");
    assert_set(store_by_name(f.store, STORE_PODS_ON_NODE, SLICE_NULL, SLICE_LIT("n1")), "");
    fixture_release(&f);
}

#define ROUTE(name, spec)                                                                                              \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: " name                               \
    ", namespace: prod}, spec: " spec "}\n---\n"

static void references_are_found_from_their_targets(void **state)
{
    struct fixture f;

    fixture_init(&f, false);
    fixture_apply(
        &f, "a.yaml",
        ROUTE("r1", "{parentRefs: [{group: core, kind: Service, name: web}], rules: [{backendRefs: [{name: v1, port: "
                    "80}, {name: v1, port: 81}, {name: v2, namespace: test, port: 80}]}]}") ROUTE(
            "r2",
            "{parentRefs: [{group: '', kind: Service, name: web, namespace: other}, {group: core, kind: Service, name: "
            "web}]}") "{apiVersion: policy.linkerd.io/v1beta3, kind: HTTPRoute, metadata: {name: r3, namespace: prod}, "
                      "spec: {parentRefs: [{kind: Server, name: srv}]}}\n---\n"
                      "{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: r4, namespace: "
                      "prod}, spec: {parentRefs: [{group: core, kind: Service, name: web}], rules: [{backendRefs: "
                      "[{name: v1, port: 80}]}]}}\n---\n"
                      "{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: TCPRoute, metadata: {name: r5, "
                      "namespace: prod}, spec: {parentRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: "
                      "out}]}}\n---\n"
                      "{apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {name: p1, "
                      "namespace: prod}, spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: srv}, "
                      "requiredAuthenticationRefs: []}}\n---\n"
                      "{apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {name: p2, "
                      "namespace: prod}, spec: {targetRef: {kind: Namespace, name: prod}, requiredAuthenticationRefs: "
                      "[]}}\n---\n"
                      "{apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {name: p3, "
                      "namespace: prod}, spec: {targetRef: {kind: Namespace, name: other}, requiredAuthenticationRefs: "
                      "[]}}\n---\n"
                      "{apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {name: p4, "
                      "namespace: prod}, spec: {targetRef: {group: policy.linkerd.io, kind: HTTPRoute, name: r3}, "
                      "requiredAuthenticationRefs: []}}\n---\n"
                      "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s1, namespace: prod, "
                      "labels: {kubernetes.io/service-name: web}}, addressType: IPv4, endpoints: []}\n---\n"
                      "{apiVersion: workload.linkerd.io/v1beta1, kind: ExternalWorkload, metadata: {name: vm, "
                      "namespace: prod}, spec: {meshTLS: {identity: i, serverName: s}, workloadIPs: [{ip: "
                      "10.1.0.1}]}}\n");
    fixture_expect_reports(&f, "");
    assert_set(store_by_name(f.store, STORE_ROUTES_OF_SERVICE, SLICE_LIT("prod"), SLICE_LIT("web")), "r1 r2 r4");
    assert_set(store_by_name(f.store, STORE_ROUTES_OF_SERVICE, SLICE_LIT("other"), SLICE_LIT("web")), "r2");
    assert_set(store_by_name(f.store, STORE_ROUTES_OF_SERVER, SLICE_LIT("prod"), SLICE_LIT("srv")), "r3");
    assert_set(store_by_name(f.store, STORE_ROUTES_OF_EGRESS_NETWORK, SLICE_LIT("prod"), SLICE_LIT("out")), "r5");
    assert_set(store_by_name(f.store, STORE_ROUTES_TO_SERVICE, SLICE_LIT("prod"), SLICE_LIT("v1")), "r1 r4");
    assert_set(store_by_name(f.store, STORE_ROUTES_TO_SERVICE, SLICE_LIT("test"), SLICE_LIT("v2")), "r1");
    assert_set(store_by_name(f.store, STORE_POLICIES_OF_SERVER, SLICE_LIT("prod"), SLICE_LIT("srv")), "p1");
    assert_set(store_by_name(f.store, STORE_POLICIES_OF_NAMESPACE, SLICE_LIT("prod"), SLICE_NULL), "p2");
    assert_set(store_by_name(f.store, STORE_POLICIES_OF_ROUTE, SLICE_LIT("prod"), SLICE_LIT("r3")), "p4");
    assert_set(store_by_name(f.store, STORE_SLICES_OF_SERVICE, SLICE_LIT("prod"), SLICE_LIT("web")), "s1");
    assert_set(store_by_ip(f.store, STORE_WORKLOADS_BY_IP, ip("10.1.0.1")), "vm");
    fixture_apply(&f, "a.yaml", "");
    assert_set(store_by_name(f.store, STORE_ROUTES_OF_SERVICE, SLICE_LIT("prod"), SLICE_LIT("web")), "");
    assert_set(store_by_name(f.store, STORE_ROUTES_TO_SERVICE, SLICE_LIT("prod"), SLICE_LIT("v1")), "");
    fixture_release(&f);
}

#define SA(name, extra) "{apiVersion: v1, kind: ServiceAccount, metadata: {name: " name extra "}}\n---\n"

static void the_oldest_comes_first(void **state)
{
    struct fixture f;

    fixture_init(&f, false);
    fixture_apply(&f, "b.yaml", SA("three", "") SA("one", ", creationTimestamp: '2024-01-02T00:00:00Z'"));
    fixture_apply(&f, "a.yaml", SA("two", "") SA("zero", ", creationTimestamp: '2024-01-01T00:00:00Z'"));
    assert_set(store_all(f.store, KUBE_SERVICE_ACCOUNT), "zero one two three");
    fixture_release(&f);
}

struct watcher {
    struct subscriber subscriber;
    struct store *store;
    bool leaves;
    int told, synced;
};

static void watcher_changed(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct watcher *watcher = CONTAINER_OF(subscriber, struct watcher, subscriber);

    watcher->told++;
    if (watcher->leaves)
        store_unsubscribe(watcher->store, subscriber);
}

static void watcher_synced(struct subscriber *subscriber)
{
    CONTAINER_OF(subscriber, struct watcher, subscriber)->synced++;
}

static void subscribers_hear_of_their_kinds(void **state)
{
    struct fixture f;
    struct watcher early = {.subscriber = {.kinds = STORE_KIND(KUBE_SERVICE_ACCOUNT),
                                           .on_change = watcher_changed,
                                           .on_synced = watcher_synced}};
    struct watcher leaver = early, late = early, other = early;

    fixture_init(&f, false);
    early.store = leaver.store = late.store = other.store = f.store;
    leaver.leaves = true;
    other.subscriber.kinds = STORE_KIND(KUBE_POD);
    assert_int_equal(store_subscribe(f.store, &leaver.subscriber), 0);
    assert_int_equal(store_subscribe(f.store, &early.subscriber), 0);
    assert_int_equal(store_subscribe(f.store, &other.subscriber), 0);
    fixture_apply(&f, "a.yaml", SA("a", "") SA("b", ""));
    assert_int_equal(early.told, 2);
    assert_int_equal(leaver.told, 1);
    assert_int_equal(other.told, 0);
    assert_int_equal(early.synced, 0);
    assert_false(store_is_synced(f.store));
    store_set_synced(f.store);
    store_set_synced(f.store);
    assert_int_equal(early.synced, 1);
    assert_int_equal(store_subscribe(f.store, &late.subscriber), 0);
    assert_int_equal(late.told, 2);
    assert_int_equal(late.synced, 1);
    store_unsubscribe(f.store, &early.subscriber);
    store_unsubscribe(f.store, &other.subscriber);
    store_unsubscribe(f.store, &late.subscriber);
    fixture_release(&f);
}

/* A subscriber that answers each ServiceAccount with a Namespace of the same name, as kube/directory/derive.h might. */
struct answerer {
    struct subscriber subscriber;
    struct store *store;
};

static void answer(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct answerer *answerer = CONTAINER_OF(subscriber, struct answerer, subscriber);
    struct kube_object *object;

    if (!new || new->kind != KUBE_SERVICE_ACCOUNT)
        return;
    object = kube_object_new(KUBE_NAMESPACE);
    assert_non_null(object);
    object->name = arena_dup(&object->arena, new->name);
    assert_int_equal(store_put(answerer->store, object), 0);
    kube_object_unref(object);
    assert_non_null(store_get(answerer->store, KUBE_NAMESPACE, SLICE_NULL, new->name));
}

static void changes_inside_callbacks_are_told_afterwards(void **state)
{
    struct fixture f;
    struct answerer answerer = {.subscriber = {.kinds = STORE_ALL_KINDS, .on_change = answer}};

    fixture_init(&f, false);
    store_unsubscribe(f.store, &f.subscriber);
    answerer.store = f.store;
    assert_int_equal(store_subscribe(f.store, &answerer.subscriber), 0);
    assert_int_equal(store_subscribe(f.store, &f.subscriber), 0); /* told last, and still in order */
    fixture_apply(&f, "a.yaml", SA("a", "") SA("b", ""));
    fixture_expect_events(&f, "+ ServiceAccount default/a\n+ Namespace a\n+ ServiceAccount default/b\n+ Namespace b\n");
    store_unsubscribe(f.store, &answerer.subscriber);
    fixture_release(&f);
}

static void objects_outlive_the_store(void **state)
{
    struct kube_object *kept;
    struct fixture f;

    fixture_init(&f, false);
    fixture_apply(&f, "a.yaml", SA("a", ""));
    kept = kube_object_ref(store_get(f.store, KUBE_SERVICE_ACCOUNT, SLICE_LIT("default"), SLICE_LIT("a")));
    fixture_release(&f);
    assert_slice(kept->name, "a");
    assert_slice(kept->origin.file, "a.yaml");
    kube_object_unref(kept);
    kube_object_unref(NULL);
}

static void rounds_tell_who_was_seen_again(void **state)
{
    const struct kube_object *a, *b;
    struct fixture f;
    uint32_t first, second;

    fixture_init(&f, false);
    fixture_apply(&f, "a.yaml", SA("a", "") SA("b", ""));
    a = store_get(f.store, KUBE_SERVICE_ACCOUNT, SLICE_LIT("default"), SLICE_LIT("a"));
    b = store_get(f.store, KUBE_SERVICE_ACCOUNT, SLICE_LIT("default"), SLICE_LIT("b"));
    first = store_new_round(f.store);
    store_mark(f.store, KUBE_SERVICE_ACCOUNT, SLICE_LIT("default"), SLICE_LIT("a"), first);
    store_mark(f.store, KUBE_SERVICE_ACCOUNT, SLICE_LIT("default"), SLICE_LIT("nobody"), first);
    assert_int_equal(a->round, first);
    assert_int_not_equal(b->round, first);
    second = store_new_round(f.store);
    assert_int_not_equal(second, first);
    assert_int_not_equal(a->round, second);
    fixture_release(&f);
}

static void kinds_have_names(void **state)
{
    enum kube_kind kind;

    for (int i = 0; i < KUBE_KIND_COUNT; i++) {
        assert_int_equal(kube_kind_find(kube_kind_group((enum kube_kind)i), kube_kind_name((enum kube_kind)i), &kind),
                         0);
        assert_int_equal(kind, i);
    }
    assert_int_not_equal(kube_kind_find(SLICE_LIT("apps"), SLICE_LIT("Service"), &kind), 0);
    assert_false(kube_kind_is_namespaced(KUBE_NODE));
    assert_true(kube_kind_is_namespaced(KUBE_POD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_found),
        cmocka_unit_test(references_are_found_from_their_targets),
        cmocka_unit_test(the_oldest_comes_first),
        cmocka_unit_test(subscribers_hear_of_their_kinds),
        cmocka_unit_test(changes_inside_callbacks_are_told_afterwards),
        cmocka_unit_test(objects_outlive_the_store),
        cmocka_unit_test(rounds_tell_who_was_seen_again),
        cmocka_unit_test(kinds_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
