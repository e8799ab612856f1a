/* What happens when there is no memory: each allocation fails once, in a run of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failing_memory.h"
#include "kube/directory/derive.h"
#include "kube/directory/directory.h"

#define NEXT "\n---\n"
#define SERVICE(address)                                                                                               \
    "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: prod}, spec: {clusterIP: " address               \
    ", selector: "                                                                                                     \
    "{app: web}, ports: [{port: 80}]}}" NEXT
#define POD(name, address)                                                                                             \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name ", namespace: prod, labels: {app: web}}, spec: {}, status: "  \
    "{podIP: " address "}}" NEXT
#define ROUTE                                                                                                          \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: prod}, spec: "         \
    "{parentRefs: "                                                                                                    \
    "[{group: core, kind: Service, name: web}, {group: core, kind: Service, name: web}], rules: [{backendRefs: "       \
    "[{name: a, "                                                                                                      \
    "port: 1}, {name: b, port: 1}]}]}}" NEXT

static const char before[] = SERVICE("10.96.0.1") POD("p1", "10.0.0.1") POD("p2", "10.0.0.2") ROUTE;
static const char after[] = SERVICE("10.96.0.2") POD("p2", "10.0.0.9") POD("p3", "10.0.0.3") "# end\n";

/* Everything that is in the store, in its order. */
static void show(const struct store *store, char *out, size_t size)
{
    size_t len = 0;

    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++) {
        struct kube_set set = store_all(store, (enum kube_kind)kind);

        for (size_t i = 0; i < set.count; i++)
            len += (size_t)snprintf(out + len, size - len, "%.*s/%.*s%s\n",
                                    SLICE_ARGS(kube_kind_name((enum kube_kind)kind)), SLICE_ARGS(set.items[i]->name),
                                    set.items[i]->derived ? "*" : "");
        assert_true(len < size);
    }
}

struct setup {
    struct store *store;
    struct derive *derive;
    struct directory *directory;
};

static void apply(struct setup *s, const char *text)
{
    assert_int_equal(directory_apply(s->directory, SLICE_LIT("a.yaml"), slice_str(text)), 0);
    assert_int_equal(directory_commit(s->directory), 0);
}

static void setup(struct setup *s)
{
    assert_int_equal(store_new(1, 2, &s->store), 0);
    assert_int_equal(derive_new(s->store, &s->derive), 0);
    assert_int_equal(directory_new(s->store, NULL, &s->directory), 0);
    apply(s, before);
}

static void release(struct setup *s)
{
    directory_free(s->directory);
    derive_free(s->derive);
    store_free(s->store);
}

/* libfyaml is not ours to fail; it is a shared library. */
static void every_allocation_may_fail(void **state)
{
    static const char want[] =
        "Namespace/prod*\nService/web\nEndpointSlice/web~pod~p2~4*\nEndpointSlice/web~pod~p3~4*\n"
        "Pod/p2\nPod/p3\n";
    char first[1000], now[1000];
    long n = 0;
    bool failed;

    do {
        struct setup s;
        int r;

        setup(&s);
        show(s.store, first, sizeof(first));
        failing_memory_set(n++);
        r = directory_apply(s.directory, SLICE_LIT("a.yaml"), slice_str(after));
        assert_true(r == 0 || r == -ENOMEM);
        show(s.store, now, sizeof(now));
        assert_string_equal(now, first); /* nothing is told before the commit */
        r = directory_commit(s.directory);
        assert_true(r == 0 || r == -ENOMEM);
        failed = failing_memory_end();

        /* With memory again, reading again repairs everything; the first change after a failure is enough. */
        apply(&s, after);
        apply(&s, SERVICE("10.96.0.3") POD("p2", "10.0.0.9") POD("p3", "10.0.0.3"));
        show(s.store, now, sizeof(now));
        assert_string_equal(now, want);
        assert_int_equal(derive_error(s.derive), 0);
        release(&s);
    } while (failed);
    assert_true(n > 50); /* so that a sweep that fails nothing is noticed */
}

static void making_fails_cleanly(void **state)
{
    struct setup s = {0};

    assert_int_equal(store_new(1, 2, &s.store), 0);
    failing_memory_set(0);
    assert_int_equal(directory_new(s.store, NULL, &s.directory), -ENOMEM);
    failing_memory_set(0);
    assert_int_equal(derive_new(s.store, &s.derive), -ENOMEM);
    failing_memory_set(1);
    assert_int_equal(derive_new(s.store, &s.derive), -ENOMEM);
    failing_memory_end();
    store_free(s.store);
    store_free(NULL);
    directory_free(NULL);
    derive_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(making_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
