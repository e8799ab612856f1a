/*
 * What a plain scalar means: the table and the order of go-yaml v2's resolver,
 * which is what turns a manifest into JSON before the API server sees it.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "codec/yaml/yaml.h"

enum { NUMBER_MAX = 64 }; /* longer texts are no numbers that anybody wrote */

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words; words++)
        if (slice_eq(text, slice_str(*words)))
            return true;
    return false;
}

static bool resolve_word(struct yaml_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL};
    static const char *const falses[] = {"n",     "N",     "no",  "No",  "NO",  "false",
                                         "False", "FALSE", "off", "Off", "OFF", NULL};

    if (is_one_of(node->text, nulls)) {
        node->kind = YAML_NULL;
        return true;
    }
    node->boolean = is_one_of(node->text, trues);
    if (!node->boolean && !is_one_of(node->text, falses))
        return false;
    node->kind = YAML_BOOLEAN;
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

/* Takes "0x", "0o", "0b" or the "0" of an old octal number off the front. */
static int take_base(struct slice *digits)
{
    char second = digits->len > 1 && digits->ptr[0] == '0' ? digits->ptr[1] : '\0';
    int base = second == 'x' || second == 'X'   ? 16
               : second == 'o' || second == 'O' ? 8
               : second == 'b' || second == 'B' ? 2
                                                : 10;

    if (base != 10)
        *digits = slice_skip(*digits, 2);
    else if (second)
        base = 8;
    return base;
}

static int parse_integer(struct slice text, int64_t *ret_value)
{
    bool negative = text.len && text.ptr[0] == '-';
    uint64_t value = 0;
    int base;

    if (text.len && (text.ptr[0] == '-' || text.ptr[0] == '+'))
        text = slice_skip(text, 1);
    base = take_base(&text);
    if (!text.len)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i]);

        if (digit >= base)
            return -EINVAL;
        if (value > (UINT64_MAX - (uint64_t)digit) / (uint64_t)base)
            return -ERANGE;
        value = value * (uint64_t)base + (uint64_t)digit;
    }
    if (value > (uint64_t)INT64_MAX + negative)
        return -ERANGE;
    *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return 0;
}

/* [-+]? ( '.' digits | digits [ '.' digits* ] ) ( [eE] [-+]? digits )? */
static bool looks_like_float(struct slice text)
{
    size_t i = 0, whole = 0, part = 0, exponent = 0;

    if (i < text.len && (text.ptr[i] == '-' || text.ptr[i] == '+'))
        i++;
    for (; i < text.len && digit_of(text.ptr[i]) < 10; i++)
        whole++;
    if (i < text.len && text.ptr[i] == '.')
        for (i++; i < text.len && digit_of(text.ptr[i]) < 10; i++)
            part++;
    if (!whole && !part)
        return false;
    if (i == text.len)
        return true;
    if (text.ptr[i] != 'e' && text.ptr[i] != 'E')
        return false;
    i++;
    if (i < text.len && (text.ptr[i] == '-' || text.ptr[i] == '+'))
        i++;
    for (; i < text.len && digit_of(text.ptr[i]) < 10; i++)
        exponent++;
    return exponent && i == text.len;
}

static bool resolve_special(struct yaml_node *node)
{
    static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
    static const char *const infs[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL};
    static const char *const negative_infs[] = {"-.inf", "-.Inf", "-.INF", NULL};

    if (is_one_of(node->text, nans))
        node->number = NAN;
    else if (is_one_of(node->text, infs))
        node->number = INFINITY;
    else if (is_one_of(node->text, negative_infs))
        node->number = -INFINITY;
    else
        return false;
    node->kind = YAML_NUMBER;
    return true;
}

/* Underscores between digits are dropped, as YAML 1.1 has it. */
static size_t without_underscores(struct slice text, char out[NUMBER_MAX])
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '_')
            out[len++] = text.ptr[i];
    out[len] = '\0';
    return len;
}

static void resolve_number(struct yaml_node *node)
{
    char plain[NUMBER_MAX];
    struct slice digits;

    if (node->text.len >= NUMBER_MAX)
        return;
    digits = slice_of(plain, without_underscores(node->text, plain));
    if (digits.len && parse_integer(digits, &node->integer) == 0) {
        node->kind = YAML_INTEGER;
        node->number = (double)node->integer;
    } else if (looks_like_float(digits)) {
        node->kind = YAML_NUMBER;
        node->number = strtod(plain, NULL);
    }
}

/* Most are not: no word is longer, or begins with another letter. */
static bool may_be_word(struct slice text)
{
    return text.len <= sizeof("False") - 1 && (text.len == 0 || memchr("~nNyYtToOfF.+-", text.ptr[0], 14));
}

void yaml_resolve_plain(struct yaml_node *node)
{
    char first = node->text.len ? node->text.ptr[0] : '\0';

    node->kind = YAML_STRING;
    if (may_be_word(node->text) && (resolve_word(node) || resolve_special(node)))
        return;
    if (digit_of(first) < 10 || first == '-' || first == '+' || first == '.')
        resolve_number(node);
}
