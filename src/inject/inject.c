#include "inject/inject.h"

#include <errno.h>
#include <stdlib.h>

#include "inject/injector.h"
#include "inject/overrides.h"
#include "inject/patch.h"
#include "inject/sidecar.h"
#include "template/value.h"

#define OPAQUE_PORTS "config.linkerd.io/opaque-ports"

enum { LABEL_MAX = 63 }; /* of a label's value */

struct injecting {
    const struct injector *injector;
    const struct inject_request *request;
    struct workload workload;
    struct notes notes;
    json_t *annotations, *labels; /* that the pod gets */
    struct patch patch;
};

static int set_text(json_t *object, const char *name, const char *text)
{
    return json_object_set_new_nocheck(object, name, json_string_nocheck(text)) < 0 ? -ENOMEM : 0;
}

/* --- metadata --- */

/* In the order of their names, so that two patches of one pod are equal. */
static void patch_map(struct patch *patch, const char *path, const json_t *there, const json_t *add)
{
    const char **keys = value_keys(add, value_compare_keys);

    if (!keys) {
        patch->error = -ENOMEM;
        return;
    }
    if (json_object_size(add))
        patch_ensure_object(patch, path, there);
    for (size_t i = 0; i < json_object_size(add); i++)
        patch_add(patch, path, keys[i], json_incref(json_object_get(add, keys[i])));
    free(keys);
}

static void patch_metadata(struct injecting *in, const json_t *meta)
{
    if (!json_is_object(meta))
        patch_add(&in->patch, "/metadata", NULL, json_object());
    patch_map(&in->patch, "/metadata/annotations", json_object_get(meta, "annotations"), in->annotations);
    patch_map(&in->patch, "/metadata/labels", json_object_get(meta, "labels"), in->labels);
}

static int set_annotations(struct injecting *in, const json_t *values)
{
    const char *version = member_text(member_object(member_object(values, "proxy"), "image"), "version");
    int r = set_text(in->annotations, "linkerd.io/created-by", in->injector->created_by);

    if (r == 0)
        r = set_text(in->annotations, "linkerd.io/proxy-version", *version ? version : member_text(values, "linkerdVersion"));
    if (r == 0 && *in->injector->trust_root)
        r = set_text(in->annotations, "linkerd.io/trust-root-sha256", in->injector->trust_root);
    return r;
}

/* Whose pods they are: the workload itself, or what owns the pod. */
static int set_owner_label(struct injecting *in)
{
    const struct inject_request *request = in->request;
    struct slice name = slice_str(member_text(member_object(in->workload.object, "metadata"), "name"));
    const char *label = in->workload.label;

    if (!label) {
        struct pod_owner owner = pod_owner(in->workload.object);

        name = request->owner_name ? slice_str(request->owner_name) : owner.name;
        label = workload_label(request->owner_kind ? request->owner_kind : owner.kind);
    }
    if (!label || name.len == 0)
        return 0;
    if (name.len > LABEL_MAX) {
        notes_add(&in->notes, "%s: is left out: the name of the owner is longer than the %d characters that a label may have", label, LABEL_MAX);
        return 0;
    }
    return json_object_set_new_nocheck(in->labels, label, json_stringn_nocheck(name.ptr, name.len)) < 0 ? -ENOMEM : 0;
}

static int set_labels(struct injecting *in)
{
    int r = set_text(in->labels, "linkerd.io/control-plane-ns", in->injector->namespace_);

    if (r == 0 && in->request->namespace_ && *in->request->namespace_)
        r = set_text(in->labels, "linkerd.io/workload-ns", in->request->namespace_);
    return r == 0 ? set_owner_label(in) : r;
}

/* --- specification --- */

/* Renders the definition and adds it at the path, of which the last step is an index or "-". */
static int add_rendered(struct injecting *in, struct sidecar *sidecar, const char *definition, bool whole_name, const char *path, struct errmsg *msg)
{
    json_t *tree;
    int r = sidecar_render(sidecar, definition, whole_name, msg, &tree);

    if (r == 0)
        patch_add(&in->patch, path, NULL, tree);
    return r;
}

static int add_volumes(struct injecting *in, struct sidecar *sidecar, const char *definition, struct errmsg *msg)
{
    json_t *list, *volume;
    size_t i;
    int r = sidecar_render(sidecar, definition, false, msg, &list);

    if (r < 0)
        return r;
    json_array_foreach (list, i, volume)
        patch_add(&in->patch, "/spec/volumes/-", NULL, json_incref(volume));
    json_decref(list);
    return 0;
}

/* The redirect comes first, before any container that talks; behind it a proxy that stays; the application's own after both. */
static int add_containers(struct injecting *in, struct sidecar *sidecar, const struct overriding *o, struct errmsg *msg)
{
    json_t *proxy = json_object_get(o->values, "proxy");
    bool native = json_is_true(json_object_get(proxy, "nativeSidecar")), await = json_is_true(json_object_get(proxy, "await"));
    int r;

    patch_ensure_list(&in->patch, "/spec/initContainers", json_object_get(in->workload.spec, "initContainers"));
    r = add_rendered(in, sidecar, "linkerd.redirect", o->proxy_image, "/spec/initContainers/0", msg);
    if (r == 0)
        r = add_rendered(in, sidecar, "linkerd.proxy", o->proxy_image,
                         native ? "/spec/initContainers/1" : await ? "/spec/containers/0" : "/spec/containers/-", msg);
    if (r == 0 && o->debug)
        r = add_rendered(in, sidecar, "linkerd.debug", o->debug_image, "/spec/containers/-", msg);
    return r;
}

