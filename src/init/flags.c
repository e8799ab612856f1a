#include "init/flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where in the words we are. */
struct cursor {
    const struct flag *flags;
    size_t count;
    int argc, at;
    char *const *argv;
    struct buffer *problems;
    bool help;
};

static bool number(struct slice text, int64_t *ret_value)
{
    bool negative = slice_starts(text, SLICE_LIT("-"));
    uint64_t value;

    if (slice_u64(slice_skip(text, negative), INT64_MAX, &value) < 0)
        return false;
    *ret_value = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static void wrong_value(struct buffer *problems, const struct flag *flag, const char *value)
{
    buffer_printf(problems, "--%s: \"%s\" is not valid; expected %s\n", flag->name, value,
                  flag->example ? flag->example : "true or false");
}

static void set_switch(struct buffer *problems, const struct flag *flag, const char *value)
{
    static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True"};
    static const char *const no[] = {"false", "0", "f", "F", "FALSE", "False"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
            *(bool *)flag->to = strcmp(value, yes[i]) == 0;
            return;
        }
    wrong_value(problems, flag, value);
}

static void set(struct buffer *problems, const struct flag *flag, const char *value)
{
    struct buffer *list = flag->to;
    int64_t n;

    switch (flag->kind) {
    case FLAG_SWITCH:
        set_switch(problems, flag, value);
        break;
    case FLAG_TEXT:
        *(const char **)flag->to = value;
        break;
    case FLAG_NUMBER:
        if (number(slice_str(value), &n) && flag->min <= n && n <= flag->max)
            *(int64_t *)flag->to = n;
        else
            wrong_value(problems, flag, value);
        break;
    case FLAG_LIST:
        if (list->len)
            buffer_add_byte(list, ',');
        if (buffer_add(list, slice_str(value)) < 0)
            buffer_printf(problems, "--%s: the list is too long\n", flag->name);
        break;
    }
}

static const struct flag *find_long(const struct cursor *cursor, struct slice name)
{
    for (size_t i = 0; i < cursor->count; i++)
        if (slice_eq(name, slice_str(cursor->flags[i].name)))
            return &cursor->flags[i];
    return NULL;
}

static const struct flag *find_letter(const struct cursor *cursor, char letter)
{
    for (size_t i = 0; i < cursor->count; i++)
        if (letter && cursor->flags[i].letter == letter)
            return &cursor->flags[i];
    return NULL;
}

/* `value` is what was attached to the flag, or NULL; then it is the next word, whatever that looks like. */
static void use(struct cursor *cursor, const struct flag *flag, const char *value)
{
    if (!value && flag->kind == FLAG_SWITCH)
        value = "true";
    else if (!value && cursor->at + 1 < cursor->argc)
        value = cursor->argv[++cursor->at];
    if (value)
        set(cursor->problems, flag, value);
    else
        buffer_printf(cursor->problems, "--%s: a value is missing; expected %s\n", flag->name, flag->example);
}

static void long_flag(struct cursor *cursor, const char *word)
{
    struct slice name = slice_take(slice_str(word), slice_find(slice_str(word), '='));
    const struct flag *flag = find_long(cursor, name);
    const char *value = word[name.len] == '=' ? word + name.len + 1 : NULL;

    if (slice_eq(name, SLICE_LIT("help")))
        cursor->help = true;
    else if (flag)
        use(cursor, flag, value);
    else
        buffer_printf(cursor->problems, "--%.*s: there is no such flag; --help lists them\n", SLICE_ARGS(name));
}

/* -w, -wp 4143, -p4143, -p=4143: switches may be joined, the first flag with a value takes the rest. */
static void letters(struct cursor *cursor, const char *word)
{
    for (; *word; word++) {
        const struct flag *flag = find_letter(cursor, *word);

        if (*word == 'h' && !flag) {
            cursor->help = true;
        } else if (!flag) {
            buffer_printf(cursor->problems, "-%c: there is no such flag; --help lists them\n", *word);
        } else if (flag->kind != FLAG_SWITCH || word[1] == '=') {
            use(cursor, flag, word[1] == '=' ? word + 2 : word[1] ? word + 1 : NULL);
            return;
        } else {
            use(cursor, flag, NULL);
        }
    }
}

static void from_environment(struct cursor *cursor)
{
    for (size_t i = 0; i < cursor->count; i++) {
        const char *value = cursor->flags[i].env ? getenv(cursor->flags[i].env) : NULL;

        if (value)
            set(cursor->problems, &cursor->flags[i], value);
    }
}

int flags_parse(const struct flag *flags, size_t count, int argc, char *const argv[], struct buffer *problems,
                bool *ret_help)
{
    struct cursor cursor = {flags, count, argc, 1, argv, problems, false};

    from_environment(&cursor);
    for (; cursor.at < argc; cursor.at++) {
        const char *word = argv[cursor.at];

        if (strncmp(word, "--", 2) == 0 && word[2])
            long_flag(&cursor, word + 2);
        else if (word[0] == '-' && word[1])
            letters(&cursor, word + 1);
        else
            buffer_printf(problems, "\"%s\": nothing but flags is expected\n", word);
    }
    *ret_help = cursor.help;
    return problems->len || buffer_error(problems) ? -EINVAL : 0;
}

void flags_help(const struct flag *flags, size_t count, struct buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct flag *flag = &flags[i];

        if (flag->letter)
            buffer_printf(out, "  -%c, --%s", flag->letter, flag->name);
        else
            buffer_printf(out, "      --%s", flag->name);
        if (flag->example)
            buffer_printf(out, "  (%s)", flag->example);
        if (flag->env)
            buffer_printf(out, "  [$%s]", flag->env);
        buffer_printf(out, "\n          %s\n", flag->help);
    }
}
