#include "sim/controller.h"

#include <unistd.h>

#include "base/duration.h"
#include "control/grpc_meter.h"
#include "kube/objects.h"

#define MUST(what)                                                                              \
    do {                                                                                        \
        if (!(what)) {                                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                          \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

enum { PAGES = 4096 };

static void on_report(struct reporter *reporter, const struct report *report)
{
    struct buffer text;

    if (report->severity != REPORT_ERROR)
        return;
    buffer_init(&text, 65536);
    report_format(report, &text);
    fprintf(stderr, "%.*s\n", SLICE_ARGS(buffer_slice(&text)));
    abort();
}

/* As settings.c has them by default. */
static void set_options(struct controller_options *options)
{
    *options = (struct controller_options){
        .cluster_domain = SLICE_LIT("cluster.local"),
        .trust_domain = SLICE_LIT("cluster.local"),
        .namespace_ = SLICE_LIT("linkerd"),
        .egress_namespace = SLICE_LIT("linkerd-egress"),
        .default_policy = KUBE_ACCESS_ALL_UNAUTHENTICATED,
        .h2_upgrade = true,
        .ipv6 = true,
        .queue_capacity = LIMIT_SUBSCRIBER_QUEUE,
    };
    MUST(cidr_parse(SLICE_LIT("10.0.0.0/8"), &options->cluster_networks[0]) == 0);
    options->cluster_network_count = 1;
}

static struct grpc_listener *listen_on(struct sim_controller *sim, uint16_t port, const struct grpc_service *const *services,
                                       unsigned count)
{
    struct addr addr = {ip_v4(0), port};
    struct grpc_listener *listener;

    MUST(grpc_listener_new(&sim->controller.loop, addr, services, count, &listener) == 0);
    return listener;
}

void sim_controller_start(struct sim_controller *sim, struct process *process)
{
    struct controller *controller = &sim->controller;
    uint64_t secret[3];

    *sim = (struct sim_controller){.process = process, .reporter = {on_report}, .running = true};
    set_options(&controller->options);
    controller->sys = &process->sys;
    controller->sys->ops->random(controller->sys, secret, sizeof(secret));
    MUST(log_new(controller->sys, STDOUT_FILENO, LOG_PLAIN, SLICE_LIT("info"), &controller->log) == 0);
    metrics_init(&controller->metrics, LIMIT_METRIC_SERIES, 600 * NS_PER_S, secret[2]);
    controller->grpc_families = grpc_meter_register(&controller->metrics);
    controller->shard = metrics_shard_new(&controller->metrics);
    MUST(controller->grpc_families >= 0 && controller->shard);
    MUST(loop_init(&controller->loop, controller->sys, PAGES) == 0);
    world_add_loop(process->host->world, &sim->turned, &controller->loop, "controller");
    MUST(store_new(secret[0], secret[1], &controller->store) == 0 && derive_new(controller->store, &sim->derive) == 0);
    MUST(destination_new(controller, &sim->destination) == 0 && policy_new(controller, &sim->policy) == 0);
    MUST(directory_new(controller->store, &sim->reporter, &sim->directory) == 0);
    sim->services[0] = destination_service(sim->destination);
    sim->services[1] = policy_inbound_service(sim->policy);
    sim->services[2] = policy_outbound_service(sim->policy);
    sim->listeners[0] = listen_on(sim, 8086, sim->services, 1);
    sim->listeners[1] = listen_on(sim, 8090, sim->services + 1, 2);
}

void sim_controller_apply(struct sim_controller *sim, const char *file, const char *text)
{
    if (!sim->running)
        return;
    world_note(sim->process->host->world, "apply %s %zu", file, strlen(text));
    if (*text)
        MUST(directory_apply(sim->directory, slice_str(file), slice_str(text)) == 0);
    else
        directory_drop(sim->directory, slice_str(file));
    MUST(directory_commit(sim->directory) == 0);
    if (!store_is_synced(sim->controller.store))
        store_set_synced(sim->controller.store);
}

void sim_controller_stop(struct sim_controller *sim)
{
    if (!sim->running)
        return;
    world_note(sim->process->host->world, "the controller stops");
    sim->running = false;
    destination_end_calls(sim->destination);
    policy_end_calls(sim->policy);
    for (int i = 0; i < 2; i++)
        grpc_listener_free(sim->listeners[i]);
    destination_free(sim->destination);
    policy_free(sim->policy);
    directory_free(sim->directory);
    derive_free(sim->derive);
    store_free(sim->controller.store);
    loop_turn(&sim->controller.loop, 0);
    world_remove_loop(&sim->turned);
    loop_release(&sim->controller.loop);
    metrics_release(&sim->controller.metrics);
    log_free(sim->controller.log);
}
