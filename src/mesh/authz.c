#include "mesh/authz.h"

#include <errno.h>

#include "base/mutation.h"

static bool in_network(const struct authz_network *network, struct ip ip)
{
    if (!cidr_contains(network->net, ip))
        return false;
    for (size_t i = 0; i < network->except_count; i++)
        if (cidr_contains(network->except[i], ip) && !mutation("network-excepts-ignored"))
            return false;
    return true;
}

static bool in_networks(const struct authorization *authorization, struct ip ip)
{
    for (size_t i = 0; i < authorization->network_count; i++)
        if (in_network(&authorization->networks[i], ip))
            return true;
    return false;
}

/* Suffixes are for DNS-like names only; the empty one is any of those. */
static bool has_identity(const struct authorization *authorization, const struct identity *identity)
{
    if (identity->kind == IDENTITY_NONE)
        return false;
    for (size_t i = 0; i < authorization->identity_count; i++)
        if (slice_eq(authorization->identities[i], identity->name))
            return true;
    if (identity->kind != IDENTITY_DNS && !mutation("suffixes-for-uris"))
        return false;
    for (size_t i = 0; i < authorization->suffix_count; i++)
        if (slice_ends(identity->name, authorization->suffixes[i]))
            return true;
    return false;
}

static bool is_authenticated(const struct authorization *authorization, const struct authz_client *client)
{
    switch (authorization->authentication) {
    case AUTHZ_UNAUTHENTICATED: return true;
    case AUTHZ_TLS_UNAUTHENTICATED: return client->mesh_tls;
    case AUTHZ_TLS_AUTHENTICATED: return client->mesh_tls && has_identity(authorization, &client->identity);
    }
    return false;
}

bool authz_covers(const struct authorization *authorization, const struct authz_client *client)
{
    return mutation("authorized-always") ||
           (in_networks(authorization, client->ip) && is_authenticated(authorization, client));
}

static const struct authorization *first_that_covers(const struct authorization *list, size_t count,
                                                     const struct authz_client *client)
{
    for (size_t i = 0; i < count; i++)
        if (authz_covers(&list[i], client))
            return &list[i];
    return NULL;
}

const struct authorization *authz_connection(const struct inbound_policy *policy, const struct authz_client *client)
{
    return first_that_covers(policy->authorizations, policy->authorization_count, client);
}

const struct authorization *authz_request(const struct inbound_policy *policy, const struct inbound_route *route,
                                          const struct authz_client *client)
{
    const struct authorization *found =
        first_that_covers(route->authorizations, route->authorization_count, client);

    return found ? found : authz_connection(policy, client);
}

bool authz_is_audit(const struct authorization *authorization)
{
    return authorization->metadata.kind == METADATA_DEFAULT &&
           slice_eq(authorization->metadata.name, SLICE_LIT("audit"));
}

int authz_add_localhost(struct inbound_policy *policy)
{
    static const uint8_t v6_loopback[16] = {[15] = 1};
    struct arena *arena = &policy->snapshot.arena;
    size_t count = policy->authorization_count;
    struct authorization *list = ARENA_ARRAY(arena, struct authorization, count + 1);
    struct authz_network *networks = ARENA_ARRAY(arena, struct authz_network, 2);

    if (!list || !networks)
        return -ENOMEM;
    networks[0].net = (struct cidr){ip_v4(0x7f000001), 32};
    networks[1].net = (struct cidr){ip_v6(v6_loopback), 128};
    if (count)
        memcpy(list, policy->authorizations, count * sizeof(list[0]));
    list[count] = (struct authorization){
        .networks = networks, .network_count = 2, .authentication = AUTHZ_UNAUTHENTICATED,
        .metadata = {.kind = METADATA_DEFAULT, .name = SLICE_LIT("localhost")}};
    policy->authorizations = list;
    policy->authorization_count = count + 1;
    return 0;
}
