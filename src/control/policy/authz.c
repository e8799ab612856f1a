/* Authorizations from ServerAuthorizations, AuthorizationPolicies and default policies. */
#include <errno.h>

#include "control/policy/build.h"

static const struct cidr EVERYWHERE[2] = {{.ip = {.version = 4}}, {.ip = {.version = 6}}};

/* An authorization being made. */
struct draft {
    const struct controller *controller;
    struct arena *arena;
    struct authorization authz;
};

bool ref_is_to(const struct kube_ref *ref, enum kube_kind kind)
{
    struct slice group = kube_kind_group(kind), core = SLICE_LIT("core");

    return slice_eq_nocase(ref->kind, kube_kind_name(kind)) &&
           (slice_eq_nocase(ref->group, group) || (!group.len && slice_eq_nocase(ref->group, core)));
}

struct slice identity_of_account(const struct controller *controller, const struct kube_ref *account, struct slice ns,
                                 struct arena *arena)
{
    struct slice of = account->namespace_.len ? account->namespace_ : ns;

    return arena_printf(arena, "%.*s.%.*s.serviceaccount.identity.%.*s.%.*s", SLICE_ARGS(account->name), SLICE_ARGS(of),
                        SLICE_ARGS(controller->options.namespace_), SLICE_ARGS(controller->options.trust_domain));
}

/* --- networks --- */

static int from_cidrs(struct draft *draft, const struct cidr *cidrs, size_t count)
{
    struct authz_network *networks = ARENA_ARRAY(draft->arena, struct authz_network, count);

    if (!networks)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        networks[i].net = cidrs[i];
    draft->authz.networks = networks;
    draft->authz.network_count = count;
    return 0;
}

/* None written means the cluster's. */
static int from_networks(struct draft *draft, const struct kube_network *from, size_t count)
{
    const struct controller_options *options = &draft->controller->options;
    struct authz_network *networks;

    if (!count)
        return from_cidrs(draft, options->cluster_networks, options->cluster_network_count);
    networks = ARENA_ARRAY(draft->arena, struct authz_network, count);
    if (!networks)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        networks[i] = (struct authz_network){from[i].cidr, from[i].except, from[i].except_count};
    draft->authz.networks = networks;
    draft->authz.network_count = count;
    return 0;
}

/* --- identities --- */

/* Room for `count` of either form. */
static int begin_identities(struct draft *draft, size_t count)
{
    draft->authz.authentication = AUTHZ_TLS_AUTHENTICATED;
    draft->authz.identities = ARENA_ARRAY(draft->arena, struct slice, count);
    draft->authz.suffixes = ARENA_ARRAY(draft->arena, struct slice, count);
    return draft->authz.identities && draft->authz.suffixes ? 0 : -ENOMEM;
}

/* "*" is anybody with an identity, "*.x" a suffix of labels, all else one name. */
static int add_identity(struct draft *draft, struct slice text)
{
    struct authorization *authz = &draft->authz;

    if (!text.ptr)
        return -ENOMEM;
    if (slice_eq(text, SLICE_LIT("*")))
        authz->suffixes[authz->suffix_count++] = SLICE_LIT("");
    else if (slice_starts(text, SLICE_LIT("*.")))
        authz->suffixes[authz->suffix_count++] = slice_skip(text, 1);
    else
        authz->identities[authz->identity_count++] = text;
    return 0;
}

static int add_account(struct draft *draft, const struct kube_ref *ref, struct slice ns)
{
    return add_identity(draft, identity_of_account(draft->controller, ref, ns, draft->arena));
}

static int add_namespace(struct draft *draft, const struct kube_ref *ref)
{
    return add_identity(draft, arena_printf(draft->arena, "*.%.*s.serviceaccount.identity.%.*s.%.*s", SLICE_ARGS(ref->name),
                                            SLICE_ARGS(draft->controller->options.namespace_),
                                            SLICE_ARGS(draft->controller->options.trust_domain)));
}

