/* How traffic to a Service, an egress network or an unknown address is routed. */
#include <errno.h>

#include "base/duration.h"
#include "control/policy/outbound_draft.h"
#include "control/policy/traffic_annotations.h"
#include "control/ports.h"

static const int64_t DETECT_NS = 10 * NS_PER_S;

/* --- protocols --- */

enum { HTTP_KINDS = STORE_KIND(KUBE_HTTP_ROUTE) | STORE_KIND(KUBE_POLICY_HTTP_ROUTE) };

static int http_protocol(struct outbound_draft *draft, enum outbound_protocol protocol)
{
    struct outbound_policy *policy = draft->policy;
    struct outbound_routes routes;
    int r = routes_of_kinds(draft, HTTP_KINDS, &routes);

    if (r == 0)
        r = routes_with_default(draft, &routes, "http", ROUTE_HTTP);
    routes.accrual = draft->said.accrual;
    policy->protocol = protocol;
    policy->detect_timeout_ns = DETECT_NS;
    if (protocol != OUTBOUND_HTTP2)
        policy->http1 = routes;
    if (protocol != OUTBOUND_HTTP1)
        policy->http2 = routes;
    if (r == 0 && protocol == OUTBOUND_DETECT)
        r = routes_with_default(draft, &policy->opaque, "opaq", ROUTE_TCP);
    return r;
}

static int grpc_protocol(struct outbound_draft *draft, bool *ret_used)
{
    int r = routes_of_kinds(draft, STORE_KIND(KUBE_GRPC_ROUTE), &draft->policy->grpc);

    *ret_used = r == 0 && draft->policy->grpc.count > 0;
    if (!*ret_used)
        return r;
    draft->policy->protocol = OUTBOUND_GRPC;
    draft->policy->grpc.accrual = draft->said.accrual;
    return draft->egress ? routes_with_default(draft, &draft->policy->grpc, "grpc", ROUTE_GRPC) : 0;
}

static int tcp_protocol(struct outbound_draft *draft, bool always, bool *ret_used)
{
    int r = routes_of_kinds(draft, STORE_KIND(KUBE_TCP_ROUTE), &draft->policy->opaque);

    *ret_used = r == 0 && (always || draft->policy->opaque.count > 0);
    if (!*ret_used) {
        draft->policy->opaque = (struct outbound_routes){0};
        return r;
    }
    draft->policy->protocol = OUTBOUND_OPAQUE;
    return routes_with_default(draft, &draft->policy->opaque, "opaq", ROUTE_TCP);
}

static int tls_protocol(struct outbound_draft *draft, bool *ret_used)
{
    int r = routes_of_kinds(draft, STORE_KIND(KUBE_TLS_ROUTE), &draft->policy->tls);

    *ret_used = r == 0 && draft->policy->tls.count > 0;
    if (!*ret_used) {
        draft->policy->tls = (struct outbound_routes){0};
        return r;
    }
    draft->policy->protocol = OUTBOUND_TLS;
    return draft->egress ? routes_with_default(draft, &draft->policy->tls, "tls", ROUTE_TLS) : 0;
}

/* Without a word about the protocol: gRPC routes, HTTP routes, TLS routes, TCP routes, or detection with the default. */
static int detected_protocol(struct outbound_draft *draft)
{
    struct outbound_routes http;
    bool used;
    int r = grpc_protocol(draft, &used);

    if (r < 0 || used)
        return r;
    r = routes_of_kinds(draft, HTTP_KINDS, &http);
    if (r < 0 || http.count)
        return r < 0 ? r : http_protocol(draft, OUTBOUND_DETECT);
    r = tls_protocol(draft, &used);
    if (r == 0 && !used)
        r = tcp_protocol(draft, false, &used);
    if (r == 0 && !used)
        r = http_protocol(draft, OUTBOUND_DETECT);
    return r;
}

/* By a protocol that is not HTTP, or without one by the Service's opaque ports. */
static bool is_opaque(const struct outbound_draft *draft, struct slice app_protocol)
{
    if (app_protocol.len)
        return !slice_eq(app_protocol, SLICE_LIT("http")) && !slice_eq(app_protocol, SLICE_LIT("kubernetes.io/h2c"));
    return ports_service_is_opaque(draft->controller, &draft->service->meta, draft->port);
}

