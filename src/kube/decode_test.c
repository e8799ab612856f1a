#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/list.h"
#include "kube/decode.h"
#include "kube/fields.h"
#include "kube/parts.h"

struct result {
    struct decode_sink sink;
    struct reporter reporter;
    struct kube_object *objects[16];
    size_t count, broken, ignored;
    struct buffer reports;
};

static void on_decoded(struct decode_sink *sink, const struct decoded *decoded)
{
    struct result *result = CONTAINER_OF(sink, struct result, sink);

    result->broken += decoded->what == DECODED_BROKEN;
    result->ignored += decoded->what == DECODED_IGNORED;
    if (decoded->object)
        result->objects[result->count++] = decoded->object;
}

static void on_report(struct reporter *reporter, const struct report *report)
{
    struct result *result = CONTAINER_OF(reporter, struct result, reporter);

    buffer_printf(&result->reports, "%s ", report_severity_name(report->severity));
    report_format(report, &result->reports);
    buffer_add_byte(&result->reports, '\n');
}

static void decode(struct result *result, const char *text, bool need_addresses)
{
    struct decode_options options = {SLICE_LIT("f.yaml"), &result->reporter, need_addresses};
    struct yaml_problem problem = {0};
    struct yaml_node *root;
    struct arena arena;

    *result = (struct result){.sink.decoded = on_decoded, .reporter.report = on_report};
    buffer_init(&result->reports, 1u << 20);
    arena_init(&arena, 1u << 26);
    if (yaml_parse(&arena, slice_str(text), 1, YAML, &root, &problem) < 0)
        fail_msg("%d: %s", problem.line, problem.msg.text);
    assert_int_equal(decode_document(root, &options, &result->sink), 0);
    arena_release(&arena); /* objects keep nothing of the document */
    buffer_add_byte(&result->reports, '\0');
}

static void release(struct result *result)
{
    for (size_t i = 0; i < result->count; i++)
        kube_object_unref(result->objects[i]);
    buffer_release(&result->reports);
}

/* One good object without any report. */
static const struct kube_object *decode_good(struct result *result, const char *text)
{
    decode(result, text, true);
    assert_string_equal(result->reports.data, "");
    assert_int_equal(result->broken, 0);
    assert_int_equal(result->count, 1);
    return result->objects[0];
}

#define assert_slice(slice, text) assert_true(slice_eq((slice), SLICE_LIT(text)))

static struct ip ip(const char *text)
{
    struct ip out;

    assert_int_equal(ip_parse(slice_str(text), &out), 0);
    return out;
}

/* ---- what is read ---- */

static void metadata(void **state)
{
    struct result result;
    const struct kube_object *object = decode_good(&result, "apiVersion: v1\n"
                                                            "kind: ServiceAccount\n"
                                                            "metadata:\n"
                                                            "  name: web\n"
                                                            "  uid: u-1\n"
                                                            "  resourceVersion: '7'\n"
                                                            "  labels: {b: two, a: one}\n"
                                                            "  annotations:\n"
                                                            "    config.linkerd.io/opaque-ports: '3306'\n"
                                                            "    empty:\n"
                                                            "  creationTimestamp: 2024-05-01T12:00:00Z\n"
                                                            "  ownerReferences:\n"
                                                            "  - {apiVersion: apps/v1, kind: ReplicaSet, name: web-1, "
                                                            "uid: u-2, controller: true, blockOwnerDeletion: true}\n"
                                                            "  managedFields: [{manager: x}]\n"
                                                            "imagePullSecrets: []\n");

    assert_int_equal(object->kind, KUBE_SERVICE_ACCOUNT);
    assert_slice(object->version, "v1");
    assert_slice(object->namespace_, "default");
    assert_slice(object->name, "web");
    assert_slice(object->uid, "u-1");
    assert_slice(object->resource_version, "7");
    assert_slice(kube_map_get_lit(&object->labels, "a"), "one");
    assert_slice(kube_map_get_lit(&object->labels, "b"), "two");
    assert_null(kube_map_get_lit(&object->labels, "c").ptr);
    assert_slice(kube_map_get_lit(&object->annotations, "config.linkerd.io/opaque-ports"), "3306");
    assert_non_null(kube_map_get_lit(&object->annotations, "empty").ptr);
    assert_true(object->created_ns == 1714564800 * NS_PER_S);
    assert_true(object->deleted_ns == KUBE_NO_TIME);
    assert_int_equal(object->owner_count, 1);
    assert_slice(object->owners[0].group, "apps");
    assert_slice(object->owners[0].version, "v1");
    assert_slice(object->owners[0].kind, "ReplicaSet");
    assert_true(object->owners[0].controller);
    assert_slice(object->origin.file, "f.yaml");
    assert_int_equal(object->origin.line, 1);
    assert_true(object->digest[0] || object->digest[1]);
    release(&result);
}

