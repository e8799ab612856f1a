/* What `linkerd check` says of trust anchors, the issuer and the certificates of webhooks in a cluster. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/check/check_cluster.h"
#include "cli/cluster/pod_identity.h"
#include "cli/files.h"
#include "cli/show.h"
#include "kube/access/base64.h"

enum { DAYS_SOON = 60, RSA_LEAST = 2048 };

/* --- reading them --- */

/* The text of the first of these keys that is there, decoded into the arena. -ENOENT. */
static int secret_text(const json_t *secret, const char *const keys[], struct arena *arena, struct slice *ret_text)
{
    for (; *keys; keys++) {
        const char *text = json_string_value(json_object_get(json_object_get(secret, "data"), *keys));

        if (text)
            return base64_read(arena, slice_str(text), ret_text);
    }
    return -ENOENT;
}

static int read_anchors(struct cluster *cluster, struct errmsg *why)
{
    json_t *object;
    const char *pem;
    int r = cluster_get(cluster, why, &object, "/api/v1/namespaces/%s/configmaps/linkerd-identity-trust-roots", cluster->namespace_);

    if (r < 0)
        return r;
    pem = json_string_value(json_object_get(json_object_get(object, "data"), "ca-bundle.crt"));
    if (!pem)
        r = errmsg_set(why, -ENOENT, "the ConfigMap linkerd-identity-trust-roots has no ca-bundle.crt");
    else if (x509_bundle_read(slice_str(pem), why, &cluster->anchors) < 0)
        r = errmsg_prefix(why, -EINVAL, "ConfigMap linkerd-identity-trust-roots, ca-bundle.crt");
    json_decref(object);
    return r;
}

static int read_pair(const json_t *secret, struct arena *arena, struct x509_bundle *ret_chain, struct errmsg *why)
{
    static const char *const certificates[] = {"crt.pem", "tls.crt", NULL}, *const keys[] = {"key.pem", "tls.key", NULL};
    const char *name = json_text(secret, "metadata.name");
    struct slice certificate, key_pem;
    struct x509_key *key = NULL;
    int r;

    if (secret_text(secret, certificates, arena, &certificate) < 0 || secret_text(secret, keys, arena, &key_pem) < 0)
        return errmsg_set(why, -ENOENT, "the Secret %s has no crt.pem and key.pem, nor tls.crt and tls.key", name);
    r = x509_bundle_read(certificate, why, ret_chain);
    if (r == 0)
        r = x509_key_read(key_pem, why, &key);
    if (r == -ENOTSUP)
        return 0; /* of another kind than we sign with: a row of its own says so, by the certificate */
    if (r == 0 && !x509_cert_has_key(ret_chain->certs[0], key))
        r = errmsg_set(why, -EINVAL, "the key is not that of the certificate");
    x509_key_unref(key);
    return r < 0 ? errmsg_prefix(why, r, "Secret %s", name) : 0;
}

static int read_issuer(struct cluster *cluster, struct errmsg *why)
{
    struct arena arena;
    json_t *secret;
    int r = cluster_get(cluster, why, &secret, "/api/v1/namespaces/%s/secrets/linkerd-identity-issuer", cluster->namespace_);

    if (r < 0)
        return r;
    arena_init(&arena, LIMIT_OBJECT_ARENA);
    r = read_pair(secret, &arena, &cluster->issuer, why);
    arena_release(&arena);
    json_decref(secret);
    return r;
}

static int test_read(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    int r;

    x509_bundle_release(&cluster->anchors);
    x509_bundle_release(&cluster->issuer);
    r = read_anchors(cluster, why);
    return r < 0 ? r : read_issuer(cluster, why);
}

/* --- one certificate --- */

static const char *name_of(const struct x509_cert *cert, char out[128])
{
    struct buffer text;

    buffer_init(&text, 4096);
    x509_cert_subject(cert, &text);
    snprintf(out, 128, "%.*s", SLICE_ARGS(slice_take(buffer_slice(&text), 120)));
    buffer_release(&text);
    return out;
}

