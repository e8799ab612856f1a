/* Internal to kube/workload_slices*.c: endpoints and slices while a plan is made. */
#pragma once

#include "base/buffer.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "kube/workload_slices.h"

/* Workloads that the ports of the Service lead to in the same way. */
struct group {
    struct map_entry entry;
    struct kube_endpoint_port *ports;
    uint16_t *places; /* of the Service's ports: which these are; only while the group is looked for */
    size_t port_count;
    struct list waiting; /* members without a place, oldest workload first */
};

/* An endpoint. */
struct member {
    struct map_entry entry;
    struct list link;
    const struct kube_external_workload *workload;
    struct slice *addresses;
    size_t address_count;
    struct group *group;
    bool placed;
};

/* A slice as it should be. */
struct draft {
    const struct kube_endpoint_slice *old; /* NULL: is to be made */
    int family;                            /* 0: cannot be used */
    struct group *group;                   /* NULL: not wanted */
    const struct member **members;
    size_t count;
    bool changed;
};

bool ports_equal(const struct group *group, const struct kube_endpoint_slice *slice);
/* Whether the old slice says what the draft says. */
bool draft_is_there(const struct draft *draft, const struct kube_service *service);
/* The body of a slice_write. */
void draft_write(const struct draft *draft, const struct kube_service *service, struct slice name, struct buffer *out);
