#include "cni/request.h"

#include <stdbool.h>
#include <string.h>

/* Which variables a command cannot do without. */
static const struct {
    const char *name;
    bool container, netns, ifname;
} commands[CNI_COMMAND_COUNT] = {
    [CNI_ADD] = {"ADD", true, true, true},
    [CNI_DEL] = {"DEL", true, false, true}, /* the namespace may be gone */
    [CNI_CHECK] = {"CHECK", true, true, true},
    [CNI_GC] = {"GC", false, false, false},
    [CNI_STATUS] = {"STATUS", false, false, false},
    [CNI_VERSION_COMMAND] = {"VERSION", false, false, false},
};

static const char by_runtime[] = "linkerd-cni is started by a container runtime, which sets the variables of the CNI specification; "
                                 "look at the runtime's own log";

const char *cni_command_name(enum cni_command command)
{
    return commands[command].name;
}

static int find_command(const char *name, enum cni_command *ret_command, struct failure *failure)
{
    for (int i = 0; i < CNI_COMMAND_COUNT; i++)
        if (name && strcmp(name, commands[i].name) == 0) {
            *ret_command = i;
            return 0;
        }
    if (!name || !name[0])
        return failure_set(failure, CNI_ENVIRONMENT, by_runtime, "CNI_COMMAND is not set");
    return failure_set(failure, CNI_ENVIRONMENT, by_runtime, "CNI_COMMAND is \"%.64s\"; expected ADD, DEL, CHECK, GC, STATUS or VERSION", name);
}

static int need(bool needed, const char *value, const char *name, struct failure *failure)
{
    if (!needed || (value && value[0]))
        return 0;
    return failure_set(failure, CNI_ENVIRONMENT, by_runtime, "%s is not set", name);
}

/* It becomes a part of a URL: nothing but what Kubernetes allows in names. */
static bool is_name(struct slice text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

    for (size_t i = 0; i < text.len; i++)
        if (!memchr(allowed, text.ptr[i], sizeof(allowed) - 1))
            return false;
    return text.len > 0 && text.len < POD_NAME_MAX && text.ptr[0] != '.';
}

static int take_name(struct slice value, const char *key, char ret_name[POD_NAME_MAX], struct failure *failure)
{
    if (value.len == 0)
        return 0;
    if (!is_name(value))
        return failure_set(failure, CNI_ENVIRONMENT, by_runtime, "%s in CNI_ARGS is \"%.*s\": that is no name of Kubernetes", key,
                           SLICE_ARGS(slice_take(value, 64)));
    memcpy(ret_name, value.ptr, value.len);
    ret_name[value.len] = '\0';
    return 0;
}

/* "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=..." */
static int read_args(const char *args, struct request *request, struct failure *failure)
{
    struct slice rest = slice_str(args), pair;
    int r = 0;

    while (r == 0 && slice_split(&rest, ';', &pair)) {
        size_t equals = slice_find(pair, '=');
        struct slice key = slice_take(pair, equals), value = slice_skip(pair, equals + 1);

        if (slice_eq(key, SLICE_LIT("K8S_POD_NAMESPACE")))
            r = take_name(value, "K8S_POD_NAMESPACE", request->namespace, failure);
        else if (slice_eq(key, SLICE_LIT("K8S_POD_NAME")))
            r = take_name(value, "K8S_POD_NAME", request->pod, failure);
    }
    return r;
}

int request_read(request_variable variable, const void *owner, struct request *ret_request, struct failure *failure)
{
    struct request request = {
        .container = variable(owner, "CNI_CONTAINERID"),
        .netns = variable(owner, "CNI_NETNS"),
        .ifname = variable(owner, "CNI_IFNAME"),
    };

    if (find_command(variable(owner, "CNI_COMMAND"), &request.command, failure) < 0 ||
        need(commands[request.command].container, request.container, "CNI_CONTAINERID", failure) < 0 ||
        need(commands[request.command].netns, request.netns, "CNI_NETNS", failure) < 0 ||
        need(commands[request.command].ifname, request.ifname, "CNI_IFNAME", failure) < 0)
        return -1;
    /* What cannot be read must not keep a pod from going away. */
    if (request.command != CNI_DEL && read_args(variable(owner, "CNI_ARGS"), &request, failure) < 0)
        return -1;
    *ret_request = request;
    return 0;
}
