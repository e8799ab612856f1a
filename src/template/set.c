/* The files of a chart, read. */
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "template/words.h"

int template_set_new(struct template_set **ret_set)
{
    struct template_set *set = calloc(1, sizeof(*set));

    if (!set)
        return -ENOMEM;
    arena_init(&set->arena, LIMIT_TEMPLATE_SET);
    *ret_set = set;
    return 0;
}

void template_set_free(struct template_set *set)
{
    if (!set)
        return;
    arena_release(&set->arena);
    free(set);
}

const struct definition *template_find(const struct template_set *set, struct slice name)
{
    for (const struct definition *at = set->definitions; at; at = at->next)
        if (slice_eq(at->name, name))
            return at;
    return NULL;
}

int template_set_add(struct template_set *set, struct slice name, struct slice text, struct errmsg *msg)
{
    struct slice own_name = arena_dup(&set->arena, name), own_text;

    if (text.len > LIMIT_TEMPLATE_FILE)
        return errmsg_set(msg, -ENOBUFS, "%.*s: larger than %d bytes", SLICE_ARGS(name), LIMIT_TEMPLATE_FILE);
    own_text = arena_dup(&set->arena, text);
    if (!own_name.ptr || !own_text.ptr)
        return errmsg_set(msg, -ENOMEM, "%.*s: out of memory", SLICE_ARGS(name));
    return template_parse(set, own_name, own_text, msg);
}

/* --- check --- */

struct checking {
    const struct template_set *set;
    const struct definition *in;
    struct errmsg *msg;
};

static int check_name(const struct checking *c, int line, struct slice name)
{
    if (template_find(c->set, name))
        return 0;
    return errmsg_set(c->msg, -ENOENT, "%.*s:%d: there is no template \"%.*s\"", SLICE_ARGS(c->in->file), line, SLICE_ARGS(name));
}

static int check_pipe(const struct checking *c, const struct pipe *pipe)
{
    int r = 0;

    for (const struct call *call = pipe ? pipe->calls : NULL; call && r == 0; call = call->next) {
        const struct operand *first = call->operands, *name = first->next;

        if (first->kind == OPERAND_WORD && slice_eq(first->name, SLICE_LIT("include")) && name && name->kind == OPERAND_LITERAL &&
            json_is_string(name->literal))
            r = check_name(c, pipe->line, slice_of(json_string_value(name->literal), json_string_length(name->literal)));
        for (const struct operand *at = first; at && r == 0; at = at->next)
            if (at->kind == OPERAND_PIPE)
                r = check_pipe(c, at->pipe);
    }
    return r;
}

static int check_nodes(const struct checking *c, const struct node *node)
{
    int r = 0;

    for (; node && r == 0; node = node->next) {
        if (node->kind == NODE_TEMPLATE)
            r = check_name(c, node->line, node->text);
        if (r == 0)
            r = check_pipe(c, node->pipe);
        if (r == 0)
            r = check_nodes(c, node->body);
        if (r == 0)
            r = check_nodes(c, node->otherwise);
    }
    return r;
}

int template_set_check(const struct template_set *set, struct errmsg *msg)
{
    struct checking checking = {set, NULL, msg};
    int r = 0;

    for (const struct definition *at = set->definitions; at && r == 0; at = at->next) {
        checking.in = at;
        r = check_nodes(&checking, at->body);
    }
    return r;
}
