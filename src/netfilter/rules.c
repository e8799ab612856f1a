#include "netfilter/rules.h"

#include <errno.h>

#include "base/limits.h"
#include "base/mutation.h"

enum { MULTIPORT_MAX = 15 }; /* ports that one multiport match can hold; a range takes two places */

/* Appends "22,25:27,33": as many of the ranges as fit into one match. Returns how many were taken. */
static size_t add_ports(struct buffer *out, const struct port_range *ranges, size_t count)
{
    size_t places = 0, i;

    for (i = 0; i < count; i++) {
        bool single = ranges[i].first == ranges[i].last;

        places += single ? 1 : 2;
        if (places > MULTIPORT_MAX)
            break;
        if (i)
            buffer_add_byte(out, ',');
        buffer_printf(out, "%u", ranges[i].first);
        if (!single)
            buffer_printf(out, ":%u", ranges[i].last);
    }
    return i;
}

static void skip_ports(struct buffer *out, enum chain chain, const struct port_range *ranges, size_t count)
{
    for (size_t at = 0, taken; at < count; at += taken) {
        buffer_printf(out, "-A %s -p tcp -m multiport --dports ", chain_name(chain));
        add_ports(out, ranges + at, count - at);
        buffer_add_lit(out, " -m comment --comment \"proxy-init/ignore-port-");
        taken = add_ports(out, ranges + at, count - at);
        buffer_add_lit(out, "\" -j RETURN\n");
    }
}

static void skip_networks(const struct redirect *redirect, int version, struct buffer *out)
{
    for (size_t i = 0; i < redirect->skip_networks_count; i++) {
        const struct cidr *net = &redirect->skip_networks[i];
        char ip[IP_TEXT_MAX];

        if (net->ip.version != version)
            continue;
        ip_format(net->ip, ip);
        buffer_printf(out, "-A %s ", chain_name(CHAIN_REDIRECT));
        if (net->prefix) /* a match of everything is not printed by iptables-save either */
            buffer_printf(out, "-s %s/%u ", ip, net->prefix);
        buffer_printf(out, "-m comment --comment \"proxy-init/ignore-subnet-%s/%u\" -j RETURN\n", ip, net->prefix);
    }
}

static void redirect_inbound(const struct redirect *redirect, struct buffer *out)
{
    const char *chain = chain_name(CHAIN_REDIRECT);

    if (redirect->inbound_only_count == 0)
        buffer_printf(out,
                      "-A %s -p tcp -m comment --comment \"proxy-init/redirect-all-incoming-to-proxy-port\" "
                      "-j REDIRECT --to-ports %u\n",
                      chain, redirect->inbound_port);
    for (size_t i = 0; i < redirect->inbound_only_count; i++)
        buffer_printf(out,
                      "-A %s -p tcp -m tcp --dport %u -m comment --comment "
                      "\"proxy-init/redirect-port-%u-to-proxy-port\" -j REDIRECT --to-ports %u\n",
                      chain, redirect->inbound_only[i], redirect->inbound_only[i], redirect->inbound_port);
}

static void outbound(const struct redirect *redirect, struct buffer *out)
{
    const char *chain = chain_name(CHAIN_OUTPUT);

    if (redirect->proxy_uid && !mutation("proxy-user-not-exempt"))
        buffer_printf(out,
                      "-A %s -m owner --uid-owner %u -m comment --comment \"proxy-init/ignore-proxy-user-id\" "
                      "-j RETURN\n",
                      chain, redirect->proxy_uid);
    if (redirect->proxy_gid)
        buffer_printf(out,
                      "-A %s -m owner --gid-owner %u -m comment --comment \"proxy-init/ignore-proxy-group-id\" "
                      "-j RETURN\n",
                      chain, redirect->proxy_gid);
    buffer_printf(out, "-A %s -o lo -m comment --comment \"proxy-init/ignore-loopback\" -j RETURN\n", chain);
    skip_ports(out, CHAIN_OUTPUT, redirect->skip_outbound, redirect->skip_outbound_count);
    buffer_printf(out,
                  "-A %s -p tcp -m comment --comment \"proxy-init/redirect-all-outgoing-to-proxy-port\" "
                  "-j REDIRECT --to-ports %u\n",
                  chain, redirect->outbound_port);
}

