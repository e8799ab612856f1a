#include "netfilter/firewall.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "netfilter/command.h"

enum { TOOL_TIMEOUT_S = 30 }; /* on top of the wait for the lock */

static const struct {
    struct slice complaint;
    const char *hint;
} hints[] = {
#define HINT(complaint, hint) {{(complaint), sizeof(complaint) - 1}, (hint)}
    HINT("holding the xtables lock", "another program is changing the rules: try again, or pass --use-wait-flag"),
    HINT("open lock file", "make /run writable, or name another file in XTABLES_LOCKFILE"),
    HINT("Protocol not supported", "this kernel has no nf_tables: use --iptables-mode legacy"),
    HINT("table `nat': Table does not exist", "this kernel has no nat table of this kind: load iptable_nat or "
                                              "ip6table_nat, or use --iptables-mode nft"),
    HINT("Address family not supported", "this kernel has no IPv6: pass --ipv6=false"),
    HINT("you must be root", "CAP_NET_ADMIN and CAP_NET_RAW are needed: run as root, or give the program these "
                             "capabilities"),
    HINT("Operation not permitted", "CAP_NET_ADMIN and CAP_NET_RAW are needed: run as root, or give the program "
                                    "these capabilities"),
    HINT("missing kernel module", "the kernel lacks a match or target that the rules use (xt_owner, xt_multiport, "
                                  "xt_comment, xt_REDIRECT): load it"),
    HINT("is incompatible", "the nat table was made by nft with features that iptables does not know: remove it, "
                            "or use --iptables-mode legacy"),
#undef HINT
};

const char *firewall_hint(struct slice complaint)
{
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        if (slice_find_slice(complaint, hints[i].complaint) < complaint.len)
            return hints[i].hint;
    return NULL;
}

/* "iptables-nft-restore failed (status 4): <its first lines>; <what to do>". */
static int complain(const char *program, const struct command_result *result, struct errmsg *msg)
{
    struct slice said = slice_trim(buffer_slice(&result->errors));
    const char *hint = firewall_hint(said);
    char line[320];
    size_t n = 0;

    for (size_t i = 0; i < said.len && n < sizeof(line) - 1; i++)
        line[n++] = said.ptr[i] == '\n' ? ' ' : said.ptr[i];
    while (n && line[n - 1] == ' ')
        n--;
    line[n] = '\0';
    return errmsg_set(msg, hint && strstr(hint, "CAP_NET_ADMIN") ? -EPERM : -EIO, "%s failed (status %d)%s%s%s%s",
                      program, result->status, n ? ": " : "", line, hint ? "; " : "", hint ? hint : "");
}

/* Runs one of the tools; its output is in *ret_result, which is to be released in every case. */
static int run_tool(const struct firewall *firewall, const char *const *argv, struct slice input,
                    struct errmsg *msg, struct command_result *ret_result)
{
    struct command command = {argv, input, TOOL_TIMEOUT_S * NS_PER_S + firewall->wait_ns};
    int r = command_run(&command, msg, ret_result);

    if (r < 0)
        return r;
    if (firewall->trace)
        firewall->trace(firewall->trace_owner, argv[0], input, buffer_slice(&ret_result->output));
    return ret_result->status ? complain(argv[0], ret_result, msg) : 0;
}

static int understand(const struct firewall *firewall, struct slice text, struct errmsg *msg, struct saved *ret_saved)
{
    int r = saved_read(text, ret_saved);

    if (r == -EPROTO)
        return errmsg_set(msg, r, "%s cannot show the nat table; %s", firewall->tools.save,
                          firewall_hint(SLICE_LIT("is incompatible")));
    if (r < 0)
        return errmsg_set(msg, r, "the nat table has more than %d rules that jump to one of our chains; "
                          "remove them by hand", SAVED_JUMPS_MAX);
    return 0;
}

int firewall_read(const struct firewall *firewall, struct errmsg *msg, struct buffer *ret_text,
                  struct saved *ret_saved)
{
    const char *argv[] = {firewall->tools.save, "-t", "nat", NULL};
    struct command_result result;
    int r = run_tool(firewall, argv, SLICE_NULL, msg, &result);

    if (r == 0)
        r = understand(firewall, buffer_slice(&result.output), msg, ret_saved);
    if (r == 0) {
        *ret_text = result.output; /* the slices in *ret_saved point there */
        buffer_init(&result.output, 0);
    }
    command_result_release(&result);
    return r;
}

/* As one transaction. The lock is waited for by number: without one, iptables-legacy-restore waits for ever. */
static int restore(const struct firewall *firewall, struct slice text, struct errmsg *msg)
{
    int64_t wait_s = firewall->wait_ns / NS_PER_S;
    char wait[24];
    const char *argv[] = {firewall->tools.restore, "--noflush", "-w", wait, NULL};
    struct command_result result;
    int r;

    snprintf(wait, sizeof(wait), "%lld", (long long)(wait_s > 0 ? wait_s : 1));
    r = run_tool(firewall, argv, text, msg, &result);
    command_result_release(&result);
    return r;
}

/*
 * One of us at a time in this namespace: between reading and changing, another could add a second jump. The lock is on
 * the namespace itself, so it needs no writable folder and goes with its holder.
 */
