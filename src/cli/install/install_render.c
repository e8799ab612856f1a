#include "cli/install/install_render.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/chart/chart.h"
#include "cli/chart/values.h"
#include "cli/command.h"
#include "cli/install/install_overrides.h"

int install_render(const char *chart, const char *namespace_, json_t *values, json_t *objects, struct errmsg *msg, struct buffer *ret_problems,
                   struct buffer *ret_text)
{
    bool is_control_plane = strcmp(chart, CHART_CONTROL_PLANE) == 0, crds = strcmp(chart, CHART_CRDS) == 0;
    struct chart_release release = {chart, is_control_plane ? "linkerd" : chart, namespace_, objects};
    json_t *complete = json_deep_copy(values);
    int r = complete ? 0 : errmsg_set(msg, -ENOMEM, "out of memory");

    if (r == 0 && !values_at(complete, "cliVersion"))
        r = values_put(complete, "cliVersion", json_string("linkerd/cli " CLINKERD_VERSION));
    if (r == 0 && !crds && !values_at(complete, "installNamespace"))
        r = values_put(complete, "installNamespace", json_true());
    if (r == 0)
        r = chart_render(&release, complete, msg, ret_problems, ret_text);
    if (r == 0 && is_control_plane)
        r = install_overrides(values, namespace_, ret_text);
    json_decref(complete);
    return r;
}

/* --- output --- */

static void print_text(struct slice text)
{
    fwrite(text.ptr, 1, text.len, stdout);
}

int install_print(const char *output, struct slice text, struct errmsg *msg)
{
    struct buffer json;
    int r = 0;

    if (strcmp(output, "yaml") == 0) {
        print_text(text);
    } else {
        buffer_init(&json, LIMIT_TEMPLATE_OUTPUT);
        r = chart_text_to_json(text, msg, &json);
        if (r == 0)
            print_text(buffer_slice(&json));
        buffer_release(&json);
    }
    return r == 0 && (fflush(stdout) != 0 || ferror(stdout)) ? errmsg_set(msg, -EIO, "standard output: %s", strerror(errno)) : r;
}

int install_report(const char *command, int r, const struct errmsg *msg, const struct buffer *problems)
{
    struct slice rest = buffer_slice(problems), line;

    if (r == 0)
        return STATUS_DONE;
    if (problems->len == 0)
        return complain("%s: %s", command, *msg->text ? msg->text : strerror(-r));
    while (slice_split(&rest, '\n', &line))
        if (line.len)
            complain("%s: %.*s", command, SLICE_ARGS(line));
    return STATUS_FAILED;
}

void install_text_release(struct buffer *text)
{
    if (text->data)
        explicit_bzero(text->data, text->size);
    buffer_release(text);
}