static void want_time(const struct x509_cert *cert, struct culprits *culprits)
{
    int64_t now = wall_now();
    char name[128], when[32];

    if (x509_cert_not_before(cert) > now)
        culprits_add(culprits, "%s is valid from %s", name_of(cert, name), wall_format(x509_cert_not_before(cert), when));
    else if (x509_cert_not_after(cert) < now)
        culprits_add(culprits, "%s expired at %s", name_of(cert, name), wall_format(x509_cert_not_after(cert), when));
}

static void want_days(const struct x509_cert *cert, struct culprits *culprits)
{
    int64_t now = wall_now();
    char name[128], days[48];

    if (x509_cert_days_left(cert, now) < DAYS_SOON)
        culprits_add(culprits, "%s: %s", name_of(cert, name), cert_days(cert, now, days));
}

/* ECDSA, Ed25519 and RSA of a sound size; of an issuer, the one curve that the identity service signs with. */
static void want_algorithm(const struct x509_cert *cert, bool issuer, struct culprits *culprits)
{
    struct buffer text;
    struct slice algorithm;
    uint64_t bits;
    char name[128];
    bool sound;

    buffer_init(&text, 4096);
    x509_cert_algorithm(cert, &text);
    algorithm = buffer_slice(&text);
    if (slice_starts(algorithm, SLICE_LIT("RSA ")))
        sound = !issuer && slice_u64(slice_skip(algorithm, 4), UINT32_MAX, &bits) == 0 && bits >= RSA_LEAST;
    else
        sound = issuer ? slice_eq(algorithm, SLICE_LIT("ECDSA P-256")) : slice_starts(algorithm, SLICE_LIT("ECDSA ")) || slice_starts(algorithm, SLICE_LIT("Ed25519"));
    if (!sound)
        culprits_add(culprits, "%s has a key of %.*s", name_of(cert, name), SLICE_ARGS(algorithm));
    buffer_release(&text);
}

static int test_anchors_algorithm(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};

    for (size_t i = 0; i < cluster->anchors.count; i++)
        want_algorithm(cluster->anchors.certs[i], false, &culprits);
    return culprits_end(&culprits, "expected ECDSA, or RSA of 2048 bits or more: ", why);
}

static int test_anchors_time(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};

    for (size_t i = 0; i < cluster->anchors.count; i++)
        want_time(cluster->anchors.certs[i], &culprits);
    return culprits_end(&culprits, "", why);
}

static int test_anchors_days(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};

    for (size_t i = 0; i < cluster->anchors.count; i++)
        want_days(cluster->anchors.certs[i], &culprits);
    return culprits_end(&culprits, "", why);
}

static int test_issuer_algorithm(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};

    want_algorithm(cluster->issuer.certs[0], true, &culprits);
    return culprits_end(&culprits, "expected ECDSA P-256: ", why);
}

static int test_issuer_time(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};

    want_time(cluster->issuer.certs[0], &culprits);
    return culprits_end(&culprits, "", why);
}

static int test_issuer_days(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};

    want_days(cluster->issuer.certs[0], &culprits);
    return culprits_end(&culprits, "", why);
}

static int test_issuer_chain(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    enum x509_failure failure;

    return x509_verify(&cluster->issuer, &cluster->anchors, X509_FOR_ISSUER, wall_now(), why, &failure);
}

const struct cluster_row check_trust_rows[] = {
    {"l5d-identity-cert-config-valid", "trust anchors and issuer can be read", ROW_FATAL, test_read},
    {"l5d-identity-trustAnchors-use-supported-crypto", "the trust anchors have keys of a sound kind", ROW_FATAL, test_anchors_algorithm},
    {"l5d-identity-trustAnchors-are-time-valid", "the trust anchors are within their validity", ROW_FATAL, test_anchors_time},
    {"l5d-identity-trustAnchors-not-expiring-soon", "the trust anchors are valid for at least 60 days", ROW_WARNS, test_anchors_days},
    {"l5d-identity-issuer-cert-uses-supported-crypto", "the issuer has a key of a kind that can sign here", ROW_FATAL, test_issuer_algorithm},
    {"l5d-identity-issuer-cert-is-time-valid", "the issuer is within its validity", ROW_FATAL, test_issuer_time},
    {"l5d-identity-issuer-cert-not-expiring-soon", "the issuer is valid for at least 60 days", ROW_WARNS, test_issuer_days},
    {"l5d-identity-issuer-cert-issued-by-trust-anchor", "the trust anchors vouch for the issuer", 0, test_issuer_chain},
};

