#include "inject/workload.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *kind, *label, *prefix;
} kinds[] = {
    {"Pod", NULL, ""},
    {"Deployment", "linkerd.io/proxy-deployment", "/spec/template"},
    {"DaemonSet", "linkerd.io/proxy-daemonset", "/spec/template"},
    {"StatefulSet", "linkerd.io/proxy-statefulset", "/spec/template"},
    {"ReplicaSet", "linkerd.io/proxy-replicaset", "/spec/template"},
    {"ReplicationController", "linkerd.io/proxy-replicationcontroller", "/spec/template"},
    {"Job", "linkerd.io/proxy-job", "/spec/template"},
    {"CronJob", "linkerd.io/proxy-cronjob", "/spec/jobTemplate/spec/template"},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

json_t *member_object(const json_t *object, const char *name)
{
    json_t *member = json_object_get(object, name);

    return json_is_object(member) ? member : NULL;
}

json_t *member_array(const json_t *object, const char *name)
{
    json_t *member = json_object_get(object, name);

    return json_is_array(member) ? member : NULL;
}

const char *member_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

const char *meta_annotation(const json_t *meta, const char *name)
{
    return json_string_value(json_object_get(member_object(meta, "annotations"), name));
}

/* What a pointer such as "/spec/template" leads to. */
static json_t *follow(json_t *object, const char *pointer)
{
    while (object && *pointer) {
        size_t len = strcspn(++pointer, "/");
        json_t *next = json_object_getn(object, pointer, len);

        object = json_is_object(next) ? next : NULL;
        pointer += len;
    }
    return object;
}

void workload_read(json_t *object, struct workload *ret_workload)
{
    *ret_workload = (struct workload){.object = object, .kind = member_text(object, "kind"), .prefix = ""};
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(ret_workload->kind, kinds[i].kind) != 0)
            continue;
        ret_workload->label = kinds[i].label;
        ret_workload->prefix = kinds[i].prefix;
        ret_workload->pod = follow(object, kinds[i].prefix);
    }
    ret_workload->meta = member_object(ret_workload->pod, "metadata");
    ret_workload->spec = member_object(ret_workload->pod, "spec");
}

bool workload_is_service(const struct workload *workload)
{
    return strcmp(workload->kind, "Service") == 0;
}

const char *workload_label(const char *kind)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcasecmp(kind, kinds[i].kind) == 0)
            return kinds[i].label;
    return NULL;
}

json_t *pod_first_container(const json_t *spec)
{
    return json_array_get(member_array(spec, "containers"), 0);
}

json_t *pod_token_mount(const json_t *spec)
{
    json_t *mount;
    size_t i;

    json_array_foreach (member_array(pod_first_container(spec), "volumeMounts"), i, mount)
        if (strcmp(member_text(mount, "mountPath"), "/var/run/secrets/kubernetes.io/serviceaccount") == 0)
            return mount;
    return NULL;
}

bool pod_has_udp_port(const json_t *spec)
{
    json_t *container, *port;
    size_t i, k;

    json_array_foreach (member_array(spec, "containers"), i, container)
        json_array_foreach (member_array(container, "ports"), k, port)
            if (strcmp(member_text(port, "protocol"), "UDP") == 0)
                return true;
    return false;
}
