#include "kube/decode/decode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "kube/kinds.h"

/* What of a document is known before its fields are read. */
struct head {
    struct slice group, version, kind_name;
    enum kube_kind kind;
    bool identified;
    struct slice namespace_, name;
};

struct walk {
    const struct decode_options *options;
    struct decode_sink *sink;
    bool no_memory;
};

/* ---- metadata ---- */

static void split_api_version(struct slice text, struct slice *ret_group, struct slice *ret_version)
{
    size_t slash = slice_find(text, '/');

    *ret_group = slash < text.len ? slice_take(text, slash) : SLICE_LIT("");
    *ret_version = slash < text.len ? slice_skip(text, slash + 1) : text;
}

static void check_owner(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_owner *owner = at;

    split_api_version(owner->version, &owner->group, &owner->version);
}
static const struct field owner_fields[] = {
    FIELD("apiVersion", TEXT, kube_owner, version, .required = true),
    FIELD("kind", TEXT, kube_owner, kind, .required = true),
    FIELD("name", TEXT, kube_owner, name, .required = true),
    FIELD("uid", TEXT, kube_owner, uid),
    FIELD("controller", BOOL, kube_owner, controller),
};
static const struct shape owner_shape =
    SHAPE(kube_owner, owner_fields, .ignored = "blockOwnerDeletion", .check = check_owner);

enum { FIELDS_TO_WRITE = 2 }; /* the first: wanted of objects that something is written to, or made for */
static const struct field metadata_fields[] = {
    FIELD("uid", TEXT, kube_object, uid),
    FIELD("resourceVersion", TEXT, kube_object, resource_version),
    FIELD("name", TEXT, kube_object, name, .required = true),
    FIELD("namespace", TEXT, kube_object, namespace_, .shared = true),
    FIELD("labels", MAP, kube_object, labels, .shared = true),
    FIELD("annotations", MAP, kube_object, annotations, .shared = true),
    FIELD("creationTimestamp", TIME, kube_object, created_ns, .otherwise = KUBE_NO_TIME),
    FIELD("deletionTimestamp", TIME, kube_object, deleted_ns, .otherwise = KUBE_NO_TIME),
    FIELDS("ownerReferences", STRUCT, kube_object, owners, owner_count, .shape = &owner_shape, .shared = true),
};
static const struct shape metadata_shape = SHAPE(
    kube_object, metadata_fields,
    .ignored = "generateName selfLink generation managedFields finalizers deletionGracePeriodSeconds clusterName");
static const struct shape read_metadata_shape = {
    .size = sizeof(struct kube_object),
    .fields = metadata_fields + FIELDS_TO_WRITE,
    .field_count = sizeof(metadata_fields) / sizeof(metadata_fields[0]) - FIELDS_TO_WRITE,
    .ignored = "uid resourceVersion generateName selfLink generation managedFields finalizers deletionGracePeriodSeconds clusterName",
};

/* A DNS subdomain, RFC 1123, as Kubernetes wants object names; `max` 63 and no dots for namespaces. */
static bool is_name(struct slice name, size_t max, bool dots)
{
    if (!name.len || name.len > max)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool edge = i == 0 || i + 1 == name.len;

        if (!alphanumeric && (edge || !(c == '-' || (dots && c == '.'))))
            return false;
    }
    return true;
}

static bool text_or_absent(const struct yaml_node *node)
{
    return !node || node->kind == YAML_STRING || node->kind == YAML_NULL;
}

/* Finds out which object this is meant to be, even where the rest of it is broken. */
static void identify(const struct yaml_node *root, struct head *head)
{
    const struct yaml_node *metadata = yaml_get_lit(root, "metadata");
    const struct yaml_node *name = yaml_get_lit(metadata, "name"), *ns = yaml_get_lit(metadata, "namespace");

    if (!name || name->kind != YAML_STRING || !text_or_absent(ns))
        return;
    head->name = name->text;
    head->namespace_ = ns ? ns->text : SLICE_LIT("");
    if (!kube_kind_is_namespaced(head->kind))
        head->namespace_ = SLICE_LIT("");
    else if (!head->namespace_.len)
        head->namespace_ = SLICE_LIT("default");
    head->identified =
        is_name(head->name, 253, true) && (!head->namespace_.len || is_name(head->namespace_, 63, false));
}

