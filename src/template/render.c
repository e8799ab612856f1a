/* Walking a template with data. Values made on the way are kept until the end, so nothing here owns a reference. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "template/value.h"
#include "template/words.h"

enum { VARIABLES = 256 };

struct variable {
    struct slice name;
    json_t *value;
};

struct render {
    const struct template_set *set;
    const struct definition *in; /* whose text we are in: the file of an error */
    int line;
    const char *word; /* being run, for sentences */
    json_t *kept;     /* list of what was made */
    json_t *nil, *root; /* what it was begun with */
    size_t kept_bytes;
    struct variable variables[VARIABLES];
    size_t variable_count, frame; /* those from `frame` on belong to this definition */
    unsigned depth;
    unsigned long steps;
    struct buffer *out;
    struct errmsg *msg;
    int error;
};

/* --- errors and memory --- */

static int fail_with(struct render *x, int code, const char *sentence)
{
    if (x->error == 0) {
        x->error = code;
        errmsg_set(x->msg, code, "%.*s:%d: %s%s%s", SLICE_ARGS(x->in->file), x->line, x->word ? x->word : "", x->word ? ": " : "", sentence);
    }
    return x->error;
}

json_t *render_fail(struct render *x, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fail_with(x, -EINVAL, text);
    return NULL;
}

static size_t weight(const json_t *value)
{
    return 64 + (json_is_string(value) ? json_string_length(value) : 0);
}

json_t *render_keep(struct render *x, json_t *value)
{
    if (!value || json_array_append_new(x->kept, value) < 0) {
        fail_with(x, -ENOMEM, "out of memory");
        return NULL;
    }
    x->kept_bytes += weight(value);
    if (x->kept_bytes > LIMIT_TEMPLATE_VALUES) {
        fail_with(x, -ENOBUFS, "the values made by this template are too many or too large");
        return NULL;
    }
    return value;
}

json_t *render_objects(const struct render *x)
{
    return json_object_get(x->root, TEMPLATE_OBJECTS);
}

json_t *render_text(struct render *x, struct buffer *text)
{
    json_t *value = NULL;

    if (buffer_error(text))
        fail_with(x, buffer_error(text), "a text grew too large");
    else
        value = render_keep(x, json_stringn_nocheck(text->data ? text->data : "", text->len));
    buffer_release(text);
    return value;
}

/* --- expressions --- */

static json_t *run_pipe(struct render *x, const struct pipe *pipe, json_t *dot);

static json_t *find_variable(struct render *x, struct slice name)
{
    for (size_t i = x->variable_count; i > x->frame; i--)
        if (slice_eq(x->variables[i - 1].name, name))
            return x->variables[i - 1].value;
    return x->nil; /* declared in a branch that was not taken: the parser saw it */
}

static json_t *go_down(struct render *x, json_t *value, const struct field *field)
{
    for (; field; field = field->next) {
        if (json_is_null(value))
            return render_fail(x, "nothing there to take .%s from: expected a map", field->name);
        if (!json_is_object(value))
            return render_fail(x, "cannot take .%s from %s: expected a map", field->name, value_kind(value));
        value = json_object_get(value, field->name);
        if (!value)
            value = x->nil;
    }
    return value;
}

static json_t *run_word(struct render *x, const struct operand *word, const struct operand *args, json_t *piped, json_t *dot);

static json_t *evaluate(struct render *x, const struct operand *operand, json_t *dot)
{
    json_t *value = NULL;

    switch (operand->kind) {
    case OPERAND_DOT:
        value = dot;
        break;
    case OPERAND_VARIABLE:
        value = find_variable(x, operand->name);
        break;
    case OPERAND_LITERAL:
        value = operand->literal;
        break;
    case OPERAND_WORD:
        value = run_word(x, operand, NULL, NULL, dot);
        break;
    case OPERAND_PIPE:
        value = run_pipe(x, operand->pipe, dot);
        break;
    }
    return value ? go_down(x, value, operand->fields) : NULL;
}

/* and, or: the first argument that decides, or the last; those behind it are not looked at. */
static json_t *run_and_or(struct render *x, bool stops_at, const struct operand *args, json_t *piped, json_t *dot)
{
    json_t *value = NULL;

    for (; args; args = args->next) {
        value = evaluate(x, args, dot);
        if (!value || value_is_true(value) == stops_at)
            return value;
    }
    return piped ? piped : value;
}

static json_t *run_include(struct render *x, json_t *name, json_t *data);

