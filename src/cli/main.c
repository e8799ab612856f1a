/* `linkerd`: finds the command, reads its flags, runs it. See README.md. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/command.h"

#define GROUP(words, other, text) {.name = (words), .alias = (other), .usage = "COMMAND", .summary = (text)}
#define LATER(words) {.name = (words)}

static const struct command certs_group = GROUP("certs", NULL, "Make and show trust anchors and issuers");
static const struct command token_group = GROUP("token", NULL, "Make signing keys and workload tokens");

static const struct command diagnostics_group =
    GROUP("diagnostics", "dg", "Ask the control plane and proxies what they know");

static const struct command *const commands[] = {
    &version_command,
    &check_command,
    &certs_group,
    &certs_anchor_command,
    &certs_issuer_command,
    &certs_show_command,
    &token_group,
    &token_key_command,
    &token_issue_command,
    &token_check_command,
    &diagnostics_group,
    &diagnostics_metrics_command,
    &diagnostics_endpoints_command,
    &diagnostics_profile_command,
    &diagnostics_policy_command,
    &diagnostics_controller_metrics_command,
    &identity_command,
    &logs_command,
    &install_command,
    &upgrade_command,
    &prune_command,
    &uninstall_command,
    &install_sp_command,
    &install_cni_command,
    &completion_command,
    &doc_command,
    &inject_command,
    &uninject_command,
};

/* What users of Linkerd know and this program does not do yet. */
static const struct command later[] = {
    LATER("alpha"), LATER("authz"), LATER("dashboard"),
    LATER("edges"), LATER("get"), LATER("mc"), LATER("metrics"), LATER("multicluster"),
    LATER("profile"), LATER("routes"), LATER("stat"), LATER("tap"), LATER("top"), LATER("viz"),
};

/* What commands of Linkerd 2.8 are called now. */
static const struct {
    const char *old, *now[2];
} renamed[] = {
    {"endpoints", {"diagnostics", "endpoints"}}, {"ep", {"diagnostics", "endpoints"}}, {"check config", {"check", "--crds"}},
    {"install config", {"install", "--crds"}},   {"install control-plane", {"install"}},
    {"upgrade config", {"upgrade", "--crds"}},   {"upgrade control-plane", {"upgrade"}},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]), COMMANDS_LATER = sizeof(later) / sizeof(later[0]), HELP_MAX = 65536 };

const struct command *command_at(size_t index)
{
    return index < COMMANDS ? commands[index] : NULL;
}

int complain(const char *format, ...)
{
    va_list args;

    fputs("linkerd: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return STATUS_FAILED;
}

/* How many of the words name it; 0: they do not. */
static int words_of(const char *name, int argc, char *const argv[])
{
    struct slice rest = slice_str(name), word;
    int count = 0;

    if (!name)
        return 0;
    while (slice_split(&rest, ' ', &word)) {
        if (count == argc || !slice_eq(word, slice_str(argv[count])))
            return 0;
        count++;
    }
    return count;
}

/* The command that most words name. */
static const struct command *find(int argc, char *const argv[], int *ret_words)
{
    const struct command *best = NULL;
    int most = 0;

    for (size_t i = 0; i < COMMANDS + COMMANDS_LATER; i++) {
        const struct command *command = i < COMMANDS ? commands[i] : &later[i - COMMANDS];
        int words = words_of(command->name, argc, argv);

        if (words == 0)
            words = words_of(command->alias, argc, argv);
        if (words > most) {
            best = command;
            most = words;
        }
    }
    *ret_words = most;
    return best;
}

static bool is_in_group(const struct command *command, const char *group)
{
    struct slice name = slice_str(command->name);

    if (!*group)
        return slice_find(name, ' ') == name.len;
    return slice_starts(name, slice_str(group)) && command->name[strlen(group)] == ' ';
}

static int print(FILE *to, const struct buffer *text)
{
    fwrite(text->data, 1, text->len, to);
    return fflush(to) == 0 ? STATUS_DONE : STATUS_FAILED;
}

static void list_commands(const char *group, struct buffer *out)
{
    buffer_add_lit(out, "Available Commands:\n");
    for (size_t i = 0; i < COMMANDS; i++)
        if (is_in_group(commands[i], group))
            buffer_printf(out, "  %-15s %s\n", commands[i]->name + (*group ? strlen(group) + 1 : 0), commands[i]->summary);
    if (!*group)
        buffer_printf(out, "  %-15s %s\n", "help", "Help about any command");
}

static int help_main(void)
{
    struct buffer out;
    int status;

    buffer_init(&out, HELP_MAX);
    buffer_add_lit(&out, "linkerd manages a service mesh.\n\nUsage:\n  linkerd COMMAND [flags]\n\n");
    list_commands("", &out);
    buffer_add_lit(&out, "\nUse \"linkerd COMMAND --help\" for more information about a command.\n");
    status = print(stdout, &out);
    buffer_release(&out);
    return status;
}

static int help_command(const struct command *command)
{
    struct buffer out;
    int status;

    buffer_init(&out, HELP_MAX);
    buffer_printf(&out, "%s.\n", command->summary);
    if (command->about)
        buffer_printf(&out, "\n%s\n", command->about);
    buffer_printf(&out, "\nUsage:\n  linkerd %s%s%s%s\n", command->name, *command->usage ? " " : "", command->usage,
                  command->run ? " [flags]" : "");
    if (command->alias)
        buffer_printf(&out, "\nAlso: linkerd %s\n", command->alias);
    buffer_add_byte(&out, '\n');
    if (command->run) {
        buffer_add_lit(&out, "Flags:\n");
        flags_help(command->flags, &out);
    } else {
        list_commands(command->name, &out);
    }
    status = print(stdout, &out);
    buffer_release(&out);
    return status;
}

static int not_yet(const char *what)
{
    complain("%s", what);
    return STATUS_NOT_YET;
}

static int check_arguments(const struct command *command, const struct words *arguments)
{
    if (arguments->count < command->min_arguments)
        return complain("%s: an argument is missing: expected %s; see linkerd %s --help", command->name,
                        command->usage, command->name);
    if (arguments->count > command->max_arguments)
        return complain("%s: unexpected argument \"%s\"; see linkerd %s --help", command->name,
                        arguments->items[command->max_arguments], command->name);
    return STATUS_DONE;
}

/* Flags that every command of Linkerd's takes, and that people write in front of it; all have a value. */
static bool is_front_flag(const char *word, bool *ret_value_follows)
{
    static const char *const names[] = {"--api-addr", "--as", "--as-group", "--cni-namespace", "--context", "--kubeconfig", "--linkerd-namespace"};
    struct slice name = slice_take(slice_str(word), slice_find(slice_str(word), '='));

    *ret_value_follows = !word[name.len];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_eq(name, slice_str(names[i])))
            return true;
    *ret_value_follows = strcmp(word, "-L") == 0;
    return slice_starts(slice_str(word), SLICE_LIT("-L"));
}

