/* Who may: decisions of mesh/authz.h and mesh/route.h, with what is counted about them. */
#include <errno.h>

#include "base/mutation.h"
#include "mesh/authz.h"
#include "mesh/route.h"
#include "proxy/inbound/inbound.h"
#include "proxy/series.h"

static struct authz_client client_of(const struct conn *conn)
{
    static const enum endpoint_identity kinds[] = {
        [SAN_NONE] = IDENTITY_NONE, [SAN_DNS] = IDENTITY_DNS, [SAN_URI] = IDENTITY_URI, [SAN_OTHER] = IDENTITY_NONE};

    return (struct authz_client){
        .ip = conn->peer.ip,
        .mesh_tls = conn->tls == TLS_STATUS_ESTABLISHED,
        .identity = {kinds[conn->client_id.kind], conn->client_id.name},
    };
}

bool inbound_authorize_tcp(struct conn *conn)
{
    struct authz_client client = client_of(conn);

    if (conn->policy->protocol == INBOUND_HTTP1 || conn->policy->protocol == INBOUND_HTTP2 ||
        conn->policy->protocol == INBOUND_GRPC)
        conn->permit = NULL; /* such a port has no word for what is not HTTP */
    else
        conn->permit = authz_connection(conn->policy, &client);
    series_tcp_authz(conn, conn->permit ? AUTHZ_ALLOWED : AUTHZ_DENIED);
    return conn->permit != NULL || mutation("tcp-authorized-always");
}

bool inbound_may_forward(const struct conn *conn)
{
    struct authz_client client = client_of(conn);

    return authz_connection(conn->policy, &client) != NULL;
}

bool inbound_still_authorized_tcp(struct conn *conn)
{
    struct authz_client client = client_of(conn);

    conn->permit = authz_connection(conn->policy, &client);
    if (!conn->permit)
        series_tcp_authz(conn, AUTHZ_TERMINATED);
    return conn->permit != NULL;
}

enum reason inbound_authorize_http(struct request *request)
{
    const struct inbound_policy *policy = request->in_policy;
    struct authz_client client = client_of(request->conn);
    int r;

    route_request_init(&request->routing, request->head, &request->arena, request->worker->regex);
    r = policy->route_count ? inbound_route_find(policy, &request->routing, &request->found) : 1;
    if (r == 0) {
        series_http_denied(request, false);
        return REASON_ROUTE_NOT_FOUND;
    }
    if (r < 0)
        return r == -ENOMEM ? REASON_OUT_OF_MEMORY : REASON_PATTERN_LIMIT;
    if (policy->route_count) {
        request->in_route = &policy->routes[request->found.route];
        request->in_rule = &request->in_route->rules[request->found.rule];
    }
    request->permit =
        request->in_route ? authz_request(policy, request->in_route, &client) : authz_connection(policy, &client);
    if (request->permit || mutation("requests-authorized-always"))
        return REASON_NONE;
    series_http_denied(request, true);
    return REASON_NOT_AUTHORIZED;
}
