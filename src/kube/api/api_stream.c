#include "kube/api/api_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_parse.h>

#include "base/limits.h"

/* Bytes given to yajl at once: between two pieces it is seen whether anything came of them. */
enum { PIECE = 64 * 1024 };

/* A map or list that is not yet closed. */
struct frame {
    struct yaml_node *node;
    struct yaml_item **tail;
    struct slice key; /* of the value that comes next, in a map */
};

struct api_stream {
    struct api_handler *handler;
    enum api_shape shape;
    yajl_handle yajl;
    struct frame frames[LIMIT_YAML_DEPTH];
    size_t depth;
    size_t items_depth;        /* of the list of items while it is open; 0: not */
    size_t skipped;            /* depth of what is being left out; 0: nothing */
    bool skip_next;            /* the value that comes next is left out */
    struct arena whole, item;  /* of the top-level map, and of one element of `items` */
    size_t bytes, nodes;       /* of the object that is being read */
    size_t quiet;              /* bytes that yajl has taken since it last told anything: a text that does not end */
    bool told;                 /* something, since this was cleared */
    bool over;                 /* a top-level map was closed */
    struct api_list_end end;
    int error;
    const char *problem;
};

static bool fail(struct api_stream *stream, int error, const char *problem)
{
    if (!stream->error) {
        stream->error = error;
        stream->problem = problem;
    }
    return false;
}

static bool is_item(const struct api_stream *stream)
{
    return stream->items_depth && stream->depth >= stream->items_depth;
}

static void *take(struct api_stream *stream, size_t size)
{
    void *memory;

    stream->bytes += size;
    if (stream->bytes > LIMIT_API_OBJECT) {
        fail(stream, -ENOBUFS, "an object is too large");
        return NULL;
    }
    memory = arena_alloc(is_item(stream) ? &stream->item : &stream->whole, size);
    if (!memory)
        fail(stream, -ENOMEM, "no memory");
    return memory;
}

/* A copy in which each NUL is U+FFFD. */
static bool copy_text(struct api_stream *stream, const unsigned char *bytes, size_t len, struct slice *ret_text)
{
    size_t nuls = 0, at = 0;
    char *text;

    for (size_t i = 0; i < len; i++)
        nuls += bytes[i] == '\0';
    text = take(stream, len + 2 * nuls + 1);
    if (!text)
        return false;
    for (size_t i = 0; i < len; i++)
        if (bytes[i]) {
            text[at++] = (char)bytes[i];
        } else {
            memcpy(text + at, "\xef\xbf\xbd", 3);
            at += 3;
        }
    text[at] = '\0';
    *ret_text = slice_of(text, at);
    return true;
}

static struct yaml_node *new_node(struct api_stream *stream, enum yaml_kind kind)
{
    struct yaml_node *node;

    if (++stream->nodes > LIMIT_YAML_NODES) {
        fail(stream, -ENOBUFS, "an object has too many values");
        return NULL;
    }
    node = take(stream, sizeof(*node));
    if (node)
        *node = (struct yaml_node){.kind = kind, .line = 1, .column = 1, .weight = 1};
    return node;
}

/* Puts the value where it belongs: under the key, or behind the last element. */
static bool attach(struct api_stream *stream, struct yaml_node *node)
{
    struct frame *frame = &stream->frames[stream->depth - 1];
    struct yaml_item *item = take(stream, sizeof(*item));

    if (!item)
        return false;
    *item = (struct yaml_item){.key = frame->key, .key_line = 1, .value = node};
    *frame->tail = item;
    frame->tail = &item->next;
    frame->node->count++;
    return true;
}

/* Of an element of `items`, which goes into no list: it is told and forgotten. */
static bool is_element(const struct api_stream *stream)
{
    return stream->items_depth && stream->depth == stream->items_depth;
}

static bool tell_item(struct api_stream *stream, const struct yaml_node *node)
{
    stream->handler->event(stream->handler, API_ITEM, node);
    arena_reset(&stream->item);
    stream->bytes = stream->nodes = 0;
    return true;
}

static const struct slice_event {
    const char *type;
    enum api_event event;
} event_types[] = {
    {"ADDED", API_ADDED}, {"MODIFIED", API_MODIFIED}, {"DELETED", API_DELETED}, {"BOOKMARK", API_BOOKMARK},
    {"ERROR", API_STATUS},
};

