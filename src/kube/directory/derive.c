#include "kube/directory/derive.h"

#include <errno.h>
#include <stdlib.h>

#include "kube/directory/derive_slice.h"

struct derive {
    struct subscriber subscriber;
    struct store *store;
    int error;
};

static void note(struct derive *derive, int result)
{
    if (result < 0 && derive->error == 0)
        derive->error = result;
}

/* Takes the reference over. */
static void put(struct derive *derive, struct kube_object *object)
{
    note(derive, object ? store_put(derive->store, object) : -ENOMEM);
    kube_object_unref(object);
}

/* ---- which Services get slices from us ---- */

static bool has_given_slices(const struct store *store, struct slice ns, struct slice service)
{
    struct kube_set set = store_by_name(store, STORE_SLICES_OF_SERVICE, ns, service);

    for (size_t i = 0; i < set.count; i++)
        if (!set.items[i]->derived)
            return true;
    return false;
}

enum made_from { FROM_NOTHING, FROM_SELECTOR, FROM_ENDPOINTS };

static enum made_from made_from(const struct derive *derive, const struct kube_service *service)
{
    const struct kube_object *meta = &service->meta;

    if (service->type == KUBE_EXTERNAL_NAME || has_given_slices(derive->store, meta->namespace_, meta->name))
        return FROM_NOTHING;
    if (store_get(derive->store, KUBE_ENDPOINTS, meta->namespace_, meta->name))
        return FROM_ENDPOINTS;
    return service->selector.count ? FROM_SELECTOR : FROM_NOTHING;
}

/* ---- slices of Pods and ExternalWorkloads ---- */

static const int families[] = {4, 6};

/* Puts, replaces or removes the slices of one Service for one Pod or ExternalWorkload; `target` may be gone (NULL). */
static void sync_target(struct derive *derive, const struct kube_service *service, enum kube_kind kind,
                        struct slice target_name, const struct kube_object *target)
{
    const struct kube_object *meta = &service->meta;

    if (target && !kube_map_selects(&service->selector, &target->labels))
        target = NULL;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        struct derived_name name = derived_slice_name(meta->name, kind, target_name, families[i]);
        struct kube_object *slice = NULL;
        int r = target ? derived_slice_make(derive->store, service, target, families[i], &slice) : -ENOENT;

        if (r == 0)
            put(derive, slice);
        else if (r == -ENOENT)
            note(derive, store_remove(derive->store, KUBE_ENDPOINT_SLICE, meta->namespace_, slice_str(name.text)));
        else
            note(derive, r);
    }
}

/*
 * Puts and removals of slices change no set of other kinds, so walking those meanwhile is safe (kube/store.h asks
 * others not to).
 */
static void sync_all_targets(struct derive *derive, const struct kube_service *service)
{
    static const enum kube_kind kinds[] = {KUBE_POD, KUBE_EXTERNAL_WORKLOAD};

    for (size_t k = 0; k < 2; k++) {
        struct kube_set set = store_in(derive->store, kinds[k], service->meta.namespace_);

        for (size_t i = 0; i < set.count; i++)
            if (kube_map_selects(&service->selector, &set.items[i]->labels))
                sync_target(derive, service, kinds[k], set.items[i]->name, set.items[i]);
    }
}

static void mirror_endpoints(struct derive *derive, const struct kube_service *service)
{
    const struct kube_object *object =
        store_get(derive->store, KUBE_ENDPOINTS, service->meta.namespace_, service->meta.name);
    const struct kube_endpoints *endpoints = kube_endpoints(object);

    for (size_t i = 0; i < endpoints->subset_count; i++)
        for (size_t j = 0; j < sizeof(families) / sizeof(families[0]); j++) {
            struct kube_object *slice = NULL;
            int r = derived_slice_mirror(endpoints, i, families[j], &slice);

            if (r == 0)
                put(derive, slice);
            else if (r != -ENOENT)
                note(derive, r);
        }
}

