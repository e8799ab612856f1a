/* What `linkerd check` says of certificates and of the directory of resources. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cli/check/check.h"
#include "cli/files.h"
#include "cli/show.h"
#include "kube/directory/directory.h"

enum { DAYS_SOON = 60 };

/* One certificate, of an anchor or an issuer. */
static void check_validity(struct checks *checks, const char *what, const char *path, const struct x509_cert *cert)
{
    bool is_anchor = strcmp(what, "trust anchors") == 0;
    struct check_row valid = {.anchor = is_anchor ? "anchors-valid" : "issuer-valid"};
    struct check_row soon = {.anchor = is_anchor ? "anchors-days-left" : "issuer-days-left"};
    struct check_row clock = {.anchor = "clock-skew"};
    int64_t now = wall_now();
    char days[48], when[32];

    errmsg_set(&clock.what, 0, "%s: the clock is not behind the certificate", what);
    if (x509_cert_not_before(cert) > now) {
        clock.result = CHECK_ERROR;
        errmsg_set(&clock.error, 0, "%s is valid from %s, which this clock has not reached", path,
                   wall_format(x509_cert_not_before(cert), when));
    }
    checks_add(checks, &clock);
    errmsg_set(&valid.what, 0, "%s: not expired", what);
    if (x509_cert_not_after(cert) < now) {
        valid.result = CHECK_ERROR;
        errmsg_set(&valid.error, 0, "%s expired at %s", path, wall_format(x509_cert_not_after(cert), when));
        checks_add(checks, &valid);
        return;
    }
    checks_add(checks, &valid);
    errmsg_set(&soon.what, 0, "%s: valid for at least %d days", what, DAYS_SOON);
    if (x509_cert_days_left(cert, now) < DAYS_SOON) {
        soon.result = CHECK_WARNING;
        errmsg_set(&soon.error, 0, "%s: %s, until %s", path, cert_days(cert, now, days),
                   wall_format(x509_cert_not_after(cert), when));
    } else {
        errmsg_set(&soon.what, 0, "%s: valid for at least %d days (%s)", what, DAYS_SOON, cert_days(cert, now, days));
    }
    checks_add(checks, &soon);
}

static bool check_readable(struct checks *checks, const char *what, const char *anchor, const char *path,
                           struct x509_bundle *ret_bundle)
{
    struct check_row row = {.anchor = anchor};

    errmsg_set(&row.what, 0, "%s: can be read", what);
    row.result = file_read_certs(path, &row.error, ret_bundle) < 0 ? CHECK_ERROR : CHECK_OK;
    checks_add(checks, &row);
    return row.result == CHECK_OK;
}

static void issuer_path(const char *directory, const char *name, const char *other, char out[PATH_MAX])
{
    if (file_join(directory, name, NULL, out, PATH_MAX) < 0 || access(out, F_OK) < 0)
        if (file_join(directory, other, NULL, out, PATH_MAX) < 0 || access(out, F_OK) < 0)
            (void)file_join(directory, name, NULL, out, PATH_MAX);
}

static void check_issuer_key(struct checks *checks, const struct x509_cert *cert)
{
    struct check_row row = {.anchor = "issuer-key"};
    struct x509_key *key = NULL;
    char path[PATH_MAX];

    errmsg_set(&row.what, 0, "issuer: has its key, ECDSA P-256");
    issuer_path(checks->options->issuer, "tls.key", "key.pem", path);
    if (file_read_key(path, &row.error, &key) < 0) {
        row.result = CHECK_ERROR;
    } else if (!x509_cert_has_key(cert, key)) {
        row.result = CHECK_ERROR;
        errmsg_set(&row.error, 0, "%s is not the key of the issuer's certificate", path);
    }
    checks_add(checks, &row);
    x509_key_unref(key);
}

static void check_issued(struct checks *checks, const struct x509_bundle *chain, const struct x509_bundle *anchors)
{
    struct check_row row = {.anchor = "issuer-anchor"};
    enum x509_failure why;

    errmsg_set(&row.what, 0, "issuer: signed by the trust anchors");
    if (x509_verify(chain, anchors, X509_FOR_ISSUER, wall_now(), &row.error, &why) < 0)
        row.result = CHECK_ERROR;
    checks_add(checks, &row);
}

void check_identity(struct checks *checks)
{
    struct x509_bundle anchors = {NULL, 0}, issuer = {NULL, 0};
    char path[PATH_MAX];
    bool have = *checks->options->anchors &&
                check_readable(checks, "trust anchors", "anchors-readable", checks->options->anchors, &anchors);

    for (size_t i = 0; i < anchors.count; i++)
        check_validity(checks, "trust anchors", checks->options->anchors, anchors.certs[i]);
    if (*checks->options->issuer) {
        issuer_path(checks->options->issuer, "tls.crt", "crt.pem", path);
        if (check_readable(checks, "issuer", "issuer-readable", path, &issuer)) {
            check_validity(checks, "issuer", path, issuer.certs[0]);
            check_issuer_key(checks, issuer.certs[0]);
            if (have)
                check_issued(checks, &issuer, &anchors);
        }
    }
    x509_bundle_release(&anchors);
    x509_bundle_release(&issuer);
}

/* --- the directory --- */

struct collector {
    struct reporter reporter;
    unsigned errors, warnings;
    struct errmsg first_error, first_warning;
};

static void collect(struct reporter *reporter, const struct report *report)
{
    struct collector *collector = (struct collector *)reporter; /* its first member */
    struct errmsg *first = report->severity == REPORT_ERROR ? &collector->first_error : &collector->first_warning;
    unsigned *count = report->severity == REPORT_ERROR ? &collector->errors : &collector->warnings;
    struct buffer text;

    if (report->severity == REPORT_INFO || (*count)++)
        return;
    buffer_init(&text, 65536);
    report_format(report, &text);
    errmsg_set(first, 0, "%.*s", SLICE_ARGS(buffer_slice(&text)));
    buffer_release(&text);
}

static void add_found(struct checks *checks, const char *anchor, const char *what, enum check_result bad,
                      unsigned count, const struct errmsg *first)
{
    struct check_row row = {.anchor = anchor, .result = count ? bad : CHECK_OK, .error = *first};

    errmsg_set(&row.what, 0, "%s", what);
    if (count > 1)
        errmsg_set(&row.error, 0, "%.400s (and %u more)", first->text, count - 1);
    checks_add(checks, &row);
}

void check_source(struct checks *checks)
{
    struct collector collector = {.reporter = {collect}};
    struct check_row row = {.anchor = "source-readable"};
    struct store *store = NULL;
    int r;

    if (!*checks->options->source)
        return;
    errmsg_set(&row.what, 0, "source directory: can be read");
    r = directory_load(checks->options->source, &collector.reporter, &store, &row.error);
    if (r < 0 && !*row.error.text)
        errmsg_set(&row.error, r, "%s: %s", checks->options->source, strerror(-r));
    row.result = r < 0 ? CHECK_ERROR : CHECK_OK;
    checks_add(checks, &row);
    if (r < 0)
        return;
    add_found(checks, "source-broken", "source directory: every document can be used", CHECK_ERROR, collector.errors,
              &collector.first_error);
    add_found(checks, "source-warnings", "source directory: every field is understood", CHECK_WARNING,
              collector.warnings, &collector.first_warning);
    store_free(store);
}
