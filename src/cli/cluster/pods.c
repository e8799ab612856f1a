#include "cli/cluster/pods.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

json_t *json_at(const json_t *object, const char *path)
{
    struct slice rest = slice_str(path), name;
    json_t *at = (json_t *)(uintptr_t)object;

    while (at && slice_split(&rest, '.', &name))
        at = json_object_getn(at, name.ptr, name.len);
    return at;
}

const char *json_text(const json_t *object, const char *path)
{
    const char *text = json_string_value(json_at(object, path));

    return text ? text : "";
}

/* --- what is kept of a pod --- */

static json_t *keep(const json_t *from, const char *const names[])
{
    json_t *kept = json_object();

    for (; *names; names++)
        if (json_object_get(from, *names))
            json_object_set(kept, *names, json_object_get(from, *names));
    return kept;
}

static const json_t *status_of(const json_t *pod, const char *list, const char *name)
{
    json_t *status;
    size_t i;

    json_array_foreach (json_at(pod, list), i, status)
        if (strcmp(json_text(status, "name"), name) == 0)
            return status;
    return NULL;
}

static void keep_containers(const json_t *pod, const char *list, const char *statuses, json_t *kept)
{
    static const char *const names[] = {"name", "image", "ports", NULL}, *const of_proxy[] = {"name", "image", "ports", "env", NULL};
    json_t *container;
    size_t i;

    json_array_foreach (json_at(pod, list), i, container) {
        bool is_proxy = strcmp(json_text(container, "name"), "linkerd-proxy") == 0;
        json_t *one = keep(container, is_proxy ? of_proxy : names);

        json_object_set_new(one, "ready", json_boolean(json_is_true(json_object_get(status_of(pod, statuses, json_text(container, "name")), "ready"))));
        if (is_proxy)
            json_object_set(kept, "proxy", one);
        json_array_append_new(json_object_get(kept, "containers"), one);
    }
}

static json_t *keep_pod(const json_t *pod)
{
    static const char *const meta[] = {"namespace", "name", "labels", "annotations", "ownerReferences", NULL};
    static const char *const spec[] = {"nodeName", "hostNetwork", "serviceAccountName", NULL};
    static const char *const status[] = {"phase", "podIPs", "conditions", NULL};
    json_t *kept = json_object();

    json_object_set_new(kept, "metadata", keep(json_object_get(pod, "metadata"), meta));
    json_object_set_new(kept, "spec", keep(json_object_get(pod, "spec"), spec));
    json_object_set_new(kept, "status", keep(json_object_get(pod, "status"), status));
    json_object_set_new(kept, "containers", json_array());
    keep_containers(pod, "spec.initContainers", "status.initContainerStatuses", kept);
    keep_containers(pod, "spec.containers", "status.containerStatuses", kept);
    return kept;
}

