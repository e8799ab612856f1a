#include "cli/show.h"

#include <stdio.h>

#include "cli/files.h"

typedef int text_of(const struct x509_cert *cert, struct buffer *out);

static const char *const san_names[] = {[SAN_NONE] = "none", [SAN_DNS] = "DNS", [SAN_URI] = "URI", [SAN_OTHER] = "other"};

const char *cert_days(const struct x509_cert *cert, int64_t wall_ns, char out[48])
{
    int64_t days = x509_cert_days_left(cert, wall_ns);

    if (x509_cert_not_after(cert) < wall_ns)
        snprintf(out, 48, "expired %lld days ago", (long long)-days);
    else if (x509_cert_not_before(cert) > wall_ns)
        snprintf(out, 48, "not valid yet");
    else
        snprintf(out, 48, "%lld day%s left", (long long)days, days == 1 ? "" : "s");
    return out;
}

/* A name that is no identity is any bytes: only its kind is shown. */
static void add_names(const struct x509_cert *cert, struct buffer *out)
{
    struct san san;

    for (size_t i = 0; x509_cert_san(cert, i, &san); i++) {
        if (i)
            buffer_add_lit(out, ", ");
        if (san.kind == SAN_OTHER)
            buffer_add_lit(out, "(another kind)");
        else
            buffer_printf(out, "%s:%.*s", san_names[san.kind], SLICE_ARGS(san.name));
    }
}

static void add_fingerprint(const struct x509_cert *cert, struct buffer *out)
{
    uint8_t digest[32];

    x509_cert_sha256(cert, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        buffer_printf(out, "%02x", digest[i]);
}

static void line(const struct x509_cert *cert, const char *label, text_of *text, struct buffer *out)
{
    buffer_printf(out, "%-12s ", label);
    text(cert, out);
    buffer_add_byte(out, '\n');
}

int cert_show(const struct x509_cert *cert, int64_t wall_ns, struct buffer *out)
{
    char from[32], to[32], days[48];
    struct san san;

    line(cert, "Subject:", x509_cert_subject, out);
    if (x509_cert_san(cert, 0, &san)) {
        buffer_printf(out, "%-12s ", "Names:");
        add_names(cert, out);
        buffer_add_byte(out, '\n');
    }
    line(cert, "Issuer:", x509_cert_issuer, out);
    buffer_printf(out, "%-12s %s\n", "CA:", x509_cert_is_ca(cert) ? "yes" : "no");
    line(cert, "Key:", x509_cert_algorithm, out);
    buffer_printf(out, "%-12s %s\n%-12s %s (%s)\n", "Not before:", wall_format(x509_cert_not_before(cert), from),
                  "Not after:", wall_format(x509_cert_not_after(cert), to), cert_days(cert, wall_ns, days));
    line(cert, "Serial:", x509_cert_serial, out);
    buffer_printf(out, "%-12s ", "SHA-256:");
    add_fingerprint(cert, out);
    return buffer_add_byte(out, '\n');
}

static void member(const struct x509_cert *cert, const char *name, text_of *text, struct buffer *out)
{
    struct buffer value;

    buffer_init(&value, 65536);
    text(cert, &value);
    buffer_printf(out, "\"%s\": ", name);
    buffer_add_json(out, buffer_slice(&value));
    buffer_add_lit(out, ",\n    ");
    buffer_release(&value);
}

static void add_names_json(const struct x509_cert *cert, struct buffer *out)
{
    struct san san;
    bool any = false;

    buffer_add_lit(out, "\"names\": [");
    for (size_t i = 0; x509_cert_san(cert, i, &san); i++) {
        if (san.kind == SAN_OTHER)
            continue;
        buffer_printf(out, "%s{\"kind\": \"%s\", \"name\": ", any ? ", " : "", san_names[san.kind]);
        buffer_add_json(out, san.name);
        buffer_add_byte(out, '}');
        any = true;
    }
    buffer_add_lit(out, "],\n    ");
}

int cert_show_json(const struct x509_cert *cert, int64_t wall_ns, struct buffer *out)
{
    char from[32], to[32];

    buffer_add_lit(out, "  {\n    ");
    member(cert, "subject", x509_cert_subject, out);
    add_names_json(cert, out);
    member(cert, "issuer", x509_cert_issuer, out);
    member(cert, "key", x509_cert_algorithm, out);
    member(cert, "serial", x509_cert_serial, out);
    buffer_printf(out, "\"isCA\": %s,\n    \"notBefore\": \"%s\",\n    \"notAfter\": \"%s\",\n    \"daysLeft\": %lld,\n    \"sha256\": \"",
                  x509_cert_is_ca(cert) ? "true" : "false", wall_format(x509_cert_not_before(cert), from),
                  wall_format(x509_cert_not_after(cert), to), (long long)x509_cert_days_left(cert, wall_ns));
    add_fingerprint(cert, out);
    return buffer_add_lit(out, "\"\n  }");
}
