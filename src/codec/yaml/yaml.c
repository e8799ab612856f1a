#include "codec/yaml/yaml.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/map.h"

struct anchor {
    struct anchor *older;
    struct slice name;
    struct yaml_node *node;
};

/* A list or map that is being read. */
struct frame {
    struct yaml_node *node;
    struct yaml_item **tail;
    struct slice anchor;
    struct slice key; /* .ptr set: a key was read, its value comes next */
    int key_line;
    uint32_t key_start, key_end;
    bool merge;               /* that key was a plain `<<` */
    struct yaml_item *merges; /* values of `<<`, first written first */
    struct yaml_item **merges_tail;
};

struct builder {
    struct arena *arena;
    struct slice text; /* the document */
    struct fy_parser *parser;
    struct frame frames[LIMIT_YAML_DEPTH];
    int depth;
    struct yaml_node *root;
    struct anchor *anchors;
    int anchor_count, alias_count;
    int first_line, last_line;
    const char *syntax; /* its name */
    struct yaml_problem *problem;
};

static int fail(struct builder *b, int code, int line, int column, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static int fail(struct builder *b, int code, int line, int column, const char *format, ...)
{
    va_list args;

    b->problem->line = line;
    b->problem->column = column;
    va_start(args, format);
    vsnprintf(b->problem->msg.text, sizeof(b->problem->msg.text), format, args);
    va_end(args);
    return code;
}

static int no_memory(struct builder *b)
{
    return fail(b, -ENOMEM, b->first_line, 1, "no memory left for this document");
}

/* ---- keys of one map ---- */

enum { FEW_KEYS = 8 };

/* Finds keys fast in maps with many of them; slots is NULL for few, where looking through the list is faster. */
struct keyset {
    const struct yaml_node *map;
    struct yaml_item **slots;
    size_t mask;
};

static int keyset_init(struct keyset *set, const struct yaml_node *map, size_t max_keys)
{
    size_t slots;

    *set = (struct keyset){.map = map};
    if (max_keys <= FEW_KEYS)
        return 0;
    for (slots = 16; slots < max_keys * 2; slots *= 2)
        ;
    set->mask = slots - 1;
    set->slots = calloc(slots, sizeof(*set->slots));
    return set->slots ? 0 : -ENOMEM;
}

static void keyset_release(struct keyset *set)
{
    free(set->slots);
}

static struct yaml_item **keyset_slot(const struct keyset *set, struct slice key)
{
    size_t at = siphash13(key.ptr, key.len, 1, 2) & set->mask;

    while (set->slots[at] && !slice_eq(set->slots[at]->key, key))
        at = (at + 1) & set->mask;
    return &set->slots[at];
}

/* The item before `end` with this key, else NULL. */
static struct yaml_item *keyset_find(const struct keyset *set, struct slice key, const struct yaml_item *end)
{
    if (set->slots)
        return *keyset_slot(set, key);
    for (struct yaml_item *item = set->map->items; item && item != end; item = item->next)
        if (slice_eq(item->key, key))
            return item;
    return NULL;
}

static void keyset_add(struct keyset *set, struct yaml_item *item)
{
    if (set->slots)
        *keyset_slot(set, item->key) = item;
}

/* ---- building ---- */

static int add_weight(struct builder *b, struct yaml_node *to, const struct yaml_node *child)
{
    to->weight += child->weight;
    if (to->weight > LIMIT_YAML_NODES)
        return fail(b, -ENOBUFS, child->line, child->column, "more than %d values in one document, aliases written out",
                    LIMIT_YAML_NODES);
    return 0;
}

static struct yaml_item *append(struct builder *b, struct frame *frame, struct slice key, int key_line,
                                struct yaml_node *value)
{
    struct yaml_item *item = ARENA_NEW(b->arena, struct yaml_item);

    if (!item)
        return NULL;
    item->key = key;
    item->key_line = key_line;
    item->start = frame->key_start;
    item->key_end = frame->key_end;
    item->value = value;
    *frame->tail = item;
    frame->tail = &item->next;
    frame->node->count++;
    return item;
}

/* The text that a scalar has as a key: what JSON would write for it. */
static int key_text(struct builder *b, const struct yaml_node *key, struct slice *ret_text)
{
    switch (key->kind) {
    case YAML_STRING:
        *ret_text = key->text;
        return 0;
    case YAML_BOOLEAN:
        *ret_text = key->boolean ? SLICE_LIT("true") : SLICE_LIT("false");
        return 0;
    case YAML_INTEGER:
        *ret_text = arena_printf(b->arena, "%lld", (long long)key->integer);
        return ret_text->ptr ? 0 : no_memory(b);
    case YAML_NUMBER:
        *ret_text = key->text;
        return 0;
    case YAML_NULL:
        return fail(b, -EINVAL, key->line, key->column, "expected a key, found nothing");
    default:
        return fail(b, -EINVAL, key->line, key->column, "expected a text as key, found %s", yaml_kind_name(key->kind));
    }
}

static int set_key(struct builder *b, struct frame *frame, const struct yaml_node *key, bool plain)
{
    frame->key_line = key->line;
    frame->key_start = key->start;
    frame->key_end = key->end;
    frame->merge = plain && slice_eq(key->text, SLICE_LIT("<<"));
    return key_text(b, key, &frame->key);
}

/* Remembers the value of a `<<` until the map's own keys are known. */
static int set_merge(struct builder *b, struct frame *frame, struct yaml_node *value)
{
    struct yaml_item *item = ARENA_NEW(b->arena, struct yaml_item);

    if (value->kind != YAML_MAP && value->kind != YAML_LIST)
        return fail(b, -EINVAL, value->line, value->column, "expected a map or a list of maps behind <<, found %s",
                    yaml_kind_name(value->kind));
    if (!item)
        return no_memory(b);
    item->value = value;
    *frame->merges_tail = item;
    frame->merges_tail = &item->next;
    return 0;
}

/* Where a node stands: its own place, or that of the alias. */
struct place {
    uint32_t start, end;
    enum yaml_form last;
};

static struct place place_of(const struct yaml_node *node)
{
    return (struct place){node->start, node->end, node->last};
}

/* The list or map reaches to here at least. */
static void reach(struct yaml_node *node, const struct place *at)
{
    if (at->end < node->end)
        return;
    node->end = at->end;
    node->last = at->last;
}

static struct yaml_item *append_at(struct builder *b, struct frame *frame, struct yaml_node *value, const struct place *at)
{
    struct yaml_item *item = append(b, frame, frame->key, frame->key.ptr ? frame->key_line : value->line, value);

    if (!item)
        return NULL;
    if (frame->node->kind == YAML_LIST)
        item->start = item->key_end = at->start;
    item->end = at->end > item->key_end ? at->end : item->key_end;
    return item;
}

/* A node is complete: it becomes the root, a key, a value or an element. */
static int place(struct builder *b, struct yaml_node *node, bool plain, struct place at)
{
    struct frame *frame = b->depth ? &b->frames[b->depth - 1] : NULL;
    int r;

    if (frame)
        reach(frame->node, &at);

    if (!frame && b->root)
        return fail(b, -EINVAL, node->line, node->column, "something stands behind the end of the document");
    if (!frame) {
        b->root = node;
        return 0;
    }
    if (frame->node->kind == YAML_LIST) {
        r = add_weight(b, frame->node, node);
        if (r < 0)
            return r;
        return append_at(b, frame, node, &at) ? 0 : no_memory(b);
    }
    if (!frame->key.ptr)
        return set_key(b, frame, node, plain);
    if (frame->merge)
        r = set_merge(b, frame, node);
    else
        r = add_weight(b, frame->node, node);
    if (r == 0 && !frame->merge && !append_at(b, frame, node, &at))
        r = no_memory(b);
    frame->key = SLICE_NULL;
    frame->merge = false;
    return r;
}

static int merge_map(struct builder *b, struct frame *frame, struct keyset *set, const struct yaml_node *from)
{
    if (from->kind != YAML_MAP)
        return fail(b, -EINVAL, from->line, from->column, "expected a map behind <<, found %s",
                    yaml_kind_name(from->kind));
    for (const struct yaml_item *item = from->items; item; item = item->next) {
        struct yaml_item *added;
        int r;

        if (keyset_find(set, item->key, NULL))
            continue;
        r = add_weight(b, frame->node, item->value);
        if (r < 0)
            return r;
        added = append(b, frame, item->key, item->key_line, item->value);
        if (!added)
            return no_memory(b);
        added->merged = true;
        keyset_add(set, added);
    }
    return 0;
}

static size_t merged_keys(const struct yaml_item *merges)
{
    size_t count = 0;

    for (; merges; merges = merges->next) {
        if (merges->value->kind == YAML_MAP)
            count += merges->value->count;
        else
            for (const struct yaml_item *item = merges->value->items; item; item = item->next)
                count += item->value->count;
    }
    return count;
}

static int check_keys(struct builder *b, struct frame *frame, struct keyset *set)
{
    for (struct yaml_item *item = frame->node->items; item; item = item->next) {
        struct yaml_item *same = keyset_find(set, item->key, item);

        if (same)
            return fail(b, -EINVAL, item->key_line, 1,
                        "the key \"%.*s\" is here already, on line %d; remove one of them",
                        SLICE_ARGS(slice_take(item->key, 100)), same->key_line);
        keyset_add(set, item);
    }
    return 0;
}

/* The map's own keys, each once; then what `<<` brings and the map has not. */
static int finish_map(struct builder *b, struct frame *frame)
{
    struct keyset set;
    int r;

    if (keyset_init(&set, frame->node, frame->node->count + merged_keys(frame->merges)) < 0)
        return no_memory(b);
    r = check_keys(b, frame, &set);
    for (struct yaml_item *merge = frame->merges; merge && r == 0; merge = merge->next) {
        if (merge->value->kind == YAML_MAP)
            r = merge_map(b, frame, &set, merge->value);
        else
            for (struct yaml_item *item = merge->value->items; item && r == 0; item = item->next)
                r = merge_map(b, frame, &set, item->value);
    }
    keyset_release(&set);
    return r;
}

/* ---- events ---- */

static struct slice token_text(struct fy_token *token)
{
    size_t len = 0;
    const char *text = token ? fy_token_get_text(token, &len) : NULL;

    return slice_of(text, text ? len : 0);
}

/* The bytes between the token's marks; they stay 0 where there is none (an empty value). */
static void set_range(const struct builder *b, struct yaml_node *node, struct fy_token *token)
{
    const struct fy_mark *start = token ? fy_token_start_mark(token) : NULL;
    const struct fy_mark *end = token ? fy_token_end_mark(token) : NULL;

    if (!start || !end || start->input_pos > end->input_pos || end->input_pos > b->text.len)
        return;
    node->start = (uint32_t)start->input_pos;
    node->end = (uint32_t)end->input_pos;
}

/*
 * An empty text that has a tag or an anchor stands where these do: as a key or an element it needs a place. The mark of an anchor is
 * behind its ampersand.
 */
static void set_empty_range(const struct builder *b, struct yaml_node *node, struct fy_token *tag, struct fy_token *anchor)
{
    struct yaml_node name = {0};

    set_range(b, node, tag);
    set_range(b, &name, anchor);
    if (!name.end)
        return;
    name.start -= name.start > 0;
    if (!node->end || name.start < node->start)
        node->start = name.start;
    if (name.end > node->end)
        node->end = name.end;
}

static void set_scalar_form(struct builder *b, struct yaml_node *node, struct fy_token *token)
{
    static const enum yaml_form forms[] = {
        [FYSS_PLAIN] = YAML_PLAIN, [FYSS_SINGLE_QUOTED] = YAML_SINGLE, [FYSS_DOUBLE_QUOTED] = YAML_DOUBLE,
        [FYSS_LITERAL] = YAML_LINES, [FYSS_FOLDED] = YAML_LINES,
    };
    enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;

    node->form = (size_t)style < sizeof(forms) / sizeof(forms[0]) ? forms[style] : YAML_PLAIN;
    set_range(b, node, token);
    if ((node->form == YAML_SINGLE || node->form == YAML_DOUBLE) && node->start > 0 && node->end < b->text.len) {
        node->start--; /* the marks are within the quotes */
        node->end++;
    }
    if (node->form == YAML_LINES && (slice_ends(node->text, SLICE_LIT("\n\n")) || slice_eq(node->text, SLICE_LIT("\n"))))
        node->form = YAML_LINES_KEPT;
    node->last = node->form;
}

static struct yaml_node *new_node(struct builder *b, struct fy_event *event, enum yaml_kind kind)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    struct yaml_node *node = ARENA_NEW(b->arena, struct yaml_node);

    if (!node)
        return NULL;
    node->kind = kind;
    node->line = b->first_line + (mark && mark->line > 0 ? mark->line : 0);
    node->column = mark && mark->column > 0 ? mark->column + 1 : 1;
    node->weight = 1;
    return node;
}