static bool has_ended(const json_t *pod)
{
    const char *phase = json_text(pod, "status.phase");

    return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

/* --- lists --- */

void add_query_escaped(struct buffer *to, const char *text)
{
    for (; *text; text++)
        if ((*text >= '0' && *text <= '9') || (*text >= 'A' && *text <= 'Z') || (*text >= 'a' && *text <= 'z') || strchr("-._~", *text))
            buffer_add_byte(to, *text);
        else
            buffer_printf(to, "%%%02X", (unsigned char)*text);
}

struct walk {
    kube_each *each;
    void *owner;
};

static int on_pod(void *opaque, json_t *pod, struct errmsg *msg)
{
    struct walk *walk = opaque;
    json_t *kept;
    int r;

    if (has_ended(pod))
        return 0;
    kept = keep_pod(pod);
    if (!kept)
        return errmsg_set(msg, -ENOMEM, "out of memory");
    r = walk->each(walk->owner, kept, msg);
    json_decref(kept);
    return r;
}

int pods_each(struct kube *kube, const char *namespace_, const char *selector, kube_each *each, void *owner, struct errmsg *msg)
{
    struct walk walk = {each, owner};
    struct buffer path;
    int r;

    buffer_init(&path, LIMIT_API_TEXT);
    buffer_printf(&path, *namespace_ ? "/api/v1/namespaces/%s/pods" : "/api/v1%s/pods", namespace_);
    if (*selector)
        buffer_printf(&path, "?labelSelector=%s", selector);
    buffer_add_byte(&path, '\0');
    r = buffer_error(&path);
    r = r < 0 ? errmsg_set(msg, r, "out of memory") : kube_list(kube, path.data, on_pod, &walk, msg);
    buffer_release(&path);
    return r;
}

static int collect(void *owner, json_t *pod, struct errmsg *msg)
{
    return json_array_append(owner, pod) < 0 ? errmsg_set(msg, -ENOMEM, "out of memory") : 0;
}

int pods_list(struct kube *kube, const char *namespace_, const char *selector, struct errmsg *msg, json_t **ret_pods)
{
    json_t *pods = json_array();
    int r = pods_each(kube, namespace_, selector, collect, pods, msg);

    if (r < 0)
        json_decref(pods);
    else
        *ret_pods = pods;
    return r;
}

/* --- of a name --- */

int pod_get(struct kube *kube, const char *namespace_, const char *name, struct errmsg *msg, json_t **ret_pod)
{
    json_t *pod;
    char path[600];
    int r;

    snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s", namespace_, name);
    r = kube_get(kube, path, msg, &pod);
    if (r < 0)
        return r;
    *ret_pod = keep_pod(pod);
    json_decref(pod);
    return 0;
}

static const struct kind {
    const char *names; /* as users write it, with bars around each */
    const char *api, *resource;
    bool map;          /* its selector is a map of labels */
} kinds[] = {
    {"|deployment|deployments|deploy|", "/apis/apps/v1", "deployments", false},
    {"|daemonset|daemonsets|ds|", "/apis/apps/v1", "daemonsets", false},
    {"|statefulset|statefulsets|sts|", "/apis/apps/v1", "statefulsets", false},
    {"|replicaset|replicasets|rs|", "/apis/apps/v1", "replicasets", false},
    {"|job|jobs|", "/apis/batch/v1", "jobs", false},
    {"|replicationcontroller|replicationcontrollers|rc|", "/api/v1", "replicationcontrollers", true},
    {"|service|services|svc|", "/api/v1", "services", true},
};

static bool is_named(const char *names, struct slice name)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "|%.*s|", SLICE_ARGS(name));

    return n > 2 && n < (int)sizeof(text) && strstr(names, text);
}

/* A label selector as the query has it. */
static void add_requirement(const json_t *expression, struct buffer *out)
{
    const char *key = json_text(expression, "key"), *op = json_text(expression, "operator");
    json_t *value;
    size_t i;

    if (strcmp(op, "DoesNotExist") == 0)
        add_query_escaped(out, "!");
    add_query_escaped(out, key);
    if (strcmp(op, "In") != 0 && strcmp(op, "NotIn") != 0)
        return;
    add_query_escaped(out, strcmp(op, "In") == 0 ? " in (" : " notin (");
    json_array_foreach (json_object_get(expression, "values"), i, value) {
        add_query_escaped(out, i ? "," : "");
        add_query_escaped(out, json_string_value(value) ? json_string_value(value) : "");
    }
    add_query_escaped(out, ")");
}

static void add_selector(json_t *labels, const json_t *expressions, struct buffer *out)
{
    const char *name;
    json_t *value;
    size_t i;

    json_object_foreach (labels, name, value) {
        add_query_escaped(out, out->len ? "," : "");
        add_query_escaped(out, name);
        add_query_escaped(out, "=");
        add_query_escaped(out, json_string_value(value) ? json_string_value(value) : "");
    }
    json_array_foreach (expressions, i, value) {
        add_query_escaped(out, out->len ? "," : "");
        add_requirement(value, out);
    }
    buffer_add_byte(out, '\0');
}

