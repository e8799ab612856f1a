/* linkerd-controller: reads flags, follows the source, starts the components asked for, and ends when told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "control/grpc_meter.h"
#include "control/heartbeat/heartbeat.h"
#include "control/program.h"
#include "control/views.h"
#include "event/descriptors.h"

enum { PAGES = 65536 };

static int start(struct program *program)
{
    int r = program_await_end(program);

    if (r == 0)
        r = program_open_admin(program);
    if (r == 0 && !program->settings.cluster)
        r = derive_new(program->controller.store, &program->derive);
    if (r == 0 && program->settings.cluster)
        r = program_enter_cluster(program);
    if (r == 0)
        r = program_start_components(program);
    if (r == 0)
        r = program_follow_source(program);
    if (r == 0 && !program->synced.on_synced)
        r = program_open_ports(program);
    return r;
}

static void stop(struct program *program)
{
    for (unsigned i = 0; i < program->listening_count; i++)
        grpc_listener_free(program->listening[i].listener);
    dns_server_free(program->dns);
    webhook_free(program->webhook);
    injector_service_free(program->injector);
    validate_service_free(program->validator);
    own_certificate_free(program->own_certificate);
    webhook_certificate_free(program->certificate);
    directory_watch_free(program->watch);
    if (program->synced.on_synced)
        store_unsubscribe(program->controller.store, &program->synced);
    directory_free(program->directory);
    destination_free(program->destination);
    policy_free(program->policy);
    writer_free(program->status_writer);
    writer_free(program->slice_writer);
    identity_service_free(program->identity);
    if (program->reviewer)
        program->reviewer->ops->free(program->reviewer);
    cluster_free(program->cluster);
    derive_free(program->derive);
    admin_free(program->admin);
    program_forget_end(program);
}

static int init_metrics(struct program *program, uint64_t secret)
{
    struct controller *controller = &program->controller;

    metrics_init(&controller->metrics, LIMIT_METRIC_SERIES, 600 * NS_PER_S, secret);
    controller->grpc_families = grpc_meter_register(&controller->metrics);
    controller->view_families = views_register(&controller->metrics);
    controller->webhook_families = webhook_certificate_register(&controller->metrics);
    controller->writer_families = writer_register(&controller->metrics);
    program->ttl_family = identity_service_register(&controller->metrics);
    program->injector_family = injector_service_register(&controller->metrics);
    program->validator_family = validate_service_register(&controller->metrics);
    controller->shard = metrics_shard_new(&controller->metrics);
    return controller->grpc_families < 0 || controller->view_families < 0 || controller->webhook_families < 0 ||
                   controller->writer_families < 0 || program->ttl_family < 0 || program->injector_family < 0 ||
                   program->validator_family < 0 || !controller->shard
               ? -ENOMEM
               : 0;
}

static int init_log(struct program *program)
{
    struct controller *controller = &program->controller;
    int r = log_new(controller->sys, STDOUT_FILENO, program->settings.log_format, program->settings.log_level, &controller->log);

    if (r == -EINVAL)
        fprintf(stderr, "linkerd-controller: --log-level=%.*s is not valid: expected levels and target=level\n",
                SLICE_ARGS(program->settings.log_level));
    return r;
}

/* Everything is made and given back here; what needs it runs in between. */
static int run(struct program *program)
{
    struct controller *controller = &program->controller;
    uint64_t secret[3];
    int status = EXIT_START;

    controller->options = program->settings.options;
    controller->sys = sys_linux();
    controller->sys->ops->random(controller->sys, secret, sizeof(secret));
    if (init_log(program) < 0)
        return EXIT_USAGE;
    if (init_metrics(program, secret[2]) < 0 || loop_init(&controller->loop, controller->sys, PAGES) < 0)
        goto no_loop;
    if (store_new(secret[0], secret[1], &controller->store) < 0)
        goto no_store;
    if (start(program) == 0) {
        if (!program->synced.on_synced) /* else that is said when all has come */
            log_line(controller->log, LOG_INFO, "start", "%s", program_readiness(program));
        loop_run(&controller->loop);
        status = program->status;
    }
    stop(program);
    store_free(controller->store);
no_store:
    loop_release(&controller->loop);
no_loop:
    metrics_release(&controller->metrics);
    log_free(controller->log);
    return status;
}

/* What the command line says; >= 0: the process ends with this status. */
static int read_command_line(struct program *program, int argc, char *const argv[])
{
    struct buffer problems, notes;
    int status = -1;

    buffer_init(&problems, 64 * 1024);
    buffer_init(&notes, 64 * 1024);
    if (settings_read(&program->settings, argc, argv, &problems, &notes) < 0) {
        fprintf(stderr, "linkerd-controller: the command line is not valid:\n%.*s", SLICE_ARGS(buffer_slice(&problems)));
        status = EXIT_USAGE;
    } else if (program->settings.version) {
        printf("linkerd-controller %s\n", CLINKERD_VERSION);
        status = 0;
    } else if (program->settings.help) {
        settings_help(&notes);
        printf("%.*s", SLICE_ARGS(buffer_slice(&notes)));
        status = 0;
    } else if (notes.len) {
        fprintf(stderr, "%.*s", SLICE_ARGS(buffer_slice(&notes)));
    }
    buffer_release(&problems);
    buffer_release(&notes);
    return status;
}

int main(int argc, char **argv)
{
    struct program *program;
    int status;

    if (argc > 1 && strcmp(argv[1], "heartbeat") == 0)
        return heartbeat_main(argc - 2, argv + 2);
    program = calloc(1, sizeof(*program));
    if (!program)
        return EXIT_START;
    descriptors_prepare();
    status = read_command_line(program, argc, argv);
    if (status < 0) {
        status = run(program);
    }
    settings_release(&program->settings);
    free(program);
    return status;
}
