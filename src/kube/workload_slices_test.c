/* Plans for the slices of ExternalWorkloads, carried out by a server of the test's own; and without memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/failing_memory.h"
#include "base/rng.h"
#include "kube/kube_fixture.h"
#include "kube/workload_slices.h"

#define NEXT "\n---\n"
#define SERVICE_OF(more, spec)                                                                                                             \
    "{apiVersion: v1, kind: Service, metadata: {name: web, uid: u1" more "}, spec: {clusterIP: 10.96.0.1, selector: {app: web}, " spec "}}" NEXT
#define HTTP "ports: [{name: http, port: 80, targetPort: http}]"
#define SERVICE SERVICE_OF("", HTTP)
#define WORKLOAD_OF(name, meta, ports, ips, status)                                                                                        \
    "{apiVersion: workload.linkerd.io/v1beta1, kind: ExternalWorkload, metadata: {name: " name ", labels: {app: web" meta                  \
    "}}, spec: {meshTLS: {identity: i, serverName: s}, ports: [" ports "], workloadIPs: [" ips "]}, status: {conditions: [" status "]}}" NEXT
#define READY "{type: Ready, status: 'True'}"
#define PORT(number) "{name: http, port: " number "}"
#define WORKLOAD(name, ip) WORKLOAD_OF(name, "", PORT("8080"), "{ip: " ip "}", READY)

struct world {
    struct fixture fixture;
    json_t *slices; /* what the server has, by name */
    unsigned version, writes[3];
};

static void setup(struct world *w)
{
    *w = (struct world){.slices = json_object()};
    fixture_init(&w->fixture, false);
}

static void release(struct world *w)
{
    json_decref(w->slices);
    fixture_release(&w->fixture);
}

/* --- the server --- */

static void merge(json_t *to, json_t *patch)
{
    const char *key;
    json_t *value;

    json_object_foreach(patch, key, value) {
        json_t *old = json_object_get(to, key);

        if (json_is_null(value))
            json_object_del(to, key);
        else if (json_is_object(value) && json_is_object(old))
            merge(old, value);
        else
            json_object_set(to, key, value);
    }
}

static json_t *load(struct slice text)
{
    json_error_t error;
    json_t *value = json_loadb(text.ptr, text.len, 0, &error);

    if (!value)
        fail_msg("%s: %.*s", error.text, SLICE_ARGS(text));
    return value;
}

static void set_version(struct world *w, json_t *slice)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", ++w->version);
    json_object_set_new(json_object_get(slice, "metadata"), "resourceVersion", json_string(text));
}

static void carry_out(struct world *w, const struct slice_write *write)
{
    char name[SLICE_NAME_MAX];
    json_t *slice, *patch;
    struct buffer body;

    snprintf(name, sizeof(name), "%.*s", SLICE_ARGS(write->name));
    slice = json_object_get(w->slices, name);
    w->writes[write->action]++;
    assert_int_equal(slice == NULL, write->action == SLICE_CREATE);
    if (slice) {
        assert_string_equal(json_string_value(json_object_get(json_object_get(slice, "metadata"), "resourceVersion")), write->version.ptr);
        assert_string_equal(json_string_value(json_object_get(json_object_get(slice, "metadata"), "uid")), write->uid.ptr);
    }
    if (write->action == SLICE_DELETE) {
        json_object_del(w->slices, name);
        return;
    }
    buffer_init(&body, 1 << 20);
    if (write->action == SLICE_CREATE)
        buffer_add(&body, write->body);
    else
        slice_write_patch(write, write->version, &body);
    patch = load(buffer_slice(&body));
    if (slice) {
        merge(slice, patch);
        json_decref(patch);
    } else {
        slice = patch;
        json_object_set_new(json_object_get(slice, "metadata"), "uid", json_string(name));
        json_object_set_new(w->slices, name, slice);
    }
    set_version(w, slice);
    buffer_release(&body);
}

/* What the server has comes into the store. */
static void watch(struct world *w)
{
    struct buffer text;
    const char *name;
    json_t *slice;

    buffer_init(&text, 1 << 24);
    json_object_foreach(w->slices, name, slice) {
        char *dump = json_dumps(slice, 0);

        buffer_printf(&text, "%s\n---\n", dump);
        free(dump);
    }
    buffer_add_byte(&text, '\0');
    fixture_apply(&w->fixture, "slices.yaml", text.data);
    buffer_release(&text);
}

