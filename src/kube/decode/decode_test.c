/* What is read of the objects of each kind; what is refused is in decode_refused_test.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "kube/decode/decode_fixture.h"

static void metadata(void **state)
{
    struct decode_result result;
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
    decode_result_release(&result);
}

static void namespaces_and_nodes(void **state)
{
    struct decode_result result;
    const struct kube_object *object =
        decode_good(&result, "{apiVersion: v1, kind: Namespace, metadata: {name: prod, labels: {team: a, zz: b}}}");

    assert_int_equal(object->namespace_.len, 0);
    assert_int_equal(object->labels.count, 3);
    assert_slice(kube_map_get_lit(&object->labels, "kubernetes.io/metadata.name"), "prod");
    assert_slice(kube_map_get_lit(&object->labels, "team"), "a");
    assert_slice(kube_map_get_lit(&object->labels, "zz"), "b");
    decode_result_release(&result);
    object = decode_good(&result, "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: "
                                  "{topology.kubernetes.io/zone: z1}}, spec: {podCIDR: 10.0.0.0/24}}");
    assert_slice(kube_node(object)->zone, "z1");
    decode_result_release(&result);
}

static void services(void **state)
{
    struct decode_result result;
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
    assert_true(ip_eq(service->cluster_ips[0], address_of("10.96.0.10")));
    assert_true(ip_eq(service->cluster_ips[1], address_of("fd00::10")));
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
    decode_result_release(&result);

    service = kube_service(decode_good(&result, "{apiVersion: v1, kind: Service, metadata: {name: db}, spec: "
                                                "{clusterIP: None, selector: {app: db}}}"));
    assert_true(service->headless);
    assert_int_equal(service->cluster_ip_count, 0);
    decode_result_release(&result);
    service = kube_service(decode_good(&result, "{apiVersion: v1, kind: Service, metadata: {name: out}, spec: "
                                                "{type: ExternalName, externalName: example.com}}"));
    assert_slice(service->external_name, "example.com");
    decode_result_release(&result);
}

static void endpoint_slices(void **state)
{
    struct decode_result result;
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
                                                 "  hints: {forZones: [{name: z1}, {name: z2}], forNodes: [{name: n1}]}\n"
                                                 "  targetRef: {kind: Pod, name: web-0, namespace: default, uid: x}\n"
                                                 "- addresses: [10.0.0.2]\n"
                                                 "ports:\n"
                                                 "- {name: http, port: 8080, protocol: TCP}\n"));

    assert_slice(slice->service, "web");
    assert_int_equal(slice->endpoint_count, 2);
    assert_true(ip_eq(slice->endpoints[0].ip, address_of("10.0.0.1")));
    assert_false(kube_endpoint_ready(&slice->endpoints[0]));
    assert_int_equal(slice->endpoints[0].conditions.terminating, KUBE_TRUE);
    assert_slice(slice->endpoints[0].zone, "z1");
    assert_slice(slice->endpoints[0].hostname, "web-0");
    assert_int_equal(slice->endpoints[0].hints.zone_count, 2);
    assert_int_equal(slice->endpoints[0].hints.node_count, 1);
    assert_slice(slice->endpoints[0].hints.nodes[0].name, "n1");
    assert_slice(slice->endpoints[0].hints.zones[1].name, "z2");
    assert_slice(slice->endpoints[0].target.kind, "Pod");
    assert_true(kube_endpoint_ready(&slice->endpoints[1]));
    assert_int_equal(slice->endpoints[1].conditions.serving, KUBE_UNSET);
    assert_int_equal(slice->ports[0].port, 8080);
    decode_result_release(&result);
}

static void pods(void **state)
{
    struct decode_result result;
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
    assert_true(ip_eq(pod->status.pod_ips[1].ip, address_of("fd00::1")));
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
    decode_result_release(&result);

    /* The least that a directory needs: it runs and is ready. */
    pod = kube_pod(decode_good(&result, "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}, status: "
                                        "{podIP: 10.0.0.9}}"));
    assert_true(kube_pod_is_ready(pod));
    assert_slice(pod->spec.service_account, "default");
    assert_int_equal(pod->status.pod_ip_count, 1);
    decode_result_release(&result);
    pod = kube_pod(decode_good(&result, "{apiVersion: v1, kind: Pod, metadata: {name: p, deletionTimestamp: "
                                        "'2024-05-01T12:00:00+02:00'}, spec: {}, status: {podIP: 10.0.0.9}}"));
    assert_false(kube_pod_is_ready(pod));
    decode_result_release(&result);
    pod = kube_pod(decode_good(&result, "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}, status: "
                                        "{phase: Succeeded}}"));
    assert_true(kube_pod_has_ended(pod));
    decode_result_release(&result);
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
        struct decode_result result;
        char text[512];

        snprintf(text, sizeof(text), "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}, status: {podIP: 10.0.0.9, initContainerStatuses: %s}}",
                 cases[i].statuses);
        if (kube_pod(decode_good(&result, text))->status.lacks_rules != cases[i].lacks)
            fail_msg("%s", cases[i].statuses);
        decode_result_release(&result);
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
    struct decode_result result;

    for (size_t i = 0; i < 2; i++) {
        const struct kube_external_workload *workload = kube_external_workload(decode_good(&result, texts[i]));

        assert_slice(workload->spec.mesh_tls.identity, "spiffe://x/vm");
        assert_slice(workload->spec.mesh_tls.server_name, "vm.x");
        assert_int_equal(workload->spec.ports[0].port, 80);
        assert_true(ip_eq(workload->spec.ips[0].ip, address_of("10.1.0.1")));
        assert_true(kube_external_workload_is_ready(workload));
        decode_result_release(&result);
    }
}

