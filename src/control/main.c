/* linkerd-controller: reads flags, follows the source, starts the components asked for, and ends when told. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "control/admin.h"
#include "control/cluster.h"
#include "control/destination/destination.h"
#include "control/destination/slice_writer.h"
#include "control/dns/server.h"
#include "control/grpc_meter.h"
#include "control/heartbeat/heartbeat.h"
#include "control/identity/service.h"
#include "control/identity/token_review.h"
#include "control/injector/service.h"
#include "control/policy/policy.h"
#include "control/policy/status_writer.h"
#include "control/settings.h"
#include "control/validate/service.h"
#include "control/views.h"
#include "control/webhook/own_certificate.h"
#include "event/descriptors.h"
#include "event/signals.h"
#include "kube/derive.h"
#include "kube/directory_watch.h"
#include "net/grpc_listener.h"

enum { EXIT_USAGE = 64, EXIT_START = 71, PAGES = 65536, LISTENERS = 3, SERVICES = 2 };

static const int64_t DRAIN_LOOK_NS = 50 * NS_PER_MS;

struct listening {
    const struct grpc_service *services[SERVICES];
    struct grpc_listener *listener;
};

struct program {
    struct controller controller;
    struct settings settings;
    struct signals signals;
    struct reporter reporter;
    struct derive *derive;
    struct directory *directory;
    struct directory_watch *watch;
    struct cluster *cluster;
    struct subscriber synced;      /* of a cluster: ports are opened when all has come */
    int status;                    /* of the process */
    struct destination *destination;
    struct policy *policy;
    struct writer *status_writer; /* of policy in a cluster */
    struct writer *slice_writer;  /* of destination in a cluster */
    struct identity_service *identity;
    struct token_validator *reviewer; /* of identity in a cluster */
    int ttl_family;
    struct injector_service *injector;
    int injector_family;
    struct validate_service *validator;
    int validator_family;
    struct webhook_certificate *certificate; /* of the webhook */
    struct own_certificate *own_certificate; /* where we make it */
    struct webhook *webhook;
    struct listening listening[LISTENERS];
    unsigned listening_count;
    struct dns_server *dns;
    struct admin *admin;
    struct timer grace, drained;
    bool draining;
};

/* --- ending --- */

static void on_grace_over(struct timer *timer)
{
    struct program *program = CONTAINER_OF(timer, struct program, grace);

    log_line(program->controller.log, LOG_WARN, "shutdown", "the grace period is over: open connections are broken off");
    loop_stop(&program->controller.loop);
}

static void look_if_drained(struct timer *timer)
{
    struct program *program = CONTAINER_OF(timer, struct program, drained);
    unsigned open = 0;

    for (unsigned i = 0; i < program->listening_count; i++)
        open += grpc_listener_connections(program->listening[i].listener);
    if (program->webhook)
        open += webhook_connections(program->webhook);
    if (open)
        timer_set(&program->controller.loop, timer, program->controller.loop.now_ns + DRAIN_LOOK_NS);
    else
        loop_stop(&program->controller.loop);
}

static void end_calls(struct program *program)
{
    if (program->destination)
        destination_end_calls(program->destination);
    if (program->policy)
        policy_end_calls(program->policy);
    if (program->identity)
        identity_service_end_calls(program->identity);
}

static void on_signal(struct signals *signals, int number)
{
    struct program *program = CONTAINER_OF(signals, struct program, signals);
    struct loop *loop = &program->controller.loop;

    if (program->draining) {
        log_line(program->controller.log, LOG_INFO, "shutdown", "told again: ending at once");
        loop_stop(loop);
        return;
    }
    log_line(program->controller.log, LOG_INFO, "shutdown", "draining");
    program->draining = true;
    for (unsigned i = 0; i < program->listening_count; i++)
        grpc_listener_drain(program->listening[i].listener);
    if (program->webhook)
        webhook_drain(program->webhook);
    end_calls(program);
    writer_end(program->status_writer);
    writer_end(program->slice_writer);
    timer_set(loop, &program->grace, loop->now_ns + program->settings.grace_ns);
    timer_set(loop, &program->drained, loop->now_ns + DRAIN_LOOK_NS);
}