static json_t *run_word(struct render *x, const struct operand *operand, const struct operand *args, json_t *piped, json_t *dot)
{
    const struct word *word = operand->word;
    const char *outer = x->word;
    json_t *values[WORD_ARGUMENTS], *result;
    size_t count = 0;

    if (!word->run && slice_eq(operand->name, SLICE_LIT("and")))
        return run_and_or(x, false, args, piped, dot);
    if (!word->run && slice_eq(operand->name, SLICE_LIT("or")))
        return run_and_or(x, true, args, piped, dot);
    for (; args; args = args->next)
        if (!(values[count++] = evaluate(x, args, dot)))
            return NULL;
    if (piped)
        values[count++] = piped;
    x->word = word->name;
    result = word->run ? word->run(x, values, count) : run_include(x, values[0], values[1]);
    x->word = outer;
    return result;
}

static json_t *run_call(struct render *x, const struct call *call, json_t *piped, json_t *dot)
{
    const struct operand *first = call->operands;

    if (++x->steps > LIMIT_TEMPLATE_STEPS) {
        fail_with(x, -ENOBUFS, "the template takes too many steps");
        return NULL;
    }
    if (first->kind == OPERAND_WORD)
        return run_word(x, first, first->next, piped, dot);
    return evaluate(x, first, dot);
}

static void set_variable(struct render *x, struct slice name, json_t *value, bool declares)
{
    if (!declares)
        for (size_t i = x->variable_count; i > x->frame; i--)
            if (slice_eq(x->variables[i - 1].name, name)) {
                x->variables[i - 1].value = value;
                return;
            }
    if (x->variable_count == VARIABLES)
        fail_with(x, -ENOBUFS, "too many variables within one another");
    else
        x->variables[x->variable_count++] = (struct variable){name, value};
}

/* The value of a pipe, without what it declares. */
static json_t *pipe_value(struct render *x, const struct pipe *pipe, json_t *dot)
{
    json_t *value = NULL;

    x->line = pipe->line;
    for (const struct call *call = pipe->calls; call; call = call->next) {
        value = run_call(x, call, value, dot);
        if (!value)
            return NULL;
    }
    return value;
}

static json_t *run_pipe(struct render *x, const struct pipe *pipe, json_t *dot)
{
    int outer_line = x->line;
    json_t *value = pipe_value(x, pipe, dot);

    if (value && pipe->variable_count)
        set_variable(x, pipe->variables[0], value, pipe->declares);
    if (value)
        x->line = outer_line;
    return x->error ? NULL : value;
}

/* --- statements --- */

static void run_nodes(struct render *x, const struct node *node, json_t *dot);

/* A definition sees only its data: `.` and `$`. */
static void run_definition(struct render *x, const struct definition *definition, json_t *data)
{
    const struct definition *outer = x->in;
    const char *outer_word = x->word;
    size_t outer_frame = x->frame, outer_count = x->variable_count;
    int outer_line = x->line;

    if (++x->depth > LIMIT_TEMPLATE_DEPTH) {
        fail_with(x, -ENOBUFS, "too many templates include one another");
        return;
    }
    x->in = definition;
    x->word = NULL;
    x->frame = x->variable_count;
    set_variable(x, SLICE_LIT(""), data, true);
    run_nodes(x, definition->body, data);
    x->depth--;
    if (x->error)
        return;
    x->in = outer;
    x->word = outer_word;
    x->line = outer_line;
    x->frame = outer_frame;
    x->variable_count = outer_count;
}

static const struct definition *find_or_fail(struct render *x, struct slice name)
{
    const struct definition *definition = template_find(x->set, name);

    if (!definition)
        render_fail(x, "there is no template \"%.*s\"", SLICE_ARGS(name));
    return definition;
}

static json_t *run_include(struct render *x, json_t *name, json_t *data)
{
    const struct definition *definition;
    struct buffer *outer = x->out, text;

    if (!json_is_string(name))
        return render_fail(x, "the name is %s: expected a text", value_kind(name));
    definition = find_or_fail(x, value_text(name));
    if (!definition)
        return NULL;
    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    x->out = &text;
    run_definition(x, definition, data);
    x->out = outer;
    if (!x->error)
        return render_text(x, &text);
    buffer_release(&text);
    return NULL;
}

static void run_template(struct render *x, const struct node *node, json_t *dot)
{
    const struct definition *definition = find_or_fail(x, node->text);
    json_t *data = node->pipe ? run_pipe(x, node->pipe, dot) : x->nil;

    if (definition && data)
        run_definition(x, definition, data);
}