/* Says what is wrong with a name that identify() did not take. */
static void complain_of_name(struct decoder *d, const struct yaml_node *root)
{
    static const struct path path = {NULL, {"metadata", 8}, 0};
    const struct yaml_node *metadata = yaml_get_lit(root, "metadata");
    const struct yaml_node *name = yaml_get_lit(metadata, "name"), *ns = yaml_get_lit(metadata, "namespace");
    bool bad_name = !name || name->kind != YAML_STRING || !is_name(name->text, 253, true);
    const struct yaml_node *node = bad_name ? name : ns;
    char found[FOUND_TEXT_MAX];

    if (!metadata || metadata->kind != YAML_MAP)
        decoder_error(d, NULL, "metadata", root, "missing; every object needs a name");
    else if (!node)
        decoder_error(d, &path, "name", metadata, "missing; every object needs a name");
    else
        decoder_error(d, &path, bad_name ? "name" : "namespace", node,
                      "expected lower-case letters, digits and - in between, found %s", yaml_describe(node, found));
}

/* As our own text has it; the caller has seen that we read it. */
static struct slice known_version(enum kube_kind kind, struct slice version)
{
    struct slice rest = slice_str(kube_kinds[kind].versions), one = SLICE_NULL;

    while (slice_split(&rest, ' ', &one) && !slice_eq(one, version))
        ;
    return one;
}

static void decode_metadata(struct decoder *d, const struct yaml_node *root, const struct head *head,
                            struct kube_object *object)
{
    static const struct path path = {NULL, {"metadata", 8}, 0};

    fields_decode(d, &path, d->read_only ? &read_metadata_shape : &metadata_shape, yaml_get_lit(root, "metadata"), object);
    if (object->namespace_.len && !kube_kind_is_namespaced(head->kind))
        decoder_complain(d, REPORT_WARNING, &path, "namespace", root->line, root->column,
                         "ignored; a %.*s belongs to no namespace", SLICE_ARGS(head->kind_name));
    if (!slice_eq(object->namespace_, head->namespace_)) /* none is written, or none counts */
        object->namespace_ = decoder_copy(d, head->namespace_);
    object->version = known_version(head->kind, head->version);
    object->origin.file = d->file.len ? decoder_copy(d, d->file) : SLICE_LIT("");
    object->origin.line = root->line;
    yaml_digest_object(root, object->digest);
}

/* ---- what a directory asks for beyond Kubernetes ---- */

static void need_addresses(struct decoder *d, const struct yaml_node *root, const struct kube_object *object)
{
    if (object->kind == KUBE_SERVICE) {
        const struct kube_service *service = kube_service(object);

        if (service->type != KUBE_EXTERNAL_NAME && !service->headless && !service->cluster_ip_count)
            decoder_complain(d, REPORT_ERROR, NULL, "spec.clusterIP", root->line, root->column,
                             "missing; without Kubernetes nobody assigns one: write an unused address, or None for a "
                             "headless Service");
    } else if (object->kind == KUBE_POD) {
        const struct kube_pod *pod = kube_pod(object);

        if (!kube_pod_has_ended(pod) && !pod->status.pod_ip.version)
            decoder_complain(d, REPORT_ERROR, NULL, "status.podIP", root->line, root->column,
                             "missing; without Kubernetes nobody assigns one: write the address that the workload has");
    }
}

/* Kubernetes gives every Namespace a label with its name. */
static void label_namespace(struct decoder *d, struct kube_object *object)
{
    struct slice key = SLICE_LIT("kubernetes.io/metadata.name");
    struct kube_pair *items;
    size_t at = 0;

    if (kube_map_get(&object->labels, key).ptr)
        return;
    items = decoder_alloc(d, object->labels.count + 1, sizeof(*items));
    if (!items)
        return;
    while (at < object->labels.count && slice_cmp(object->labels.items[at].key, key) < 0)
        at++;
    for (size_t i = 0; i < object->labels.count; i++)
        items[i < at ? i : i + 1] = object->labels.items[i];
    items[at] = (struct kube_pair){key, object->name};
    object->labels = (struct kube_map){items, object->labels.count + 1};
}

