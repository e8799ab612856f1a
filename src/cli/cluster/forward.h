/*
 * To a port of a pod through the API server, as `kubectl port-forward` goes: a WebSocket of the subprotocol v4.channel.k8s.io, which
 * becomes a filter on the stack. What is read and written above it are the bytes of one connection to 127.0.0.1:PORT in the pod.
 *
 *     the caller connects the stack to the API server, or to the proxy that the access names
 *     forward_open(&stack, access, &pod, deadline_ns, &msg)      TLS, the request, the filter; blocks on the stack's loop
 *     io_read(), io_writev() ... or TLS on top of it
 *
 * Every message's first byte is its channel: 0 carries data, 1 the sentence of an error; on each, the first two bytes are the port.
 * There is no half-close. The kubelet speaks this since long before the oldest Kubernetes that is supported, and the API server
 * passes it on; SPDY, which it also speaks, is not tried.
 *
 * The user needs the right to `get` and, in newer Kubernetes, to `create` pods/portforward.
 */
#pragma once

#include "base/errmsg.h"
#include "kube/access/access.h"
#include "net/io.h"

struct forward_pod {
    struct slice namespace_, name;
    uint16_t port;
};

/*
 * 0; -EACCES (401, 403), -ENOENT (no such pod), -EREMOTEIO (any other answer), -EPROTO, -ETIMEDOUT or what broke the connection. Sentences are
 * without the server's address.
 */
int forward_open(struct io_stack *stack, const struct kube_access *access, const struct forward_pod *pod, int64_t deadline_ns,
                 struct errmsg *msg);
/* What the kubelet said of a connection that failed in the pod, or "". Until the stack is closed. */
const char *forward_error(const struct io_stack *stack);
