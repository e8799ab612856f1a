/* process_* metrics (docs/metrics.md), read from /proc at each scrape. */
#pragma once

#include "base/buffer.h"
#include "proxy/proxy.h"

void process_metrics(struct proxy *proxy, struct buffer *out);
