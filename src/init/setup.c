#include "init/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "netfilter/command.h"
#include "netfilter/families.h"
#include "netfilter/netns.h"

static const char close_wait_path[] = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait";

/* ---- show ---- */

static int simulate(const struct options *options, const struct journal *log)
{
    static const struct saved nothing;
    struct buffer text;
    int r = 0;

    buffer_init(&text, LIMIT_COMMAND_OUTPUT);
    for (int version = 4; version <= (options->ipv6 ? 6 : 4); version += 2) {
        const char *family = version == 6 ? "ip6" : "ip";
        const char *kind = options->mode == FIREWALL_PLAIN ? "" : options->mode == FIREWALL_NFT ? "-nft" : "-legacy";

        buffer_printf(&text, "# %stables%s-restore --noflush\n", family, kind);
        buffer_add_lit(&text, "# where the jumps of PREROUTING and OUTPUT exist they are kept, not added again\n");
        r = rules_install(&options->redirect, version, &nothing, &text);
    }
    if (r == 0 && (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0))
        r = -errno;
    buffer_release(&text);
    if (r < 0)
        journal_line(log, JOURNAL_ERROR, "cannot print the rules: %s", strerror(-r));
    return r;
}

/* ---- make ---- */

static int write_close_wait(int64_t seconds, const struct journal *log)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%lld\n", (long long)seconds), r = 0;
    int fd = open(close_wait_path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, (size_t)n) != n)
        r = -errno;
    if (fd >= 0)
        close(fd);
    if (r < 0)
        journal_line(log, JOURNAL_ERROR, "cannot write %lld to %s: %s; this needs root in a privileged container, and "
                     "connection tracking in the kernel", (long long)seconds, close_wait_path, strerror(-r));
    else
        journal_line(log, JOURNAL_INFO, "net.netfilter.nf_conntrack_tcp_timeout_close_wait = %lld", (long long)seconds);
    return r;
}

static int install(const struct options *options, struct families *families, const struct journal *log)
{
    struct errmsg msg = {""};
    int r = families_find_tools(families, options->mode, &msg);

    if (r == 0)
        r = families_install(families, &options->redirect, &msg);
    if (r < 0)
        journal_line(log, JOURNAL_ERROR, "%s", msg.text);
    if (r == 0 && options->close_wait_s)
        r = write_close_wait(options->close_wait_s, log);
    return r;
}

/* ---- take out ---- */

/*
 * Whether the legacy nat table exists in this namespace. Only asking iptables-legacy would make it, so that an attempt
 * to remove would leave something behind.
 */
static bool legacy_table_exists(int version)
{
    FILE *names = fopen(version == 6 ? "/proc/net/ip6_tables_names" : "/proc/net/ip_tables_names", "re");
    char line[64];
    bool found = false;

    if (!names)
        return errno == EACCES; /* not for us to see: let iptables tell */
    while (!found && fgets(line, sizeof(line), names))
        found = strcmp(line, "nat\n") == 0;
    fclose(names);
    return found;
}

/* *found grows when the tools of this mode are there. */
static int remove_mode(const struct options *options, enum firewall_mode mode, struct firewall firewall,
                       const struct journal *log, int *found)
{
    struct errmsg msg = {""};
    bool changed = false;
    int version = firewall.version;
    int r = tools_find(mode, version, getenv("PATH"), tool_is_executable, &msg, &firewall.tools);

    if (r == -ENOENT && !options->mode_given)
        return 0;
    if (r == 0) {
        (*found)++;
        if (mode == FIREWALL_LEGACY && !legacy_table_exists(version))
            return 0;
        r = firewall_remove(&firewall, &msg, &changed);
    }
    if (r < 0)
        journal_line(log, JOURNAL_ERROR, "the rules for IPv%d were not removed: %s", version, msg.text);
    else if (changed)
        journal_line(log, JOURNAL_INFO, "IPv%d: the %s rules are removed", version, firewall_mode_name(mode));
    return r;
}

static int remove_rules(const struct options *options, const struct families *families, const struct journal *log)
{
    static const enum firewall_mode both[] = {FIREWALL_NFT, FIREWALL_LEGACY};
    int failed = 0, found = 0;

    for (size_t i = 0; i < families->count; i++) { /* every one is tried, whatever the others did */
        const struct firewall *firewall = &families->firewall[i];
        int r = 0;

        if (options->mode_given)
            r = remove_mode(options, options->mode, *firewall, log, &found);
        for (int m = 0; m < 2 && !options->mode_given; m++) {
            int one = remove_mode(options, both[m], *firewall, log, &found);

            r = r ? r : one;
        }
        failed = failed ? failed : r;
    }
    if (!failed && !found) {
        journal_line(log, JOURNAL_ERROR, "no iptables program was found, so no rules can be removed; install iptables");
        return -ENOENT;
    }
    return failed;
}

int setup_run(const struct options *options, const struct journal *log)
{
    struct families families;
    struct errmsg msg = {""};
    int r;

    if (options->simulate)
        return simulate(options, log);
    r = options->netns ? netns_enter(options->netns, &msg) : 0;
    if (r < 0) {
        journal_line(log, JOURNAL_ERROR, "%s", msg.text);
        return r;
    }
    command_keep_net_capabilities();
    families_init(&families, options->ipv6, options->wait, log);
    return options->remove ? remove_rules(options, &families, log) : install(options, &families, log);
}
