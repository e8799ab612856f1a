/* `linkerd uninstall`: the objects of a control plane, for kubectl delete. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/chart/values.h"
#include "cli/cluster/resources.h"
#include "cli/command.h"
#include "cli/install/install_cluster.h"
#include "cli/install/manifest.h"

static const char COMMAND[] = "uninstall";
static const int64_t TIMEOUT_NS = 30 * NS_PER_S;

enum { TOLD = 10, KEY = 600 };

struct uninstall {
    struct kube_flags kube;
    const char *output, *namespace_;
    bool force;
};

static const struct flag flags[] = {
    KUBE_FLAGS(struct uninstall, kube),
    {"force", 'f', FLAG_SWITCH, offsetof(struct uninstall, force), .help = "Although there are injected pods and extensions"},
    {"output", 'o', FLAG_CHOICE, offsetof(struct uninstall, output), "yaml", "yaml|json", .help = "Form of the objects"},
    {"linkerd-namespace", 'L', FLAG_TEXT, offsetof(struct uninstall, namespace_), "linkerd", .value = "NAME", .help = "Namespace of the control plane"},
};

struct run {
    const struct uninstall *options;
    struct kube *kube;
    struct buffer *out;
    json_t *printed;
    size_t pods, extensions;
    bool has_namespace;
    char foreign_gateway[256];
};

/* --- who still needs it --- */

static const char *text_at(json_t *object, const char *path)
{
    const char *text = json_string_value(values_at(object, path));

    return text ? text : "";
}

static int note_pod(void *owner, json_t *pod, struct errmsg *msg)
{
    struct run *run = owner;
    const char *space = text_at(pod, "metadata.namespace");

    if (strcmp(space, run->options->namespace_) != 0 && run->pods++ < TOLD)
        complain("%s: pod %s/%s is injected", COMMAND, space, text_at(pod, "metadata.name"));
    return 0;
}

static int note_extension(void *owner, json_t *object, struct errmsg *msg)
{
    struct run *run = owner;
    const char *name = json_string_value(json_object_get(values_at(object, "metadata.labels"), "linkerd.io/extension"));

    run->extensions++;
    complain("%s: the extension %s is installed in the namespace %s", COMMAND, name ? name : "", text_at(object, "metadata.name"));
    return 0;
}

static int check_not_needed(struct run *run, struct errmsg *msg)
{
    char path[700];
    int r;

    snprintf(path, sizeof(path), "/api/v1/pods?labelSelector=linkerd.io%%2Fcontrol-plane-ns%%3D%s&fieldSelector="
             "status.phase%%21%%3DSucceeded%%2Cstatus.phase%%21%%3DFailed", run->options->namespace_);
    r = kube_list_metadata(run->kube, path, note_pod, run, msg);
    if (r == 0)
        r = kube_list_metadata(run->kube, "/api/v1/namespaces?labelSelector=linkerd.io%2Fextension", note_extension, run, msg);
    if (r < 0 || (!run->pods && !run->extensions))
        return r;
    return errmsg_set(msg, -EBUSY, "%zu injected pods and %zu extensions still need the control plane: take the proxies out (linkerd uninject) and "
                      "uninstall the extensions first, or say --force", run->pods, run->extensions);
}

/* --- definitions --- */

static int count(void *owner, json_t *object, struct errmsg *msg)
{
    size_t *total = owner;

    (*total)++;
    return 0;
}

/* The version to ask for objects in; "" when none is served. */
static const char *served_version(json_t *definition)
{
    json_t *version;
    size_t index;

    json_array_foreach (values_at(definition, "spec.versions"), index, version)
        if (json_is_true(json_object_get(version, "served")))
            return text_at(version, "name");
    return "";
}

static int count_objects(const struct run *run, const char *name, struct errmsg *msg, size_t *ret_count)
{
    json_t *definition = NULL;
    const char *version;
    char path[700];
    int r;

    *ret_count = 0;
    snprintf(path, sizeof(path), "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", name);
    r = kube_get(run->kube, path, msg, &definition);
    if (r < 0)
        return r;
    version = served_version(definition);
    snprintf(path, sizeof(path), "/apis/%s/%s/%s", text_at(definition, "spec.group"), version, text_at(definition, "spec.names.plural"));
    if (*version)
        r = kube_list_metadata(run->kube, path, count, ret_count, msg);
    json_decref(definition);
    return r == -ENOENT ? 0 : r;
}

