/*
 * The status that we give routes, rate limits and egress networks: which
 * conditions hold, of which parent. Other controllers' parents and conditions stay as
 * they are. Pure.
 *
 * Of an object's present status the store keeps only a digest of our part: a status is written where the digest of
 * what it should be is another; only then the object is read, and what is not ours is taken from there.
 */
#pragma once

#include "base/buffer.h"
#include "codec/yaml/yaml.h"
#include "kube/objects.h"

#define STATUS_CONTROLLER "linkerd.io/policy-controller"
enum { STATUS_CONDITIONS = 2 };

struct status_condition {
    const char *type; /* "Accepted" */
    bool holds;
    const char *reason, *message;
};

/* What a condition is about: a parent of a route, or the target of a rate limit; of an egress network nothing. */
struct status_entry {
    struct slice group, kind, namespace_, name;
    uint16_t port; /* 0: none */
    struct status_condition conditions[STATUS_CONDITIONS];
    unsigned condition_count;
};

/* Whether objects of the kind get a status from us. */
bool status_is_ours(enum kube_kind kind);
/* 0 where there is nothing to say. */
uint64_t status_digest(const struct status_entry *entries, size_t count, int64_t generation);
/*
 * Of what stands in an object as the server has it. A condition without observedGeneration counts as one of the present
 * generation: definitions of other versions may not have that field.
 */
uint64_t status_digest_document(const struct yaml_node *object, enum kube_kind kind);
/*
 * The merge patch that makes this the status of the object, as it is: with its resourceVersion. A condition keeps its
 * lastTransitionTime unless its status changes. 0 or the buffer's error.
 */
int status_write_patch(const struct yaml_node *object, enum kube_kind kind, const struct status_entry *entries, size_t count,
                       int64_t wall_ns, struct buffer *out);