static void namespaces_and_nodes(void **state)
{
    struct result result;
    const struct kube_object *object =
        decode_good(&result, "{apiVersion: v1, kind: Namespace, metadata: {name: prod, labels: {team: a, zz: b}}}");

    assert_int_equal(object->namespace_.len, 0);
    assert_int_equal(object->labels.count, 3);
    assert_slice(kube_map_get_lit(&object->labels, "kubernetes.io/metadata.name"), "prod");
    assert_slice(kube_map_get_lit(&object->labels, "team"), "a");
    assert_slice(kube_map_get_lit(&object->labels, "zz"), "b");
    release(&result);
    object = decode_good(&result, "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: "
                                  "{topology.kubernetes.io/zone: z1}}, spec: {podCIDR: 10.0.0.0/24}}");
    assert_slice(kube_node(object)->zone, "z1");
    release(&result);
}

static void services(void **state)
{
    struct result result;
    const struct kube_service *service = kube_service(decode_good(
        &result, "apiVersion: v1\n"
                 "kind: Service\n"
                 "metadata: {name: web, namespace: prod}\n"
                 "spec:\n"
                 "  type: LoadBalancer\n"
                 "  clusterIP: 10.96.0.10\n"
                 "  clusterIPs: [10.96.0.10, 'fd00::10']\n"
                 "  ports:\n"
                 "  - {name: http, port: 80, targetPort: web, appProtocol: kubernetes.io/h2c, nodePort: 30080}\n"
                 "  - {name: admin, port: 9990, protocol: TCP}\n"
                 "  - {name: dns, port: 53, targetPort: 5353, protocol: UDP}\n"
                 "  selector: {app: web}\n"
                 "  internalTrafficPolicy: Local\n"
                 "  publishNotReadyAddresses: true\n"
                 "  sessionAffinity: None\n"
                 "status: {loadBalancer: {}}\n"));

    assert_int_equal(service->type, KUBE_LOAD_BALANCER);
    assert_int_equal(service->cluster_ip_count, 2);
    assert_true(ip_eq(service->cluster_ips[0], ip("10.96.0.10")));
    assert_true(ip_eq(service->cluster_ips[1], ip("fd00::10")));
    assert_false(service->headless);
    assert_int_equal(service->port_count, 3);
    assert_slice(service->ports[0].target.name, "web");
    assert_slice(service->ports[0].app_protocol, "kubernetes.io/h2c");
    assert_int_equal(service->ports[1].target.number, 9990);
    assert_int_equal(service->ports[2].target.number, 5353);
    assert_int_equal(service->ports[2].protocol, KUBE_UDP);
    assert_slice(kube_map_get_lit(&service->selector, "app"), "web");
    assert_true(service->internal_traffic_local);
    assert_true(service->publish_not_ready);
    release(&result);

    service = kube_service(decode_good(&result, "{apiVersion: v1, kind: Service, metadata: {name: db}, spec: "
                                                "{clusterIP: None, selector: {app: db}}}"));
    assert_true(service->headless);
    assert_int_equal(service->cluster_ip_count, 0);
    release(&result);
    service = kube_service(decode_good(&result, "{apiVersion: v1, kind: Service, metadata: {name: out}, spec: "
                                                "{type: ExternalName, externalName: example.com}}"));
    assert_slice(service->external_name, "example.com");
    release(&result);
}

static void endpoint_slices(void **state)
{
    struct result result;
    const struct kube_endpoint_slice *slice =
        kube_endpoint_slice(decode_good(&result, "apiVersion: discovery.k8s.io/v1\n"
                                                 "kind: EndpointSlice\n"
                                                 "metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\n"
                                                 "addressType: IPv4\n"
                                                 "endpoints:\n"
                                                 "- addresses: [10.0.0.1]\n"
                                                 "  conditions: {ready: false, serving: true, terminating: true}\n"
                                                 "  zone: z1\n"
                                                 "  nodeName: n1\n"
                                                 "  hostname: web-0\n"
                                                 "  hints: {forZones: [{name: z1}, {name: z2}]}\n"
                                                 "  targetRef: {kind: Pod, name: web-0, namespace: default, uid: x}\n"
                                                 "- addresses: [10.0.0.2]\n"
                                                 "ports:\n"
                                                 "- {name: http, port: 8080, protocol: TCP}\n"));

    assert_slice(slice->service, "web");
    assert_int_equal(slice->endpoint_count, 2);
    assert_true(ip_eq(slice->endpoints[0].ip, ip("10.0.0.1")));
    assert_false(kube_endpoint_ready(&slice->endpoints[0]));
    assert_int_equal(slice->endpoints[0].conditions.terminating, KUBE_TRUE);
    assert_slice(slice->endpoints[0].zone, "z1");
    assert_slice(slice->endpoints[0].hostname, "web-0");
    assert_int_equal(slice->endpoints[0].hints.zone_count, 2);
    assert_slice(slice->endpoints[0].hints.zones[1].name, "z2");
    assert_slice(slice->endpoints[0].target.kind, "Pod");
    assert_true(kube_endpoint_ready(&slice->endpoints[1]));
    assert_int_equal(slice->endpoints[1].conditions.serving, KUBE_UNSET);
    assert_int_equal(slice->ports[0].port, 8080);
    release(&result);
}