static int set_anchor(struct builder *b, struct slice name, struct yaml_node *node)
{
    struct anchor *anchor;

    if (!name.len)
        return 0;
    if (++b->anchor_count > LIMIT_YAML_ALIASES)
        return fail(b, -ENOBUFS, node->line, node->column, "more than %d anchors in one document", LIMIT_YAML_ALIASES);
    anchor = ARENA_NEW(b->arena, struct anchor);
    if (!anchor)
        return no_memory(b);
    *anchor = (struct anchor){b->anchors, name, node};
    b->anchors = anchor;
    return 0;
}

static int copy_anchor(struct builder *b, struct fy_token *token, struct slice *ret_name)
{
    *ret_name = SLICE_NULL;
    if (!token)
        return 0;
    *ret_name = arena_dup(b->arena, token_text(token));
    return ret_name->ptr ? 0 : no_memory(b);
}

enum tag { TAG_NONE, TAG_STRING, TAG_CORE, TAG_OTHER };

static enum tag tag_of(struct fy_token *token)
{
    static const char *const core[] = {"int", "float", "bool", "null", "map", "seq"};
    struct slice tag = token_text(token), prefix = SLICE_LIT("tag:yaml.org,2002:");

    if (!token)
        return TAG_NONE;
    if (slice_eq(tag, SLICE_LIT("!")))
        return TAG_STRING;
    if (slice_starts(tag, prefix))
        tag = slice_skip(tag, prefix.len);
    else if (slice_starts(tag, SLICE_LIT("!!")))
        tag = slice_skip(tag, 2);
    else
        return TAG_OTHER;
    if (slice_eq(tag, SLICE_LIT("str")))
        return TAG_STRING;
    for (size_t i = 0; i < sizeof(core) / sizeof(core[0]); i++)
        if (slice_eq(tag, slice_str(core[i])))
            return TAG_CORE;
    return TAG_OTHER;
}