static void service_profiles(void **state)
{
    struct decode_result result;
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
    decode_result_release(&result);
}

static void policies(void **state)
{
    struct decode_result result;
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
    decode_result_release(&result);
    object = decode_good(&result, "{apiVersion: policy.linkerd.io/v1beta1, kind: Server, metadata: {name: s}, spec: "
                                  "{podSelector: {}, port: 8080}}");
    assert_int_equal(kube_server(object)->port.number, 8080);
    assert_int_equal(kube_server(object)->access_policy, KUBE_ACCESS_DENY);
    decode_result_release(&result);
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
    decode_result_release(&result);
    object =
        decode_good(&result, "{apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {name: a}, "
                             "spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: s}, "
                             "requiredAuthenticationRefs: [{kind: ServiceAccount, name: web}]}}");
    assert_slice(kube_authorization_policy(object)->target.name, "s");
    assert_slice(kube_authorization_policy(object)->authentications[0].kind, "ServiceAccount");
    decode_result_release(&result);
    object = decode_good(&result,
                         "{apiVersion: policy.linkerd.io/v1alpha1, kind: MeshTLSAuthentication, metadata: {name: a}, "
                         "spec: {identities: ['*.prod', web]}}");
    assert_int_equal(kube_mesh_tls_authentication(object)->identity_count, 2);
    decode_result_release(&result);
    object = decode_good(&result,
                         "{apiVersion: policy.linkerd.io/v1alpha1, kind: NetworkAuthentication, metadata: {name: a}, "
                         "spec: {networks: [{cidr: 'fd00::/8'}]}}");
    assert_int_equal(kube_network_authentication(object)->networks[0].cidr.prefix, 8);
    decode_result_release(&result);
    object = decode_good(&result, "{apiVersion: policy.linkerd.io/v1alpha1, kind: EgressNetwork, metadata: {name: a}, "
                                  "spec: {trafficPolicy: Deny}}");
    assert_true(kube_egress_network(object)->deny);
    decode_result_release(&result);
    object = decode_good(
        &result, "{apiVersion: policy.linkerd.io/v1alpha1, kind: HTTPLocalRateLimitPolicy, metadata: {name: a}, "
                 "spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: s}, total: "
                 "{requestsPerSecond: 100}, overrides: [{requestsPerSecond: 5, clientRefs: "
                 "[{kind: ServiceAccount, name: web}]}]}}");
    assert_int_equal(kube_rate_limit_policy(object)->total->requests_per_second, 100);
    assert_null(kube_rate_limit_policy(object)->identity);
    decode_result_release(&result);
}

static void routes(void **state)
{
    struct decode_result result;
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
    decode_result_release(&result);

    route = kube_http_route(decode_good(&result, "{apiVersion: policy.linkerd.io/v1beta3, kind: HTTPRoute, metadata: "
                                                 "{name: r}, spec: {parentRefs: [{kind: Server, name: s}]}}"));
    assert_int_equal(route->meta.kind, KUBE_POLICY_HTTP_ROUTE);
    assert_slice(route->common.parents[0].ref.group, "policy.linkerd.io");
    decode_result_release(&result);
    {
        const struct kube_grpc_route *grpc = kube_grpc_route(decode_good(
            &result,
            "{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: r}, spec: {parentRefs: "
            "[{name: g}], rules: [{matches: [{method: {service: a.B, method: C}}], backendRefs: [{name: b, port: "
            "1}]}]}}"));

        assert_slice(grpc->rules[0].matches[0].method->service, "a.B");
        assert_slice(grpc->common.parents[0].ref.kind, "Gateway");
        decode_result_release(&result);
    }
    assert_int_equal(kube_tcp_route(decode_good(&result, "{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: "
                                                         "TLSRoute, metadata: {name: r}, spec: {hostnames: [a.b], "
                                                         "rules: [{backendRefs: [{name: b, port: 1}]}]}}"))
                         ->rule_count,
                     1);
    decode_result_release(&result);
}

static void lists(void **state)
{
    struct decode_result result;

    decode_text(&result,
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
    decode_result_release(&result);
    decode_text(&result, "{apiVersion: v1, kind: ServiceAccountList, items: [{metadata: {name: a}}, {metadata: {name: b}}]}",
           true);
    assert_int_equal(result.count, 2);
    assert_string_equal(result.reports.data, "");
    decode_result_release(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