/* Whether the command knows what is_front_flag() has found. */
static bool knows_flag(const struct command *command, const char *word)
{
    struct slice name = word[1] == 'L' ? SLICE_LIT("linkerd-namespace") : slice_skip(slice_take(slice_str(word), slice_find(slice_str(word), '=')), 2);
    const struct flag *flag;

    for (size_t i = 0; (flag = flag_at(&command->flags, i)); i++)
        if (slice_eq(name, slice_str(flag->name)))
            return true;
    return false;
}

/* certs and token are ours alone, and ask no cluster. */
static bool is_of_linkerd(const struct command *command)
{
    return !slice_starts(slice_str(command->name), SLICE_LIT("certs")) && !slice_starts(slice_str(command->name), SLICE_LIT("token"));
}

/*
 * Copies the words but for those of flags that every command of Linkerd's takes and that this one has no use for (--context of install-cni, which asks no
 * cluster). Returns how many are left.
 */
static int take_unused(const struct command *command, int argc, char *const argv[], char **ret_words)
{
    int count = 0;
    bool value, ended = false;

    for (int i = 0; i < argc; i++) {
        ended = ended || strcmp(argv[i], "--") == 0;
        if (!ended && is_of_linkerd(command) && is_front_flag(argv[i], &value) && !knows_flag(command, argv[i]))
            i += value && i + 1 < argc;
        else
            ret_words[count++] = argv[i];
    }
    return count;
}

static int run(const struct command *command, int argc, char *const argv[])
{
    void *options = calloc(1, command->options_size ? command->options_size : 1);
    char **words = calloc((size_t)argc + 1, sizeof(*words));
    struct errmsg msg = {""};
    struct words arguments;
    bool want_help;
    int status, r;

    if (!options || !words) {
        free(options);
        free(words);
        return complain("out of memory");
    }
    argc = take_unused(command, argc, argv, words);
    r = flags_parse(command->flags, argc, words, options, &msg, &arguments, &want_help);
    if (want_help)
        status = help_command(command);
    else if (r == -ENOSYS)
        status = not_yet(msg.text);
    else if (r < 0)
        status = complain("%s: %s; see linkerd %s --help", command->name, msg.text, command->name);
    else if (check_arguments(command, &arguments) != STATUS_DONE)
        status = STATUS_FAILED;
    else
        status = command->run(options, &arguments);
    free(words);
    free(options);
    return status;
}