static size_t decide_and_write(struct world *w, const char *service)
{
    struct slice_plan plan;
    struct arena arena;

    arena_init(&arena, 1 << 26);
    memset(w->writes, 0, sizeof(w->writes));
    assert_int_equal(workload_slices_decide(w->fixture.store, SLICE_LIT("default"), slice_str(service), &arena, &plan), 0);
    for (size_t i = 0; i < plan.count; i++) {
        assert_true(i == 0 || plan.writes[i].action >= plan.writes[i - 1].action);
        carry_out(w, &plan.writes[i]);
    }
    watch(w);
    arena_release(&arena);
    return plan.count;
}

/* What is written, and that nothing is left to write then. */
static void expect_writes(struct world *w, unsigned creates, unsigned changes, unsigned deletes)
{
    decide_and_write(w, "web");
    if (w->writes[SLICE_CREATE] != creates || w->writes[SLICE_CHANGE] != changes || w->writes[SLICE_DELETE] != deletes)
        fail_msg("%u created, %u changed, %u deleted", w->writes[SLICE_CREATE], w->writes[SLICE_CHANGE], w->writes[SLICE_DELETE]);
    assert_int_equal(decide_and_write(w, "web"), 0);
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void show_slice(const json_t *slice, struct buffer *out)
{
    size_t i, j;
    json_t *port, *endpoint, *address;

    buffer_printf(out, "%s", text_at(slice, "addressType"));
    json_array_foreach(json_object_get(slice, "ports"), i, port)
        buffer_printf(out, " %s=%lld", text_at(port, "name"), (long long)json_integer_value(json_object_get(port, "port")));
    json_array_foreach(json_object_get(slice, "endpoints"), i, endpoint) {
        json_t *conditions = json_object_get(endpoint, "conditions");

        buffer_printf(out, " %s(", text_at(json_object_get(endpoint, "targetRef"), "name"));
        json_array_foreach(json_object_get(endpoint, "addresses"), j, address)
            buffer_printf(out, "%s%s", j ? "," : "", json_string_value(address));
        buffer_printf(out, "%s%s)", json_is_true(json_object_get(conditions, "ready")) ? " ready" : "",
                      json_is_true(json_object_get(conditions, "serving")) ? "" : " waits");
        if (json_object_get(endpoint, "zone"))
            buffer_printf(out, " zone=%s", text_at(endpoint, "zone"));
        if (json_object_get(endpoint, "hostname"))
            buffer_printf(out, " host=%s", text_at(endpoint, "hostname"));
    }
    buffer_add_lit(out, "\n");
}

/* "IPv4 http=8080 a(10.0.0.1 ready)" of each slice, in the order in which they were made. */
static void expect(struct world *w, const char *want)
{
    struct buffer out;
    const char *name;
    json_t *slice;

    buffer_init(&out, 1 << 20);
    json_object_foreach(w->slices, name, slice)
        show_slice(slice, &out);
    buffer_add_byte(&out, '\0');
    assert_string_equal(out.data, want);
    buffer_release(&out);
}

static json_t *first_slice(struct world *w)
{
    return json_object_iter_value(json_object_iter(w->slices));
}

static void apply(struct world *w, const char *text)
{
    fixture_apply(&w->fixture, "a.yaml", text);
}

/* --- the tests --- */

static void test_what_is_written(void **state)
{
    struct world w;
    struct slice_plan plan;
    struct arena arena;

    setup(&w);
    apply(&w, SERVICE_OF(", labels: {team: shop, kubernetes.io/service-name: lie}", "ports: [{name: http, port: 80, targetPort: http, appProtocol: h2c}]")
                  WORKLOAD_OF("vm", ", topology.kubernetes.io/zone: east", PORT("8080"), "{ip: 192.0.2.1}", READY));
    arena_init(&arena, 1 << 20);
    assert_int_equal(workload_slices_decide(w.fixture.store, SLICE_LIT("default"), SLICE_LIT("web"), &arena, &plan), 0);
    assert_int_equal(plan.count, 1);
    assert_string_equal(plan.writes[0].name.ptr, "linkerd-external-web-e2562cf81f");
    assert_string_equal(plan.writes[0].body.ptr,
                        "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"addressType\":\"IPv4\",\"metadata\":{"
                        "\"name\":\"linkerd-external-web-e2562cf81f\",\"namespace\":\"default\",\"labels\":{\"kubernetes.io/service-name\":\"web\","
                        "\"endpointslice.kubernetes.io/managed-by\":\"linkerd-external-workloads-controller\",\"team\":\"shop\"},"
                        "\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"controller\":true,\"name\":\"web\",\"uid\":\"u1\"}]},"
                        "\"ports\":[{\"port\":8080,\"protocol\":\"TCP\",\"name\":\"http\",\"appProtocol\":\"h2c\"}],\"endpoints\":["
                        "{\"addresses\":[\"192.0.2.1\"],\"conditions\":{\"ready\":true,\"serving\":true,\"terminating\":false},\"zone\":\"east\","
                        "\"targetRef\":{\"kind\":\"ExternalWorkload\",\"namespace\":\"default\",\"name\":\"vm\"}}]}");
    arena_release(&arena);
    release(&w);
}

static void test_workloads_come_change_and_go(void **state)
{
    struct world w;

    setup(&w);
    apply(&w, SERVICE);
    expect_writes(&w, 0, 0, 0);
    apply(&w, SERVICE WORKLOAD("a", "10.0.0.1"));
    expect_writes(&w, 1, 0, 0);
    apply(&w, SERVICE WORKLOAD("a", "10.0.0.1") WORKLOAD("b", "10.0.0.2"));
    expect_writes(&w, 0, 1, 0);
    expect(&w, "IPv4 http=8080 a(10.0.0.1 ready) b(10.0.0.2 ready)\n");
    /* Not ready: it is said so; without a condition nobody has said that it is. */
    apply(&w, SERVICE WORKLOAD_OF("a", "", PORT("8080"), "{ip: 10.0.0.1}", "{type: Ready, status: 'False'}")
                  WORKLOAD_OF("b", "", PORT("8080"), "{ip: 10.0.0.2}", ""));
    expect_writes(&w, 0, 1, 0);
    expect(&w, "IPv4 http=8080 a(10.0.0.1 waits) b(10.0.0.2 waits)\n");
    apply(&w, SERVICE_OF("", HTTP ", publishNotReadyAddresses: true") WORKLOAD_OF("a", "", PORT("8080"), "{ip: 10.0.0.1}", ""));
    expect_writes(&w, 0, 1, 0);
    expect(&w, "IPv4 http=8080 a(10.0.0.1 ready waits)\n");
    /* Another address, another zone, another label that counts. */
    apply(&w, SERVICE WORKLOAD_OF("a", ", topology.kubernetes.io/zone: z1", PORT("8080"), "{ip: 10.0.0.9}", READY));
    expect_writes(&w, 0, 1, 0);
    expect(&w, "IPv4 http=8080 a(10.0.0.9 ready) zone=z1\n");
    apply(&w, "{apiVersion: v1, kind: Service, metadata: {name: web, uid: u1}, spec: {clusterIP: 10.96.0.1, selector: {app: api}, " HTTP "}}" NEXT
          WORKLOAD("a", "10.0.0.9"));
    expect_writes(&w, 0, 0, 1);
    apply(&w, SERVICE WORKLOAD("a", "10.0.0.1"));
    expect_writes(&w, 1, 0, 0);
    apply(&w, WORKLOAD("a", "10.0.0.1"));
    expect_writes(&w, 0, 0, 1); /* without its Service */
    release(&w);
}

static void test_ports(void **state)
{
    static const char two[] = "ports: [{name: http, port: 80, targetPort: http}, {name: admin, port: 81, targetPort: 9990}, {name: dns, port: 53, targetPort: http, protocol: UDP}]";
    char text[2000];
    struct world w;

    setup(&w);
    snprintf(text, sizeof(text), SERVICE_OF("", "%s")
             WORKLOAD("a", "10.0.0.1") WORKLOAD_OF("b", "", PORT("8081") ", {port: 9990}", "{ip: 10.0.0.2}", READY)
             WORKLOAD_OF("c", "", "{name: other, port: 1}", "{ip: 10.0.0.3}", READY) WORKLOAD_OF("d", "", PORT("8080"), "{ip: 10.0.0.4}", READY), two);
    apply(&w, text);
    expect_writes(&w, 2, 0, 0);
    expect(&w, "IPv4 http=8080 a(10.0.0.1 ready) d(10.0.0.4 ready)\nIPv4 http=8081 admin=9990 b(10.0.0.2 ready)\n");
    /* Another number of the Service's port: slices are changed, not made anew. */
    apply(&w, SERVICE_OF("", "ports: [{name: admin, port: 80, targetPort: 9990}]")
                  WORKLOAD_OF("b", "", PORT("8081") ", {port: 9990}", "{ip: 10.0.0.2}", READY));
    expect_writes(&w, 0, 1, 1);
    expect(&w, "IPv4 admin=9990 b(10.0.0.2 ready)\n");
    /* A workload moves to the ports of others. */
    apply(&w, SERVICE WORKLOAD("a", "10.0.0.1") WORKLOAD_OF("b", "", PORT("8081"), "{ip: 10.0.0.2}", READY));
    expect_writes(&w, 1, 1, 0);
    apply(&w, SERVICE WORKLOAD("a", "10.0.0.1") WORKLOAD("b", "10.0.0.2"));
    expect_writes(&w, 0, 1, 0);
    expect(&w, "IPv4 http=8080 a(10.0.0.1 ready)\nIPv4 http=8080 b(10.0.0.2 ready)\n"); /* one write less than to move it */
    release(&w);
}

static void test_families(void **state)
{
    struct world w;

    setup(&w);
    apply(&w, SERVICE_OF("", HTTP ", clusterIPs: [10.96.0.1, 'fd96::1'], ipFamilies: [IPv4, IPv6]")
                  WORKLOAD_OF("a", "", PORT("8080"), "{ip: 'fd00:0::1'}, {ip: 10.0.0.1}, {ip: 10.0.0.2}", READY) WORKLOAD("b", "10.0.0.3"));
    expect_writes(&w, 2, 0, 0);
    expect(&w, "IPv4 http=8080 a(10.0.0.1,10.0.0.2 ready) b(10.0.0.3 ready)\nIPv6 http=8080 a(fd00::1 ready)\n");
    apply(&w, SERVICE_OF("", HTTP ", ipFamilies: [IPv4]") WORKLOAD_OF("a", "", PORT("8080"), "{ip: 'fd00::1'}, {ip: 10.0.0.1}", READY));
    expect_writes(&w, 0, 1, 1);
    expect(&w, "IPv4 http=8080 a(10.0.0.1 ready)\n");
    /* Headless: hostnames; both families where none is named; no ports at all. A name with a dot is no host name. */
    apply(&w, "{apiVersion: v1, kind: Service, metadata: {name: web, uid: u1}, spec: {clusterIP: None, selector: {app: web}}}" NEXT
          WORKLOAD_OF("a", "", PORT("8080"), "{ip: 'fd00::1'}, {ip: 10.0.0.1}", READY) WORKLOAD("b.c", "10.0.0.2"));
    expect_writes(&w, 1, 1, 0);
    expect(&w, "IPv4 a(10.0.0.1 ready) host=a b.c(10.0.0.2 ready)\nIPv6 a(fd00::1 ready) host=a\n");
    assert_string_equal(text_at(json_object_get(json_object_get(first_slice(&w), "metadata"), "labels"), "service.kubernetes.io/headless"), "");
    assert_non_null(json_object_get(json_object_get(json_object_get(first_slice(&w), "metadata"), "labels"), "service.kubernetes.io/headless"));
    release(&w);
}

/* An address that the API refuses would keep all others of its slice from being written. */
static void test_addresses_that_are_refused(void **state)
{
    struct world w;

    setup(&w);
    apply(&w, SERVICE_OF("", HTTP ", clusterIPs: [10.96.0.1, 'fd96::1']")
                  WORKLOAD("a", "127.0.0.1") WORKLOAD("b", "169.254.1.1") WORKLOAD("c", "0.0.0.0") WORKLOAD("d", "224.0.0.5")
                  WORKLOAD("e", "'fe80::1'") WORKLOAD("f", "'::1'") WORKLOAD("g", "'ff02::1'") WORKLOAD("h", "10.0.0.1") WORKLOAD_OF("i", "", PORT("8080"), "", READY));
    expect_writes(&w, 1, 0, 0);
    expect(&w, "IPv4 http=8080 h(10.0.0.1 ready)\n");
    release(&w);
}

/* --- what others do --- */

static void damage(struct world *w, const char *patch)
{
    json_t *change = load(slice_str(patch));

    merge(first_slice(w), change);
    set_version(w, first_slice(w));
    json_decref(change);
    watch(w);
}

static void test_damage_is_repaired(void **state)
{
    static const char *const kinds[] = {
        "{\"endpoints\":[]}", "{\"endpoints\":null}", "{\"ports\":[]}", "{\"ports\":null}", "{\"ports\":[{\"name\":\"http\",\"port\":1,\"protocol\":\"TCP\"}]}",
        "{\"metadata\":{\"labels\":{\"kubernetes.io/service-name\":\"other\"}}}", "{\"metadata\":{\"labels\":{\"kubernetes.io/service-name\":null}}}",
        "{\"metadata\":{\"labels\":{\"team\":\"x\"}}}", "{\"metadata\":{\"labels\":{\"team\":null}}}",
        "{\"metadata\":{\"labels\":{\"service.kubernetes.io/headless\":\"\"}}}", "{\"metadata\":{\"ownerReferences\":null}}",
        "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"x\",\"uid\":\"u1\"}]}}",
        "{\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":false},\"targetRef\":"
        "{\"kind\":\"ExternalWorkload\",\"namespace\":\"default\",\"name\":\"a\"}}]}",
        "{\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"conditions\":{\"ready\":true,\"serving\":true,\"terminating\":false},\"nodeName\":\"n\",\"targetRef\":"
        "{\"kind\":\"ExternalWorkload\",\"namespace\":\"default\",\"name\":\"a\"}}]}",
        "{\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"targetRef\":{\"kind\":\"Pod\",\"namespace\":\"default\",\"name\":\"a\"}}]}",
    };
    struct world w;

    setup(&w);
    apply(&w, SERVICE_OF(", labels: {team: shop}", HTTP) WORKLOAD("a", "10.0.0.1"));
    expect_writes(&w, 1, 0, 0);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        damage(&w, kinds[i]);
        decide_and_write(&w, "web");
        if (w.writes[SLICE_CREATE] || w.writes[SLICE_CHANGE] != 1 || w.writes[SLICE_DELETE])
            fail_msg("%s: %u created, %u changed, %u deleted", kinds[i], w.writes[SLICE_CREATE], w.writes[SLICE_CHANGE], w.writes[SLICE_DELETE]);
        expect(&w, "IPv4 http=8080 a(10.0.0.1 ready)\n");
        expect_writes(&w, 0, 0, 0);
    }
    release(&w);
}

