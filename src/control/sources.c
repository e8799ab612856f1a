#include <errno.h>
#include <string.h>

#include "control/program.h"

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

static int follow_cluster(struct program *program)
{
    struct controller *controller = &program->controller;
    int r;

    program->synced = (struct subscriber){.on_change = no_change, .on_synced = program_on_synced};
    r = store_subscribe(controller->store, &program->synced);
    if (r < 0)
        program->synced.on_synced = NULL;
    else
        r = cluster_follow(program->cluster, controller, &program->reporter);
    return r;
}

int program_follow_source(struct program *program)
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