/* ---- one object ---- */

static void complain_of_version(struct decoder *d, const struct yaml_node *root, const struct head *head)
{
    struct slice first = slice_str(kube_kinds[head->kind].versions);

    first = slice_take(first, slice_find(first, ' '));
    decoder_error(d, NULL, "apiVersion", root, "version \"%.*s\" of %.*s is not known; write %.*s%s%.*s",
                  SLICE_ARGS(slice_take(head->version, 40)), SLICE_ARGS(head->kind_name), SLICE_ARGS(head->group),
                  head->group.len ? "/" : "", SLICE_ARGS(first));
}

static void decode_known(struct decoder *d, const struct yaml_node *root, const struct head *head, bool strict,
                         struct kube_object *object)
{
    object->kind = head->kind;
    decode_metadata(d, root, head, object);
    if (d->errors || d->no_memory)
        return;
    d->strict = strict;
    fields_decode(d, NULL, kube_kinds[head->kind].shape, root, object);
    if (head->kind == KUBE_NAMESPACE)
        label_namespace(d, object);
}

static void tell(struct walk *walk, enum decoded_what what, const struct head *head, struct kube_object *object)
{
    walk->sink->decoded(walk->sink,
                        &(struct decoded){what, object, head->identified, head->kind, head->namespace_, head->name});
}

/* Takes what is too much for the list of reasons back as one sentence. */
static void complain_of_more(struct decoder *d, const struct yaml_node *root)
{
    unsigned more = d->untold;

    if (!more)
        return;
    d->complaints = d->errors; /* so that this one is told */
    decoder_complain(d, REPORT_WARNING, NULL, NULL, root->line, root->column, "and %u more complaints like these",
                     more);
}

/* The same once more, without a word, into just as much memory as it took. NULL without memory. */
static struct kube_object *decode_compact(const struct decoder *first, const struct yaml_node *root, const struct head *head)
{
    struct kube_object *object = kube_object_new_sized(head->kind, first->taken);
    struct decoder d = {.file = first->file, .object = first->object, .parts = first->parts, .read_only = first->read_only};

    if (!object)
        return NULL;
    d.arena = &object->arena;
    decode_known(&d, root, head, false, object);
    decoder_keep_parts(&d, object);
    if (!d.errors && !d.no_memory)
        return object;
    kube_object_unref(object);
    return NULL;
}

static void decode_one(struct walk *walk, const struct yaml_node *root, struct head *head)
{
    struct kube_object *object = kube_object_new(head->kind);
    char name[400];
    struct decoder d = {.reporter = walk->options->reporter, .file = walk->options->file, .parts = walk->options->parts,
                        .read_only = walk->options->read_only};
    bool good;

    if (!object) {
        walk->no_memory = true;
        return;
    }
    d.arena = &object->arena;
    identify(root, head);
    snprintf(name, sizeof(name), "%.*s %.*s%s%.*s", SLICE_ARGS(head->kind_name), SLICE_ARGS(head->namespace_),
             head->namespace_.len ? "/" : "", SLICE_ARGS(slice_take(head->name, 253)));
    d.object = head->identified ? slice_str(name) : head->kind_name;
    if (!head->identified)
        complain_of_name(&d, root);
    else if (!kube_kind_reads_version(head->kind, head->version))
        complain_of_version(&d, root, head);
    else
        decode_known(&d, root, head, walk->options->strict, object);
    if (!d.errors && !d.no_memory && walk->options->need_addresses)
        need_addresses(&d, root, object);
    complain_of_more(&d, root);
    decoder_keep_parts(&d, object);
    good = !d.errors && !d.no_memory;
    if (good && d.parts) {
        struct kube_object *compact = decode_compact(&d, root, head);

        kube_object_unref(object);
        object = compact;
        d.no_memory |= !object;
        good = object;
    } else if (!good) {
        kube_object_unref(object);
    }
    walk->no_memory |= d.no_memory;
    tell(walk, good ? DECODED_OBJECT : DECODED_BROKEN, head, good ? object : NULL);
}

