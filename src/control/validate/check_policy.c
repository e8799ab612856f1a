/* policy.linkerd.io, but for Servers and routes. */
#include "control/validate/checks.h"

/* ---- AuthorizationPolicy ---- */

static void check_target(struct checking *checking, const struct kube_ref *target)
{
    struct path path = PATH_OF(&validate_spec, "targetRef");
    static const enum kube_kind kinds[] = {KUBE_SERVER, KUBE_POLICY_HTTP_ROUTE, KUBE_HTTP_ROUTE, KUBE_GRPC_ROUTE};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (check_ref_is_to(target, kinds[i]))
            return;
    if (!check_ref_is_to(target, KUBE_NAMESPACE))
        refuse(checking, &path, "kind",
               "\"%.*s\" of the group \"%.*s\" cannot be a target; expected Server or HTTPRoute of policy.linkerd.io, HTTPRoute or GRPCRoute of "
               "gateway.networking.k8s.io, or Namespace of core",
               SHORT(target->kind), SHORT(target->group));
    else if (!slice_eq(target->name, checking->object->namespace_))
        refuse(checking, &path, "name", "\"%.*s\" is another namespace; expected the policy's own, \"%.*s\"", SHORT(target->name),
               SHORT(checking->object->namespace_));
}

void check_authorization_policy(struct checking *checking)
{
    const struct kube_authorization_policy *policy = kube_authorization_policy(checking->object);
    struct path list = PATH_OF(&validate_spec, "requiredAuthenticationRefs");
    bool identities = false, networks = false;

    check_target(checking, &policy->target);
    for (size_t i = 0; i < policy->authentication_count; i++) {
        const struct kube_ref *ref = &policy->authentications[i];
        bool of_network = check_ref_is_to(ref, KUBE_NETWORK_AUTHENTICATION);
        struct path at = PATH_AT(&list, i);

        if (!of_network && !check_ref_is_to(ref, KUBE_MESH_TLS_AUTHENTICATION) && !check_ref_is_to(ref, KUBE_SERVICE_ACCOUNT))
            refuse(checking, &at, "kind",
                   "\"%.*s\" of the group \"%.*s\" is no authentication; expected MeshTLSAuthentication or NetworkAuthentication of "
                   "policy.linkerd.io, or ServiceAccount of core",
                   SHORT(ref->kind), SHORT(ref->group));
        else if (of_network ? networks : identities)
            refuse(checking, &at, NULL, "one too many; expected at most one %s",
                   of_network ? "NetworkAuthentication" : "MeshTLSAuthentication or ServiceAccount: put all identities into one "
                                                          "MeshTLSAuthentication");
        else
            *(of_network ? &networks : &identities) = true;
    }
}

/* ---- MeshTLSAuthentication ---- */

static void check_identity_ref(struct checking *checking, const struct path *path, const struct kube_ref *ref)
{
    bool of_namespace = check_ref_is_to(ref, KUBE_NAMESPACE);

    if (!of_namespace && !check_ref_is_to(ref, KUBE_SERVICE_ACCOUNT)) {
        refuse(checking, path, "kind", "\"%.*s\" of the group \"%.*s\" has no identity; expected ServiceAccount or Namespace of core",
               SHORT(ref->kind), SHORT(ref->group));
        return;
    }
    if (of_namespace && ref->namespace_.len)
        refuse(checking, path, "namespace", "a Namespace is in no namespace; remove it");
    if (!ref->name.len)
        refuse(checking, path, "name", "missing; which %s is meant?", of_namespace ? "Namespace" : "ServiceAccount");
}

void check_mesh_tls_authentication(struct checking *checking)
{
    const struct kube_mesh_tls_authentication *mesh_tls = kube_mesh_tls_authentication(checking->object);
    struct path identities = PATH_OF(&validate_spec, "identities"), refs = PATH_OF(&validate_spec, "identityRefs");

    for (size_t i = 0; i < mesh_tls->identity_count; i++) {
        const char *expected = check_identity(mesh_tls->identities[i]);
        struct path at = PATH_AT(&identities, i);

        if (expected)
            refuse(checking, &at, NULL, "\"%.*s\" is no identity; expected %s", SHORT(mesh_tls->identities[i]), expected);
    }
    for (size_t i = 0; i < mesh_tls->identity_ref_count; i++) {
        struct path at = PATH_AT(&refs, i);

        check_identity_ref(checking, &at, &mesh_tls->identity_refs[i]);
    }
}

/* ---- networks ---- */

void check_network_authentication(struct checking *checking)
{
    const struct kube_network_authentication *authentication = kube_network_authentication(checking->object);
    struct path list = PATH_OF(&validate_spec, "networks");

    if (!authentication->network_count)
        refuse(checking, &list, NULL, "empty; expected at least one network, e.g. cidr: 10.0.0.0/8");
    check_networks(checking, &list, authentication->networks, authentication->network_count);
}

/* Not written, it is everything outside of the cluster; written and empty it would be nothing. */
void check_egress_network(struct checking *checking)
{
    const struct kube_egress_network *egress = kube_egress_network(checking->object);
    struct path list = PATH_OF(&validate_spec, "networks");
    const struct yaml_node *written = yaml_get_lit(checking->spec, "networks");

    if (written && written->kind == YAML_LIST && !egress->network_count)
        refuse(checking, &list, NULL, "empty; expected at least one network, or no such field for everything outside of the cluster");
    check_networks(checking, &list, egress->networks, egress->network_count);
    check_annotations(checking, ANNOTATIONS_OF_EGRESS_NETWORK, false);
}