static void pods(void **state)
{
    struct result result;
    const struct kube_pod *pod =
        kube_pod(decode_good(&result, "apiVersion: v1\n"
                                      "kind: Pod\n"
                                      "metadata: {name: web-0, namespace: prod, labels: {app: web}}\n"
                                      "spec:\n"
                                      "  serviceAccountName: web\n"
                                      "  nodeName: n1\n"
                                      "  hostname: web-0\n"
                                      "  subdomain: web\n"
                                      "  initContainers:\n"
                                      "  - name: linkerd-proxy\n"
                                      "    restartPolicy: Always\n"
                                      "    ports: [{name: linkerd-admin, containerPort: 4191}]\n"
                                      "    env:\n"
                                      "    - {name: LINKERD2_PROXY_INBOUND_LISTEN_ADDR, value: '0.0.0.0:4143'}\n"
                                      "    - {name: _pod_name, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n"
                                      "  containers:\n"
                                      "  - name: app\n"
                                      "    image: nginx\n"
                                      "    ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, "
                                      "protocol: UDP, hostPort: 1053}]\n"
                                      "    livenessProbe: {httpGet: {path: /live, port: http}, periodSeconds: 5}\n"
                                      "    readinessProbe: {tcpSocket: {port: 8080}}\n"
                                      "  volumes: [{name: x, emptyDir: {}}]\n"
                                      "status:\n"
                                      "  phase: Running\n"
                                      "  podIP: 10.0.0.1\n"
                                      "  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]\n"
                                      "  hostIP: 192.168.0.1\n"
                                      "  conditions: [{type: Ready, status: 'False', lastTransitionTime: null}]\n"));

    assert_slice(pod->spec.service_account, "web");
    assert_int_equal(pod->status.pod_ip_count, 2);
    assert_true(ip_eq(pod->status.pod_ips[1].ip, ip("fd00::1")));
    assert_false(kube_pod_is_ready(pod));
    assert_false(kube_pod_has_ended(pod));
    assert_int_equal(kube_pod_named_port(pod, SLICE_LIT("http"), KUBE_TCP), 8080);
    assert_int_equal(kube_pod_named_port(pod, SLICE_LIT("linkerd-admin"), KUBE_TCP), 4191);
    assert_int_equal(kube_pod_named_port(pod, SLICE_LIT("dns"), KUBE_TCP), 0);
    assert_int_equal(kube_pod_named_port(pod, SLICE_LIT("dns"), KUBE_UDP), 53);
    assert_slice(kube_pod_env(pod, SLICE_LIT("linkerd-proxy"), SLICE_LIT("LINKERD2_PROXY_INBOUND_LISTEN_ADDR")),
                 "0.0.0.0:4143");
    assert_int_equal(kube_pod_env(pod, SLICE_LIT("linkerd-proxy"), SLICE_LIT("_pod_name")).len, 0);
    assert_null(kube_pod_env(pod, SLICE_LIT("app"), SLICE_LIT("x")).ptr);
    assert_int_equal(pod->spec.containers[0].liveness->type, KUBE_PROBE_HTTP);
    assert_slice(pod->spec.containers[0].liveness->http_get->path, "/live");
    assert_slice(pod->spec.containers[0].liveness->http_get->port.name, "http");
    assert_int_equal(pod->spec.containers[0].readiness->type, KUBE_PROBE_TCP);
    assert_null(pod->spec.containers[0].startup);
    release(&result);

    /* The least that a directory needs: it runs and is ready. */
    pod = kube_pod(decode_good(&result, "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}, status: "
                                        "{podIP: 10.0.0.9}}"));
    assert_true(kube_pod_is_ready(pod));
    assert_slice(pod->spec.service_account, "default");
    assert_int_equal(pod->status.pod_ip_count, 1);
    release(&result);
    pod = kube_pod(decode_good(&result, "{apiVersion: v1, kind: Pod, metadata: {name: p, deletionTimestamp: "
                                        "'2024-05-01T12:00:00+02:00'}, spec: {}, status: {podIP: 10.0.0.9}}"));
    assert_false(kube_pod_is_ready(pod));
    release(&result);
    pod = kube_pod(decode_good(&result, "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}, status: "
                                        "{phase: Succeeded}}"));
    assert_true(kube_pod_has_ended(pod));
    release(&result);
}

