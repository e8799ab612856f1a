/* `linkerd certs`: trust anchors and issuers, as `step certificate create` makes them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/show.h"
#include "net/x509/x509_issuer.h"

static const int64_t SKEW_NS = 60 * NS_PER_S; /* clocks of other machines may be behind */

struct make {
    const char *out, *common_name, *trust_domain, *scheme, *ca, *ca_key;
    int64_t lifetime_ns;
    bool force;
};

static const struct flag anchor_flags[] = {
    {"out", 0, FLAG_TEXT, offsetof(struct make, out), ".", .value = "DIR", .help = "Where ca.crt and ca.key are written"},
    {"trust-domain", 0, FLAG_TEXT, offsetof(struct make, trust_domain), "cluster.local", .value = "NAME",
     .help = "Domain of the identities"},
    {"common-name", 0, FLAG_TEXT, offsetof(struct make, common_name), .value = "NAME",
     .help = "Name of the anchor instead of root.linkerd.TRUST-DOMAIN"},
    {"validity", 0, FLAG_DURATION, offsetof(struct make, lifetime_ns), "87600h", .value = "DURATION",
     .help = "How long it is valid; ten years unless given"},
    {"force", 0, FLAG_SWITCH, offsetof(struct make, force), .help = "Replace files that are there"},
};

static const struct flag issuer_flags[] = {
    {"out", 0, FLAG_TEXT, offsetof(struct make, out), "issuer", .value = "DIR",
     .help = "The issuer directory; made when it is missing"},
    {"ca", 0, FLAG_TEXT, offsetof(struct make, ca), "ca.crt", .value = "FILE", .help = "Certificate of the trust anchor"},
    {"ca-key", 0, FLAG_TEXT, offsetof(struct make, ca_key), "ca.key", .value = "FILE", .help = "Key of the trust anchor"},
    {"scheme", 0, FLAG_CHOICE, offsetof(struct make, scheme), "kubernetes.io/tls", "kubernetes.io/tls|linkerd.io/tls",
     .help = "Names of the files: tls.crt, tls.key, ca.crt or crt.pem, key.pem"},
    {"trust-domain", 0, FLAG_TEXT, offsetof(struct make, trust_domain), "cluster.local", .value = "NAME",
     .help = "Domain of the identities"},
    {"common-name", 0, FLAG_TEXT, offsetof(struct make, common_name), .value = "NAME",
     .help = "Name of the issuer instead of identity.linkerd.TRUST-DOMAIN"},
    {"validity", 0, FLAG_DURATION, offsetof(struct make, lifetime_ns), "8760h", .value = "DURATION",
     .help = "How long it is valid; a year unless given"},
    {"force", 0, FLAG_SWITCH, offsetof(struct make, force), .help = "Replace files that are there"},
};

/* One file of those that a command makes. The name is in the directory --out. */
static int write_cert(const struct make *make, const char *name, const struct x509_cert *cert, struct errmsg *msg)
{
    char path[PATH_MAX];
    struct buffer pem;
    int r = file_join(make->out, name, msg, path, sizeof(path));

    buffer_init(&pem, LIMIT_PEM);
    if (r == 0)
        r = x509_cert_write_pem(cert, &pem);
    if (r == 0)
        r = file_write(path, buffer_slice(&pem), 0644, make->force, msg);
    if (r == 0)
        printf("%s\n", path);
    buffer_release(&pem);
    return r;
}

static int write_key(const struct make *make, const char *name, const struct x509_key *key, struct errmsg *msg)
{
    char path[PATH_MAX];
    struct buffer pem;
    int r = file_join(make->out, name, msg, path, sizeof(path));

    buffer_init(&pem, LIMIT_PEM);
    if (r == 0)
        r = x509_key_write_pem(key, &pem);
    if (r == 0)
        r = file_write(path, buffer_slice(&pem), 0600, make->force, msg);
    if (r == 0)
        printf("%s\n", path);
    if (pem.data)
        explicit_bzero(pem.data, pem.len);
    buffer_release(&pem);
    return r;
}