/* --- the source --- */

static void on_report(struct reporter *reporter, const struct report *report)
{
    static const enum log_level levels[] = {[REPORT_INFO] = LOG_DEBUG, [REPORT_WARNING] = LOG_WARN, [REPORT_ERROR] = LOG_ERROR};
    struct program *program = CONTAINER_OF(reporter, struct program, reporter);
    bool of_cluster = report->severity == REPORT_INFO && !report->file.len; /* not about a file: that a kind is up to date again */
    struct buffer text;

    buffer_init(&text, LOG_LINE_MAX);
    report_format(report, &text);
    log_line(program->controller.log, of_cluster ? LOG_INFO : levels[report->severity], "source", "%.*s", SLICE_ARGS(buffer_slice(&text)));
    buffer_release(&text);
}

static int follow_directory(struct program *program)
{
    struct controller *controller = &program->controller;
    struct errmsg msg = {""};
    struct directory_counts counts;
    int r = directory_new(controller->store, &program->reporter, &program->directory);

    if (r == 0)
        r = directory_watch_new(&controller->loop, program->directory, controller->store, controller->options.source.ptr,
                                &program->reporter, &program->watch, &msg);
    if (r < 0) {
        log_line(controller->log, LOG_ERROR, "start", "--source=%.*s: %s", SLICE_ARGS(controller->options.source),
                 msg.text[0] ? msg.text : strerror(-r));
        return r;
    }
    counts = directory_counts(program->directory);
    log_line(controller->log, LOG_INFO, "source", "%zu objects from %zu files, %zu documents not in force", counts.objects, counts.files,
             counts.broken + counts.duplicates);
    return 0;
}

static void no_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
}

static void on_synced(struct subscriber *subscriber);

static int follow_cluster(struct program *program)
{
    struct controller *controller = &program->controller;
    int r;

    program->synced = (struct subscriber){.on_change = no_change, .on_synced = on_synced};
    r = store_subscribe(controller->store, &program->synced);
    if (r < 0)
        program->synced.on_synced = NULL;
    else
        r = cluster_follow(program->cluster, controller, &program->reporter);
    return r;
}

/* Components have subscribed; from here on they hear of everything. */
static int follow_source(struct program *program)
{
    const struct settings *settings = &program->settings;

    program->reporter.report = on_report;
    if (settings->options.source.len)
        return follow_directory(program);
    if (settings->components & ~(unsigned)(COMPONENT_IDENTITY | COMPONENT_SP_VALIDATOR))
        return follow_cluster(program);
    store_set_synced(program->controller.store); /* these two need none */
    return 0;
}

/* --- starting --- */

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

/* What everything that asks the API server needs. */
static int enter_cluster(struct program *program)
{
    struct controller *controller = &program->controller;
    struct errmsg msg = {""};
    int r = cluster_new(controller, program->settings.kubeconfig, &program->cluster, &msg);

    if (r < 0)
        log_line(controller->log, LOG_ERROR, "start", "no access to a Kubernetes API server: %s; or name a directory of manifests by --source",
                 msg.text[0] ? msg.text : strerror(-r));
    else
        log_line(controller->log, LOG_INFO, "start", "the API server is %s", cluster_name(program->cluster));
    return r;
}