/* What the network validator found out: 95 as its last word, not one that it takes back while it runs again. */
static void pods_without_rules(void **state)
{
    static const struct {
        const char *statuses;
        bool lacks;
    } cases[] = {
        {"[]", false},
        {"[{name: linkerd-network-validator, state: {terminated: {exitCode: 95}}}]", true},
        {"[{name: x, state: {}}, {name: linkerd-network-validator, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 95}}}]", true},
        {"[{name: linkerd-network-validator, state: {running: {}}, lastState: {terminated: {exitCode: 95}}}]", false},
        {"[{name: linkerd-network-validator, state: {terminated: {exitCode: 0}}, lastState: {terminated: {exitCode: 95}}}]", false},
        {"[{name: linkerd-network-validator, state: {terminated: {exitCode: 1}}}]", false},
        {"[{name: linkerd-network-validator, state: {waiting: {}}}]", false},
        {"[{name: other, state: {terminated: {exitCode: 95}}}]", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct result result;
        char text[512];

        snprintf(text, sizeof(text), "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}, status: {podIP: 10.0.0.9, initContainerStatuses: %s}}",
                 cases[i].statuses);
        if (kube_pod(decode_good(&result, text))->status.lacks_rules != cases[i].lacks)
            fail_msg("%s", cases[i].statuses);
        release(&result);
    }
}

static void external_workloads(void **state)
{
    static const char *const texts[] = {
        "{apiVersion: workload.linkerd.io/v1beta1, kind: ExternalWorkload, metadata: {name: vm}, spec: {meshTLS: "
        "{identity: spiffe://x/vm, serverName: vm.x}, ports: [{name: http, port: 80}], workloadIPs: [{ip: 10.1.0.1}]}}",
        "{apiVersion: workload.linkerd.io/v1alpha1, kind: ExternalWorkload, metadata: {name: vm}, spec: {meshTls: "
        "{identity: spiffe://x/vm, serverName: vm.x}, ports: [{name: http, port: 80}], workloadIPs: [{ip: 10.1.0.1}]}}",
    };
    struct result result;

    for (size_t i = 0; i < 2; i++) {
        const struct kube_external_workload *workload = kube_external_workload(decode_good(&result, texts[i]));

        assert_slice(workload->spec.mesh_tls.identity, "spiffe://x/vm");
        assert_slice(workload->spec.mesh_tls.server_name, "vm.x");
        assert_int_equal(workload->spec.ports[0].port, 80);
        assert_true(ip_eq(workload->spec.ips[0].ip, ip("10.1.0.1")));
        assert_true(kube_external_workload_is_ready(workload));
        release(&result);
    }
}

static void service_profiles(void **state)
{
    struct result result;
    const struct kube_service_profile *profile = kube_service_profile(
        decode_good(&result, "apiVersion: linkerd.io/v1alpha2\n"
                             "kind: ServiceProfile\n"
                             "metadata: {name: web.prod.svc.cluster.local, namespace: prod}\n"
                             "spec:\n"
                             "  routes:\n"
                             "  - name: books\n"
                             "    condition: {method: GET, pathRegex: '/books/\\d+', not: {any: [{method: PUT}, {all: "
                             "[{pathRegex: /x}]}]}}\n"
                             "    isRetryable: true\n"
                             "    timeout: 1m30s\n"
                             "    responseClasses:\n"
                             "    - {condition: {status: {min: 500, max: 599}}, isFailure: true}\n"
                             "  retryBudget: {retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 10s}\n"
                             "  dstOverrides:\n"
                             "  - {authority: web-v2.prod.svc.cluster.local, weight: 500m}\n"
                             "  - {authority: web-v1.prod.svc.cluster.local, weight: 2}\n"
                             "  opaquePorts: ['4222', 5000-5010, 6000]\n"));
    const struct kube_profile_route *route = &profile->routes[0];

    assert_slice(route->condition->path_regex, "/books/\\d+");
    assert_slice(route->condition->not_->any[1].all[0].path_regex, "/x");
    assert_true(route->is_retryable);
    assert_true(route->timeout_ns == 90 * NS_PER_S);
    assert_int_equal(route->response_classes[0].condition->status->max, 599);
    assert_true(route->response_classes[0].is_failure);
    assert_true(profile->retry_budget->retry_ratio > 0.19 && profile->retry_budget->retry_ratio < 0.21);
    assert_int_equal(profile->retry_budget->min_retries_per_second, 10);
    assert_true(profile->retry_budget->ttl_ns == 10 * NS_PER_S);
    assert_int_equal(profile->dst_overrides[0].weight_milli, 500);
    assert_int_equal(profile->dst_overrides[1].weight_milli, 2000);
    assert_int_equal(profile->opaque_ports[1].first, 5000);
    assert_int_equal(profile->opaque_ports[1].last, 5010);
    assert_int_equal(profile->opaque_ports[2].last, 6000);
    release(&result);
}

static void policies(void **state)
{
    struct result result;
    const struct kube_object *object = decode_good(&result, "apiVersion: policy.linkerd.io/v1beta3\n"
                                                            "kind: Server\n"
                                                            "metadata: {name: web-http, namespace: prod}\n"
                                                            "spec:\n"
                                                            "  podSelector:\n"
                                                            "    matchLabels: {app: web}\n"
                                                            "    matchExpressions:\n"
                                                            "    - {key: tier, operator: In, values: [a, b]}\n"
                                                            "    - {key: old, operator: DoesNotExist}\n"
                                                            "  port: http\n"
                                                            "  proxyProtocol: HTTP/2\n"
                                                            "  accessPolicy: audit\n");
    const struct kube_server *server = kube_server(object);

    assert_int_equal(server->pod_selector->expression_count, 2);
    assert_slice(server->port.name, "http");
    assert_int_equal(server->proxy_protocol, KUBE_PROXY_HTTP2);
    assert_int_equal(server->access_policy, KUBE_ACCESS_AUDIT);
    assert_null(server->external_workload_selector);
    release(&result);
    object = decode_good(&result, "{apiVersion: policy.linkerd.io/v1beta1, kind: Server, metadata: {name: s}, spec: "
                                  "{podSelector: {}, port: 8080}}");
    assert_int_equal(kube_server(object)->port.number, 8080);
    assert_int_equal(kube_server(object)->access_policy, KUBE_ACCESS_DENY);
    release(&result);
    object =
        decode_good(&result, "apiVersion: policy.linkerd.io/v1beta1\n"
                             "kind: ServerAuthorization\n"
                             "metadata: {name: a}\n"
                             "spec:\n"
                             "  server: {selector: {matchLabels: {x: a}}}\n"
                             "  client:\n"
                             "    networks: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.3.4]}]\n"
                             "    meshTLS: {identities: ['*'], serviceAccounts: [{name: web, namespace: prod}]}\n");
    assert_non_null(kube_server_authorization(object)->server.selector);
    assert_int_equal(kube_server_authorization(object)->client.networks[0].cidr.prefix, 8);
    assert_int_equal(kube_server_authorization(object)->client.networks[0].except[1].prefix, 32);
    assert_slice(kube_server_authorization(object)->client.mesh_tls->service_accounts[0].namespace_, "prod");
    release(&result);
    object =
        decode_good(&result, "{apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {name: a}, "
                             "spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: s}, "
                             "requiredAuthenticationRefs: [{kind: ServiceAccount, name: web}]}}");
    assert_slice(kube_authorization_policy(object)->target.name, "s");
    assert_slice(kube_authorization_policy(object)->authentications[0].kind, "ServiceAccount");
    release(&result);
    object = decode_good(&result,
                         "{apiVersion: policy.linkerd.io/v1alpha1, kind: MeshTLSAuthentication, metadata: {name: a}, "
                         "spec: {identities: ['*.prod', web]}}");
    assert_int_equal(kube_mesh_tls_authentication(object)->identity_count, 2);
    release(&result);
    object = decode_good(&result,
                         "{apiVersion: policy.linkerd.io/v1alpha1, kind: NetworkAuthentication, metadata: {name: a}, "
                         "spec: {networks: [{cidr: 'fd00::/8'}]}}");
    assert_int_equal(kube_network_authentication(object)->networks[0].cidr.prefix, 8);
    release(&result);
    object = decode_good(&result, "{apiVersion: policy.linkerd.io/v1alpha1, kind: EgressNetwork, metadata: {name: a}, "
                                  "spec: {trafficPolicy: Deny}}");
    assert_true(kube_egress_network(object)->deny);
    release(&result);
    object = decode_good(
        &result, "{apiVersion: policy.linkerd.io/v1alpha1, kind: HTTPLocalRateLimitPolicy, metadata: {name: a}, "
                 "spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: s}, total: "
                 "{requestsPerSecond: 100}, overrides: [{requestsPerSecond: 5, clientRefs: "
                 "[{kind: ServiceAccount, name: web}]}]}}");
    assert_int_equal(kube_rate_limit_policy(object)->total->requests_per_second, 100);
    assert_null(kube_rate_limit_policy(object)->identity);
    release(&result);
}

static void routes(void **state)
{
    struct result result;
    const struct kube_http_route *route = kube_http_route(decode_good(
        &result,
        "apiVersion: gateway.networking.k8s.io/v1\n"
        "kind: HTTPRoute\n"
        "metadata: {name: r}\n"
        "spec:\n"
        "  parentRefs: [{group: core, kind: Service, name: web, port: 80}]\n"
        "  hostnames: [WWW.Example.com, '*.example.org']\n"
        "  rules:\n"
        "  - matches:\n"
        "    - path: {value: /books}\n"
        "      method: GET\n"
        "      headers: [{name: x, value: a}, {name: z, type: RegularExpression, value: 'a.*'}]\n"
        "      queryParams: [{name: q, value: '1'}]\n"
        "    filters:\n"
        "    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}], remove: [c]}}\n"
        "    - {type: RequestRedirect, requestRedirect: {hostname: h, port: 8443, path: {type: ReplaceFullPath, "
        "replaceFullPath: /x}}}\n"
        "    backendRefs:\n"
        "    - {name: web-v1, port: 80, weight: 90}\n"
        "    - {name: web-v2, port: 80}\n"
        "    timeouts: {request: 10s, backendRequest: 250ms}\n"));
    const struct kube_http_rule *rule = &route->rules[0];

    assert_slice(route->common.parents[0].ref.kind, "Service");
    assert_slice(route->common.hostnames[0], "www.example.com");
    assert_int_equal(rule->matches[0].path->type, KUBE_MATCH_PREFIX);
    assert_int_equal(rule->matches[0].headers[0].type, KUBE_MATCH_EXACT);
    assert_int_equal(rule->matches[0].headers[1].type, KUBE_MATCH_REGEX);
    assert_int_equal(rule->filters[0].type, KUBE_FILTER_REQUEST_HEADERS);
    assert_slice(rule->filters[0].modifier->remove[0], "c");
    assert_int_equal(rule->filters[1].type, KUBE_FILTER_REDIRECT);
    assert_int_equal(rule->filters[1].redirect->status_code, 302);
    assert_int_equal(rule->backends[0].weight, 90);
    assert_int_equal(rule->backends[1].weight, 1);
    assert_slice(rule->backends[1].ref.kind, "Service");
    assert_true(rule->timeouts.request_ns == 10 * NS_PER_S && rule->timeouts.backend_request_ns == 250 * NS_PER_MS);
    release(&result);

    route = kube_http_route(decode_good(&result, "{apiVersion: policy.linkerd.io/v1beta3, kind: HTTPRoute, metadata: "
                                                 "{name: r}, spec: {parentRefs: [{kind: Server, name: s}]}}"));
    assert_int_equal(route->meta.kind, KUBE_POLICY_HTTP_ROUTE);
    assert_slice(route->common.parents[0].ref.group, "policy.linkerd.io");
    release(&result);
    {
        const struct kube_grpc_route *grpc = kube_grpc_route(decode_good(
            &result,
            "{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: r}, spec: {parentRefs: "
            "[{name: g}], rules: [{matches: [{method: {service: a.B, method: C}}], backendRefs: [{name: b, port: "
            "1}]}]}}"));

        assert_slice(grpc->rules[0].matches[0].method->service, "a.B");
        assert_slice(grpc->common.parents[0].ref.kind, "Gateway");
        release(&result);
    }
    assert_int_equal(kube_tcp_route(decode_good(&result, "{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: "
                                                         "TLSRoute, metadata: {name: r}, spec: {hostnames: [a.b], "
                                                         "rules: [{backendRefs: [{name: b, port: 1}]}]}}"))
                         ->rule_count,
                     1);
    release(&result);
}

static void lists(void **state)
{
    struct result result;

    decode(&result,
           "apiVersion: v1\n"
           "kind: List\n"
           "items:\n"
           "- {apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}\n"
           "- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n"
           "- {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Namespace, metadata: {name: c}}]}\n"
           "- 7\n",
           true);
    assert_int_equal(result.count, 2);
    assert_int_equal(result.ignored, 1);
    assert_int_equal(result.broken, 1);
    assert_string_equal(result.reports.data,
                        "info f.yaml:5: not used by the mesh, ignored: an object of the kind \"ConfigMap\"\n"
                        "error f.yaml:7: expected an object (a map with apiVersion, kind and metadata)\n");
    assert_int_equal(result.objects[0]->origin.line, 4);
    release(&result);
    decode(&result, "{apiVersion: v1, kind: ServiceAccountList, items: [{metadata: {name: a}}, {metadata: {name: b}}]}",
           true);
    assert_int_equal(result.count, 2);
    assert_string_equal(result.reports.data, "");
    release(&result);
}

/* ---- what is refused, word for word ---- */

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
        struct result result;

        decode(&result, samples[i].text, true);
        assert_string_equal(result.reports.data, samples[i].reports);
        assert_int_equal(result.count, samples[i].objects);
        assert_int_equal(result.broken, 1 - samples[i].objects);
        release(&result);
    }
}

