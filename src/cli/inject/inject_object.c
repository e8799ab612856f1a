#include "cli/inject/inject_object.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "inject/patch.h"
#include "inject/splice.h"
#include "inject/tree.h"
#include "template/copy.h"
#include "template/from_yaml.h"
#include "template/value.h"

#define INJECT "linkerd.io/inject"
#define OPAQUE_PORTS "config.linkerd.io/opaque-ports"

/* One object on its way. */
struct work {
    const struct manifest_job *job;
    struct manifest_reports *reports;
    struct manifest_report *report;
    struct slice text;
    const struct yaml_node *node;
    json_t *before; /* borrowed */
    struct errmsg msg;
};

/* --- the report --- */

static struct slice lower(struct arena *arena, const char *text)
{
    struct slice copy = arena_dup(arena, slice_str(text));

    for (size_t i = 0; copy.ptr && i < copy.len; i++)
        ((char *)(uintptr_t)copy.ptr)[i] = (char)tolower((unsigned char)copy.ptr[i]);
    return copy;
}

static struct manifest_report *add_report(struct manifest_reports *reports, const json_t *object)
{
    struct manifest_report *report = ARENA_NEW(reports->arena, struct manifest_report);
    const json_t *meta = member_object(object, "metadata");
    const char *name = member_text(meta, "name");

    if (!report)
        return NULL;
    report->kind = lower(reports->arena, member_text(object, "kind"));
    report->name = arena_dup(reports->arena, slice_str(*name ? name : member_text(meta, "generateName")));
    if (!report->kind.ptr || !report->name.ptr)
        return NULL;
    *reports->tail = report;
    reports->tail = &report->next;
    return report;
}

/* What Linkerd's command ends for; the others leave an object as it is. */
static int check_skips(struct work *work)
{
    static const enum inject_skip fatal[] = {SKIP_NO_TOKEN, SKIP_HOST_NETWORK, SKIP_SIDECAR};
    const struct manifest_report *report = work->report;
    char reasons[300] = "";
    size_t len = 0;

    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        if (report->skips & 1u << fatal[i])
            len += (size_t)snprintf(reasons + len, sizeof(reasons) - len, "%s%s", len ? ", " : "", inject_skip_text(fatal[i]));
    if (report->skips && report->udp)
        snprintf(reasons + len, sizeof(reasons) - len, "%sUDP port(s) configured on pod spec", len ? ", " : "");
    if (!*reasons)
        return 0;
    return errmsg_set(&work->msg, -EINVAL, "failed to inject %.*s/%.*s: %s", SLICE_ARGS(report->kind), SLICE_ARGS(report->name), reasons);
}

/* --- annotations --- */

/* The object with them under prefix + /metadata; those that are there already are left. */
static json_t *annotate(json_t *object, const char *prefix, const json_t *meta, json_t *annotations)
{
    struct patch patch;
    json_t *result = NULL, *value;
    const char *key;
    bool any = false;

    patch_init(&patch, prefix);
    json_object_foreach (annotations, key, value) {
        if (tree_same(json_object_get(member_object(meta, "annotations"), key), value))
            continue;
        if (!any && !json_is_object(meta))
            patch_add(&patch, "/metadata", NULL, json_object());
        if (!any)
            patch_ensure_object(&patch, "/metadata/annotations", json_object_get(meta, "annotations"));
        patch_add(&patch, "/metadata/annotations", key, json_incref(value));
        any = true;
    }
    if (!patch.error)
        result = tree_patch(object, patch.operations);
    patch_release(&patch);
    return result;
}

/* The annotations that the object gets, with linkerd.io/inject in front unless the proxy itself is put in. */
static json_t *wanted_annotations(const struct manifest_job *job, const json_t *meta, bool namespace)
{
    json_t *all = json_object();
    const char *own = meta_annotation(meta, INJECT), *wish = job->ingress ? "ingress" : "enabled";

    if (own && !namespace && strcmp(own, "ingress") == 0)
        wish = own; /* says more than enabled */
    if (all && (namespace || !job->injector) && json_object_set_new_nocheck(all, INJECT, json_string(wish)) < 0)
        goto failed;
    if (all && json_object_update(all, job->annotations) < 0)
        goto failed;
    return all;

failed:
    json_decref(all);
    return NULL;
}

static json_t *annotate_wanted(struct work *work, json_t *object, const struct workload *workload, bool namespace)
{
    const json_t *meta = namespace ? member_object(object, "metadata") : workload->meta;
    json_t *wanted = wanted_annotations(work->job, meta, namespace), *after;

    after = wanted ? annotate(object, namespace ? "" : workload->prefix, meta, wanted) : NULL;
    json_decref(wanted);
    return after;
}

