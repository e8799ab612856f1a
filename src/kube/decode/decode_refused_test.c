/* What is refused of objects, word for word, and the texts of values that have rules of their own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "kube/decode/decode_fixture.h"
#include "kube/decode/fields.h"

struct complaint {
    const char *text, *reports;
    size_t objects; /* good ones nevertheless */
};

#define SERVICE "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: "
#define POD "{apiVersion: v1, kind: Pod, metadata: {name: web}, "
#define ROUTE "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: "
#define SERVER "{apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {name: s}, spec: "
#define AT "f.yaml:1: "

static void complaints(void **state)
{
    static const struct complaint samples[] = {
        {"{kind: Service}", "error " AT "apiVersion: missing or not a text; every object needs it\n", 0},
        {"{apiVersion: v1}", "error " AT "kind: missing or not a text; every object needs it\n", 0},
        {"[1]", "error " AT "expected an object (a map with apiVersion, kind and metadata)\n", 0},
        {"{apiVersion: v1, kind: Service, spec: {}}",
         "error " AT "Service: metadata: missing; every object needs a name\n", 0},
        {"{apiVersion: v1, kind: Service, metadata: {}, spec: {}}",
         "error " AT "Service: metadata.name: missing; every object needs a name\n", 0},
        {"{apiVersion: v1, kind: Service, metadata: {name: Web}, spec: {}}",
         "error " AT
         "Service: metadata.name: expected lower-case letters, digits and - in between, found the text \"Web\"\n",
         0},
        {"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: 7}, spec: {}}",
         "error " AT
         "Service: metadata.namespace: expected lower-case letters, digits and - in between, found the number 7\n",
         0},
        {"{apiVersion: v2, kind: Service, metadata: {name: web}, spec: {}}",
         "error " AT "Service default/web: apiVersion: version \"v2\" of Service is not known; write v1\n", 0},
        {"{apiVersion: policy.linkerd.io/v1, kind: Server, metadata: {name: s}, spec: {}}",
         "error " AT
         "Server default/s: apiVersion: version \"v1\" of Server is not known; write policy.linkerd.io/v1beta3\n",
         0},
        {"{apiVersion: v1, kind: Service, metadata: {name: web, labels: {on: on, n: 7}}, spec: {clusterIP: None}}",
         "error " AT
         "Service default/web: metadata.labels.true: expected a text, found the boolean on; put it in quotes\n"
         "error " AT
         "Service default/web: metadata.labels.false: expected a text, found the number 7; put it in quotes\n",
         0},
        {SERVICE "{ports: []}}",
         "error " AT
         "Service default/web: spec.clusterIP: missing; without Kubernetes nobody assigns one: write an unused "
         "address, or None for a headless Service\n",
         0},
        {SERVICE "{clusterIP: 10.0.0}}",
         "error " AT "Service default/web: spec.clusterIP: expected an IP address or \"None\", found \"10.0.0\"\n", 0},
        {SERVICE "{clusterIP: None, ports: [{port: 80}, {port: 70000}, {port: http}, {}]}}",
         "error " AT
         "Service default/web: spec.ports[1].port: expected a whole number from 1 to 65535, found the number 70000\n"
         "error " AT
         "Service default/web: spec.ports[2].port: expected a whole number from 1 to 65535, found the text \"http\"\n"
         "error " AT "Service default/web: spec.ports[3].port: missing; it is required\n",
         0},
        {SERVICE "{clusterIP: None, ports: [{name: a, port: 80}, {name: a, port: 81}]}}",
         "error " AT "Service default/web: spec.ports: two ports with the name \"a\"; each needs one of its own\n", 0},
        {SERVICE "{clusterIP: None, ports: {port: 80}}}",
         "error " AT "Service default/web: spec.ports: expected a list, found a map\n", 0},
        {SERVICE "{clusterIP: None, type: Cluster}}",
         "error " AT
         "Service default/web: spec.type: expected ClusterIP, NodePort, LoadBalancer or ExternalName, found the "
         "text \"Cluster\"\n",
         0},
        {SERVICE "{clusterIP: None, clusterip: x, ipFamilies: [IPv4], color: red}}",
         "warning " AT "Service default/web: spec.clusterip: unknown field, ignored; did you mean clusterIP?\n"
         "warning " AT "Service default/web: spec.color: unknown field, ignored\n",
         1},
        {"{apiVersion: v1, kind: Service, metadata: {name: web}}",
         "error " AT "Service default/web: spec: missing; it is required\n", 0},
        {"{apiVersion: v1, kind: Namespace, metadata: {name: a, namespace: b}}",
         "warning " AT "Namespace a: metadata.namespace: ignored; a Namespace belongs to no namespace\n", 1},
        {POD "spec: {}}",
         "error " AT
         "Pod default/web: status.podIP: missing; without Kubernetes nobody assigns one: write the address that "
         "the workload has\n",
         0},
        {POD "spec: {containers: [{name: a, livenessProbe: {httpGet: {path: /x}}}]}, status: {podIP: x}}",
         "error " AT "Pod default/web: spec.containers[0].livenessProbe.httpGet.port: missing; it is required\n"
         "error " AT
         "Pod default/web: status.podIP: expected an IP address like \"10.0.0.1\" or \"fd00::1\", found the text "
         "\"x\"\n",
         0},
        {SERVER "{podSelector: {}, externalWorkloadSelector: {}, port: 80}}",
         "error " AT
         "Server default/s: spec.podSelector: expected one of podSelector and externalWorkloadSelector, found "
         "both\n",
         0},
        {SERVER "{podSelector: {matchExpressions: [{key: a, operator: In}]}, port: 0}}",
         "error " AT
         "Server default/s: spec.podSelector.matchExpressions[0].values: missing; In compares with a list of "
         "values\n"
         "error " AT
         "Server default/s: spec.port: expected a port number from 1 to 65535 or the name of a port, found the "
         "number 0\n",
         0},
        {ROUTE "{rules: [{}, {}, {matches: [{path: {type: Glob}}]}]}}",
         "error " AT "HTTPRoute default/r: spec.rules[2].matches[0].path.type: expected Exact, PathPrefix or "
         "RegularExpression, found the text \"Glob\"\n",
         0},
        {ROUTE "{hostnames: [a..b]}}",
         "error " AT "HTTPRoute default/r: spec.hostnames[0]: expected a name like \"www.example.com\" or "
         "\"*.example.com\", found \"a..b\"\n",
         0},
        {ROUTE "{parentRefs: [{kind: Service, name: web}]}}",
         "warning " AT
         "HTTPRoute default/r: spec.parentRefs[0].group: \"gateway.networking.k8s.io\" has no kind Service, so "
         "this parent is none; write group: core\n",
         1},
        {ROUTE "{rules: [{filters: [{type: URLRewrite, urlRewrite: {hostname: x}}, {type: RequestRedirect}]}]}}",
         "warning " AT
         "HTTPRoute default/r: spec.rules[0].filters[0].type: the filter URLRewrite is not supported; requests "
         "that meet it are answered with an error\n"
         "error " AT
         "HTTPRoute default/r: spec.rules[0].filters[1].requestRedirect: missing; the filter's type names it\n",
         0},
        {ROUTE "{rules: [{timeouts: {request: ten}, backendRefs: [{name: b, weight: -1}]}]}}",
         "error " AT
         "HTTPRoute default/r: spec.rules[0].timeouts.request: expected a duration like \"10s\", \"1m30s\" or "
         "\"250ms\", found the text \"ten\"\n"
         "error " AT
         "HTTPRoute default/r: spec.rules[0].backendRefs[0].weight: expected a whole number from 0 to 1000000, "
         "found the number -1\n",
         0},
        {"{apiVersion: policy.linkerd.io/v1alpha1, kind: NetworkAuthentication, metadata: {name: net}, spec: "
         "{networks: "
         "[{cidr: 10.0.0.0/40}, ~]}}",
         "error " AT
         "NetworkAuthentication default/net: spec.networks[0].cidr: expected a network like \"10.0.0.0/8\" or "
         "\"fd00::/8\", found the text \"10.0.0.0/40\"\n"
         "error " AT "NetworkAuthentication default/net: spec.networks[1]: expected a value, found nothing\n",
         0},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct decode_result result;

        decode_text(&result, samples[i].text, true);
        assert_string_equal(result.reports.data, samples[i].reports);
        assert_int_equal(result.count, samples[i].objects);
        assert_int_equal(result.broken, 1 - samples[i].objects);
        decode_result_release(&result);
    }
}

