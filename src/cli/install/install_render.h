/*
 * From a user's values to the manifests on standard output: the end of `linkerd install` and `linkerd upgrade`.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"
#include "base/errmsg.h"

/*
 * Appends the objects of the chart (CHART_CRDS, CHART_CNI or CHART_CONTROL_PLANE), as this program makes them, and of the control plane the Secret
 * that keeps the values. `values` are those of the user, not complete, and stay as they are. -EINVAL with *ret_problems or *msg as chart_render().
 * `objects` of the cluster are what the templates' `lookup` finds: an array, or NULL.
 */
int install_render(const char *chart, const char *namespace_, json_t *values, json_t *objects, struct errmsg *msg, struct buffer *ret_problems,
                   struct buffer *ret_text);
/* On standard output; `output` is "yaml" or "json". */
int install_print(const char *output, struct slice text, struct errmsg *msg);
/* What went wrong (r < 0) on standard error, in the command's name. Returns the exit status. */
int install_report(const char *command, int r, const struct errmsg *msg, const struct buffer *problems);
/* Releases it; the keys in it do not stay in freed memory. */
void install_text_release(struct buffer *text);
