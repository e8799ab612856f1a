/* Words for texts. */
#include <ctype.h>
#include <stdio.h>

#include <openssl/sha.h>

#include "base/limits.h"
#include "template/value.h"
#include "template/words.h"

static bool is_text(struct render *x, const json_t *value)
{
    if (json_is_string(value))
        return true;
    render_fail(x, "got %s: expected a text", value_kind(value));
    return false;
}

json_t *word_to_string(struct render *x, json_t *const *args, size_t count)
{
    struct buffer text;

    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    if (value_print(args[0], &text))
        return render_text(x, &text);
    buffer_release(&text);
    return render_fail(x, "got %s: expected a text or a number", value_kind(args[0]));
}

/* The text between quotes, as Go's %q writes what is printable; nil is nothing. */
static void add_quoted(struct slice s, struct buffer *out)
{
    static const char from[] = "\"\\\a\b\f\n\r\t\v", to[] = "\"\\abfnrtv";

    buffer_add_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        const char *at = s.ptr[i] ? strchr(from, s.ptr[i]) : NULL;

        if (at && *at)
            buffer_printf(out, "\\%c", to[at - from]);
        else if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            buffer_printf(out, "\\x%02x", (unsigned char)s.ptr[i]);
        else
            buffer_add_byte(out, s.ptr[i]);
    }
    buffer_add_byte(out, '"');
}

json_t *word_quote(struct render *x, json_t *const *args, size_t count)
{
    struct buffer text;
    json_t *plain;

    if (json_is_null(args[0]))
        return render_keep(x, json_string(""));
    plain = word_to_string(x, args, 1);
    if (!plain)
        return NULL;
    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    add_quoted(value_text(plain), &text);
    return render_text(x, &text);
}

/* One verb of a format; false with the error set. */
static bool print_verb(struct render *x, char verb, const json_t *value, struct buffer *out)
{
    bool fits = verb == 's' || verb == 'q' ? json_is_string(value) : verb == 'd' ? json_is_integer(value) : verb == 't' ? json_is_boolean(value) : verb == 'v';

    if (!fits || json_is_null(value) || json_is_object(value) || json_is_array(value)) {
        render_fail(x, "%%%c of %s: expected %%s or %%q of a text, %%d of an integer, %%t of a boolean, %%v of one of these", verb,
                    value_kind(value));
        return false;
    }
    if (verb == 'q')
        add_quoted(value_text(value), out);
    else
        value_print(value, out);
    return true;
}

json_t *word_printf(struct render *x, json_t *const *args, size_t count)
{
    struct buffer text;
    struct slice format;
    size_t used = 1;

    if (!is_text(x, args[0]))
        return NULL;
    format = value_text(args[0]);
    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    for (size_t i = 0; i < format.len; i++) {
        if (format.ptr[i] != '%') {
            buffer_add_byte(&text, format.ptr[i]);
        } else if (i + 1 < format.len && format.ptr[i + 1] == '%') {
            buffer_add_byte(&text, format.ptr[++i]);
        } else if (i + 1 == format.len || used == count || !print_verb(x, format.ptr[i + 1], args[used], &text)) {
            buffer_release(&text);
            return render_fail(x, "the format \"%.*s\" does not fit its %zu arguments", SLICE_ARGS(format), count - 1);
        } else {
            used++;
            i++;
        }
    }
    if (used == count)
        return render_text(x, &text);
    buffer_release(&text);
    return render_fail(x, "the format \"%.*s\" does not fit its %zu arguments", SLICE_ARGS(format), count - 1);
}

/* Every line, empty ones too, behind so many spaces. */
static json_t *indented(struct render *x, json_t *const *args, const char *before)
{
    struct buffer text;
    struct slice rest, line;
    long long columns = (long long)json_integer_value(args[0]);

    if (!json_is_integer(args[0]) || columns < 0 || columns > 1000 || !json_is_string(args[1]))
        return render_fail(x, "got %s and %s: expected a number of spaces and a text", value_kind(args[0]), value_kind(args[1]));
    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    buffer_printf(&text, "%s", before);
    rest = value_text(args[1]);
    if (rest.len == 0)
        buffer_printf(&text, "%*s", (int)columns, "");
    for (const char *separator = ""; rest.len && slice_split(&rest, '\n', &line); separator = "\n") {
        buffer_printf(&text, "%s%*s", separator, (int)columns, "");
        buffer_add(&text, line);
        if (rest.ptr && rest.len == 0)
            buffer_printf(&text, "\n%*s", (int)columns, "");
    }
    return render_text(x, &text);
}

json_t *word_indent(struct render *x, json_t *const *args, size_t count)
{
    return indented(x, args, "");
}

json_t *word_nindent(struct render *x, json_t *const *args, size_t count)
{
    return indented(x, args, "\n");
}

static json_t *part(struct render *x, struct slice text)
{
    return render_keep(x, json_stringn_nocheck(text.len ? text.ptr : "", text.len));
}

