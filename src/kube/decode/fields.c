#include "kube/decode/fields.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "kube/decode/parts.h"

/* ---- complaints ---- */

static void format_path(const struct path *path, struct buffer *out)
{
    if (!path)
        return;
    format_path(path->up, out);
    if (!path->name.ptr) {
        buffer_printf(out, "[%zu]", path->index);
        return;
    }
    if (out->len)
        buffer_add_byte(out, '.');
    buffer_add(out, path->name);
}

/* Counted apart, so that no error is lost behind warnings. */
static bool is_too_many(struct decoder *decoder, enum report_severity severity)
{
    unsigned of_its_kind = severity == REPORT_ERROR ? decoder->errors : decoder->complaints - decoder->errors;
    bool too_many = of_its_kind > LIMIT_SOURCE_REPORTS;

    decoder->untold += too_many;
    return too_many;
}

void decoder_complain(struct decoder *decoder, enum report_severity severity, const struct path *path, const char *name,
                      int line, int column, const char *format, ...)
{
    struct path leaf = {path, slice_str(name), 0};
    struct buffer field;
    char reason[512];
    va_list args;

    decoder->complaints++;
    decoder->errors += severity == REPORT_ERROR;
    if (is_too_many(decoder, severity) || !decoder->reporter)
        return;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    buffer_init(&field, 1024);
    format_path(name ? &leaf : path, &field);
    if (buffer_error(&field) == -ENOMEM)
        decoder->no_memory = true;
    decoder->reporter->report(decoder->reporter, &(struct report){.severity = severity,
                                                                  .file = decoder->file,
                                                                  .line = line,
                                                                  .column = column,
                                                                  .object = decoder->object,
                                                                  .field = buffer_slice(&field),
                                                                  .reason = slice_str(reason)});
    buffer_release(&field);
}

char *yaml_describe(const struct yaml_node *node, char out[FOUND_TEXT_MAX])
{
    struct slice text = slice_take(node->text, 60);
    const char *more = text.len < node->text.len ? "..." : "";

    switch (node->kind) {
    case YAML_STRING:
        snprintf(out, FOUND_TEXT_MAX, "the text \"%.*s%s\"", SLICE_ARGS(text), more);
        break;
    case YAML_BOOLEAN:
        snprintf(out, FOUND_TEXT_MAX, "the boolean %.*s%s", SLICE_ARGS(text), more);
        break;
    case YAML_INTEGER:
    case YAML_NUMBER:
        snprintf(out, FOUND_TEXT_MAX, "the number %.*s%s", SLICE_ARGS(text), more);
        break;
    default:
        snprintf(out, FOUND_TEXT_MAX, "%s", yaml_kind_name(node->kind));
    }
    return out;
}

static void expected(struct decoder *decoder, const struct path *path, const struct yaml_node *node, const char *what)
{
    char found[FOUND_TEXT_MAX];

    decoder_error(decoder, path, NULL, node, "expected %s, found %s", what, yaml_describe(node, found));
}

/* ---- memory ---- */

/* As arenas round it up. */
static void count_taken(struct decoder *decoder, size_t size)
{
    decoder->taken += (size + 15) & ~(size_t)15;
}

struct slice decoder_copy(struct decoder *decoder, struct slice text)
{
    struct slice copy = arena_dup(decoder->arena, text);

    count_taken(decoder, text.len + 1);
    if (!copy.ptr)
        decoder->no_memory = true;
    return copy;
}

void *decoder_alloc(struct decoder *decoder, size_t count, size_t size)
{
    void *memory = arena_zalloc(decoder->arena, count, size);

    count_taken(decoder, count * size);
    if (!memory)
        decoder->no_memory = true;
    return memory;
}

/* ---- values ---- */