/* What others add beside ours is no reason to write: they may add it again and again. It goes when something else is written. */
static void test_additions_are_left(void **state)
{
    struct world w;

    setup(&w);
    apply(&w, SERVICE_OF(", labels: {team: shop}", HTTP) WORKLOAD("a", "10.0.0.1"));
    expect_writes(&w, 1, 0, 0);
    damage(&w, "{\"metadata\":{\"labels\":{\"added\":\"x\"},\"annotations\":{\"a\":\"b\"}}}");
    expect_writes(&w, 0, 0, 0);
    apply(&w, SERVICE WORKLOAD("a", "10.0.0.2"));
    expect_writes(&w, 0, 1, 0);
    assert_null(json_object_get(json_object_get(json_object_get(first_slice(&w), "metadata"), "labels"), "added"));
    assert_null(json_object_get(json_object_get(json_object_get(first_slice(&w), "metadata"), "labels"), "team"));
    assert_non_null(json_object_get(json_object_get(first_slice(&w), "metadata"), "annotations"));
    release(&w);
}

static void test_a_slice_of_another(void **state)
{
    struct world w;

    setup(&w);
    apply(&w, SERVICE WORKLOAD("a", "10.0.0.1"));
    expect_writes(&w, 1, 0, 0);
    damage(&w, "{\"metadata\":{\"labels\":{\"endpointslice.kubernetes.io/managed-by\":\"somebody\"}}}");
    expect_writes(&w, 1, 0, 0); /* under the next name; the other's stays as it is */
    apply(&w, "");
    expect_writes(&w, 0, 0, 1);
    assert_int_equal(json_object_size(w.slices), 1);
    release(&w);
}

