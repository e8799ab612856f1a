/* What a pattern may contain: see regex.h. Anything not known to mean the same in both engines is refused. */
#include "mesh/regex.h"

#include <errno.h>

struct walk {
    struct slice pattern;
    size_t at;
    struct errmsg *msg;
};

/* The byte `ahead` of the current one; 0 behind the end (a NUL in a pattern is refused first). */
static char peek(const struct walk *w, size_t ahead)
{
    return w->at + ahead < w->pattern.len ? w->pattern.ptr[w->at + ahead] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

static int refuse(const struct walk *w, const char *what)
{
    return errmsg_set(w->msg, -EINVAL, "regular expression: %s at position %zu not supported", what, w->at + 1);
}

/* At a backslash. Outside of classes \A, \z and \b, \B are assertions. */
static int escape(struct walk *w, bool in_class)
{
    char c = peek(w, 1);

    if (!c)
        return refuse(w, "a backslash at the end is");
    if (is_digit(c) || is_one_of(c, "gk"))
        return refuse(w, "back-references are");
    if (is_one_of(c, "<>"))
        return refuse(w, "\\< and \\> are");
    if (c == 'b' && peek(w, 2) == '{')
        return refuse(w, "named word boundaries are");
    if (is_alnum(c) && !is_one_of(c, in_class ? "dDwWsSafnrtxpP" : "dDwWsSafnrtxpPbBAz"))
        return refuse(w, "this escape is");
    w->at += 2;
    if (is_one_of(c, "xpP") && peek(w, 0) == '{') /* its braces are no quantifier */
        w->at += slice_find(slice_skip(w->pattern, w->at), '}') + 1;
    else if (is_one_of(c, "pP") && peek(w, 0))
        w->at++;
    return w->at <= w->pattern.len ? 0 : refuse(w, "an escape without end is");
}

/* At "[:" inside of a class: over ":]". */
static int posix_class(struct walk *w)
{
    for (size_t i = 2; peek(w, i); i++) {
        if (peek(w, i) == ':' && peek(w, i + 1) == ']') {
            w->at += i + 2;
            return 0;
        }
        if (peek(w, i) != '^' && !is_alnum(peek(w, i)))
            break;
    }
    return refuse(w, "nested classes are");
}

static int class(struct walk *w)
{
    int r = 0;

    w->at += peek(w, 1) == '^' ? 2 : 1;
    if (peek(w, 0) == ']') /* first, it is a member */
        w->at++;
    while (r == 0 && peek(w, 0) != ']') {
        char c = peek(w, 0);

        if (!c)
            return refuse(w, "a class without end is");
        if (c == '\\')
            r = escape(w, true);
        else if (c == '[')
            r = peek(w, 1) == ':' ? posix_class(w) : refuse(w, "nested classes are");
        else if (is_one_of(c, "&~-") && peek(w, 1) == c)
            r = refuse(w, "set operations in classes are");
        else
            w->at++;
    }
    w->at++;
    return r;
}

/* At "(": what follows a "(?". */
static int group(struct walk *w)
{
    if (peek(w, 1) == '*')
        return refuse(w, "control verbs are");
    if (peek(w, 1) != '?') {
        w->at++;
        return 0;
    }
    if (peek(w, 2) == ':') {
        w->at += 3;
        return 0;
    }
    if (peek(w, 2) == 'P' && peek(w, 3) == '<') {
        w->at += 4;
        return 0;
    }
    if (peek(w, 2) == '<' && peek(w, 3) != '=' && peek(w, 3) != '!') {
        w->at += 3;
        return 0;
    }
    if (peek(w, 2) == '<' || is_one_of(peek(w, 2), "=!"))
        return refuse(w, "look-around is");
    if (is_one_of(peek(w, 2), "R0&P+") || is_digit(peek(w, 2)) || (peek(w, 2) == '-' && is_digit(peek(w, 3))))
        return refuse(w, "recursion is");
    for (w->at += 2; is_one_of(peek(w, 0), "imsU-"); w->at++)
        ;
    if (!is_one_of(peek(w, 0), ":)"))
        return refuse(w, "this kind of group is");
    if (peek(w, 0) == ':')
        w->at++;
    return 0;
}

/* At "{": over "{n}", "{n,}" or "{n,m}". */
static int braces(struct walk *w)
{
    size_t i = 1, digits = 0;

    for (; is_digit(peek(w, i)); i++)
        digits++;
    if (peek(w, i) == ',')
        for (i++; is_digit(peek(w, i)); i++)
            ;
    if (!digits || peek(w, i) != '}')
        return refuse(w, "a brace that is no quantifier is");
    w->at += i + 1;
    return 0;
}

/* Behind a quantifier: "?" makes it lazy, "+" would make it possessive, more is a quantifier of a quantifier. */
static int after_quantifier(struct walk *w)
{
    if (peek(w, 0) == '?')
        w->at++;
    if (is_one_of(peek(w, 0), "*+?{"))
        return refuse(w, "a quantifier behind a quantifier is");
    return 0;
}

static int quantifier(struct walk *w)
{
    int r = 0;

    if (peek(w, 0) == '{')
        r = braces(w);
    else
        w->at++;
    return r < 0 ? r : after_quantifier(w);
}

int regex_inspect(struct slice pattern, struct errmsg *msg)
{
    struct walk w = {.pattern = pattern, .msg = msg};
    int r = 0;

    if (slice_find(pattern, '\0') < pattern.len || !slice_is_utf8(pattern))
        return errmsg_set(msg, -EINVAL, "regular expression: not valid UTF-8 text");
    while (r == 0 && w.at < pattern.len) {
        switch (peek(&w, 0)) {
        case '\\': r = escape(&w, false); break;
        case '[': r = class(&w); break;
        case '(': r = group(&w); break;
        case '*':
        case '+':
        case '?':
        case '{': r = quantifier(&w); break;
        case '}': r = refuse(&w, "a brace that is no quantifier is"); break;
        default: w.at++;
        }
    }
    return r;
}
