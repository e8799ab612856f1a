/*
 * The injector of `linkerd inject`: with the values of the installation in the cluster (its ConfigMap linkerd-config), or those of the chart.
 */
#pragma once

#include "cli/inject/inject_flags.h"
#include "inject/inject.h"

struct inject_values {
    struct template_set *templates;
    json_t *values;
    struct injector *injector;
};

/* -EINVAL, or what asking the cluster gave, with a sentence. */
int inject_values_init(struct inject_values *values, const struct inject_flags *flags, struct errmsg *msg);
void inject_values_release(struct inject_values *values);
/* Proxies have a token of their own: also the chart's preset. */
bool inject_values_projected(const struct inject_values *values);
/* Whether the annotations are what they are to be: -EINVAL with what is wrong with one of them. */
int inject_values_check(const struct inject_values *values, json_t *annotations, struct errmsg *msg);
