/* toYaml and toJson. The shape of the YAML is that of sigs.k8s.io/yaml: blocks, keys in natural order, lists not indented. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "template/value.h"

/* --- which plain scalars are something else than text, by the rules of YAML 1.1 --- */

static bool is_word_of_yaml(struct slice s)
{
    static const char *const words[] = {
        "",    "~",   "null", "Null", "NULL", "y",    "Y",    "yes",  "Yes",  "YES", "on",  "On",    "ON",    "n",     "N",     "no",
        "No",  "NO",  "off",  "Off",  "OFF",  "true", "True", "TRUE", "false", "False", "FALSE", ".nan", ".NaN", ".NAN", ".inf",
        ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && s.len <= sizeof("False") - 1; i++) /* none is longer */
        if (slice_eq(s, slice_str(words[i])))
            return true;
    return false;
}

/* Takes the bytes of the set off the front; how many they were. */
static size_t skip(struct slice *s, const char *set)
{
    size_t n = 0;

    while (n < s->len && s->ptr[n] && strchr(set, s->ptr[n]))
        n++;
    *s = slice_skip(*s, n);
    return n;
}

#define DIGITS "0123456789"

static bool is_based_number(struct slice s)
{
    static const struct {
        const char *prefix, *digits;
    } bases[] = {{"0x", DIGITS "abcdefABCDEF"}, {"0X", DIGITS "abcdefABCDEF"}, {"0b", "01"}, {"0B", "01"}, {"0o", "01234567"}, {"0O", "01234567"}};

    if (s.len && (*s.ptr == '-' || *s.ptr == '+'))
        s = slice_skip(s, 1);
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        struct slice rest = slice_skip(s, 2);

        if (slice_starts(s, slice_str(bases[i].prefix)) && skip(&rest, bases[i].digits) && rest.len == 0)
            return true;
    }
    return false;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool looks_decimal(struct slice s)
{
    size_t whole, part = 0;

    if (s.len && (*s.ptr == '-' || *s.ptr == '+'))
        s = slice_skip(s, 1);
    whole = skip(&s, DIGITS);
    if (s.len && *s.ptr == '.') {
        s = slice_skip(s, 1);
        part = skip(&s, DIGITS);
    }
    if (whole + part == 0)
        return false;
    if (s.len && (*s.ptr == 'e' || *s.ptr == 'E')) {
        s = slice_skip(s, 1);
        if (s.len && (*s.ptr == '-' || *s.ptr == '+'))
            s = slice_skip(s, 1);
        return skip(&s, DIGITS) > 0 && s.len == 0;
    }
    return s.len == 0;
}

/* And it is finite; otherwise it is text. */
static bool is_decimal(struct slice s)
{
    char text[128];

    if (!looks_decimal(s) || s.len >= sizeof(text))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return isfinite(strtod(text, NULL));
}

/* 1:30, 190:20:30.15: a number of base 60 to old parsers, and quoted for them. */
static bool is_base60(struct slice s)
{
    size_t parts = 0;

    if (s.len && (*s.ptr == '-' || *s.ptr == '+'))
        s = slice_skip(s, 1);
    if (s.len == 0 || !isdigit((unsigned char)*s.ptr))
        return false;
    skip(&s, DIGITS "_");
    for (; s.len && *s.ptr == ':'; parts++) {
        struct slice before = slice_skip(s, 1);
        size_t digits;

        s = before;
        digits = skip(&s, DIGITS);
        if (digits == 0 || digits > 2 || (digits == 2 && *before.ptr > '5'))
            return false;
    }
    if (s.len && *s.ptr == '.') {
        s = slice_skip(s, 1);
        skip(&s, DIGITS "_");
    }
    return parts > 0 && s.len == 0;
}

/* 2006-1-2, and with a time behind it. */
static bool is_timestamp(struct slice s)
{
    if (skip(&s, DIGITS) != 4)
        return false;
    for (int i = 0; i < 2; i++) {
        size_t digits;

        if (s.len == 0 || *s.ptr != '-')
            return false;
        s = slice_skip(s, 1);
        digits = skip(&s, DIGITS);
        if (digits == 0 || digits > 2)
            return false;
    }
    if (s.len == 0)
        return true;
    if (!strchr("Tt ", *s.ptr))
        return false;
    s = slice_skip(s, 1);
    return skip(&s, DIGITS ":.+-Z") >= 5 && s.len == 0;
}