static int refuse_tag(struct builder *b, const struct yaml_node *node, struct fy_token *token)
{
    return fail(b, -EINVAL, node->line, node->column, "the tag \"%.*s\" has no meaning here; remove it",
                SLICE_ARGS(slice_take(token_text(token), 100)));
}

/* The source of a scalar: of a quoted one what is between the quotes. */
static struct slice scalar_source(const struct builder *b, struct fy_token *token)
{
    const struct fy_mark *start = token ? fy_token_start_mark(token) : NULL;
    const struct fy_mark *end = token ? fy_token_end_mark(token) : NULL;

    if (!start || !end || start->input_pos > end->input_pos || end->input_pos > b->text.len)
        return SLICE_NULL;
    return slice_of(b->text.ptr + start->input_pos, end->input_pos - start->input_pos);
}

/* libfyaml 0.7.12 loses its way in folded texts that have lines beginning with a tab. */
static bool has_tabbed_line(struct slice source)
{
    struct slice line;

    while (slice_split(&source, '\n', &line)) {
        size_t i = 0;

        while (i < line.len && line.ptr[i] == ' ')
            i++;
        if (i < line.len && line.ptr[i] == '\t')
            return true;
    }
    return false;
}

/*
 * ... and takes what follows an empty text (a key with | and nothing of its own) for its lines, where that is within another map or list: a line
 * of a text is put in further than the entry that it belongs to.
 */
