#include "template/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool value_is_true(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return json_object_size(value) > 0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_INTEGER:
        return json_integer_value(value) != 0;
    case JSON_REAL:
        return json_real_value(value) != 0;
    case JSON_TRUE:
        return true;
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return false;
}

const char *value_kind(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "a map",   [JSON_ARRAY] = "a list",   [JSON_STRING] = "a text",     [JSON_INTEGER] = "an integer",
        [JSON_REAL] = "a number", [JSON_TRUE] = "a boolean", [JSON_FALSE] = "a boolean", [JSON_NULL] = "nothing",
    };

    return names[json_typeof(value)];
}

struct slice value_text(const json_t *string)
{
    return slice_of(json_string_value(string), json_string_length(string));
}

/* The fewest digits that read back as the same number, as d.ddde+XX. */
static void shortest(double number, char *out, size_t size)
{
    for (int digits = 0; digits <= 17; digits++) {
        snprintf(out, size, "%.*e", digits, number);
        if (strtod(out, NULL) == number)
            return;
    }
}

void value_print_real(double number, struct buffer *out)
{
    char text[64];
    const char *mark;
    int exponent, digits;

    if (!isfinite(number)) {
        buffer_printf(out, "%s", isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf");
        return;
    }
    shortest(number, text, sizeof(text));
    mark = strchr(text, 'e');
    exponent = (int)strtol(mark + 1, NULL, 10);
    digits = (int)(mark - text) - (text[0] == '-') - (strchr(text, '.') ? 1 : 0);
    if (exponent < -4 || exponent >= 6)
        buffer_printf(out, "%s", text);
    else
        buffer_printf(out, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0, number);
}

bool value_print(const json_t *value, struct buffer *out)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return false;
    case JSON_STRING:
        buffer_add(out, value_text(value));
        break;
    case JSON_INTEGER:
        buffer_printf(out, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        value_print_real(json_real_value(value), out);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        buffer_printf(out, "%s", json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
        break;
    }
    return true;
}

int value_compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **value_keys(const json_t *map, int (*compare)(const void *, const void *))
{
    size_t count = json_object_size(map), i = 0;
    const char **keys = calloc(count + 1, sizeof(*keys));

    if (!keys)
        return NULL;
    for (void *at = json_object_iter((json_t *)(uintptr_t)map); at && i < count; at = json_object_iter_next((json_t *)(uintptr_t)map, at))
        keys[i++] = json_object_iter_key(at);
    qsort(keys, count, sizeof(*keys), compare);
    return keys;
}
