#include "template/schema.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "mesh/regex.h"
#include "template/value.h"

enum { PATH = 512 };

struct checking {
    json_t *definitions;
    struct regex_scratch *scratch;
    struct buffer *problems; /* NULL: only whether it fits */
    struct errmsg *msg;
    int error; /* of the schema, not of the values */
};

/* Where we are in the values: each level knows the one above. */
struct place {
    const struct place *above;
    const char *key; /* NULL: the element `index` of a list, or the root */
    size_t index;
    unsigned depth;
};

static bool check(struct checking *c, const struct place *at, json_t *schema, json_t *value);

/* --- sentences --- */

static void print_place(const struct place *at, struct buffer *out)
{
    if (!at || !at->above)
        return;
    print_place(at->above, out);
    if (at->key)
        buffer_printf(out, "%s%s", at->above->above ? "." : "", at->key);
    else
        buffer_printf(out, "[%zu]", at->index);
}

static bool misfit(struct checking *c, const struct place *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool misfit(struct checking *c, const struct place *at, const char *format, ...)
{
    va_list args;

    if (!c->problems)
        return false;
    print_place(at, c->problems);
    buffer_printf(c->problems, "%s: ", at->above ? "" : "values");
    va_start(args, format);
    buffer_vprintf(c->problems, format, args);
    va_end(args);
    buffer_add_byte(c->problems, '\n');
    return false;
}

static bool broken(struct checking *c, int code, const char *word, const char *what)
{
    if (c->error == 0)
        c->error = errmsg_set(c->msg, code, "values.schema.json: %s: %s", word, what);
    return false;
}

/* The value for a sentence, short. */
static void show(json_t *value, char *out, size_t size)
{
    struct buffer text;

    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    value_to_json(value, &text);
    snprintf(out, size, "%.*s%s", (int)(text.len > 60 ? 57 : text.len), text.data ? text.data : "", text.len > 60 ? "..." : "");
    buffer_release(&text);
}

/* --- words of the schema --- */

static bool is_whole(const json_t *value)
{
    return json_is_integer(value) || (json_is_real(value) && json_real_value(value) == trunc(json_real_value(value)));
}

static bool is_of_type(const json_t *value, const char *type)
{
    if (strcmp(type, "integer") == 0)
        return is_whole(value);
    if (strcmp(type, "number") == 0)
        return json_is_number(value);
    return (strcmp(type, "string") == 0 && json_is_string(value)) || (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
           (strcmp(type, "object") == 0 && json_is_object(value)) || (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "null") == 0 && json_is_null(value));
}

static bool check_type(struct checking *c, const struct place *at, json_t *type, json_t *value)
{
    struct buffer names;
    size_t i, count = json_is_array(type) ? json_array_size(type) : 1;
    char text[80];

    for (i = 0; i < count; i++)
        if (is_of_type(value, json_string_value(json_is_array(type) ? json_array_get(type, i) : type)))
            return true;
    buffer_init(&names, 256);
    for (i = 0; i < count; i++)
        buffer_printf(&names, "%s%s", i ? " or " : "", json_string_value(json_is_array(type) ? json_array_get(type, i) : type));
    if (slice_eq(buffer_slice(&names), SLICE_LIT("string")) && (json_is_number(value) || json_is_boolean(value)))
        buffer_add_lit(&names, ": put it in quotes, or use --set-string");
    show(value, text, sizeof(text));
    misfit(c, at, "is %s: expected %.*s", text, SLICE_ARGS(buffer_slice(&names)));
    buffer_release(&names);
    return false;
}

/* 1 and 1.0 are one number. */
static bool same(json_t *a, json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static bool check_enum(struct checking *c, const struct place *at, json_t *choices, json_t *value)
{
    char text[80], all[320];
    json_t *choice;
    size_t i;

    json_array_foreach (choices, i, choice)
        if (same(choice, value))
            return true;
    show(value, text, sizeof(text));
    all[0] = '\0';
    json_array_foreach (choices, i, choice) {
        char one[80];
        size_t used = strlen(all);

        show(choice, one, sizeof(one));
        snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", one);
    }
    return misfit(c, at, "is %s: expected one of %s", text, all);
}

/* What the pattern means is the schema's description beside it, if there is one: people read that more easily. */
static bool check_pattern(struct checking *c, const struct place *at, json_t *schema, json_t *value)
{
    json_t *pattern = json_object_get(schema, "pattern"), *meaning = json_object_get(schema, "description");
    struct regex *regex = NULL;
    char text[80];
    int r;

    if (!json_is_string(value))
        return true;
    r = regex_new(value_text(pattern), REGEX_POLICY, c->msg, &regex);
    if (r == 0)
        r = regex_match(regex, value_text(value), c->scratch);
    regex_free(regex);
    if (r < 0)
        return broken(c, r, "pattern", json_string_value(pattern));
    show(value, text, sizeof(text));
    if (r > 0)
        return true;
    return misfit(c, at, "is %s: expected %s%s", text, meaning ? "" : "a text that matches ", json_string_value(meaning ? meaning : pattern));
}

static bool check_bounds(struct checking *c, const struct place *at, json_t *schema, json_t *value)
{
    json_t *min = json_object_get(schema, "minimum"), *max = json_object_get(schema, "maximum");
    json_t *min_length = json_object_get(schema, "minLength");
    char text[80];

    show(value, text, sizeof(text));
    if (json_is_number(value) && min && json_number_value(value) < json_number_value(min))
        return misfit(c, at, "is %s: expected at least %.15g", text, json_number_value(min));
    if (json_is_number(value) && max && json_number_value(value) > json_number_value(max))
        return misfit(c, at, "is %s: expected at most %.15g", text, json_number_value(max));
    if (json_is_string(value) && min_length && json_string_length(value) < (size_t)json_integer_value(min_length))
        return misfit(c, at, "is %s: expected a longer text", text);
    return true;
}

static bool check_any(struct checking *c, const struct place *at, json_t *schemas, json_t *value)
{
    struct buffer *problems = c->problems;
    bool fits = false;
    json_t *schema;
    char text[80];
    size_t i;

    c->problems = NULL;
    json_array_foreach (schemas, i, schema)
        fits = fits || check(c, at, schema, value);
    c->problems = problems;
    show(value, text, sizeof(text));
    return fits || misfit(c, at, "is %s: is none of the kinds that this value may be", text);
}

static bool check_member(struct checking *c, const struct place *at, json_t *schema, const char *key, json_t *value)
{
    json_t *own = json_object_get(json_object_get(schema, "properties"), key);
    json_t *others = json_object_get(schema, "additionalProperties");
    struct place below = {at, key, 0, at->depth + 1};

    if (own || json_is_object(others))
        return check(c, &below, own ? own : others, value);
    return json_is_false(others) ? misfit(c, &below, "there is no such value") : true;
}

static bool check_object(struct checking *c, const struct place *at, json_t *schema, json_t *value)
{
    json_t *required = json_object_get(schema, "required"), *name, *member;
    const char *key;
    bool fits = true;
    size_t i;

    json_array_foreach (required, i, name)
        if (!json_object_get(value, json_string_value(name)))
            fits = misfit(c, at, "%s is missing", json_string_value(name));
    json_object_foreach (value, key, member)
        fits = check_member(c, at, schema, key, member) && fits;
    return fits;
}

static bool check_items(struct checking *c, const struct place *at, json_t *schema, json_t *list)
{
    bool fits = true;
    json_t *item;
    size_t i;

    json_array_foreach (list, i, item) {
        struct place below = {at, NULL, i, at->depth + 1};

        fits = check(c, &below, schema, item) && fits;
    }
    return fits;
}

static bool check_ref(struct checking *c, const struct place *at, json_t *ref, json_t *value)
{
    static const char prefix[] = "#/definitions/";
    const char *name = json_string_value(ref);
    json_t *schema = name && strncmp(name, prefix, sizeof(prefix) - 1) == 0 ? json_object_get(c->definitions, name + sizeof(prefix) - 1) : NULL;
    struct place deeper = *at;

    deeper.depth++;
    return schema ? check(c, &deeper, schema, value) : broken(c, -ENOTSUP, "$ref", name ? name : "no text");
}

/* Words that say something to people, or that are read beside another word. */
static bool is_silent(const char *word)
{
    static const char *const words[] = {"$schema", "$comment", "title", "description", "default", "examples", "definitions",
                                        "minimum", "maximum",  "minLength", "properties", "additionalProperties", "required"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static bool check_word(struct checking *c, const struct place *at, json_t *schema, const char *word, json_t *value)
{
    json_t *argument = json_object_get(schema, word);

    if (strcmp(word, "type") == 0)
        return check_type(c, at, argument, value);
    if (strcmp(word, "enum") == 0)
        return check_enum(c, at, argument, value);
    if (strcmp(word, "pattern") == 0)
        return check_pattern(c, at, schema, value);
    if (strcmp(word, "anyOf") == 0)
        return check_any(c, at, argument, value);
    if (strcmp(word, "$ref") == 0)
        return check_ref(c, at, argument, value);
    if (strcmp(word, "items") == 0)
        return json_is_array(value) ? check_items(c, at, argument, value) : true;
    return is_silent(word) || broken(c, -ENOTSUP, word, "is no word of the subset that is understood here");
}

static bool check(struct checking *c, const struct place *at, json_t *schema, json_t *value)
{
    const char *word;
    json_t *argument;
    bool fits = true;

    if (at->depth > LIMIT_TEMPLATE_DEPTH)
        return misfit(c, at, "is too deep: expected at most %d levels", LIMIT_TEMPLATE_DEPTH);
    if (json_is_boolean(schema))
        return json_is_true(schema) || misfit(c, at, "there is no such value");
    json_object_foreach (schema, word, argument)
        fits = check_word(c, at, schema, word, value) && fits;
    fits = check_bounds(c, at, schema, value) && fits;
    return (json_is_object(value) ? check_object(c, at, schema, value) : true) && fits;
}

int schema_check(json_t *schema, json_t *values, struct errmsg *msg, struct buffer *ret_problems)
{
    struct checking checking = {json_object_get(schema, "definitions"), regex_scratch_new(), ret_problems, msg, 0};
    struct place root = {NULL, NULL, 0, 0};
    bool fits;

    if (!checking.scratch)
        return errmsg_set(msg, -ENOMEM, "out of memory");
    fits = check(&checking, &root, schema, values);
    regex_scratch_free(checking.scratch);
    if (checking.error)
        return checking.error;
    if (buffer_error(ret_problems))
        return errmsg_set(msg, buffer_error(ret_problems), "the values have too many mistakes to tell them");
    return fits ? 0 : -EINVAL;
}