static bool has_sibling_as_line(const struct builder *b, struct slice source)
{
    size_t within = b->depth ? b->frames[b->depth - 1].node->start : 0, column = 0;
    struct slice line;

    while (column < within && b->text.ptr[within - column - 1] != '\n')
        column++;
    while (b->depth && slice_split(&source, '\n', &line)) {
        size_t i = 0;

        while (i < line.len && line.ptr[i] == ' ')
            i++;
        if (i < line.len && line.ptr[i] != '\r')
            return i <= column;
    }
    return false;
}

/* ASCII on one line: what is written is what it means. */
static bool means_itself(struct slice plain)
{
    for (size_t i = 0; i < plain.len; i++)
        if (plain.ptr[i] < ' ' || plain.ptr[i] > '~')
            return false;
    return plain.len > 0;
}

static int scalar_text(struct builder *b, const struct yaml_node *node, struct fy_token *token, struct slice *ret_text)
{
    struct slice source = scalar_source(b, token);
    int r = 0;

    switch (fy_token_scalar_style(token)) {
    case FYSS_SINGLE_QUOTED:
        r = yaml_single_quoted(b->arena, source, ret_text);
        break;
    case FYSS_DOUBLE_QUOTED:
        r = yaml_double_quoted(b->arena, source, ret_text);
        break;
    case FYSS_FOLDED:
        if (has_tabbed_line(source))
            return fail(b, -EINVAL, node->line, node->column,
                        "a folded text (>) with a line that begins with a tab; use | or spaces");
        __attribute__((fallthrough));
    case FYSS_LITERAL:
        if (has_sibling_as_line(b, source))
            return fail(b, -EINVAL, node->line, node->column,
                        "the text (| or >) before this has no line of its own; write \"\" for an empty one");
        __attribute__((fallthrough));
    default:
        if (fy_token_scalar_style(token) != FYSS_PLAIN && !source.len)
            source = SLICE_LIT(""); /* for which the library has a NUL */
        else if (fy_token_scalar_style(token) != FYSS_PLAIN || !means_itself(source))
            source = token_text(token);
        *ret_text = arena_dup(b->arena, source);
        r = ret_text->ptr ? 0 : -ENOMEM;
    }
    if (r == -EINVAL)
        return fail(b, r, node->line, node->column, "an escape (\\) in quotes that means nothing");
    return r < 0 ? no_memory(b) : 0;
}

