/* `linkerd logs`: what the containers of the control plane write, as they write it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/list.h"
#include "cli/cluster/pods.h"
#include "cli/command.h"
#include "cli/install/install_cluster.h"
#include "cli/streams.h"

static const int64_t TIMEOUT_NS = 30 * NS_PER_S;

struct options {
    const char *container, *component, *tail;
    int64_t since_ns;
    bool timestamps, no_color;
    const char *namespace_;
    struct kube_flags kube;
};

static const struct flag flags[] = {
    {"container", 'c', FLAG_TEXT, offsetof(struct options, container), .value = "NAME", .help = "Only containers of this name (default all)"},
    {"control-plane-component", 0, FLAG_TEXT, offsetof(struct options, component), .value = "NAME",
     .help = "Only pods of this component: destination, identity, proxy-injector (default all)"},
    {"since", 's', FLAG_DURATION, offsetof(struct options, since_ns), "48h", .value = "DURATION", .help = "Only lines that are not older than this"},
    {"tail", 0, FLAG_TEXT, offsetof(struct options, tail), "-1", .value = "LINES", .help = "The last lines of each container to begin with; -1: all"},
    {"timestamps", 't', FLAG_SWITCH, offsetof(struct options, timestamps), .help = "Put the time in front of each line"},
    {"no-color", 'n', FLAG_SWITCH, offsetof(struct options, no_color), .help = "No colours on a terminal"},
    {"linkerd-namespace", 'L', FLAG_TEXT, offsetof(struct options, namespace_), "linkerd", .value = "NAME", .help = "Namespace of the control plane"},
    KUBE_FLAGS(struct options, kube),
};

/* --- the lines of one container --- */

static const char *const colours[] = {"\033[36m", "\033[32m", "\033[35m", "\033[33m", "\033[34m", "\033[31m"};

struct container {
    struct stream stream;
    struct logs *logs;
    const char *pod, *name; /* of the pods that are kept */
    const char *colour;     /* of its pod; NULL: none */
    char *path;
    struct buffer line;     /* that has not ended yet */
};

struct logs {
    const struct options *options;
    json_t *pods; /* as the server has them */
    struct container *containers;
    size_t count;
    bool is_coloured, has_failed;
};

/* False: nobody reads. */
static bool print_line(const struct container *container, struct slice line)
{
    const char *on = container->colour ? container->colour : "", *off = container->colour ? "\033[0m" : "";

    printf("%s%s %s%s ", on, container->pod, container->name, off);
    fwrite(line.ptr, 1, line.len, stdout);
    return putchar('\n') != EOF;
}

/* A line that is longer than what is kept of one is printed in pieces. */
static bool on_bytes(struct stream *stream, struct slice bytes)
{
    struct container *container = CONTAINER_OF(stream, struct container, stream);
    struct buffer *line = &container->line;
    bool fine = true;

    for (size_t i = 0; i < bytes.len && fine; i++) {
        if (bytes.ptr[i] != '\n')
            buffer_add_byte(line, bytes.ptr[i]);
        if (bytes.ptr[i] != '\n' && line->len < LIMIT_LOGS_LINE && !buffer_error(line))
            continue;
        fine = print_line(container, buffer_slice(line));
        buffer_clear(line);
    }
    return fflush(stdout) == 0 && fine;
}

static void on_end(struct stream *stream, const char *why)
{
    struct container *container = CONTAINER_OF(stream, struct container, stream);

    if (container->line.len)
        print_line(container, buffer_slice(&container->line));
    fflush(stdout);
    if (!why)
        return;
    complain("logs: %s %s: %s", container->pod, container->name, why);
    container->logs->has_failed = true;
}

/* --- which containers --- */

/* An init container that did its work has nothing to follow. */
static bool is_done(const json_t *pod, const char *name)
{
    json_t *status, *ended;
    size_t i;

    json_array_foreach (json_at(pod, "status.initContainerStatuses"), i, status) {
        ended = json_at(status, "state.terminated");
        if (strcmp(json_text(status, "name"), name) == 0)
            return ended && json_integer_value(json_object_get(ended, "exitCode")) == 0;
    }
    return false;
}

static int set_path(struct container *container)
{
    const struct options *options = container->logs->options;
    int n = asprintf(&container->path, "/api/v1/namespaces/%s/pods/%s/log?container=%s&follow=true&sinceSeconds=%lld%s%s%s", options->namespace_,
                     container->pod, container->name, (long long)((options->since_ns + NS_PER_S - 1) / NS_PER_S),
                     strcmp(options->tail, "-1") == 0 ? "" : "&tailLines=", strcmp(options->tail, "-1") == 0 ? "" : options->tail,
                     options->timestamps ? "&timestamps=true" : "");

    if (n < 0)
        container->path = NULL;
    container->stream.path = container->path;
    return n < 0 ? -ENOMEM : 0;
}

static int add_container(struct logs *logs, const json_t *pod, const char *name, struct errmsg *msg)
{
    struct container *more = reallocarray(logs->containers, logs->count + 1, sizeof(*more));

    if (!more)
        return errmsg_set(msg, -ENOMEM, "out of memory");
    logs->containers = more;
    if (logs->count == LIMIT_LOGS_CONTAINERS)
        return errmsg_set(msg, -ENOBUFS, "more than %d containers: choose by --control-plane-component or --container", LIMIT_LOGS_CONTAINERS);
    more += logs->count++;
    *more = (struct container){.stream = {.on_bytes = on_bytes, .on_end = on_end}, .logs = logs, .pod = POD_NAME(pod), .name = name};
    if (logs->is_coloured)
        more->colour = colours[(json_array_size(logs->pods) - 1) % (sizeof(colours) / sizeof(colours[0]))];
    buffer_init(&more->line, LIMIT_LOGS_LINE + 1);
    return set_path(more) < 0 ? errmsg_set(msg, -ENOMEM, "out of memory") : 0;
}

