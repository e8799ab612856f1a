/* `linkerd check`. */
#include "cli/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/control_plane.h"
#include "event/sys.h"

static const struct flag flags[] = {
    {"output", 'o', FLAG_CHOICE, offsetof(struct check_options, output), "table", "table|json|short",
     .help = "Output format; short shows only what is wrong"},
    {"wait", 0, FLAG_DURATION, offsetof(struct check_options, wait_ns), "300s", .value = "DURATION",
     .help = "How long to wait for the control plane and proxies to become ready"},
    {"source", 0, FLAG_TEXT, offsetof(struct check_options, source), .value = "DIR",
     .help = "The directory of resources that the control plane reads; says where that is, too"},
    {"anchors", 0, FLAG_TEXT, offsetof(struct check_options, anchors), .value = "FILE", .help = "The trust anchors"},
    {"issuer", 0, FLAG_TEXT, offsetof(struct check_options, issuer), .value = "DIR",
     .help = "The issuer directory of the identity service"},
    {"api-addr", 0, FLAG_TEXT, offsetof(struct check_options, api_addr), .value = "HOST:PORT",
     .help = "The destination service (default port 8086 where --source says, or here)"},
    {"policy-addr", 0, FLAG_TEXT, offsetof(struct check_options, policy_addr), .value = "HOST:PORT",
     .help = "The policy service (default port 8090 on the same host)"},
    {"identity-addr", 0, FLAG_TEXT, offsetof(struct check_options, identity_addr),
     .value = "HOST:PORT", .help = "The identity service (default port 8080 on the same host)"},
    {"admin-addr", 0, FLAG_TEXT, offsetof(struct check_options, admin_addr), .value = "HOST:PORT",
     .help = "The admin address of the control plane (default port 9990 on the same host)"},
    {"proxy", 0, FLAG_LIST, offsetof(struct check_options, proxies), .value = "HOST:PORT",
     .help = "The admin address of a proxy; may be given several times"},
    {"pre", 0, FLAG_LATER},
    {"crds", 0, FLAG_LATER},
    {"expected-version", 0, FLAG_LATER},
    {"cli-version-override", 0, FLAG_LATER},
    {"linkerd-cni-enabled", 0, FLAG_LATER},
    {"namespace", 'n', FLAG_LATER},
};

static const struct category {
    const char *name;
    void (*run)(struct checks *checks);
} categories[] = {
    {"kernel", check_kernel},
    {"privileges", check_privileges},
    {"linkerd-identity", check_identity},
    {"linkerd-config", check_source},
    {"linkerd-control-plane", check_control_plane},
    {"linkerd-data-plane", check_proxies},
    {"linkerd-identity-data-plane", check_proxy_certificates},
    {"linkerd-version", check_versions},
};

static enum check_format format_of(const char *name)
{
    return strcmp(name, "json") == 0 ? CHECK_JSON : strcmp(name, "short") == 0 ? CHECK_SHORT : CHECK_TABLE;
}

static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && !(no && *no);
}

struct addresses {
    char text[4][CONTROL_PLANE_ADDRESS_MAX];
};

/* Those that were not given. They lie in `ret_addresses`. */
static void find_addresses(struct check_options *options, struct addresses *ret_addresses)
{
    const struct control_plane_flags where = {.api_addr = options->api_addr, .source = options->source};
    const struct {
        const char **address;
        uint16_t port;
    } all[] = {{&options->api_addr, DESTINATION_PORT}, {&options->policy_addr, POLICY_PORT},
               {&options->identity_addr, IDENTITY_PORT}, {&options->admin_addr, CONTROLLER_ADMIN_PORT}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (**all[i].address)
            continue;
        control_plane_address(&where, all[i].port, ret_addresses->text[i]);
        *all[i].address = ret_addresses->text[i];
    }
}

static int run(void *opaque, const struct words *arguments)
{
    struct check_options *options = opaque;
    struct addresses addresses;
    struct sys *sys = sys_linux();
    struct checks checks = {
        .options = options,
        .deadline_ns = sys->ops->now(sys) + options->wait_ns,
        .out = stdout,
        .format = format_of(options->output),
        .colour = wants_colour(),
    };

    find_addresses(options, &addresses);
    for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++) {
        checks_begin(&checks, categories[i].name);
        categories[i].run(&checks);
    }
    return checks_end(&checks);
}

const struct command check_command = {
    .name = "check",
    .usage = "",
    .summary = "Check this machine and the mesh for problems",
    .about = "Checks the kernel and privileges of this machine, certificates, the directory of resources, the control\n"
             "plane, proxies and their versions. Rows that cannot be decided here (no file or address given, no\n"
             "privileges) are left out. Exits with 1 when a row shows ×; ‼ is a warning.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct check_options),
    .run = run,
};