/* --- proxies --- */

/* The anchors that a proxy is started with, unless a ConfigMap gives them. */
static const char *anchors_of(const json_t *pod)
{
    json_t *variable;
    size_t i;

    json_array_foreach (json_at(pod, "proxy.env"), i, variable)
        if (strcmp(json_text(variable, "name"), "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS") == 0)
            return json_text(variable, "value");
    return "";
}

struct started {
    struct cluster *cluster;
    struct culprits culprits;
};

/* With these a proxy that starts again cannot believe what the issuer signs. */
static int look_at_proxy(void *owner, json_t *pod, struct errmsg *msg)
{
    struct started *started = owner;
    struct x509_bundle anchors = {NULL, 0};
    const char *pem = anchors_of(pod);
    enum x509_failure failure;

    if (!*pem)
        return 0;
    if (x509_bundle_read(slice_str(pem), NULL, &anchors) < 0 ||
        x509_verify(&started->cluster->issuer, &anchors, X509_FOR_ISSUER, wall_now(), NULL, &failure) < 0)
        culprits_add(&started->culprits, "%s/%s", POD_NAMESPACE(pod), POD_NAME(pod));
    x509_bundle_release(&anchors);
    return 0;
}

static int test_proxy_anchors(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct started started = {.cluster = cluster};
    char selector[512];
    int r;

    snprintf(selector, sizeof(selector), SELECT_MESHED, cluster->namespace_);
    r = pods_each(cluster->kube, cluster->options->namespace_, selector, look_at_proxy, &started, why);
    return r < 0 ? r : culprits_end(&started.culprits, "made with anchors that do not vouch for the issuer, restart them: ", why);
}

/* --- those that run --- */

static const int64_t PROXY_WAIT_NS = 5 * NS_PER_S;
enum { SILENT_MOST = 3 }; /* so many do not answer: then the others are not asked either */

struct running {
    struct cluster *cluster;
    int (*look)(struct running *running, const json_t *pod, struct errmsg *why); /* negative: it could not be asked */
    struct culprits culprits, silent;
    struct errmsg why; /* the last silent one */
};

static int look_at_running(void *owner, json_t *pod, struct errmsg *msg)
{
    struct running *running = owner;
    struct errmsg why = {""};

    if (!json_object_get(pod, "proxy") || running->silent.count == SILENT_MOST || running->look(running, pod, &why) == 0)
        return 0;
    running->why = why;
    culprits_add(&running->silent, "%s/%s", POD_NAMESPACE(pod), POD_NAME(pod));
    return 0;
}

static int each_running(struct cluster *cluster, int (*look)(struct running *running, const json_t *pod, struct errmsg *why),
                        const char *what, struct errmsg *why)
{
    struct running running = {.cluster = cluster, .look = look};
    char selector[512];
    int r;

    snprintf(selector, sizeof(selector), SELECT_MESHED, cluster->namespace_);
    r = pods_each(cluster->kube, cluster->options->namespace_, selector, look_at_running, &running, why);
    if (r == 0 && !*cluster->options->namespace_)
        r = pods_each(cluster->kube, cluster->namespace_, SELECT_CONTROL, look_at_running, &running, why);
    if (r == 0)
        r = culprits_end(&running.culprits, what, why);
    if (r == 0 && running.silent.count)
        r = errmsg_set(why, -EBADMSG, "not all proxies could be asked: %.300s", running.why.text);
    return r;
}

