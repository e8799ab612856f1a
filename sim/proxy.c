#include "sim/proxy.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/duration.h"
#include "net/resolver.h"
#include "proxy/watch/control_metrics.h"
#include "sim/net.h"

#define MUST(what)                                                                              \
    do {                                                                                        \
        if (!(what)) {                                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                          \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

enum { CONTROL_PAGES = 4096 };

void sim_proxy_set(struct sim_proxy *proxy, const char *name, const char *format, ...)
{
    char *value = proxy->text + proxy->text_len;
    va_list args;

    va_start(args, format);
    proxy->text_len += (size_t)vsnprintf(value, sizeof(proxy->text) - proxy->text_len, format, args) + 1;
    va_end(args);
    MUST(proxy->text_len < sizeof(proxy->text) && proxy->variable_count < PROXY_VARIABLES_MAX);
    proxy->variables[proxy->variable_count].name = name;
    proxy->variables[proxy->variable_count++].value = value;
}

static const char *look_up(void *owner, const char *name)
{
    struct sim_proxy *proxy = owner;

    for (unsigned i = 0; i < proxy->variable_count; i++)
        if (strcmp(proxy->variables[i].name, name) == 0)
            return proxy->variables[i].value;
    return NULL;
}

static void read_config(struct sim_proxy *proxy, const char *identity)
{
    struct buffer problems, warnings;

    sim_proxy_set(proxy, "LINKERD2_PROXY_IDENTITY_LOCAL_NAME", "%s", identity);
    sim_proxy_set(proxy, "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "given");
    sim_proxy_set(proxy, "LINKERD2_PROXY_IDENTITY_TOKEN_FILE", "given");
    sim_proxy_set(proxy, "LINKERD2_PROXY_IDENTITY_DIR", "given");
    sim_proxy_set(proxy, "LINKERD2_PROXY_IDENTITY_SVC_ADDR", "127.0.0.1:8080");
    buffer_init(&problems, 65536);
    buffer_init(&warnings, 65536);
    if (config_read(look_up, proxy, 4, &problems, &warnings, &proxy->proxy.config) < 0) {
        fprintf(stderr, "%.*s", SLICE_ARGS(buffer_slice(&problems)));
        abort();
    }
    buffer_release(&problems);
    buffer_release(&warnings);
}

static void open_listener(struct sim_proxy *sim, enum listener_role role, struct addr addr)
{
    struct listening *listening = &sim->listeners.items[sim->listeners.count++];

    listening->fd = sim->proxy.sys->ops->listen(sim->proxy.sys, addr, 0);
    MUST(listening->fd >= 0);
    listening->role = role;
    listening->addr = addr;
}

static void start_clients(struct sim_proxy *sim)
{
    struct proxy *proxy = &sim->proxy;
    const struct config *config = &proxy->config;

    MUST(resolver_dns_new(&sim->loop, 0, 0, &sim->resolver) == 0 && control_metrics_new(proxy, &sim->metrics) == 0);
    MUST(control_client_init(&sim->destination, "destination", &config->destination, config, &sim->loop, proxy->log,
                             sim->resolver, &sim->tls, sim->metrics) == 0);
    MUST(control_client_init(&sim->policy, "policy", &config->policy, config, &sim->loop, proxy->log, sim->resolver,
                             &sim->tls, sim->metrics) == 0);
    MUST(streams_init(&sim->streams, proxy, &sim->loop, &sim->destination, &sim->policy) == 0);
}

/* As /proc/self/net/tcp tells it. */
static int application_listens(struct proxy *proxy)
{
    const struct host *host = process_of(proxy->sys)->host;

    for (unsigned port = 1; port <= UINT16_MAX; port++)
        if (app_ports_have(&proxy->app_ports, (uint16_t)port) && net_listens(host, (uint16_t)port))
            return 1;
    return 0;
}

/* As certifier.c publishes them. */
static void certify(struct sim_proxy *sim, const char *identity, int64_t lifetime_ns, enum issuer issuer)
{
    tls_context_unref(sim->tls);
    tls_credentials_unref(sim->credentials);
    sim->credentials = identity_issue(sim->process->host->world, identity, lifetime_ns, issuer);
    MUST(tls_context_new(sim->proxy.sys, sim->credentials, &sim->tls) == 0);
    cell_publish(&sim->proxy.credentials, tls_credentials_ref(sim->credentials));
}

void sim_proxy_certify(struct sim_proxy *sim, const char *identity, int64_t lifetime_ns, enum issuer issuer)
{
    world_note(sim->process->host->world, "certify %s as %s", sim->process->host->name, identity);
    certify(sim, identity, lifetime_ns, issuer);
    control_client_renew(&sim->destination);
    control_client_renew(&sim->policy);
}

/* In a turn of the control thread's loop, as a signal is read. */
static void told_to_end(struct task *task)
{
    shutdown_begin(&CONTAINER_OF(task, struct sim_proxy, told_to_end)->shutdown);
}

void sim_proxy_terminate(struct sim_proxy *sim)
{
    world_note(sim->process->host->world, "terminate %s", sim->process->host->name);
    task_wake(&sim->loop, &sim->told_to_end);
}

void sim_proxy_start(struct sim_proxy *sim, struct host *host, const char *identity)
{
    sim->process = host_process(host, "proxy", true);
    sim->proxy.sys = &sim->process->sys;
    host->inbound_port = 4143;
    host->outbound_port = 4140;
    read_config(sim, identity);
    MUST(proxy_init(&sim->proxy, STDOUT_FILENO) == 0 && loop_init(&sim->loop, sim->proxy.sys, CONTROL_PAGES) == 0);
    world_add_loop(host->world, &sim->turned, &sim->loop, "control");
    MUST(shutdown_init(&sim->shutdown, &sim->proxy, &sim->loop, &sim->listeners, application_listens) == 0);
    task_init(&sim->told_to_end, told_to_end);
    open_listener(sim, LISTENER_INBOUND, sim->proxy.config.inbound.listen[0]);
    open_listener(sim, LISTENER_OUTBOUND, sim->proxy.config.outbound.listen[0]);
    snprintf(sim->identity, sizeof(sim->identity), "%s", identity);
    certify(sim, identity, 86400 * NS_PER_S, ISSUER_OF_MESH);
    start_clients(sim);
    streams_start(&sim->streams);
    for (; sim->proxy.workers_running < sim->proxy.config.workers; sim->proxy.workers_running++)
        MUST(worker_start(&sim->proxy.workers[sim->proxy.workers_running], &sim->proxy, sim->proxy.workers_running, &sim->listeners) == 0);
}

bool sim_proxy_ended(const struct sim_proxy *sim)
{
    return sim->loop.stop;
}

unsigned sim_proxy_open(const struct sim_proxy *sim)
{
    unsigned open = 0;

    for (unsigned i = 0; i < sim->proxy.workers_running; i++)
        open += atomic_load_explicit(&sim->proxy.workers[i].open, memory_order_relaxed);
    return open;
}

static bool is_turned(struct world *world, const struct loop *loop)
{
    LIST_FOR_EACH (link, &world->loops)
        if (CONTAINER_OF(link, struct world_loop, link)->loop == loop)
            return true;
    return false;
}

static void join_workers(struct sim_proxy *sim)
{
    struct world *world = sim->process->host->world;

    for (unsigned i = 0; i < sim->proxy.workers_running; i++) {
        for (int turns = 0; is_turned(world, &sim->proxy.workers[i].thread.loop); turns++) {
            MUST(turns < 1000);
            world->failure = NULL; /* it ends, whatever else was found */
            world_run(world, world->now_ns + 10 * NS_PER_MS);
        }
        worker_join(&sim->proxy.workers[i]);
    }
}

void sim_proxy_stop(struct sim_proxy *sim)
{
    struct proxy *proxy = &sim->proxy;
    const char *failure = sim->process->host->world->failure;

    task_cancel(&sim->told_to_end);
    shutdown_now(&sim->shutdown);
    join_workers(sim);
    sim->process->host->world->failure = failure;
    shutdown_release(&sim->shutdown);
    listeners_close(&sim->listeners, proxy->sys);
    streams_release(&sim->streams);
    control_client_release(&sim->destination);
    control_client_release(&sim->policy);
    control_metrics_free(sim->metrics);
    resolver_free(sim->resolver);
    loop_turn(&sim->loop, 0); /* disposals */
    world_remove_loop(&sim->turned);
    loop_release(&sim->loop);
    tls_context_unref(sim->tls);
    tls_credentials_unref(sim->credentials);
    proxy_release(proxy);
    sim->process = NULL;
}
