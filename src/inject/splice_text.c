#include "inject/splice_text.h"

#include "base/limits.h"
#include "template/value.h"

/* --- block style --- */

static void add_spaces(size_t count, struct buffer *out)
{
    while (count--)
        buffer_add_byte(out, ' ');
}

/* Each line behind so many spaces; an empty one, which may stand in a text, stays empty. */
static void add_lines(struct slice text, size_t column, struct buffer *out)
{
    struct slice line;

    while (slice_split(&text, '\n', &line)) {
        if (line.len)
            add_spaces(column, out);
        buffer_add(out, line);
        buffer_add_byte(out, '\n');
    }
}

static void add_yaml(const json_t *value, size_t column, struct buffer *out)
{
    struct buffer text;

    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    value_to_yaml(value, &text);
    add_lines(buffer_slice(&text), column, out);
    if (buffer_error(&text))
        out->error = buffer_error(&text);
    buffer_release(&text);
}

/* A map or list of this one value, as value_to_yaml() takes it. */
static void add_yaml_new(json_t *holder, size_t column, struct buffer *out)
{
    if (holder)
        add_yaml(holder, column, out);
    else
        out->error = -1;
    json_decref(holder);
}

static void add_key(const char *key, size_t column, struct buffer *out)
{
    add_yaml_new(json_pack("{s:n}", key), column, out);
    if (!buffer_error(out))
        out->len -= sizeof(" null\n") - 1;
    buffer_add_byte(out, '\n');
}

void splice_entry(const struct splice *splice, const char *key, const json_t *value, size_t column, struct buffer *out)
{
    const char *name;
    json_t *member;

    if (json_object_size(value) > 0) {
        add_key(key, column, out);
        json_object_foreach ((json_t *)(uintptr_t)value, name, member)
            splice_entry(splice, name, member, column + splice->step, out);
    } else if (json_array_size(value) > 0) {
        add_key(key, column, out);
        add_yaml(value, column + splice->list_step, out);
    } else {
        add_yaml_new(json_pack("{s:O}", key, value), column, out);
    }
}

void splice_element(const json_t *value, size_t column, struct buffer *out)
{
    add_yaml_new(json_pack("[O]", value), column, out);
}

/* --- in brackets --- */

static void new_line(const struct bracket_style *style, size_t depth, struct buffer *out)
{
    if (!style->pretty)
        return;
    buffer_add_byte(out, '\n');
    buffer_add(out, style->lead);
    while (depth--)
        buffer_add(out, style->step);
}

static void between(const struct bracket_style *style, bool first, size_t depth, struct buffer *out)
{
    if (!first)
        buffer_add_byte(out, ',');
    if (style->pretty)
        new_line(style, depth, out);
    else if (!first && style->spaced)
        buffer_add_byte(out, ' ');
}

static void add_name(const char *key, const struct bracket_style *style, struct buffer *out)
{
    buffer_add_json(out, slice_str(key));
    buffer_add_byte(out, ':');
    if (style->spaced)
        buffer_add_byte(out, ' ');
}

static void flow_map(const json_t *map, const struct bracket_style *style, size_t depth, struct buffer *out)
{
    const char *key;
    json_t *value;
    bool first = true;

    buffer_add_byte(out, '{');
    json_object_foreach ((json_t *)(uintptr_t)map, key, value) {
        between(style, first, depth + 1, out);
        add_name(key, style, out);
        splice_flow(value, style, depth + 1, out);
        first = false;
    }
    if (!first)
        new_line(style, depth, out);
    buffer_add_byte(out, '}');
}

static void flow_list(const json_t *list, const struct bracket_style *style, size_t depth, struct buffer *out)
{
    buffer_add_byte(out, '[');
    for (size_t i = 0; i < json_array_size(list); i++) {
        between(style, i == 0, depth + 1, out);
        splice_flow(json_array_get(list, i), style, depth + 1, out);
    }
    if (json_array_size(list))
        new_line(style, depth, out);
    buffer_add_byte(out, ']');
}

void splice_flow(const json_t *value, const struct bracket_style *style, size_t depth, struct buffer *out)
{
    if (json_is_object(value))
        flow_map(value, style, depth, out);
    else if (json_is_array(value))
        flow_list(value, style, depth, out);
    else if (json_is_string(value))
        buffer_add_json(out, value_text(value));
    else if (json_is_null(value))
        buffer_add_lit(out, "null");
    else
        value_print(value, out);
}

void splice_flow_entry(const char *key, const json_t *value, const struct bracket_style *style, struct buffer *out)
{
    add_name(key, style, out);
    splice_flow(value, style, 0, out);
}