/* Of a Service, which has no proxy, only its opaque ports. */
static json_t *annotate_service(struct work *work)
{
    json_t *ports = json_object_get(work->job->annotations, OPAQUE_PORTS), *wanted, *after;

    if (!ports)
        return json_incref(work->before);
    wanted = json_pack("{s:O}", OPAQUE_PORTS, ports);
    after = wanted ? annotate(work->before, "", member_object(work->before, "metadata"), wanted) : NULL;
    json_decref(wanted);
    work->report->annotated = true;
    return after;
}

/* --- the proxy --- */

static int keep_warnings(struct work *work, const json_t *warnings)
{
    struct buffer text;
    const json_t *warning;
    size_t i;

    buffer_init(&text, LIMIT_INJECT_INPUT);
    json_array_foreach ((json_t *)(uintptr_t)warnings, i, warning)
        buffer_printf(&text, "%s\n", json_string_value(warning));
    work->report->warnings = arena_dup(work->reports->arena, buffer_slice(&text));
    buffer_release(&text);
    return work->report->warnings.ptr ? 0 : -ENOMEM;
}

/* Takes `object` over. */
static int put_proxy(struct work *work, json_t *object, json_t **ret_after)
{
    struct inject_request request = {.object = object, .origin = INJECT_COMMAND};
    struct inject_answer answer;
    int r;

    request.namespace_ = member_text(member_object(object, "metadata"), "namespace");
    r = inject(work->job->injector, &request, &work->msg, &answer);
    if (r == 0) {
        r = keep_warnings(work, answer.warnings);
        if (answer.verdict != INJECT_YES)
            r = errmsg_set(&work->msg, -EINVAL, "%s", answer.denial.text);
        else if (r == 0 && !(*ret_after = tree_patch(object, answer.patch)))
            r = -ENOMEM;
        inject_answer_release(&answer);
    }
    if (r == -EINVAL)
        errmsg_prefix(&work->msg, r, "failed to inject %.*s/%.*s", SLICE_ARGS(work->report->kind), SLICE_ARGS(work->report->name));
    json_decref(object);
    return r;
}

static int inject_workload(struct work *work, json_t *clean, json_t **ret_after)
{
    struct workload workload;
    struct decision decision;
    json_t *annotated;
    int r;

    workload_read(clean, &workload);
    if (json_object_get(member_object(workload.meta, "labels"), "linkerd.io/control-plane-component") && !work->job->injector)
        return errmsg_set(&work->msg, -EINVAL, "--manual must be set when injecting control plane components: %.*s/%.*s",
                          SLICE_ARGS(work->report->kind), SLICE_ARGS(work->report->name));
    decision = decide(&workload, NULL, work->job->projected, INJECT_COMMAND);
    work->report->skips = decision.skips;
    work->report->udp = pod_has_udp_port(workload.spec);
    work->report->annotatable = workload.spec;
    r = check_skips(work);
    if (r < 0)
        return r;
    if (decision.skips) {
        *ret_after = json_incref(work->before);
        return 0;
    }
    work->report->injected = true;
    annotated = annotate_wanted(work, clean, &workload, false);
    if (!annotated)
        return -ENOMEM;
    if (work->job->injector)
        return put_proxy(work, annotated, ret_after);
    *ret_after = annotated;
    return 0;
}

static int inject_object(struct work *work, json_t **ret_after)
{
    struct uninjection how = {.text = work->text, .node = work->node, .keep_ingress = true};
    bool namespace = strcmp(member_text(work->before, "kind"), "Namespace") == 0;
    struct workload workload;
    json_t *clean;
    int r;

    workload_read(work->before, &workload);
    if (workload_is_service(&workload) || namespace) {
        work->report->annotatable = true;
        work->report->annotated = namespace;
        work->report->skips = 1u << SKIP_UNSUPPORTED;
        *ret_after = namespace ? annotate_wanted(work, work->before, &workload, true) : annotate_service(work);
        return *ret_after ? 0 : -ENOMEM;
    }
    clean = tree_uninject(work->before, &how); /* what was put in before is put in anew */
    r = clean ? inject_workload(work, clean, ret_after) : -ENOMEM;
    json_decref(clean);
    return r;
}

static int uninject_object(struct work *work, json_t **ret_after)
{
    struct uninjection how = {.text = work->text, .node = work->node};

    *ret_after = tree_uninject(work->before, &how);
    work->report->uninjected = how.removed;
    return *ret_after ? 0 : -ENOMEM;
}

/* --- documents --- */

struct pass {
    const struct manifest_job *job;
    struct manifest_reports *reports;
    struct slice text;
    struct splice *splice;
    struct errmsg msg;
};

