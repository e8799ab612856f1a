#include "cli/cluster/control_plane.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kube/directory/directory.h"
#include "kube/report.h"
#include "kube/store.h"

#define COMPONENT "linkerd.io/control-plane-component"
#define NAMESPACE "linkerd"

/* `linkerd check --source` is for that. */
static void no_report(struct reporter *reporter, const struct report *report) {}

/* The Pods of the namespace that have an address: those labelled as the control plane's, or all when none is. */
static const struct kube_pod *pick(const struct store *store, bool labelled, unsigned *ret_count)
{
    struct kube_set set = store_in(store, KUBE_POD, SLICE_LIT(NAMESPACE));
    const struct kube_pod *found = NULL;

    *ret_count = 0;
    for (size_t i = 0; i < set.count; i++) {
        const struct kube_pod *pod = kube_pod(set.items[i]);

        if (!pod->status.pod_ip_count || (labelled && !kube_map_get_lit(&set.items[i]->labels, COMPONENT).ptr))
            continue;
        found = found ? found : pod;
        ++*ret_count;
    }
    return found;
}

static int find_pod(const struct store *store, const char *source, struct ip *ret_ip, struct errmsg *msg)
{
    unsigned count;
    const struct kube_pod *pod = pick(store, true, &count);

    if (!pod) {
        pod = pick(store, false, &count);
        if (count > 1)
            return errmsg_set(msg, -ENOTUNIQ, "%s: %u Pods in the namespace " NAMESPACE ": label that of the control plane " COMPONENT, source, count);
    }
    if (!pod)
        return errmsg_set(msg, -ENOENT, "%s: no Pod with status.podIP in the namespace " NAMESPACE, source);
    *ret_ip = pod->status.pod_ips[0].ip;
    return 0;
}

static int ask_source(const char *source, struct ip *ret_ip, struct errmsg *msg)
{
    struct reporter reporter = {no_report};
    struct store *store;
    int r = directory_load(source, &reporter, &store, msg);

    if (r < 0)
        return *msg->text ? r : errmsg_set(msg, r, "%s: %s", source, strerror(-r));
    r = find_pod(store, source, ret_ip, msg);
    store_free(store);
    return r;
}

int control_plane_open(const struct control_plane_flags *flags, uint16_t port, int64_t timeout_ns, struct errmsg *msg,
                       struct ask **ret_ask)
{
    struct addr addr = {.port = port};
    char text[ADDR_TEXT_MAX + 1];
    const char *address = text;
    int r;

    if (*flags->api_addr && *flags->source)
        return errmsg_set(msg, -EINVAL, "give --api-addr or --source, not both");
    if (control_plane_is_in_cluster(flags))
        return control_plane_open_pod(flags, port, timeout_ns, msg, ret_ask);
    if (*flags->api_addr) {
        address = flags->api_addr;
    } else if (*flags->source) {
        r = ask_source(flags->source, &addr.ip, msg);
        if (r < 0)
            return r;
        addr_format(addr, text);
    } else {
        snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)port);
    }
    return ask_open(address, timeout_ns, msg, ret_ask);
}

/* Only an address of this machine can be bound. */
static bool is_of_this_machine(struct ip ip)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    bool is_four = ip.version == 4, bound;
    int fd = socket(is_four ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    memcpy(&four.sin_addr, ip.bytes, sizeof(four.sin_addr));
    memcpy(&six.sin6_addr, ip.bytes, sizeof(six.sin6_addr));
    bound = bind(fd, is_four ? (struct sockaddr *)&four : (struct sockaddr *)&six,
                 is_four ? sizeof(four) : sizeof(six)) == 0;
    close(fd);
    return bound;
}

void control_plane_address(const struct control_plane_flags *flags, uint16_t port, char ret_text[CONTROL_PLANE_ADDRESS_MAX])
{
    const char *colon = strrchr(flags->api_addr, ':');
    struct addr addr = {.port = port};
    struct errmsg msg;

    if (colon)
        snprintf(ret_text, CONTROL_PLANE_ADDRESS_MAX, "%.*s:%u", (int)(colon - flags->api_addr), flags->api_addr, (unsigned)port);
    else if (*flags->source && ask_source(flags->source, &addr.ip, &msg) == 0 && !is_of_this_machine(addr.ip))
        addr_format(addr, ret_text);
    else
        snprintf(ret_text, CONTROL_PLANE_ADDRESS_MAX, "127.0.0.1:%u", (unsigned)port);
}