static int on_scalar(struct builder *b, struct fy_event *event)
{
    struct yaml_node *node = new_node(b, event, YAML_STRING);
    enum tag tag = tag_of(event->scalar.tag);
    bool plain = fy_token_scalar_style(event->scalar.value) == FYSS_PLAIN;
    struct slice anchor;
    int r;

    if (!node)
        return no_memory(b);
    if (tag == TAG_OTHER)
        return refuse_tag(b, node, event->scalar.tag);
    r = scalar_text(b, node, event->scalar.value, &node->text);
    if (r < 0)
        return r;
    set_scalar_form(b, node, event->scalar.value);
    if (!node->end)
        set_empty_range(b, node, event->scalar.tag, event->scalar.anchor);
    if (!slice_is_utf8(node->text) || slice_find(node->text, '\0') != node->text.len)
        return fail(b, -EINVAL, node->line, node->column, "a text with NUL or broken Unicode in it");
    if (tag == TAG_CORE || (tag == TAG_NONE && plain))
        yaml_resolve_plain(node);
    r = copy_anchor(b, event->scalar.anchor, &anchor);
    if (r == 0)
        r = set_anchor(b, anchor, node);
    return r < 0 ? r : place(b, node, plain, place_of(node));
}

static int on_start(struct builder *b, struct fy_event *event, enum yaml_kind kind, struct fy_token *anchor,
                    struct fy_token *tag, struct fy_token *begin)
{
    struct yaml_node *node = new_node(b, event, kind);
    struct frame *frame;
    enum tag meaning = tag_of(tag);