json_t *word_trim(struct render *x, json_t *const *args, size_t count)
{
    struct slice text;

    if (!is_text(x, args[0]))
        return NULL;
    text = value_text(args[0]);
    while (text.len && isspace((unsigned char)*text.ptr))
        text = slice_skip(text, 1);
    while (text.len && isspace((unsigned char)text.ptr[text.len - 1]))
        text.len--;
    return part(x, text);
}

json_t *word_trim_suffix(struct render *x, json_t *const *args, size_t count)
{
    struct slice suffix, text;

    if (!is_text(x, args[0]) || !is_text(x, args[1]))
        return NULL;
    suffix = value_text(args[0]);
    text = value_text(args[1]);
    if (suffix.len && slice_ends(text, suffix))
        text.len -= suffix.len;
    return part(x, text);
}

json_t *word_has_prefix(struct render *x, json_t *const *args, size_t count)
{
    if (!is_text(x, args[0]) || !is_text(x, args[1]))
        return NULL;
    return json_boolean(slice_starts(value_text(args[1]), value_text(args[0])));
}

json_t *word_replace(struct render *x, json_t *const *args, size_t count)
{
    struct slice old, new, text;
    struct buffer out;

    if (!is_text(x, args[0]) || !is_text(x, args[1]) || !is_text(x, args[2]))
        return NULL;
    old = value_text(args[0]);
    new = value_text(args[1]);
    text = value_text(args[2]);
    if (old.len == 0)
        return render_fail(x, "nothing to replace: expected a text that is not empty");
    buffer_init(&out, LIMIT_TEMPLATE_OUTPUT);
    for (size_t at; (at = slice_find_slice(text, old)) < text.len; text = slice_skip(text, at + old.len)) {
        buffer_add(&out, slice_take(text, at));
        buffer_add(&out, new);
    }
    buffer_add(&out, text);
    return render_text(x, &out);
}

json_t *word_split_list(struct render *x, json_t *const *args, size_t count)
{
    struct slice rest, word;
    json_t *list;

    if (!is_text(x, args[0]) || !is_text(x, args[1]))
        return NULL;
    if (json_string_length(args[0]) != 1)
        return render_fail(x, "the separator must be one character");
    list = render_keep(x, json_array());
    rest = value_text(args[1]);
    if (list && rest.len == 0)
        json_array_append_new(list, json_string(""));
    while (list && rest.len && slice_split(&rest, *json_string_value(args[0]), &word)) {
        json_t *text = part(x, word);

        if (!text || json_array_append(list, text) < 0)
            return text ? render_keep(x, NULL) : NULL;
        if (rest.ptr && rest.len == 0)
            json_array_append_new(list, json_string(""));
    }
    return list;
}

json_t *word_join(struct render *x, json_t *const *args, size_t count)
{
    struct buffer out;
    size_t i;
    json_t *item;

    if (!is_text(x, args[0]))
        return NULL;
    if (!json_is_array(args[1]))
        return render_fail(x, "got %s: expected a list", value_kind(args[1]));
    buffer_init(&out, LIMIT_TEMPLATE_OUTPUT);
    json_array_foreach (args[1], i, item) {
        if (i)
            buffer_add(&out, value_text(args[0]));
        if (!value_print(item, &out)) {
            buffer_release(&out);
            return render_fail(x, "element %zu is %s: expected texts and numbers", i, value_kind(item));
        }
    }
    return render_text(x, &out);
}

json_t *word_b64enc(struct render *x, json_t *const *args, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct buffer out;
    struct slice text;

    if (!is_text(x, args[0]))
        return NULL;
    text = value_text(args[0]);
    buffer_init(&out, LIMIT_TEMPLATE_OUTPUT);
    for (size_t i = 0; i < text.len; i += 3) {
        unsigned char b[3] = {(unsigned char)text.ptr[i], i + 1 < text.len ? (unsigned char)text.ptr[i + 1] : 0,
                              i + 2 < text.len ? (unsigned char)text.ptr[i + 2] : 0};

        buffer_add_byte(&out, digits[b[0] >> 2]);
        buffer_add_byte(&out, digits[(b[0] & 3) << 4 | b[1] >> 4]);
        buffer_add_byte(&out, i + 1 < text.len ? digits[(b[1] & 15) << 2 | b[2] >> 6] : '=');
        buffer_add_byte(&out, i + 2 < text.len ? digits[b[2] & 63] : '=');
    }
    return render_text(x, &out);
}

json_t *word_sha256sum(struct render *x, json_t *const *args, size_t count)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct buffer out;

    if (!is_text(x, args[0]))
        return NULL;
    SHA256((const unsigned char *)json_string_value(args[0]), json_string_length(args[0]), digest);
    buffer_init(&out, 2 * sizeof(digest));
    for (size_t i = 0; i < sizeof(digest); i++)
        buffer_printf(&out, "%02x", digest[i]);
    return render_text(x, &out);
}