static void many_complaints_are_counted(void **state)
{
    struct result result;
    struct buffer text;

    buffer_init(&text, 1u << 16);
    buffer_add_lit(&text, SERVICE "{clusterIP: None");
    for (int i = 0; i < 100; i++)
        buffer_printf(&text, ", x%d: 1", i);
    buffer_add_lit(&text, "}}");
    buffer_add_byte(&text, '\0');
    decode(&result, text.data, true);
    assert_int_equal(result.count, 1);
    assert_non_null(strstr(result.reports.data, "spec.x19: unknown field"));
    assert_null(strstr(result.reports.data, "spec.x20: unknown field"));
    assert_non_null(strstr(result.reports.data, "and 80 more complaints like these"));
    release(&result);
    buffer_release(&text);
}

static void addresses_are_not_needed_where_somebody_assigns_them(void **state)
{
    struct result result;

    decode(&result, SERVICE "{}}", false);
    assert_int_equal(result.count, 1);
    release(&result);
    decode(&result, POD "spec: {}}", false);
    assert_int_equal(result.count, 1);
    release(&result);
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

/* An element of a list from an API server has no kind of its own; what a write alone changes is no change. */
static void test_items(void **state)
{
    static const char *const items[] = {
        "metadata: {name: a, namespace: b, resourceVersion: '1', managedFields: [{manager: x}]}",
        "metadata: {name: a, namespace: b, resourceVersion: '2'}",
        "metadata: {name: a, namespace: b, resourceVersion: '2', labels: {x: other}}",
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}",
    };
    struct result result = {.sink.decoded = on_decoded, .reporter.report = on_report};
    struct decode_options options = {SLICE_LIT(""), &result.reporter, false};
    struct arena arena;

    buffer_init(&result.reports, 1u << 16);
    arena_init(&arena, 1u << 22);
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        struct yaml_problem problem;
        struct yaml_node *root;

        assert_int_equal(yaml_parse(&arena, slice_str(items[i]), 1, YAML, &root, &problem), 0);
        assert_int_equal(decode_item(root, KUBE_SERVICE_ACCOUNT, SLICE_LIT("v1"), &options, &result.sink), 0);
    }
    arena_release(&arena);
    assert_int_equal(result.count, 4);
    assert_int_equal(result.reports.len, 0);
    assert_int_equal(result.objects[0]->kind, KUBE_SERVICE_ACCOUNT);
    assert_slice(result.objects[0]->version, "v1");
    assert_memory_equal(result.objects[0]->digest, result.objects[1]->digest, 16);
    assert_memory_not_equal(result.objects[1]->digest, result.objects[2]->digest, 16);
    release(&result);
}

