#include "init/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "init/flags.h"
#include "netfilter/lists.h"

enum { LIST_TEXT_MAX = 1 << 20, FLAG_COUNT = 20 };

/* As typed. */
struct raw {
    int64_t inbound_port, outbound_port, uid, gid, close_wait_s;
    struct buffer only, skip_inbound, skip_outbound, subnets;
    bool simulate, wait, ipv6, remove, version;
    const char *netns, *log_format, *log_level, *mode, *bin, *save_bin;
};

#define LETTER(c) .letter = (c)
#define PORT .min = 1, .max = UINT16_MAX, .example = "a port, 1 to 65535"
#define ID .min = -1, .max = UINT32_MAX - 1, .example = "a number, or -1 for none"

static void make_flags(struct raw *raw, struct flag flags[FLAG_COUNT])
{
    const struct flag table[FLAG_COUNT] = {
        {"incoming-proxy-port", 'p', FLAG_NUMBER, &raw->inbound_port, PORT,
         .help = "where the proxy takes incoming traffic; needed"},
        {"outgoing-proxy-port", 'o', FLAG_NUMBER, &raw->outbound_port, PORT,
         .help = "where the proxy takes outgoing traffic; needed"},
        {"proxy-uid", 'u', FLAG_NUMBER, &raw->uid, ID, .help = "user of the proxy, whose own traffic is left alone"},
        {"proxy-gid", 'g', FLAG_NUMBER, &raw->gid, ID, .help = "group of the proxy, whose own traffic is left alone"},
        {"ports-to-redirect", 'r', FLAG_LIST, &raw->only, .example = "ports: 80,443",
         .help = "incoming ports to redirect; without it, all"},
        {"inbound-ports-to-ignore", 0, FLAG_LIST, &raw->skip_inbound, .example = "ports and ranges: 25,4567-4568",
         .help = "incoming ports that are not redirected; goes before everything else"},
        {"outbound-ports-to-ignore", 0, FLAG_LIST, &raw->skip_outbound, .example = "ports and ranges: 25,4567-4568",
         .help = "outgoing ports that are not redirected"},
        {"subnets-to-ignore", 0, FLAG_LIST, &raw->subnets, .example = "networks: 10.0.0.0/8,fd00::/8",
         .help = "sources whose incoming traffic is not redirected"},
        {"simulate", 0, FLAG_SWITCH, &raw->simulate, .help = "print the transactions and run nothing"},
        {"remove", 0, FLAG_SWITCH, &raw->remove,
         .help = "take the rules out again; without --iptables-mode those of both kinds"},
        {"netns", 0, FLAG_TEXT, &raw->netns, .example = "a file such as /run/netns/NAME",
         .help = "network namespace to do it in"},
        {"use-wait-flag", 'w', FLAG_SWITCH, &raw->wait,
         .help = "wait up to a minute for other programs that change the rules, not five seconds"},
        {"timeout-close-wait-secs", 0, FLAG_NUMBER, &raw->close_wait_s, .min = 0, .max = INT32_MAX,
         .example = "seconds", .help = "sets net.netfilter.nf_conntrack_tcp_timeout_close_wait"},
        {"log-format", 0, FLAG_TEXT, &raw->log_format, .example = "plain or json", .help = "form of the log lines"},
        {"log-level", 0, FLAG_TEXT, &raw->log_level, .example = "error, warn, info or debug",
         .help = "how much is logged"},
        {"iptables-mode", 0, FLAG_TEXT, &raw->mode, .example = "legacy, nft or plain",
         .help = "kind of iptables; goes before --firewall-bin-path"},
        {"ipv6", 0, FLAG_SWITCH, &raw->ipv6, .help = "make the rules for IPv6 too (the default)"},
        {"firewall-bin-path", 0, FLAG_TEXT, &raw->bin, .example = "iptables-legacy, iptables-nft or iptables",
         .help = "older form of --iptables-mode"},
        {"firewall-save-bin-path", 0, FLAG_TEXT, &raw->save_bin, .example = "iptables-nft-save and the like",
         .help = "accepted for compatibility; follows from the mode"},
        {"version", 0, FLAG_SWITCH, &raw->version, .help = "print the version"},
    };

    memcpy(flags, table, sizeof(table));
}

static void read_lists(const struct raw *raw, struct buffer *problems, struct redirect *redirect)
{
    struct list_reading only = {"--ports-to-redirect", LIST_PORTS, problems, NULL, 0};
    struct list_reading in = {"--inbound-ports-to-ignore", LIST_RANGES, problems, NULL, 0};
    struct list_reading out = {"--outbound-ports-to-ignore", LIST_RANGES, problems, NULL, 0};
    struct list_reading nets = {"--subnets-to-ignore", LIST_NETWORKS, problems, NULL, 0};

    lists_add(&only, buffer_slice(&raw->only));
    lists_add(&in, buffer_slice(&raw->skip_inbound));
    lists_add(&out, buffer_slice(&raw->skip_outbound));
    lists_add(&nets, buffer_slice(&raw->subnets));
    redirect_take_lists(redirect, &only, &in, &out, &nets);
}