static void decode_text(struct decoder *decoder, const struct path *path, const struct yaml_node *node, void *at)
{
    char found[FOUND_TEXT_MAX];

    if (node->kind == YAML_STRING)
        *(struct slice *)at = decoder_copy(decoder, node->text);
    else if (node->kind == YAML_LIST || node->kind == YAML_MAP)
        expected(decoder, path, node, "a text");
    else
        decoder_error(decoder, path, NULL, node, "expected a text, found %s; put it in quotes",
                      yaml_describe(node, found));
}

static void decode_bool(struct decoder *decoder, const struct path *path, const struct yaml_node *node, void *at)
{
    if (node->kind == YAML_BOOLEAN)
        *(bool *)at = node->boolean;
    else
        expected(decoder, path, node, "true or false");
}

static void decode_tri(struct decoder *decoder, const struct path *path, const struct yaml_node *node, void *at)
{
    if (node->kind == YAML_BOOLEAN)
        *(int *)at = node->boolean ? KUBE_TRUE : KUBE_FALSE;
    else
        expected(decoder, path, node, "true or false");
}

/* JSON may write 80.0 for 80. */
static bool whole_number(const struct yaml_node *node, int64_t *ret_value)
{
    if (node->kind == YAML_INTEGER) {
        *ret_value = node->integer;
        return true;
    }
    if (node->kind != YAML_NUMBER || !(node->number > -1e15 && node->number < 1e15) ||
        (double)(int64_t)node->number != node->number)
        return false;
    *ret_value = (int64_t)node->number;
    return true;
}

static bool number_between(struct decoder *decoder, const struct path *path, const struct yaml_node *node, int64_t min,
                           int64_t max, int64_t *ret_value)
{
    char what[80];

    if (whole_number(node, ret_value) && *ret_value >= min && *ret_value <= max)
        return true;
    snprintf(what, sizeof(what), "a whole number from %lld to %lld", (long long)min, (long long)max);
    expected(decoder, path, node, what);
    return false;
}

static void decode_number(struct decoder *decoder, const struct path *path, const struct field *field,
                          const struct yaml_node *node, void *at)
{
    char what[80];

    if ((node->kind == YAML_INTEGER || node->kind == YAML_NUMBER) && node->number >= (double)field->min &&
        node->number <= (double)field->max) {
        *(double *)at = node->number;
        return;
    }
    snprintf(what, sizeof(what), "a number from %lld to %lld", (long long)field->min, (long long)field->max);
    expected(decoder, path, node, what);
}

static bool is_port_name(struct slice name)
{
    if (!name.len || name.len > 63)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!((name.ptr[i] >= 'a' && name.ptr[i] <= 'z') || (name.ptr[i] >= '0' && name.ptr[i] <= '9') ||
              (name.ptr[i] == '-' && i && i + 1 < name.len)))
            return false;
    return true;
}

static void decode_port_ref(struct decoder *decoder, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_port_ref *port = at;
    int64_t number;

    if (whole_number(node, &number) && number >= 1 && number <= 65535)
        port->number = (uint16_t)number;
    else if (node->kind == YAML_STRING && is_port_name(node->text))
        port->name = decoder_copy(decoder, node->text);
    else
        expected(decoder, path, node, "a port number from 1 to 65535 or the name of a port");
}

static void decode_port_range(struct decoder *decoder, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_port_range *range = at;

    if (node->kind == YAML_LIST || node->kind == YAML_MAP || kube_port_range_parse(node->text, range) < 0)
        expected(decoder, path, node, "a port (\"80\") or a range of ports (\"8000-8010\")");
}

static void decode_enum(struct decoder *decoder, const struct path *path, const struct field *field,
                        const struct yaml_node *node, int *ret_value)
{
    struct buffer what;

    if (node->kind == YAML_STRING)
        for (int i = 0; field->names[i]; i++)
            if (slice_eq(node->text, slice_str(field->names[i]))) {
                *ret_value = i;
                return;
            }
    buffer_init(&what, 256);
    for (int i = 0; field->names[i]; i++)
        buffer_printf(&what, "%s%s", i == 0 ? "" : field->names[i + 1] ? ", " : " or ", field->names[i]);
    buffer_add_byte(&what, '\0');
    expected(decoder, path, node, buffer_error(&what) ? "another word" : what.data);
    buffer_release(&what);
}

