/* What a proxy asks for: "svc.ns.svc.DOMAIN:port", an instance of a StatefulSet, or an address. Pure. */
#pragma once

#include "base/errmsg.h"
#include "base/ip.h"

struct cluster_host {
    bool is_addr;
    struct addr addr;       /* is_addr */
    struct slice service, namespace_;
    struct slice instance;  /* "pod-0" of "pod-0.svc.ns.svc.DOMAIN", else empty */
    uint16_t port;          /* 80 where none is written */
};

/* Slices point into `text`. -EINVAL with a sentence: gRPC InvalidArgument. */
int cluster_host_parse(struct slice text, struct slice cluster_domain, struct errmsg *msg, struct cluster_host *ret_host);
/*
 * The form of policy requests: a Service only, "name.namespace.svc" with or without the domain, and perhaps a dot behind.
 * -EINVAL: the port; -ENOENT: the name.
 */
int cluster_host_parse_service(struct slice text, struct slice cluster_domain, struct errmsg *msg, struct cluster_host *ret_host);