/* Whether a derived slice is still what its Service asks for. */
static bool is_wanted(const struct derive *derive, const struct kube_service *service, enum made_from from,
                      const struct kube_endpoint_slice *slice)
{
    const struct kube_ref *target = &slice->endpoints[0].target;
    bool mirrored = derived_slice_is_mirror(slice);
    const struct kube_object *object;

    if (!service || from == FROM_NOTHING || mirrored != (from == FROM_ENDPOINTS))
        return false;
    if (mirrored) {
        object = store_get(derive->store, KUBE_ENDPOINTS, service->meta.namespace_, service->meta.name);
        return derived_slice_still_mirrors(slice, kube_endpoints(object));
    }
    object = store_get(derive->store, slice_eq(target->kind, SLICE_LIT("Pod")) ? KUBE_POD : KUBE_EXTERNAL_WORKLOAD,
                       target->namespace_, target->name);
    return object && kube_map_selects(&service->selector, &object->labels);
}

static int drop_unwanted(struct derive *derive, struct slice ns, struct slice name, const struct kube_service *service,
                         enum made_from from)
{
    struct kube_set set = store_by_name(derive->store, STORE_SLICES_OF_SERVICE, ns, name);
    struct kube_object **unwanted = calloc(set.count + 1, sizeof(struct kube_object *));
    size_t count = 0;

    if (!unwanted)
        return -ENOMEM;
    for (size_t i = 0; i < set.count; i++)
        if (set.items[i]->derived && !is_wanted(derive, service, from, kube_endpoint_slice(set.items[i])))
            unwanted[count++] = kube_object_ref(set.items[i]);
    for (size_t i = 0; i < count; i++) {
        note(derive, store_remove(derive->store, KUBE_ENDPOINT_SLICE, ns, unwanted[i]->name));
        kube_object_unref(unwanted[i]);
    }
    free(unwanted);
    return 0;
}

/* Everything of one Service, which may be gone. Slices that stay as they are make no event. */
static void sync_service(struct derive *derive, struct slice ns, struct slice name)
{
    const struct kube_object *object = store_get(derive->store, KUBE_SERVICE, ns, name);
    const struct kube_service *service = object ? kube_service(object) : NULL;
    enum made_from from = service ? made_from(derive, service) : FROM_NOTHING;

    note(derive, drop_unwanted(derive, ns, name, service, from));
    if (from == FROM_SELECTOR)
        sync_all_targets(derive, service);
    else if (from == FROM_ENDPOINTS)
        mirror_endpoints(derive, service);
}

/* ---- what changes of one object mean ---- */

static bool selects_either(const struct kube_service *service, const struct kube_object *old,
                           const struct kube_object *new)
{
    return (old && kube_map_selects(&service->selector, &old->labels)) ||
           (new &&kube_map_selects(&service->selector, &new->labels));
}

static void target_changed(struct derive *derive, const struct kube_object *old, const struct kube_object *new)
{
    const struct kube_object *any = new ? new : old;
    struct kube_set set = store_in(derive->store, KUBE_SERVICE, any->namespace_);

    for (size_t i = 0; i < set.count; i++) {
        const struct kube_service *service = kube_service(set.items[i]);

        if (selects_either(service, old, new) && made_from(derive, service) == FROM_SELECTOR)
            sync_target(derive, service, any->kind, any->name,
                        store_get(derive->store, any->kind, any->namespace_, any->name));
    }
}

/* Only the zone of a Node is part of anything. */
static void node_changed(struct derive *derive, const struct kube_object *old, const struct kube_object *new)
{
    struct slice before = old ? kube_node(old)->zone : SLICE_NULL, after = new ? kube_node(new)->zone : SLICE_NULL;
    struct kube_set set = store_by_name(derive->store, STORE_PODS_ON_NODE, SLICE_NULL, (new ? new : old)->name);

    if (slice_eq(before, after))
        return;
    for (size_t i = 0; i < set.count; i++)
        target_changed(derive, NULL, set.items[i]);
}

static void slice_changed(struct derive *derive, const struct kube_object *slice)
{
    if (slice && !slice->derived && kube_endpoint_slice(slice)->service.len)
        sync_service(derive, slice->namespace_, kube_endpoint_slice(slice)->service);
}

/* ---- namespaces ---- */

static bool is_in_use(const struct store *store, struct slice ns)
{
    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++)
        if (store_in(store, (enum kube_kind)kind, ns).count)
            return true;
    return false;
}

static struct kube_object *make_namespace(struct slice name)
{
    struct kube_object *object = kube_object_new(KUBE_NAMESPACE);
    struct kube_pair *label;

