#include "cli/flags.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"

const struct flag *flag_at(const struct flag_table *table, size_t index)
{
    while (table && index >= table->count) {
        index -= table->count;
        table = table->more;
    }
    return table ? &table->items[index] : NULL;
}

/* Where in the words we are. */
struct cursor {
    struct flag_table table;
    int argc, at;
    char *const *argv;
    void *options;
    struct errmsg *msg;
    struct words *arguments;
    bool help;
};

/* Where the value belongs: a member of the options that has the type of the flag's kind. */
static void *place_of(const struct flag *flag, void *options)
{
    return (char *)options + flag->at;
}

static int set_switch(const struct flag *flag, const char *value, void *options, struct errmsg *msg)
{
    static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True"};
    static const char *const no[] = {"false", "0", "f", "F", "FALSE", "False"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
            *(bool *)place_of(flag, options) = strcmp(value, yes[i]) == 0;
            return 0;
        }
    return errmsg_set(msg, -EINVAL, "invalid value \"%s\" for --%s: expected true or false", value, flag->name);
}

/* "" is the preset, of which nobody hears. */
static int set_toggle(const struct flag *flag, const char *value, void *options, struct errmsg *msg)
{
    struct flag as_switch = *flag;
    bool on = false;
    int r;

    as_switch.at = 0;
    r = *value ? set_switch(&as_switch, value, &on, msg) : 0;
    if (r == 0)
        *(const char **)place_of(flag, options) = !*value ? "" : on ? "true" : "false";
    return r;
}

static int set_choice(const struct flag *flag, const char *value, void *options, struct errmsg *msg)
{
    struct slice rest = slice_str(flag->choices), choice;

    while (slice_split(&rest, '|', &choice))
        if (slice_eq(choice, slice_str(value))) {
            *(const char **)place_of(flag, options) = value;
            return 0;
        }
    return errmsg_set(msg, -EINVAL, "invalid value \"%s\" for --%s: expected %s", value, flag->name, flag->choices);
}

static int set_duration(const struct flag *flag, const char *value, void *options, struct errmsg *msg)
{
    int64_t ns;

    if (duration_parse_go(slice_str(value), &ns) < 0 || ns < 0)
        return errmsg_set(msg, -EINVAL, "invalid value \"%s\" for --%s: expected a span of time such as 30s or 24h",
                          value, flag->name);
    *(int64_t *)place_of(flag, options) = ns;
    return 0;
}

static int add_word(struct words *words, const char *word)
{
    if (words->count == WORDS_MAX)
        return -ENOSPC;
    words->items[words->count++] = word;
    return 0;
}

static int set(const struct flag *flag, const char *value, void *options, struct errmsg *msg)
{
    switch (flag->kind) {
    case FLAG_SWITCH:
        return set_switch(flag, value, options, msg);
    case FLAG_TOGGLE:
        return set_toggle(flag, value, options, msg);
    case FLAG_TEXT:
        *(const char **)place_of(flag, options) = value;
        return 0;
    case FLAG_CHOICE:
        return set_choice(flag, value, options, msg);
    case FLAG_DURATION:
        return set_duration(flag, value, options, msg);
    case FLAG_LIST:
        if (add_word((struct words *)place_of(flag, options), value) < 0)
            return errmsg_set(msg, -EINVAL, "--%s: more than %d values", flag->name, WORDS_MAX);
        return 0;
    case FLAG_LATER:
        break;
    }
    return errmsg_set(msg, -ENOSYS, "--%s is not available yet", flag->name);
}

/* `value` is what was attached to the flag, or NULL; then it is the next word, whatever that looks like. */
static int use(struct cursor *cursor, const struct flag *flag, const char *value)
{
    if (!value && (flag->kind == FLAG_SWITCH || flag->kind == FLAG_TOGGLE))
        value = "true";
    else if (!value && flag->kind == FLAG_LATER)
        value = "";
    else if (!value && cursor->at + 1 < cursor->argc)
        value = cursor->argv[++cursor->at];
    if (!value)
        return errmsg_set(cursor->msg, -EINVAL, "flag needs an argument: --%s %s", flag->name, flag->value);
    return set(flag, value, cursor->options, cursor->msg);
}