/* ---- documents and lists ---- */

static void report_on_document(struct walk *walk, enum report_severity severity, const struct yaml_node *node,
                               const char *field, const char *reason, struct slice name)
{
    struct decoder d = {.reporter = walk->options->reporter, .file = walk->options->file};

    decoder_complain(&d, severity, NULL, field, node->line, node->column, "%s%.*s%s", reason,
                     SLICE_ARGS(slice_take(name, 100)), name.len ? "\"" : "");
}

static void broken_document(struct walk *walk, const struct yaml_node *node, const char *field, const char *reason)
{
    report_on_document(walk, REPORT_ERROR, node, field, reason, SLICE_NULL);
    tell(walk, DECODED_BROKEN, &(struct head){.identified = false}, NULL);
}

static void decode_node(struct walk *walk, const struct yaml_node *root, struct slice list_api_version,
                        struct slice list_kind);

/* The kind of the elements of a typed list ("PodList"), which need not repeat it; empty for a plain List. */
static void decode_list(struct walk *walk, const struct yaml_node *root, struct slice api_version, struct slice kind)
{
    const struct yaml_node *items = yaml_get_lit(root, "items");
    struct slice element = slice_take(kind, kind.len - 4);

    if (!items || items->kind == YAML_NULL)
        return;
    if (items->kind != YAML_LIST) {
        broken_document(walk, items, "items", "expected a list of objects");
        return;
    }
    for (const struct yaml_item *item = items->items; item; item = item->next)
        decode_node(walk, item->value, element.len ? api_version : SLICE_LIT(""), element);
}

static bool take_text(const struct yaml_node *root, struct slice key, struct slice otherwise, struct slice *ret_text)
{
    const struct yaml_node *node = yaml_get(root, key);

    *ret_text = node && node->kind == YAML_STRING ? node->text : otherwise;
    return ret_text->len && (!node || node->kind == YAML_STRING);
}

static void decode_node(struct walk *walk, const struct yaml_node *root, struct slice list_api_version,
                        struct slice list_kind)
{
    struct slice api_version;
    struct head head = {0};

    if (root->kind != YAML_MAP)
        broken_document(walk, root, NULL, "expected an object (a map with apiVersion, kind and metadata)");
    else if (!take_text(root, SLICE_LIT("apiVersion"), list_api_version, &api_version))
        broken_document(walk, root, "apiVersion", "missing or not a text; every object needs it");
    else if (!take_text(root, SLICE_LIT("kind"), list_kind, &head.kind_name))
        broken_document(walk, root, "kind", "missing or not a text; every object needs it");
    else {
        split_api_version(api_version, &head.group, &head.version);
        if (kube_kind_find(head.group, head.kind_name, &head.kind) == 0)
            decode_one(walk, root, &head);
        else if (slice_ends(head.kind_name, SLICE_LIT("List")) && yaml_get_lit(root, "items"))
            decode_list(walk, root, api_version, head.kind_name);
        else {
            report_on_document(walk, REPORT_INFO, root, NULL, "not used by the mesh, ignored: an object of the kind \"",
                               head.kind_name);
            tell(walk, DECODED_IGNORED, &head, NULL);
        }
    }
}

int decode_document(const struct yaml_node *root, const struct decode_options *options, struct decode_sink *sink)
{
    struct walk walk = {options, sink, false};

    if (root)
        decode_node(&walk, root, SLICE_LIT(""), SLICE_LIT(""));
    return walk.no_memory ? -ENOMEM : 0;
}

int decode_item(const struct yaml_node *root, enum kube_kind kind, struct slice version,
                const struct decode_options *options, struct decode_sink *sink)
{
    struct walk walk = {options, sink, false};
    struct slice group = kube_kind_group(kind);
    char api_version[128];

    snprintf(api_version, sizeof(api_version), "%.*s%s%.*s", SLICE_ARGS(group), group.len ? "/" : "", SLICE_ARGS(slice_take(version, 40)));
    decode_node(&walk, root, slice_str(api_version), kube_kind_name(kind));
    return walk.no_memory ? -ENOMEM : 0;
}
