/* Why an exchange ended when one of its streams was reset: what net/ tells, as a reason. Pure. */
#pragma once

#include "mesh/reason.h"
#include "net/http/http_stream.h"

/* The stream on which the client asked. */
enum reason reason_of_client_reset(struct http_reset reset);
/* The stream on which the server was asked. */
enum reason reason_of_server_reset(struct http_reset reset);
