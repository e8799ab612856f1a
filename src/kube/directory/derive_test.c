#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "kube/kube_fixture.h"

#define NEXT "\n---\n"
#define SERVICE                                                                                                        \
    "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.1, selector: {app: web}, "       \
    "ports: [{name: http, port: 80, targetPort: web}, {name: admin, port: 81, targetPort: 9990}]}}" NEXT
#define POD_OF(name, label, address, more)                                                                             \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name ", labels: {app: " label                                      \
    "}}, spec: {nodeName: n1, containers: "                                                                            \
    "[{name: a, ports: [{name: web, containerPort: 8080}]}]}, status: {podIP: " address more "}}" NEXT
#define POD(name, address) POD_OF(name, "web", address, "")

/* "10.0.0.1 ready zone=z1 http=8080 admin=9990; ..." of all slices of a Service, in their order. */
static void assert_endpoints(struct fixture *f, const char *want)
{
    struct kube_set set = store_by_name(f->store, STORE_SLICES_OF_SERVICE, SLICE_LIT("default"), SLICE_LIT("web"));
    struct buffer out;

    buffer_init(&out, 1u << 16);
    for (size_t i = 0; i < set.count; i++) {
        const struct kube_endpoint_slice *slice = kube_endpoint_slice(set.items[i]);

        for (size_t j = 0; j < slice->endpoint_count; j++) {
            const struct kube_endpoint *endpoint = &slice->endpoints[j];

            buffer_printf(&out, "%s%.*s %s%s", out.len ? "; " : "", SLICE_ARGS(endpoint->addresses[0]),
                          kube_endpoint_ready(endpoint) ? "ready" : "waits",
                          endpoint->conditions.terminating == KUBE_TRUE ? " ends" : "");
            if (endpoint->zone.len)
                buffer_printf(&out, " zone=%.*s", SLICE_ARGS(endpoint->zone));
            if (endpoint->hostname.len)
                buffer_printf(&out, " host=%.*s", SLICE_ARGS(endpoint->hostname));
            for (size_t k = 0; k < slice->port_count; k++)
                buffer_printf(&out, " %.*s=%u", SLICE_ARGS(slice->ports[k].name), slice->ports[k].port);
        }
    }
    buffer_add_byte(&out, '\0');
    assert_string_equal(out.data, want);
    buffer_release(&out);
}

