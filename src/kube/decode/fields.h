/*
 * Typed decoding by tables: which field of a map goes where in a struct, what
 * it must be, and what it is when it is not written. One function walks the
 * tables (fields_decode()); each kind is data (decode_*.c).
 *
 * A wrong type or value, or a missing required field, is an error; all of them
 * are reported, with the path of the field, not only the first. A field that
 * no table names is a warning (for a strict decoder an error), unless the shape
 * lists it as one that Kubernetes has and we do not use.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/yaml/yaml.h"
#include "kube/objects.h"
#include "kube/report.h"

enum field_type {
    FIELD_TEXT,       /* struct slice */
    FIELD_BOOL,       /* bool */
    FIELD_TRI,        /* int, enum kube_tri */
    FIELD_INT,        /* int from min to max */
    FIELD_U32,        /* uint32_t from min to max */
    FIELD_NUMBER,     /* double from min to max */
    FIELD_PORT,       /* uint16_t from 1 to 65535 */
    FIELD_PORT_REF,   /* struct kube_port_ref: number or name */
    FIELD_PORT_RANGE, /* struct kube_port_range: 80 or "80-90" */
    FIELD_ENUM,       /* int: the position in `names`; bool would do for two */
    FIELD_DURATION,   /* int64_t ns: "10s" */
    FIELD_TIME,       /* int64_t ns since 1970: RFC 3339 */
    FIELD_QUANTITY,   /* int64_t thousandths: 1, "500m", "2k" */
    FIELD_IP,         /* struct ip */
    FIELD_CIDR,       /* struct cidr */
    FIELD_MAP,        /* struct kube_map */
    FIELD_STRUCT,     /* a struct of `shape`, in place */
    FIELD_POINTER,    /* a pointer to a struct of `shape`, NULL when not written */
};

struct field {
    const char *name;
    enum field_type type;
    bool required;
    bool list; /* a pointer to elements, and their count in a size_t */
    bool shared; /* TEXT, MAP or a list: many objects have it alike (kube/decode/parts.h) */
    size_t offset, count_offset;
    const struct shape *shape;
    const char *const *names; /* ENUM: NULL terminated */
    int64_t min, max;
    int64_t otherwise;          /* INT, U32, ENUM, BOOL, TIME: the value when not written */
    const char *otherwise_text; /* TEXT */
};

struct path {
    const struct path *up;
    struct slice name; /* .ptr NULL: an element of a list, with `index` */
    size_t index;
};

struct decoder {
    struct arena *arena; /* of the object */
    struct reporter *reporter;
    struct slice file, object;
    bool strict; /* a field that no table names is an error */
    unsigned complaints, errors;
    struct parts *parts; /* NULL: nothing is shared */
    bool read_only;      /* kube/decode/decode.h */
    struct kube_part **used; /* of those, what this object has; a reference to each */
    size_t used_count, used_room;
    size_t taken; /* bytes that the arena gave, as it counts them */
    unsigned untold; /* complaints that were too many: of errors and of the rest LIMIT_SOURCE_REPORTS are told */
    bool no_memory;
};

struct shape {
    size_t size; /* of the struct */
    const struct field *fields;
    size_t field_count;
    const char *ignored; /* names with a space between each; NULL: none */
    /* What a table cannot say; runs after the fields, on structs that are written and so far without errors. */
    void (*check)(struct decoder *decoder, const struct path *path, const struct yaml_node *node, void *at);
};

/* Fills the struct, zeroed by the caller. `node` NULL: the fields' defaults. */
void fields_decode(struct decoder *decoder, const struct path *path, const struct shape *shape,
                   const struct yaml_node *node, void *at);

/* Reports about `path`.`name`; `name` and `path` may be NULL. */
void decoder_complain(struct decoder *decoder, enum report_severity severity, const struct path *path, const char *name,
                      int line, int column, const char *format, ...) __attribute__((format(printf, 7, 8)));
/* An error at a node. */
#define decoder_error(decoder, path, name, node, ...)                                                                  \
    decoder_complain((decoder), REPORT_ERROR, (path), (name), (node)->line, (node)->column, __VA_ARGS__)
/* A copy in the object's arena; notes when there is no memory. */
struct slice decoder_copy(struct decoder *decoder, struct slice text);
void *decoder_alloc(struct decoder *decoder, size_t count, size_t size);

/* Moves what is in `used` into the object. */
void decoder_keep_parts(struct decoder *decoder, struct kube_object *object);
/* Drops it. */
void decoder_drop_parts(struct decoder *decoder);

/* "the text \"x\"", "the number 8", "a list": for "expected ..., found ...". Returns `out`. */
enum { FOUND_TEXT_MAX = 96 };
char *yaml_describe(const struct yaml_node *node, char out[FOUND_TEXT_MAX]);

/* ---- values; 0 or -EINVAL ---- */
int quantity_milli(struct slice text, int64_t *ret_milli);
int time_parse(struct slice text, int64_t *ret_ns);
int kube_port_range_parse(struct slice text, struct kube_port_range *ret_range);

#define FIELD(key, kind, type_, member, ...)                                                                           \
    {                                                                                                                  \
        .name = (key), .type = FIELD_##kind, .offset = offsetof(struct type_, member), __VA_ARGS__                     \
    }
#define FIELDS(key, kind, type_, member, counter, ...)                                                                 \
    {                                                                                                                  \
        .name = (key), .type = FIELD_##kind, .offset = offsetof(struct type_, member),                                 \
        .count_offset = offsetof(struct type_, counter), .list = true, __VA_ARGS__                                     \
    }
/* Fields of an inner map that go into the same struct. */
#define INSIDE(key, inner, ...)                                                                                        \
    {                                                                                                                  \
        .name = (key), .type = FIELD_STRUCT, .shape = &(inner), __VA_ARGS__                                            \
    }
#define SHAPE(type_, table, ...)                                                                                       \
    {                                                                                                                  \
        .size = sizeof(struct type_), .fields = (table), .field_count = sizeof(table) / sizeof((table)[0]),            \
        __VA_ARGS__                                                                                                    \
    }
