#include "proxy/series/parts.h"

#include "proxy/conn.h"
#include "proxy/request/request.h"
#include "proxy/worker.h"

void series_tcp_authz(struct conn *conn, enum authz_event event)
{
    static const enum family by_event[] = {IN_TCP_ALLOW, IN_TCP_DENY, IN_TCP_TERMINATE, IN_TCP_DENY};
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    label_target(&labels, conn->dst);
    label_server(&labels, conn->policy, conn->dst.port);
    if (event == AUTHZ_ALLOWED)
        label_authz(&labels, conn->permit);
    label_client_tls(&labels, conn);
    series_bump(&conn->worker->series, by_event[event], &labels);
    buffer_release(&labels);
}

/* An allowed request is counted with the rest of what it counts, in series_http_begin(). */
void series_http_denied(struct request *request, bool route_found)
{
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    label_target(&labels, request->conn->dst);
    label_server(&labels, request->in_policy, request->conn->dst.port);
    if (route_found)
        label_in_route(&labels, request->in_route);
    label_client_tls(&labels, request->conn);
    series_bump(&request->worker->series, route_found ? IN_HTTP_DENY : IN_HTTP_NO_ROUTE, &labels);
    buffer_release(&labels);
}
