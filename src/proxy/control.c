#include "proxy/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mutation.h"
#include "event/signals.h"
#include "net/tls/tls.h"
#include "proxy/admin/admin.h"
#include "proxy/listeners.h"
#include "proxy/shutdown.h"
#include "proxy/takeover.h"
#include "proxy/watch/certifier.h"
#include "proxy/watch/control_metrics.h"
#include "proxy/watch/streams.h"
#include "proxy/worker.h"

enum { CONTROL_PAGES = 4096 };

struct control {
    struct proxy proxy;
    struct loop loop;
    struct signals signals;
    struct listeners listeners;
    struct shutdown shutdown;
    struct takeover takeover;
    struct resolver *resolver;
    struct control_metrics *metrics;
    struct certifier certifier;
    struct control_client identity_client, destination_client, policy_client;
    struct streams streams;
    struct admin *admin;
    bool serving;
    int status;
};

/* --- what there is before anything runs --- */

int control_new(struct sys *sys, struct config *config, int log_fd, struct control **ret_control)
{
    struct control *control = calloc(1, sizeof(*control));
    int status, r;

    if (!control) {
        config_release(config);
        return EXIT_START;
    }
    control->proxy.sys = sys;
    control->proxy.config = *config;
    control->signals.watch.fd = -1;
    r = proxy_init(&control->proxy, log_fd);
    status = r == 0 ? 0 : r == -EINVAL ? EXIT_CONFIG : EXIT_START;
    if (status == 0 && loop_init(&control->loop, sys, CONTROL_PAGES) < 0)
        status = EXIT_START;
    if (status != 0) {
        proxy_release(&control->proxy);
        free(control);
        return status;
    }
    *ret_control = control;
    return 0;
}

/* --- serving --- */

static void on_signal(struct signals *signals, int number)
{
    shutdown_begin(&CONTAINER_OF(signals, struct control, signals)->shutdown);
}

static void told_by_admin(void *owner)
{
    struct control *control = owner;

    shutdown_begin(&control->shutdown);
}

static void tell_uncertified(const struct control *control, struct buffer *why)
{
    const struct control_addr *identity = &control->proxy.config.identity;

    buffer_printf(why, "the identity service at %.*s, port %u, has not certified this proxy yet",
                  SLICE_ARGS(identity->host), identity->port);
    if (control->certifier.failures)
        buffer_printf(why, "; it was asked %u times, and the log says what came of it", control->certifier.failures);
}

/*
 * Certified, and the policies of the ports known from the start have been heard: nobody is refused for want of them. A policy
 * service beside us, in the same pod, may be started only when we are ready, so it is not waited for.
 */
static bool is_ready(void *owner, struct buffer *why)
{
    struct control *control = owner;
    const struct control_addr *policy = &control->proxy.config.policy;
    struct slice port;

    if (atomic_load_explicit(&control->proxy.drain, memory_order_relaxed) != DRAIN_NONE) {
        buffer_add_lit(why, "shutting down: what runs may end, nothing new is wanted");
        return false;
    }
    if (!control->serving) {
        tell_uncertified(control, why);
        return false;
    }
    port = policy->identity.len ? streams_unknown_port(&control->streams) : SLICE_NULL;
    if (!port.len || mutation("ready-before-policy"))
        return true;
    buffer_printf(why, "the policy service at %.*s, port %u, has not said who may reach port %.*s yet",
                  SLICE_ARGS(policy->host), policy->port, SLICE_ARGS(port));
    return false;
}

static struct tls_context *admin_tls(void *owner)
{
    struct control *control = owner;

    return control->certifier.certified ? control->certifier.tls : NULL;
}

static const struct admin_host admin_host = {.ready = is_ready, .shut_down = told_by_admin, .tls = admin_tls};

/* The first certificate: connections are accepted from now on. Listening began before, so that none was refused. */
static void begin_serving(struct control *control)
{
    struct proxy *proxy = &control->proxy;

    streams_start(&control->streams);
    for (unsigned i = 0; i < proxy->config.workers; i++) {
        int r = worker_start(&proxy->workers[i], proxy, i, &control->listeners);

        if (r < 0) {
            log_line(proxy->log, LOG_ERROR, "start", "cannot start worker %u: %s", i, strerror(-r));
            control->status = EXIT_START;
            shutdown_now(&control->shutdown);
            return;
        }
        proxy->workers_running++;
    }
    control->serving = true;
    log_line(proxy->log, LOG_INFO, "start", "ready");
    takeover_ready(&control->takeover);
}

static void on_certified(struct certifier *certifier)
{
    struct control *control = certifier->owner;

    control_client_renew(&control->destination_client);
    control_client_renew(&control->policy_client);
    if (!control->serving)
        begin_serving(control);
}

/* --- starting --- */

static int start_client(struct control *control, struct control_client *client, const char *name,
                        const struct control_addr *addr)
{
    struct proxy *proxy = &control->proxy;

    return control_client_init(client, name, addr, &proxy->config, &control->loop, proxy->log, control->resolver,
                               &control->certifier.tls, control->metrics);
}

