/* `linkerd check`. */
#include "cli/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "event/sys.h"

static const struct flag flags[] = {
    {"output", 'o', FLAG_CHOICE, offsetof(struct check_options, output), "table", "table|json|short",
     .help = "Output format; short shows only what is wrong"},
    {"wait", 0, FLAG_DURATION, offsetof(struct check_options, wait_ns), "300s", .value = "DURATION",
     .help = "How long to wait for the control plane and proxies to become ready"},
    {"source", 0, FLAG_TEXT, offsetof(struct check_options, source), .value = "DIR",
     .help = "The directory of resources that the control plane reads"},
    {"anchors", 0, FLAG_TEXT, offsetof(struct check_options, anchors), .value = "FILE", .help = "The trust anchors"},
    {"issuer", 0, FLAG_TEXT, offsetof(struct check_options, issuer), .value = "DIR",
     .help = "The issuer directory of the identity service"},
    {"api-addr", 0, FLAG_TEXT, offsetof(struct check_options, api_addr), "127.0.0.1:8086", .value = "HOST:PORT",
     .help = "The destination service"},
    {"policy-addr", 0, FLAG_TEXT, offsetof(struct check_options, policy_addr), "127.0.0.1:8090", .value = "HOST:PORT",
     .help = "The policy service"},
    {"identity-addr", 0, FLAG_TEXT, offsetof(struct check_options, identity_addr), "127.0.0.1:8080",
     .value = "HOST:PORT", .help = "The identity service"},
    {"admin-addr", 0, FLAG_TEXT, offsetof(struct check_options, admin_addr), "127.0.0.1:9990", .value = "HOST:PORT",
     .help = "The admin address of the control plane"},
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

static int run(void *opaque, const struct words *arguments)
{
    const struct check_options *options = opaque;
    struct sys *sys = sys_linux();
    struct checks checks = {
        .options = options,
        .deadline_ns = sys->ops->now(sys) + options->wait_ns,
        .out = stdout,
        .format = format_of(options->output),
        .colour = wants_colour(),
    };

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