#define ALIKE(name, app, mount, ip)                                                                                   \
    "{metadata: {name: " name ", namespace: b, uid: u-" name ", resourceVersion: '7', labels: {app: " app "}}, spec: {nodeName: m1, containers: [{name: app, "  \
    "ports: [{name: http, containerPort: 80}], volumeMounts: [{name: " mount "}]}]}, status: {podIP: " ip "}}"

/* What is written alike is there once, whatever else is written beside it; what differs, and nobody reads, does not count. */
static void alike_parts_are_shared(void **state)
{
    static const char *const items[] = {ALIKE("a-0", "a", "x-1", "10.0.0.1"), ALIKE("a-1", "a", "x-2", "10.0.0.2"),
                                        ALIKE("c-0", "c", "x-3", "10.0.0.3")};
    struct result result = {.sink.decoded = on_decoded, .reporter.report = on_report};
    struct parts parts;
    struct decode_options options = {.reporter = &result.reporter, .parts = &parts, .read_only = true};
    const struct kube_pod *a, *b, *c;
    struct arena arena;

    buffer_init(&result.reports, 1u << 16);
    parts_init(&parts, 1, 2);
    arena_init(&arena, 1u << 22);
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        struct yaml_problem problem;
        struct yaml_node *root;

        assert_int_equal(yaml_parse(&arena, slice_str(items[i]), 1, YAML, &root, &problem), 0);
        assert_int_equal(decode_item(root, KUBE_POD, SLICE_LIT("v1"), &options, &result.sink), 0);
    }
    arena_release(&arena);
    parts_release(&parts); /* objects outlive the table */
    assert_int_equal(result.count, 3);
    a = kube_pod(result.objects[0]);
    b = kube_pod(result.objects[1]);
    c = kube_pod(result.objects[2]);
    assert_int_equal(a->meta.uid.len + a->meta.resource_version.len, 0);
    assert_null(a->meta.arena.blocks); /* just as much memory as it takes */
    assert_ptr_equal(a->spec.containers, b->spec.containers);
    assert_ptr_equal(a->spec.containers, c->spec.containers);
    assert_ptr_equal(a->meta.labels.items, b->meta.labels.items);
    assert_ptr_not_equal(a->meta.labels.items, c->meta.labels.items);
    assert_slice(a->meta.name, "a-0");
    assert_slice(b->meta.name, "a-1");
    assert_slice(kube_map_get_lit(&b->meta.labels, "app"), "a");
    assert_slice(kube_map_get_lit(&c->meta.labels, "app"), "c");
    assert_slice(c->meta.namespace_, "b");
    assert_slice(c->spec.node_name, "m1");
    assert_int_equal(c->spec.containers[0].ports[0].port, 80);
    assert_true(ip_eq(c->status.pod_ips[0].ip, ip("10.0.0.3")));
    release(&result);
}

