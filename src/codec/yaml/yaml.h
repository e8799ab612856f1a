/*
 * YAML and JSON text as a bounded tree, with the scalar rules that Kubernetes
 * has (those of YAML 1.1 as Go's yaml.v2 applies them: `on`, `yes` and `y` are
 * booleans, 0644 is 420, a quoted scalar is always a string, timestamps and
 * 1:30 are strings). libfyaml parses; this checks and resolves.
 *
 *     while (yaml_next_document(&rest, &line, &document))
 *         yaml_parse(arena, document.text, document.line, YAML, &root, &problem)
 *
 * A stream is cut into documents before parsing, at lines that begin with
 * `---`: YAML allows such a line nowhere inside a document, and in this way a
 * syntax error spoils its own document only.
 *
 * Bounded: bytes (LIMIT_YAML_FILE), depth (LIMIT_YAML_DEPTH), aliases
 * (LIMIT_YAML_ALIASES), and nodes with all aliases written out
 * (LIMIT_YAML_NODES), so whoever walks the tree does bounded work. Aliases and
 * merge keys (`<<`) share nodes: treat the tree as read-only. No key stands
 * twice in a mapping. Texts are UTF-8 without NUL.
 *
 * Everything lives in the caller's arena, also the texts. Pure: no files, any
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/errmsg.h"
#include "base/slice.h"

enum yaml_kind {
    YAML_NULL,
    YAML_BOOLEAN,
    YAML_INTEGER, /* fits int64_t; larger ones are YAML_NUMBER */
    YAML_NUMBER,
    YAML_STRING,
    YAML_LIST,
    YAML_MAP
};

/*
 * Where things stand, in bytes of the document: for whoever changes the text and not the tree (inject/splice.h). Quotes and brackets are
 * within; of a block list the start is its first dash. A map, list or text in block style ends with the last character that was seen of it.
 */
struct yaml_item {
    struct yaml_item *next;
    struct slice key; /* of a map: scalar keys as text (`on: x` has the key "true") */
    int key_line;
    bool merged;              /* brought by `<<`: it does not stand here, and has no place */
    uint32_t start, key_end;  /* of the key; of a list's element, start alone */
    uint32_t end;             /* of the value or of the alias that stands for it; no less than key_end */
    struct yaml_node *value;
};

enum yaml_form {
    YAML_BLOCK,      /* a map or list by indentation */
    YAML_FLOW,       /* ... in brackets */
    YAML_PLAIN,      /* a scalar without quotes, perhaps nothing at all */
    YAML_SINGLE,     /* 'quoted' */
    YAML_DOUBLE,     /* "quoted" */
    YAML_LINES,      /* | or > */
    YAML_LINES_KEPT  /* the same with + : empty lines behind it are its own */
};

struct yaml_node {
    enum yaml_kind kind;
    int line, column;        /* 1-based */
    bool boolean;            /* BOOLEAN */
    int64_t integer;         /* INTEGER */
    double number;           /* INTEGER and NUMBER */
    struct slice text;       /* of any scalar: as written, unquoted */
    struct yaml_item *items; /* LIST and MAP, in their order */
    size_t count;
    size_t weight; /* nodes below and with this one, aliases written out */
    uint32_t start, end;
    enum yaml_form form;
    enum yaml_form last; /* the form of the scalar that it ends with, or of itself */
    bool aliased;        /* an alias stands for it elsewhere */
};

enum yaml_syntax { YAML, JSON };

struct yaml_document {
    struct slice text;
    int line; /* of the stream, where the text begins */
};

struct yaml_problem {
    int line, column;
    struct errmsg msg; /* without file and line */
};

/*
 * Takes the next document off *rest; false when nothing is left. *line starts as 1. Documents that hold nothing
 * but comments and space are skipped.
 */
bool yaml_next_document(struct slice *rest, int *line, struct yaml_document *ret_document);

/*
 * Parses one document. *ret_root is NULL when it holds nothing. -EINVAL when it is not valid, -ENOBUFS beyond a limit,
 * -ENOMEM; then *ret_problem says where and what.
 */
int yaml_parse(struct arena *arena, struct slice text, int first_line, enum yaml_syntax syntax,
               struct yaml_node **ret_root, struct yaml_problem *ret_problem);

/* The value under the key of a map; NULL when there is none, or node is NULL or no map. */
const struct yaml_node *yaml_get(const struct yaml_node *node, struct slice key);
#define yaml_get_lit(node, literal) yaml_get((node), SLICE_LIT(literal))
/* "a string", "a list" ...: for messages. */
const char *yaml_kind_name(enum yaml_kind kind);
/* Hash of the whole tree: equal trees have equal digests, whatever their spelling, comments and place. */
void yaml_digest(const struct yaml_node *node, uint64_t ret_digest[2]);
/*
 * The same of a Kubernetes object, without metadata.resourceVersion and metadata.managedFields: they change with writes that
 * change nothing.
 */
void yaml_digest_object(const struct yaml_node *object, uint64_t ret_digest[2]);

/* The text that stands between quotes, unfolded and without escapes. 0, -EINVAL (not for single quotes) or -ENOMEM. */
int yaml_single_quoted(struct arena *arena, struct slice raw, struct slice *ret_text);
int yaml_double_quoted(struct arena *arena, struct slice raw, struct slice *ret_text);
/* What a plain scalar means, by the rules above; fills kind and value of the node from its text. */
void yaml_resolve_plain(struct yaml_node *node);
