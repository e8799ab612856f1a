/*
 * `linkerd completion`: a script for a shell, made of the table of commands. The script holds the words themselves and runs nothing: for
 * each command, what may follow it and which flags it has.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/command.h"

enum { TEXT_MAX = 256 * 1024 };

/* --- what the table says --- */

static bool is_told(const struct command *command)
{
    return command->summary != NULL;
}

/* The word behind `group` in the command's name; an empty slice when the command does not lie directly below the group. */
static struct slice word_below(const struct command *command, struct slice group)
{
    struct slice name = slice_str(command->name);

    if (!group.len)
        return slice_find(name, ' ') == name.len ? name : SLICE_NULL;
    if (!slice_starts(name, group) || name.len <= group.len || name.ptr[group.len] != ' ')
        return SLICE_NULL;
    name = slice_skip(name, group.len + 1);
    return slice_find(name, ' ') == name.len ? name : SLICE_NULL;
}

static void add_words(struct slice group, struct buffer *out)
{
    const struct command *command;
    const char *space = "";

    for (size_t i = 0; (command = command_at(i)); i++) {
        struct slice word = word_below(command, group);

        if (is_told(command) && word.len) {
            buffer_printf(out, "%s%.*s", space, SLICE_ARGS(word));
            space = " ";
        }
    }
    if (!group.len)
        buffer_printf(out, "%shelp", space);
}

static void add_flags(const struct command *command, struct buffer *out)
{
    const struct flag *flag;

    buffer_add_lit(out, "--help");
    for (size_t i = 0; (flag = flag_at(&command->flags, i)); i++)
        if (flag->kind != FLAG_LATER)
            buffer_printf(out, " --%s", flag->name);
}

/* Choices of a flag as words; none: names of files. */
static void add_choices(const struct flag *flag, struct buffer *out)
{
    struct slice rest = slice_str(flag->choices), choice;

    while (slice_split(&rest, '|', &choice))
        buffer_printf(out, "%.*s ", SLICE_ARGS(choice));
    out->len--;
}

/* --- bash, which zsh can run too --- */

static void add_values(const struct command *command, struct buffer *out)
{
    const struct flag *flag;

    for (size_t i = 0; (flag = flag_at(&command->flags, i)); i++)
        if (flag->kind == FLAG_CHOICE) {
            buffer_printf(out, "        '%s --%s') echo '", command->name, flag->name);
            add_choices(flag, out);
            buffer_add_lit(out, "' ;;\n");
            if (flag->letter) {
                buffer_printf(out, "        '%s -%c') echo '", command->name, flag->letter);
                add_choices(flag, out);
                buffer_add_lit(out, "' ;;\n");
            }
        }
}

static void add_table(struct buffer *out)
{
    const struct command *command;

    buffer_add_lit(out, "__linkerd_words() {\n    case \"$1\" in\n        '') echo '");
    add_words(SLICE_NULL, out);
    buffer_add_lit(out, "' ;;\n");
    for (size_t i = 0; (command = command_at(i)); i++)
        if (is_told(command) && !command->run) {
            buffer_printf(out, "        '%s'%s%s%s) echo '", command->name, command->alias ? "|'" : "", command->alias ? command->alias : "",
                          command->alias ? "'" : "");
            add_words(slice_str(command->name), out);
            buffer_add_lit(out, "' ;;\n");
        }
    buffer_add_lit(out, "        completion) echo 'bash zsh fish' ;;\n    esac\n}\n\n__linkerd_flags() {\n    case \"$1\" in\n");
    for (size_t i = 0; (command = command_at(i)); i++)
        if (is_told(command) && command->run) {
            buffer_printf(out, "        '%s') echo '", command->name);
            add_flags(command, out);
            buffer_add_lit(out, "' ;;\n");
        }
    buffer_add_lit(out, "        *) echo '--help' ;;\n    esac\n}\n\n__linkerd_values() {\n    case \"$1\" in\n");
    for (size_t i = 0; (command = command_at(i)); i++)
        if (is_told(command) && command->run)
            add_values(command, out);
    buffer_add_lit(out, "        *) return 1 ;;\n    esac\n}\n\n");
}