/* "ab" and "c" side by side are not "a" and "bc", and a text is no number. */
static void parts_are_told_apart(void **state)
{
    static const char *const labels[] = {"{ab: c}", "{a: bc}", "{a: b, c: d}", "{a: 'b,c: d'}", "{a: '1'}", "{c: d, a: b}"};
    struct result result = {.sink.decoded = on_decoded, .reporter.report = on_report};
    struct parts parts;
    struct decode_options options = {.reporter = &result.reporter, .parts = &parts};
    struct arena arena;

    buffer_init(&result.reports, 1u << 16);
    parts_init(&parts, 1, 2);
    arena_init(&arena, 1u << 22);
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        struct yaml_problem problem;
        struct yaml_node *root;
        char text[200];

        snprintf(text, sizeof(text), "metadata: {name: a, namespace: b, labels: %s}", labels[i]);
        assert_int_equal(yaml_parse(&arena, slice_str(text), 1, YAML, &root, &problem), 0);
        assert_int_equal(decode_item(root, KUBE_SERVICE_ACCOUNT, SLICE_LIT("v1"), &options, &result.sink), 0);
    }
    arena_release(&arena);
    assert_int_equal(result.count, 6);
    assert_slice(kube_map_get_lit(&result.objects[0]->labels, "ab"), "c");
    assert_slice(kube_map_get_lit(&result.objects[1]->labels, "a"), "bc");
    assert_slice(kube_map_get_lit(&result.objects[2]->labels, "c"), "d");
    assert_slice(kube_map_get_lit(&result.objects[3]->labels, "a"), "b,c: d");
    assert_slice(kube_map_get_lit(&result.objects[4]->labels, "a"), "1");
    assert_slice(kube_map_get_lit(&result.objects[5]->labels, "a"), "b");
    release(&result);
    parts_release(&parts);
}