    if (!object)
        return NULL;
    label = ARENA_NEW(&object->arena, struct kube_pair);
    object->name = arena_dup(&object->arena, name);
    if (!label || !object->name.ptr) {
        kube_object_unref(object);
        return NULL;
    }
    *label = (struct kube_pair){SLICE_LIT("kubernetes.io/metadata.name"), object->name};
    object->labels = (struct kube_map){label, 1};
    object->version = SLICE_LIT("v1");
    object->derived = true;
    return object;
}

static void sync_namespace(struct derive *derive, struct slice ns)
{
    const struct kube_object *object = store_get(derive->store, KUBE_NAMESPACE, SLICE_NULL, ns);

    if (!object && is_in_use(derive->store, ns))
        put(derive, make_namespace(ns));
    else if (object && object->derived && !is_in_use(derive->store, ns))
        note(derive, store_remove(derive->store, KUBE_NAMESPACE, SLICE_NULL, ns));
}

/* ---- after a failure ---- */

static void sync_namespaces_of(struct derive *derive, enum kube_kind kind)
{
    struct kube_set set = store_all(derive->store, kind);

    for (size_t i = 0; i < set.count; i++)
        sync_namespace(derive, set.items[i]->namespace_);
}

/* Slices that are left behind by Services which are gone, and Namespaces that nobody is in. */
static int drop_left_behind(struct derive *derive, enum kube_kind kind)
{
    struct kube_set set = store_all(derive->store, kind);
    struct kube_object **made = calloc(set.count + 1, sizeof(struct kube_object *));
    size_t count = 0;

    if (!made)
        return -ENOMEM;
    for (size_t i = 0; i < set.count; i++)
        if (set.items[i]->derived)
            made[count++] = kube_object_ref(set.items[i]);
    for (size_t i = 0; i < count; i++) {
        if (kind == KUBE_NAMESPACE)
            sync_namespace(derive, made[i]->name);
        else
            sync_service(derive, made[i]->namespace_, kube_endpoint_slice(made[i])->service);
        kube_object_unref(made[i]);
    }
    free(made);
    return 0;
}

/* Something could not be made: nobody knows what, so everything is looked at. */
static void repair(struct derive *derive)
{
    struct kube_set services = store_all(derive->store, KUBE_SERVICE);

    derive->error = 0;
    for (size_t i = 0; i < services.count; i++)
        sync_service(derive, services.items[i]->namespace_, services.items[i]->name);
    note(derive, drop_left_behind(derive, KUBE_ENDPOINT_SLICE));
    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++)
        if (kube_kind_is_namespaced((enum kube_kind)kind))
            sync_namespaces_of(derive, (enum kube_kind)kind);
    note(derive, drop_left_behind(derive, KUBE_NAMESPACE));
}

/* ---- events ---- */

static void on_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct derive *derive = CONTAINER_OF(subscriber, struct derive, subscriber);
    const struct kube_object *any = new ? new : old;

    if (derive->error < 0)
        repair(derive);
    if (!old || !new)
        sync_namespace(derive, any->kind == KUBE_NAMESPACE ? any->name : any->namespace_);
    switch (any->kind) {
    case KUBE_SERVICE:
    case KUBE_ENDPOINTS:
        sync_service(derive, any->namespace_, any->name);
        break;
    case KUBE_ENDPOINT_SLICE:
        slice_changed(derive, old);
        slice_changed(derive, new);
        break;
    case KUBE_POD:
    case KUBE_EXTERNAL_WORKLOAD:
        target_changed(derive, old, new);
        break;
    case KUBE_NODE:
        node_changed(derive, old, new);
        break;
    default:
        break;
    }
}

int derive_new(struct store *store, struct derive **ret_derive)
{
    struct derive *derive = calloc(1, sizeof(*derive));
    int r;

    if (!derive)
        return -ENOMEM;
    derive->store = store;
    derive->subscriber.kinds = STORE_ALL_KINDS;
    derive->subscriber.on_change = on_change;
    r = store_subscribe(store, &derive->subscriber);
    if (r < 0) {
        free(derive);
        return r;
    }
    *ret_derive = derive;
    return 0;
}

void derive_free(struct derive *derive)
{
    if (!derive)
        return;
    store_unsubscribe(derive->store, &derive->subscriber);
    free(derive);
}

int derive_error(const struct derive *derive)
{
    return derive->error;
}
