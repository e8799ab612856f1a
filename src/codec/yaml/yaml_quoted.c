/*
 * The texts of quoted scalars from their source, YAML 1.2 section 7.3. libfyaml finds where they begin and end, and
 * would give their texts too; but version 0.7.12 loses memory and hands out stale bytes when one line has more than a
 * few escapes, and drops some behind a fold. So we read them ourselves.
 */
#include <errno.h>

#include "codec/yaml/yaml.h"

struct unquoting {
    struct slice raw;
    size_t at;
    char *out; /* no text is longer than its source, see add_escape() */
    size_t len;
    size_t kept; /* bytes of `out` that folding must not trim: they were escaped */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_break(char c)
{
    return c == '\n' || c == '\r';
}

static char peek(const struct unquoting *u, size_t ahead)
{
    return u->at + ahead < u->raw.len ? u->raw.ptr[u->at + ahead] : '\0';
}

/* CR LF is one break. */
static void skip_break(struct unquoting *u)
{
    u->at += peek(u, 0) == '\r' && peek(u, 1) == '\n' ? 2 : 1;
}

/* At white space in front of a line break or at one: how many breaks, and all of it taken. */
static size_t take_breaks(struct unquoting *u)
{
    size_t breaks = 0;

    while (u->at < u->raw.len && (is_space(peek(u, 0)) || is_break(peek(u, 0)))) {
        if (is_break(peek(u, 0))) {
            breaks++;
            skip_break(u);
        } else {
            u->at++;
        }
    }
    return breaks;
}

/* White space around line breaks goes; one break becomes a space, more of them one break less. */
static void fold(struct unquoting *u)
{
    size_t breaks;

    while (u->len > u->kept && is_space(u->out[u->len - 1]))
        u->len--;
    breaks = take_breaks(u);
    if (breaks == 1)
        u->out[u->len++] = ' ';
    for (; breaks > 1; breaks--)
        u->out[u->len++] = '\n';
}

static int start(struct unquoting *u, struct arena *arena, struct slice raw)
{
    *u = (struct unquoting){.raw = raw, .out = arena_alloc(arena, raw.len * 2 + 1)};
    return u->out ? 0 : -ENOMEM;
}

int yaml_single_quoted(struct arena *arena, struct slice raw, struct slice *ret_text)
{
    struct unquoting u;

    if (start(&u, arena, raw) < 0)
        return -ENOMEM;
    while (u.at < raw.len) {
        if (is_break(peek(&u, 0))) {
            fold(&u);
            continue;
        }
        if (peek(&u, 0) == '\'' && peek(&u, 1) == '\'')
            u.at++;
        u.out[u.len++] = raw.ptr[u.at++];
    }
    *ret_text = slice_of(u.out, u.len);
    return 0;
}

/* ---- double quotes ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* `digits` hexadecimal digits at `ahead`. */
static int read_hex(const struct unquoting *u, size_t ahead, int digits, uint32_t *ret_value)
{
    uint32_t value = 0;

    for (int i = 0; i < digits; i++) {
        int digit = hex_digit(peek(u, ahead + (size_t)i));

        if (digit < 0)
            return -EINVAL;
        value = value * 16 + (uint32_t)digit;
    }
    *ret_value = value;
    return 0;
}

/* At most four bytes, from an escape of at least four; \N and the like make up to three of two: hence `raw.len * 2`. */
static void add_utf8(struct unquoting *u, uint32_t c)
{
    if (c < 0x80) {
        u->out[u->len++] = (char)c;
    } else if (c < 0x800) {
        u->out[u->len++] = (char)(0xc0 | c >> 6);
        u->out[u->len++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        u->out[u->len++] = (char)(0xe0 | c >> 12);
        u->out[u->len++] = (char)(0x80 | (c >> 6 & 0x3f));
        u->out[u->len++] = (char)(0x80 | (c & 0x3f));
    } else {
        u->out[u->len++] = (char)(0xf0 | c >> 18);
        u->out[u->len++] = (char)(0x80 | (c >> 12 & 0x3f));
        u->out[u->len++] = (char)(0x80 | (c >> 6 & 0x3f));
        u->out[u->len++] = (char)(0x80 | (c & 0x3f));
    }
}

/* \x41, \u00e9, \U0001F600, and JSON's two halves \ud83d\ude00. */
static int add_hex_escape(struct unquoting *u, int digits)
{
    uint32_t c, low;

    if (read_hex(u, 2, digits, &c) < 0)
        return -EINVAL;
    u->at += 2 + (size_t)digits;
    if (c >= 0xd800 && c < 0xdc00) {
        if (digits != 4 || peek(u, 0) != '\\' || peek(u, 1) != 'u' || read_hex(u, 2, 4, &low) < 0 || low < 0xdc00 ||
            low > 0xdfff)
            return -EINVAL;
        u->at += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (c > 0x10ffff || (c >= 0xdc00 && c < 0xe000))
        return -EINVAL;
    add_utf8(u, c);
    return 0;
}

/* An escaped line break joins two lines; white space in front of the next goes. */
static void join_lines(struct unquoting *u)
{
    size_t breaks;

    u->at++;
    breaks = take_breaks(u);
    for (; breaks > 1; breaks--)
        u->out[u->len++] = '\n';
}

static int add_escape(struct unquoting *u)
{
    static const struct {
        char name;
        uint32_t meaning;
    } escapes[] = {{'0', 0},   {'a', 7},     {'b', 8},    {'t', 9},    {'\t', 9},     {'n', 10},
                   {'v', 11},  {'f', 12},    {'r', 13},   {'e', 27},   {' ', ' '},    {'"', '"'},
                   {'/', '/'}, {'\\', '\\'}, {'N', 0x85}, {'_', 0xa0}, {'L', 0x2028}, {'P', 0x2029}};
    char name = peek(u, 1);

    if (is_break(name)) {
        join_lines(u);
        return 0;
    }
    if (name == 'x' || name == 'u' || name == 'U')
        return add_hex_escape(u, name == 'x' ? 2 : name == 'u' ? 4 : 8);
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++)
        if (escapes[i].name == name && u->at + 1 < u->raw.len) {
            u->at += 2;
            add_utf8(u, escapes[i].meaning);
            return 0;
        }
    return -EINVAL;
}

int yaml_double_quoted(struct arena *arena, struct slice raw, struct slice *ret_text)
{
    struct unquoting u;

    if (start(&u, arena, raw) < 0)
        return -ENOMEM;
    while (u.at < raw.len) {
        if (is_break(peek(&u, 0))) {
            fold(&u);
        } else if (peek(&u, 0) == '\\') {
            if (add_escape(&u) < 0)
                return -EINVAL;
            u.kept = u.len;
        } else {
            u.out[u.len++] = raw.ptr[u.at++];
        }
    }
    *ret_text = slice_of(u.out, u.len);
    return 0;
}