/* Nobody's: of no Service, or of one that had the name before. */
static void test_slices_that_are_left_behind(void **state)
{
    struct world w;

    setup(&w);
    apply(&w, SERVICE WORKLOAD("a", "10.0.0.1"));
    expect_writes(&w, 1, 0, 0);
    damage(&w, "{\"metadata\":{\"labels\":{\"kubernetes.io/service-name\":null},\"ownerReferences\":null}}");
    expect_writes(&w, 1, 0, 0);
    assert_int_equal(decide_and_write(&w, ""), 1);
    assert_int_equal(w.writes[SLICE_DELETE], 1);
    damage(&w, "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"name\":\"web\",\"uid\":\"u0\"}]}}");
    expect_writes(&w, 1, 0, 1);
    apply(&w, SERVICE_OF(", deletionTimestamp: '2024-01-01T00:00:00Z', finalizers: [x]", HTTP) WORKLOAD("a", "10.0.0.1") WORKLOAD_OF("b", "", PORT("1"), "{ip: 10.0.0.2}", READY));
    expect_writes(&w, 0, 0, 0); /* none is made for a Service that is going */
    /* Without a selector nobody says what is behind it. */
    apply(&w, "{apiVersion: v1, kind: Service, metadata: {name: web, uid: u1}, spec: {clusterIP: 10.96.0.1, " HTTP "}}" NEXT WORKLOAD("a", "10.0.0.1"));
    expect_writes(&w, 0, 0, 1);
    release(&w);
}

