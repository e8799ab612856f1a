/*
 * From one parsed document to typed objects: finds the kind, expands lists
 * (`kind: List`, `kind: PodList` and so on), checks names, and runs the tables
 * of the kind. Pure; any thread.
 *
 *     yaml_parse(...);  decode_document(root, &options, &sink);
 */
#pragma once

#include "codec/yaml/yaml.h"
#include "kube/objects.h"
#include "kube/report.h"

struct parts;

enum decoded_what {
    DECODED_OBJECT, /* good */
    DECODED_BROKEN, /* errors were reported */
    DECODED_IGNORED /* a kind that we do not use; said as information */
};

struct decoded {
    enum decoded_what what;
    struct kube_object *object; /* of DECODED_OBJECT; the callback takes the reference over */
    /* Of DECODED_BROKEN: which object it would have been; false where even that cannot be told. */
    bool identified;
    enum kube_kind kind;
    struct slice namespace_, name; /* live until the callback returns */
};

struct decode_sink {
    void (*decoded)(struct decode_sink *sink, const struct decoded *decoded);
};

struct decode_options {
    struct slice file;
    struct reporter *reporter; /* NULL: nobody hears the reasons */
    /*
     * Nobody will assign addresses: a Service without clusterIP or a Pod without podIP is an error. Not set where a
     * Kubernetes API server does that.
     */
    bool need_addresses;
    /* What many objects have alike is shared by way of this (kube/decode/parts.h), and objects take no more memory than they need. NULL: no. */
    struct parts *parts;
    bool read_only; /* nothing is written to these objects: they keep neither uid nor resourceVersion, which differ in all of them */
    bool strict; /* fields that nobody knows, outside of metadata, are errors */
};

/* Calls the sink for every object that the document holds, in order. 0 or -ENOMEM (some were not told). */
int decode_document(const struct yaml_node *root, const struct decode_options *options, struct decode_sink *sink);
/*
 * The same for an element of a list whose kind is known from elsewhere (an API server does not repeat it in each), or an
 * object that names its own.
 */
int decode_item(const struct yaml_node *root, enum kube_kind kind, struct slice version,
                const struct decode_options *options, struct decode_sink *sink);