/* By the issuer before this one, or by nobody that is believed any more. */
static int look_at_certificate(struct running *running, const json_t *pod, struct errmsg *why)
{
    struct x509_bundle chain = {NULL, 0};
    enum x509_failure failure;
    int r = pod_identity_chain(running->cluster->kube, pod, PROXY_WAIT_NS, why, &chain);

    if (r == 0) {
        struct x509_bundle leaf = {chain.certs, 1};

        if (x509_verify(&chain, &running->cluster->anchors, X509_FOR_SERVER, wall_now(), why, &failure) < 0)
            culprits_add(&running->culprits, "%s/%s: not believed: %.200s", POD_NAMESPACE(pod), POD_NAME(pod), why->text);
        else if (x509_verify(&leaf, &running->cluster->issuer, X509_FOR_SERVER, wall_now(), NULL, &failure) < 0)
            culprits_add(&running->culprits, "%s/%s", POD_NAMESPACE(pod), POD_NAME(pod));
    }
    x509_bundle_release(&chain);
    return r;
}

static bool is_same_set(const struct x509_bundle *a, const struct x509_bundle *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (!x509_bundle_has(b, a->certs[i]))
            return false;
    for (size_t i = 0; i < b->count; i++)
        if (!x509_bundle_has(a, b->certs[i]))
            return false;
    return true;
}

static int look_at_anchors(struct running *running, const json_t *pod, struct errmsg *why)
{
    struct x509_bundle anchors = {NULL, 0};
    int r = pod_identity_anchors(running->cluster->kube, pod, PROXY_WAIT_NS, why, &anchors);

    if (r == 0 && !is_same_set(&anchors, &running->cluster->anchors))
        culprits_add(&running->culprits, "%s/%s (%zu of them)", POD_NAMESPACE(pod), POD_NAME(pod), anchors.count);
    x509_bundle_release(&anchors);
    return r == -ENOENT ? 0 : r; /* what a foreign proxy was started with, the row before has looked at */
}

static int test_running_anchors(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    return each_running(cluster, look_at_anchors, "these have others as yet: ", why);
}

static int test_running_certificates(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    return each_running(cluster, look_at_certificate, "these have others as yet: ", why);
}

const struct cluster_row check_trust_proxy_rows[] = {
    {"l5d-identity-data-plane-proxies-certs-match-ca", "the anchors that pods were made with vouch for the issuer", ROW_WARNS, test_proxy_anchors},
    {"l5d-identity-data-plane-running-anchors", "the proxies that run believe the trust anchors in force", ROW_WARNS, test_running_anchors},
    {"l5d-identity-data-plane-running-certs", "the proxies that run have certificates of the issuer in force", ROW_WARNS, test_running_certificates},
};

/* --- webhooks --- */

struct webhook {
    const char *secret, *service, *resource, *config;
};

static const struct webhook injector = {"linkerd-proxy-injector-k8s-tls", "linkerd-proxy-injector", "mutatingwebhookconfigurations",
                                        "linkerd-proxy-injector-webhook-config"};
static const struct webhook profiles = {"linkerd-sp-validator-k8s-tls", "linkerd-sp-validator", "validatingwebhookconfigurations",
                                        "linkerd-sp-validator-webhook-config"};
static const struct webhook policies = {"linkerd-policy-validator-k8s-tls", "linkerd-policy-validator", "validatingwebhookconfigurations",
                                        "linkerd-policy-validator-webhook-config"};

static int read_serving(struct cluster *cluster, const struct webhook *webhook, struct x509_bundle *ret_chain, struct errmsg *why)
{
    static const char *const keys[] = {"tls.crt", "crt.pem", NULL};
    struct arena arena;
    struct slice pem;
    json_t *secret;
    int r = cluster_get(cluster, why, &secret, "/api/v1/namespaces/%s/secrets/%s", cluster->namespace_, webhook->secret);

    if (r < 0)
        return r;
    arena_init(&arena, LIMIT_OBJECT_ARENA);
    r = secret_text(secret, keys, &arena, &pem);
    r = r < 0 ? errmsg_set(why, r, "it has no tls.crt") : x509_bundle_read(pem, why, ret_chain);
    arena_release(&arena);
    json_decref(secret);
    return r < 0 ? errmsg_prefix(why, r, "Secret %s", webhook->secret) : 0;
}

