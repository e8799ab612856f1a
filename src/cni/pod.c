#include "cni/pod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "config.linkerd.io/"

/* --- what it is --- */

static const json_t *container_of(const json_t *pod, const char *list, const char *name)
{
    const json_t *containers = json_object_get(json_object_get(pod, "spec"), list);

    for (size_t i = 0; i < json_array_size(containers); i++) {
        const json_t *container = json_array_get(containers, i);
        const char *found = json_string_value(json_object_get(container, "name"));

        if (found && strcmp(found, name) == 0)
            return container;
    }
    return NULL;
}

/* Among the init containers it is a native sidecar. */
static const json_t *proxy_of(const json_t *pod)
{
    const json_t *proxy = container_of(pod, "containers", "linkerd-proxy");

    return proxy ? proxy : container_of(pod, "initContainers", "linkerd-proxy");
}

enum pod_kind pod_kind(const json_t *pod)
{
    if (!proxy_of(pod))
        return POD_PLAIN;
    return container_of(pod, "initContainers", "linkerd-init") ? POD_HAS_INIT : POD_MESHED;
}

bool pod_is_control_plane(const json_t *pod)
{
    const json_t *labels = json_object_get(json_object_get(pod, "metadata"), "labels");
    const char *component = json_string_value(json_object_get(labels, "linkerd.io/control-plane-component"));

    return component && component[0];
}

/* --- its annotations --- */

static const char *annotation_of(const json_t *object, const char *key)
{
    const json_t *annotations = json_object_get(json_object_get(object, "metadata"), "annotations");
    const char *value = json_string_value(json_object_get(annotations, key));

    return value && value[0] ? value : NULL;
}

struct source {
    const json_t *pod, *namespace;
    struct buffer *warnings;
};

static const char *annotation(const struct source *from, const char *key)
{
    const char *value = annotation_of(from->pod, key);

    return value ? value : annotation_of(from->namespace, key);
}

static void read_number(const struct source *from, const char *key, uint64_t min, uint64_t max, uint64_t *value)
{
    const char *text = annotation(from, key);
    uint64_t number;

    if (!text)
        return;
    if (slice_u64(slice_trim(slice_str(text)), max, &number) < 0 || number < min)
        buffer_printf(from->warnings, "%s: \"%s\" is not a number, %llu to %llu; %llu is used\n", key, text,
                      (unsigned long long)min, (unsigned long long)max, (unsigned long long)*value);
    else
        *value = number;
}

/* The list of the annotation in place of the one that is there; it stays when the annotation cannot be read. */
static int read_list(const struct source *from, const char *key, enum list_kind kind, const void **items, size_t *count)
{
    struct list_reading reading = {key, kind, from->warnings, NULL, 0};
    const char *text = annotation(from, key);
    size_t before = from->warnings->len;

    if (!text)
        return 0;
    lists_add(&reading, slice_str(text));
    if (from->warnings->len > before) {
        free(reading.items);
        return 0;
    }
    free((void *)*items);
    *items = reading.items;
    *count = reading.count;
    return buffer_error(from->warnings);
}

static int append_range(const struct port_range **items, size_t *count, uint16_t port)
{
    struct port_range *grown;

    for (size_t i = 0; i < *count; i++)
        if (port_range_has((*items)[i], port))
            return 0;
    grown = realloc((void *)*items, (*count + 1) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    grown[*count] = (struct port_range){port, port};
    *items = grown;
    (*count)++;
    return 0;
}

/* Probes, scrapes and tap reach the proxy itself, whatever list the annotation has. */
static int skip_own_ports(const struct source *from, struct redirect *redirect)
{
    uint64_t control = 4190, admin = 4191;
    int r;

    read_number(from, PREFIX "control-port", 1, UINT16_MAX, &control);
    read_number(from, PREFIX "admin-port", 1, UINT16_MAX, &admin);
    r = append_range(&redirect->skip_inbound, &redirect->skip_inbound_count, (uint16_t)control);
    return r < 0 ? r : append_range(&redirect->skip_inbound, &redirect->skip_inbound_count, (uint16_t)admin);
}

static void read_identity(const struct source *from, struct redirect *redirect)
{
    const json_t *context = json_object_get(proxy_of(from->pod), "securityContext");
    const json_t *user = json_object_get(context, "runAsUser");
    uint64_t uid = redirect->proxy_uid, gid = redirect->proxy_gid;

    read_number(from, PREFIX "proxy-uid", 1, UINT32_MAX - 1, &uid);
    read_number(from, PREFIX "proxy-gid", 1, UINT32_MAX - 1, &gid);
    if (json_is_integer(user) && json_integer_value(user) > 0 && json_integer_value(user) < UINT32_MAX)
        uid = (uint64_t)json_integer_value(user);
    redirect->proxy_uid = (uint32_t)uid;
    redirect->proxy_gid = (uint32_t)gid;
}

int pod_override(const json_t *pod, const json_t *namespace, struct redirect *redirect, struct buffer *warnings)
{
    struct source from = {pod, namespace, warnings};
    uint64_t inbound = redirect->inbound_port, outbound = redirect->outbound_port;
    int r;

    read_number(&from, PREFIX "inbound-port", 1, UINT16_MAX, &inbound);
    read_number(&from, PREFIX "outbound-port", 1, UINT16_MAX, &outbound);
    redirect->inbound_port = (uint16_t)inbound;
    redirect->outbound_port = (uint16_t)outbound;
    read_identity(&from, redirect);
    r = read_list(&from, PREFIX "skip-inbound-ports", LIST_RANGES, (const void **)&redirect->skip_inbound,
                  &redirect->skip_inbound_count);
    if (r == 0)
        r = read_list(&from, PREFIX "skip-outbound-ports", LIST_RANGES, (const void **)&redirect->skip_outbound,
                      &redirect->skip_outbound_count);
    if (r == 0)
        r = read_list(&from, PREFIX "skip-subnets", LIST_NETWORKS, (const void **)&redirect->skip_networks,
                      &redirect->skip_networks_count);
    return r < 0 ? r : skip_own_ports(&from, redirect);
}

/* --- the control plane's own way out --- */

static int skip_port(const json_t *port, struct redirect *redirect)
{
    json_int_t number = json_integer_value(port); /* 0 for a name */

    return number > 0 && number <= UINT16_MAX
               ? append_range(&redirect->skip_outbound, &redirect->skip_outbound_count, (uint16_t)number)
               : 0;
}

int pod_skip_api_server(const json_t *service, struct redirect *redirect)
{
    static const uint16_t usual[] = {443, 6443};
    const json_t *ports = json_object_get(json_object_get(service, "spec"), "ports");
    int r = 0;

    for (size_t i = 0; i < json_array_size(ports) && r == 0; i++) {
        const json_t *port = json_array_get(ports, i);

        r = skip_port(json_object_get(port, "port"), redirect);
        if (r == 0)
            r = skip_port(json_object_get(port, "targetPort"), redirect);
    }
    for (size_t i = 0; i < 2 && r == 0 && !json_array_size(ports); i++)
        r = append_range(&redirect->skip_outbound, &redirect->skip_outbound_count, usual[i]);
    return r;
}