static int start_clients(struct control *control)
{
    struct proxy *proxy = &control->proxy;
    const struct config *config = &proxy->config;
    int r = resolver_dns_new(&control->loop, config->dns_min_ttl_ns, config->dns_max_ttl_ns, &control->resolver);

    if (r == 0)
        r = control_metrics_new(proxy, &control->metrics);
    if (r == 0)
        r = start_client(control, &control->identity_client, "identity", &config->identity);
    if (r == 0)
        r = start_client(control, &control->destination_client, "destination", &config->destination);
    if (r == 0)
        r = start_client(control, &control->policy_client, "policy", &config->policy);
    if (r == 0)
        r = streams_init(&control->streams, proxy, &control->loop, &control->destination_client,
                         config->policy.configured ? &control->policy_client : NULL);
    return r;
}

static int start_identity(struct control *control)
{
    struct proxy *proxy = &control->proxy;
    struct errmsg msg = {""};
    int r = certifier_init(&control->certifier, proxy, &control->loop, &msg);

    if (r < 0) {
        log_line(proxy->log, LOG_ERROR, "start", "%s", msg.text[0] ? msg.text : strerror(-r));
        return EXIT_CONFIG;
    }
    r = start_clients(control);
    if (r == 0)
        r = certifier_start(&control->certifier, &control->identity_client, on_certified, control);
    if (r < 0) {
        log_line(proxy->log, LOG_ERROR, "start", "%s", strerror(-r));
        return EXIT_START;
    }
    return 0;
}

static void begin_admin(void *owner)
{
    struct control *control = owner;
    struct proxy *proxy = &control->proxy;
    int fd = listeners_admin(&control->listeners);
    int r = fd < 0 ? fd : admin_new(proxy, &control->loop, fd, &admin_host, control, &control->admin);

    if (r == 0)
        return;
    if (fd >= 0)
        proxy->sys->ops->close(proxy->sys, fd, false);
    log_line(proxy->log, LOG_ERROR, "admin", "no admin port: %s", strerror(-r));
    control->status = EXIT_START;
    shutdown_now(&control->shutdown);
}

static void hand_over(void *owner)
{
    struct control *control = owner;

    admin_free(control->admin);
    control->admin = NULL;
    shutdown_hand_over(&control->shutdown);
}

static const struct takeover_events takeover_events = {.begin_admin = begin_admin, .hand_over = hand_over};

/* Those of the proxy that runs, where there is one that hands them on, or new ones. */
static int get_listeners(struct control *control)
{
    struct proxy *proxy = &control->proxy;
    struct listeners inherited;
    int r = takeover_ask(&control->takeover, &inherited);

    if (r < 0)
        return r;
    r = listeners_open(&control->listeners, &proxy->config, proxy->sys, proxy->log, &inherited);
    listeners_close(&inherited, proxy->sys);
    return r;
}

static int application_listens(struct proxy *proxy)
{
    return app_ports_listening(&proxy->app_ports, app_ports_proc);
}

int control_start(struct control *control)
{
    static const int numbers[] = {SIGTERM, SIGINT, 0};
    struct proxy *proxy = &control->proxy;
    int r = shutdown_init(&control->shutdown, proxy, &control->loop, &control->listeners, application_listens);

    takeover_init(&control->takeover, proxy, &control->loop, &control->listeners, &takeover_events, control);
    if (r == 0 && get_listeners(control) < 0)
        return EXIT_START; /* the log says why */
    if (r == 0)
        r = signals_start(&control->signals, &control->loop, numbers, on_signal);
    if (r == 0)
        r = takeover_begin(&control->takeover);
    if (r < 0) {
        log_line(proxy->log, LOG_ERROR, "start", "%s", strerror(-r));
        return EXIT_START;
    }
    return start_identity(control);
}

int control_run(struct control *control)
{
    loop_run(&control->loop);
    return control->status;
}

/* --- the end --- */

/*
 * Workers first: they hold leases on what the streams watch. Then the streams, before the connections that they run on. Then
 * what all of them counted in, logged to and were told by.
 */
void control_free(struct control *control)
{
    struct proxy *proxy;

    if (!control)
        return;
    proxy = &control->proxy;
    for (unsigned i = 0; i < proxy->workers_running; i++)
        worker_join(&proxy->workers[i]);
    admin_free(control->admin);
    takeover_release(&control->takeover);
    signals_stop(&control->signals);
    shutdown_release(&control->shutdown);
    listeners_close(&control->listeners, proxy->sys);
    streams_release(&control->streams);
    certifier_release(&control->certifier);
    control_client_release(&control->identity_client);
    control_client_release(&control->destination_client);
    control_client_release(&control->policy_client);
    control_metrics_free(control->metrics);
    resolver_free(control->resolver);
    loop_turn(&control->loop, 0); /* disposals */
    loop_release(&control->loop);
    proxy_release(proxy);
    free(control);
}
