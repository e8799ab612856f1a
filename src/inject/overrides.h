/*
 * What annotations config.linkerd.io/... change in the chart's values for one pod. One table (overrides.c) says which there are, which of a
 * namespace reach its pods, what they may be and which value they are.
 *
 * A value that is none of those keeps what would be there without the annotation, and is noted with what was expected. Where that would
 * leave the pod less protected than its owner asked, or unable to start, the pod is refused instead.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/errmsg.h"
#include "inject/notes.h"
#include "inject/workload.h"

struct overriding {
    const struct workload *workload;
    const json_t *namespace_annotations; /* an object or NULL */
    json_t *values;                      /* of the chart; `proxy`, `proxyInit` and `debugContainer` in it are changed */
    json_t *inherited;                   /* an object: annotations of the namespace that the pod has none of get in here */
    struct notes *notes;

    /* What comes out, beside the values. */
    bool debug;                    /* a debug container was asked for */
    bool proxy_image, debug_image; /* an annotation names it: the name is whole, no registry goes in front of it */
    bool cpu_request, cpu_limit;   /* by an annotation */
    struct errmsg denial;          /* when overrides_apply() returned -EPERM */
};

/* 0; -EPERM when the pod is to be refused; -ENOMEM. */
int overrides_apply(struct overriding *o);
/* The annotations that the table knows, in its order; NULL beyond the last. */
const char *override_name(size_t index);
