/* `linkerd prune`: objects of earlier versions of an installation, which its manifests do not have any more. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/chart/chart.h"
#include "cli/chart/values.h"
#include "cli/cluster/resources.h"
#include "cli/command.h"
#include "cli/install/install_cluster.h"
#include "cli/install/install_render.h"
#include "cli/install/manifest.h"
#include "cli/install/upgrade.h"

static const char COMMAND[] = "prune";
static const int64_t TIMEOUT_NS = 30 * NS_PER_S;

struct prune {
    struct kube_flags kube;
    const char *output, *namespace_;
};

static const struct flag flags[] = {
    KUBE_FLAGS(struct prune, kube),
    {"output", 'o', FLAG_CHOICE, offsetof(struct prune, output), "yaml", "yaml|json", .help = "Form of the objects"},
    {"linkerd-namespace", 'L', FLAG_TEXT, offsetof(struct prune, namespace_), "linkerd", .value = "NAME", .help = "Namespace of the control plane"},
};

/* --- what the installation consists of --- */

enum { KEY = 600 };

static int add_keys(json_t *keys, struct slice text, struct errmsg *msg)
{
    json_t *objects = NULL, *object;
    size_t index;
    int r = manifest_read(text, "manifests", msg, &objects);

    json_array_foreach (objects, index, object) {
        char key[KEY];

        manifest_key(json_string_value(json_object_get(object, "kind")), json_string_value(values_at(object, "metadata.namespace")),
                     json_string_value(values_at(object, "metadata.name")), key, sizeof(key));
        if (r == 0 && json_object_set_new(keys, key, json_true()) < 0)
            r = errmsg_set(msg, -ENOMEM, "out of memory");
    }
    json_decref(objects);
    return r;
}

static int keys_of_installation(const struct found *found, json_t *keys, struct errmsg *msg)
{
    struct buffer text, problems;
    json_t *values = NULL;
    int r = upgrade_values(found, msg, &values);

    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    buffer_init(&problems, LIMIT_TEMPLATE_FILE);
    if (r == 0)
        r = install_render(CHART_CONTROL_PLANE, found->namespace_, values, NULL, msg, &problems, &text);
    if (r < 0 && problems.len)
        errmsg_set(msg, r, "%.*s", SLICE_ARGS(slice_take(buffer_slice(&problems), slice_find(buffer_slice(&problems), '\n'))));
    if (r == 0)
        r = add_keys(keys, buffer_slice(&text), msg);
    install_text_release(&text);
    buffer_release(&problems);
    json_decref(values);
    return r;
}

/* --- what the cluster has beyond that --- */

struct search {
    const struct prune *options;
    json_t *keys;
    struct buffer *out;
};

static void key_of(const struct resource *resource, char key[KEY])
{
    manifest_key(resource->kind->kind, resource->namespace_, resource->name, key, KEY);
}

/* What programs make is no leftover. */
static int keep(void *owner, const struct resource *resource, struct errmsg *msg)
{
    const struct search *search = owner;
    char key[KEY];

    key_of(resource, key);
    return json_object_set_new(search->keys, key, json_true()) < 0 ? errmsg_set(msg, -ENOMEM, "out of memory") : 0;
}

static int print_if_left(void *owner, const struct resource *resource, struct errmsg *msg)
{
    const struct search *search = owner;
    char key[KEY];

    key_of(resource, key);
    if (resource->kind->is_shared || json_object_get(search->keys, key))
        return 0;
    resource_print(resource, search->options->output, search->out);
    return buffer_error(search->out) ? errmsg_set(msg, buffer_error(search->out), "more leftovers than can be printed at once") : 0;
}

static int prune(const struct prune *options, struct errmsg *msg, struct buffer *out)
{
    struct found found = {NULL, NULL, options->namespace_, COMMAND};
    struct search search = {options, json_object(), out};
    int r = namespace_check(options->namespace_, msg);

    if (r == 0)
        r = kube_open(&options->kube, TIMEOUT_NS, msg, &found.kube);
    if (r == 0)
        r = cluster_check_version(found.kube, msg);
    if (r == 0)
        r = keys_of_installation(&found, search.keys, msg);
    if (r == 0)
        r = resources_made_each(found.kube, options->namespace_, keep, &search, msg);
    if (r == 0)
        r = resources_each(found.kube, options->namespace_, print_if_left, &search, msg);
    json_decref(search.keys);
    kube_close(found.kube);
    return r;
}

static int prune_main(void *options, const struct words *arguments)
{
    struct errmsg msg = {""};
    struct buffer out;
    int r;

    buffer_init(&out, LIMIT_TEMPLATE_OUTPUT);
    r = prune(options, &msg, &out);
    if (r < 0)
        complain("%s: %s", COMMAND, msg.text);
    else if (!out.len)
        complain("%s: nothing is left of earlier versions", COMMAND);
    fwrite(out.data ? out.data : "", 1, r == 0 ? out.len : 0, stdout);
    buffer_release(&out);
    return r < 0 ? STATUS_FAILED : STATUS_DONE;
}

const struct command prune_command = {
    .name = "prune",
    .usage = "",
    .summary = "Print what earlier versions of an installation left in the cluster",
    .about = "Prints the objects that carry the label of this control plane and that its manifests of today do not have, for\n\n"
             "  linkerd prune | kubectl delete -f -\n\n"
             "after an upgrade. Definitions of resources and namespaces are never among them: what users made would go with them.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct prune),
    .run = prune_main,
};