static int start_identity(struct program *program)
{
    const struct settings *settings = &program->settings;
    struct identity_settings identity = {
        .issuer = settings->issuer,
        .token_key = settings->token_key,
        .trust_anchors = settings->trust_anchors,
        .lifetime_ns = settings->issuance_lifetime_ns,
        .skew_ns = settings->clock_skew_ns,
        .client = program->cluster ? cluster_client(program->cluster) : NULL,
    };
    struct errmsg msg = {""};
    int r = settings->token_key ? 0 : token_review_new(cluster_client(program->cluster), &program->reviewer);

    identity.validator = program->reviewer;
    if (r == 0)
        r = identity_service_new(&program->controller, &identity, program->ttl_family, &msg, &program->identity);
    if (r < 0)
        log_line(program->controller.log, LOG_ERROR, "start", "identity: %s", msg.text[0] ? msg.text : strerror(-r));
    return r;
}

/* The names that the chart gives to the objects of a webhook. */
#define OWN_CERTIFICATE(component, is_mutating)                                                                                       \
    {                                                                                                                                  \
        .name = (component), .secret = "linkerd-" component "-k8s-tls", .service = "linkerd-" component, .mutating = (is_mutating),     \
        .configuration = "linkerd-" component "-webhook-config", .webhook = "linkerd-" component ".linkerd.io",                        \
    }
static const struct own_certificate_setup own_injector = OWN_CERTIFICATE("proxy-injector", true);
static const struct own_certificate_setup own_sp_validator = OWN_CERTIFICATE("sp-validator", false);
static const struct own_certificate_setup own_policy_validator = OWN_CERTIFICATE("policy-validator", false);

/* From files, or made by us. */
static int start_certificate(struct program *program, const struct own_certificate_setup *names)
{
    const struct settings *settings = &program->settings;
    struct own_certificate_setup own = *names;
    int r = webhook_certificate_new(&program->controller, own.name, settings->make_certificate ? NULL : settings->tls_certificate,
                                    settings->tls_key, &program->certificate);

    if (r < 0 || !settings->make_certificate)
        return r;
    own.client = cluster_client(program->cluster);
    own.namespace_ = settings->options.namespace_;
    own.certificate = program->certificate;
    return own_certificate_new(&program->controller, &own, &program->own_certificate);
}

static int start_injector(struct program *program)
{
    const struct settings *settings = &program->settings;
    struct controller *controller = &program->controller;
    const struct injector_settings injector = {.values = settings->values, .trust_anchors = settings->trust_anchors};
    struct api_client *client = program->cluster ? cluster_client(program->cluster) : NULL;
    struct errmsg msg = {""};
    int r = injector_service_new(controller, client, &injector, program->injector_family, &msg, &program->injector);

    if (r == 0)
        r = start_certificate(program, &own_injector);
    if (r < 0)
        log_line(controller->log, LOG_ERROR, "start", "proxy-injector: %s", msg.text[0] ? msg.text : strerror(-r));
    return r;
}

/* sp-validator, or a part of the policy component, which has an address for it then. */
static const struct own_certificate_setup *validator_names(const struct program *program)
{
    return program->settings.components == COMPONENT_SP_VALIDATOR ? &own_sp_validator : &own_policy_validator;
}

static int start_validator(struct program *program)
{
    const struct settings *settings = &program->settings;
    struct controller *controller = &program->controller;
    struct slice domain = settings->domain_given || program->policy ? controller->options.cluster_domain : SLICE_NULL;
    const char *name = validator_names(program)->name;
    int r = validate_service_new(controller, name, program->policy, domain, program->validator_family, &program->validator);

    if (r == 0)
        r = start_certificate(program, validator_names(program));
    if (r < 0)
        log_line(controller->log, LOG_ERROR, "start", "%s: %s", name, strerror(-r));
    return r;
}

