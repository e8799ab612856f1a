/* `linkerd diagnostics proxy-metrics` and `controller-metrics`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/control_plane.h"

struct options {
    int64_t wait_ns;
};

static const struct flag flags[] = {
    {"wait", 'w', FLAG_DURATION, offsetof(struct options, wait_ns), "30s", .value = "DURATION",
     .help = "How long to wait for each proxy"},
    {"namespace", 'n', FLAG_LATER},
    {"obfuscate", 0, FLAG_LATER},
};

/* Ends the asking. `address`: as the person wrote it. */
static int get_page(struct ask *ask, const char *address, struct errmsg *msg, struct buffer *body)
{
    unsigned status = 0;
    int r = ask_get(ask, "/metrics", msg, &status, body);

    if (r == 0 && status != 200)
        r = errmsg_set(msg, -EREMOTEIO, "%s: /metrics answers %u", address, status);
    ask_close(ask);
    return r;
}

static int get_metrics(const char *address, int64_t wait_ns, struct errmsg *msg, struct buffer *body)
{
    struct ask *ask;
    int r = ask_open(address, wait_ns, msg, &ask);

    return r < 0 ? r : get_page(ask, address, msg, body);
}

/* All are asked, whatever the others say; a failure of any is the exit status. */
static int run(void *opaque, const struct words *arguments)
{
    const struct options *options = opaque;
    int status = STATUS_DONE;

    for (size_t i = 0; i < arguments->count; i++) {
        const char *address = arguments->items[i];
        struct errmsg msg = {""};
        struct buffer body;

        buffer_init(&body, LIMIT_ADMIN_ANSWER);
        printf("#\n# PROXY %s (%zu of %zu)\n#\n", address, i + 1, arguments->count);
        if (get_metrics(address, options->wait_ns, &msg, &body) == 0)
            fwrite(body.data, 1, body.len, stdout);
        else
            status = complain("diagnostics proxy-metrics: %s; is it the admin address of a proxy?", msg.text);
        buffer_release(&body);
    }
    return status;
}

const struct command diagnostics_metrics_command = {
    .name = "diagnostics proxy-metrics",
    .usage = "HOST:PORT...",
    .summary = "Fetch metrics directly from Linkerd proxies",
    .about = "Asks the admin port of each proxy (4191 unless configured otherwise) for its metrics.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct options),
    .min_arguments = 1,
    .max_arguments = WORDS_MAX,
    .run = run,
};

/* ---- the control plane's ---- */

struct controller_options {
    int64_t wait_ns;
    struct control_plane_flags where;
};

static const struct flag controller_flags[] = {
    {"wait", 'w', FLAG_DURATION, offsetof(struct controller_options, wait_ns), "30s", .value = "DURATION",
     .help = "How long to wait for the answer"},
    CONTROL_PLANE_FLAGS(struct controller_options, where, "The control plane's admin port (default 127.0.0.1:9990)"),
};

static int run_controller(void *opaque, const struct words *arguments)
{
    const struct controller_options *options = opaque;
    const char *address = *options->where.api_addr ? options->where.api_addr : "the control plane";
    struct errmsg msg = {""};
    struct buffer body;
    struct ask *ask;
    int r = control_plane_open(&options->where, CONTROLLER_ADMIN_PORT, options->wait_ns, &msg, &ask);

    buffer_init(&body, LIMIT_ADMIN_ANSWER);
    if (r == 0)
        r = get_page(ask, address, &msg, &body);
    if (r == 0)
        fwrite(body.data, 1, body.len, stdout);
    buffer_release(&body);
    if (r < 0)
        return complain("diagnostics controller-metrics: %s; --api-addr or --source names the control plane", msg.text);
    return STATUS_DONE;
}

const struct command diagnostics_controller_metrics_command = {
    .name = "diagnostics controller-metrics",
    .usage = "",
    .summary = "Fetch metrics directly from the control plane",
    .about = "Asks the admin port of linkerd-controller for the metrics of all its components.",
    .flags = FLAGS(controller_flags),
    .options_size = sizeof(struct controller_options),
    .run = run_controller,
};
