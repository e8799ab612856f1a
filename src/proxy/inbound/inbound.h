/*
 * Inbound: connections from others to the application beside us. path.c is the
 * order of things; policy.c decides; http.c serves requests.
 */
#pragma once

#include "proxy/conn.h"
#include "proxy/request/request.h"

extern const struct step inbound_path[];
extern const struct step inbound_request_path[];

/* Whether the connection may be forwarded as bytes; sets conn->permit and counts either way. */
bool inbound_authorize_tcp(struct conn *conn);
/* The same question without a consequence, for what is opened early. */
bool inbound_may_forward(const struct conn *conn);
/* The same after a change of policy, for a connection that is being forwarded. */
bool inbound_still_authorized_tcp(struct conn *conn);
/* Finds the route and a permit for a request and counts: REASON_NONE, or why not. */
enum reason inbound_authorize_http(struct request *request);

/* The application could not be reached for a request: answers it. */
enum step_result inbound_connect_failed(struct request *request, int error);
/* Whether something listens at 127.0.0.1 (or ::1) where nothing does at `dst`: asked after a refusal, cached for a second. */
bool app_listens_on_loopback(struct worker *worker, struct addr dst);
