/* `linkerd identity`: the certificate of a workload, from a file or as it shows it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/show.h"

struct options {
    const char *server_name, *output;
    int64_t wait_ns;
    bool chain;
};

static const struct flag flags[] = {
    {"server-name", 0, FLAG_TEXT, offsetof(struct options, server_name), .value = "NAME",
     .help = "The identity to ask for at an address, as SA.NS.serviceaccount.identity.linkerd.cluster.local"},
    {"chain", 0, FLAG_SWITCH, offsetof(struct options, chain), .help = "Show the issuers too, not only the workload's own"},
    {"output", 'o', FLAG_CHOICE, offsetof(struct options, output), "text", "text|json", .help = "Output format"},
    {"wait", 0, FLAG_DURATION, offsetof(struct options, wait_ns), "5s", .value = "DURATION",
     .help = "How long to wait for an answer"},
    {"namespace", 'n', FLAG_LATER},
    {"selector", 'l', FLAG_LATER},
};

static int from_address(const struct options *options, const char *address, struct errmsg *msg,
                        struct x509_bundle *ret_chain)
{
    struct ask *ask;
    int r = ask_open(address, options->wait_ns, msg, &ask);

    if (r < 0)
        return r;
    r = ask_chain(ask, slice_str(options->server_name), msg, ret_chain);
    ask_close(ask);
    return r;
}

static void show(const struct options *options, const char *from, const struct x509_bundle *chain, struct buffer *out)
{
    bool json = strcmp(options->output, "json") == 0;
    size_t count = options->chain ? chain->count : 1;
    int64_t now = wall_now();

    if (json)
        buffer_add_lit(out, "[\n");
    for (size_t i = 0; i < count; i++) {
        if (json) {
            buffer_printf(out, "%s", i ? ",\n" : "");
            cert_show_json(chain->certs[i], now, out);
        } else {
            buffer_printf(out, "%s%s (%zu of %zu)\n", i ? "\n" : "", from, i + 1, count);
            cert_show(chain->certs[i], now, out);
        }
    }
    if (json)
        buffer_add_lit(out, "\n]\n");
}

/* What is there as a file is one; anything else has to be an address. */
static int run(void *opaque, const struct words *arguments)
{
    const struct options *options = opaque;
    const char *from = arguments->items[0];
    struct x509_bundle chain = {NULL, 0};
    struct errmsg msg = {""};
    struct buffer out;
    bool is_file = strcmp(from, "-") == 0 || access(from, F_OK) == 0 || !strchr(from, ':');
    int r = is_file ? file_read_certs(from, &msg, &chain) : from_address(options, from, &msg, &chain);

    if (r < 0)
        return complain("identity: %s", *msg.text ? msg.text : strerror(-r));
    buffer_init(&out, 1 << 20);
    show(options, from, &chain, &out);
    fwrite(out.data, 1, out.len, stdout);
    buffer_release(&out);
    x509_bundle_release(&chain);
    return STATUS_DONE;
}

const struct command identity_command = {
    .name = "identity",
    .usage = "FILE|HOST:PORT",
    .summary = "Show the certificate of a workload",
    .about = "Reads a PEM file, or asks a TLS server for its certificate. Nothing of what an address shows is verified.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct options),
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
