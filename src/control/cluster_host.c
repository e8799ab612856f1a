#include "control/cluster_host.h"

#include <errno.h>

static int split_port(struct slice text, struct slice *ret_host, uint16_t *ret_port)
{
    size_t colon = text.len;
    uint64_t port;

    while (colon > 0 && text.ptr[colon - 1] != ':' && text.ptr[colon - 1] != ']')
        colon--;
    if (colon == 0 || text.ptr[colon - 1] == ']') {
        *ret_host = text;
        *ret_port = 80;
        return 0;
    }
    if (slice_u64(slice_skip(text, colon), UINT16_MAX, &port) < 0 || port == 0)
        return -EINVAL;
    *ret_host = slice_take(text, colon - 1);
    *ret_port = (uint16_t)port;
    return 0;
}

static struct slice without_brackets(struct slice host)
{
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        return slice_of(host.ptr + 1, host.len - 2);
    return host;
}

/* "svc.ns" or "instance.svc.ns", what stands before ".svc.DOMAIN". */
static int split_name(struct slice name, struct cluster_host *ret)
{
    struct slice rest = name, label[4];
    size_t count = 0;

    while (count < 4 && slice_split(&rest, '.', &label[count])) {
        if (!label[count].len || label[count].len > 63)
            return -EINVAL;
        count++;
    }
    if (rest.ptr || count < 2 || count > 3)
        return -EINVAL;
    ret->namespace_ = label[count - 1];
    ret->service = label[count - 2];
    ret->instance = count == 3 ? label[0] : SLICE_NULL;
    return 0;
}

int cluster_host_parse(struct slice text, struct slice cluster_domain, struct errmsg *msg, struct cluster_host *ret_host)
{
    struct cluster_host found = {0};
    struct slice host, suffix = SLICE_LIT(".svc.");

    if (split_port(text, &host, &found.port) < 0)
        return errmsg_set(msg, -EINVAL, "invalid authority \"%.*s\": the port must be a number from 1 to 65535", SLICE_ARGS(text));
    if (ip_parse(without_brackets(host), &found.addr.ip) == 0) {
        found.is_addr = true;
        found.addr.port = found.port;
        *ret_host = found;
        return 0;
    }
    if (host.len <= cluster_domain.len + suffix.len || !slice_ends(host, cluster_domain) ||
        !slice_ends(slice_take(host, host.len - cluster_domain.len), suffix) ||
        split_name(slice_take(host, host.len - cluster_domain.len - suffix.len), &found) < 0)
        return errmsg_set(msg, -EINVAL, "invalid authority \"%.*s\": expected an address, or a name as service.namespace.svc.%.*s",
                          SLICE_ARGS(text), SLICE_ARGS(cluster_domain));
    *ret_host = found;
    return 0;
}

static struct slice without_suffix(struct slice text, struct slice suffix)
{
    return slice_ends(text, suffix) ? slice_take(text, text.len - suffix.len) : text;
}

int cluster_host_parse_service(struct slice text, struct slice cluster_domain, struct errmsg *msg, struct cluster_host *ret_host)
{
    struct cluster_host found = {0};
    struct slice name;

    if (split_port(text, &name, &found.port) < 0)
        return errmsg_set(msg, -EINVAL, "invalid authority \"%.*s\": the port must be a number from 1 to 65535", SLICE_ARGS(text));
    name = without_suffix(name, SLICE_LIT("."));
    name = without_suffix(without_suffix(name, cluster_domain), SLICE_LIT("."));
    if (!slice_ends(name, SLICE_LIT(".svc")) || split_name(slice_take(name, name.len - 4), &found) < 0 || found.instance.len)
        return errmsg_set(msg, -ENOENT, "authority must be of the form <name>.<namespace>.svc.%.*s", SLICE_ARGS(cluster_domain));
    *ret_host = found;
    return 0;
}