static void many_complaints_are_counted(void **state)
{
    struct decode_result result;
    struct buffer text;

    buffer_init(&text, 1u << 16);
    buffer_add_lit(&text, SERVICE "{clusterIP: None");
    for (int i = 0; i < 100; i++)
        buffer_printf(&text, ", x%d: 1", i);
    buffer_add_lit(&text, "}}");
    buffer_add_byte(&text, '\0');
    decode_text(&result, text.data, true);
    assert_int_equal(result.count, 1);
    assert_non_null(strstr(result.reports.data, "spec.x19: unknown field"));
    assert_null(strstr(result.reports.data, "spec.x20: unknown field"));
    assert_non_null(strstr(result.reports.data, "and 80 more complaints like these"));
    decode_result_release(&result);
    buffer_release(&text);
}

static void addresses_are_not_needed_where_somebody_assigns_them(void **state)
{
    struct decode_result result;

    decode_text(&result, SERVICE "{}}", false);
    assert_int_equal(result.count, 1);
    decode_result_release(&result);
    decode_text(&result, POD "spec: {}}", false);
    assert_int_equal(result.count, 1);
    decode_result_release(&result);
}

/* ---- values ---- */

static void values(void **state)
{
    static const struct {
        const char *text;
        int64_t milli; /* -1: refused */
    } quantities[] = {
        {"1", 1000},        {"0", 0}, {"500m", 500}, {"2k", 2000000}, {"1.5", 1500}, {".5", 500},   {"1Ki", 1024000},
        {"0.25k", 250000},  {"", -1}, {"m", -1},     {"-1", -1},      {"1x", -1},    {"1.5.5", -1}, {"99999999999", -1},
        {"4000000000G", -1}};
    static const struct {
        const char *text;
        int64_t seconds;
        bool good;
    } times[] = {{"1970-01-01T00:00:00Z", 0, true},
                 {"2000-02-29T00:00:00Z", 951782400, true},
                 {"2024-05-01T14:00:00+02:00", 1714564800, true},
                 {"1969-12-31T23:59:59Z", -1, true},
                 {"2024-05-01", 0, false},
                 {"2024-13-01T00:00:00Z", 0, false},
                 {"2024-05-01T00:00:00", 0, false},
                 {"2024-05-01T00:00:00+2:00", 0, false},
                 {"9999-05-01T00:00:00Z", 0, false},
                 {"", 0, false}};
    int64_t value;

    for (size_t i = 0; i < sizeof(quantities) / sizeof(quantities[0]); i++) {
        value = -1;
        assert_int_equal(quantity_milli(slice_str(quantities[i].text), &value) == 0, quantities[i].milli >= 0);
        assert_true(value == quantities[i].milli);
    }
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        value = 0;
        assert_int_equal(time_parse(slice_str(times[i].text), &value) == 0, times[i].good);
        assert_true(value == times[i].seconds * NS_PER_S);
    }
    assert_int_equal(time_parse(SLICE_LIT("1970-01-01T00:00:00.25Z"), &value), 0);
    assert_true(value == 250 * NS_PER_MS);
}

