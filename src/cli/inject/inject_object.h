/*
 * What `linkerd inject` and `linkerd uninject` make of one document: its objects, those of a List one by one, before and after; the report of
 * each; the text with the changes in it. Nothing is read or printed here.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "codec/yaml/yaml.h"
#include "inject/inject.h"

enum manifest_change { CHANGE_INJECT, CHANGE_UNINJECT };
enum manifest_form { FORM_AS_WRITTEN, FORM_JSON };

struct manifest_job {
    enum manifest_change change;
    enum manifest_form form;
    const struct injector *injector; /* of --manual; NULL: only annotations */
    json_t *annotations;             /* that the flags ask for, texts */
    bool ingress;
    bool projected;                  /* proxies have a token of their own */
};

/* One object, for people. */
struct manifest_report {
    struct manifest_report *next;
    struct slice kind, name; /* "deployment", "web"; kind is empty where the document has none */
    unsigned skips;          /* bits of 1 << enum inject_skip */
    bool udp, injected, annotated, uninjected;
    bool annotatable;
    struct slice warnings; /* lines */
};

struct manifest_reports {
    struct arena *arena; /* of the texts */
    struct manifest_report *first, **tail;
    struct buffer *errors; /* a line each */
};

/* Appends the document as it is to be printed. 0 also when ret_reports->errors got a line; -ENOMEM, -ENOBUFS. */
int manifest_change(const struct manifest_job *job, const char *file, const struct yaml_document *document, struct manifest_reports *reports,
                    struct buffer *ret_text);