static int start_components(struct program *program)
{
    unsigned components = program->settings.components;
    int r = 0;

    if (components & COMPONENT_DESTINATION)
        r = destination_new(&program->controller, &program->destination);
    if (r == 0 && (components & COMPONENT_POLICY))
        r = policy_new(&program->controller, &program->policy);
    if (r == 0 && program->policy && program->cluster)
        r = writer_new(&program->controller, cluster_client(program->cluster), &STATUS_JOB, &program->status_writer);
    if (r == 0 && program->destination && program->cluster)
        r = writer_new(&program->controller, cluster_client(program->cluster), &SLICE_JOB, &program->slice_writer);
    if (r == 0 && (components & COMPONENT_IDENTITY))
        r = start_identity(program);
    if (r == 0 && (components & COMPONENT_INJECTOR))
        r = start_injector(program);
    else if (r == 0 && program->settings.webhook_addr.ip.version)
        r = start_validator(program);
    return r;
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
    setup.name = program->injector ? "proxy-injector" : validator_names(program)->name;
    setup.hooks = program->injector ? injector_service_hook(program->injector) : validate_service_hook(program->validator);
    r = webhook_new(&program->controller, &setup, &program->webhook);
    if (r < 0)
        log_line(program->controller.log, LOG_ERROR, "start", "%s cannot listen on %s: %s", setup.name, addr_format(setup.addr, text), strerror(-r));
    else
        log_line(program->controller.log, LOG_INFO, "start", "%s listens on %s", setup.name, addr_format(setup.addr, text));
    return r;
}

static int open_ports(struct program *program)
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

static const char *readiness(struct program *program)
{
    if (is_ready(program))
        return "ready";
    if (program->settings.components == COMPONENT_SP_VALIDATOR)
        return "serving, but not ready: the validator has no certificate";
    return program->injector ? "serving, but not ready: the injector has no usable values or no certificate"
                             : "serving, but not ready: identity has no usable issuer";
}

static void measure(void *owner)
{
    struct program *program = owner;

    if (program->identity)
        identity_service_measure(program->identity);
    if (program->injector)
        injector_service_measure(program->injector);
}

static int open_admin(struct program *program)
{
    const struct admin_hooks hooks = {is_ready, measure, program};
    char text[ADDR_TEXT_MAX];
    int r = admin_new(&program->controller, program->settings.admin_addr, &hooks, &program->admin);

    if (r < 0)
        log_line(program->controller.log, LOG_ERROR, "start", "the admin port cannot listen on %s: %s",
                 addr_format(program->settings.admin_addr, text), strerror(-r));
    return r;
}

/* All that the cluster has at the beginning is known: from now on answers are true. */
static void on_synced(struct subscriber *subscriber)
{
    struct program *program = CONTAINER_OF(subscriber, struct program, synced);
    struct controller *controller = &program->controller;
    size_t count = 0;

    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++)
        count += store_all(controller->store, (enum kube_kind)kind).count;
    log_line(controller->log, LOG_INFO, "source", "%zu objects from %s", count, cluster_name(program->cluster));
    if (open_ports(program) == 0) {
        log_line(controller->log, LOG_INFO, "start", "%s", readiness(program));
        return;
    }
    program->status = EXIT_START;
    loop_stop(&controller->loop);
}

static int start(struct program *program)
{
    static const int numbers[] = {SIGTERM, SIGINT, 0};
    struct loop *loop = &program->controller.loop;
    int r = timer_init(loop, &program->grace, on_grace_over);

    if (r == 0)
        r = timer_init(loop, &program->drained, look_if_drained);
    if (r == 0)
        r = signals_start(&program->signals, loop, numbers, on_signal);
    if (r == 0)
        r = open_admin(program);
    if (r == 0 && !program->settings.cluster)
        r = derive_new(program->controller.store, &program->derive);
    if (r == 0 && program->settings.cluster)
        r = enter_cluster(program);
    if (r == 0)
        r = start_components(program);
    if (r == 0)
        r = follow_source(program);
    if (r == 0 && !program->synced.on_synced)
        r = open_ports(program);
    return r;
}

static void stop(struct program *program)
{
    struct loop *loop = &program->controller.loop;

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
    timer_release(loop, &program->grace);
    timer_release(loop, &program->drained);
    signals_stop(&program->signals);
}

/* --- the process --- */

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
            log_line(controller->log, LOG_INFO, "start", "%s", readiness(program));
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
