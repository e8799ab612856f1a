/* Reading a template: text, actions between {{ and }}, blocks. Recursive descent; depth is bounded. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "template/words.h"

enum { VARIABLES = 64, FIELD_NAME = 128 };

struct parser {
    struct template_set *set;
    struct slice file, text;
    size_t at;        /* of the text */
    int line;         /* of `at` */
    bool trim;        /* the last action ended in -}} */
    unsigned depth;
    struct slice variables[VARIABLES]; /* in scope */
    size_t variable_count;
    struct errmsg *msg;
};

/* How a block ended. */
enum ending { END_OF_TEXT, END_END, END_ELSE };

static int fail(const struct parser *p, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(const struct parser *p, int code, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return errmsg_set(p->msg, code, "%.*s:%d: %s", SLICE_ARGS(p->file), p->line, text);
}

static int no_memory(const struct parser *p)
{
    return fail(p, -ENOMEM, "out of memory");
}

/* --- characters --- */

static struct slice rest_of(const struct parser *p)
{
    return slice_skip(p->text, p->at);
}

static bool sees(const struct parser *p, const char *what)
{
    return slice_starts(rest_of(p), slice_str(what));
}

static char peek(const struct parser *p)
{
    return p->at < p->text.len ? p->text.ptr[p->at] : '\0';
}

static void advance(struct parser *p, size_t count)
{
    for (; count && p->at < p->text.len; count--)
        p->line += p->text.ptr[p->at++] == '\n';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void skip_spaces(struct parser *p)
{
    while (is_space(peek(p)))
        advance(p, 1);
}

/* At }}, or at " -}}": nothing more is in this action. */
static bool at_close(const struct parser *p)
{
    return sees(p, "}}") || sees(p, "-}}");
}

static struct slice take_name(struct parser *p)
{
    size_t start = p->at;

    while (is_name(peek(p)))
        advance(p, 1);
    return slice_of(p->text.ptr + start, p->at - start);
}

/* What stands here, for sentences: the rest of the word or a single sign. */
static struct slice here(const struct parser *p)
{
    struct slice rest = rest_of(p);
    size_t n = 0;

    while (n < rest.len && n < 40 && !is_space(rest.ptr[n]) && !slice_starts(slice_skip(rest, n), SLICE_LIT("}}")))
        n++;
    return rest.len == 0 ? SLICE_LIT("the end of the file") : n ? slice_take(rest, n) : slice_take(rest, 2);
}

static int close_action(struct parser *p)
{
    skip_spaces(p);
    if (!at_close(p))
        return fail(p, -EINVAL, "unexpected \"%.*s\": expected the end of the action, }}", SLICE_ARGS(here(p)));
    p->trim = sees(p, "-}}");
    advance(p, p->trim ? 3 : 2);
    return 0;
}

/* --- operands --- */

static void drop(void *value)
{
    json_decref(value);
}

static int add_literal(struct parser *p, struct operand *operand, json_t *value)
{
    operand->kind = OPERAND_LITERAL;
    operand->literal = value;
    if (value && arena_on_release(&p->set->arena, drop, value) == 0)
        return 0;
    json_decref(value);
    return no_memory(p);
}

/* One character of a "quoted" text into the buffer. */
static int quoted_character(struct parser *p, struct buffer *text)
{
    static const char letters[] = "ntr\"\\", bytes[] = "\n\t\r\"\\";
    char c = peek(p);
    const char *at;

    if (c == '\0' || c == '\n')
        return fail(p, -EINVAL, "a text in quotes has no end on its line");
    advance(p, 1);
    if (c != '\\') {
        buffer_add_byte(text, c);
        return 0;
    }
    at = peek(p) ? strchr(letters, peek(p)) : NULL;
    if (!at || !*at)
        return fail(p, -EINVAL, "unknown escape \\%c in a text: expected one of \\n \\t \\r \\\" \\\\", peek(p));
    buffer_add_byte(text, bytes[at - letters]);
    advance(p, 1);
    return 0;
}

static int quoted(struct parser *p, struct buffer *text)
{
    int r = 0;

    advance(p, 1);
    while (r == 0 && peek(p) != '"')
        r = quoted_character(p, text);
    advance(p, 1);
    return r ? r : buffer_error(text) ? fail(p, buffer_error(text), "a text is too long") : 0;
}

static int raw_quoted(struct parser *p, struct buffer *text)
{
    size_t length;

    advance(p, 1);
    length = slice_find(rest_of(p), '`');
    if (length == rest_of(p).len)
        return fail(p, -EINVAL, "a text in back quotes has no end");
    buffer_add(text, slice_take(rest_of(p), length));
    advance(p, length + 1);
    return buffer_error(text);
}

static int text_literal(struct parser *p, struct operand *operand)
{
    struct buffer text;
    int r;

    buffer_init(&text, LIMIT_TEMPLATE_FILE);
    r = peek(p) == '`' ? raw_quoted(p, &text) : quoted(p, &text);
    if (r == 0)
        r = add_literal(p, operand, json_stringn(text.data ? text.data : "", text.len));
    buffer_release(&text);
    return r;
}

static int number_literal(struct parser *p, struct operand *operand)
{
    char text[32] = "", *end;
    size_t n = 0;
    bool real = false;

    while (n + 1 < sizeof(text) && (is_name(peek(p)) || peek(p) == '.' || peek(p) == '-')) {
        real = real || peek(p) == '.';
        text[n++] = peek(p);
        advance(p, 1);
    }
    errno = 0;
    if (real) {
        double value = strtod(text, &end);

        return *end || errno ? fail(p, -EINVAL, "\"%s\" is no number", text) : add_literal(p, operand, json_real(value));
    } else {
        long long value = strtoll(text, &end, 10);

        return *end || errno ? fail(p, -EINVAL, "\"%s\" is no number", text) : add_literal(p, operand, json_integer(value));
    }
}

/* .a.b behind an operand. */
static int fields(struct parser *p, struct operand *operand)
{
    struct field **tail = &operand->fields;

    while (peek(p) == '.') {
        struct field *field = ARENA_NEW(&p->set->arena, struct field);
        struct slice name;

        advance(p, 1);
        name = take_name(p);
        if (!field)
            return no_memory(p);
        if (name.len == 0)
            return fail(p, -EINVAL, "unexpected \"%.*s\" behind a dot: expected the name of a field", SLICE_ARGS(here(p)));
        field->name = arena_dup(&p->set->arena, name).ptr;
        if (!field->name)
            return no_memory(p);
        *tail = field;
        tail = &field->next;
    }
    return 0;
}

static int dot(struct parser *p, struct operand *operand)
{
    operand->kind = OPERAND_DOT;
    if (p->at + 1 < p->text.len && is_name(p->text.ptr[p->at + 1]))
        return fields(p, operand);
    advance(p, 1);
    return 0;
}

static bool is_declared(const struct parser *p, struct slice name)
{
    for (size_t i = 0; i < p->variable_count; i++)
        if (slice_eq(p->variables[i], name))
            return true;
    return name.len == 0;
}

static int variable(struct parser *p, struct operand *operand)
{
    advance(p, 1);
    operand->kind = OPERAND_VARIABLE;
    operand->name = take_name(p);
    if (!is_declared(p, operand->name))
        return fail(p, -EINVAL, "undefined variable \"$%.*s\"", SLICE_ARGS(operand->name));
    return fields(p, operand);
}

static int word(struct parser *p, struct operand *operand)
{
    struct slice name = take_name(p);

    if (slice_eq(name, SLICE_LIT("true")) || slice_eq(name, SLICE_LIT("false")))
        return add_literal(p, operand, json_boolean(name.len == 4));
    if (slice_eq(name, SLICE_LIT("nil")))
        return add_literal(p, operand, json_null());
    operand->kind = OPERAND_WORD;
    operand->name = name;
    operand->word = word_find(name);
    if (!operand->word)
        return fail(p, -EINVAL, "unknown word \"%.*s\": see docs/chart.md for those that templates may use", SLICE_ARGS(name));
    return 0;
}

static int pipeline(struct parser *p, struct pipe **ret_pipe);

static int parenthesis(struct parser *p, struct operand *operand)
{
    int r;

    if (++p->depth > LIMIT_TEMPLATE_DEPTH)
        return fail(p, -ENOBUFS, "more than %d parentheses and blocks within one another", LIMIT_TEMPLATE_DEPTH);
    advance(p, 1);
    operand->kind = OPERAND_PIPE;
    r = pipeline(p, &operand->pipe);
    if (r < 0)
        return r;
    if (peek(p) != ')')
        return fail(p, -EINVAL, "unexpected \"%.*s\": expected )", SLICE_ARGS(here(p)));
    advance(p, 1);
    p->depth--;
    return fields(p, operand);
}

static int operand(struct parser *p, struct operand *operand)
{
    char c = peek(p);

    if (c == '.')
        return dot(p, operand);
    if (c == '$')
        return variable(p, operand);
    if (c == '"' || c == '`')
        return text_literal(p, operand);
    if (c == '(')
        return parenthesis(p, operand);
    if (c == '-' || (c >= '0' && c <= '9'))
        return number_literal(p, operand);
    if (is_name(c))
        return word(p, operand);
    return fail(p, -EINVAL, "unexpected \"%.*s\": expected a word or a value", SLICE_ARGS(here(p)));
}

static bool ends_call(const struct parser *p)
{
    return at_close(p) || peek(p) == '|' || peek(p) == ')' || p->at == p->text.len;
}

/* A word must get as many arguments as it takes; what the pipe brings counts. */
static int check_call(const struct parser *p, const struct call *call, bool piped)
{
    const struct operand *first = call->operands;
    size_t args = call->count - 1 + piped;

    if (first->kind != OPERAND_WORD)
        return args == 0 ? 0 : fail(p, -EINVAL, "a value is called like a word: expected a word in front of arguments");
    if (args < first->word->min || args > first->word->max)
        return fail(p, -EINVAL, "%s: %zu arguments: expected %zu%s", first->word->name, args, first->word->min,
                    first->word->max == first->word->min ? "" : " or more");
    for (const struct operand *at = first->next; at; at = at->next)
        if (at->kind == OPERAND_WORD && at->word->min > 0)
            return fail(p, -EINVAL, "%s: is an argument, but wants arguments itself: put it in parentheses", at->word->name);
    return 0;
}

static int one_call(struct parser *p, bool piped, struct call **ret_call)
{
    struct call *call = ARENA_NEW(&p->set->arena, struct call);
    struct operand **tail = call ? &call->operands : NULL;

    if (!call)
        return no_memory(p);
    for (skip_spaces(p); call->count == 0 || !ends_call(p); skip_spaces(p)) {
        int r;

        *tail = ARENA_NEW(&p->set->arena, struct operand);
        if (!*tail)
            return no_memory(p);
        r = operand(p, *tail);
        if (r < 0)
            return r;
        if (!is_space(peek(p)) && !ends_call(p))
            return fail(p, -EINVAL, "unexpected \"%.*s\": expected a space between operands", SLICE_ARGS(here(p)));
        tail = &(*tail)->next;
        if (++call->count > WORD_ARGUMENTS)
            return fail(p, -ENOBUFS, "more than %d arguments", WORD_ARGUMENTS - 1);
    }
    *ret_call = call;
    return check_call(p, call, piped);
}

/* `$x :=`, `$x =`, `$i, $x :=` in front of a pipeline; leaves the parser where it was when there is none. */
static int variables(struct parser *p, struct pipe *pipe)
{
    struct parser start = *p;

    while (peek(p) == '$' && pipe->variable_count < PIPE_VARIABLES) {
        advance(p, 1);
        pipe->variables[pipe->variable_count++] = take_name(p);
        skip_spaces(p);
        if (peek(p) != ',')
            break;
        advance(p, 1);
        skip_spaces(p);
    }
    pipe->declares = sees(p, ":=");
    if (pipe->variable_count && (pipe->declares || peek(p) == '=')) {
        advance(p, pipe->declares ? 2 : 1);
        return 0;
    }
    pipe->variable_count = 0;
    *p = start;
    return 0;
}

/* After the pipeline, so that it does not see what it declares. */
static int declare(struct parser *p, const struct pipe *pipe)
{
    for (size_t i = 0; i < pipe->variable_count; i++) {
        struct slice name = pipe->variables[i];

        if (!pipe->declares && !is_declared(p, name))
            return fail(p, -EINVAL, "undefined variable \"$%.*s\"", SLICE_ARGS(name));
        if (pipe->declares && p->variable_count == VARIABLES)
            return fail(p, -ENOBUFS, "more than %d variables", VARIABLES);
        if (pipe->declares)
            p->variables[p->variable_count++] = name;
    }
    return 0;
}

static int pipeline(struct parser *p, struct pipe **ret_pipe)
{
    struct pipe *pipe = ARENA_NEW(&p->set->arena, struct pipe);
    struct call **tail = pipe ? &pipe->calls : NULL;
    int r;

    if (!pipe)
        return no_memory(p);
    skip_spaces(p);
    pipe->line = p->line;
    r = variables(p, pipe);
    do {
        if (pipe->calls)
            advance(p, 1);
        if (r == 0)
            r = one_call(p, pipe->calls != NULL, tail);
        if (r < 0)
            return r;
        tail = &(*tail)->next;
        skip_spaces(p);
    } while (peek(p) == '|');
    *ret_pipe = pipe;
    return declare(p, pipe);
}

/* --- blocks --- */

static int block(struct parser *p, struct node **ret_body, enum ending *ret_ending);

static struct node *new_node(struct parser *p, enum node_kind kind)
{
    struct node *node = ARENA_NEW(&p->set->arena, struct node);

    if (node) {
        node->kind = kind;
        node->line = p->line;
    }
    return node;
}

static int enter(struct parser *p)
{
    return ++p->depth > LIMIT_TEMPLATE_DEPTH
               ? fail(p, -ENOBUFS, "more than %d parentheses and blocks within one another", LIMIT_TEMPLATE_DEPTH)
               : 0;
}

static int branch(struct parser *p, struct node *node);

/* Behind {{ else: either a branch of its own that shares our end, or the end of the action and another block. */
static int otherwise(struct parser *p, struct node *node)
{
    enum ending ending;
    int r;

    skip_spaces(p);
    if (slice_starts(rest_of(p), SLICE_LIT("if")) && node->kind == NODE_IF) {
        advance(p, 2);
        node->otherwise = new_node(p, NODE_IF);
        return node->otherwise ? branch(p, node->otherwise) : no_memory(p);
    }
    r = close_action(p);
    if (r == 0)
        r = block(p, &node->otherwise, &ending);
    if (r == 0 && ending != END_END)
        r = fail(p, -EINVAL, "an else has no end: expected {{ end }}");
    return r;
}

/* if, with and range, behind their word. */
static int branch(struct parser *p, struct node *node)
{
    size_t variables_before = p->variable_count;
    int line = p->line;
    enum ending ending = END_OF_TEXT;
    int r = enter(p);

    if (r == 0)
        r = pipeline(p, &node->pipe);
    if (r == 0)
        r = close_action(p);
    if (r == 0 && node->kind != NODE_RANGE && node->pipe->variable_count > 1)
        r = fail(p, -EINVAL, "two variables: only range has two");
    if (r == 0)
        r = block(p, &node->body, &ending);
    if (r == 0 && ending == END_OF_TEXT)
        r = fail(p, -EINVAL, "the block that begins in line %d has no end: expected {{ end }}", line);
    if (r == 0 && ending == END_ELSE)
        r = otherwise(p, node);
    p->variable_count = variables_before;
    p->depth--;
    return r;
}

static int name_in_quotes(struct parser *p, const char *what, struct slice *ret_name)
{
    struct buffer text;
    int r = 0;

    skip_spaces(p);
    if (peek(p) != '"')
        return fail(p, -EINVAL, "unexpected \"%.*s\" behind %s: expected a name in quotes", SLICE_ARGS(here(p)), what);
    buffer_init(&text, FIELD_NAME);
    r = quoted(p, &text);
    if (r == 0)
        *ret_name = arena_dup(&p->set->arena, buffer_slice(&text));
    buffer_release(&text);
    return r < 0 ? r : ret_name->ptr ? 0 : no_memory(p);
}

static int add_definition(struct parser *p, struct slice name, struct node *body)
{
    struct definition *definition = ARENA_NEW(&p->set->arena, struct definition);

    if (template_find(p->set, name))
        return fail(p, -EEXIST, "\"%.*s\" is defined already, in %.*s", SLICE_ARGS(name),
                    SLICE_ARGS(template_find(p->set, name)->file));
    if (!definition)
        return no_memory(p);
    *definition = (struct definition){p->set->definitions, name, p->file, body};
    p->set->definitions = definition;
    return 0;
}

/* define: has no variables of the file around it. */
static int define(struct parser *p)
{
    size_t variables_before = p->variable_count;
    struct node *body = NULL;
    struct slice name;
    enum ending ending;
    int line = p->line, r;

    if (p->depth > 1)
        return fail(p, -EINVAL, "define: stands inside a block: expected it at the top of the file");
    r = name_in_quotes(p, "define", &name);
    if (r == 0)
        r = close_action(p);
    p->variable_count = 0;
    if (r == 0)
        r = block(p, &body, &ending);
    if (r == 0 && ending != END_END)
        r = fail(p, -EINVAL, "the definition that begins in line %d has no end: expected {{ end }}", line);
    p->variable_count = variables_before;
    return r < 0 ? r : add_definition(p, name, body);
}

static int call_template(struct parser *p, struct node *node)
{
    int r = name_in_quotes(p, "template", &node->text);

    skip_spaces(p);
    if (r == 0 && !at_close(p))
        r = pipeline(p, &node->pipe);
    return r < 0 ? r : close_action(p);
}

static int comment(struct parser *p)
{
    size_t length = slice_find_slice(rest_of(p), SLICE_LIT("*/"));

    if (length == rest_of(p).len)
        return fail(p, -EINVAL, "a comment has no end: expected */");
    advance(p, length + 2);
    if (!sees(p, "}}") && !sees(p, " -}}"))
        return fail(p, -EINVAL, "a comment must be all of its action");
    return close_action(p);
}

static bool takes_keyword(struct parser *p, const char *keyword)
{
    size_t len = strlen(keyword);

    if (!sees(p, keyword) || (p->at + len < p->text.len && is_name(p->text.ptr[p->at + len])))
        return false;
    advance(p, len);
    return true;
}

static int add_branch(struct parser *p, enum node_kind kind, struct node **ret_node)
{
    *ret_node = new_node(p, kind);
    return *ret_node ? branch(p, *ret_node) : no_memory(p);
}

/* One action; the parser is behind {{. *ret_node stays NULL when nothing is to be rendered. */
static int action(struct parser *p, struct node **ret_node, enum ending *ret_ending, bool *ret_ended)
{
    int r;

    skip_spaces(p);
    *ret_ended = true;
    if (takes_keyword(p, "end")) {
        *ret_ending = END_END;
        return close_action(p);
    }
    if (takes_keyword(p, "else")) {
        *ret_ending = END_ELSE;
        return 0;
    }
    *ret_ended = false;
    if (sees(p, "/*"))
        return comment(p);
    if (takes_keyword(p, "if"))
        return add_branch(p, NODE_IF, ret_node);
    if (takes_keyword(p, "with"))
        return add_branch(p, NODE_WITH, ret_node);
    if (takes_keyword(p, "range"))
        return add_branch(p, NODE_RANGE, ret_node);
    if (takes_keyword(p, "define"))
        return define(p);
    *ret_node = new_node(p, NODE_PRINT);
    if (!*ret_node)
        return no_memory(p);
    if (takes_keyword(p, "template")) {
        (*ret_node)->kind = NODE_TEMPLATE;
        return call_template(p, *ret_node);
    }
    r = pipeline(p, &(*ret_node)->pipe);
    return r < 0 ? r : close_action(p);
}

/* The text up to the next action, without the white space that {{- and -}} take. NULL when nothing is left of it. */
static struct node *text_node(struct parser *p, bool *ret_failed)
{
    size_t length = slice_find_slice(rest_of(p), SLICE_LIT("{{"));
    struct slice text = slice_take(rest_of(p), length);
    struct slice behind = slice_skip(rest_of(p), length);
    struct node *node;

    *ret_failed = false;
    while (p->trim && text.len && is_space(*text.ptr))
        text = slice_skip(text, 1);
    if (slice_starts(behind, SLICE_LIT("{{-")) && behind.len > 3 && is_space(behind.ptr[3]))
        while (text.len && is_space(text.ptr[text.len - 1]))
            text.len--;
    p->trim = false;
    node = text.len ? new_node(p, NODE_TEXT) : NULL;
    *ret_failed = text.len && !node;
    if (node)
        node->text = text;
    advance(p, length);
    return node;
}

static void open_action(struct parser *p)
{
    advance(p, sees(p, "{{-") && p->at + 3 < p->text.len && is_space(p->text.ptr[p->at + 3]) ? 3 : 2);
}

static int block(struct parser *p, struct node **ret_body, enum ending *ret_ending)
{
    struct node **tail = ret_body;
    size_t variables_before = p->variable_count;
    bool ended = false, failed;
    int r = enter(p);

    *ret_ending = END_OF_TEXT;
    while (r == 0 && !ended && p->at < p->text.len) {
        *tail = text_node(p, &failed);
        if (failed)
            return no_memory(p);
        if (*tail)
            tail = &(*tail)->next;
        if (p->at == p->text.len)
            break;
        open_action(p);
        r = action(p, tail, ret_ending, &ended);
        if (*tail)
            tail = &(*tail)->next;
    }
    p->variable_count = variables_before;
    p->depth--;
    return r;
}

int template_parse(struct template_set *set, struct slice file, struct slice text, struct errmsg *msg)
{
    struct parser parser = {.set = set, .file = file, .text = text, .line = 1, .msg = msg};
    struct node *body = NULL;
    enum ending ending;
    int r;

    if (text.len > LIMIT_TEMPLATE_FILE)
        return errmsg_set(msg, -ENOBUFS, "%.*s: larger than %d bytes", SLICE_ARGS(file), LIMIT_TEMPLATE_FILE);
    if (memchr(text.ptr ? text.ptr : "", '\0', text.len) || !slice_is_utf8(text))
        return errmsg_set(msg, -EINVAL, "%.*s: is not UTF-8 text", SLICE_ARGS(file));
    r = block(&parser, &body, &ending);
    if (r == 0 && ending != END_OF_TEXT)
        r = fail(&parser, -EINVAL, "unexpected %s: no block is open", ending == END_END ? "end" : "else");
    return r < 0 ? r : add_definition(&parser, file, body);
}