static int name_of(const struct make *make, const char *prefix, struct errmsg *msg, char *out, size_t size)
{
    int n = *make->common_name ? snprintf(out, size, "%s", make->common_name)
                               : snprintf(out, size, "%s.linkerd.%s", prefix, make->trust_domain);

    if (n < 0 || (size_t)n >= size || !san_is_dns(slice_str(out)))
        return errmsg_set(msg, -EINVAL, "\"%s\" is not a name; expected labels of letters, digits and dashes with dots between", out);
    return 0;
}

static int check_lifetime(const struct make *make, struct errmsg *msg)
{
    return make->lifetime_ns < NS_PER_S ? errmsg_set(msg, -EINVAL, "--validity must be at least 1s") : 0;
}

/* Refuses before anything was written, so that a certificate is never left without its key. */
static int check_free(const struct make *make, const char *const *names, size_t count, struct errmsg *msg)
{
    char path[PATH_MAX];
    struct stat st;

    for (size_t i = 0; i < count && !make->force; i++) {
        int r = file_join(make->out, names[i], msg, path, sizeof(path));

        if (r < 0)
            return r;
        if (lstat(path, &st) == 0)
            return errmsg_set(msg, -EEXIST, "%s: is there already; --force replaces it", path);
    }
    return 0;
}

static int report(int r, const char *command, const struct errmsg *msg)
{
    if (r == 0)
        return STATUS_DONE;
    return complain("%s: %s", command, *msg->text ? msg->text : strerror(-r));
}

static int make_anchor(const struct make *make, struct errmsg *msg)
{
    static const char *const names[] = {"ca.crt", "ca.key"};
    struct x509_validity validity = {make->lifetime_ns, SKEW_NS};
    struct x509_cert *cert = NULL;
    struct x509_key *key = NULL;
    char name[256];
    int r = name_of(make, "root", msg, name, sizeof(name));

    if (r == 0)
        r = check_lifetime(make, msg);
    if (r == 0)
        r = directory_make(make->out, msg);
    if (r == 0)
        r = check_free(make, names, 2, msg);
    if (r == 0)
        r = x509_key_new(&key);
    if (r == 0)
        r = x509_make_anchor(key, slice_str(name), wall_now(), &validity, msg, &cert);
    if (r == 0)
        r = write_key(make, names[1], key, msg);
    if (r == 0)
        r = write_cert(make, names[0], cert, msg);
    x509_cert_unref(cert);
    x509_key_unref(key);
    return r;
}

static int anchor_main(void *options, const struct words *arguments)
{
    struct errmsg msg = {""};

    return report(make_anchor(options, &msg), "certs anchor", &msg);
}

/* --- issuers --- */

struct signer {
    struct x509_bundle chain; /* its own certificate first */
    struct x509_key *key;
};

static void signer_release(struct signer *signer)
{
    x509_bundle_release(&signer->chain);
    x509_key_unref(signer->key);
}

static int read_signer(const struct make *make, struct signer *signer, struct errmsg *msg)
{
    const struct x509_cert *cert;
    int r = file_read_certs(make->ca, msg, &signer->chain);

    if (r == 0)
        r = file_read_key(make->ca_key, msg, &signer->key);
    if (r < 0)
        return r;
    cert = signer->chain.certs[0];
    if (!x509_cert_is_ca(cert))
        return errmsg_set(msg, -EINVAL, "%s: is not the certificate of a CA and cannot sign an issuer", make->ca);
    if (!x509_cert_has_key(cert, signer->key))
        return errmsg_set(msg, -EINVAL, "%s: is not the key of the first certificate in %s", make->ca_key, make->ca);
    if (x509_cert_not_after(cert) < wall_now())
        return errmsg_set(msg, -EINVAL, "%s: has expired; make a new trust anchor", make->ca);
    if (x509_cert_not_after(cert) < wall_now() + make->lifetime_ns)
        fprintf(stderr, "linkerd: certs issuer: the issuer will outlive %s, and is of no use after it\n", make->ca);
    return 0;
}