static bool resolves_to_text(struct slice s)
{
    char plain[128];
    size_t n = 0;

    if (is_word_of_yaml(s))
        return false;
    if (!strchr("+-." DIGITS, *s.ptr) || s.len >= sizeof(plain))
        return true;
    if (is_timestamp(s) || is_base60(s))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != '_')
            plain[n++] = s.ptr[i];
    return !is_based_number(slice_of(plain, n)) && !is_decimal(slice_of(plain, n));
}

/* --- scalars --- */

enum { WIDTH = 80 };

enum scalar_style { STYLE_PLAIN, STYLE_SINGLE, STYLE_DOUBLE, STYLE_LITERAL };

/* What the emitter looks at before it chooses how to write a text. */
struct traits {
    bool indicators, special, space_first, space_last, break_first, break_last, space_break, break_space;
};

static bool begins_indicator(struct slice s)
{
    bool alone = s.len == 1 || strchr(" \t\n\r", s.ptr[1]);

    if (slice_starts(s, SLICE_LIT("---")) || slice_starts(s, SLICE_LIT("...")))
        return true;
    return strchr("#,[]{}&*!|>'\"%@`", *s.ptr) || (strchr("?:-", *s.ptr) && alone);
}

static struct traits look(struct slice s)
{
    struct traits t = {.indicators = begins_indicator(s)};

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        char before = i ? s.ptr[i - 1] : 0, after = i + 1 < s.len ? s.ptr[i + 1] : 0;

        t.indicators = t.indicators || (c == ':' && i && (!after || strchr(" \t\n\r", after))) ||
                       (c == '#' && i && strchr(" \t\n\r", before));
        t.special = t.special || (c < 0x20 && c != '\n') || c == 0x7f;
        t.break_space = t.break_space || (c == ' ' && before == '\n');
        t.space_break = t.space_break || (c == '\n' && before == ' ');
    }
    t.space_first = s.ptr[0] == ' ';
    t.space_last = s.ptr[s.len - 1] == ' ';
    t.break_first = s.ptr[0] == '\n';
    t.break_last = s.ptr[s.len - 1] == '\n';
    return t;
}

static enum scalar_style choose(struct slice s, bool is_key)
{
    bool lines = slice_find(s, '\n') < s.len;
    struct traits t;

    if (!lines && !resolves_to_text(s))
        return STYLE_DOUBLE;
    t = look(s);
    if (lines)
        return is_key || t.space_break || t.special || t.space_last ? STYLE_DOUBLE : STYLE_LITERAL;
    if (t.special)
        return STYLE_DOUBLE;
    return t.space_first || t.space_last || t.indicators ? STYLE_SINGLE : STYLE_PLAIN;
}

static void indent(size_t columns, struct buffer *out)
{
    for (size_t i = 0; i < columns; i++)
        buffer_add_byte(out, ' ');
}

/* A text that may be folded: beyond column 80, a single space between words becomes the end of the line. */
struct line {
    struct buffer *out;
    size_t start;   /* of the line, in the buffer */
    size_t columns; /* where the next line begins */
    bool folds;
};

static struct line line_here(struct buffer *out, size_t columns, bool folds)
{
    size_t start = out->len;

    while (start && out->data[start - 1] != '\n')
        start--;
    return (struct line){out, start, columns, folds};
}

static size_t column(const struct line *line)
{
    size_t count = 0;

    for (size_t i = line->start; i < line->out->len; i++)
        count += ((unsigned char)line->out->data[i] & 0xc0) != 0x80;
    return count;
}

/* The space at `i` may be the end of the line, and now is: true, and the cursor is on the next. */
static bool fold(struct line *line, struct slice s, size_t i)
{
    if (!line->folds || s.ptr[i] != ' ' || (i && s.ptr[i - 1] == ' ') || column(line) <= WIDTH)
        return false;
    buffer_add_byte(line->out, '\n');
    line->start = line->out->len;
    indent(line->columns, line->out);
    return true;
}

static bool space_follows(struct slice s, size_t i)
{
    return i + 1 < s.len && s.ptr[i + 1] == ' ';
}

static void write_plain(struct slice s, struct line line)
{
    if (!line.folds || slice_find(s, ' ') == s.len) {
        buffer_add(line.out, s);
        return;
    }
    for (size_t i = 0; i < s.len; i++)
        if (space_follows(s, i) || !fold(&line, s, i))
            buffer_add_byte(line.out, s.ptr[i]);
}