static void selectors(void **state)
{
    struct kube_pair labels[] = {{SLICE_LIT("app"), SLICE_LIT("web")}, {SLICE_LIT("tier"), SLICE_LIT("a")}};
    struct kube_map map = {labels, 2}, none = {NULL, 0}, one = {labels, 1};
    struct slice values_ab[] = {SLICE_LIT("a"), SLICE_LIT("b")};
    struct kube_expression expression = {SLICE_LIT("tier"), KUBE_IN, values_ab, 2};
    struct kube_selector selector = {one, &expression, 1}, empty = {{NULL, 0}, NULL, 0};

    assert_true(kube_map_selects(&one, &map));
    assert_false(kube_map_selects(&map, &one));
    assert_false(kube_map_selects(&none, &map));       /* a Service without selector selects nothing */
    assert_true(kube_selector_matches(&empty, &none)); /* an empty selector everything */
    assert_true(kube_selector_matches(&selector, &map));
    assert_false(kube_selector_matches(&selector, &one));
    expression.op = KUBE_NOT_IN;
    assert_false(kube_selector_matches(&selector, &map));
    assert_true(kube_selector_matches(&selector, &one));
    expression.op = KUBE_EXISTS;
    assert_true(kube_selector_matches(&selector, &map));
    assert_false(kube_selector_matches(&selector, &one));
    expression.op = KUBE_DOES_NOT_EXIST;
    assert_false(kube_selector_matches(&selector, &map));
    assert_true(kube_selector_matches(&selector, &one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complaints),
        cmocka_unit_test(many_complaints_are_counted),
        cmocka_unit_test(addresses_are_not_needed_where_somebody_assigns_them),
        cmocka_unit_test(values),
        cmocka_unit_test(selectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
