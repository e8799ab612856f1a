#include <string.h>

#include "control/destination/slice_writer.h"
#include "control/identity/token_review.h"
#include "control/policy/status_writer.h"
#include "control/program.h"

int program_enter_cluster(struct program *program)
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
    const struct injector_settings injector = {
        .values = settings->values, .trust_anchors = settings->trust_anchors, .anchors_map = settings->anchors_map};
    struct api_client *client = program->cluster ? cluster_client(program->cluster) : NULL;
    struct errmsg msg = {""};
    int r = injector_service_new(controller, client, &injector, program->injector_family, &msg, &program->injector);

    if (r == 0)
        r = start_certificate(program, &own_injector);
    if (r < 0)
        log_line(controller->log, LOG_ERROR, "start", "proxy-injector: %s", msg.text[0] ? msg.text : strerror(-r));
    return r;
}

const struct own_certificate_setup *program_validator_names(const struct program *program)
{
    return program->settings.components == COMPONENT_SP_VALIDATOR ? &own_sp_validator : &own_policy_validator;
}

static int start_validator(struct program *program)
{
    const struct settings *settings = &program->settings;
    struct controller *controller = &program->controller;
    struct slice domain = settings->domain_given || program->policy ? controller->options.cluster_domain : SLICE_NULL;
    const char *name = program_validator_names(program)->name;
    int r = validate_service_new(controller, name, program->policy, domain, program->validator_family, &program->validator);

    if (r == 0)
        r = start_certificate(program, program_validator_names(program));
    if (r < 0)
        log_line(controller->log, LOG_ERROR, "start", "%s: %s", name, strerror(-r));
    return r;
}

int program_start_components(struct program *program)
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
