/*
 * What the data path logs: refused and broken connections, errors of the proxy's
 * own, and the access log.
 */
#pragma once

#include "event/log.h"
#include "mesh/reason.h"

struct conn;
struct request;

/* A connection that ended with conn->reason; clients that merely left are not worth a line. */
void log_conn_end(const struct conn *conn);
/* One error of the proxy's own that a request met, and its line in the access log. */
void log_request(const struct request *request);
