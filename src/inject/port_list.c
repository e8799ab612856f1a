#include "inject/port_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "inject/workload.h"

enum { PORT_MAX = 65535, PORT_TEXT = 6 };

static int check_port(struct slice text, uint64_t *ret_port)
{
    return slice_u64(text, PORT_MAX, ret_port) < 0 || *ret_port == 0 ? -EINVAL : 0;
}

/* A port, or two with a dash between them, in order. */
static int check_part(struct slice part)
{
    size_t dash = slice_find(part, '-');
    uint64_t first, last;

    if (dash == part.len)
        return check_port(part, &first);
    if (check_port(slice_take(part, dash), &first) < 0 || check_port(slice_skip(part, dash + 1), &last) < 0)
        return -EINVAL;
    return first <= last ? 0 : -EINVAL;
}

static void add_part(struct buffer *list, struct slice part)
{
    if (list->len)
        buffer_add_byte(list, ',');
    buffer_add(list, part);
}

int port_list_check(struct slice list, struct buffer *ret_list)
{
    struct slice part;
    size_t count = 0;

    while (slice_split(&list, ',', &part)) {
        part = slice_trim(part);
        if (part.len == 0)
            continue;
        if (check_part(part) < 0)
            return -EINVAL;
        if (++count > LIMIT_INJECT_PORTS)
            return -ENOBUFS;
        add_part(ret_list, part);
    }
    return buffer_error(ret_list);
}

/* --- names --- */

static uint64_t named_port(const json_t *spec, struct slice name)
{
    json_t *container, *port;
    size_t i, k;

    json_array_foreach (member_array(spec, "containers"), i, container)
        json_array_foreach (member_array(container, "ports"), k, port)
            if (slice_eq(slice_str(member_text(port, "name")), name))
                return (uint64_t)json_integer_value(json_object_get(port, "containerPort"));
    return 0;
}

int port_list_resolve(struct slice list, const json_t *spec, const char *name, struct notes *notes, struct buffer *ret_list)
{
    struct slice part;
    size_t count = 0;

    while (slice_split(&list, ',', &part)) {
        char number[PORT_TEXT];
        uint64_t port;

        part = slice_trim(part);
        if (part.len == 0)
            continue;
        if (++count > LIMIT_INJECT_PORTS)
            return -ENOBUFS;
        port = named_port(spec, part);
        if (port > 0 && port <= PORT_MAX) {
            snprintf(number, sizeof(number), "%u", (unsigned)(uint16_t)port);
            add_part(ret_list, slice_str(number));
        } else if (check_part(part) == 0) {
            add_part(ret_list, part);
        } else if (name) {
            notes_add(notes, "%s: \"%.*s\" is left out: expected a port, a range such as 8000-8010, or the name of a port of the pod", name,
                      SLICE_ARGS(slice_take(part, LIMIT_INJECT_WARNING / 4)));
        }
    }
    return buffer_error(ret_list);
}

/* --- ports of a pod --- */

struct ports {
    char texts[LIMIT_INJECT_PORTS][PORT_TEXT];
    size_t count;
};

static void add_port(struct ports *ports, const json_t *number)
{
    json_int_t port = json_integer_value(number);
    char text[PORT_TEXT];

    if (port < 1 || port > PORT_MAX || ports->count == LIMIT_INJECT_PORTS)
        return;
    snprintf(text, sizeof(text), "%u", (unsigned)(uint16_t)port);
    for (size_t i = 0; i < ports->count; i++)
        if (strcmp(ports->texts[i], text) == 0)
            return;
    memcpy(ports->texts[ports->count++], text, sizeof(text));
}

static void add_container(struct ports *ports, const json_t *container)
{
    static const char *const probes[] = {"livenessProbe", "readinessProbe", "startupProbe"};
    const char *protocol;
    json_t *port;
    size_t i;

    json_array_foreach (member_array(container, "ports"), i, port) {
        protocol = member_text(port, "protocol");
        if (*protocol == 0 || strcmp(protocol, "TCP") == 0)
            add_port(ports, json_object_get(port, "containerPort"));
    }
    for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
        add_port(ports, json_object_get(member_object(member_object(container, probes[i]), "httpGet"), "port"));
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

int port_list_of_pod(const json_t *spec, struct buffer *ret_list)
{
    struct ports ports = {.count = 0};
    json_t *container;
    size_t i;

    json_array_foreach (member_array(spec, "initContainers"), i, container)
        add_container(&ports, container);
    json_array_foreach (member_array(spec, "containers"), i, container)
        add_container(&ports, container);
    qsort(ports.texts, ports.count, sizeof(ports.texts[0]), compare);
    for (i = 0; i < ports.count; i++)
        add_part(ret_list, slice_str(ports.texts[i]));
    return buffer_error(ret_list);
}