static int long_flag(struct cursor *cursor, const char *word)
{
    struct slice name = slice_take(slice_str(word), slice_find(slice_str(word), '='));
    const char *value = word[name.len] == '=' ? word + name.len + 1 : NULL;
    const struct flag *flag;

    if (slice_eq(name, SLICE_LIT("help"))) {
        cursor->help = true;
        return 0;
    }
    for (size_t i = 0; (flag = flag_at(&cursor->table, i)); i++)
        if (slice_eq(name, slice_str(flag->name)))
            return use(cursor, flag, value);
    return errmsg_set(cursor->msg, -EINVAL, "unknown flag: --%.*s", SLICE_ARGS(name));
}

static const struct flag *find_letter(const struct cursor *cursor, char letter)
{
    const struct flag *flag = NULL;

    for (size_t i = 0; letter && (flag = flag_at(&cursor->table, i)); i++)
        if (flag->letter == letter)
            break;
    return flag;
}

/* -o json, -ojson, -o=json; switches may be joined, the first flag with a value takes the rest. */
static int letters(struct cursor *cursor, const char *word)
{
    for (const char *at = word; *at; at++) {
        const struct flag *flag = find_letter(cursor, *at);
        int r;

        if (!flag && *at == 'h') {
            cursor->help = true;
            continue;
        }
        if (!flag)
            return errmsg_set(cursor->msg, -EINVAL, "unknown shorthand flag: '%c' in -%s", *at, word);
        if (flag->kind != FLAG_SWITCH || at[1] == '=')
            return use(cursor, flag, at[1] == '=' ? at + 2 : at[1] ? at + 1 : NULL);
        r = use(cursor, flag, NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

static int presets(struct flag_table table, void *options, struct errmsg *msg)
{
    const struct flag *flag;

    for (size_t i = 0; (flag = flag_at(&table, i)); i++) {
        const char *preset = flag->preset ? flag->preset : flag->kind == FLAG_TEXT || flag->kind == FLAG_TOGGLE ? "" : NULL;
        int r = preset ? set(flag, preset, options, msg) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

static int word(struct cursor *cursor, const char *text, bool *only_arguments)
{
    if (!*only_arguments && strcmp(text, "--") == 0) {
        *only_arguments = true;
        return 0;
    }
    if (!*only_arguments && strncmp(text, "--", 2) == 0)
        return long_flag(cursor, text + 2);
    if (!*only_arguments && text[0] == '-' && text[1])
        return letters(cursor, text + 1);
    if (add_word(cursor->arguments, text) < 0)
        return errmsg_set(cursor->msg, -EINVAL, "more than %d arguments", WORDS_MAX);
    return 0;
}

/* Help is given even where the rest of the line is wrong, as long as the words can be told apart. */
static bool asks_for_help(int argc, char *const argv[])
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int flags_parse(struct flag_table table, int argc, char *const argv[], void *options, struct errmsg *msg,
                struct words *ret_arguments, bool *ret_help)
{
    struct cursor cursor = {table, argc, 0, argv, options, msg, ret_arguments, false};
    bool only_arguments = false;
    int r = presets(table, options, msg);

    *ret_arguments = (struct words){.count = 0};
    for (; r == 0 && cursor.at < argc; cursor.at++)
        r = word(&cursor, argv[cursor.at], &only_arguments);
    *ret_help = cursor.help || (r < 0 && asks_for_help(argc, argv));
    return *ret_help ? 0 : r;
}

static size_t label(const struct flag *flag, char *out, size_t size)
{
    const char *value = flag->choices ? flag->choices : flag->value ? flag->value : "";
    char letter[8] = "    ";

    if (flag->letter)
        snprintf(letter, sizeof(letter), "-%c, ", flag->letter);
    return (size_t)snprintf(out, size, "  %s--%s%s%s", letter, flag->name, *value ? " " : "", value);
}

void flags_help(struct flag_table table, struct buffer *out)
{
    char text[128];
    size_t width = sizeof("  -h, --help") - 1;
    const struct flag *flag;

    for (size_t i = 0; (flag = flag_at(&table, i)); i++)
        if (flag->kind != FLAG_LATER && label(flag, text, sizeof(text)) > width)
            width = label(flag, text, sizeof(text));
    buffer_printf(out, "%-*s   %s\n", (int)width, "  -h, --help", "show this help");
    for (size_t i = 0; (flag = flag_at(&table, i)); i++) {
        if (flag->kind == FLAG_LATER)
            continue;
        label(flag, text, sizeof(text));
        buffer_printf(out, "%-*s   %s", (int)width, text, flag->help);
        if (flag->preset && *flag->preset)
            buffer_printf(out, " (default %s)", flag->preset);
        buffer_add_byte(out, '\n');
    }
}