static int from_mesh_tls(struct draft *draft, const struct kube_mesh_tls_authentication *from)
{
    int r = begin_identities(draft, from->identity_count + from->identity_ref_count);

    for (size_t i = 0; r == 0 && i < from->identity_count; i++)
        r = add_identity(draft, from->identities[i]);
    for (size_t i = 0; r == 0 && i < from->identity_ref_count; i++) {
        if (ref_is_to(&from->identity_refs[i], KUBE_SERVICE_ACCOUNT))
            r = add_account(draft, &from->identity_refs[i], from->meta.namespace_);
        else if (ref_is_to(&from->identity_refs[i], KUBE_NAMESPACE))
            r = add_namespace(draft, &from->identity_refs[i]);
    }
    return r;
}

/* --- ServerAuthorization --- */

static int from_client(struct draft *draft, const struct kube_mesh_tls_client *client, struct slice ns)
{
    int r;

    if (client->unauthenticated_tls) {
        draft->authz.authentication = AUTHZ_TLS_UNAUTHENTICATED;
        return 0;
    }
    r = begin_identities(draft, client->identity_count + client->service_account_count);
    for (size_t i = 0; r == 0 && i < client->identity_count; i++)
        r = add_identity(draft, client->identities[i]);
    for (size_t i = 0; r == 0 && i < client->service_account_count; i++)
        r = add_account(draft, &client->service_accounts[i], ns);
    return r;
}

static bool can_admit(const struct authorization *authz)
{
    return authz->network_count && (authz->authentication != AUTHZ_TLS_AUTHENTICATED || authz->identity_count || authz->suffix_count);
}

static struct metadata policy_resource(const char *kind, const struct kube_object *object)
{
    return (struct metadata){.kind = METADATA_RESOURCE, .group = SLICE_LIT("policy.linkerd.io"), .resource_kind = slice_str(kind),
                             .name = object->name};
}

static int keep(const struct draft *draft, struct authz_list *list)
{
    if (can_admit(&draft->authz))
        list->items[list->count++] = draft->authz;
    return 0;
}

static int add_server_authorization(const struct controller *controller, const struct kube_server_authorization *from,
                                    struct arena *arena, struct authz_list *list)
{
    struct draft draft = {controller, arena, {.metadata = policy_resource("serverauthorization", &from->meta)}};
    int r = from_networks(&draft, from->client.networks, from->client.network_count);

    if (r < 0)
        return r;
    if (from->client.unauthenticated)
        draft.authz.authentication = AUTHZ_UNAUTHENTICATED;
    else if (from->client.mesh_tls)
        r = from_client(&draft, from->client.mesh_tls, from->meta.namespace_);
    else
        return 0;
    return r < 0 ? r : keep(&draft, list);
}

static bool authorizes(const struct kube_server_authorization *from, const struct kube_server *server)
{
    if (from->server.name.len)
        return slice_eq(from->server.name, server->meta.name);
    return from->server.selector && kube_selector_matches(from->server.selector, &server->meta.labels);
}

/* --- AuthorizationPolicy --- */

static const struct kube_object *referenced(const struct draft *draft, enum kube_kind kind, const struct kube_ref *ref, struct slice ns)
{
    return store_get(draft->controller->store, kind, ref->namespace_.len ? ref->namespace_ : ns, ref->name);
}

/*
 * All that is required must hold, which one authorization can say of one list of identities and one of networks. 1: done,
 * 0: it cannot be followed.
 */
static int from_required(struct draft *draft, const struct kube_authorization_policy *from)
{
    struct slice ns = from->meta.namespace_;
    bool identities = false, networks = false;
    const struct kube_object *object;

    for (size_t i = 0; i < from->authentication_count; i++) {
        const struct kube_ref *ref = &from->authentications[i];
        bool is_network = ref_is_to(ref, KUBE_NETWORK_AUTHENTICATION), is_account = ref_is_to(ref, KUBE_SERVICE_ACCOUNT);
        int r;

        if (is_network ? networks : identities)
            return 0;
        if (is_account) {
            r = begin_identities(draft, 1);
            r = r < 0 ? r : add_account(draft, ref, ns);
        } else if (is_network || ref_is_to(ref, KUBE_MESH_TLS_AUTHENTICATION)) {
            object = referenced(draft, is_network ? KUBE_NETWORK_AUTHENTICATION : KUBE_MESH_TLS_AUTHENTICATION, ref, ns);
            if (!object)
                return 0;
            r = is_network ? from_networks(draft, kube_network_authentication(object)->networks,
                                           kube_network_authentication(object)->network_count)
                           : from_mesh_tls(draft, kube_mesh_tls_authentication(object));
        } else {
            return 0;
        }
        if (r < 0)
            return r;
        *(is_network ? &networks : &identities) = true;
    }
    if (networks)
        return 1;
    return from_cidrs(draft, EVERYWHERE, 2) < 0 ? -ENOMEM : 1;
}