    if (!node)
        return no_memory(b);
    if (b->depth == LIMIT_YAML_DEPTH)
        return fail(b, -ENOBUFS, node->line, node->column, "nested deeper than %d levels", LIMIT_YAML_DEPTH);
    if (meaning == TAG_OTHER || meaning == TAG_STRING)
        return refuse_tag(b, node, tag);
    set_range(b, node, begin);
    node->form = node->last = node->start < b->text.len && strchr("[{", b->text.ptr[node->start]) ? YAML_FLOW : YAML_BLOCK;
    node->end = node->start;
    frame = &b->frames[b->depth];
    *frame = (struct frame){.node = node};
    frame->tail = &node->items;
    frame->merges_tail = &frame->merges;
    b->depth++;
    return copy_anchor(b, anchor, &frame->anchor);
}

static int on_end(struct builder *b, struct fy_token *end)
{
    struct frame *frame = &b->frames[b->depth - 1];
    struct yaml_node bracket = {.end = 0};
    int r = 0;

    if (frame->node->form == YAML_FLOW) {
        set_range(b, &bracket, end);
        frame->node->end = bracket.end;
        frame->node->last = YAML_FLOW;
    }
    if (frame->node->kind == YAML_MAP)
        r = finish_map(b, frame);
    b->depth--;
    /* Known only from here on: an alias inside would make a tree that never ends. */
    if (r == 0)
        r = set_anchor(b, frame->anchor, frame->node);
    return r < 0 ? r : place(b, frame->node, false, place_of(frame->node));
}

static struct place alias_place(const struct builder *b, struct fy_token *token)
{
    struct yaml_node here = {.last = YAML_PLAIN};

    set_range(b, &here, token);
    return (struct place){here.start ? here.start - 1 : 0, here.end, YAML_PLAIN}; /* with its asterisk */
}

static int on_alias(struct builder *b, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    int line = b->first_line + (mark ? mark->line : 0), column = mark ? mark->column + 1 : 1;
    struct slice name = token_text(event->alias.anchor);

    if (++b->alias_count > LIMIT_YAML_ALIASES)
        return fail(b, -ENOBUFS, line, column, "more than %d aliases in one document", LIMIT_YAML_ALIASES);
    for (struct anchor *anchor = b->anchors; anchor; anchor = anchor->older)
        if (slice_eq(anchor->name, name)) {
            anchor->node->aliased = true;
            return place(b, anchor->node, false, alias_place(b, event->alias.anchor));
        }
    return fail(b, -EINVAL, line, column, "the alias *%.*s has no anchor before it", SLICE_ARGS(slice_take(name, 100)));
}

static int on_event(struct builder *b, struct fy_event *event)
{
    const struct fy_mark *mark;

    switch (event->type) {
    case FYET_SCALAR:
        return on_scalar(b, event);
    case FYET_SEQUENCE_START:
        return on_start(b, event, YAML_LIST, event->sequence_start.anchor, event->sequence_start.tag, event->sequence_start.sequence_start);
    case FYET_MAPPING_START:
        return on_start(b, event, YAML_MAP, event->mapping_start.anchor, event->mapping_start.tag, event->mapping_start.mapping_start);
    case FYET_SEQUENCE_END:
        return on_end(b, event->sequence_end.sequence_end);
    case FYET_MAPPING_END:
        return on_end(b, event->mapping_end.mapping_end);
    case FYET_ALIAS:
        return on_alias(b, event);
    case FYET_DOCUMENT_START:
        if (!b->root)
            return 0;
        mark = fy_event_start_mark(event);
        return fail(b, -EINVAL, b->first_line + (mark ? mark->line : 0), 1,
                    "a second document begins here; put --- on a line of its own between them");
    default:
        return 0;
    }
}

