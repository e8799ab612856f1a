/*
 * One question to one address, for programs that run once: an admin page over
 * HTTP/1, a gRPC call over HTTP/2, or the certificate chain of a TLS server.
 * Every ask has a loop of its own on the real system and blocks until it is
 * answered or its time is over. Connections are plain TCP, to ports of this machine or
 * through a proxy; or they lead to a pod, through the API server (cli/cluster/forward.h).
 *
 *     r = ask_open("127.0.0.1:8086", 5 * NS_PER_S, &msg, &ask);
 *     r = ask_grpc(ask, ...);                               one question
 *     ask_close(ask);
 *
 * Errors are negative errno and a sentence that begins with the address:
 * -EINVAL (no address), -ECONNREFUSED and the like, -ETIMEDOUT, -EREMOTEIO
 * (answered, but with an error), -EPROTO (not what was expected there).
 */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"
#include "cli/cluster/forward.h"
#include "net/x509/x509.h"

struct ask;

/* When this is in the environment (--verbose puts it there), standard error says who is asked, and how long it took. */
#define VERBOSE_VARIABLE "LINKERD_VERBOSE"

/* Connects to "HOST:PORT" (an IP address or a name that this machine can resolve), within `timeout_ns` for everything. */
int ask_open(const char *address, int64_t timeout_ns, struct errmsg *msg, struct ask **ret_ask);
/* The same to a port of a pod; messages begin with "pod NAMESPACE/NAME port PORT". Further errors: forward_open(). */
int ask_open_pod(const struct kube_access *access, const struct forward_pod *pod, int64_t timeout_ns, struct errmsg *msg, struct ask **ret_ask);
/* NULL is allowed. */
void ask_close(struct ask *ask);

/* GET; the body is appended to `body`. */
int ask_get(struct ask *ask, const char *path, struct errmsg *msg, unsigned *ret_status, struct buffer *body);

/* Told of every answer; true: that was enough. */
typedef bool ask_answer(void *owner, struct slice message);
/*
 * One call. 0 when `answer` had enough, or there was an answer and then the server ended the call without error or was
 * silent for `quiet_ns`, which is how a stream of updates says that it has told what there is.
 */
int ask_grpc(struct ask *ask, struct slice path, struct slice message, int64_t quiet_ns, ask_answer *answer,
             void *owner, struct errmsg *msg);

/* What the TLS server shows when asked for this name ("": none), leaf first; nothing of it is believed. */
int ask_chain(struct ask *ask, struct slice server_name, struct errmsg *msg, struct x509_bundle *ret_chain);
