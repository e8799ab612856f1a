/* Steps for connections that are forwarded as bytes, in both directions. */
#pragma once

#include "proxy/conn.h"

/* Inbound: connects to the application at conn->dst. */
enum step_result connect_app(struct walker *walker, enum why why);
/* Starts the connection to the application: STEP_WAIT, or STEP_FAIL with the reason noted. */
enum step_result begin_app_dial(struct conn *conn);
/* Connects conn->forward->upstream to an endpoint, with mTLS where it has an identity. Shared with outbound/tcp.c. */
enum step_result begin_dial(struct conn *conn, const struct dial_options *options);
/* Forwards until both directions have ended; an inbound permit that is revoked ends it. */
enum step_result forward_both_ways(struct walker *walker, enum why why);

/* Memory for forwarding; NULL without. */
struct conn_forward *conn_forward_new(struct conn *conn);