static void decode_duration(struct decoder *decoder, const struct path *path, const struct yaml_node *node, void *at)
{
    int64_t ns;

    if (node->kind == YAML_STRING && duration_parse_go(node->text, &ns) == 0 && ns >= 0)
        *(int64_t *)at = ns;
    else if (node->kind == YAML_INTEGER && node->integer == 0)
        *(int64_t *)at = 0;
    else
        expected(decoder, path, node, "a duration like \"10s\", \"1m30s\" or \"250ms\"");
}

/* Values that are one text, by a parser of that text. */
static void decode_parsed(struct decoder *decoder, const struct path *path, enum field_type type,
                          const struct yaml_node *node, void *at)
{
    const char *what = "";
    int r = -EINVAL;

    switch (type) {
    case FIELD_TIME:
        what = "a time like \"2024-05-01T12:00:00Z\"";
        r = time_parse(node->text, at);
        break;
    case FIELD_QUANTITY:
        what = "a quantity like 1, \"500m\" or \"2k\"";
        r = quantity_milli(node->text, at);
        break;
    case FIELD_IP:
        what = "an IP address like \"10.0.0.1\" or \"fd00::1\"";
        r = ip_parse(node->text, at);
        break;
    case FIELD_CIDR:
        what = "a network like \"10.0.0.0/8\" or \"fd00::/8\"";
        r = cidr_parse(node->text, at);
        break;
    default:
        assert(0);
    }
    if (r < 0)
        expected(decoder, path, node, what);
}

static int compare_pairs(const void *a, const void *b)
{
    return slice_cmp(((const struct kube_pair *)a)->key, ((const struct kube_pair *)b)->key);
}

static void decode_map(struct decoder *decoder, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_map *map = at;

    if (node->kind != YAML_MAP) {
        expected(decoder, path, node, "a map of texts");
        return;
    }
    map->items = decoder_alloc(decoder, node->count, sizeof(*map->items));
    for (const struct yaml_item *item = node->items; item && map->items; item = item->next) {
        struct path here = {path, item->key, 0};
        struct kube_pair *pair = &map->items[map->count++];

        pair->key = decoder_copy(decoder, item->key);
        pair->value = SLICE_LIT("");
        if (item->value->kind != YAML_NULL)
            decode_text(decoder, &here, item->value, &pair->value);
    }
    if (map->count)
        qsort(map->items, map->count, sizeof(*map->items), compare_pairs);
}

/* ---- structs ---- */

static const size_t sizes[] = {
    [FIELD_TEXT] = sizeof(struct slice),
    [FIELD_BOOL] = sizeof(bool),
    [FIELD_TRI] = sizeof(int),
    [FIELD_INT] = sizeof(int),
    [FIELD_U32] = sizeof(uint32_t),
    [FIELD_NUMBER] = sizeof(double),
    [FIELD_PORT] = sizeof(uint16_t),
    [FIELD_PORT_REF] = sizeof(struct kube_port_ref),
    [FIELD_PORT_RANGE] = sizeof(struct kube_port_range),
    [FIELD_ENUM] = sizeof(int),
    [FIELD_DURATION] = sizeof(int64_t),
    [FIELD_TIME] = sizeof(int64_t),
    [FIELD_QUANTITY] = sizeof(int64_t),
    [FIELD_IP] = sizeof(struct ip),
    [FIELD_CIDR] = sizeof(struct cidr),
    [FIELD_MAP] = sizeof(struct kube_map),
};