/* --- many --- */

static void add_workload(struct buffer *text, unsigned number, unsigned port)
{
    buffer_printf(text, WORKLOAD_OF("w%03u", "", PORT("%u"), "{ip: 10.0.%u.%u}", READY), number, port, number / 250, number % 250 + 1);
}

static void apply_many(struct world *w, const bool *there, const unsigned *ports, unsigned count)
{
    struct buffer text;

    buffer_init(&text, 1 << 22);
    buffer_add_lit(&text, SERVICE);
    for (unsigned i = 0; i < count; i++)
        if (there[i])
            add_workload(&text, i, ports[i]);
    buffer_add_byte(&text, '\0');
    apply(w, text.data);
    buffer_release(&text);
}

/* Every workload once, with its port, and no slice too full. */
static void check_many(const struct world *w, const bool *there, const unsigned *ports, unsigned count)
{
    size_t found = 0, wanted = 0, i;
    json_t *slice, *endpoint;
    const char *name;

    for (unsigned k = 0; k < count; k++)
        wanted += there[k];
    json_object_foreach(w->slices, name, slice) {
        json_t *endpoints = json_object_get(slice, "endpoints");
        long long port = json_integer_value(json_object_get(json_array_get(json_object_get(slice, "ports"), 0), "port"));

        assert_in_range(json_array_size(endpoints), 1, SLICE_ENDPOINTS);
        json_array_foreach(endpoints, i, endpoint) {
            uint64_t number;

            assert_int_equal(slice_u64(slice_skip(slice_str(text_at(json_object_get(endpoint, "targetRef"), "name")), 1), count - 1, &number), 0);
            assert_true(there[number]);
            assert_int_equal(port, ports[number]);
        }
        found += json_array_size(endpoints);
    }
    assert_int_equal(found, wanted);
}