static void init(struct fixture *f)
{
    fixture_init(f, true);
    fixture_apply(f, "0.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
    fixture_expect_events(f, "+ Namespace default\n");
}

static void slices_follow_pods(void **state)
{
    struct fixture f;

    init(&f);
    fixture_apply(&f, "a.yaml",
                  SERVICE POD("p1", "10.0.0.1") POD("p2", "10.0.0.2") POD_OF("x", "other", "10.0.0.3", ""));
    assert_endpoints(&f, "10.0.0.1 ready http=8080 admin=9990; 10.0.0.2 ready http=8080 admin=9990");
    fixture_expect_events(&f, "+ Service default/web\n+ Pod default/p1\n"
                              "+ EndpointSlice default/web~pod~p1~4 (derived)\n+ Pod default/p2\n"
                              "+ EndpointSlice default/web~pod~p2~4 (derived)\n+ Pod default/x\n");
    /* One pod becomes unready: its slice only. */
    fixture_apply(&f, "a.yaml",
                  SERVICE POD("p1", "10.0.0.1")
                      POD_OF("p2", "web", "10.0.0.2", ", conditions: [{type: Ready, status: 'False'}]")
                          POD_OF("x", "other", "10.0.0.3", ""));
    fixture_expect_events(&f, "~ Pod default/p2\n~ EndpointSlice default/web~pod~p2~4 (derived)\n");
    assert_endpoints(&f, "10.0.0.1 ready http=8080 admin=9990; 10.0.0.2 waits http=8080 admin=9990");
    /* Something about a pod that no endpoint shows: nothing else is touched. */
    fixture_apply(&f, "a.yaml",
                  SERVICE POD("p1", "10.0.0.1") POD_OF("p2", "web, v: a", "10.0.0.2", "")
                      POD_OF("x", "other", "10.0.0.3", ""));
    fixture_expect_events(&f, "~ Pod default/p2\n~ EndpointSlice default/web~pod~p2~4 (derived)\n");
    fixture_apply(&f, "a.yaml",
                  SERVICE POD("p1", "10.0.0.1") POD_OF("p2", "web, v: b", "10.0.0.2", "")
                      POD_OF("x", "other", "10.0.0.3", ""));
    fixture_expect_events(&f, "~ Pod default/p2\n");
    /* Labels decide: one leaves, one joins. */
    fixture_apply(&f, "a.yaml",
                  SERVICE POD("p1", "10.0.0.1") POD_OF("p2", "off2", "10.0.0.2", "")
                      POD_OF("x", "web", "10.0.0.3", ""));
    assert_endpoints(&f, "10.0.0.1 ready http=8080 admin=9990; 10.0.0.3 ready http=8080 admin=9990");
    fixture_expect_events(&f, "~ Pod default/p2\n- EndpointSlice default/web~pod~p2~4 (derived)\n~ Pod default/x\n"
                              "+ EndpointSlice default/web~pod~x~4 (derived)\n");
    /* An ended pod has no endpoint; a pod on its way out has one that is not ready. */
    fixture_apply(&f, "a.yaml",
                  SERVICE POD_OF("p1", "web", "10.0.0.1",
                                 ", phase: Succeeded") "{apiVersion: v1, kind: Pod, metadata: {name: x, labels: {app: "
                                                       "web}, deletionTimestamp: '2024-01-01T00:00:00Z'}, "
                                                       "spec: {}, status: {podIP: 10.0.0.3}}");
    assert_endpoints(&f, "10.0.0.3 waits ends admin=9990");
    /* Without its Service nothing is left. */
    fixture_apply(&f, "a.yaml", POD("p1", "10.0.0.1"));
    assert_endpoints(&f, "");
    fixture_release(&f);
}

static void slices_follow_services(void **state)
{
    struct fixture f;

    init(&f);
    fixture_apply(&f, "a.yaml", SERVICE POD("p1", "10.0.0.1") POD_OF("p2", "api", "10.0.0.2", ""));
    fixture_expect_events(&f, "+ Service default/web\n+ Pod default/p1\n"
                              "+ EndpointSlice default/web~pod~p1~4 (derived)\n+ Pod default/p2\n");
    fixture_apply(&f, "a.yaml",
                  "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.1, selector: {app: "
                  "api}, ports: "
                  "[{port: 80}], publishNotReadyAddresses: true}}" NEXT POD("p1", "10.0.0.1")
                      POD_OF("p2", "api", "10.0.0.2", ", phase: Pending"));
    fixture_expect_events(&f, "~ Service default/web\n- EndpointSlice default/web~pod~p1~4 (derived)\n"
                              "+ EndpointSlice default/web~pod~p2~4 (derived)\n~ Pod default/p2\n"
                              "~ EndpointSlice default/web~pod~p2~4 (derived)\n");
    assert_endpoints(&f, "10.0.0.2 ready =80");
    fixture_release(&f);
}

static void families_and_hostnames(void **state)
{
    struct fixture f;

    init(&f);
    fixture_apply(&f, "a.yaml",
                  "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.1, clusterIPs: "
                  "[10.96.0.1, 'fd00::a'], "
                  "selector: {app: web}, ports: [{port: 80}]}}" NEXT
                  "{apiVersion: v1, kind: Pod, metadata: {name: p1, labels: {app: web}}, spec: {hostname: h1, "
                  "subdomain: web}, status: "
                  "{podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}}" NEXT
                  "{apiVersion: v1, kind: Pod, metadata: {name: p2, labels: {app: web}}, spec: {hostname: h2, "
                  "subdomain: api}, status: "
                  "{podIP: 'fd00::2'}}");
    assert_endpoints(&f, "10.0.0.1 ready host=h1 =80; fd00::1 ready host=h1 =80; fd00::2 ready =80");
    fixture_apply(&f, "a.yaml",
                  "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.1, selector: {app: "
                  "web}, ports: [{port: 80}]}}" NEXT "{apiVersion: v1, kind: Pod, metadata: {name: p1, labels: {app: "
                                                     "web}}, spec: {hostname: h1, subdomain: web}, status: "
                  "{podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}}" NEXT
                  "{apiVersion: v1, kind: Pod, metadata: {name: p2, labels: {app: web}}, spec: {hostname: h2, "
                  "subdomain: api}, status: "
                  "{podIP: 'fd00::2'}}");
    assert_endpoints(&f, "10.0.0.1 ready host=h1 =80");
    fixture_release(&f);
}

static void zones_come_from_nodes(void **state)
{
    struct fixture f;

    init(&f);
    fixture_apply(&f, "a.yaml", SERVICE POD("p1", "10.0.0.1"));
    fixture_apply(&f, "n.yaml",
                  "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: z1}}}");
    assert_endpoints(&f, "10.0.0.1 ready zone=z1 http=8080 admin=9990");
    directory_drop(f.directory, SLICE_LIT("n.yaml"));
    assert_int_equal(directory_commit(f.directory), 0);
    assert_endpoints(&f, "10.0.0.1 ready http=8080 admin=9990");
    fixture_release(&f);
}

static void given_slices_and_endpoints_win(void **state)
{
    struct fixture f;

    init(&f);
    fixture_apply(&f, "a.yaml", SERVICE POD("p1", "10.0.0.1"));
    fixture_expect_events(&f,
                          "+ Service default/web\n+ Pod default/p1\n+ EndpointSlice default/web~pod~p1~4 (derived)\n");
    fixture_apply(
        &f, "e.yaml",
        "{apiVersion: v1, kind: Endpoints, metadata: {name: web}, subsets: [{addresses: [{ip: 10.2.0.1, "
        "hostname: h}, {ip: 'fd00::9'}], notReadyAddresses: [{ip: 10.2.0.2}], ports: [{name: http, port: 80}]}]}");
    assert_endpoints(&f, "10.2.0.1 ready host=h http=80; 10.2.0.2 waits http=80; fd00::9 ready http=80");
    fixture_apply(&f, "e.yaml",
                  "{apiVersion: v1, kind: Endpoints, metadata: {name: web}, subsets: [{addresses: [{ip: 10.2.0.1}], "
                  "ports: [{name: http, port: 80}]}]}");
    assert_endpoints(&f, "10.2.0.1 ready http=80");
    fixture_apply(&f, "s.yaml",
                  "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: mine, labels: "
                  "{kubernetes.io/service-name: web}}, addressType: IPv4, endpoints: [{addresses: [10.3.0.1]}], "
                  "ports: [{name: http, port: 1}]}");
    assert_endpoints(&f, "10.3.0.1 ready http=1");
    directory_drop(f.directory, SLICE_LIT("s.yaml"));
    assert_int_equal(directory_commit(f.directory), 0);
    assert_endpoints(&f, "10.2.0.1 ready http=80");
    directory_drop(f.directory, SLICE_LIT("e.yaml"));
    assert_int_equal(directory_commit(f.directory), 0);
    assert_endpoints(&f, "10.0.0.1 ready http=8080 admin=9990");
    fixture_expect_reports(&f, "");
    fixture_release(&f);
}

static void external_workloads_are_endpoints(void **state)
{
    struct fixture f;

    init(&f);
    fixture_apply(&f, "a.yaml",
                  SERVICE POD("p1", "10.0.0.1") "{apiVersion: workload.linkerd.io/v1beta1, kind: ExternalWorkload, "
                                                "metadata: {name: vm, labels: {app: web}}, spec: "
                                                "{meshTLS: {identity: i, serverName: s}, ports: [{name: web, port: "
                                                "80}], workloadIPs: [{ip: 10.9.0.1}]}}");
    assert_endpoints(&f, "10.0.0.1 ready http=8080 admin=9990; 10.9.0.1 ready http=80"); /* 9990 is no port of it */
    fixture_apply(&f, "a.yaml", SERVICE POD("p1", "10.0.0.1"));
    assert_endpoints(&f, "10.0.0.1 ready http=8080 admin=9990");
    fixture_release(&f);
}

static void pods_without_a_named_port_are_left_out(void **state)
{
    struct fixture f;

    init(&f);
    fixture_apply(&f, "a.yaml",
                  "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: None, selector: {app: "
                  "web}, ports: [{port: 80, targetPort: nope}]}}" NEXT POD("p1", "10.0.0.1"));
    assert_endpoints(&f, "");
    fixture_apply(
        &f, "a.yaml",
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: None, selector: {app: web}}}" NEXT
            POD("p1", "10.0.0.1"));
    assert_endpoints(&f, "10.0.0.1 ready");
    fixture_release(&f);
}

