/*
 * A template once read: what parse.c makes and render.c walks. Everything lives
 * in the arena of the set, literals too (jansson values are freed with it).
 */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "template/template.h"

struct pipe;
struct word;

enum operand_kind {
    OPERAND_DOT,      /* `.`, and `.a.b` */
    OPERAND_VARIABLE, /* `$`, `$name`, `$name.a` */
    OPERAND_LITERAL,
    OPERAND_WORD,
    OPERAND_PIPE, /* ( ... ), and ( ... ).a */
};

struct field {
    struct field *next;
    const char *name; /* NUL terminated, for jansson */
};

struct operand {
    struct operand *next;
    enum operand_kind kind;
    struct slice name; /* of a variable, without `$`; of a word */
    const struct word *word;
    json_t *literal;
    struct pipe *pipe;
    struct field *fields;
};

/* A word with its arguments, or one operand. */
struct call {
    struct call *next;
    struct operand *operands; /* at least one */
    size_t count;
};

enum { PIPE_VARIABLES = 2 };

struct pipe {
    int line;
    struct slice variables[PIPE_VARIABLES]; /* declared or set by it; two only in range */
    size_t variable_count;
    bool declares; /* := and not = */
    struct call *calls; /* each gets the result of the one before as its last argument */
};

enum node_kind { NODE_TEXT, NODE_PRINT, NODE_IF, NODE_WITH, NODE_RANGE, NODE_TEMPLATE };

struct node {
    struct node *next;
    enum node_kind kind;
    int line;
    struct slice text; /* of TEXT; the name of TEMPLATE */
    struct pipe *pipe; /* TEMPLATE: its data, may be NULL */
    struct node *body, *otherwise;
};

/* A file, or what stands between define and end in one. */
struct definition {
    struct definition *next;
    struct slice name, file;
    struct node *body;
};

struct template_set {
    struct arena arena;
    struct definition *definitions;
};

const struct definition *template_find(const struct template_set *set, struct slice name);

/* Reads the file into definitions, its own last, and puts them into the set. Errors as template_set_add(). */
int template_parse(struct template_set *set, struct slice file, struct slice text, struct errmsg *msg);