/* "iptables-nft" is mode nft; a folder in front is accepted. */
static int mode_of_program(const char *path, enum firewall_mode *ret_mode)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    if (strcmp(name, "iptables") == 0)
        *ret_mode = FIREWALL_PLAIN;
    else if (strcmp(name, "iptables-nft") == 0)
        *ret_mode = FIREWALL_NFT;
    else if (strcmp(name, "iptables-legacy") == 0)
        *ret_mode = FIREWALL_LEGACY;
    else
        return -EINVAL;
    return 0;
}

static void read_mode(const struct raw *raw, struct buffer *problems, struct options *options)
{
    bool by_mode = raw->mode && raw->mode[0], by_program = raw->bin && raw->bin[0];

    options->mode = FIREWALL_LEGACY; /* Linkerd's default */
    options->mode_given = by_mode || by_program;
    if (by_mode && firewall_mode_parse(raw->mode, &options->mode) < 0)
        buffer_printf(problems, "--iptables-mode: \"%s\" is not valid; expected legacy, nft or plain\n", raw->mode);
    if (!by_mode && by_program && mode_of_program(raw->bin, &options->mode) < 0)
        buffer_printf(problems,
                      "--firewall-bin-path: \"%s\" is not valid; expected iptables-legacy, iptables-nft or iptables\n",
                      raw->bin);
}

/* Not what was given and is refused already: one mistake, one line. */
static void need_port(struct buffer *problems, const char *flag, int64_t port, int usual)
{
    char refused[64];

    snprintf(refused, sizeof(refused), "%s:", flag);
    if (port < 0 && slice_find_slice(buffer_slice(problems), slice_str(refused)) == problems->len)
        buffer_printf(problems, "%s is needed: the port on which the proxy listens, such as %d\n", flag, usual);
}

static void read_rest(const struct raw *raw, struct buffer *problems, struct options *options)
{
    if (journal_level_parse(raw->log_level, &options->log_level) < 0)
        buffer_printf(problems, "--log-level: \"%s\" is not valid; expected error, warn, info or debug\n",
                      raw->log_level);
    if (journal_format_parse(raw->log_format, &options->log_json) < 0)
        buffer_printf(problems, "--log-format: \"%s\" is not valid; expected plain or json\n", raw->log_format);
    if (!raw->remove) {
        need_port(problems, "--incoming-proxy-port", raw->inbound_port, 4143);
        need_port(problems, "--outgoing-proxy-port", raw->outbound_port, 4140);
    }
    if (raw->remove && raw->simulate)
        buffer_printf(problems, "--simulate shows rules to be made; it cannot be combined with --remove\n");
    options->redirect.inbound_port = raw->inbound_port > 0 ? (uint16_t)raw->inbound_port : 0;
    options->redirect.outbound_port = raw->outbound_port > 0 ? (uint16_t)raw->outbound_port : 0;
    options->redirect.proxy_uid = raw->uid > 0 ? (uint32_t)raw->uid : 0;
    options->redirect.proxy_gid = raw->gid > 0 ? (uint32_t)raw->gid : 0;
    options->ipv6 = raw->ipv6;
    options->simulate = raw->simulate;
    options->remove = raw->remove;
    options->wait = raw->wait;
    options->version = raw->version;
    options->netns = raw->netns && raw->netns[0] ? raw->netns : NULL;
    options->close_wait_s = raw->close_wait_s;
}

static void raw_init(struct raw *raw)
{
    *raw = (struct raw){.inbound_port = -1, .outbound_port = -1, .uid = -1, .gid = -1, .ipv6 = true,
                        .log_format = "plain", .log_level = "info"};
    buffer_init(&raw->only, LIST_TEXT_MAX);
    buffer_init(&raw->skip_inbound, LIST_TEXT_MAX);
    buffer_init(&raw->skip_outbound, LIST_TEXT_MAX);
    buffer_init(&raw->subnets, LIST_TEXT_MAX);
}

static void raw_release(struct raw *raw)
{
    buffer_release(&raw->only);
    buffer_release(&raw->skip_inbound);
    buffer_release(&raw->skip_outbound);
    buffer_release(&raw->subnets);
}

int options_parse(int argc, char *const argv[], struct buffer *problems, bool *ret_help, struct options *ret_options)
{
    struct flag flags[FLAG_COUNT];
    struct raw raw;

    memset(ret_options, 0, sizeof(*ret_options));
    raw_init(&raw);
    make_flags(&raw, flags);
    flags_parse(flags, FLAG_COUNT, argc, argv, problems, ret_help);
    read_lists(&raw, problems, &ret_options->redirect);
    read_mode(&raw, problems, ret_options);
    read_rest(&raw, problems, ret_options);
    raw_release(&raw);
    return (problems->len || buffer_error(problems)) && !ret_options->version ? -EINVAL : 0;
}

void options_release(struct options *options)
{
    redirect_release(&options->redirect);
    memset(options, 0, sizeof(*options));
}

void options_help(struct buffer *out)
{
    struct flag flags[FLAG_COUNT];
    struct raw raw;

    raw_init(&raw);
    make_flags(&raw, flags);
    buffer_add_lit(out, "linkerd-init: hands the TCP traffic of a pod or a machine to the proxy.\n\n"
                        "  linkerd-init --incoming-proxy-port 4143 --outgoing-proxy-port 4140 --proxy-uid 2102\n"
                        "  linkerd-init --remove\n"
                        "  linkerd-init validate --help\n\n");
    flags_help(flags, FLAG_COUNT, out);
    raw_release(&raw);
}
