/*
 * outbound_*_balancer_*: what the shared state of discovery says at a scrape. Each balancer is a backend of the policy of
 * a destination in use; its endpoints, its gate and its queue belong to all workers together, so that they are
 * read here and not counted on the path. What requests wait is counted there (proxy/series/).
 *
 * Control thread only. At most LIMIT_BALANCER_SERIES of them.
 */
#pragma once

#include "base/buffer.h"
#include "event/loop.h"
#include "proxy/proxy.h"

void balancers_metrics(struct proxy *proxy, struct loop *loop, struct buffer *out);
