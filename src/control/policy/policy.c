#include "control/policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/policy/internal.h"

static const struct grpc_method inbound_methods[] = {
    {{"/io.linkerd.proxy.inbound.InboundServerPolicies/GetPort", 55}, "unary", policy_get_port},
    {{"/io.linkerd.proxy.inbound.InboundServerPolicies/WatchPort", 57}, "server_stream", policy_watch_port},
};
static const struct grpc_method outbound_methods[] = {
    {{"/io.linkerd.proxy.outbound.OutboundPolicies/Get", 47}, "unary", policy_get_target},
    {{"/io.linkerd.proxy.outbound.OutboundPolicies/Watch", 49}, "server_stream", policy_watch_target},
};

/* --- what a change concerns, as topics --- */

static void touch_parents(struct policy *policy, const struct kube_object *route)
{
    const struct kube_route_common *common = kube_route_common(route);

    for (size_t i = 0; i < common->parent_count; i++) {
        const struct kube_ref *ref = &common->parents[i].ref;
        struct slice ns = ref->namespace_.len ? ref->namespace_ : route->namespace_;

        views_touch(&policy->views, "%.*s %.*s/%.*s", SLICE_ARGS(ref->kind), SLICE_ARGS(ns), SLICE_ARGS(ref->name));
    }
}

static void service_changed(struct policy *policy, const struct kube_service *service)
{
    struct kube_set routes = store_by_name(policy->controller->store, STORE_ROUTES_TO_SERVICE, service->meta.namespace_, service->meta.name);
    char ip[IP_TEXT_MAX];

    views_touch(&policy->views, "Service %.*s/%.*s", SLICE_ARGS(service->meta.namespace_), SLICE_ARGS(service->meta.name));
    for (size_t i = 0; i < service->cluster_ip_count; i++)
        views_touch(&policy->views, "IP %s", ip_format(service->cluster_ips[i], ip));
    for (size_t i = 0; i < routes.count; i++)
        touch_parents(policy, routes.items[i]);
}

static void touch_server(struct policy *policy, struct slice ns, struct slice name)
{
    views_touch(&policy->views, "Server %.*s/%.*s", SLICE_ARGS(ns), SLICE_ARGS(name));
}

static void server_authorization_changed(struct policy *policy, const struct kube_server_authorization *authorization)
{
    struct slice ns = authorization->meta.namespace_;
    struct kube_set servers = store_in(policy->controller->store, KUBE_SERVER, ns);

    if (authorization->server.name.len) {
        touch_server(policy, ns, authorization->server.name);
        return;
    }
    for (size_t i = 0; i < servers.count; i++)
        if (authorization->server.selector && kube_selector_matches(authorization->server.selector, &servers.items[i]->labels))
            touch_server(policy, ns, servers.items[i]->name);
}

static void target_changed(struct policy *policy, const struct kube_ref *target, struct slice ns)
{
    static const enum kube_kind routes[] = {KUBE_HTTP_ROUTE, KUBE_POLICY_HTTP_ROUTE, KUBE_GRPC_ROUTE};
    const struct kube_object *route;

    if (ref_is_to(target, KUBE_SERVER))
        touch_server(policy, ns, target->name);
    else if (ref_is_to(target, KUBE_NAMESPACE))
        views_touch(&policy->views, "Servers %.*s", SLICE_ARGS(ns));
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (ref_is_to(target, routes[i]) && (route = store_get(policy->controller->store, routes[i], ns, target->name)))
            touch_parents(policy, route);
}

/* The policies that require this authentication, wherever they are. */
static void authentication_changed(struct policy *policy, const struct kube_object *authentication)
{
    struct kube_set policies = store_all(policy->controller->store, KUBE_AUTHORIZATION_POLICY);

    for (size_t i = 0; i < policies.count; i++) {
        const struct kube_authorization_policy *each = kube_authorization_policy(policies.items[i]);

        for (size_t j = 0; j < each->authentication_count; j++) {
            const struct kube_ref *ref = &each->authentications[j];
            struct slice ns = ref->namespace_.len ? ref->namespace_ : each->meta.namespace_;

            if (slice_eq(ref->name, authentication->name) && slice_eq(ns, authentication->namespace_) &&
                ref_is_to(ref, authentication->kind))
                target_changed(policy, &each->target, each->meta.namespace_);
        }
    }
}