static int add_containers(struct logs *logs, const json_t *pod, const char *list, struct errmsg *msg)
{
    const char *only = logs->options->container;
    json_t *container;
    size_t i;
    int r = 0;

    json_array_foreach (json_at(pod, list), i, container) {
        const char *name = json_text(container, "name");

        if (r == 0 && (*only ? strcmp(only, name) == 0 : !is_done(pod, name)))
            r = add_container(logs, pod, name, msg);
    }
    return r;
}

static int on_pod(void *opaque, json_t *pod, struct errmsg *msg)
{
    struct logs *logs = opaque;
    int r = json_array_append(logs->pods, pod) < 0 ? errmsg_set(msg, -ENOMEM, "out of memory") : 0;

    if (r == 0)
        r = add_containers(logs, pod, "spec.initContainers", msg);
    return r < 0 ? r : add_containers(logs, pod, "spec.containers", msg);
}

static int find_containers(struct logs *logs, struct kube *kube, struct errmsg *msg)
{
    const struct options *options = logs->options;
    struct buffer path;
    int r;

    buffer_init(&path, LIMIT_API_TEXT);
    buffer_printf(&path, "/api/v1/namespaces/%s/pods?labelSelector=", options->namespace_);
    add_query_escaped(&path, "linkerd.io/control-plane-component");
    if (*options->component) {
        buffer_add_lit(&path, "%3D");
        add_query_escaped(&path, options->component);
    }
    r = buffer_add_byte(&path, '\0');
    r = r < 0 ? errmsg_set(msg, r, "out of memory") : kube_list(kube, path.data, on_pod, logs, msg);
    buffer_release(&path);
    if (r == 0 && !json_array_size(logs->pods))
        return errmsg_set(msg, -ENOENT, "no pods of the %s%s in the namespace %s; --linkerd-namespace names another",
                          *options->component ? "component " : "control plane", options->component, options->namespace_);
    if (r == 0 && !logs->count)
        return errmsg_set(msg, -ENOENT, "none of the %zu pods has a container %s", json_array_size(logs->pods), options->container);
    return r;
}

/* --- */

static int check(const struct options *options, struct errmsg *msg)
{
    uint64_t lines;
    int r = namespace_check(options->namespace_, msg);

    if (r < 0)
        return r;
    if (strcmp(options->tail, "-1") != 0 && slice_u64(slice_str(options->tail), INT64_MAX, &lines) < 0)
        return errmsg_set(msg, -EINVAL, "--tail: \"%s\" is no number of lines: expected 0 or more, or -1 for all", options->tail);
    if (options->since_ns < NS_PER_S)
        return errmsg_set(msg, -EINVAL, "--since: expected at least 1s");
    return 0;
}

/* All at once, until they end: which is when a container does, or is replaced. */
static int read_containers(struct logs *logs, const struct kube_access *access, struct errmsg *msg)
{
    struct stream **streams = calloc(logs->count, sizeof(struct stream *));
    int r;

    if (!streams)
        return errmsg_set(msg, -ENOMEM, "out of memory");
    for (size_t i = 0; i < logs->count; i++)
        streams[i] = &logs->containers[i].stream;
    r = streams_read(access, TIMEOUT_NS, streams, logs->count, msg);
    free(streams);
    return r;
}

static int follow(struct logs *logs, struct errmsg *msg)
{
    struct kube *kube = NULL;
    int r = check(logs->options, msg);

    if (r == 0)
        r = kube_open(&logs->options->kube, TIMEOUT_NS, msg, &kube);
    if (r == 0)
        r = find_containers(logs, kube, msg);
    if (r == 0)
        r = read_containers(logs, kube_access(kube), msg);
    kube_close(kube);
    return r;
}

static void release(struct logs *logs)
{
    for (size_t i = 0; i < logs->count; i++) {
        free(logs->containers[i].path);
        buffer_release(&logs->containers[i].line);
    }
    free(logs->containers);
    json_decref(logs->pods);
}

static int run(void *opaque, const struct words *arguments)
{
    const struct options *options = opaque;
    const char *no_color = getenv("NO_COLOR");
    struct logs logs = {.options = options, .pods = json_array()};
    struct errmsg msg = {""};
    int r;

    logs.is_coloured = !options->no_color && isatty(STDOUT_FILENO) && !(no_color && *no_color);
    r = follow(&logs, &msg);
    release(&logs);
    if (r < 0)
        return complain("logs: %s", msg.text);
    return logs.has_failed ? STATUS_FAILED : STATUS_DONE;
}

const struct command logs_command = {
    .name = "logs",
    .usage = "",
    .summary = "Tail logs from containers in the Linkerd control plane",
    .about = "Prints the lines of all containers of the control plane that are there, each behind its pod and container, and goes on with what they\n"
             "write until they end or this is interrupted. Pods that are made later are not followed.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct options),
    .run = run,
};