static struct slice text_of(const struct yaml_node *node)
{
    return node && node->kind == YAML_STRING ? node->text : SLICE_NULL;
}

static void tell_watch(struct api_stream *stream, const struct yaml_node *root)
{
    struct slice type = text_of(yaml_get_lit(root, "type"));
    const struct yaml_node *object = yaml_get_lit(root, "object");

    if (!object || object->kind != YAML_MAP)
        return;
    for (size_t i = 0; i < sizeof(event_types) / sizeof(*event_types); i++)
        if (slice_eq(type, slice_str(event_types[i].type)))
            stream->handler->event(stream->handler, event_types[i].event, object);
}

/* The top-level map is whole. */
static bool tell_whole(struct api_stream *stream, const struct yaml_node *root)
{
    const struct yaml_node *metadata = yaml_get_lit(root, "metadata");

    if (stream->shape == API_LIST && stream->over)
        return fail(stream, -EINVAL, "more than one answer");
    stream->over = true;
    if (slice_eq(text_of(yaml_get_lit(root, "kind")), SLICE_LIT("Status"))) {
        stream->handler->event(stream->handler, API_STATUS, root);
    } else if (stream->shape == API_WATCH) {
        tell_watch(stream, root);
    } else {
        stream->end.resource_version = text_of(yaml_get_lit(metadata, "resourceVersion"));
        stream->end.continue_ = text_of(yaml_get_lit(metadata, "continue"));
        return true; /* kept: the list's end lies in it */
    }
    arena_reset(&stream->whole);
    stream->bytes = stream->nodes = 0;
    return true;
}

/* ---- what yajl tells: 1 to go on, 0 to stop ---- */

/* Whether the scalar is to be left out; the flag counts for one value. */
static bool left_out(struct api_stream *stream)
{
    bool out = stream->skipped || stream->skip_next;

    stream->told = true;
    stream->skip_next = false;
    return out;
}

static int on_scalar(struct api_stream *stream, struct yaml_node *node)
{
    if (!node)
        return 0;
    if (!stream->depth)
        return fail(stream, -EINVAL, "no object");
    return is_element(stream) ? tell_item(stream, node) : attach(stream, node);
}

static int on_null(void *context)
{
    struct api_stream *stream = context;

    return left_out(stream) || on_scalar(stream, new_node(stream, YAML_NULL));
}

static int on_boolean(void *context, int value)
{
    struct api_stream *stream = context;
    struct yaml_node *node;

    if (left_out(stream))
        return 1;
    node = new_node(stream, YAML_BOOLEAN);
    if (node) {
        node->boolean = value;
        node->text = value ? SLICE_LIT("true") : SLICE_LIT("false");
    }
    return on_scalar(stream, node);
}

static int on_number(void *context, const char *bytes, size_t len)
{
    struct api_stream *stream = context;
    struct yaml_node *node;

    if (left_out(stream))
        return 1;
    node = new_node(stream, YAML_NUMBER);
    if (!node || !copy_text(stream, (const unsigned char *)bytes, len, &node->text))
        return 0;
    yaml_resolve_plain(node);
    return on_scalar(stream, node);
}

static int on_string(void *context, const unsigned char *bytes, size_t len)
{
    struct api_stream *stream = context;
    struct yaml_node *node;

    if (left_out(stream))
        return 1;
    node = new_node(stream, YAML_STRING);
    return node && copy_text(stream, bytes, len, &node->text) && on_scalar(stream, node);
}

static int on_key(void *context, const unsigned char *bytes, size_t len)
{
    struct api_stream *stream = context;
    struct frame *frame = &stream->frames[stream->depth - 1];

    stream->told = true;
    if (stream->skipped)
        return 1;
    stream->skip_next = stream->depth > 1 && slice_eq(slice_of((const char *)bytes, len), SLICE_LIT("managedFields")) &&
                        slice_eq(stream->frames[stream->depth - 2].key, SLICE_LIT("metadata"));
    return stream->skip_next || copy_text(stream, bytes, len, &frame->key);
}

