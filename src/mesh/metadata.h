/*
 * Which configuration something came from, and metric labels: small values that
 * many snapshots carry. Slices live in the snapshot's arena.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum metadata_kind {
    METADATA_NONE,
    METADATA_DEFAULT,  /* a configuration that is built in; only `name` is set, e.g. "all-unauthenticated" */
    METADATA_RESOURCE, /* a resource, as in Kubernetes */
};

struct metadata {
    enum metadata_kind kind;
    struct slice group; /* "" for the core group ("core" in metrics is the printer's business) */
    struct slice resource_kind;
    struct slice name;
    struct slice namespace;
    struct slice section; /* section of the resource, "" for none */
    uint16_t port;        /* 0: none */
};

static inline bool metadata_eq(const struct metadata *a, const struct metadata *b)
{
    return a->kind == b->kind && a->port == b->port && slice_eq(a->name, b->name) &&
           slice_eq(a->namespace, b->namespace) && slice_eq(a->resource_kind, b->resource_kind) &&
           slice_eq(a->group, b->group) && slice_eq(a->section, b->section);
}

struct label {
    struct slice name, value;
};

/* Sorted by name, every name once. */
struct labels {
    struct label *items;
    size_t count;
};

/* The value, or a slice whose .ptr is NULL. */
static inline struct slice labels_find(const struct labels *labels, struct slice name)
{
    for (size_t i = 0; i < labels->count; i++)
        if (slice_eq(labels->items[i].name, name))
            return labels->items[i].value.ptr ? labels->items[i].value : SLICE_LIT("");
    return SLICE_NULL;
}
