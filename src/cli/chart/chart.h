/*
 * The charts as they are in the program, and what Helm does with one: the values
 * of the user over those of the chart, the schema, the templates, the order of
 * the objects. The text is that of `helm template`, without its comments.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "template/chart_files.h"

#define CHART_CONTROL_PLANE "linkerd-control-plane"
#define CHART_CRDS "linkerd-crds"
#define CHART_CNI "linkerd2-cni"

/* A file of the charts, .ptr NULL when there is none. */
struct slice chart_file(const char *chart, const char *name);

struct chart_release {
    const char *chart;      /* "linkerd-crds" */
    const char *name;       /* "linkerd" */
    const char *namespace_; /* "linkerd" */
    json_t *objects;        /* of the cluster, for `lookup`: an array, borrowed; NULL: none are known */
};

/*
 * Appends the objects, each behind a line of `---`, in the order in which they are to be made. `values` are the user's; on return
 * they are complete (the chart's defaults filled in). -EINVAL with *ret_problems (a line each) when the schema refuses them, or with *msg
 * when the templates do.
 */
int chart_render(const struct chart_release *release, json_t *values, struct errmsg *msg, struct buffer *ret_problems,
                 struct buffer *ret_text);
/* The documents of such a text as JSON, one after the other. */
int chart_text_to_json(struct slice text, struct errmsg *msg, struct buffer *ret_json);
