#include "inject/splice.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "inject/splice_text.h"
#include "inject/tree.h"

struct walk {
    struct splice *splice;
    struct errmsg *msg;
};

/* --- places --- */

static size_t line_start(struct slice text, size_t at)
{
    while (at > 0 && text.ptr[at - 1] != '\n')
        at--;
    return at;
}

/* Where the next line begins, or the end of the text. */
static size_t line_end(struct slice text, size_t at)
{
    while (at < text.len && text.ptr[at] != '\n')
        at++;
    return at < text.len ? at + 1 : at;
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool has_only_spaces(struct slice text, size_t from, size_t to)
{
    while (from < to && text.ptr[from] == ' ')
        from++;
    return from == to;
}

/* Behind the last line of a block node that ends at `end`, which ends with such a scalar. */
static size_t lines_end(struct slice text, size_t end, enum yaml_form last)
{
    size_t line = line_start(text, end);

    if (last == YAML_LINES_KEPT && has_only_spaces(text, line, end)) /* the parser has seen how far the next line is put in */
        return line;
    while (last == YAML_LINES && end > 0 && is_white(text.ptr[end - 1])) /* empty lines behind it are nobody's */
        end--;
    return line_end(text, end);
}

/* What `start` has in front of it on its line: only spaces (*ret_compact false), or also dashes of lists. Else not to be taken apart. */
static bool is_in_front(struct slice text, size_t start, bool *ret_compact)
{
    size_t at = line_start(text, start);

    for (*ret_compact = false; at < start; at++) {
        if (text.ptr[at] == '-')
            *ret_compact = true;
        else if (text.ptr[at] != ' ')
            return false;
    }
    return true;
}

static int refuse(struct walk *walk, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int refuse(struct walk *walk, size_t at, const char *format, ...)
{
    int line = walk->splice->first_line;
    char text[300];
    va_list args;

    for (size_t i = 0; i < at && i < walk->splice->text.len; i++)
        line += walk->splice->text.ptr[i] == '\n';
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return errmsg_set(walk->msg, -EINVAL, "line %d: %s", line, text);
}

/* --- edits --- */

static int grow(struct splice *splice)
{
    size_t size = splice->size ? splice->size * 2 : 64;
    struct splice_edit *edits;

    if (splice->count < splice->size)
        return 0;
    edits = reallocarray(splice->edits, size, sizeof(*edits));
    if (!edits)
        return -ENOMEM;
    splice->edits = edits;
    splice->size = size;
    return 0;
}

static void add_inserted(struct splice *splice, struct slice text)
{
    if (!splice->crlf) {
        buffer_add(&splice->inserted, text);
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n')
            buffer_add_byte(&splice->inserted, '\r');
        buffer_add_byte(&splice->inserted, text.ptr[i]);
    }
}

/* Sorted by start; what is put in at a place comes before what is cut out there. Nearly always it goes to the end. */
static int edit(struct walk *walk, size_t start, size_t end, struct slice text)
{
    struct splice *splice = walk->splice;
    size_t at = splice->inserted.len, place;

    if (grow(splice) < 0)
        return errmsg_set(walk->msg, -ENOMEM, "out of memory");
    add_inserted(splice, text);
    if (buffer_error(&splice->inserted))
        return errmsg_set(walk->msg, buffer_error(&splice->inserted), "more than %d bytes to add", LIMIT_INJECT_INPUT);
    for (place = splice->count; place > 0 && splice->edits[place - 1].start > start; place--)
        splice->edits[place] = splice->edits[place - 1];
    if (start == end) /* in front of a cut from here */
        for (; place > 0 && splice->edits[place - 1].start == start && splice->edits[place - 1].end > start; place--)
            splice->edits[place] = splice->edits[place - 1];
    splice->edits[place] = (struct splice_edit){start, end, at, splice->inserted.len - at};
    splice->count++;
    return 0;
}

static int edit_buffer(struct walk *walk, size_t start, size_t end, struct buffer *text)
{
    int r = buffer_error(text) ? errmsg_set(walk->msg, -ENOMEM, "out of memory") : edit(walk, start, end, buffer_slice(text));

    buffer_release(text);
    return r;
}

/* --- block style --- */

/*
 * Whole lines, each behind `column` spaces, in front of what begins at `at`. Where that shares its line with a dash, the first of them takes its
 * place there.
 */
static int insert_lines(struct walk *walk, size_t at, size_t column, struct buffer *lines)
{
    struct slice all = buffer_slice(lines);
    struct buffer text;
    bool compact;

    if (!is_in_front(walk->splice->text, at, &compact)) {
        buffer_release(lines);
        return refuse(walk, at, "something else stands in front of this on its line: put it on a line of its own");
    }
    if (!compact)
        return edit_buffer(walk, line_start(walk->splice->text, at), line_start(walk->splice->text, at), lines);
    buffer_init(&text, LIMIT_INJECT_INPUT);
    buffer_add(&text, slice_skip(all, column));
    for (size_t i = 0; i < column; i++)
        buffer_add_byte(&text, ' ');
    if (buffer_error(lines))
        text.error = buffer_error(lines);
    buffer_release(lines);
    return edit_buffer(walk, at, at, &text);
}

/* The same behind the last line of a block node. */
static int append_lines(struct walk *walk, const struct yaml_node *node, struct buffer *lines)
{
    struct slice text = walk->splice->text;
    size_t at = lines_end(text, node->end, node->last);
    struct buffer moved;

    if (at == 0 || text.ptr[at - 1] == '\n')
        return edit_buffer(walk, at, at, lines);
    buffer_init(&moved, LIMIT_INJECT_INPUT); /* the text has no line end at its end, and gets none */
    buffer_add_byte(&moved, '\n');
    buffer_add(&moved, slice_take(buffer_slice(lines), lines->len ? lines->len - 1 : 0));
    if (buffer_error(lines))
        moved.error = buffer_error(lines);
    buffer_release(lines);
    return edit_buffer(walk, at, at, &moved);
}

static enum yaml_form item_last(const struct yaml_item *item)
{
    return item->value->end == item->end ? item->value->last : YAML_PLAIN; /* else an alias, or nothing at all */
}

/* Cuts the lines of an entry that begins at `start`; `next` is where the one behind it begins, or 0. */
static int cut_lines(struct walk *walk, size_t start, size_t end, enum yaml_form last, size_t next)
{
    struct slice text = walk->splice->text;
    size_t until = lines_end(text, end, last), from = line_start(text, start);
    bool compact;

    if (!is_in_front(text, start, &compact))
        return refuse(walk, start, "something else stands in front of this on its line: put it on a line of its own");
    if (compact && !next)
        return refuse(walk, start, "this is all there is behind the dash: remove it by hand");
    if (compact)
        return edit(walk, start, next, SLICE_NULL);
    return edit(walk, from, until, SLICE_NULL);
}

/* Spaces in front of an entry; a tab is none, but then it is not in front either. */
static size_t column_of(struct slice text, size_t at)
{
    return at - line_start(text, at);
}

/* --- in brackets --- */

static struct bracket_style style_of(const struct walk *walk, const struct yaml_node *node)
{
    struct slice text = walk->splice->text;
    size_t entry = node->items && !node->items->merged ? node->items->start : node->start, from, open, lead = 0;
    struct bracket_style style = {.spaced = walk->splice->spaced, .step = SLICE_LIT("  ")};

    if (entry <= node->start || !memchr(text.ptr + node->start, '\n', entry - node->start))
        return style; /* all on one line, which may be the whole document: nobody looks for its start */
    from = line_start(text, entry);
    open = line_start(text, node->start);
    style.pretty = true;
    style.lead = slice_of(text.ptr + from, entry - from);
    while (open + lead < node->start && (text.ptr[open + lead] == ' ' || text.ptr[open + lead] == '\t'))
        lead++;
    if (style.lead.len > lead && style.lead.len - lead <= 8)
        style.step = slice_skip(style.lead, lead);
    return style;
}

static void separate(const struct bracket_style *style, struct buffer *out)
{
    buffer_add_byte(out, ',');
    if (style->pretty) {
        buffer_add_byte(out, '\n');
        buffer_add(out, style->lead);
    } else if (style->spaced) {
        buffer_add_byte(out, ' ');
    }
}

/* The first entry of an empty pair of brackets. Within others it gets spaces around it, by which it is known when it is taken out. */
static int fill_brackets(struct walk *walk, const struct yaml_node *node, bool within, struct buffer *entries)
{
    struct buffer text;
    bool empty = node->end - node->start == 2;

    buffer_init(&text, LIMIT_INJECT_INPUT);
    if (within && empty)
        buffer_add_byte(&text, ' ');
    buffer_add(&text, buffer_slice(entries));
    if (within && empty)
        buffer_add_byte(&text, ' ');
    if (buffer_error(entries))
        text.error = buffer_error(entries);
    buffer_release(entries);
    return edit_buffer(walk, node->start + 1, node->start + 1, &text);
}

/* --- maps --- */

static int change(struct walk *walk, const struct yaml_node *node, const struct yaml_node *parent, const struct yaml_item *item, const json_t *before,
                  const json_t *after);

static const struct yaml_item *first_own(const struct yaml_item *item)
{
    while (item && item->merged)
        item = item->next;
    return item;
}

/* Those entries of `after` that `before` has not, in their order, as block lines or in brackets. Returns how many. */
static size_t new_entries(struct walk *walk, const json_t *before, const json_t *after, const struct bracket_style *style, size_t column,
                          struct buffer *out)
{
    const char *key;
    json_t *value;
    size_t count = 0;

    json_object_foreach ((json_t *)(uintptr_t)after, key, value) {
        if (json_object_get(before, key))
            continue;
        if (count++ && style)
            separate(style, out);
        if (style)
            splice_flow_entry(key, value, style, out);
        else
            splice_entry(walk->splice, key, value, column, out);
    }
    return count;
}

static int grow_block_map(struct walk *walk, const struct yaml_node *node, const json_t *before, const json_t *after)
{
    const struct yaml_item *first = first_own(node->items);
    size_t column = first ? column_of(walk->splice->text, first->start) : 0;
    struct buffer lines;

    buffer_init(&lines, LIMIT_INJECT_INPUT);
    if (!new_entries(walk, before, after, NULL, column, &lines)) {
        buffer_release(&lines);
        return 0;
    }
    if (first)
        return insert_lines(walk, first->start, column, &lines);
    buffer_release(&lines);
    return refuse(walk, node->start, "this map is only what << brings: write out one of its entries");
}

static int grow_flow_map(struct walk *walk, const struct yaml_node *node, bool within, bool all_cut, const json_t *before, const json_t *after)
{
    struct bracket_style style = style_of(walk, node);
    const struct yaml_item *first = first_own(node->items);
    struct buffer text;

    buffer_init(&text, LIMIT_INJECT_INPUT);
    if (!new_entries(walk, before, after, &style, 0, &text)) {
        buffer_release(&text);
        return 0;
    }
    if (!first)
        return fill_brackets(walk, node, within, &text);
    if (!all_cut)
        separate(&style, &text);
    return edit_buffer(walk, first->start, first->start, &text);
}

static int refuse_merged(struct walk *walk, const struct yaml_item *item)
{
    return refuse(walk, item->start, "%.*s comes from << and cannot be taken out here: write the map out", SLICE_ARGS(slice_take(item->key, 100)));
}

/* Cuts entries out of brackets with the commas that belong to them. `gone` tells which; they are taken in runs. `refilled`: new ones took their place. */
static int cut_from_brackets(struct walk *walk, const struct yaml_node *node, const bool *gone, bool refilled)
{
    const struct yaml_item *kept = NULL, *run = NULL, *end = NULL;
    size_t i = 0;
    int r = 0;

    for (const struct yaml_item *item = node->items; item && r == 0; item = item->next, i++) {
        if (gone[i] && item->merged)
            return refuse_merged(walk, item);
        if (gone[i]) {
            run = run ? run : item;
            end = item;
        } else {
            if (run)
                r = edit(walk, run->start, item->start, SLICE_NULL);
            run = NULL;
            kept = item;
        }
    }
    if (!run || r < 0)
        return r;
    if (!kept && !refilled)
        return edit(walk, node->start + 1, node->end - 1, SLICE_NULL);
    return edit(walk, kept ? kept->end : run->start, end->end, SLICE_NULL);
}

/* Which entries of a map `after` has not. *ret_all: none of its own is left. NULL: no memory. */
static bool *gone_entries(const struct yaml_node *node, const json_t *after, size_t *ret_count, bool *ret_all)
{
    bool *gone = calloc(node->count + 1, sizeof(*gone));
    size_t i = 0;

    *ret_count = 0;
    *ret_all = true;
    for (const struct yaml_item *item = node->items; gone && item; item = item->next, i++) {
        gone[i] = !json_object_getn(after, item->key.ptr, item->key.len);
        *ret_count += gone[i];
        if (!gone[i])
            *ret_all = false;
    }
    return gone;
}

static int cut_from_block_map(struct walk *walk, const struct yaml_node *node, const bool *gone)
{
    size_t i = 0;
    int r = 0;

    for (const struct yaml_item *item = node->items; item && r == 0; item = item->next, i++) {
        if (!gone[i])
            continue;
        if (item->merged)
            return refuse_merged(walk, item);
        r = cut_lines(walk, item->start, item->end, item_last(item), item->next && !item->next->merged ? item->next->start : 0);
    }
    return r;
}

static int change_map(struct walk *walk, const struct yaml_node *node, const struct yaml_node *parent, const json_t *before, const json_t *after)
{
    bool all, flow = node->form == YAML_FLOW, within = flow && parent && parent->form == YAML_FLOW;
    size_t cut;
    bool *gone = gone_entries(node, after, &cut, &all);
    int r = gone ? 0 : errmsg_set(walk->msg, -ENOMEM, "out of memory");

    if (r == 0)
        r = flow ? grow_flow_map(walk, node, within, all, before, after) : grow_block_map(walk, node, before, after);
    if (r == 0 && cut)
        r = flow ? cut_from_brackets(walk, node, gone, json_object_size(after) > 0) : cut_from_block_map(walk, node, gone);
    free(gone);
    for (const struct yaml_item *item = node->items; item && r == 0; item = item->next) {
        const json_t *was = json_object_getn(before, item->key.ptr, item->key.len), *is = json_object_getn(after, item->key.ptr, item->key.len);

        if (!is || tree_same(was, is))
            continue;
        if (item->merged)
            return refuse(walk, item->start, "%.*s comes from << and cannot be changed here: write it out in this map",
                          SLICE_ARGS(slice_take(item->key, 100)));
        r = change(walk, item->value, node, item, was, is);
    }
    return r;
}

/* --- lists --- */

/*
 * How the old elements lie among the new ones: at[i] is the place of the i-th old one among the new, or SIZE_MAX when it is gone.
 * They keep their order. Equal ones are nearly always one and the same.
 */
static size_t *align(const json_t *before, const json_t *after)
{
    size_t n = json_array_size(before), m = json_array_size(after), j = 0;
    size_t *at = calloc(n + 1, sizeof(*at));

    for (size_t i = 0; at && i < n; i++) {
        size_t k = j;

        while (k < m && !tree_same(json_array_get(before, i), json_array_get(after, k)))
            k++;
        at[i] = k < m ? k : SIZE_MAX;
        if (k < m)
            j = k + 1;
    }
    return at;
}

/* The new elements [from, to). */
static void new_elements(const json_t *after, size_t from, size_t to, const struct bracket_style *style, size_t column, struct buffer *out)
{
    for (size_t i = from; i < to; i++) {
        if (style && i > from)
            separate(style, out);
        if (style)
            splice_flow(json_array_get(after, i), style, 0, out);
        else
            splice_element(json_array_get(after, i), column, out);
    }
}

/* Where the dash of an element is. Of the first one the list says it; of another it is on a line behind the one before. */
static size_t dash_of(const struct walk *walk, const struct yaml_node *list, const struct yaml_item *previous)
{
    struct slice text = walk->splice->text;
    size_t column = column_of(text, list->start), at;

    if (!previous)
        return list->start;
    for (at = lines_end(text, previous->end, item_last(previous)); at < text.len; at = line_end(text, at)) {
        size_t spaces = 0;

        while (at + spaces < text.len && text.ptr[at + spaces] == ' ')
            spaces++;
        if (spaces == column && at + spaces < text.len && text.ptr[at + spaces] == '-')
            return at + spaces;
    }
    return at;
}

static int change_block_list(struct walk *walk, const struct yaml_node *node, const json_t *after, const size_t *at)
{
    size_t column = column_of(walk->splice->text, node->start), next = 0, i = 0;
    const struct yaml_item *previous = NULL;
    struct buffer lines;
    int r = 0;

    for (const struct yaml_item *item = node->items; item && r == 0; previous = item, item = item->next, i++) {
        size_t dash = dash_of(walk, node, previous);

        buffer_init(&lines, LIMIT_INJECT_INPUT);
        if (at[i] == SIZE_MAX) {
            r = cut_lines(walk, dash, item->end, item_last(item), item->next ? dash_of(walk, node, item) : 0);
        } else if (at[i] > next) {
            new_elements(after, next, at[i], NULL, column, &lines);
            r = insert_lines(walk, dash, column, &lines);
        }
        buffer_release(&lines);
        if (at[i] != SIZE_MAX)
            next = at[i] + 1;
    }
    if (r < 0 || next >= json_array_size(after))
        return r;
    buffer_init(&lines, LIMIT_INJECT_INPUT);
    new_elements(after, next, json_array_size(after), NULL, column, &lines);
    return append_lines(walk, node, &lines);
}

static int change_flow_list(struct walk *walk, const struct yaml_node *node, bool within, const json_t *after, const size_t *at)
{
    struct bracket_style style = style_of(walk, node);
    const struct yaml_item *last = NULL;
    bool *gone = calloc(node->count + 1, sizeof(*gone)), any = false;
    size_t next = 0, i = 0;
    struct buffer text;
    int r = gone ? 0 : errmsg_set(walk->msg, -ENOMEM, "out of memory");

    for (const struct yaml_item *item = node->items; item && r == 0; last = item, item = item->next, i++) {
        gone[i] = at[i] == SIZE_MAX;
        if (!gone[i] && at[i] > next) {
            buffer_init(&text, LIMIT_INJECT_INPUT);
            new_elements(after, next, at[i], &style, 0, &text);
            separate(&style, &text);
            r = edit_buffer(walk, item->start, item->start, &text);
        }
        any |= !gone[i];
        if (!gone[i])
            next = at[i] + 1;
    }
    if (r == 0 && node->count)
        r = cut_from_brackets(walk, node, gone, json_array_size(after) > 0);
    free(gone);
    if (r < 0 || next >= json_array_size(after))
        return r;
    buffer_init(&text, LIMIT_INJECT_INPUT);
    if (any)
        separate(&style, &text);
    new_elements(after, next, json_array_size(after), &style, 0, &text);
    return last ? edit_buffer(walk, last->end, last->end, &text) : fill_brackets(walk, node, within, &text);
}

static int change_list(struct walk *walk, const struct yaml_node *node, const struct yaml_node *parent, const json_t *before, const json_t *after)
{
    size_t *at = align(before, after);
    int r;

    if (!at)
        return errmsg_set(walk->msg, -ENOMEM, "out of memory");
    if (node->form == YAML_FLOW)
        r = change_flow_list(walk, node, parent && parent->form == YAML_FLOW, after, at);
    else
        r = change_block_list(walk, node, after, at);
    free(at);
    return r;
}

/* --- scalars --- */

/* Behind the colon of a key that has no value. */
static size_t behind_colon(struct slice text, size_t at)
{
    while (at < text.len && text.ptr[at] != ':' && text.ptr[at] != '\n')
        at++;
    return at < text.len && text.ptr[at] == ':' ? at + 1 : text.len + 1;
}

static bool is_word(const json_t *value)
{
    const char *text = json_string_value(value);

    return text && *text >= 'a' && *text <= 'z' && strlen(text) > 3 && strspn(text, "abcdefghijklmnopqrstuvwxyz") == strlen(text) &&
           strcmp(text, "true") != 0 && strcmp(text, "false") != 0 && strcmp(text, "null") != 0;
}

/* What takes the place of a scalar, on its line; in its quotes where that can be. */
static void replacement(const struct yaml_node *node, const json_t *after, const struct bracket_style *style, struct buffer *out)
{
    if (is_word(after) && (node->form == YAML_PLAIN || node->form == YAML_SINGLE))
        buffer_printf(out, node->form == YAML_SINGLE ? "'%s'" : "%s", json_string_value(after));
    else
        splice_flow(after, style, 0, out);
}

static int change_scalar(struct walk *walk, const struct yaml_node *node, const struct yaml_item *item, const json_t *after)
{
    struct bracket_style style = {.spaced = walk->splice->spaced};
    struct buffer text;
    size_t at;

    buffer_init(&text, LIMIT_INJECT_INPUT);
    if (node->form != YAML_LINES && node->form != YAML_LINES_KEPT && node->end > node->start) {
        replacement(node, after, &style, &text);
        return edit_buffer(walk, node->start, node->end, &text);
    }
    at = node->kind == YAML_NULL && item ? behind_colon(walk->splice->text, item->key_end) : walk->splice->text.len + 1;
    if (at > walk->splice->text.len) {
        buffer_release(&text);
        return refuse(walk, node->start, "a value that is not on the line of its key cannot be changed in its place: write it in quotes");
    }
    buffer_add_byte(&text, ' ');
    replacement(node, after, &style, &text);
    return edit_buffer(walk, at, at, &text);
}

/* --- */

static int change(struct walk *walk, const struct yaml_node *node, const struct yaml_node *parent, const struct yaml_item *item, const json_t *before,
                  const json_t *after)
{
    if (tree_same(before, after))
        return 0;
    if (node->aliased)
        return refuse(walk, node->start, "this is needed elsewhere too, by an alias (*): write the other place out, and remove the anchor (&)");
    if (node->kind == YAML_MAP && json_is_object(after))
        return change_map(walk, node, parent, before, after);
    if (node->kind == YAML_LIST && json_is_array(after))
        return change_list(walk, node, parent, before, after);
    if (node->kind == YAML_MAP || node->kind == YAML_LIST)
        return refuse(walk, node->start, "expected %s here", json_is_array(after) ? "a list" : "a map");
    return change_scalar(walk, node, item, after);
}

/*
 * Where a text without an end of its last line loses that line, the one before becomes as it was; unless it goes too, or something was put in
 * behind it. Known when all edits are.
 */
static void end_as_before(struct splice *splice)
{
    struct slice text = splice->text;

    for (size_t i = 0; i < splice->count; i++) {
        struct splice_edit *cut = &splice->edits[i];
        size_t line_end = cut->start > 1 && text.ptr[cut->start - 2] == '\r' ? 2 : 1, before = i ? splice->edits[i - 1].end : 0;

        if (cut->end == text.len && cut->start < cut->end && !cut->len && text.ptr[text.len - 1] != '\n' && cut->start >= before + line_end &&
            text.ptr[cut->start - 1] == '\n')
            cut->start -= line_end;
    }
}

int splice_object(struct splice *splice, const struct yaml_node *node, const json_t *before, const json_t *after, struct errmsg *msg)
{
    struct walk walk = {splice, msg};
    int r = change(&walk, node, NULL, NULL, before, after);

    end_as_before(splice);
    return r;
}

/* --- the document's style --- */

static size_t indent_of(struct slice text, size_t at)
{
    size_t from = line_start(text, at);

    while (from < at && text.ptr[from] == ' ')
        from++;
    return from - line_start(text, at);
}

/* The first map within a map, and the first list, that stand on lines of their own say how far things are put in. */
static void look_at_steps(struct splice *splice, const struct yaml_node *node, bool *step, bool *list_step, unsigned depth)
{
    for (const struct yaml_item *item = node->items; item && depth && !(*step && *list_step); item = item->next) {
        const struct yaml_node *value = item->value;
        size_t column, inner;

        if (item->merged || (value->kind != YAML_MAP && value->kind != YAML_LIST) || value->form != YAML_BLOCK)
            continue;
        column = column_of(splice->text, item->start);
        inner = column_of(splice->text, value->items ? value->items->start : value->start);
        if (node->kind == YAML_MAP && value->kind == YAML_MAP && !*step && inner > column && inner - column <= 8) {
            splice->step = inner - column;
            *step = true;
        }
        inner = indent_of(splice->text, value->start);
        if (node->kind == YAML_MAP && value->kind == YAML_LIST && !*list_step && inner >= column && inner - column <= 8) {
            splice->list_step = inner - column;
            *list_step = true;
        }
        look_at_steps(splice, value, step, list_step, depth - 1);
    }
}

/* JSON is written with a space behind colons, or without. */
static bool has_spaces(struct slice text)
{
    for (size_t i = 0; i + 2 < text.len; i++)
        if (text.ptr[i] == '"' && text.ptr[i + 1] == ':')
            return is_white(text.ptr[i + 2]);
    return true;
}

void splice_init(struct splice *splice, struct slice text, int first_line, const struct yaml_node *root)
{
    size_t first = slice_find(text, '\n');
    bool step = false, list_step = false;

    *splice = (struct splice){.text = text, .first_line = first_line, .step = 2};
    buffer_init(&splice->inserted, LIMIT_INJECT_INPUT);
    splice->crlf = first < text.len && first > 0 && text.ptr[first - 1] == '\r';
    splice->spaced = has_spaces(text);
    if (root)
        look_at_steps(splice, root, &step, &list_step, LIMIT_YAML_DEPTH);
}

void splice_release(struct splice *splice)
{
    free(splice->edits);
    splice->edits = NULL;
    buffer_release(&splice->inserted);
}

int splice_apply(const struct splice *splice, struct buffer *ret_text)
{
    size_t at = 0;

    for (size_t i = 0; i < splice->count; i++) {
        const struct splice_edit *e = &splice->edits[i];

        if (e->start > at)
            buffer_add(ret_text, slice_of(splice->text.ptr + at, e->start - at));
        buffer_add(ret_text, slice_take(slice_skip(buffer_slice(&splice->inserted), e->at), e->len));
        if (e->end > at)
            at = e->end;
    }
    buffer_add(ret_text, slice_skip(splice->text, at));
    return buffer_error(ret_text);
}