static void changed(struct policy *policy, const struct kube_object *object)
{
    struct slice ns = object->namespace_;

    switch (object->kind) {
    case KUBE_POD:
    case KUBE_EXTERNAL_WORKLOAD:
        views_touch(&policy->views, "%.*s %.*s/%.*s", SLICE_ARGS(kube_kind_name(object->kind)), SLICE_ARGS(ns), SLICE_ARGS(object->name));
        break;
    case KUBE_NAMESPACE:
        views_touch(&policy->views, "Namespace %.*s", SLICE_ARGS(object->name));
        break;
    case KUBE_SERVER:
        policy_server_changed(policy, kube_server(object));
        break;
    case KUBE_SERVER_AUTHORIZATION:
        server_authorization_changed(policy, kube_server_authorization(object));
        break;
    case KUBE_AUTHORIZATION_POLICY:
        target_changed(policy, &kube_authorization_policy(object)->target, ns);
        break;
    case KUBE_RATE_LIMIT_POLICY:
        target_changed(policy, &kube_rate_limit_policy(object)->target, ns);
        break;
    case KUBE_MESH_TLS_AUTHENTICATION:
    case KUBE_NETWORK_AUTHENTICATION:
        authentication_changed(policy, object);
        break;
    case KUBE_SERVICE:
        service_changed(policy, kube_service(object));
        break;
    case KUBE_EGRESS_NETWORK:
        views_touch(&policy->views, "Egress");
        break;
    default:
        if (kube_route_common(object))
            touch_parents(policy, object);
        break;
    }
}

static void on_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct policy *policy = CONTAINER_OF(subscriber, struct policy, subscriber);

    if (old)
        changed(policy, old);
    if (new)
        changed(policy, new);
}

/* --- the component --- */

static int add_service(struct policy *policy, const struct grpc_method *methods, unsigned count, struct grpc_service *service,
                       struct grpc_meter **ret_meter)
{
    *service = (struct grpc_service){.methods = methods, .count = count, .owner = policy};
    return grpc_meter_new(policy->controller, service, ret_meter);
}

int policy_new(struct controller *controller, struct policy **ret_policy)
{
    struct policy *policy = calloc(1, sizeof(*policy));
    int r;

    if (!policy)
        return -ENOMEM;
    policy->controller = controller;
    r = views_init(&policy->views, &controller->loop, (size_t)controller->options.queue_capacity * POLICY_BYTES);
    views_count(&policy->views, controller->shard, controller->view_families, "policy");
    if (r == 0)
        r = add_service(policy, inbound_methods, 2, &policy->inbound, &policy->inbound_meter);
    if (r == 0)
        r = add_service(policy, outbound_methods, 2, &policy->outbound, &policy->outbound_meter);
    policy->subscriber.on_change = on_change;
    policy->subscriber.kinds = STORE_ALL_KINDS & ~(STORE_KIND(KUBE_NODE) | STORE_KIND(KUBE_ENDPOINTS) | STORE_KIND(KUBE_ENDPOINT_SLICE) |
                                                   STORE_KIND(KUBE_SERVICE_ACCOUNT) | STORE_KIND(KUBE_SERVICE_PROFILE));
    if (r == 0)
        r = store_subscribe(controller->store, &policy->subscriber);
    policy->subscribed = r == 0;
    if (r < 0)
        policy_free(policy);
    else
        *ret_policy = policy;
    return r;
}

const struct grpc_service *policy_inbound_service(struct policy *policy) { return &policy->inbound; }
const struct grpc_service *policy_outbound_service(struct policy *policy) { return &policy->outbound; }

void policy_end_calls(struct policy *policy)
{
    views_end(&policy->views);
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    if (policy->subscribed)
        store_unsubscribe(policy->controller->store, &policy->subscriber);
    views_release(&policy->views);
    grpc_meter_free(policy->inbound_meter);
    grpc_meter_free(policy->outbound_meter);
    free(policy);
}
