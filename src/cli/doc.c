/* `linkerd doc`: all commands and their flags as YAML, for whoever writes a manual. */
#include <stdio.h>

#include "base/limits.h"
#include "cli/command.h"

static void add_text(struct buffer *out, const char *indent, const char *key, const char *text)
{
    if (!text || !*text)
        return;
    buffer_printf(out, "%s%s: ", indent, key);
    buffer_add_json(out, slice_str(text)); /* which is YAML too */
    buffer_add_byte(out, '\n');
}

static void add_flag(struct buffer *out, const struct flag *flag)
{
    if (flag->kind == FLAG_LATER)
        return;
    buffer_printf(out, "  - name: %s\n", flag->name);
    if (flag->letter)
        buffer_printf(out, "    shorthand: %c\n", flag->letter);
    add_text(out, "    ", "default_value", flag->preset);
    add_text(out, "    ", "choices", flag->choices);
    add_text(out, "    ", "usage", flag->help);
}

static void add_command(struct buffer *out, const struct command *command)
{
    const struct flag *flag;

    buffer_printf(out, "- name: %s\n", command->name);
    add_text(out, "  ", "aliases", command->alias);
    add_text(out, "  ", "arguments", command->usage);
    add_text(out, "  ", "synopsis", command->summary);
    add_text(out, "  ", "description", command->about);
    if (flag_at(&command->flags, 0))
        buffer_add_lit(out, "  options:\n");
    for (size_t i = 0; (flag = flag_at(&command->flags, i)); i++)
        add_flag(out, flag);
}

static int run(void *options, const struct words *arguments)
{
    const struct command *command;
    struct buffer out;
    int r;

    buffer_init(&out, LIMIT_TEMPLATE_OUTPUT);
    buffer_add_lit(&out, "# All commands of linkerd.\n");
    for (size_t i = 0; (command = command_at(i)); i++)
        add_command(&out, command);
    r = buffer_error(&out);
    if (r == 0)
        fwrite(out.data, 1, out.len, stdout);
    buffer_release(&out);
    return r < 0 ? complain("doc: out of memory") : STATUS_DONE;
}

const struct command doc_command = {
    .name = "doc",
    .usage = "",
    .summary = "Print all commands and flags as YAML",
    .options_size = 1,
    .run = run,
};