static int write_issuer(const struct make *make, const struct signer *signer, const struct x509_key *key,
                        const struct x509_cert *cert, struct errmsg *msg)
{
    bool kubernetes = strcmp(make->scheme, "kubernetes.io/tls") == 0;
    const char *const names[] = {kubernetes ? "tls.key" : "key.pem", kubernetes ? "tls.crt" : "crt.pem", "ca.crt"};
    int r = directory_make(make->out, msg);

    if (r == 0)
        r = check_free(make, names, kubernetes ? 3 : 2, msg);
    if (r == 0)
        r = write_key(make, names[0], key, msg);
    if (r == 0)
        r = write_cert(make, names[1], cert, msg);
    if (r == 0 && kubernetes)
        r = write_cert(make, names[2], signer->chain.certs[0], msg);
    return r;
}

static int make_issuer(const struct make *make, struct errmsg *msg)
{
    struct x509_validity validity = {make->lifetime_ns, SKEW_NS};
    struct signer signer = {.key = NULL};
    struct x509_cert *cert = NULL;
    struct x509_key *key = NULL;
    char name[256];
    int r = name_of(make, "identity", msg, name, sizeof(name));

    if (r == 0)
        r = check_lifetime(make, msg);
    if (r == 0)
        r = read_signer(make, &signer, msg);
    if (r == 0)
        r = x509_key_new(&key);
    if (r == 0)
        r = x509_make_issuer(signer.key, signer.chain.certs[0], key, slice_str(name), wall_now(), &validity, msg, &cert);
    if (r == 0)
        r = write_issuer(make, &signer, key, cert, msg);
    signer_release(&signer);
    x509_cert_unref(cert);
    x509_key_unref(key);
    return r;
}

static int issuer_main(void *options, const struct words *arguments)
{
    struct errmsg msg = {""};

    return report(make_issuer(options, &msg), "certs issuer", &msg);
}

/* --- show --- */

static int show_file(const char *path, struct errmsg *msg)
{
    struct x509_bundle bundle = {NULL, 0};
    struct buffer out;
    int64_t now = wall_now();
    int r = file_read_certs(path, msg, &bundle);

    if (r < 0)
        return r;
    buffer_init(&out, 1 << 20);
    for (size_t i = 0; i < bundle.count; i++) {
        buffer_printf(&out, "%s%s (%zu of %zu)\n", i ? "\n" : "", path, i + 1, bundle.count);
        cert_show(bundle.certs[i], now, &out);
    }
    r = buffer_error(&out);
    if (r == 0)
        fwrite(out.data, 1, out.len, stdout);
    buffer_release(&out);
    x509_bundle_release(&bundle);
    return r;
}

static int show_main(void *options, const struct words *arguments)
{
    struct errmsg msg = {""};
    int status = STATUS_DONE;

    for (size_t i = 0; i < arguments->count && status == STATUS_DONE; i++) {
        if (i)
            putchar('\n');
        status = report(show_file(arguments->items[i], &msg), "certs show", &msg);
    }
    return status;
}

const struct command certs_anchor_command = {
    .name = "certs anchor",
    .usage = "",
    .summary = "Make a trust anchor",
    .about = "Makes ca.crt and ca.key, a self-signed certificate (ECDSA P-256) that signs issuers. All proxies of a mesh\n"
             "are given ca.crt as their trust anchor. Keep ca.key away from the machines of the mesh.",
    .flags = FLAGS(anchor_flags),
    .options_size = sizeof(struct make),
    .run = anchor_main,
};

const struct command certs_issuer_command = {
    .name = "certs issuer",
    .usage = "",
    .summary = "Make an issuer, signed by a trust anchor",
    .about = "Makes a directory with the key and certificate (ECDSA P-256) with which the identity service signs the\n"
             "certificates of proxies.",
    .flags = FLAGS(issuer_flags),
    .options_size = sizeof(struct make),
    .run = issuer_main,
};

const struct command certs_show_command = {
    .name = "certs show",
    .usage = "FILE...",
    .summary = "Show names, issuer and days left of the certificates in PEM files",
    .min_arguments = 1,
    .max_arguments = WORDS_MAX,
    .run = show_main,
};
