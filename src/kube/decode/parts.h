/*
 * Parts that many objects have alike: the containers, labels and owners of the Pods
 * of one Deployment, names of nodes and zones. Each is decoded once and shared by
 * all objects that were written with the same text (fields.h, `shared`), so that a
 * hundred thousand Pods take the memory of what tells them apart.
 *
 *     parts_init(); decode_item(.., {.parts = &parts}, ..) ...; parts_release()
 *
 * A part is found by its text as a whole, never by a digest alone: an object must
 * not get what another one's writer chose. Objects hold references and may
 * outlive the table, in any thread; the table belongs to one. Parts that no object
 * has any more go when the table has doubled. Inside kube/ only.
 */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "base/refcount.h"

/* What was decoded stands behind the struct, the key behind that. */
struct kube_part {
    struct refcount refs;
    struct map_entry entry;
    struct arena arena; /* of what was decoded; it is written by whoever has just made the part */
    size_t size;        /* of the value */
    max_align_t value[];
};

struct parts {
    struct map by_text;
    size_t sweep_at;
};

/* The secret is for the hash table (base/map.h). */
void parts_init(struct parts *parts, uint64_t secret0, uint64_t secret1);
void parts_release(struct parts *parts);
/* The part with this text, and a reference to it; or NULL. */
struct kube_part *parts_find(struct parts *parts, struct slice text);
/* A new one, in no table yet, with one reference and a value that is all zero. NULL without memory. */
struct kube_part *part_new(struct slice text, size_t size);
/* From now on it is found; the table takes a reference of its own. -ENOMEM: it is not. */
int parts_add(struct parts *parts, struct kube_part *part);
void part_unref(struct kube_part *part); /* NULL is allowed */