/* Every caBundle of the configuration must vouch for the chain. */
static int check_bundles(const json_t *config, const struct x509_bundle *chain, struct errmsg *why)
{
    json_t *webhook;
    size_t i;
    int r = 0;

    json_array_foreach (json_object_get(config, "webhooks"), i, webhook) {
        struct slice text = slice_str(json_text(webhook, "clientConfig.caBundle")), pem;
        struct x509_bundle authority = {NULL, 0};
        enum x509_failure failure;
        struct arena arena;

        if (!text.len)
            return errmsg_set(why, -ENOENT, "its caBundle is empty: the component has not written it, or cert-manager has not");
        arena_init(&arena, LIMIT_OBJECT_ARENA);
        r = base64_read(&arena, text, &pem);
        r = r < 0 ? errmsg_set(why, r, "its caBundle is no base64") : x509_bundle_read(pem, why, &authority);
        if (r == 0)
            r = x509_verify(chain, &authority, X509_FOR_SERVER, wall_now(), why, &failure);
        x509_bundle_release(&authority);
        arena_release(&arena);
        if (r < 0)
            return r;
    }
    return r;
}

static int test_webhook(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    const struct webhook *webhook = row->about;
    struct x509_bundle chain = {NULL, 0};
    json_t *config;
    char name[300];
    int r = cluster_get(cluster, why, &config, "/apis/admissionregistration.k8s.io/v1/%s/%s", webhook->resource, webhook->config);

    if (r < 0)
        return r;
    r = read_serving(cluster, webhook, &chain, why);
    snprintf(name, sizeof(name), "%s.%s.svc", webhook->service, cluster->namespace_);
    if (r == 0 && !x509_cert_has_id(chain.certs[0], (struct san){SAN_DNS, slice_str(name)}))
        r = errmsg_set(why, -EKEYREJECTED, "the certificate in the Secret %s is not for %s", webhook->secret, name);
    if (r == 0 && (r = check_bundles(config, &chain, why)) < 0)
        errmsg_prefix(why, r, "%s and the Secret %s", webhook->config, webhook->secret);
    x509_bundle_release(&chain);
    json_decref(config);
    return r;
}

static int test_webhook_days(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct x509_bundle chain = {NULL, 0};
    struct culprits culprits = {0};
    int r = read_serving(cluster, row->about, &chain, why);

    if (r < 0)
        return r;
    want_days(chain.certs[0], &culprits);
    x509_bundle_release(&chain);
    return culprits_end(&culprits, "", why);
}

const struct cluster_row check_webhook_rows[] = {
    {"l5d-proxy-injector-webhook-cert-valid", "the injector's certificate is one that the API server believes", ROW_FATAL, test_webhook, &injector},
    {"l5d-proxy-injector-webhook-cert-not-expiring-soon", "the injector's certificate is valid for at least 60 days", ROW_WARNS, test_webhook_days, &injector},
    {"l5d-sp-validator-webhook-cert-valid", "the sp-validator's certificate is one that the API server believes", ROW_FATAL, test_webhook, &profiles},
    {"l5d-sp-validator-webhook-cert-not-expiring-soon", "the sp-validator's certificate is valid for at least 60 days", ROW_WARNS, test_webhook_days, &profiles},
    {"l5d-policy-validator-webhook-cert-valid", "the policy-validator's certificate is one that the API server believes", ROW_FATAL, test_webhook, &policies},
    {"l5d-policy-validator-webhook-cert-not-expiring-soon", "the policy-validator's certificate is valid for at least 60 days", ROW_WARNS, test_webhook_days, &policies},
};