static int service_protocol(struct outbound_draft *draft, struct slice app_protocol)
{
    bool used;
    int r;

    if (is_opaque(draft, app_protocol))
        return tcp_protocol(draft, true, &used);
    if (slice_eq(app_protocol, SLICE_LIT("http")))
        return http_protocol(draft, OUTBOUND_HTTP1);
    if (app_protocol.len) {
        r = grpc_protocol(draft, &used);
        return r < 0 || used ? r : http_protocol(draft, OUTBOUND_HTTP2);
    }
    return detected_protocol(draft);
}

/* --- targets --- */

static int draft_init(struct outbound_draft *draft, const struct controller *controller, struct slice ns, uint16_t port)
{
    *draft = (struct outbound_draft){.controller = controller, .client_ns = ns, .port = port, .policy = outbound_policy_new()};
    if (!draft->policy)
        return -ENOMEM;
    draft->arena = &draft->policy->snapshot.arena;
    return 0;
}

/* What the annotations of the draft's Service or egress network say. */
static int read_annotations(struct outbound_draft *draft, const struct kube_map *annotations)
{
    struct traffic_said *said = &draft->said;

    traffic_timeouts(annotations, &said->timeouts);
    traffic_accrual(annotations, &said->accrual);
    if (draft->service)
        traffic_penalty(annotations, &said->penalty);
    if (traffic_retry(annotations, false, draft->arena, &said->http_retry) < 0)
        return -ENOMEM;
    return traffic_retry(annotations, true, draft->arena, &said->grpc_retry);
}

static int finish(struct outbound_draft *draft, int r, struct outbound_policy **ret_policy)
{
    if (r < 0) {
        outbound_policy_unref(draft->policy);
        return r;
    }
    *ret_policy = draft->policy;
    return 0;
}

/* A port that the Service does not have is refused, not guessed at. */
static int undefined_port(struct outbound_draft *draft)
{
    struct outbound_route *route = ARENA_NEW(draft->arena, struct outbound_route);
    struct outbound_rule *rule = ARENA_NEW(draft->arena, struct outbound_rule);
    struct filter *filter = ARENA_NEW(draft->arena, struct filter);

    if (!route || !rule || !filter)
        return -ENOMEM;
    filter->kind = FILTER_TCP_FORBIDDEN;
    rule->filters = (struct filters){filter, 1};
    rule->backends = (struct distribution){.kind = DISTRIBUTION_EMPTY};
    route->metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = SLICE_LIT("undefined-port")};
    route->rules = rule;
    route->rule_count = 1;
    draft->policy->protocol = OUTBOUND_OPAQUE;
    draft->policy->opaque = (struct outbound_routes){.items = route, .count = 1};
    return 0;
}

static int build_service(const struct controller *controller, struct slice ns, const struct kube_service *service, uint16_t port,
                         struct outbound_policy **ret_policy)
{
    struct outbound_draft draft;
    int r = draft_init(&draft, controller, ns, port);
    struct slice app_protocol = SLICE_NULL;

    if (r < 0)
        return r;
    draft.service = service;
    for (size_t i = 0; i < service->port_count; i++)
        if (service->ports[i].port == port)
            app_protocol = service->ports[i].app_protocol;
    r = read_annotations(&draft, &service->meta.annotations);
    draft.default_backend = backend_of_service(&draft, service->meta.namespace_, service->meta.name, port,
                                               !is_opaque(&draft, app_protocol));
    draft.policy->metadata = draft.default_backend.metadata;
    if (r < 0 || !draft.default_backend.balancer.path.ptr)
        r = -ENOMEM;
    else if (!service_has_port(service, port))
        r = undefined_port(&draft);
    else
        r = service_protocol(&draft, app_protocol);
    return finish(&draft, r, ret_policy);
}

static int build_egress(const struct controller *controller, struct slice ns, const struct kube_egress_network *egress, struct addr addr,
                        struct outbound_policy **ret_policy)
{
    struct outbound_draft draft;
    bool used;
    int r = draft_init(&draft, controller, ns, addr.port);