static int add_all_volumes(struct injecting *in, struct sidecar *sidecar, const json_t *values, struct errmsg *msg)
{
    int r;

    patch_ensure_list(&in->patch, "/spec/volumes", json_object_get(in->workload.spec, "volumes"));
    r = json_is_true(json_object_get(values, "cniEnabled")) ? 0 : add_volumes(in, sidecar, "linkerd.proxy-init.volumes", msg);
    return r == 0 ? add_volumes(in, sidecar, "linkerd.proxy.volumes", msg) : r;
}

static int patch_spec(struct injecting *in, const struct overriding *o, struct errmsg *msg)
{
    struct sidecar sidecar;
    int r = sidecar_init(&sidecar, in->injector, o->values, in->workload.spec);

    if (r == 0)
        r = add_containers(in, &sidecar, o, msg);
    if (r == 0)
        r = add_all_volumes(in, &sidecar, o->values, msg);
    sidecar_release(&sidecar);
    return r;
}

/* --- verdicts --- */

static int inject_pod(struct injecting *in, const struct decision *decision, struct errmsg *msg, struct inject_answer *answer)
{
    struct overriding o = {.workload = &in->workload,
                           .namespace_annotations = in->request->namespace_annotations,
                           .values = injector_values(in->injector),
                           .inherited = in->annotations,
                           .notes = &in->notes};
    int r = o.values ? overrides_apply(&o) : -ENOMEM;

    if (r == 0 && decision->ingress)
        r = json_object_set_new_nocheck(json_object_get(o.values, "proxy"), "isIngress", json_true()) < 0 ? -ENOMEM : 0;
    if (r == 0)
        r = set_annotations(in, o.values);
    if (r == 0)
        r = set_labels(in);
    if (r == 0) {
        patch_metadata(in, in->workload.meta);
        r = patch_spec(in, &o, msg);
    }
    if (r == -EPERM) {
        answer->verdict = INJECT_REFUSED;
        answer->denial = o.denial;
        r = 0;
    }
    json_decref(o.values);
    return r;
}

/* Opaque ports of the namespace, for a Service or a pod that says none. */
static int hand_down(struct injecting *in)
{
    bool service = workload_is_service(&in->workload);
    json_t *meta = service ? member_object(in->workload.object, "metadata") : in->workload.meta;
    const char *ports = json_string_value(json_object_get(in->request->namespace_annotations, OPAQUE_PORTS));
    int r;

    if (!ports || meta_annotation(meta, OPAQUE_PORTS) || (!service && !in->workload.spec))
        return 0;
    r = set_text(in->annotations, OPAQUE_PORTS, ports);
    if (r == 0)
        patch_metadata(in, meta);
    return r;
}

static int run(struct injecting *in, struct errmsg *msg, struct inject_answer *answer)
{
    json_t *identity = json_object_get(in->injector->values, "identity");
    struct decision decision;

    answer->verdict = INJECT_NO;
    if (workload_is_service(&in->workload))
        return hand_down(in);
    decision = decide(&in->workload, in->request->namespace_annotations,
                      json_is_true(json_object_get(identity, "serviceAccountTokenProjection")), in->request->origin);
    answer->skips = decision.skips;
    answer->annotated_at = decision.annotated_at;
    answer->udp = pod_has_udp_port(in->workload.spec);
    answer->verdict = decision.skips ? INJECT_NO : INJECT_YES;
    return decision.skips ? hand_down(in) : inject_pod(in, &decision, msg, answer);
}

/* The patch and the warnings go to the answer. */
static void give(struct injecting *in, struct inject_answer *answer)
{
    if (answer->verdict != INJECT_REFUSED && json_array_size(in->patch.operations))
        answer->patch = json_incref(in->patch.operations);
    answer->warnings = json_incref(in->notes.texts);
}

int inject(const struct injector *injector, const struct inject_request *request, struct errmsg *msg, struct inject_answer *ret_answer)
{
    struct injecting in = {.injector = injector, .request = request, .annotations = json_object(), .labels = json_object()};
    struct inject_answer answer = {.annotated_at = ""};
    int r;

    workload_read(request->object, &in.workload);
    notes_init(&in.notes);
    patch_init(&in.patch, in.workload.prefix);
    r = in.annotations && in.labels ? run(&in, msg, &answer) : -ENOMEM;
    if (r == 0)
        r = in.patch.error ? in.patch.error : in.notes.error;
    if (r == 0) {
        give(&in, &answer);
        *ret_answer = answer;
    } else if (r == -ENOMEM) {
        errmsg_set(msg, r, "out of memory");
    }
    patch_release(&in.patch);
    notes_release(&in.notes);
    json_decref(in.annotations);
    json_decref(in.labels);
    return r;
}

void inject_answer_release(struct inject_answer *answer)
{
    json_decref(answer->patch);
    json_decref(answer->warnings);
    answer->patch = answer->warnings = NULL;
}