/* What no object has any more goes when there are many. */
static void parts_of_nobody_go(void **state)
{
    struct parts parts;
    struct kube_part *kept, *found;

    parts_init(&parts, 1, 2);
    kept = part_new(SLICE_LIT("kept"), 8);
    assert_int_equal(parts_add(&parts, kept), 0);
    for (int i = 0; i < 3000; i++) {
        char text[16];
        struct kube_part *part;

        snprintf(text, sizeof(text), "%d", i);
        part = part_new(slice_str(text), 8);
        assert_int_equal(parts_add(&parts, part), 0);
        part_unref(part);
    }
    assert_true(parts.by_text.count < 1100);
    found = parts_find(&parts, SLICE_LIT("kept"));
    assert_ptr_equal(found, kept);
    part_unref(found);
    part_unref(kept);
    parts_release(&parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),
        cmocka_unit_test(metadata),
        cmocka_unit_test(namespaces_and_nodes),
        cmocka_unit_test(services),
        cmocka_unit_test(endpoint_slices),
        cmocka_unit_test(pods),
        cmocka_unit_test(pods_without_rules),
        cmocka_unit_test(external_workloads),
        cmocka_unit_test(service_profiles),
        cmocka_unit_test(policies),
        cmocka_unit_test(routes),
        cmocka_unit_test(lists),
        cmocka_unit_test(complaints),
        cmocka_unit_test(many_complaints_are_counted),
        cmocka_unit_test(addresses_are_not_needed_where_somebody_assigns_them),
        cmocka_unit_test(values),
        cmocka_unit_test(selectors),
        cmocka_unit_test(alike_parts_are_shared),
        cmocka_unit_test(parts_are_told_apart),
        cmocka_unit_test(parts_of_nobody_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
