#include "kube/report.h"

void report_format(const struct report *report, struct buffer *out)
{
    if (report->file.len) {
        buffer_add(out, report->file);
        if (report->line > 0)
            buffer_printf(out, ":%d", report->line);
        buffer_add_lit(out, ": ");
    }
    if (report->object.len) {
        buffer_add(out, report->object);
        buffer_add_lit(out, ": ");
    }
    if (report->field.len) {
        buffer_add(out, report->field);
        buffer_add_lit(out, ": ");
    }
    buffer_add(out, report->reason);
}

const char *report_severity_name(enum report_severity severity)
{
    static const char *const names[] = {
        [REPORT_INFO] = "info",
        [REPORT_WARNING] = "warning",
        [REPORT_ERROR] = "error",
    };

    return names[severity];
}