static int lock_namespace(int64_t wait_ns, struct errmsg *msg, int *ret_fd)
{
    static const struct timespec pause = {0, 10 * NS_PER_MS};
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errmsg_set(msg, -errno, "cannot open /proc/thread-self/ns/net: %s; is /proc mounted?", strerror(errno));
    for (; flock(fd, LOCK_EX | LOCK_NB) < 0; wait_ns -= pause.tv_nsec) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || wait_ns <= 0) {
            int r = -errno;

            close(fd);
            return errmsg_set(msg, r, "another linkerd-init is changing the rules of this network namespace (%s): try "
                              "again, or pass --use-wait-flag", strerror(-r));
        }
        nanosleep(&pause, NULL);
    }
    *ret_fd = fd;
    return 0;
}

static int same(const struct redirect *redirect, int version, const struct saved *saved, bool *ret_same)
{
    bool all = true;

    for (int i = 0; i < CHAIN_COUNT; i++) {
        size_t wrong = 0;
        int r = rules_compare(redirect, version, saved, i, &wrong);

        if (r < 0)
            return r;
        all &= saved->chain[i].exists && saved->chain[i].jumps == 1 && wrong == 0;
    }
    *ret_same = all;
    return 0;
}

static size_t count_lines(struct slice text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    return count;
}

/* By number only: another version of iptables may print the rules in other words. */
static int check_chain(const struct firewall *firewall, const struct redirect *redirect, const struct saved *saved,
                       enum chain chain, struct errmsg *msg)
{
    const struct saved_chain *have = &saved->chain[chain];
    struct buffer wanted;
    size_t count;
    int r;

    buffer_init(&wanted, LIMIT_COMMAND_OUTPUT);
    r = rules_chain(redirect, firewall->version, chain, &wanted);
    count = count_lines(buffer_slice(&wanted));
    buffer_release(&wanted);
    if (r < 0)
        return errmsg_set(msg, r, "cannot write down the rules of %s: %s", chain_name(chain), strerror(-r));
    if (!have->exists || have->jumps != 1 || have->rules != count)
        return errmsg_set(msg, -ENOENT, "chain %s has %zu rules and %zu jumps from %s; expected are %zu rules and one jump",
                          chain_name(chain), have->rules, have->jumps, chain_origin(chain), count);
    return 0;
}

int firewall_check(const struct firewall *firewall, const struct redirect *redirect, struct errmsg *msg)
{
    struct buffer text;
    struct saved saved;
    int r = firewall_read(firewall, msg, &text, &saved);

    if (r < 0)
        return r;
    for (int i = 0; i < CHAIN_COUNT && r == 0; i++)
        r = check_chain(firewall, redirect, &saved, i, msg);
    buffer_release(&text);
    return r;
}

/* What was just made is there: if not, somebody else changes the table at the same time. */
static int check_installed(const struct firewall *firewall, const struct redirect *redirect, struct errmsg *msg)
{
    int r = firewall_check(firewall, redirect, msg);

    if (r == -ENOENT)
        r = errmsg_prefix(msg, -EAGAIN, "another program changes the nat table: stop it and run this again");
    return r;
}

static int install_locked(const struct firewall *firewall, const struct redirect *redirect, struct errmsg *msg,
                          bool *ret_changed)
{
    struct buffer text, change;
    struct saved saved;
    bool done = false;
    int r = firewall_read(firewall, msg, &text, &saved);

    if (r < 0)
        return r;
    buffer_init(&change, LIMIT_COMMAND_OUTPUT);
    r = same(redirect, firewall->version, &saved, &done);
    if (r == 0 && !done)
        r = rules_install(redirect, firewall->version, &saved, &change);
    if (r < 0)
        errmsg_set(msg, r, "cannot write down the rules: %s", strerror(-r));
    if (r == 0 && !done)
        r = restore(firewall, buffer_slice(&change), msg);
    if (r == 0 && !done)
        r = check_installed(firewall, redirect, msg);
    buffer_release(&change);
    buffer_release(&text);
    if (r == 0 && ret_changed)
        *ret_changed = !done;
    return r;
}

int firewall_install(const struct firewall *firewall, const struct redirect *redirect, struct errmsg *msg,
                     bool *ret_changed)
{
    int lock, r = lock_namespace(firewall->wait_ns, msg, &lock);

    if (r < 0)
        return r;
    r = install_locked(firewall, redirect, msg, ret_changed);
    close(lock);
    return r;
}

static int remove_locked(const struct firewall *firewall, struct errmsg *msg, bool *ret_changed)
{
    struct buffer text, change;
    struct saved saved;
    int r = firewall_read(firewall, msg, &text, &saved);

    if (r < 0)
        return r;
    buffer_init(&change, LIMIT_COMMAND_OUTPUT);
    r = rules_remove(&saved, &change);
    if (r < 0)
        errmsg_set(msg, r, "cannot write down the change: %s", strerror(-r));
    else if (change.len)
        r = restore(firewall, buffer_slice(&change), msg);
    if (r == 0 && ret_changed)
        *ret_changed = change.len > 0;
    buffer_release(&change);
    buffer_release(&text);
    return r;
}

int firewall_remove(const struct firewall *firewall, struct errmsg *msg, bool *ret_changed)
{
    int lock, r = lock_namespace(firewall->wait_ns, msg, &lock);

    if (r < 0)
        return r;
    r = remove_locked(firewall, msg, ret_changed);
    close(lock);
    return r;
}
