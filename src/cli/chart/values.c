#include "cli/chart/values.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "cli/files.h"
#include "template/from_yaml.h"
#include "template/value.h"

/* --- files --- */

int values_read(struct slice text, const char *name, enum values_numbers numbers, struct errmsg *msg, json_t **ret_values)
{
    json_t *values = NULL;
    int r = from_yaml(text, name, numbers == NUMBERS_AS_REALS, msg, &values);

    if (r == 0 && json_is_null(values)) {
        json_decref(values);
        values = json_object();
        r = values ? 0 : errmsg_set(msg, -ENOMEM, "%s: out of memory", name);
    }
    if (r == 0 && !json_is_object(values))
        r = errmsg_set(msg, -EINVAL, "%s: is %s: expected a map of values", name, value_kind(values));
    if (r < 0)
        json_decref(values);
    else
        *ret_values = values;
    return r;
}

int values_merge(json_t *into, json_t *over)
{
    const char *key;
    json_t *value;

    json_object_foreach (over, key, value) {
        json_t *mine = json_object_get(into, key);
        int r = json_is_object(mine) && json_is_object(value) ? values_merge(mine, value)
                                                               : json_object_set_new_nocheck(into, key, json_deep_copy(value));

        if (r < 0)
            return -ENOMEM;
    }
    return 0;
}