static void test_many(void **state)
{
    bool there[250] = {false};
    unsigned ports[250];
    struct world w;

    setup(&w);
    for (unsigned i = 0; i < 250; i++) {
        there[i] = true;
        ports[i] = 8080;
    }
    apply_many(&w, there, ports, 250);
    expect_writes(&w, 3, 0, 0);
    check_many(&w, there, ports, 250);
    there[30] = false; /* one of the first slice */
    apply_many(&w, there, ports, 250);
    expect_writes(&w, 0, 1, 0);
    there[30] = true; /* into the one with room, not one more */
    apply_many(&w, there, ports, 250);
    expect_writes(&w, 0, 1, 0);
    for (unsigned i = 0; i < 100; i++)
        there[i] = false;
    apply_many(&w, there, ports, 250);
    decide_and_write(&w, "web");
    assert_int_equal(w.writes[SLICE_CREATE], 0);
    check_many(&w, there, ports, 250);
    release(&w);
}

/* Whatever changes: one round of writes is enough, and what is not concerned is not written. */
static void test_seeds(void **state)
{
    enum { COUNT = 130 };

    for (uint64_t seed = 1; seed <= 8; seed++) {
        bool there[COUNT] = {false};
        unsigned ports[COUNT];
        struct world w;
        struct rng rng;

        rng_seed(&rng, seed);
        setup(&w);
        for (unsigned i = 0; i < COUNT; i++)
            ports[i] = 8080;
        for (int step = 0; step < 12; step++) {
            unsigned changes = (unsigned)rng_below(&rng, step % 4 ? 6 : COUNT);

            for (unsigned i = 0; i < changes; i++) {
                unsigned number = (unsigned)rng_below(&rng, COUNT);

                if (rng_below(&rng, 3))
                    there[number] = !there[number];
                else
                    ports[number] = 8080 + (unsigned)rng_below(&rng, 3);
            }
            apply_many(&w, there, ports, COUNT);
            if (rng_below(&rng, 3) == 0 && json_object_size(w.slices))
                damage(&w, rng_below(&rng, 2) ? "{\"endpoints\":[]}" : "{\"ports\":[]}");
            decide_and_write(&w, "web");
            check_many(&w, there, ports, COUNT);
            if (decide_and_write(&w, "web"))
                fail_msg("seed %llu, step %d: not done at once", (unsigned long long)seed, step);
        }
        release(&w);
    }
}

