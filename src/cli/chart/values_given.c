#include "cli/chart/values_given.h"

#include "base/limits.h"
#include "cli/chart/values.h"
#include "cli/files.h"

int values_put_text(json_t *values, struct slice text, const char *name, struct errmsg *msg)
{
    json_t *over = NULL;
    int r = values_read(text, name, NUMBERS_AS_REALS, msg, &over);

    if (r == 0)
        r = values_merge(values, over);
    json_decref(over);
    return r;
}

static int put_file(json_t *values, const char *path, struct errmsg *msg)
{
    struct buffer bytes;
    int r;

    buffer_init(&bytes, LIMIT_PEM);
    r = file_read(path, msg, &bytes);
    if (r == 0)
        r = values_put_text(values, buffer_slice(&bytes), path, msg);
    buffer_release(&bytes);
    return r;
}

static int set_all(json_t *values, const char *flag, const struct words *words, enum values_set how, struct errmsg *msg)
{
    for (size_t i = 0; i < words->count; i++) {
        int r = values_set(values, words->items[i], how, msg);

        if (r < 0)
            return errmsg_prefix(msg, r, "--%s", flag);
    }
    return 0;
}

int values_put_given(json_t *values, const struct values_given *given, struct errmsg *msg)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < given->files->count; i++)
        r = put_file(values, given->files->items[i], msg);
    if (r == 0)
        r = set_all(values, "set", given->set, SET_TYPED, msg);
    if (r == 0)
        r = set_all(values, "set-string", given->set_string, SET_STRING, msg);
    return r == 0 ? set_all(values, "set-file", given->set_file, SET_FILE, msg) : r;
}

int values_put_words(json_t *values, const char *path, const struct words *words)
{
    struct buffer text;
    int r;

    if (!words->count)
        return 0;
    buffer_init(&text, LIMIT_PEM);
    for (size_t i = 0; i < words->count; i++)
        buffer_printf(&text, "%s%s", i ? "," : "", words->items[i]);
    r = buffer_error(&text);
    if (r == 0)
        r = values_put(values, path, json_stringn(text.data, text.len));
    buffer_release(&text);
    return r;
}