int values_complete(json_t *values, json_t *defaults)
{
    const char *key;
    json_t *value;
    int r = 0;

    json_object_foreach (defaults, key, value) {
        json_t *mine = json_object_get(values, key);

        if (!mine)
            r = json_object_set_new_nocheck(values, key, json_deep_copy(value)) < 0 ? -ENOMEM : 0;
        else if (json_is_null(mine) && !json_is_null(value))
            json_object_del(values, key);
        else if (json_is_object(mine) && json_is_object(value))
            r = values_complete(mine, value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- paths of our own --- */

int values_put(json_t *values, const char *path, json_t *value)
{
    struct slice rest = slice_str(path), name;
    json_t *at = values;

    while (value && slice_split(&rest, '.', &name)) {
        json_t *next = json_object_getn(at, name.ptr, name.len);

        if (!rest.ptr)
            return json_object_setn_new_nocheck(at, name.ptr, name.len, value) < 0 ? -ENOMEM : 0;
        if (!json_is_object(next)) {
            next = json_object();
            if (json_object_setn_new_nocheck(at, name.ptr, name.len, next) < 0)
                break;
        }
        at = next;
    }
    json_decref(value);
    return -ENOMEM;
}

json_t *values_at(json_t *values, const char *path)
{
    struct slice rest = slice_str(path), name;

    while (values && slice_split(&rest, '.', &name))
        values = json_object_getn(values, name.ptr, name.len);
    return values;
}

/* --- the grammar of --set --- */

enum { NAME = 4096, INDEX_MAX = 65536, NESTING_MAX = 30 };

struct setter {
    const char *argument, *at;
    enum values_set how;
    struct errmsg *msg;
    unsigned nesting;
};

static int bad(const struct setter *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int bad(const struct setter *s, const char *format, ...)
{
    char text[300];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return errmsg_set(s->msg, -EINVAL, "\"%.120s\": %s", s->argument, text);
}

/* Up to a character of `stops`, which is taken too and returned (0: the end, -1: too long); a \ makes the next one plain. */
static int take(struct setter *s, const char *stops, struct buffer *text)
{
    buffer_clear(text);
    for (; *s->at; s->at++) {
        if (*s->at == '\\' && s->at[1])
            s->at++;
        else if (strchr(stops, *s->at))
            break;
        buffer_add_byte(text, *s->at);
    }
    buffer_add_byte(text, '\0');
    return buffer_error(text) ? -1 : *s->at ? *s->at++ : 0;
}

static json_t *typed(const char *text)
{
    long long number;
    char *end;

    if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0)
        return json_boolean(strcasecmp(text, "true") == 0);
    if (strcasecmp(text, "null") == 0)
        return json_null();
    errno = 0;
    number = strtoll(text, &end, 10);
    if (*text && !*end && errno == 0 && !strchr(" \t\n\v\f\r", *text) && (*text != '0' || !text[1]))
        return json_integer(number);
    return json_string(text);
}

static json_t *file_text(const struct setter *s, const char *path)
{
    struct buffer bytes;
    json_t *value = NULL;

    buffer_init(&bytes, LIMIT_PEM);
    if (file_read(path, s->msg, &bytes) == 0) {
        value = json_stringn(bytes.data ? bytes.data : "", bytes.len);
        if (!value)
            errmsg_set(s->msg, -EINVAL, "%s: is not UTF-8 text", path);
    }
    buffer_release(&bytes);
    return value;
}

static json_t *scalar(const struct setter *s, const char *text)
{
    return s->how == SET_FILE ? file_text(s, text) : s->how == SET_STRING ? json_string(text) : typed(text);
}

/* {a,b}: the brace is taken. */
static json_t *braces(struct setter *s, struct buffer *text)
{
    json_t *list = json_array();
    int stop;

    do {
        json_t *item = NULL;

        stop = take(s, ",}", text);
        if (stop > 0)
            item = scalar(s, text->data);
        if (!item || json_array_append_new(list, item) < 0) {
            if (stop <= 0)
                bad(s, "a list has no end: expected }");
            json_decref(list);
            return NULL;
        }
    } while (stop == ',');
    if (*s->at == ',')
        s->at++;
    else if (*s->at) {
        bad(s, "unexpected \"%s\" behind a list", s->at);
        json_decref(list);
        return NULL;
    }
    return list;
}

/* What stands behind =, with the comma behind it. NULL with the sentence set. */
static json_t *value_of(struct setter *s, struct buffer *text)
{
    if (*s->at == '{' && s->how != SET_FILE) {
        s->at++;
        return braces(s, text);
    }
    if (take(s, ",", text) < 0) {
        bad(s, "a value is longer than %d bytes", LIMIT_PEM);
        return NULL;
    }
    return scalar(s, text->data);
}

static int set_key(struct setter *s, json_t *map, struct buffer *text);

static int take_index(struct setter *s, struct buffer *text, size_t *ret_index)
{
    int stop = take(s, "]", text);
    uint64_t index;

    if (stop != ']' || slice_u64(slice_str(text->data), INDEX_MAX, &index) < 0)
        return bad(s, "\"[%s\" is no index: expected a number up to %d and ]", text->data, INDEX_MAX);
    *ret_index = (size_t)index;
    return 0;
}

/* Puts the value (taken over) at the index, with nulls before it as needed. */
static int put_at(json_t *list, size_t index, json_t *value)
{
    while (json_array_size(list) <= index)
        if (json_array_append(list, json_null()) < 0) {
            json_decref(value);
            return -ENOMEM;
        }
    return json_array_set_new(list, index, value) < 0 ? -ENOMEM : 0;
}

static json_t *nested_at(json_t *list, size_t index, json_t *(*make)(void), bool (*is)(const json_t *))
{
    json_t *value = json_array_get(list, index);

    if (value && is(value))
        return value;
    value = make();
    return value && put_at(list, index, value) == 0 ? value : NULL;
}

static bool is_list(const json_t *value)
{
    return json_is_array(value);
}

static bool is_map(const json_t *value)
{
    return json_is_object(value);
}

static int deeper(struct setter *s)
{
    return ++s->nesting > NESTING_MAX ? bad(s, "more than %d names within one another", NESTING_MAX) : 0;
}

/* Behind name[: the index and what follows it. */
static int set_element(struct setter *s, json_t *list, struct buffer *text)
{
    size_t index = 0;
    int r = take_index(s, text, &index);
    json_t *inner;

    if (r == 0)
        r = deeper(s);
    if (r < 0)
        return r;
    switch (*s->at++) {
    case '=':
        inner = value_of(s, text);
        return inner ? put_at(list, index, inner) : -EINVAL;
    case '[':
        inner = nested_at(list, index, json_array, is_list);
        return inner ? set_element(s, inner, text) : -ENOMEM;
    case '.':
        inner = nested_at(list, index, json_object, is_map);
        return inner ? set_key(s, inner, text) : -ENOMEM;
    default:
        s->at--;
        return bad(s, "unexpected \"%s\" behind an index: expected =, . or [", s->at);
    }
}

static json_t *nested_in(json_t *map, const char *key, json_t *(*make)(void))
{
    json_t *value = json_object_get(map, key);

    if (value && !json_is_null(value))
        return value;
    value = make();
    return value && json_object_set_new_nocheck(map, key, value) == 0 ? value : NULL;
}

static int set_below(struct setter *s, json_t *map, char *key, struct buffer *text, bool list)
{
    json_t *inner = nested_in(map, key, list ? json_array : json_object);
    int r = 0;

    if (!inner)
        r = -ENOMEM;
    else if (list ? !json_is_array(inner) : !json_is_object(inner))
        r = bad(s, "%s is set already, and is no %s", key, list ? "list" : "map");
    if (r == 0)
        r = deeper(s);
    free(key);
    if (r < 0)
        return r;
    return list ? set_element(s, inner, text) : set_key(s, inner, text);
}

/* One name with what follows, up to the next comma. */
static int set_key(struct setter *s, json_t *map, struct buffer *text)
{
    int stop = take(s, ".[=,", text);
    json_t *value;
    char *key;

    if (stop <= 0 || stop == ',')
        return bad(s, "%s has no value: expected NAME=VALUE", *text->data ? text->data : "a key");
    if (!*text->data)
        return bad(s, "a name is empty");
    key = strdup(text->data);
    if (!key)
        return -ENOMEM;
    if (stop != '=')
        return set_below(s, map, key, text, stop == '[');
    value = value_of(s, text);
    stop = !value ? -EINVAL : json_object_set_new_nocheck(map, key, value) < 0 ? -ENOMEM : 0;
    free(key);
    return stop;
}

int values_set(json_t *values, const char *argument, enum values_set how, struct errmsg *msg)
{
    struct setter setter = {argument, argument, how, msg, 0};
    struct buffer text;
    int r = 0;

    if (!slice_is_utf8(slice_str(argument)))
        return bad(&setter, "is not UTF-8 text");
    buffer_init(&text, LIMIT_PEM);
    while (r == 0 && *setter.at) {
        setter.nesting = 0;
        r = set_key(&setter, values, &text);
    }
    buffer_release(&text);
    return r;
}
