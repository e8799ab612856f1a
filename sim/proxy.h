/*
 * A whole proxy in the world: the code of src/proxy/ but for control.c, whose part is here: what it makes, and in which
 * order. How it ends is src/proxy/shutdown.c's. Its identity is given, not certified.
 */
#pragma once

#include "proxy/listeners.h"
#include "proxy/proxy.h"
#include "proxy/shutdown.h"
#include "proxy/watch/control_client.h"
#include "proxy/watch/streams.h"
#include "proxy/worker.h"
#include "sim/identity.h"
#include "sim/world.h"

enum { PROXY_VARIABLES_MAX = 40 };

struct sim_proxy {
    struct proxy proxy;
    struct process *process;
    struct loop loop;
    struct world_loop turned;
    struct resolver *resolver;
    struct control_metrics *metrics;
    struct control_client destination, policy;
    struct streams streams;
    struct tls_credentials *credentials;
    struct tls_context *tls;
    struct listeners listeners;
    struct shutdown shutdown;
    struct task told_to_end;
    char identity[256];
    char text[8192]; /* of the variables */
    size_t text_len;
    struct {
        const char *name, *value;
    } variables[PROXY_VARIABLES_MAX];
    unsigned variable_count;
};

/* Sets a variable of its environment, before sim_proxy_start(). */
void sim_proxy_set(struct sim_proxy *proxy, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* On the host, whose traffic is redirected from now on. `identity` names the workload. */
void sim_proxy_start(struct sim_proxy *proxy, struct host *host, const char *identity);
/* A new certificate, as when the old one was renewed; sim_proxy_start() has got the first. */
void sim_proxy_certify(struct sim_proxy *proxy, const char *identity, int64_t lifetime_ns, enum issuer issuer);
/* As on SIGTERM: drains; told twice it ends at once. */
void sim_proxy_terminate(struct sim_proxy *proxy);
/* It has ended its loop by itself, as a process that has drained does; sim_proxy_stop() remains to be called. */
bool sim_proxy_ended(const struct sim_proxy *proxy);
unsigned sim_proxy_open(const struct sim_proxy *proxy);
/* Ends it at once, where it has not ended; the world runs until its threads have. Everything it holds must come back. */
void sim_proxy_stop(struct sim_proxy *proxy);