static bool is_items(const struct api_stream *stream, enum yaml_kind kind)
{
    return stream->shape == API_LIST && stream->depth == 1 && kind == YAML_LIST &&
           slice_eq(stream->frames[0].key, SLICE_LIT("items"));
}

static int open_container(struct api_stream *stream, enum yaml_kind kind)
{
    struct yaml_node *node;
    bool items, element = is_element(stream);

    if (stream->skipped)
        stream->skipped++;
    if (left_out(stream)) {
        stream->skipped += !stream->skipped;
        return 1;
    }
    if (!stream->depth && kind != YAML_MAP)
        return fail(stream, -EINVAL, "no object");
    if (stream->depth == LIMIT_YAML_DEPTH)
        return fail(stream, -ENOBUFS, "an object is nested too deeply");
    items = is_items(stream, kind);
    node = new_node(stream, kind);
    if (!node || (stream->depth && !element && !attach(stream, node)))
        return 0;
    stream->frames[stream->depth++] = (struct frame){.node = node, .tail = &node->items};
    if (items)
        stream->items_depth = stream->depth;
    return 1;
}

static int close_container(struct api_stream *stream)
{
    struct yaml_node *node;

    stream->told = true;
    if (stream->skipped) {
        stream->skipped--;
        return 1;
    }
    node = stream->frames[--stream->depth].node;
    for (const struct yaml_item *item = node->items; item; item = item->next)
        node->weight += item->value->weight;
    if (stream->items_depth && stream->depth < stream->items_depth) {
        stream->items_depth = 0;
        stream->bytes = stream->nodes = 0;
    }
    if (is_element(stream))
        return tell_item(stream, node);
    return stream->depth || tell_whole(stream, node);
}

static int on_start_map(void *context)
{
    return open_container(context, YAML_MAP);
}

static int on_start_list(void *context)
{
    return open_container(context, YAML_LIST);
}

static int on_end(void *context)
{
    return close_container(context);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_list,
    .yajl_end_array = on_end,
};

/* ---- the stream ---- */

int api_stream_new(struct api_handler *handler, enum api_shape shape, struct api_stream **ret_stream)
{
    struct api_stream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        return -ENOMEM;
    stream->handler = handler;
    stream->shape = shape;
    stream->yajl = yajl_alloc(&callbacks, NULL, stream);
    if (!stream->yajl) {
        free(stream);
        return -ENOMEM;
    }
    yajl_config(stream->yajl, yajl_allow_multiple_values, 1); /* a second list is refused above, with a sentence */
    arena_init(&stream->whole, (size_t)2 * LIMIT_API_OBJECT);
    arena_init(&stream->item, (size_t)2 * LIMIT_API_OBJECT);
    *ret_stream = stream;
    return 0;
}

void api_stream_free(struct api_stream *stream)
{
    if (!stream)
        return;
    yajl_free(stream->yajl);
    arena_release(&stream->whole);
    arena_release(&stream->item);
    free(stream);
}

static int feed_piece(struct api_stream *stream, struct slice piece)
{
    yajl_status status;

    stream->told = false;
    status = yajl_parse(stream->yajl, (const unsigned char *)piece.ptr, piece.len);
    if (status != yajl_status_ok)
        fail(stream, -EINVAL, "no JSON");
    stream->quiet = stream->told ? 0 : stream->quiet + piece.len;
    if (stream->quiet > LIMIT_API_TEXT)
        fail(stream, -ENOBUFS, "a text is too long");
    return stream->error;
}

int api_stream_feed(struct api_stream *stream, struct slice bytes, struct errmsg *ret_msg)
{
    while (bytes.len && !stream->error) {
        struct slice piece = slice_take(bytes, PIECE);

        feed_piece(stream, piece);
        bytes = slice_skip(bytes, piece.len);
    }
    if (stream->error)
        return errmsg_set(ret_msg, stream->error, "the API server's answer cannot be used: %s", stream->problem);
    return 0;
}

int api_stream_end(struct api_stream *stream)
{
    return stream->error || stream->depth || (stream->shape == API_LIST && !stream->over) ? -ENODATA : 0;
}

struct api_list_end api_stream_list_end(const struct api_stream *stream)
{
    return stream->end;
}