/* libfyaml collects its complaints, with lines and columns from 1, perhaps behind the end; we tell the first. */
static int parser_failed(struct builder *b, struct fy_diag *diag)
{
    void *at = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(diag, &at);
    int line;

    if (!error || !error->msg)
        return fail(b, -EINVAL, b->first_line, 1, "this is not valid %s", b->syntax);
    line = b->first_line + (error->line > 0 ? error->line - 1 : 0);
    return fail(b, -EINVAL, line < b->last_line ? line : b->last_line, error->column > 0 ? error->column : 1,
                "this is not valid %s: %s", b->syntax, error->msg);
}

static int build(struct builder *b, struct fy_diag *diag)
{
    int r = 0;

    for (;;) {
        struct fy_event *event = fy_parser_parse(b->parser);
        bool end;

        if (!event)
            return fy_parser_get_stream_error(b->parser) ? parser_failed(b, diag) : 0;
        end = event->type == FYET_STREAM_END;
        r = on_event(b, event);
        fy_parser_event_free(b->parser, event);
        if (r < 0 || end)
            return r;
    }
}

/* Before the library sees it: size, encoding, and control bytes that YAML does not allow. */
static int check_bytes(struct builder *b, struct slice text)
{
    int line = b->first_line;

    if (text.len > LIMIT_YAML_FILE)
        return fail(b, -ENOBUFS, line, 1, "larger than %d bytes", LIMIT_YAML_FILE);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];

        if (byte == '\n')
            line++;
        else if ((byte < ' ' && byte != '\t' && byte != '\r') || byte == 0x7f)
            return fail(b, -EINVAL, line, 1, "a control byte (0x%02x); YAML is text in UTF-8", byte);
    }
    if (!slice_is_utf8(text))
        return fail(b, -EINVAL, b->first_line, 1, "this is not UTF-8");
    b->last_line = text.len && text.ptr[text.len - 1] == '\n' ? line - 1 : line;
    return 0;
}

static void say_nothing(struct fy_diag *diag, void *user, const char *text, size_t len)
{
}

int yaml_parse(struct arena *arena, struct slice text, int first_line, enum yaml_syntax syntax,
               struct yaml_node **ret_root, struct yaml_problem *ret_problem)
{
    struct fy_diag_cfg diag_cfg = {.output_fn = say_nothing, .level = FYET_ERROR, .module_mask = ~0u};
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DEFAULT_VERSION_1_1};
    struct builder *b = malloc(sizeof(*b));
    int r;

    *ret_problem = (struct yaml_problem){.line = first_line, .column = 1};
    if (!b)
        return errmsg_set(&ret_problem->msg, -ENOMEM, "no memory left for this document");
    *b = (struct builder){.arena = arena, .text = text, .first_line = first_line, .problem = ret_problem};
    b->syntax = syntax == JSON ? "JSON" : "YAML";
    cfg.flags |= syntax == JSON ? FYPCF_JSON_FORCE : FYPCF_JSON_NONE;
    r = check_bytes(b, text);
    if (r == 0 && text.len) {
        cfg.diag = fy_diag_create(&diag_cfg);
        if (cfg.diag) {
            fy_diag_set_collect_errors(cfg.diag, true);
            b->parser = fy_parser_create(&cfg);
        }
        r = b->parser && fy_parser_set_string(b->parser, text.ptr, text.len) == 0 ? build(b, cfg.diag) : no_memory(b);
        fy_parser_destroy(b->parser);
        fy_diag_destroy(cfg.diag);
    }
    if (r == 0)
        *ret_root = b->root && b->root->kind == YAML_NULL ? NULL : b->root;
    free(b);
    return r;
}
