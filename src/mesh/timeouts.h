/*
 * The timeouts that hold for one request: the rule's, and those that the request asks for in
 * l5d-timeout (or l5d-request-timeout, which wins) and l5d-response-timeout, if the
 * rule allows that. Allowed ones are taken out of the head; where the rule does not
 * allow them they pass through untouched, being none of our business.
 */
#pragma once

#include "codec/http.h"
#include "mesh/outbound_policy.h"

struct route_timeouts timeouts_for_request(const struct outbound_rule *rule, struct http_head *head);
