#include "cli/inject/inject_print.h"

#define FINE "\u221a"    /* √ */
#define WARNING "\u203c" /* ‼ */

typedef bool report_is(const struct manifest_report *report);

static bool has(const struct manifest_report *report, enum inject_skip skip)
{
    return report->skips & 1u << skip;
}

static bool is_host_network(const struct manifest_report *report) { return has(report, SKIP_HOST_NETWORK); }
static bool is_sidecar(const struct manifest_report *report) { return has(report, SKIP_SIDECAR); }
static bool is_disabled(const struct manifest_report *report) { return has(report, SKIP_DISABLED); }
static bool is_udp(const struct manifest_report *report) { return report->udp; }
static bool has_no_token(const struct manifest_report *report) { return has(report, SKIP_NO_TOKEN); }
static bool is_supported(const struct manifest_report *report) { return report->injected || report->annotatable; }

static size_t count(const struct manifest_reports *reports, report_is *is)
{
    size_t n = 0;

    for (const struct manifest_report *report = reports->first; report; report = report->next)
        n += is(report);
    return n;
}

/* "deployment/web, cronjob/backup" */
static void list(const struct manifest_reports *reports, report_is *is, struct buffer *out)
{
    bool first = true;

    for (const struct manifest_report *report = reports->first; report; report = report->next) {
        if (!is(report))
            continue;
        buffer_printf(out, "%s%.*s/%.*s", first ? "" : ", ", SLICE_ARGS(report->kind), SLICE_ARGS(report->name));
        first = false;
    }
}

/* A line that all is well, or the warning with the objects between the two texts. Returns whether there was a warning. */
static bool check(const struct manifest_reports *reports, bool verbose, report_is *is, const char *fine, const char *front, const char *behind,
                  struct buffer *out)
{
    if (!count(reports, is)) {
        if (verbose)
            buffer_printf(out, FINE " %s\n", fine);
        return false;
    }
    if (!front)
        return true;
    buffer_printf(out, WARNING " %s", front);
    list(reports, is, out);
    buffer_printf(out, "%s\n", behind);
    return true;
}

static bool print_supported(const struct manifest_reports *reports, bool verbose, struct buffer *out)
{
    bool none = !count(reports, is_supported);

    if (none)
        buffer_add_lit(out, WARNING " no supported objects found\n");
    else if (verbose)
        buffer_add_lit(out, FINE " at least one resource can be injected or annotated\n");
    return none;
}

/* What is wrong with annotations of an object that got its proxy all the same. */
static bool print_warnings(const struct manifest_reports *reports, struct buffer *out)
{
    bool any = false;

    for (const struct manifest_report *report = reports->first; report; report = report->next) {
        struct slice rest = report->warnings, line;

        while (slice_split(&rest, '\n', &line)) {
            if (!line.len)
                continue;
            buffer_printf(out, WARNING " %.*s/%.*s: %.*s\n", SLICE_ARGS(report->kind), SLICE_ARGS(report->name), SLICE_ARGS(line));
            any = true;
        }
    }
    return any;
}

static void print_object(const struct manifest_report *report, const char *what, struct buffer *out)
{
    if (report->kind.len)
        buffer_printf(out, "%.*s \"%.*s\" %s\n", SLICE_ARGS(report->kind), SLICE_ARGS(report->name), what);
    else
        buffer_add_lit(out, "document missing \"kind\" field, skipped\n");
}

void inject_print(const struct manifest_reports *reports, bool verbose, struct buffer *out)
{
    bool any = verbose;

    buffer_add_byte(out, '\n'); /* behind the manifests, where both are one terminal */
    any |= check(reports, verbose, is_host_network, "pods do not use host networking", "\"hostNetwork: true\" detected in ", "", out);
    any |= check(reports, verbose, is_sidecar, "pods do not have a 3rd party proxy or initContainer already injected",
                 "known 3rd party sidecar detected in ", "", out);
    any |= check(reports, verbose, is_disabled, "pods are not annotated to disable injection",
                 "\"linkerd.io/inject: disabled\" annotation set on ", "", out);
    any |= print_supported(reports, verbose, out);
    any |= check(reports, verbose, is_udp, "pod specs do not include UDP ports", "", count(reports, is_udp) > 1 ? " use \"protocol: UDP\"" : " uses \"protocol: UDP\"",
                 out);
    any |= check(reports, verbose, has_no_token,
                 "pods do not have automountServiceAccountToken set to \"false\" or service account token projection is enabled", NULL, "", out);
    any |= print_warnings(reports, out);
    if (any)
        buffer_add_byte(out, '\n');
    for (const struct manifest_report *report = reports->first; report; report = report->next)
        print_object(report, report->injected ? "injected" : report->annotated ? "annotated" : "skipped", out);
    buffer_add_byte(out, '\n');
}

void uninject_print(const struct manifest_reports *reports, struct buffer *out)
{
    buffer_add_byte(out, '\n');
    for (const struct manifest_report *report = reports->first; report; report = report->next)
        print_object(report, report->uninjected ? "uninjected" : "skipped", out);
    buffer_add_byte(out, '\n');
}