static void write_single(struct slice s, struct line line)
{
    buffer_add_byte(line.out, '\'');
    for (size_t i = 0; i < s.len; i++)
        if (i == 0 || i + 1 == s.len || space_follows(s, i) || !fold(&line, s, i))
            buffer_add(line.out, s.ptr[i] == '\'' ? SLICE_LIT("''") : slice_of(s.ptr + i, 1));
    buffer_add_byte(line.out, '\'');
}

static void write_double(struct slice s, struct line line)
{
    static const char from[] = "\"\\\a\b\033\f\n\r\t\v", to[] = "\"\\abefnrtv";
    struct buffer *out = line.out;

    buffer_add_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        const char *at = s.ptr[i] ? strchr(from, s.ptr[i]) : NULL;

        if (i && i + 1 < s.len && fold(&line, s, i))
            buffer_printf(out, "%s", space_follows(s, i) ? "\\" : "");
        else if (at && *at)
            buffer_printf(out, "\\%c", to[at - from]);
        else if (s.ptr[i] == 0)
            buffer_add_lit(out, "\\0");
        else if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            buffer_printf(out, "\\x%02X", (unsigned char)s.ptr[i]);
        else
            buffer_add_byte(out, s.ptr[i]);
    }
    buffer_add_byte(out, '"');
}

/* The lines stand `columns` in; blank ones are empty. The head says how the text ends. */
static void write_literal(struct slice s, size_t columns, struct buffer *out)
{
    struct slice rest = s, line;
    bool ends = s.ptr[s.len - 1] == '\n';

    buffer_add_byte(out, '|');
    if (s.ptr[0] == ' ' || s.ptr[0] == '\n')
        buffer_add_byte(out, '2');
    if (!ends)
        buffer_add_byte(out, '-');
    else if (s.len == 1 || s.ptr[s.len - 2] == '\n')
        buffer_add_byte(out, '+');
    if (ends)
        rest.len--;
    while (slice_split(&rest, '\n', &line)) {
        buffer_add_byte(out, '\n');
        indent(line.len ? columns : 0, out);
        buffer_add(out, line);
    }
}

static void write_text(struct slice s, bool is_key, size_t columns, struct buffer *out)
{
    switch (choose(s, is_key)) {
    case STYLE_PLAIN:
        write_plain(s, line_here(out, columns + 2, !is_key));
        break;
    case STYLE_SINGLE:
        write_single(s, line_here(out, columns + 2, !is_key));
        break;
    case STYLE_DOUBLE:
        write_double(s, line_here(out, columns + 2, !is_key));
        break;
    case STYLE_LITERAL:
        write_literal(s, columns + 2, out);
        break;
    }
}

/* A float64 goes through JSON first, where whole ones look like integers. */
static void write_real(double number, struct buffer *out)
{
    if (isfinite(number) && number == trunc(number) && fabs(number) < 9.2e18)
        buffer_printf(out, "%.0f", number);
    else
        value_print_real(number, out);
}

/* --- trees --- */

/* Runs of digits compare as numbers, and letters stand behind other signs (before them where a digit went before): `a2`, `a10`. */
static int compare_naturally(const void *left, const void *right)
{
    const char *a = *(const char *const *)left, *b = *(const char *const *)right;
    size_t i = 0, ae, be;
    uint64_t an = 0, bn = 0;

    while (a[i] && a[i] == b[i])
        i++;
    if (!a[i] || !b[i])
        return (a[i] != 0) - (b[i] != 0);
    if (isalpha((unsigned char)a[i]) && isalpha((unsigned char)b[i]))
        return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
    if (isalpha((unsigned char)a[i]) || isalpha((unsigned char)b[i])) {
        bool behind_digit = i && isdigit((unsigned char)a[i - 1]);

        return isalpha((unsigned char)(behind_digit ? a : b)[i]) ? -1 : 1;
    }
    if (a[i] == '0' || b[i] == '0')
        for (size_t j = i; j-- > 0 && isdigit((unsigned char)a[j]) && !an;)
            an = bn = a[j] != '0';
    for (ae = i; isdigit((unsigned char)a[ae]); ae++)
        an = an * 10 + (uint64_t)(a[ae] - '0');
    for (be = i; isdigit((unsigned char)b[be]); be++)
        bn = bn * 10 + (uint64_t)(b[be] - '0');
    if (an != bn)
        return an < bn ? -1 : 1;
    if (ae != be)
        return ae < be ? -1 : 1;
    return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
}

static void write_value(const json_t *value, size_t columns, bool in_list, struct buffer *out);