static int pods_selected(struct kube *kube, const struct kind *kind, const char *namespace_, const char *name, struct errmsg *msg,
                         json_t **ret_pods)
{
    struct buffer selector;
    json_t *object;
    char path[600];
    int r;

    snprintf(path, sizeof(path), "%s/namespaces/%s/%s/%s", kind->api, namespace_, kind->resource, name);
    r = kube_get(kube, path, msg, &object);
    if (r < 0)
        return r;
    buffer_init(&selector, LIMIT_API_TEXT);
    add_selector(json_at(object, kind->map ? "spec.selector" : "spec.selector.matchLabels"),
                 kind->map ? NULL : json_at(object, "spec.selector.matchExpressions"), &selector);
    json_decref(object);
    if (buffer_error(&selector))
        r = errmsg_set(msg, buffer_error(&selector), "out of memory");
    else if (selector.len <= 1)
        r = errmsg_set(msg, -ENOENT, "%s/%s selects no pods", kind->resource, name);
    else
        r = pods_list(kube, namespace_, selector.data, msg, ret_pods);
    buffer_release(&selector);
    return r;
}

static int pods_named(struct kube *kube, const char *namespace_, struct slice kind, const char *name, struct errmsg *msg, json_t **ret_pods)
{
    json_t *pod;
    int r;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (is_named(kinds[i].names, kind))
            return pods_selected(kube, &kinds[i], namespace_, name, msg, ret_pods);
    if (is_named("|namespace|namespaces|ns|", kind))
        return pods_list(kube, name, "", msg, ret_pods);
    if (!is_named("|pod|pods|po|", kind))
        return errmsg_set(msg, -EINVAL, "\"%.*s\" is no kind that has pods: expected pod, deploy, ds, sts, rs, rc, job, svc or ns", SLICE_ARGS(kind));
    r = pod_get(kube, namespace_, name, msg, &pod);
    if (r < 0)
        return r;
    *ret_pods = json_array();
    return json_array_append_new(*ret_pods, pod) < 0 ? errmsg_set(msg, -ENOMEM, "out of memory") : 0;
}

static bool is_label_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= '0' && s.ptr[i] <= '9') || s.ptr[i] == '-' || s.ptr[i] == '.'))
            return false;
    return s.len > 0 && s.len <= 253;
}

int pods_of(struct kube *kube, const char *namespace_, const char *resource, struct errmsg *msg, json_t **ret_pods)
{
    const char *slash = strchr(resource, '/');
    struct slice kind = slash ? slice_of(resource, (size_t)(slash - resource)) : SLICE_LIT("pod");
    const char *name = slash ? slash + 1 : resource;
    json_t *pods = NULL;
    int r;

    if (!is_label_name(slice_str(name)) || !is_label_name(slice_str(namespace_)))
        return errmsg_set(msg, -EINVAL, "\"%s\" is no name of a resource: expected KIND/NAME, such as deploy/web", resource);
    r = pods_named(kube, namespace_, kind, name, msg, &pods);
    if (r == 0 && json_array_size(pods) == 0)
        r = errmsg_set(msg, -ENOENT, "%s in the namespace %s has no pods that run", resource, namespace_);
    if (r < 0)
        json_decref(pods);
    else
        *ret_pods = pods;
    return r;
}

/* --- looking at one --- */

bool pod_is_ready(const json_t *pod)
{
    json_t *condition;
    size_t i;

    json_array_foreach (json_at(pod, "status.conditions"), i, condition)
        if (strcmp(json_text(condition, "type"), "Ready") == 0)
            return strcmp(json_text(condition, "status"), "True") == 0;
    return false;
}

uint16_t container_port(const json_t *container, const char *name)
{
    json_t *port;
    size_t i;

    json_array_foreach (json_object_get(container, "ports"), i, port)
        if (strcmp(json_text(port, "name"), name) == 0)
            return (uint16_t)json_integer_value(json_object_get(port, "containerPort"));
    return 0;
}

uint16_t pod_proxy_admin(const json_t *pod)
{
    uint16_t port = container_port(json_object_get(pod, "proxy"), "linkerd-admin");

    return port ? port : PROXY_ADMIN_PORT;
}

const char *image_version(const char *image)
{
    const char *digest = strchr(image, '@'), *slash = strrchr(image, '/');
    const char *tag = strchr(slash ? slash : image, ':');

    return digest ? digest + 1 : tag ? tag + 1 : "";
}

const char *pod_proxy_version(const json_t *pod)
{
    const char *said = json_string_value(json_object_get(json_at(pod, "metadata.annotations"), "linkerd.io/proxy-version"));

    return said && *said ? said : image_version(json_text(pod, "proxy.image"));
}