    if (r < 0)
        return r;
    draft.egress = egress;
    draft.addr = addr;
    draft.policy->metadata = (struct metadata){.kind = METADATA_RESOURCE, .group = SLICE_LIT("policy.linkerd.io"),
                                               .resource_kind = SLICE_LIT("EgressNetwork"), .name = egress->meta.name,
                                               .namespace = egress->meta.namespace_, .port = addr.port};
    r = read_annotations(&draft, &egress->meta.annotations);
    if (r == 0)
        r = backend_of_original(&draft, draft.policy->metadata, &draft.default_backend);
    if (r == 0 && ports_service_is_opaque(controller, &egress->meta, addr.port))
        r = tcp_protocol(&draft, true, &used);
    else if (r == 0)
        r = detected_protocol(&draft);
    return finish(&draft, r, ret_policy);
}

/* Outside the cluster and no egress network says anything: forward to where it was sent. */
static int build_fallback(const struct controller *controller, struct slice ns, struct addr addr, struct outbound_policy **ret_policy)
{
    struct outbound_draft draft;
    int r = draft_init(&draft, controller, ns, addr.port);

    if (r < 0)
        return r;
    draft.addr = addr;
    draft.policy->metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = SLICE_LIT("egress-fallback")};
    draft.policy->protocol = OUTBOUND_DETECT;
    draft.policy->detect_timeout_ns = DETECT_NS;
    r = backend_of_original(&draft, draft.policy->metadata, &draft.default_backend);
    if (r == 0)
        r = routes_with_default(&draft, &draft.policy->http1, "egress-fallback", ROUTE_HTTP);
    draft.policy->http2 = draft.policy->http1;
    if (r == 0)
        r = routes_with_default(&draft, &draft.policy->opaque, "egress-fallback", ROUTE_TCP);
    return finish(&draft, r, ret_policy);
}

/* How special the network's claim to the address is: the length of its longest prefix, or -1. No networks: all of them. */
static int claim(const struct kube_egress_network *egress, struct ip ip)
{
    int best = egress->network_count ? -1 : 0;

    for (size_t i = 0; i < egress->network_count; i++) {
        const struct kube_network *network = &egress->networks[i];
        bool except = false;

        for (size_t j = 0; j < network->except_count; j++)
            except |= cidr_contains(network->except[j], ip);
        if (!except && cidr_contains(network->cidr, ip) && network->cidr.prefix > best)
            best = network->cidr.prefix;
    }
    return best;
}

/* The one with the most special claim, the oldest of several: in the client's namespace first, then in the global one. */
static const struct kube_egress_network *find_egress(const struct controller *controller, struct slice ns, struct ip ip)
{
    struct slice namespaces[] = {ns, controller->options.egress_namespace};
    const struct kube_egress_network *best = NULL;
    int best_claim = -1;

    for (int i = 0; i < 2 && !best; i++) {
        struct kube_set set = store_in(controller->store, KUBE_EGRESS_NETWORK, namespaces[i]);

        for (size_t j = 0; j < set.count; j++) {
            int each = claim(kube_egress_network(set.items[j]), ip);

            if (each > best_claim) {
                best = kube_egress_network(set.items[j]);
                best_claim = each;
            }
        }
    }
    return best;
}

static bool in_cluster(const struct controller *controller, struct ip ip)
{
    for (size_t i = 0; i < controller->options.cluster_network_count; i++)
        if (cidr_contains(controller->options.cluster_networks[i], ip))
            return true;
    return false;
}

int outbound_build_addr(const struct controller *controller, struct slice ns, struct addr addr, struct outbound_policy **ret_policy)
{
    struct kube_set services = store_by_ip(controller->store, STORE_SERVICES_BY_IP, addr.ip);
    const struct kube_egress_network *egress;

    if (services.count)
        return build_service(controller, ns, kube_service(services.items[0]), addr.port, ret_policy);
    if (in_cluster(controller, addr.ip))
        return -ENOENT;
    egress = find_egress(controller, ns, addr.ip);
    if (egress)
        return build_egress(controller, ns, egress, addr, ret_policy);
    return build_fallback(controller, ns, addr, ret_policy);
}

int outbound_build_name(const struct controller *controller, struct slice ns, struct slice service_ns, struct slice service,
                        uint16_t port, struct outbound_policy **ret_policy)
{
    const struct kube_object *object = store_get(controller->store, KUBE_SERVICE, service_ns, service);

    if (!object || kube_service(object)->type == KUBE_EXTERNAL_NAME)
        return -ENOENT;
    return build_service(controller, ns, kube_service(object), port, ret_policy);
}