int rules_chain(const struct redirect *redirect, int version, enum chain chain, struct buffer *out)
{
    if (chain == CHAIN_OUTPUT) {
        outbound(redirect, out);
    } else {
        skip_ports(out, CHAIN_REDIRECT, redirect->skip_inbound, redirect->skip_inbound_count);
        skip_networks(redirect, version, out);
        redirect_inbound(redirect, out);
    }
    return buffer_error(out);
}

/* One jump stays, or is added; equal ones beyond it are each deleted once. */
static void jumps_install(enum chain chain, const struct saved_chain *saved, struct buffer *out)
{
    static const char *const comment[CHAIN_COUNT] = {
        [CHAIN_REDIRECT] = "install-proxy-init-prerouting",
        [CHAIN_OUTPUT] = "install-proxy-init-output",
    };

    if (saved->jumps == 0)
        buffer_printf(out, "-A %s -m comment --comment \"proxy-init/%s\" -j %s\n", chain_origin(chain),
                      comment[chain], chain_name(chain));
    for (size_t i = 1; i < saved->jumps; i++)
        buffer_printf(out, "-D %.*s\n", SLICE_ARGS(saved->jump[i]));
}

int rules_install(const struct redirect *redirect, int version, const struct saved *saved, struct buffer *out)
{
    buffer_add_lit(out, "*nat\n");
    for (int i = 0; i < CHAIN_COUNT; i++) /* creates the chain, or empties the one that is there */
        buffer_printf(out, ":%s - [0:0]\n", chain_name(i));
    for (int i = 0; i < CHAIN_COUNT; i++)
        rules_chain(redirect, version, i, out);
    for (int i = 0; i < CHAIN_COUNT; i++)
        jumps_install(i, &saved->chain[i], out);
    return buffer_add_lit(out, "COMMIT\n");
}

int rules_remove(const struct saved *saved, struct buffer *out)
{
    if (!saved_has_rules(saved))
        return buffer_error(out);
    buffer_add_lit(out, "*nat\n");
    for (int i = 0; i < CHAIN_COUNT; i++)
        for (size_t j = 0; j < saved->chain[i].jumps; j++)
            buffer_printf(out, "-D %.*s\n", SLICE_ARGS(saved->chain[i].jump[j]));
    for (int i = 0; i < CHAIN_COUNT; i++)
        if (saved->chain[i].exists)
            buffer_printf(out, "-F %s\n-X %s\n", chain_name(i), chain_name(i));
    return buffer_add_lit(out, "COMMIT\n");
}

/* The next line that is a rule of `chain`; other chains may lie between. */
static bool next_rule(struct slice *rest, enum chain chain, struct slice *ret_line)
{
    struct slice line, name = slice_str(chain_name(chain));

    while (slice_split(rest, '\n', &line)) {
        line = slice_trim(line);
        if (slice_starts(line, SLICE_LIT("-A ")) && slice_starts(slice_skip(line, 3), name) &&
            slice_starts(slice_skip(line, 3 + name.len), SLICE_LIT(" "))) {
            *ret_line = line;
            return true;
        }
    }
    return false;
}

int rules_compare(const struct redirect *redirect, int version, const struct saved *saved, enum chain chain,
                  size_t *ret_wrong)
{
    const struct saved_chain *have = &saved->chain[chain];
    struct slice want, found = SLICE_NULL, want_line, found_line;
    bool wanted, present;
    struct buffer text;
    size_t wrong = 0;
    int r;

    if (have->rules)
        found = slice_of(have->first_rule.ptr,
                         (size_t)(have->last_rule.ptr + have->last_rule.len - have->first_rule.ptr));
    buffer_init(&text, LIMIT_COMMAND_OUTPUT);
    r = rules_chain(redirect, version, chain, &text);
    want = buffer_slice(&text);
    while (r == 0) {
        wanted = next_rule(&want, chain, &want_line);
        present = next_rule(&found, chain, &found_line);
        if (!wanted && !present)
            break;
        if (!wanted || !present || !slice_eq(want_line, found_line))
            wrong++;
    }
    buffer_release(&text);
    if (r == 0)
        *ret_wrong = wrong;
    return r;
}