static const char BASH[] =
    "# The command so far: words that name one, without flags.\n"
    "__linkerd_command() {\n"
    "    local command='' word\n"
    "    for word in \"$@\"; do\n"
    "        [ \"$word\" = dg ] && word=diagnostics\n"
    "        case \" $(__linkerd_words \"$command\") \" in\n"
    "            *\" $word \"*) command=\"${command:+$command }$word\" ;;\n"
    "        esac\n"
    "    done\n"
    "    echo \"$command\"\n"
    "}\n\n"
    "_linkerd() {\n"
    "    local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" command values\n"
    "    command=\"$(__linkerd_command \"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\"\n"
    "    if [ \"$before\" = = ]; then before=\"${COMP_WORDS[COMP_CWORD-2]}\"; fi\n"
    "    if [ \"$word\" = = ]; then word=''; before=\"${COMP_WORDS[COMP_CWORD-1]}\"; fi\n"
    "    if values=\"$(__linkerd_values \"$command $before\")\"; then\n"
    "        COMPREPLY=($(compgen -W \"$values\" -- \"$word\"))\n"
    "        return\n"
    "    fi\n"
    "    case \"$word\" in\n"
    "        -*) COMPREPLY=($(compgen -W \"$(__linkerd_flags \"$command\")\" -- \"$word\")) ;;\n"
    "        *) COMPREPLY=($(compgen -W \"$(__linkerd_words \"$command\")\" -- \"$word\")) ;;\n"
    "    esac\n"
    "}\n\n"
    "complete -o default -F _linkerd linkerd\n";

static void bash(struct buffer *out)
{
    buffer_add_lit(out, "# Completion of linkerd for bash: source <(linkerd completion bash)\n\n");
    add_table(out);
    buffer_add(out, slice_str(BASH));
}

static void zsh(struct buffer *out)
{
    buffer_add_lit(out, "#compdef linkerd\n# Completion of linkerd for zsh: source <(linkerd completion zsh)\n\n"
                        "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n\n");
    add_table(out);
    buffer_add(out, slice_str(BASH));
}

/* --- fish --- */

/* Within single quotes. */
static void add_quoted(const char *text, struct buffer *out)
{
    buffer_add_byte(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buffer_add_byte(out, '\\');
        buffer_add_byte(out, *text);
    }
    buffer_add_byte(out, '\'');
}

static void fish_command(const struct command *command, struct buffer *out)
{
    const struct flag *flag;
    const char *last = strrchr(command->name, ' ');

    buffer_printf(out, "complete -c linkerd -f -n '__linkerd_is \"%.*s\"' -a %s -d ", last ? (int)(last - command->name) : 0, command->name,
                  last ? last + 1 : command->name);
    add_quoted(command->summary, out);
    buffer_add_byte(out, '\n');
    for (size_t i = 0; (flag = flag_at(&command->flags, i)); i++) {
        if (flag->kind == FLAG_LATER)
            continue;
        buffer_printf(out, "complete -c linkerd -n '__linkerd_is \"%s\"' -l %s%s", command->name, flag->name, flag->kind == FLAG_SWITCH ? "" : " -r");
        if (flag->letter)
            buffer_printf(out, " -s %c", flag->letter);
        if (flag->kind == FLAG_CHOICE) {
            buffer_add_lit(out, " -f -a '");
            add_choices(flag, out);
            buffer_add_byte(out, '\'');
        }
        buffer_add_lit(out, " -d ");
        add_quoted(flag->help, out);
        buffer_add_byte(out, '\n');
    }
}

static void fish(struct buffer *out)
{
    const struct command *command;

    buffer_add_lit(out, "# Completion of linkerd for fish: linkerd completion fish | source\n\nset -g __linkerd_commands");
    for (size_t i = 0; (command = command_at(i)); i++)
        if (is_told(command))
            buffer_printf(out, " '%s'", command->name);
    buffer_add_lit(out, "\n\n# Whether the words so far name this command; flags and their values name none.\n"
                        "function __linkerd_is\n"
                        "    set -l command ''\n"
                        "    for word in (commandline -opc)[2..-1]\n"
                        "        test \"$word\" = dg; and set word diagnostics\n"
                        "        set -l longer (string trim -- \"$command $word\")\n"
                        "        contains -- \"$longer\" $__linkerd_commands; and set command \"$longer\"\n"
                        "    end\n"
                        "    test \"$command\" = \"$argv[1]\"\n"
                        "end\n\n");
    for (size_t i = 0; (command = command_at(i)); i++)
        if (is_told(command))
            fish_command(command, out);
    buffer_add_lit(out, "complete -c linkerd -f -n '__linkerd_is \"completion\"' -a 'bash zsh fish'\n"
                        "complete -c linkerd -f -n '__linkerd_is \"\"' -a help -d 'Help about any command'\n"
                        "complete -c linkerd -l help -s h -d 'show this help'\n");
}

/* --- the command --- */

static int completion_main(void *options, const struct words *arguments)
{
    static const struct {
        const char *shell;
        void (*write)(struct buffer *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    struct buffer out;

    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(arguments->items[0], shells[i].shell) != 0)
            continue;
        buffer_init(&out, TEXT_MAX);
        shells[i].write(&out);
        fwrite(out.data, 1, out.len, stdout);
        buffer_release(&out);
        return STATUS_DONE;
    }
    return complain("completion: there is none for \"%s\": expected bash, zsh or fish", arguments->items[0]);
}

const struct command completion_command = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .summary = "Print a script that completes command lines in a shell",
    .about = "  source <(linkerd completion bash)\n"
             "  source <(linkerd completion zsh)\n"
             "  linkerd completion fish | source",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = completion_main,
};
