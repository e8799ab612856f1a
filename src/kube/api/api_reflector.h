/*
 * Keeps all objects of one kind, or a selection of them, in the store as an API server has them.
 *
 *     api_reflector_new() -> on_synced() once, when all is there -> api_reflector_free()
 *
 * It watches with the present state sent first (WatchList) where the server does that; else it lists in pages and
 * watches from there. A watch that ends goes on from the last resourceVersion that was seen; one that is too old (410, as a
 * status or inside a stream) begins anew.
 *
 * The last good state stays in force. What a new beginning brings is taken at once; what it does not bring is removed
 * when all of it has come, not before. An object that cannot be decoded is reported once and stays as it was. While the
 * server cannot be reached, nothing changes.
 *
 * Reports go to the reporter with the kind as object: a failure when it begins and when its reason changes (warning),
 * and its end, and a new beginning (information). Warnings about fields are left out: a server newer than we are has some that we do not know.
 *
 * The loop's thread, which is the store's.
 */
#pragma once

#include "kube/api/api_client.h"
#include "kube/report.h"
#include "kube/store.h"

struct api_reflector;

/*
 * Which objects of a kind: the server sends no others, and one that changes so that it does not belong to them any more is gone. The rights
 * that are needed are as narrow as the namespace.
 */
struct api_selection {
    struct slice namespace_; /* empty: all */
    struct slice fields;     /* "spec.nodeName=node1,status.phase!=Failed"; empty: whatever they are */
    struct slice labels;     /* "app=web,linkerd.io/control-plane-ns"; empty: whatever they are */
};

struct api_reflector_options {
    struct api_client *client;
    struct store *store;
    struct reporter *reporter; /* NULL is allowed */
    enum kube_kind kind;
    struct slice version;  /* "v1beta3"; one that kube/kinds.h lists */
    struct slice resource; /* "servers" */
    struct api_selection selection;
    bool read_only;        /* nothing is written to them (kube/decode/decode.h) */
    void (*on_synced)(void *owner);
    void *owner;
};

/* Begins from the loop. Texts are copied. 0 or -ENOMEM. */
int api_reflector_new(const struct api_reflector_options *options, struct api_reflector **ret_reflector);
/* Leaves the store as it is. Not from inside an event. NULL is allowed. */
void api_reflector_free(struct api_reflector *reflector);
bool api_reflector_is_synced(const struct api_reflector *reflector);
/* The version that it was made with. */
struct slice api_reflector_version(const struct api_reflector *reflector);
/* Removes all objects of the kind: the server does not have it any more. 0 or -ENOMEM (some are still there). */
int api_reflector_clear(struct store *store, enum kube_kind kind);