static void run_print(struct render *x, const struct pipe *pipe, json_t *dot)
{
    json_t *value = run_pipe(x, pipe, dot);

    if (value && pipe->variable_count == 0 && !value_print(value, x->out))
        render_fail(x, "printing %s: expected a text or a number; toYaml prints the others", value_kind(value));
}

static void run_branch(struct render *x, const struct node *node, json_t *dot)
{
    size_t variables = x->variable_count;
    json_t *value = run_pipe(x, node->pipe, dot);

    if (value && value_is_true(value))
        run_nodes(x, node->body, node->kind == NODE_WITH ? value : dot);
    else if (value)
        run_nodes(x, node->otherwise, dot);
    x->variable_count = variables;
}

/* One round; the key is of the map, or the index. */
static void run_round(struct render *x, const struct node *node, json_t *key, json_t *value)
{
    size_t variables = x->variable_count, declared = node->pipe->variable_count;

    if (declared == 2 && key)
        set_variable(x, node->pipe->variables[0], key, node->pipe->declares);
    if (declared)
        set_variable(x, node->pipe->variables[declared - 1], value, node->pipe->declares);
    if (!x->error && (declared < 2 || key))
        run_nodes(x, node->body, value);
    x->variable_count = variables;
}

static void range_map(struct render *x, const struct node *node, json_t *map)
{
    const char **keys = value_keys(map, value_compare_keys);

    if (!keys)
        fail_with(x, -ENOMEM, "out of memory");
    for (size_t i = 0; keys && keys[i] && !x->error; i++)
        run_round(x, node, node->pipe->variable_count == 2 ? render_keep(x, json_string_nocheck(keys[i])) : NULL,
                  json_object_get(map, keys[i]));
    free(keys);
}

static void range_list(struct render *x, const struct node *node, json_t *list)
{
    for (size_t i = 0; i < json_array_size(list) && !x->error; i++)
        run_round(x, node, node->pipe->variable_count == 2 ? render_keep(x, json_integer((json_int_t)i)) : NULL,
                  json_array_get(list, i));
}

static void run_range(struct render *x, const struct node *node, json_t *dot)
{
    json_t *value = pipe_value(x, node->pipe, dot);

    if (!value)
        return;
    if (!json_is_array(value) && !json_is_object(value) && !json_is_null(value))
        render_fail(x, "range over %s: expected a list or a map", value_kind(value));
    else if (!value_is_true(value))
        run_nodes(x, node->otherwise, dot);
    else if (json_is_object(value))
        range_map(x, node, value);
    else
        range_list(x, node, value);
}

static void run_node(struct render *x, const struct node *node, json_t *dot)
{
    switch (node->kind) {
    case NODE_TEXT:
        buffer_add(x->out, node->text);
        break;
    case NODE_PRINT:
        run_print(x, node->pipe, dot);
        break;
    case NODE_IF:
    case NODE_WITH:
        run_branch(x, node, dot);
        break;
    case NODE_RANGE:
        run_range(x, node, dot);
        break;
    case NODE_TEMPLATE:
        run_template(x, node, dot);
        break;
    }
}

static void run_nodes(struct render *x, const struct node *node, json_t *dot)
{
    size_t variables = x->variable_count;

    for (; node && !x->error; node = node->next) {
        x->line = node->line;
        if (++x->steps > LIMIT_TEMPLATE_STEPS)
            fail_with(x, -ENOBUFS, "the template takes too many steps");
        else
            run_node(x, node, dot);
        if (!x->error && buffer_error(x->out))
            fail_with(x, buffer_error(x->out), "the output grew too large");
    }
    x->variable_count = variables;
}

int template_render(const struct template_set *set, struct slice name, json_t *data, struct errmsg *msg, struct buffer *ret_text)
{
    const struct definition *definition = template_find(set, name);
    struct render *x = calloc(1, sizeof(*x));
    int r;

    if (!definition) {
        free(x);
        return errmsg_set(msg, -ENOENT, "there is no template \"%.*s\"", SLICE_ARGS(name));
    }
    if (!x || !(x->kept = json_array())) {
        free(x);
        return errmsg_set(msg, -ENOMEM, "out of memory");
    }
    x->set = set;
    x->in = definition;
    x->out = ret_text;
    x->msg = msg;
    x->nil = json_null();
    x->root = data;
    run_definition(x, definition, data);
    r = x->error;
    json_decref(x->kept);
    free(x);
    return r;
}
