/*
 * What a person should know about something that was read: which file, line and
 * field, what was expected, what was found and what to do. Made by the parser,
 * the decoder and the directory; programs log it, `linkerd check` prints it.
 */
#pragma once

#include "base/buffer.h"
#include "base/slice.h"
#include "kube/objects.h"

enum report_severity {
    REPORT_INFO,    /* nothing wrong: a kind that we do not use */
    REPORT_WARNING, /* used, but probably not as its writer meant: an unknown field */
    REPORT_ERROR    /* not used */
};

/* Slices live until the callback returns. */
struct report {
    enum report_severity severity;
    struct slice file;   /* relative to the directory; empty: no file */
    int line, column;    /* 1-based; 0: the whole file */
    struct slice object; /* "Service default/web"; empty while that is unknown */
    struct slice field;  /* "spec.rules[2].matches[0].path.type"; empty: the document */
    struct slice reason; /* a sentence without a dot at its end */
};

struct reporter {
    void (*report)(struct reporter *reporter, const struct report *report);
};

/* "apps.yaml:12: Service default/web: spec.ports[0].port: expected ...". Without a newline. */
void report_format(const struct report *report, struct buffer *out);
/* "info", "warning", "error". */
const char *report_severity_name(enum report_severity severity);
