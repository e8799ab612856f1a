/*
 * The forms that the values of annotations have. Each turns the text into what stands in the chart's values.
 */
#pragma once

#include <jansson.h>

#include "base/slice.h"
#include "inject/notes.h"

struct override_row;

struct override_text {
    const struct override_row *row;
    struct slice text;
    const json_t *spec;   /* of the pod */
    const json_t *before; /* what stands in the values */
    bool own;             /* the pod's own annotation, not its namespace's */
    struct notes *notes;
};

/* 0, -EINVAL when the text is none of the form, or -ENOMEM. */
typedef int override_form(const struct override_text *in, json_t **ret_value);

override_form form_text, form_image, form_version, form_port, form_uid, form_gid, form_seconds, form_boolean, form_choice, form_switch,
    form_milliseconds, form_whole_seconds, form_timeout_seconds, form_quantity, form_ratio, form_ports, form_opaque_ports, form_networks,
    form_environment;

struct override_row {
    const char *name;        /* the annotation */
    bool inherited;          /* also that of the namespace counts */
    override_form *form;     /* NULL: it has no effect */
    const char *path;        /* in the values */
    const char *expected;    /* for sentences */
    bool protects;           /* a bad value is no mere mistake: the pod would be less protected */
    bool empty;              /* an empty text means something; else it is as if it were not there */
    const char *const *choices; /* of form_choice */
};
