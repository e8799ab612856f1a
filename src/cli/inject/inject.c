/* `linkerd inject` and `linkerd uninject`: manifests in, the same text with what a proxy needs in it, or without; a report on standard error. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/inject/inject_flags.h"
#include "cli/inject/inject_input.h"
#include "cli/inject/inject_object.h"
#include "cli/inject/inject_print.h"
#include "cli/inject/inject_values.h"

struct run {
    struct manifest_job job;
    struct arena arena; /* of the reports */
    struct manifest_reports reports;
    struct buffer errors, out;
    struct errmsg msg;
    bool another; /* a file was before this one */
};

static void run_init(struct run *run, enum manifest_change change, const char *output)
{
    *run = (struct run){.job = {.change = change, .form = strcmp(output, "json") == 0 ? FORM_JSON : FORM_AS_WRITTEN, .projected = true}};
    arena_init(&run->arena, LIMIT_INJECT_INPUT);
    buffer_init(&run->errors, LIMIT_PEM);
    buffer_init(&run->out, LIMIT_INJECT_INPUT);
    run->reports = (struct manifest_reports){.arena = &run->arena, .errors = &run->errors};
    run->reports.tail = &run->reports.first;
}

static void run_release(struct run *run)
{
    buffer_release(&run->errors);
    buffer_release(&run->out);
    arena_release(&run->arena);
}

/* Between two files, unless the text has a line of its own for that. */
static void separate(struct run *run, struct slice bytes)
{
    if (!run->another || run->job.form == FORM_JSON)
        return;
    if (run->out.len && run->out.data[run->out.len - 1] != '\n')
        buffer_add_byte(&run->out, '\n');
    if (!slice_starts(bytes, SLICE_LIT("---")))
        buffer_add_lit(&run->out, "---\n");
}

/* Each document changed, and what stands between them as it is. */
static int on_file(void *owner, const char *name, struct slice bytes)
{
    struct run *run = owner;
    struct yaml_document document;
    struct slice rest = bytes;
    const char *at = bytes.ptr;
    int line = 1, r = 0;

    separate(run, bytes);
    run->another = true;
    while (r == 0 && yaml_next_document(&rest, &line, &document)) {
        if (run->job.form == FORM_AS_WRITTEN && document.text.ptr > at)
            buffer_add(&run->out, slice_of(at, (size_t)(document.text.ptr - at)));
        at = document.text.ptr + document.text.len;
        r = manifest_change(&run->job, name, &document, &run->reports, &run->out);
    }
    if (r == 0 && run->job.form == FORM_AS_WRITTEN && at)
        buffer_add(&run->out, slice_skip(bytes, (size_t)(at - bytes.ptr)));
    r = r < 0 ? r : buffer_error(&run->out);
    return r < 0 ? errmsg_set(&run->msg, r, "%s: %s", name, r == -ENOBUFS ? "larger than what this command may print" : "out of memory") : 0;
}

static int print_report(const struct run *run)
{
    struct buffer report;

    buffer_init(&report, LIMIT_INJECT_INPUT);
    if (run->job.change == CHANGE_INJECT)
        inject_print(&run->reports, getenv(VERBOSE_VARIABLE) != NULL, &report);
    else
        uninject_print(&run->reports, &report);
    fwrite(report.data, 1, report.len, stderr);
    buffer_release(&report);
    return STATUS_DONE;
}

/* Nothing is printed when a document failed: half of an application is worse than none. */
static int run_on(struct run *run, const struct words *paths, const char *command)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < paths->count; i++)
        r = input_read(paths->items[i], on_file, run, &run->msg);
    if (r < 0)
        return complain("%s: %s", command, run->msg.text);
    if (run->errors.len) {
        fputs("Error transforming resources:\n", stderr);
        fwrite(run->errors.data, 1, run->errors.len, stderr);
        return STATUS_FAILED;
    }
    fwrite(run->out.data, 1, run->out.len, stdout);
    if (fflush(stdout) != 0 || ferror(stdout))
        return complain("%s: standard output: %s", command, strerror(errno));
    return print_report(run);
}