static void decode_pointer(struct decoder *decoder, const struct path *path, const struct shape *shape,
                           const struct yaml_node *node, void *at)
{
    void *made;

    if (node->kind != YAML_MAP) {
        expected(decoder, path, node, "a map");
        return;
    }
    made = decoder_alloc(decoder, 1, shape->size);
    if (!made)
        return;
    fields_decode(decoder, path, shape, node, made);
    memcpy(at, &made, sizeof(made));
}

static void decode_value(struct decoder *decoder, const struct path *path, const struct field *field,
                         const struct yaml_node *node, void *at)
{
    int64_t number;

    switch (field->type) {
    case FIELD_TEXT:
        decode_text(decoder, path, node, at);
        break;
    case FIELD_BOOL:
        decode_bool(decoder, path, node, at);
        break;
    case FIELD_TRI:
        decode_tri(decoder, path, node, at);
        break;
    case FIELD_INT:
        if (number_between(decoder, path, node, field->min, field->max, &number))
            *(int *)at = (int)number;
        break;
    case FIELD_U32:
        if (number_between(decoder, path, node, field->min, field->max, &number))
            *(uint32_t *)at = (uint32_t)number;
        break;
    case FIELD_PORT:
        if (number_between(decoder, path, node, 1, 65535, &number))
            *(uint16_t *)at = (uint16_t)number;
        break;
    case FIELD_NUMBER:
        decode_number(decoder, path, field, node, at);
        break;
    case FIELD_PORT_REF:
        decode_port_ref(decoder, path, node, at);
        break;
    case FIELD_PORT_RANGE:
        decode_port_range(decoder, path, node, at);
        break;
    case FIELD_ENUM:
        decode_enum(decoder, path, field, node, at);
        break;
    case FIELD_DURATION:
        decode_duration(decoder, path, node, at);
        break;
    case FIELD_TIME:
    case FIELD_QUANTITY:
    case FIELD_IP:
    case FIELD_CIDR:
        decode_parsed(decoder, path, field->type, node, at);
        break;
    case FIELD_MAP:
        decode_map(decoder, path, node, at);
        break;
    case FIELD_STRUCT:
        if (node->kind == YAML_MAP)
            fields_decode(decoder, path, field->shape, node, at);
        else
            expected(decoder, path, node, "a map");
        break;
    case FIELD_POINTER:
        decode_pointer(decoder, path, field->shape, node, at);
        break;
    }
}

static void decode_list(struct decoder *decoder, const struct path *path, const struct field *field,
                        const struct yaml_node *node, void *at)
{
    size_t size = field->type == FIELD_STRUCT ? field->shape->size : sizes[field->type];
    char *base = at, *elements;
    size_t index = 0;

    if (node->kind != YAML_LIST) {
        expected(decoder, path, node, "a list");
        return;
    }
    elements = decoder_alloc(decoder, node->count, size);
    if (!elements)
        return;
    for (const struct yaml_item *item = node->items; item; item = item->next, index++) {
        struct path here = {path, SLICE_NULL, index};

        if (item->value->kind == YAML_NULL)
            expected(decoder, &here, item->value, "a value");
        else
            decode_value(decoder, &here, field, item->value, elements + index * size);
    }
    memcpy(base + field->offset, &elements, sizeof(elements));
    memcpy(base + field->count_offset, &node->count, sizeof(node->count));
}

static void set_default(struct decoder *decoder, const struct field *field, void *at)
{
    char *place = (char *)at + field->offset;

    if (field->list)
        return;
    switch (field->type) {
    case FIELD_TEXT:
        *(struct slice *)(void *)place = slice_str(field->otherwise_text);
        break;
    case FIELD_BOOL:
        *(bool *)place = field->otherwise != 0;
        break;
    case FIELD_INT:
    case FIELD_ENUM:
        *(int *)(void *)place = (int)field->otherwise;
        break;
    case FIELD_U32:
        *(uint32_t *)(void *)place = (uint32_t)field->otherwise;
        break;
    case FIELD_TIME:
        *(int64_t *)(void *)place = field->otherwise;
        break;
    case FIELD_STRUCT:
        fields_decode(decoder, NULL, field->shape, NULL, place);
        break;
    default:
        break;
    }
}