/* `linkerd certs` and what may follow it. */
static int run_group(const struct command *group, int argc, char *const argv[])
{
    if (argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        return help_command(group);
    if (group == &diagnostics_group && (strncmp(argv[0], "-w", 2) == 0 || strncmp(argv[0], "--wait", 6) == 0)) {
        complain("diagnostics of Linkerd 2.8 is now: diagnostics controller-metrics");
        return run(&diagnostics_controller_metrics_command, argc, argv);
    }
    return complain("unknown %s \"%s\" for \"linkerd %s\"; see linkerd %s --help", argv[0][0] == '-' ? "flag" : "command",
                    argv[0], group->name, group->name);
}

/* --- names of Linkerd 2.8 --- */

/*
 * The line with the new name in the place of an old one, which stands behind `before` words; `help` wants names alone. *ret_words is the caller's to free (NULL:
 * the line is fine as it is). Returns how many words it has.
 */
static int rename_old(int before, bool help, int argc, char *const argv[], char ***ret_words)
{
    int count = 0, gone = 0;
    size_t row = 0;
    char **words;

    *ret_words = NULL;
    while (row < sizeof(renamed) / sizeof(renamed[0]) && !(gone = words_of(renamed[row].old, argc - before, argv + before)))
        row++;
    words = gone ? calloc((size_t)argc + 3, sizeof(*words)) : NULL;
    if (!words)
        return argc;
    for (; count < before; count++)
        words[count] = argv[count];
    for (size_t i = 0; i < 2 && renamed[row].now[i] && !(help && renamed[row].now[i][0] == '-'); i++)
        words[count++] = (char *)(uintptr_t)renamed[row].now[i];
    for (int i = before + gone; i < argc; i++)
        words[count++] = argv[i];
    complain("%s of Linkerd 2.8 is now: %s%s%s", renamed[row].old, renamed[row].now[0], renamed[row].now[1] ? " " : "", renamed[row].now[1] ? renamed[row].now[1] : "");
    *ret_words = words;
    return count;
}

static int dispatch(int argc, char *const argv[])
{
    int words;
    const struct command *command = find(argc, argv, &words);
    char text[128];

    if (!command)
        return complain("unknown %s \"%s\"; see linkerd --help", argv[0][0] == '-' ? "flag" : "command", argv[0]);
    if (!command->summary) {
        snprintf(text, sizeof(text), "%s is not available yet", command->name);
        return not_yet(text);
    }
    if (!command->run)
        return run_group(command, argc - words, argv + words);
    return run(command, argc - words, argv + words);
}

/* Takes --verbose out, wherever it stands: every command of Linkerd's has it. Returns how many words are left. */
static int take_verbose(int argc, char *argv[])
{
    int kept = 0;
    bool ended = false;

    for (int i = 0; i < argc; i++) {
        ended = ended || strcmp(argv[i], "--") == 0;
        if (!ended && (strcmp(argv[i], "--verbose") == 0 || strcmp(argv[i], "--verbose=true") == 0))
            setenv(VERBOSE_VARIABLE, "1", 1);
        else if (ended || strcmp(argv[i], "--verbose=false") != 0)
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

static int count_front_flags(int argc, char *const argv[])
{
    int count = 0;
    bool value;

    while (count < argc && is_front_flag(argv[count], &value))
        count += 1 + (value && count + 1 < argc);
    return count;
}

/* `linkerd --api-addr A diagnostics policy ...` is `linkerd diagnostics policy --api-addr A ...`: moves them in place. */
static void front_flags_behind(int flags, int argc, char *argv[])
{
    int words;

    (void)find(argc - flags, argv + flags, &words);
    for (int word = 0; word < words; word++) {
        char *moved = argv[flags + word];

        memmove(&argv[word + 1], &argv[word], (size_t)flags * sizeof(*argv));
        argv[word] = moved;
    }
}

/* `linkerd help certs anchor` is `linkerd certs anchor --help`. */
static int help(int argc, char *const argv[])
{
    int words;
    const struct command *command = find(argc, argv, &words);

    if (argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "help") == 0)
        return help_main();
    if (!command || words < argc)
        return complain("unknown command \"%s\"; see linkerd --help", argv[command ? words : 0]);
    return command->summary ? help_command(command) : dispatch(argc, argv);
}

/* Descriptors 0 to 2 exist, so that nothing that is opened later can be mistaken for them. */
static void keep_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= 2 && fcntl(fd, F_SETFD, 0) == 0);
    if (fd > 2)
        close(fd);
}

int main(int argc, char *argv[])
{
    char words[] = "diagnostics"; /* what `dg` stands for, in front of its commands too */
    char **new_line;
    int flags, status;
    bool is_help;

    argc = take_verbose(argc, argv);
    flags = count_front_flags(argc - 1, argv + 1);
    keep_standard_descriptors();
    is_help = argc > 1 && strcmp(argv[1], "help") == 0;
    argc = rename_old(is_help ? 2 : 1 + flags, is_help, argc, argv, &new_line);
    if (new_line)
        argv = new_line;
    if (argc > flags + 1 && strcmp(argv[flags + 1], diagnostics_group.alias) == 0)
        argv[flags + 1] = words;
    front_flags_behind(flags, argc - 1, argv + 1);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        status = help_main();
    else if (is_help)
        status = help(argc - 2, argv + 2);
    else
        status = dispatch(argc - 1, argv + 1);
    free(new_line);
    if (fflush(stdout) != 0 || ferror(stdout))
        return complain("cannot write to standard output: %s", strerror(errno));
    return status;
}
