#include "proxy/proxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "event/log.h"
#include "net/tls/tls.h"
#include "proxy/series.h"
#include "proxy/watch/control_metrics.h"
#include "proxy/watch/streams.h"
#include "proxy/worker.h"

static void *ref_credentials(void *credentials)
{
    return tls_credentials_ref(credentials);
}

/* Which ports are the application's: those that the environment names, and later those that were reached. */
static void name_ports(struct proxy *proxy)
{
    const struct config *config = &proxy->config;
    const struct port_ranges *ports = &config->inbound_ports;

    app_ports_add_own(&proxy->app_ports, config->inbound.listen[0].port);
    for (unsigned i = 0; i < config->outbound.listen_count; i++)
        app_ports_add_own(&proxy->app_ports, config->outbound.listen[i].port);
    app_ports_add_own(&proxy->app_ports, config->admin_listen.port);
    app_ports_add_own(&proxy->app_ports, config->control_listen.port);
    for (size_t i = 0; i < ports->count; i++)
        for (unsigned port = ports->items[i].first; port <= ports->items[i].last; port++)
            app_ports_use(&proxy->app_ports, (uint16_t)port);
}

int proxy_init(struct proxy *proxy, int log_fd)
{
    const struct config *config = &proxy->config;
    uint64_t secret;
    int r;

    proxy->started_wall_ns = proxy->sys->ops->wall(proxy->sys);
    proxy->sys->ops->random(proxy->sys, &secret, sizeof(secret));
    metrics_init(&proxy->metrics, LIMIT_METRIC_SERIES, config->metrics_retain_ns, secret);
    directory_init(&proxy->directory, proxy->sys);
    proxy->directory.failfast_ns = config->outbound.http_failfast_ns;
    proxy->directory.queue_capacity = config->outbound.http_queue;
    proxy->directory.tcp_failfast_ns = config->outbound.tcp_failfast_ns;
    proxy->directory.tcp_queue_capacity = config->outbound.tcp_queue;
    streams_register(&proxy->directory);
    cell_init(&proxy->credentials, ref_credentials, tls_credentials_unref);
    name_ports(proxy);
    r = log_new(proxy->sys, log_fd, config->log_format, config->log_filter, &proxy->log);
    if (r < 0) {
        fprintf(stderr, "linkerd-proxy: LINKERD2_PROXY_LOG=\"%.*s\" is not valid: expected levels and target=level\n",
                SLICE_ARGS(config->log_filter));
        return -EINVAL;
    }
    proxy->workers = calloc(config->workers, sizeof(struct worker));
    if (!proxy->workers || series_register(proxy) < 0 || control_metrics_register(proxy) < 0)
        return -ENOMEM;
    return 0;
}

void proxy_release(struct proxy *proxy)
{
    cell_release(&proxy->credentials);
    directory_release(&proxy->directory);
    metrics_release(&proxy->metrics);
    free(proxy->workers);
    log_free(proxy->log);
    config_release(&proxy->config);
}