/* The first line goes where the cursor is; the others start at `columns`. */
static void write_map(const json_t *map, size_t columns, struct buffer *out)
{
    const char **keys = value_keys(map, compare_naturally);

    if (!keys)
        out->error = -ENOMEM;
    for (size_t i = 0; keys && keys[i]; i++) {
        const json_t *value = json_object_get(map, keys[i]);
        bool nested = (json_is_object(value) && json_object_size(value)) || (json_is_array(value) && json_array_size(value));

        if (i) {
            buffer_add_byte(out, '\n');
            indent(columns, out);
        }
        write_text(slice_str(keys[i]), true, columns, out);
        buffer_add_byte(out, ':');
        if (nested) {
            size_t deeper = columns + (json_is_object(value) ? 2 : 0);

            buffer_add_byte(out, '\n');
            indent(deeper, out);
            write_value(value, deeper, false, out);
        } else {
            buffer_add_byte(out, ' ');
            write_value(value, columns, false, out);
        }
    }
    free(keys);
}

static void write_list(const json_t *list, size_t columns, struct buffer *out)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i) {
            buffer_add_byte(out, '\n');
            indent(columns, out);
        }
        buffer_add_lit(out, "- ");
        write_value(json_array_get(list, i), columns, true, out);
    }
}

static void write_value(const json_t *value, size_t columns, bool in_list, struct buffer *out)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        if (json_object_size(value) == 0)
            buffer_add_lit(out, "{}");
        else
            write_map(value, columns + (in_list ? 2 : 0), out);
        break;
    case JSON_ARRAY:
        if (json_array_size(value) == 0)
            buffer_add_lit(out, "[]");
        else
            write_list(value, columns + (in_list ? 2 : 0), out);
        break;
    case JSON_STRING:
        write_text(value_text(value), false, columns, out);
        break;
    case JSON_REAL:
        write_real(json_real_value(value), out);
        break;
    case JSON_NULL:
        buffer_add_lit(out, "null");
        break;
    case JSON_INTEGER:
    case JSON_TRUE:
    case JSON_FALSE:
        value_print(value, out);
        break;
    }
}

void value_to_yaml(const json_t *value, struct buffer *out)
{
    write_value(value, 0, false, out);
}

/* --- JSON --- */

static void json_text(struct slice s, struct buffer *out)
{
    static const char escapes[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";

    buffer_add_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        const char *at = s.ptr[i] ? strchr(escapes, s.ptr[i]) : NULL;

        if (at && *at)
            buffer_printf(out, "\\%c", letters[at - escapes]);
        else if ((unsigned char)s.ptr[i] < 0x20 || strchr("<>&", s.ptr[i]))
            buffer_printf(out, "\\u%04x", (unsigned char)s.ptr[i]);
        else
            buffer_add_byte(out, s.ptr[i]);
    }
    buffer_add_byte(out, '"');
}

static void json_map(const json_t *map, struct buffer *out)
{
    const char **keys = value_keys(map, value_compare_keys);

    if (!keys)
        out->error = -ENOMEM;
    buffer_add_byte(out, '{');
    for (size_t i = 0; keys && keys[i]; i++) {
        if (i)
            buffer_add_byte(out, ',');
        json_text(slice_str(keys[i]), out);
        buffer_add_byte(out, ':');
        value_to_json(json_object_get(map, keys[i]), out);
    }
    buffer_add_byte(out, '}');
    free(keys);
}

/* As encoding/json: 1e-7 where %v says 1e-07. */
static void json_real_text(double number, struct buffer *out)
{
    struct buffer text;
    size_t at;

    buffer_init(&text, 64);
    write_real(number, &text);
    at = slice_find_slice(buffer_slice(&text), SLICE_LIT("e-0"));
    if (at < text.len) {
        buffer_add(out, slice_of(text.data, at + 2));
        at += 3;
    } else {
        at = 0;
    }
    buffer_add(out, slice_skip(buffer_slice(&text), at));
    buffer_release(&text);
}

void value_to_json(const json_t *value, struct buffer *out)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        json_map(value, out);
        break;
    case JSON_ARRAY:
        buffer_add_byte(out, '[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i)
                buffer_add_byte(out, ',');
            value_to_json(json_array_get(value, i), out);
        }
        buffer_add_byte(out, ']');
        break;
    case JSON_STRING:
        json_text(value_text(value), out);
        break;
    case JSON_REAL:
        json_real_text(json_real_value(value), out);
        break;
    case JSON_NULL:
        buffer_add_lit(out, "null");
        break;
    case JSON_INTEGER:
    case JSON_TRUE:
    case JSON_FALSE:
        value_print(value, out);
        break;
    }
}
