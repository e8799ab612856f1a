#include "init/validate.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "init/flags.h"
#include "netfilter/journal.h"

enum { STATUS_USAGE = 2, STATUS_INVALID = 95 }; /* 95 is EOPNOTSUPP, as Linkerd's validator has it */
enum { ADDRESSES_MAX = 8 };

struct validate_options {
    struct addr listen;
    struct addr connect[ADDRESSES_MAX];
    size_t connect_count;
    int64_t timeout_ns;
    struct journal log;
    bool help;
};

struct raw {
    struct buffer connect;
    const char *listen, *timeout, *log_format, *log_level;
};

enum { FLAG_TOTAL = 5 };

static void make_flags(struct raw *raw, struct flag flags[FLAG_TOTAL])
{
    const struct flag table[FLAG_TOTAL] = {
        {"connect-addr", 0, FLAG_LIST, &raw->connect, .example = "an address that leads nowhere: 192.0.2.2:1404",
         .help = "where to connect; several may be given, one for each family"},
        {"listen-addr", 0, FLAG_TEXT, &raw->listen, .example = "0.0.0.0:4140 or [::]:4140",
         .help = "where the connection must arrive: the proxy's outbound port"},
        {"timeout", 0, FLAG_TEXT, &raw->timeout, .example = "10s, 500ms, 1m", .help = "for each address"},
        {"log-format", 0, FLAG_TEXT, &raw->log_format, .env = "LINKERD_NETWORK_VALIDATOR_LOG_FORMAT",
         .example = "plain or json", .help = "form of the log lines"},
        {"log-level", 0, FLAG_TEXT, &raw->log_level, .env = "LINKERD_NETWORK_VALIDATOR_LOG_LEVEL",
         .example = "error, warn, info or debug", .help = "how much is logged"},
    };

    memcpy(flags, table, sizeof(table));
}

/* The level that a filter such as "info,hyper=debug" gives to everything; other parts name what we do not have. */
static int filter_level(struct slice filter, enum journal_level *ret_level)
{
    struct slice part;
    char name[16];
    int r = 0;

    while (r == 0 && slice_split(&filter, ',', &part)) {
        part = slice_trim(part);
        if (slice_find(part, '=') < part.len)
            continue;
        if (part.len >= sizeof(name))
            return -EINVAL;
        memcpy(name, part.ptr, part.len);
        name[part.len] = '\0';
        r = journal_level_parse(name, ret_level);
    }
    return r;
}

static void read_addresses(const struct raw *raw, struct buffer *problems, struct validate_options *options)
{
    struct slice rest = raw->connect.len ? buffer_slice(&raw->connect) : SLICE_LIT("192.0.2.2:1404"), item;

    if (addr_parse(slice_str(raw->listen), &options->listen) < 0)
        buffer_printf(problems, "--listen-addr: \"%s\" is not valid; expected such as 0.0.0.0:4140 or [::]:4140\n",
                      raw->listen);
    while (slice_split(&rest, ',', &item)) {
        struct addr addr;

        if (addr_parse(slice_trim(item), &addr) < 0 || addr.port == 0)
            buffer_printf(problems, "--connect-addr: \"%.*s\" is not valid; expected such as 192.0.2.2:1404 or "
                          "[fd00::1]:20001\n", SLICE_ARGS(item));
        else if (options->connect_count == ADDRESSES_MAX)
            buffer_printf(problems, "--connect-addr: more than %d addresses\n", ADDRESSES_MAX);
        else
            options->connect[options->connect_count++] = addr;
    }
}

static int read_options(int argc, char *const argv[], struct buffer *problems, struct validate_options *ret_options)
{
    struct raw raw = {.listen = "0.0.0.0:4140", .timeout = "10s", .log_format = "plain", .log_level = "info"};
    struct flag flags[FLAG_TOTAL];

    *ret_options = (struct validate_options){.log = {stderr, JOURNAL_INFO, false}};
    buffer_init(&raw.connect, 4096);
    make_flags(&raw, flags);
    flags_parse(flags, FLAG_TOTAL, argc, argv, problems, &ret_options->help);
    read_addresses(&raw, problems, ret_options);
    if (duration_parse(slice_trim(slice_str(raw.timeout)), &ret_options->timeout_ns) < 0)
        buffer_printf(problems, "--timeout: \"%s\" is not valid; expected a number and ms, s, m, h or d\n",
                      raw.timeout);
    if (journal_format_parse(raw.log_format, &ret_options->log.json) < 0)
        buffer_printf(problems, "--log-format: \"%s\" is not valid; expected plain or json\n", raw.log_format);
    if (filter_level(slice_str(raw.log_level), &ret_options->log.level) < 0)
        buffer_printf(problems, "--log-level: \"%s\" is not valid; expected error, warn, info or debug\n",
                      raw.log_level);
    buffer_release(&raw.connect);
    return problems->len ? -EINVAL : 0;
}

static void print_help(void)
{
    struct flag flags[FLAG_TOTAL];
    struct buffer text;
    struct raw raw = {0};

    make_flags(&raw, flags);
    buffer_init(&text, 64 * 1024);
    buffer_add_lit(&text, "linkerd-init validate: proves that outgoing TCP is redirected to the proxy's port.\n"
                          "Exit status 0, or 95 with what is missing.\n\n");
    flags_help(flags, FLAG_TOTAL, &text);
    fwrite(text.data, 1, text.len, stdout);
    buffer_release(&text);
}

/* Only what a signal handler may call. */
static void on_signal(int number)
{
    static const char line[] = "level=error msg=\"stopped by a signal before redirection was proved\"\n";
    ssize_t n = write(STDERR_FILENO, line, sizeof(line) - 1);

    (void)n;
    _exit(STATUS_INVALID);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

static int validate_all(const struct validate_options *options)
{
    int status = 0;

    for (size_t i = 0; i < options->connect_count; i++) {
        char listen[ADDR_TEXT_MAX], connect[ADDR_TEXT_MAX];
        struct errmsg msg = {""};

        addr_format(options->listen, listen);
        addr_format(options->connect[i], connect);
        journal_line(&options->log, JOURNAL_INFO, "listening on %s, connecting to %s", listen, connect);
        if (validate_redirect(sys_linux(), options->listen, options->connect[i], options->timeout_ns, &msg) ==
            VALIDATE_OK) {
            journal_line(&options->log, JOURNAL_INFO, "validated: %s is redirected to %s", connect, listen);
        } else {
            journal_line(&options->log, JOURNAL_ERROR, "%s", msg.text);
            status = STATUS_INVALID;
        }
    }
    return status;
}

int validate_main(int argc, char *const argv[])
{
    struct validate_options options;
    struct buffer problems;
    int status;

    buffer_init(&problems, 64 * 1024);
    if (read_options(argc, argv, &problems, &options) < 0 && !options.help) {
        fprintf(stderr, "%.*s", SLICE_ARGS(buffer_slice(&problems)));
        status = STATUS_USAGE;
    } else if (options.help) {
        print_help();
        status = 0;
    } else {
        catch_signals();
        status = validate_all(&options);
    }
    buffer_release(&problems);
    return status;
}
