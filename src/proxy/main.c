/* linkerd-proxy: reads the environment, opens its ports, starts its threads, and ends when told. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/duration.h"
#include "event/log.h"
#include "event/signals.h"
#include "net/tls.h"
#include "proxy/admin/admin.h"
#include "proxy/proxy.h"
#include "proxy/series.h"
#include "proxy/variables.h"
#include "proxy/watch/control_metrics.h"
#include "proxy/watch/certifier.h"
#include "proxy/watch/streams.h"
#include "proxy/worker.h"

enum {
    EXIT_CONFIG = 64, /* as Linkerd's proxy: the environment is wrong */
    EXIT_START = 71,  /* the system refused something at the start */
    CONTROL_PAGES = 4096,
};

extern char **environ;

/* The control thread. */
struct control {
    struct proxy proxy;
    struct loop loop;
    struct signals signals;
    struct resolver *resolver;
    struct control_metrics *metrics;
    struct certifier certifier;
    struct control_client identity_client, destination_client, policy_client;
    struct streams streams;
    struct admin *admin;
    struct listening listening[LISTENERS_MAX];
    unsigned listening_count, workers_started;
    struct timer grace, drained;
    bool serving;
};

static const int64_t DRAIN_LOOK_NS = 50 * NS_PER_MS;

static const char *from_environment(void *owner, const char *name)
{
    return getenv(name);
}

/* --- ending --- */

static void set_drain(struct control *control, enum drain_state state)
{
    atomic_store_explicit(&control->proxy.drain, state, memory_order_release);
    for (unsigned i = 0; i < control->workers_started; i++)
        worker_wake_drain(&control->proxy.workers[i]);
}

static void end_now(struct control *control)
{
    set_drain(control, DRAIN_NOW);
    loop_stop(&control->loop);
}

static void grace_over(struct timer *timer)
{
    struct control *control = CONTAINER_OF(timer, struct control, grace);

    log_line(control->proxy.log, LOG_WARN, "shutdown", "the grace period is over: open connections are broken off");
    end_now(control);
}

static void look_if_drained(struct timer *timer)
{
    struct control *control = CONTAINER_OF(timer, struct control, drained);
    unsigned open = 0;

    for (unsigned i = 0; i < control->workers_started; i++)
        open += atomic_load_explicit(&control->proxy.workers[i].open, memory_order_relaxed);
    if (open == 0) {
        log_line(control->proxy.log, LOG_INFO, "shutdown", "drained");
        end_now(control);
        return;
    }
    timer_set(&control->loop, timer, control->loop.now_ns + DRAIN_LOOK_NS);
}

static void shut_down(void *owner)
{
    struct control *control = owner;

    if (atomic_load_explicit(&control->proxy.drain, memory_order_relaxed) != DRAIN_NONE) {
        log_line(control->proxy.log, LOG_INFO, "shutdown", "told again: ending at once");
        end_now(control);
        return;
    }
    log_line(control->proxy.log, LOG_INFO, "shutdown", "draining: open connections may end");
    set_drain(control, DRAIN_GENTLY);
    timer_set(&control->loop, &control->grace, control->loop.now_ns + control->proxy.config.shutdown_grace_ns);
    timer_set(&control->loop, &control->drained, control->loop.now_ns + DRAIN_LOOK_NS);
}

static void on_signal(struct signals *signals, int number)
{
    shut_down(CONTAINER_OF(signals, struct control, signals));
}

/* --- starting --- */

static int listen_on(struct control *control, struct addr addr, int backlog, const char *variable, int *ret_fd)
{
    char text[ADDR_TEXT_MAX];
    int fd = control->proxy.sys->ops->listen(control->proxy.sys, addr, backlog);

    if (fd < 0) {
        log_line(control->proxy.log, LOG_ERROR, "start", "cannot listen on %s (%s): %s%s", addr_format(addr, text), variable,
                 strerror(-fd), fd == -EADDRINUSE ? "; another proxy runs here" : "");
        return fd;
    }
    *ret_fd = fd;
    return 0;
}

static int open_listener(struct control *control, enum direction direction, struct addr addr, int backlog,
                         const char *variable)
{
    struct listening *listening = &control->listening[control->listening_count];
    int r = listen_on(control, addr, backlog, variable, &listening->fd);

    if (r < 0)
        return r;
    listening->direction = direction;
    listening->addr = addr;
    control->listening_count++;
    return 0;
}

static int open_listeners(struct control *control)
{
    const struct config *config = &control->proxy.config;
    int r = open_listener(control, DIRECTION_INBOUND, config->inbound.listen[0], config->inbound.listen_backlog,
                          "LINKERD2_PROXY_INBOUND_LISTEN_ADDR");

    for (unsigned i = 0; r == 0 && i < config->outbound.listen_count; i++)
        r = open_listener(control, DIRECTION_OUTBOUND, config->outbound.listen[i], config->outbound.listen_backlog,
                          "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS");
    return r;
}

static bool is_ready(void *owner)
{
    struct control *control = owner;

    return control->serving && atomic_load_explicit(&control->proxy.drain, memory_order_relaxed) == DRAIN_NONE;
}

/* The first certificate: connections are accepted from now on. Listening began before, so that none was refused. */
static void begin_serving(struct control *control)
{
    struct proxy *proxy = &control->proxy;

    streams_start(&control->streams);
    for (unsigned i = 0; i < proxy->config.workers; i++) {
        int r = worker_start(&proxy->workers[i], proxy, i, control->listening, control->listening_count);

        if (r < 0) {
            log_line(proxy->log, LOG_ERROR, "start", "cannot start worker %u: %s", i, strerror(-r));
            end_now(control);
            return;
        }
        control->workers_started++;
    }
    control->serving = true;
    log_line(proxy->log, LOG_INFO, "start", "ready");
}