/* `before` is one object; *ret_after the same or what became of it, a new reference. */
static int change_one(struct pass *pass, const struct yaml_node *node, json_t *before, json_t **ret_after)
{
    struct work work = {.job = pass->job, .reports = pass->reports, .text = pass->text, .node = node, .before = before};
    int r;

    work.report = add_report(pass->reports, before);
    if (!work.report)
        return -ENOMEM;
    if (!json_is_object(before) || !work.report->kind.len) {
        *ret_after = json_incref(before);
        return 0;
    }
    r = pass->job->change == CHANGE_INJECT ? inject_object(&work, ret_after) : uninject_object(&work, ret_after);
    if (r == 0 && *ret_after != before && pass->job->form != FORM_JSON) {
        r = splice_object(pass->splice, node, before, *ret_after, &work.msg);
        if (r == -EINVAL)
            errmsg_prefix(&work.msg, r, "cannot change %.*s/%.*s in its place", SLICE_ARGS(work.report->kind), SLICE_ARGS(work.report->name));
        if (r < 0)
            json_decref(*ret_after);
    }
    if (r < 0)
        *ret_after = NULL;
    pass->msg = work.msg;
    return r;
}

static bool is_list_of_objects(const struct yaml_node *root)
{
    const struct yaml_node *kind = yaml_get_lit(root, "kind"), *items = yaml_get_lit(root, "items");

    return kind && kind->kind == YAML_STRING && slice_eq(kind->text, SLICE_LIT("List")) && items && items->kind == YAML_LIST && !items->aliased;
}

/* The whole document after: `before` itself when nothing changed. */
static int change_list(struct pass *pass, const struct yaml_node *root, json_t *before, json_t **ret_after)
{
    const json_t *items = json_object_get(before, "items");
    json_t *copy = copy_shallow(before), *list = json_array(), *after;
    size_t i = 0;
    int r = copy && list ? 0 : -ENOMEM;

    for (const struct yaml_item *item = yaml_get_lit(root, "items")->items; item && r == 0; item = item->next, i++) {
        r = change_one(pass, item->value, json_array_get(items, i), &after);
        if (r == 0 && json_array_append_new(list, after) < 0)
            r = -ENOMEM;
    }
    if (r == 0 && json_object_set_nocheck(copy, "items", list) < 0)
        r = -ENOMEM;
    json_decref(list);
    if (r == 0)
        *ret_after = copy;
    else
        json_decref(copy);
    return r;
}

/* What is printed is read again: it must be what was meant. Else nothing is printed. */
static int check_text(struct slice text, const struct yaml_document *document, const json_t *after, struct errmsg *msg)
{
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    struct arena arena;
    int r;

    arena_init(&arena, LIMIT_INJECT_ARENA);
    r = yaml_parse(&arena, text, document->line, YAML, &root, &problem);
    if (r == -EINVAL || (r == 0 && !tree_is_read_from(root, after)))
        r = errmsg_set(msg, -EINVAL, "this document is written in a way in which it cannot be changed in its place; -o json writes it anew");
    else if (r < 0)
        r = errmsg_set(msg, r, "%s", problem.msg.text);
    arena_release(&arena);
    return r;
}

static int write_document(struct pass *pass, const struct yaml_document *document, const json_t *after, struct buffer *out)
{
    size_t start = out->len;
    int r;

    if (pass->job->form == FORM_JSON) {
        value_to_json(after, out);
        return buffer_add_byte(out, '\n');
    }
    r = splice_apply(pass->splice, out);
    if (r == 0 && pass->splice->count)
        r = check_text(slice_skip(buffer_slice(out), start), document, after, &pass->msg);
    return r;
}

static int change_tree(struct pass *pass, const struct yaml_document *document, const struct yaml_node *root, struct buffer *out)
{
    json_t *before = from_yaml_node(root), *after = NULL;
    int r = before ? 0 : errmsg_set(&pass->msg, -EINVAL, "line %d: a number that JSON does not have, or no memory left", document->line);

    if (r == 0)
        r = is_list_of_objects(root) ? change_list(pass, root, before, &after) : change_one(pass, root, before, &after);
    if (r == 0)
        r = write_document(pass, document, after, out);
    json_decref(before);
    json_decref(after);
    return r;
}

int manifest_change(const struct manifest_job *job, const char *file, const struct yaml_document *document, struct manifest_reports *reports,
                    struct buffer *ret_text)
{
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    struct splice splice;
    struct arena arena;
    int r;

    arena_init(&arena, LIMIT_INJECT_ARENA);
    r = yaml_parse(&arena, document->text, document->line, YAML, &root, &problem);
    if (r < 0 && r != -ENOMEM) {
        buffer_printf(reports->errors, "%s:%d:%d: %s\n", file, problem.line, problem.column, problem.msg.text);
        arena_release(&arena);
        return buffer_error(reports->errors);
    }
    splice_init(&splice, document->text, document->line, root);
    if (r == 0) {
        struct pass pass = {job, reports, document->text, &splice, {""}};

        r = root ? change_tree(&pass, document, root, ret_text) : buffer_add(ret_text, document->text);
        if (r < 0 && *pass.msg.text) {
            buffer_printf(reports->errors, "%s: %s\n", file, pass.msg.text);
            r = buffer_error(reports->errors);
        }
    }
    splice_release(&splice);
    arena_release(&arena);
    return r;
}
