#include "control/webhook/certificate.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "control/watched_files.h"
#include "kube/file.h"
#include "net/x509/x509.h"

static const struct metric_family expires[] = {
    {"webhook_certificate_expiration_timestamp_seconds", "When the serving certificate of the webhooks ends.", METRIC_GAUGE, METRIC_SECONDS, NULL},
};

struct webhook_certificate {
    struct watched_files files;
    struct controller *controller;
    const char *name;
    struct tls_context *context;
    struct metric *expires; /* NULL before the first */
};

int webhook_certificate_register(struct metrics *metrics)
{
    return metrics_add_table(metrics, expires, sizeof(expires) / sizeof(expires[0]));
}

static void measure(struct webhook_certificate *certificate, const struct x509_cert *leaf)
{
    struct buffer labels;

    if (!certificate->expires) {
        buffer_init(&labels, 256);
        label_add(&labels, "webhook", slice_str(certificate->name));
        certificate->expires = metric_get_built(certificate->controller->shard, certificate->controller->webhook_families, &labels);
        buffer_release(&labels);
    }
    metric_set(certificate->expires, x509_cert_not_after(leaf));
}

static void tell(struct webhook_certificate *certificate, struct slice chain)
{
    struct x509_bundle bundle;
    struct buffer subject;
    int64_t wall = certificate->controller->sys->ops->wall(certificate->controller->sys);

    if (x509_bundle_read(chain, NULL, &bundle) < 0)
        return;
    measure(certificate, bundle.certs[0]);
    buffer_init(&subject, LIMIT_CERTIFICATE);
    (void)x509_cert_subject(bundle.certs[0], &subject);
    log_line(certificate->controller->log, LOG_INFO, certificate->name, "the serving certificate is that of %.*s, with %lld days left",
             SLICE_ARGS(buffer_slice(&subject)), (long long)x509_cert_days_left(bundle.certs[0], wall));
    buffer_release(&subject);
    x509_bundle_release(&bundle);
}

int webhook_certificate_give(struct webhook_certificate *certificate, struct slice chain, struct slice key, struct errmsg *msg)
{
    const struct tls_web options = {.insecure = true, .certificate = chain, .key = key}; /* clients prove nothing */
    struct tls_context *context;
    int r = chain.len && key.len ? 0 : errmsg_set(msg, -EINVAL, "the certificate or its key is empty");

    if (r == 0)
        r = tls_web_context_new(certificate->controller->sys, &options, msg, &context);
    if (r < 0)
        return r;
    tls_context_unref(certificate->context);
    certificate->context = context;
    tell(certificate, chain);
    return 0;
}

static int load(struct watched_files *files, struct errmsg *msg)
{
    struct webhook_certificate *certificate = CONTAINER_OF(files, struct webhook_certificate, files);
    struct buffer chain, key = {0};
    int r = file_load(slice_str(files->paths[0]), LIMIT_PEM, &chain, msg);

    if (r == 0)
        r = file_load(slice_str(files->paths[1]), LIMIT_PEM, &key, msg);
    if (r == 0) {
        r = webhook_certificate_give(certificate, buffer_slice(&chain), buffer_slice(&key), msg);
        if (r < 0)
            errmsg_prefix(msg, r, "%s", files->paths[0]);
    }
    file_forget(&key);
    file_forget(&chain);
    return r;
}

static void on_result(struct watched_files *files, int result, const char *why)
{
    struct webhook_certificate *certificate = CONTAINER_OF(files, struct webhook_certificate, files);

    if (result < 0)
        log_line(certificate->controller->log, LOG_WARN, certificate->name, "%s: %s",
                 certificate->context ? "the last good serving certificate stays" : "there is no usable serving certificate yet", why);
}

int webhook_certificate_new(struct controller *controller, const char *name, const char *certificate_file, const char *key_file,
                            struct webhook_certificate **ret_certificate)
{
    struct webhook_certificate *certificate = calloc(1, sizeof(*certificate));
    int r;

    if (!certificate)
        return -ENOMEM;
    certificate->controller = controller;
    certificate->name = name;
    certificate->files = (struct watched_files){
        .controller = controller, .paths = {certificate_file, key_file}, .load = load, .on_result = on_result};
    r = certificate_file ? watched_files_start(&certificate->files) : 0;
    if (r < 0) {
        free(certificate);
        return r;
    }
    *ret_certificate = certificate;
    return 0;
}

void webhook_certificate_free(struct webhook_certificate *certificate)
{
    if (!certificate)
        return;
    watched_files_stop(&certificate->files);
    tls_context_unref(certificate->context);
    metric_unref(certificate->expires);
    free(certificate);
}

struct tls_context *webhook_certificate_context(const struct webhook_certificate *certificate)
{
    return certificate->context;
}
