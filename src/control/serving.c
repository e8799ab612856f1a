#include <string.h>

#include "control/program.h"

/* --- ports --- */

static int listen_on(struct program *program, struct addr addr, const char *what, const struct grpc_service *first,
                     const struct grpc_service *second)
{
    struct listening *listening = &program->listening[program->listening_count];
    char text[ADDR_TEXT_MAX];
    int r;

    listening->services[0] = first;
    listening->services[1] = second;
    r = grpc_listener_new(&program->controller.loop, addr, listening->services, second ? 2 : 1, &listening->listener);
    if (r < 0) {
        log_line(program->controller.log, LOG_ERROR, "start", "%s cannot listen on %s: %s", what, addr_format(addr, text), strerror(-r));
        return r;
    }
    program->listening_count++;
    log_line(program->controller.log, LOG_INFO, "start", "%s listens on %s", what, addr_format(addr, text));
    return 0;
}

static int open_dns(struct program *program)
{
    struct addr addr = program->settings.dns_addr;
    char text[ADDR_TEXT_MAX];
    int r = addr.ip.version ? dns_server_new(&program->controller, addr, &program->dns) : 0;

    if (r < 0)
        log_line(program->controller.log, LOG_ERROR, "start", "dns cannot listen on %s: %s", addr_format(addr, text), strerror(-r));
    else if (program->dns)
        log_line(program->controller.log, LOG_INFO, "start", "dns listens on %s", addr_format(addr, text));
    return r;
}

static int open_webhook(struct program *program)
{
    struct webhook_setup setup = {.addr = program->settings.webhook_addr, .certificate = program->certificate, .hook_count = 1};
    char text[ADDR_TEXT_MAX];
    int r;

    if (!program->injector && !program->validator)
        return 0;
    setup.name = program->injector ? "proxy-injector" : program_validator_names(program)->name;
    setup.hooks = program->injector ? injector_service_hook(program->injector) : validate_service_hook(program->validator);
    r = webhook_new(&program->controller, &setup, &program->webhook);
    if (r < 0)
        log_line(program->controller.log, LOG_ERROR, "start", "%s cannot listen on %s: %s", setup.name, addr_format(setup.addr, text), strerror(-r));
    else
        log_line(program->controller.log, LOG_INFO, "start", "%s listens on %s", setup.name, addr_format(setup.addr, text));
    return r;
}

int program_open_ports(struct program *program)
{
    const struct settings *settings = &program->settings;
    int r = 0;

    if (program->destination)
        r = listen_on(program, settings->destination_addr, "destination", destination_service(program->destination), NULL);
    if (r == 0 && program->policy)
        r = listen_on(program, settings->policy_addr, "policy", policy_inbound_service(program->policy),
                      policy_outbound_service(program->policy));
    if (r == 0 && program->identity)
        r = listen_on(program, settings->identity_addr, "identity", identity_service_certify(program->identity),
                      identity_service_bundle(program->identity));
    if (r == 0)
        r = open_webhook(program);
    return r < 0 ? r : open_dns(program);
}

/* --- readiness --- */

/* Proxies are served whether policy's webhook can be or not. */
static bool has_certificate(const struct program *program)
{
    return !program->certificate || program->policy || webhook_certificate_context(program->certificate);
}

static bool is_ready(void *owner)
{
    struct program *program = owner;

    return !program->draining && store_is_synced(program->controller.store) &&
           (!program->identity || identity_service_is_ready(program->identity)) &&
           (!program->injector || injector_service_is_ready(program->injector)) && has_certificate(program);
}

const char *program_readiness(struct program *program)
{
    if (is_ready(program))
        return "ready";
    if (program->settings.components == COMPONENT_SP_VALIDATOR)
        return "serving, but not ready: the validator has no certificate";
    return program->injector ? "serving, but not ready: the injector has no usable values or no certificate"
                             : "serving, but not ready: identity has no usable issuer";
}

void program_on_synced(struct subscriber *subscriber)
{
    struct program *program = CONTAINER_OF(subscriber, struct program, synced);
    struct controller *controller = &program->controller;
    size_t count = 0;

    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++)
        count += store_all(controller->store, (enum kube_kind)kind).count;
    log_line(controller->log, LOG_INFO, "source", "%zu objects from %s", count, cluster_name(program->cluster));
    if (program_open_ports(program) == 0) {
        log_line(controller->log, LOG_INFO, "start", "%s", program_readiness(program));
        return;
    }
    program->status = EXIT_START;
    loop_stop(&controller->loop);
}

/* --- the admin port --- */

static void measure(void *owner)
{
    struct program *program = owner;

    if (program->identity)
        identity_service_measure(program->identity);
    if (program->injector)
        injector_service_measure(program->injector);
}

int program_open_admin(struct program *program)
{
    const struct admin_hooks hooks = {is_ready, measure, program};
    char text[ADDR_TEXT_MAX];
    int r = admin_new(&program->controller, program->settings.admin_addr, &hooks, &program->admin);

    if (r < 0)
        log_line(program->controller.log, LOG_ERROR, "start", "the admin port cannot listen on %s: %s",
                 addr_format(program->settings.admin_addr, text), strerror(-r));
    return r;
}
