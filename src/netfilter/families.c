#include "netfilter/families.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/duration.h"

enum { WAIT_S = 5, WAIT_LONG_S = 60 };

bool tool_is_executable(const char *path)
{
    return access(path, X_OK) == 0;
}

static bool have_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno != EAFNOSUPPORT;
    close(fd);
    return true;
}

static void trace(void *owner, const char *program, struct slice input, struct slice output)
{
    const struct journal *log = owner;

    if (input.len)
        journal_line(log, JOURNAL_INFO, "%s:\n%.*s", program, SLICE_ARGS(input));
    else
        journal_line(log, JOURNAL_DEBUG, "%s said:\n%.*s", program, SLICE_ARGS(output));
}

void families_init(struct families *families, bool ipv6, bool wait, const struct journal *log)
{
    *families = (struct families){.log = log, .count = 1};
    if (ipv6 && have_ipv6())
        families->count = 2;
    else if (ipv6)
        journal_line(log, JOURNAL_WARN, "this kernel has no IPv6, so only IPv4 is redirected");
    for (size_t i = 0; i < families->count; i++)
        families->firewall[i] = (struct firewall){
            .version = i ? 6 : 4,
            .wait_ns = (wait ? WAIT_LONG_S : WAIT_S) * NS_PER_S,
            .trace = trace,
            .trace_owner = (void *)log,
        };
}

int families_find_tools(struct families *families, enum firewall_mode mode, struct errmsg *msg)
{
    for (size_t i = 0; i < families->count; i++) {
        struct firewall *firewall = &families->firewall[i];
        int r = tools_find_any(mode, firewall->version, getenv("PATH"), tool_is_executable, msg, &firewall->tools);

        if (r < 0)
            return r;
        if (firewall->tools.mode != mode)
            journal_line(families->log, JOURNAL_WARN, "iptables mode %s is not installed; using %s instead",
                         firewall_mode_name(mode), firewall->tools.restore);
    }
    return 0;
}

int families_install(const struct families *families, const struct redirect *redirect, struct errmsg *msg)
{
    for (size_t i = 0; i < families->count; i++) {
        const struct firewall *firewall = &families->firewall[i];
        bool changed = false;
        int r = firewall_install(firewall, redirect, msg, &changed);

        if (r < 0)
            return errmsg_prefix(msg, r, "IPv%d is not redirected%s", firewall->version,
                                 i ? " (the rules for IPv4 are in place)" : "");
        journal_line(families->log, JOURNAL_INFO, "IPv%d: incoming TCP goes to port %u, outgoing to %u%s", firewall->version,
                     redirect->inbound_port, redirect->outbound_port, changed ? "" : ", as before");
    }
    return 0;
}

int families_check(const struct families *families, const struct redirect *redirect, struct errmsg *msg)
{
    int r = 0;

    for (size_t i = 0; i < families->count && r == 0; i++) {
        r = firewall_check(&families->firewall[i], redirect, msg);
        if (r < 0)
            errmsg_prefix(msg, r, "IPv%d", families->firewall[i].version);
    }
    return r;
}