/* ---- ServerAuthorization ---- */

static void check_client_tls(struct checking *checking, const struct path *client, const struct kube_mesh_tls_client *mesh_tls)
{
    struct path path = PATH_OF(client, "meshTLS"), identities = PATH_OF(&path, "identities");
    size_t count = mesh_tls->identity_count + mesh_tls->service_account_count;

    if (mesh_tls->unauthenticated_tls && count)
        refuse(checking, &path, "unauthenticatedTLS", "true lets clients without identity in; expected false, or no identities and serviceAccounts");
    else if (!mesh_tls->unauthenticated_tls && !count)
        warn(checking, &path, NULL, "it names nobody, so nobody is let in; write identities, serviceAccounts or unauthenticatedTLS: true");
    for (size_t i = 0; i < mesh_tls->identity_count; i++) {
        const char *expected = check_identity(mesh_tls->identities[i]);
        struct path at = PATH_AT(&identities, i);

        if (expected)
            warn(checking, &at, NULL, "\"%.*s\" is no identity, so nobody has it; expected %s", SHORT(mesh_tls->identities[i]), expected);
    }
}

void check_server_authorization(struct checking *checking)
{
    const struct kube_server_authorization *authorization = kube_server_authorization(checking->object);
    struct path client = PATH_OF(&validate_spec, "client"), networks = PATH_OF(&client, "networks");
    const struct kube_mesh_tls_client *mesh_tls = authorization->client.mesh_tls;

    if (mesh_tls && authorization->client.unauthenticated)
        refuse(checking, &client, "unauthenticated", "true lets everybody in; expected false, or no meshTLS");
    else if (!mesh_tls && !authorization->client.unauthenticated)
        warn(checking, &client, NULL, "it names nobody, so nobody is let in; write meshTLS or unauthenticated: true");
    if (mesh_tls)
        check_client_tls(checking, &client, mesh_tls);
    check_networks(checking, &networks, authorization->client.networks, authorization->client.network_count);
}

/* ---- HTTPLocalRateLimitPolicy ---- */

static void check_rate(struct checking *checking, const struct path *path, uint32_t rate, const struct kube_rate_limit *total)
{
    if (!rate)
        refuse(checking, path, "requestsPerSecond", "expected a number above 0; to let nothing in, write no authorization");
    else if (total && rate > total->requests_per_second)
        refuse(checking, path, "requestsPerSecond", "%u is above spec.total.requestsPerSecond (%u), so it would never count; expected less",
               (unsigned)rate, (unsigned)total->requests_per_second);
}

static void check_rate_override(struct checking *checking, const struct path *path, const struct kube_rate_limit_override *each,
                                const struct kube_rate_limit *total)
{
    struct path clients = PATH_OF(path, "clientRefs");

    check_rate(checking, path, each->requests_per_second, total);
    for (size_t i = 0; i < each->client_count; i++) {
        struct path at = PATH_AT(&clients, i);

        if (!check_ref_is_to(&each->clients[i], KUBE_SERVICE_ACCOUNT))
            refuse(checking, &at, "kind", "\"%.*s\" of the group \"%.*s\" is no client; expected ServiceAccount of core",
                   SHORT(each->clients[i].kind), SHORT(each->clients[i].group));
    }
}

/* The oldest of several counts. */
static void look_for_older_limit(struct checking *checking, const struct kube_rate_limit_policy *policy, const struct path *target)
{
    struct slice ns = policy->meta.namespace_;
    struct kube_set set = checking->context->store
                              ? store_by_name(checking->context->store, STORE_POLICIES_OF_SERVER, ns, policy->target.name)
                              : (struct kube_set){NULL, 0};

    for (size_t i = 0; i < set.count; i++)
        if (set.items[i]->kind == KUBE_RATE_LIMIT_POLICY && !slice_eq(set.items[i]->name, policy->meta.name)) {
            warn(checking, target, NULL, "HTTPLocalRateLimitPolicy %.*s limits this Server too; only the older one counts",
                 SHORT(set.items[i]->name));
            return;
        }
}

void check_rate_limit_policy(struct checking *checking)
{
    const struct kube_rate_limit_policy *policy = kube_rate_limit_policy(checking->object);
    struct path target = PATH_OF(&validate_spec, "targetRef"), total = PATH_OF(&validate_spec, "total");
    struct path identity = PATH_OF(&validate_spec, "identity"), overrides = PATH_OF(&validate_spec, "overrides");

    if (!check_ref_is_to(&policy->target, KUBE_SERVER))
        refuse(checking, &target, "kind", "\"%.*s\" of the group \"%.*s\" has no rate limit; expected Server of policy.linkerd.io",
               SHORT(policy->target.kind), SHORT(policy->target.group));
    else
        look_for_older_limit(checking, policy, &target);
    if (!policy->total && !policy->identity && !policy->override_count)
        warn(checking, &validate_spec, NULL, "none of total, identity and overrides: nothing is limited");
    if (policy->total)
        check_rate(checking, &total, policy->total->requests_per_second, NULL);
    if (policy->identity)
        check_rate(checking, &identity, policy->identity->requests_per_second, policy->total);
    for (size_t i = 0; i < policy->override_count; i++) {
        struct path at = PATH_AT(&overrides, i);

        check_rate_override(checking, &at, &policy->overrides[i], policy->total);
    }
}