static void on_certified(struct certifier *certifier)
{
    struct control *control = certifier->owner;

    control_client_renew(&control->destination_client);
    control_client_renew(&control->policy_client);
    if (!control->serving)
        begin_serving(control);
}

static int start_clients(struct control *control)
{
    struct proxy *proxy = &control->proxy;
    const struct config *config = &proxy->config;
    struct tls_context **tls = &control->certifier.tls;
    int r = resolver_dns_new(&control->loop, config->dns_min_ttl_ns, config->dns_max_ttl_ns, &control->resolver);

    if (r == 0)
        r = control_metrics_new(proxy, &control->metrics);
    if (r == 0)
        r = control_client_init(&control->identity_client, "identity", &config->identity, config, &control->loop,
                                proxy->log, control->resolver, tls, control->metrics);
    if (r == 0)
        r = control_client_init(&control->destination_client, "destination", &config->destination, config,
                                &control->loop, proxy->log, control->resolver, tls, control->metrics);
    if (r == 0)
        r = control_client_init(&control->policy_client, "policy", &config->policy, config, &control->loop, proxy->log,
                                control->resolver, tls, control->metrics);
    if (r == 0)
        r = streams_init(&control->streams, proxy, &control->loop, &control->destination_client,
                         config->policy.configured ? &control->policy_client : NULL);
    return r;
}

static int start(struct control *control)
{
    static const int numbers[] = {SIGTERM, SIGINT, 0};
    struct proxy *proxy = &control->proxy;
    struct errmsg msg = {""};
    int admin_fd, r;

    r = listen_on(control, proxy->config.admin_listen, 0, "LINKERD2_PROXY_ADMIN_LISTEN_ADDR", &admin_fd);
    if (r < 0)
        return EXIT_START;
    if (open_listeners(control) < 0)
        return EXIT_START;
    if (timer_init(&control->loop, &control->grace, grace_over) < 0 ||
        timer_init(&control->loop, &control->drained, look_if_drained) < 0 ||
        signals_start(&control->signals, &control->loop, numbers, on_signal) < 0 ||
        admin_new(proxy, &control->loop, admin_fd, is_ready, shut_down, control, &control->admin) < 0)
        return EXIT_START;
    r = certifier_init(&control->certifier, proxy, &control->loop, &msg);
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

static int read_config(struct control *control)
{
    struct buffer problems, warnings;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int r;

    buffer_init(&problems, 64 * 1024);
    buffer_init(&warnings, 64 * 1024);
    variables_warn_unknown((const char *const *)environ, &warnings);
    r = config_read(from_environment, NULL, cpus > 0 ? (unsigned)cpus : 1, &problems, &warnings, &control->proxy.config);
    if (r < 0)
        fprintf(stderr, "linkerd-proxy: the environment is not valid:\n%.*s", SLICE_ARGS(buffer_slice(&problems)));
    else if (warnings.len)
        fprintf(stderr, "%.*s", SLICE_ARGS(buffer_slice(&warnings)));
    buffer_release(&problems);
    buffer_release(&warnings);
    return r;
}

static void *ref_credentials(void *credentials)
{
    return tls_credentials_ref(credentials);
}

static int init_shared(struct control *control)
{
    struct proxy *proxy = &control->proxy;
    const struct config *config = &proxy->config;
    uint64_t secret;
    int r = log_new(proxy->sys, STDOUT_FILENO, config->log_format, config->log_filter, &proxy->log);

    if (r < 0) {
        fprintf(stderr, "linkerd-proxy: LINKERD2_PROXY_LOG=\"%.*s\" is not valid: expected levels and target=level\n",
                SLICE_ARGS(config->log_filter));
        return r;
    }
    proxy->started_wall_ns = proxy->sys->ops->wall(proxy->sys);
    proxy->sys->ops->random(proxy->sys, &secret, sizeof(secret));
    metrics_init(&proxy->metrics, LIMIT_METRIC_SERIES, config->metrics_retain_ns, secret);
    r = series_register(proxy);
    if (r == 0)
        r = control_metrics_register(proxy);
    if (r < 0)
        return r;
    directory_init(&proxy->directory, proxy->sys);
    proxy->directory.failfast_ns = config->outbound.http_failfast_ns;
    proxy->directory.queue_capacity = config->outbound.http_queue;
    proxy->directory.tcp_failfast_ns = config->outbound.tcp_failfast_ns;
    proxy->directory.tcp_queue_capacity = config->outbound.tcp_queue;
    streams_register(&proxy->directory);
    cell_init(&proxy->credentials, ref_credentials, tls_credentials_unref);
    proxy->workers = calloc(config->workers, sizeof(struct worker));
    return proxy->workers ? loop_init(&control->loop, proxy->sys, CONTROL_PAGES) : -ENOMEM;
}

int main(int argc, char **argv)
{
    struct control *control = calloc(1, sizeof(*control));
    int status;

    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("linkerd-proxy %s\n", CLINKERD_VERSION);
        return 0;
    }
    if (!control)
        return EXIT_START;
    control->proxy.sys = sys_linux();
    if (read_config(control) < 0) {
        free(control);
        return EXIT_CONFIG;
    }
    if (init_shared(control) < 0) {
        config_release(&control->proxy.config);
        free(control);
        return EXIT_CONFIG;
    }
    status = start(control);
    if (status == 0)
        loop_run(&control->loop);
    log_free(control->proxy.log);
    _exit(status); /* drained, or told not to wait: the kernel takes threads, memory and connections back at once */
}