static void namespaces_are_implied(void **state)
{
    struct fixture f;

    fixture_init(&f, true);
    fixture_apply(&f, "a.yaml",
                  "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, namespace: prod}}" NEXT
                  "{apiVersion: v1, kind: ServiceAccount, metadata: {name: b, namespace: prod}}");
    fixture_expect_events(&f, "+ ServiceAccount prod/a\n+ Namespace prod (derived)\n+ ServiceAccount prod/b\n");
    fixture_apply(&f, "n.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: prod}}");
    fixture_expect_events(&f, "~ Namespace prod\n");
    directory_drop(f.directory, SLICE_LIT("n.yaml"));
    assert_int_equal(directory_commit(f.directory), 0);
    fixture_expect_events(&f, "- Namespace prod\n+ Namespace prod (derived)\n");
    fixture_apply(&f, "a.yaml", "");
    fixture_expect_events(&f, "- ServiceAccount prod/a\n- ServiceAccount prod/b\n- Namespace prod (derived)\n");
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_follow_pods),
        cmocka_unit_test(slices_follow_services),
        cmocka_unit_test(families_and_hostnames),
        cmocka_unit_test(zones_come_from_nodes),
        cmocka_unit_test(given_slices_and_endpoints_win),
        cmocka_unit_test(external_workloads_are_endpoints),
        cmocka_unit_test(pods_without_a_named_port_are_left_out),
        cmocka_unit_test(namespaces_are_implied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
