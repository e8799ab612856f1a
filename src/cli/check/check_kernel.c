/* What `linkerd check` says of this machine. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/duration.h"
#include "cli/check/check.h"
#include "netfilter/command.h"
#include "netfilter/tools.h"

enum { FILES_WANTED = 65536, FILES_NEEDED = 1024 };

static bool is_executable(const char *path)
{
    return access(path, X_OK) == 0;
}

static bool check_tools(struct checks *checks, int version, struct firewall_tools *ret_tools)
{
    struct check_row row = {.anchor = version == 4 ? "kernel-iptables" : "kernel-ip6tables"};
    int r = tools_find_any(FIREWALL_NFT, version, getenv("PATH"), is_executable, &row.error, ret_tools);

    errmsg_set(&row.what, 0, "%s programs are installed", version == 4 ? "iptables" : "ip6tables");
    row.result = r == 0 ? CHECK_OK : version == 4 ? CHECK_ERROR : CHECK_WARNING;
    checks_add(checks, &row);
    return r == 0;
}

static int load_rules(const struct firewall_tools *tools, struct errmsg *msg)
{
    static const char rules[] = "*nat\n-A OUTPUT -p tcp -m owner ! --uid-owner 2102 -j REDIRECT --to-ports 4140\nCOMMIT\n";
    const char *argv[] = {tools->restore, "--noflush", NULL};
    struct command command = {argv, {rules, sizeof(rules) - 1}, 10 * NS_PER_S};
    struct command_result result;
    int r = command_run(&command, msg, &result);

    if (r == 0 && result.status != 0) {
        struct slice why = slice_trim(buffer_slice(&result.errors));

        r = errmsg_set(msg, -EOPNOTSUPP, "%s: %.*s", tools->restore, (int)slice_find(why, '\n'), why.len ? why.ptr : "failed");
    }
    command_result_release(&result);
    return r;
}

/*
 * The kernel is asked in a network namespace of its own that is gone afterwards, so that nothing changes here. Without
 * the privilege to make one the row is left out.
 */
static void check_redirect(struct checks *checks, const struct firewall_tools *tools)
{
    struct check_row row = {.anchor = "kernel-redirect"};
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (home < 0 || unshare(CLONE_NEWNET) < 0) {
        if (home >= 0)
            close(home);
        return;
    }
    row.result = load_rules(tools, &row.error) == 0 ? CHECK_OK : CHECK_ERROR;
    if (setns(home, CLONE_NEWNET) < 0)
        abort(); /* everything that follows would be asked of an empty network */
    close(home);
    errmsg_set(&row.what, 0, "the kernel can redirect connections and tell the proxy's user (%s)",
               firewall_mode_name(tools->mode));
    checks_add(checks, &row);
}

static bool read_number(const char *path, uint64_t *ret_value)
{
    FILE *file = fopen(path, "re");
    bool ok = file && fscanf(file, "%" SCNu64, ret_value) == 1;

    if (file)
        fclose(file);
    return ok;
}

enum check_result check_conntrack_room(uint64_t used, uint64_t max, struct errmsg *msg)
{
    if (used >= max || used > max - max / 20)
        errmsg_set(msg, 0, "%" PRIu64 " of %" PRIu64 " entries are used; raise net.netfilter.nf_conntrack_max", used, max);
    else if (used > max / 5 * 4)
        errmsg_set(msg, 0, "%" PRIu64 " of %" PRIu64 " entries are used; consider a larger net.netfilter.nf_conntrack_max", used, max);
    return used >= max || used > max - max / 20 ? CHECK_ERROR : used > max / 5 * 4 ? CHECK_WARNING : CHECK_OK;
}

/* Left out where nothing is tracked yet: the files come with the module. */
static void check_conntrack(struct checks *checks)
{
    struct check_row row = {.anchor = "kernel-conntrack"};
    uint64_t used, max;

    if (!read_number("/proc/sys/net/netfilter/nf_conntrack_count", &used) ||
        !read_number("/proc/sys/net/netfilter/nf_conntrack_max", &max))
        return;
    errmsg_set(&row.what, 0, "connection tracking has room");
    row.result = check_conntrack_room(used, max, &row.error);
    checks_add(checks, &row);
}

enum check_result check_file_limit(uint64_t limit, struct errmsg *msg)
{
    if (limit >= FILES_WANTED)
        return CHECK_OK;
    errmsg_set(msg, 0, "the limit is %" PRIu64 " open files, two for each connection of a proxy; allow %d with ulimit -n or LimitNOFILE=",
               limit, FILES_WANTED);
    return limit < FILES_NEEDED ? CHECK_ERROR : CHECK_WARNING;
}

static void check_files(struct checks *checks)
{
    struct check_row row = {.anchor = "kernel-open-files"};
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    errmsg_set(&row.what, 0, "enough files may be open");
    row.result = check_file_limit(limit.rlim_max, &row.error);
    checks_add(checks, &row);
}

void check_kernel(struct checks *checks)
{
    struct firewall_tools tools4, tools6;
    bool found = check_tools(checks, 4, &tools4);

    check_tools(checks, 6, &tools6);
    if (found)
        check_redirect(checks, &tools4);
    check_conntrack(checks);
    check_files(checks);
}

/* --- privileges --- */

static bool has_capability(unsigned number)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    uint64_t effective = 0;

    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "CapEff:", 7) == 0)
            effective = strtoull(line + 7, NULL, 16);
    if (file)
        fclose(file);
    return effective >> number & 1;
}

void check_privileges(struct checks *checks)
{
    static const struct {
        const char *name;
        unsigned number;
    } needed[] = {{"CAP_NET_ADMIN", 12}, {"CAP_NET_RAW", 13}};

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        struct check_row row = {.anchor = "privileges-capabilities"};

        errmsg_set(&row.what, 0, "may make redirect rules (%s)", needed[i].name);
        row.result = has_capability(needed[i].number) ? CHECK_OK : CHECK_WARNING;
        if (row.result != CHECK_OK)
            errmsg_set(&row.error, 0, "this process does not have %s; linkerd-init needs it, so run it as root", needed[i].name);
        checks_add(checks, &row);
    }
}