static int add_policy(const struct controller *controller, const struct kube_authorization_policy *from, struct arena *arena,
                      struct authz_list *list)
{
    struct draft draft = {controller, arena, {.metadata = policy_resource("authorizationpolicy", &from->meta)}};
    int r = from_required(&draft, from);

    return r <= 0 ? r : keep(&draft, list);
}

/* Those of a set whose target is of one of the kinds; in the namespace of what they target, since targets are local. */
static int add_policies(const struct controller *controller, struct kube_set set, bool (*targets)(const struct kube_ref *, const void *),
                        const void *context, struct arena *arena, struct authz_list *list)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < set.count; i++)
        if (set.items[i]->kind == KUBE_AUTHORIZATION_POLICY && targets(&kube_authorization_policy(set.items[i])->target, context))
            r = add_policy(controller, kube_authorization_policy(set.items[i]), arena, list);
    return r;
}

static bool targets_server(const struct kube_ref *target, const void *server)
{
    return ref_is_to(target, KUBE_SERVER);
}

static bool targets_namespace(const struct kube_ref *target, const void *server)
{
    return ref_is_to(target, KUBE_NAMESPACE);
}

static bool targets_route(const struct kube_ref *target, const void *route)
{
    return ref_is_to(target, ((const struct kube_object *)route)->kind);
}

/* --- lists --- */

static int begin_list(struct arena *arena, size_t room, struct authz_list *list)
{
    *list = (struct authz_list){ARENA_ARRAY(arena, struct authorization, room), 0};
    return list->items ? 0 : -ENOMEM;
}

int authz_of_access(const struct controller *controller, enum kube_access_policy policy, bool require_identity,
                    struct arena *arena, struct authz_list *ret_list)
{
    enum default_policy kind = DEFAULT_DENY;

    (void)default_policy_parse(kube_access_policy_name(policy), &kind); /* the same names */
    if (require_identity)
        kind = default_policy_require_identity(kind);
    return default_policy_authorizations(kind, controller->options.cluster_networks, controller->options.cluster_network_count,
                                         arena, ret_list);
}

int authz_of_server(const struct controller *controller, const struct kube_server *server, struct arena *arena,
                    struct authz_list *ret_list)
{
    struct slice ns = server->meta.namespace_;
    struct kube_set own = store_in(controller->store, KUBE_SERVER_AUTHORIZATION, ns);
    struct kube_set policies = store_by_name(controller->store, STORE_POLICIES_OF_SERVER, ns, server->meta.name);
    struct kube_set whole = store_by_name(controller->store, STORE_POLICIES_OF_NAMESPACE, ns, SLICE_LIT(""));
    struct authz_list list, access = {0};
    int r = begin_list(arena, own.count + policies.count + whole.count + 1, &list);

    for (size_t i = 0; r == 0 && i < own.count; i++)
        if (authorizes(kube_server_authorization(own.items[i]), server))
            r = add_server_authorization(controller, kube_server_authorization(own.items[i]), arena, &list);
    if (r == 0)
        r = add_policies(controller, policies, targets_server, server, arena, &list);
    if (r == 0)
        r = add_policies(controller, whole, targets_namespace, server, arena, &list);
    if (r == 0)
        r = authz_of_access(controller, (enum kube_access_policy)server->access_policy, false, arena, &access);
    if (r < 0)
        return r;
    if (access.count)
        list.items[list.count++] = access.items[0];
    *ret_list = list;
    return 0;
}

int authz_of_route(const struct controller *controller, const struct kube_object *route, struct arena *arena,
                   struct authz_list *ret_list)
{
    struct kube_set policies = store_by_name(controller->store, STORE_POLICIES_OF_ROUTE, route->namespace_, route->name);
    struct authz_list list;
    int r = begin_list(arena, policies.count, &list);

    if (r == 0)
        r = add_policies(controller, policies, targets_route, route, arena, &list);
    if (r == 0)
        *ret_list = list;
    return r;
}