static bool is_ignored(const char *names, struct slice name)
{
    struct slice rest = slice_str(names), one;

    while (slice_split(&rest, ' ', &one))
        if (slice_eq(one, name))
            return true;
    return false;
}

static void unknown_field(struct decoder *decoder, const struct path *path, const struct shape *shape,
                          const struct yaml_item *item)
{
    enum report_severity severity = decoder->strict ? REPORT_ERROR : REPORT_WARNING;
    const char *what = decoder->strict ? "unknown field" : "unknown field, ignored";
    struct path here = {path, item->key, 0};

    if (is_ignored(shape->ignored, item->key))
        return;
    for (size_t i = 0; i < shape->field_count; i++)
        if (slice_eq_nocase(item->key, slice_str(shape->fields[i].name))) {
            decoder_complain(decoder, severity, &here, NULL, item->key_line, 1, "%s; did you mean %s?", what, shape->fields[i].name);
            return;
        }
    decoder_complain(decoder, severity, &here, NULL, item->key_line, 1, "%s", what);
}

static const struct field *find_field(const struct shape *shape, struct slice name)
{
    for (size_t i = 0; i < shape->field_count; i++)
        if (slice_eq(name, slice_str(shape->fields[i].name)))
            return &shape->fields[i];
    return NULL;
}

/* ---- parts that are shared ---- */

static void write_text(struct buffer *to, struct slice text)
{
    buffer_printf(to, "%zu:", text.len);
    buffer_add(to, text);
}

/* All that the table reads of the value, so that equal texts decode to equal values and others never do. */
static void write_value(struct buffer *to, const struct shape *shape, const struct yaml_node *node)
{
    buffer_printf(to, "%d", node->kind);
    if (node->kind != YAML_LIST && node->kind != YAML_MAP) {
        write_text(to, node->text);
        return;
    }
    for (const struct yaml_item *item = node->items; item; item = item->next) {
        const struct field *field = shape && node->kind == YAML_MAP ? find_field(shape, item->key) : NULL;

        if (shape && node->kind == YAML_MAP && !field)
            continue;
        if (node->kind == YAML_MAP)
            write_text(to, item->key);
        write_value(to, field ? field->shape : shape, item->value);
    }
    buffer_add_byte(to, '.');
}

/* A list takes a pointer and a count, which need not stand side by side. */
struct shared_list {
    void *elements;
    size_t count;
};

static size_t shared_size(const struct field *field)
{
    return field->list ? sizeof(struct shared_list) : sizes[field->type];
}

static void take_value(const struct field *field, const struct kube_part *part, char *at)
{
    const struct shared_list *list = (const void *)part->value;

    if (!field->list) {
        memcpy(at + field->offset, part->value, part->size);
        return;
    }
    memcpy(at + field->offset, &list->elements, sizeof(list->elements));
    memcpy(at + field->count_offset, &list->count, sizeof(list->count));
}

/* Takes the reference over. */
static void use_part(struct decoder *decoder, struct kube_part *part)
{
    struct kube_part **more;

    for (size_t i = 0; i < decoder->used_count; i++)
        if (decoder->used[i] == part) {
            part_unref(part);
            return;
        }
    if (decoder->used_count == decoder->used_room) {
        more = realloc(decoder->used, (decoder->used_room * 2 + 8) * sizeof(*more));
        if (!more) {
            decoder->no_memory = true;
            part_unref(part);
            return;
        }
        decoder->used = more;
        decoder->used_room = decoder->used_room * 2 + 8;
    }
    decoder->used[decoder->used_count++] = part;
}

void decoder_drop_parts(struct decoder *decoder)
{
    for (size_t i = 0; i < decoder->used_count; i++)
        part_unref(decoder->used[i]);
    free(decoder->used);
    decoder->used = NULL;
    decoder->used_count = decoder->used_room = 0;
}