/*
 * Linkerd's own definitions go, with the objects of users in them, since they mean nothing to anybody else. Those of others that came with the installation
 * (Gateway API) go only when nobody can be using them.
 */
static int may_go(const struct run *run, const char *name, struct errmsg *msg, bool *ret_may)
{
    bool is_ours = slice_ends(slice_str(name), SLICE_LIT("linkerd.io"));
    size_t objects;
    int r = count_objects(run, name, msg, &objects);

    if (r < 0)
        return r;
    *ret_may = is_ours || (objects == 0 && !*run->foreign_gateway);
    if (!*ret_may && objects)
        complain("%s: the definition %s stays: there are %zu objects of it", COMMAND, name, objects);
    else if (!*ret_may)
        complain("%s: the definition %s stays: something else has brought definitions of the same API (%s)", COMMAND, name, run->foreign_gateway);
    else if (objects)
        complain("%s: with the definition %s go the %zu objects of it", COMMAND, name, objects);
    return 0;
}

/* --- objects --- */

static int print_once(struct run *run, const struct resource *resource, struct errmsg *msg)
{
    char key[KEY];

    manifest_key(resource->kind->kind, resource->namespace_, resource->name, key, sizeof(key));
    if (json_object_get(run->printed, key))
        return 0;
    resource_print(resource, run->options->output, run->out);
    if (buffer_error(run->out) || json_object_set_new(run->printed, key, json_true()) < 0)
        return errmsg_set(msg, -ENOMEM, "more objects than can be printed at once");
    return 0;
}

static int take(void *owner, const struct resource *resource, struct errmsg *msg)
{
    struct run *run = owner;
    bool may = true;
    int r = 0;

    if (strcmp(resource->kind->kind, "CustomResourceDefinition") == 0)
        r = may_go(run, resource->name, msg, &may);
    if (strcmp(resource->kind->kind, "Namespace") == 0) {
        may = strcmp(resource->name, run->options->namespace_) == 0; /* others only carry the label */
        run->has_namespace = run->has_namespace || may;
        if (may) /* before it goes: what it would take along anyway */
            r = resources_made_each(run->kube, run->options->namespace_, take, run, msg);
    }
    return r == 0 && may ? print_once(run, resource, msg) : r;
}

static int uninstall(struct run *run, struct errmsg *msg)
{
    const struct uninstall *options = run->options;
    int r = namespace_check(options->namespace_, msg);

    if (r == 0)
        r = kube_open(&options->kube, TIMEOUT_NS, msg, &run->kube);
    if (r == 0 && !options->force)
        r = check_not_needed(run, msg);
    if (r == 0)
        r = cluster_foreign_gateway(run->kube, msg, run->foreign_gateway, sizeof(run->foreign_gateway));
    if (r == 0)
        r = resources_each(run->kube, options->namespace_, take, run, msg);
    if (r == 0 && !run->has_namespace)
        r = resources_made_each(run->kube, options->namespace_, take, run, msg);
    if (r == 0 && !run->has_namespace && run->out->len)
        complain("%s: the namespace %s stays: the installation did not bring it", COMMAND, options->namespace_);
    return r;
}

static int uninstall_main(void *options, const struct words *arguments)
{
    struct errmsg msg = {""};
    struct buffer out;
    struct run run = {.options = options, .out = &out, .printed = json_object()};
    int r;

    buffer_init(&out, LIMIT_TEMPLATE_OUTPUT);
    r = uninstall(&run, &msg);
    if (r < 0)
        complain("%s: %s", COMMAND, msg.text);
    else if (!out.len)
        complain("%s: there is no control plane of the namespace %s", COMMAND, run.options->namespace_);
    fwrite(out.data ? out.data : "", 1, r == 0 ? out.len : 0, stdout);
    buffer_release(&out);
    json_decref(run.printed);
    kube_close(run.kube);
    return r < 0 ? STATUS_FAILED : STATUS_DONE;
}

const struct command uninstall_command = {
    .name = "uninstall",
    .usage = "",
    .summary = "Print the objects of a control plane, for kubectl delete",
    .about = "  linkerd uninstall | kubectl delete -f -\n\n"
             "Webhook configurations come first, so that nothing waits for a webhook that is gone. Refused while pods are injected or extensions are\n"
             "installed, unless --force. What stays, and what goes along with a definition, is said on standard error.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct uninstall),
    .run = uninstall_main,
};
