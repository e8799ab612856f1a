/* `linkerd version`. */
#include <stdio.h>

#include "base/duration.h"
#include "cli/command.h"
#include "cli/control_plane.h"
#include "cli/versions.h"

struct options {
    bool is_short, client, proxy;
    const char *admin_addr;
    struct control_plane_flags where;
    struct words proxies;
    int64_t wait_ns;
};

static const struct flag flags[] = {
    {"client", 0, FLAG_SWITCH, offsetof(struct options, client), .help = "Print the client version only"},
    {"short", 0, FLAG_SWITCH, offsetof(struct options, is_short),
     .help = "Print the version number(s) only, with no additional output"},
    {"proxy", 0, FLAG_SWITCH, offsetof(struct options, proxy), .help = "Print the versions of the proxies named by --proxy-addr"},
    {"proxy-addr", 0, FLAG_LIST, offsetof(struct options, proxies), .value = "HOST:PORT",
     .help = "Admin address of a proxy; may be given several times"},
    {"admin-addr", 0, FLAG_TEXT, offsetof(struct options, admin_addr), .value = "HOST:PORT",
     .help = "Admin address of the control plane (default port 9990 where --api-addr or --source say, or here)"},
    CONTROL_PLANE_FLAGS(struct options, where, "The destination service, whose host is asked"),
    {"wait", 0, FLAG_DURATION, offsetof(struct options, wait_ns), "5s", .value = "DURATION",
     .help = "How long to wait for each answer"},
    {"namespace", 'n', FLAG_LATER},
};

static void print_version(const struct options *options, const char *what, const char *address)
{
    char version[VERSION_TEXT_MAX];
    const char *shown = version_of(address, options->wait_ns, NULL, version) == 0 ? version : "unavailable";

    if (options->is_short)
        puts(shown);
    else
        printf("%s: %s\n", what, shown);
}

static void print_proxies(const struct options *options)
{
    char version[VERSION_TEXT_MAX];

    if (options->proxies.count == 0) {
        puts("Proxy versions: unavailable");
        return;
    }
    puts("Proxy versions:");
    for (size_t i = 0; i < options->proxies.count; i++) {
        const char *address = options->proxies.items[i];
        bool known = version_of(address, options->wait_ns, NULL, version) == 0;

        printf("\t%s (%s)\n", known ? version : "unavailable", address);
    }
}

static int run(void *opaque, const struct words *arguments)
{
    const struct options *options = opaque;
    char found[CONTROL_PLANE_ADDRESS_MAX];

    printf("%s%s\n", options->is_short ? "" : "Client version: ", CLINKERD_VERSION);
    if (options->client)
        return STATUS_DONE;
    fflush(stdout); /* the next lines may take a while */
    control_plane_address(&options->where, CONTROLLER_ADMIN_PORT, found);
    print_version(options, "Server version", *options->admin_addr ? options->admin_addr : found);
    if (options->proxy)
        print_proxies(options);
    return STATUS_DONE;
}

const struct command version_command = {
    .name = "version",
    .usage = "",
    .summary = "Print the client and server version information",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct options),
    .run = run,
};