void decoder_keep_parts(struct decoder *decoder, struct kube_object *object)
{
    struct kube_part **parts = decoder_alloc(decoder, decoder->used_count, sizeof(*parts));

    if (parts && decoder->used_count) {
        memcpy(parts, decoder->used, decoder->used_count * sizeof(*parts));
        object->parts = parts;
        object->part_count = decoder->used_count;
        decoder->used_count = 0;
    }
    decoder_drop_parts(decoder);
}

/* Into a part of its own, by the same functions that would have filled the object. */
static struct kube_part *make_part(struct decoder *decoder, const struct path *path, const struct field *field, const struct yaml_node *node,
                                   struct slice text)
{
    struct kube_part *part = part_new(text, shared_size(field));
    struct arena *arena = decoder->arena;
    unsigned errors = decoder->errors;
    size_t taken = decoder->taken;
    struct parts *parts = decoder->parts;
    struct field alone = *field;

    if (!part) {
        decoder->no_memory = true;
        return NULL;
    }
    alone.offset = 0;
    alone.count_offset = offsetof(struct shared_list, count);
    decoder->arena = &part->arena;
    decoder->parts = NULL;
    if (field->list)
        decode_list(decoder, path, &alone, node, part->value);
    else
        decode_value(decoder, path, &alone, node, part->value);
    decoder->arena = arena;
    decoder->parts = parts;
    decoder->taken = taken;
    if (decoder->errors != errors || decoder->no_memory || parts_add(parts, part) < 0) {
        decoder->no_memory |= decoder->errors == errors;
        part_unref(part);
        return NULL;
    }
    return part;
}

/* Parts have no parts: inside one, everything is its own. */
static void decode_shared(struct decoder *decoder, const struct path *path, const struct field *field, const struct yaml_node *node, void *at)
{
    struct parts *parts = decoder->parts;
    struct kube_part *part = NULL;
    struct buffer text;

    buffer_init(&text, LIMIT_API_OBJECT);
    buffer_printf(&text, "%p", (const void *)field);
    write_value(&text, field->shape, node);
    if (buffer_error(&text)) {
        decoder->no_memory = true;
    } else {
        part = parts_find(parts, buffer_slice(&text));
        if (!part)
            part = make_part(decoder, path, field, node, buffer_slice(&text));
    }
    buffer_release(&text);
    if (!part)
        return;
    take_value(field, part, at);
    use_part(decoder, part);
}

static void decode_item(struct decoder *decoder, const struct path *path, const struct field *field,
                        const struct yaml_item *item, void *at)
{
    struct path here = {path, item->key, 0};

    if (field->shared && decoder->parts)
        decode_shared(decoder, &here, field, item->value, at);
    else if (field->list)
        decode_list(decoder, &here, field, item->value, at);
    else
        decode_value(decoder, &here, field, item->value, (char *)at + field->offset);
}

static bool is_written(const struct yaml_node *node, const struct field *field)
{
    const struct yaml_node *value = yaml_get(node, slice_str(field->name));

    return value && value->kind != YAML_NULL;
}

void fields_decode(struct decoder *decoder, const struct path *path, const struct shape *shape,
                   const struct yaml_node *node, void *at)
{
    unsigned errors = decoder->errors;

    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *field = &shape->fields[i];

        set_default(decoder, field, at);
        if (node && field->required && !is_written(node, field))
            decoder_error(decoder, path, field->name, node, "missing; it is required");
    }
    if (!node)
        return;
    for (const struct yaml_item *item = node->items; item; item = item->next) {
        const struct field *field = find_field(shape, item->key);

        if (!field)
            unknown_field(decoder, path, shape, item);
        else if (item->value->kind != YAML_NULL)
            decode_item(decoder, path, field, item, at);
    }
    if (shape->check && decoder->errors == errors && !decoder->no_memory)
        shape->check(decoder, path, node, at);
}