/* --- inject --- */

static int prepare(struct run *run, const struct inject_flags *flags, struct inject_values *values)
{
    int r = 0;

    if (flags->disable_identity)
        return errmsg_set(&run->msg, -EINVAL, "--disable-identity is no longer supported: every proxy has an identity");
    run->job.ingress = flags->ingress;
    run->job.annotations = inject_flags_annotations(flags);
    if (!run->job.annotations)
        return errmsg_set(&run->msg, -ENOMEM, "out of memory, or a flag that is not UTF-8 text");
    if (flags->manual || json_object_size(run->job.annotations))
        r = inject_values_init(values, flags, &run->msg);
    if (r == 0 && json_object_size(run->job.annotations))
        r = inject_values_check(values, run->job.annotations, &run->msg);
    if (r == 0 && flags->manual) {
        run->job.injector = values->injector;
        run->job.projected = inject_values_projected(values);
    }
    return r;
}

static int inject_main(void *options, const struct words *arguments)
{
    const struct inject_flags *flags = options;
    struct inject_values values = {.injector = NULL};
    struct run run;
    int status;

    run_init(&run, CHANGE_INJECT, flags->output);
    inject_flags_tell(flags);
    status = prepare(&run, flags, &values) < 0 ? complain("inject: %s", *run.msg.text ? run.msg.text : "out of memory")
                                               : run_on(&run, arguments, "inject");
    json_decref(run.job.annotations);
    run_release(&run);
    inject_values_release(&values);
    return status;
}

/* --- uninject --- */

struct uninject_flags {
    const char *output;
};

static const struct flag uninject_rows[] = {
    {"output", 'o', FLAG_CHOICE, offsetof(struct uninject_flags, output), "yaml", "yaml|json", .help = "yaml: the input's own text with the changes in it"},
};

static int uninject_main(void *options, const struct words *arguments)
{
    const struct uninject_flags *flags = options;
    struct run run;
    int status;

    run_init(&run, CHANGE_UNINJECT, flags->output);
    status = run_on(&run, arguments, "uninject");
    run_release(&run);
    return status;
}

const struct command inject_command = {
    .name = "inject",
    .usage = "CONFIG-FILE...",
    .summary = "Add the proxy to a Kubernetes config",
    .about = "Reads files, the files of folders and their folders, http and https addresses, or standard input (-): YAML or JSON, many documents, Lists.\n"
             "Writes the same text to standard output, with the annotation linkerd.io/inject on every workload and namespace in it, for the proxy\n"
             "injector in the cluster; with --manual the proxy itself. Comments, order and quotes stay as they are. What was done is told on\n"
             "standard error. A flag of the proxy becomes an annotation config.linkerd.io/... on each workload.\n"
             "\n"
             "  kubectl get deploy -o yaml | linkerd inject - | kubectl apply -f -\n"
             "  linkerd inject --manual --ignore-cluster --identity-trust-anchors-file ca.crt app.yaml",
    .flags = {inject_flag_rows, INJECT_FLAGS},
    .options_size = sizeof(struct inject_flags),
    .min_arguments = 1,
    .max_arguments = WORDS_MAX,
    .run = inject_main,
};

const struct command uninject_command = {
    .name = "uninject",
    .usage = "CONFIG-FILE...",
    .summary = "Remove the proxy from a Kubernetes config",
    .about = "Takes out what linkerd inject, with and without --manual, and the injector put in, and leaves every other byte. Annotations\n"
             "config.linkerd.io/... stay, as they may be your own. Reads what linkerd inject reads.\n"
             "\n"
             "  kubectl get deploy -o yaml | linkerd uninject - | kubectl apply -f -",
    .flags = FLAGS(uninject_rows),
    .options_size = sizeof(struct uninject_flags),
    .min_arguments = 1,
    .max_arguments = WORDS_MAX,
    .run = uninject_main,
};