/* --- without memory --- */

static void test_every_allocation_may_fail(void **state)
{
    uint64_t digest = 0;
    struct world w;
    long n = 0;
    bool failed;

    setup(&w);
    apply(&w, SERVICE WORKLOAD("a", "10.0.0.1") WORKLOAD_OF("b", "", PORT("1"), "{ip: 10.0.0.2}", READY));
    decide_and_write(&w, "web");
    apply(&w, SERVICE_OF("", HTTP ", clusterIPs: [10.96.0.1, 'fd96::1']")
                  WORKLOAD("a", "10.0.0.1") WORKLOAD_OF("c", "", PORT("2"), "{ip: 10.0.0.2}, {ip: 'fd00::1'}", READY) WORKLOAD_OF("d", "", PORT("3"), "{ip: 10.0.0.4}", READY));
    do {
        struct slice_plan plan = {0};
        struct arena arena;
        int r;

        arena_init(&arena, 1 << 20);
        failing_memory_set(n++);
        r = workload_slices_decide(w.fixture.store, SLICE_LIT("default"), SLICE_LIT("web"), &arena, &plan);
        failed = failing_memory_end();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        if (r == 0)
            digest = plan.digest;
        arena_release(&arena);
    } while (failed);
    assert_true(n > 8 && digest); /* so that a sweep that fails nothing is noticed */
    for (size_t max = 0; max < 40000; max += 500) { /* an arena that is too small */
        struct slice_plan plan;
        struct arena arena;
        int r;

        arena_init(&arena, max);
        r = workload_slices_decide(w.fixture.store, SLICE_LIT("default"), SLICE_LIT("web"), &arena, &plan);
        assert_true(r == -ENOMEM || (r == 0 && plan.digest == digest));
        arena_release(&arena);
    }
    release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written),
        cmocka_unit_test(test_workloads_come_change_and_go),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_addresses_that_are_refused),
        cmocka_unit_test(test_damage_is_repaired),
        cmocka_unit_test(test_additions_are_left),
        cmocka_unit_test(test_a_slice_of_another),
        cmocka_unit_test(test_slices_that_are_left_behind),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
