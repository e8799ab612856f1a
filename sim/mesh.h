/*
 * A mesh in the world, as most scenarios need it: a controller behind a proxy of its own, a client and some pods of one
 * service, with or without a proxy; and the exchanges between them, which it counts.
 *
 *     web.shop, 10.96.0.10:   80 -> 8080 HTTP, found by detection;  90 -> 9090 echo, opaque by detection;  91 -> 9091 greets
 */
#pragma once

#include "sim/app.h"
#include "sim/controller.h"
#include "sim/net.h"
#include "sim/proxy.h"

enum { MESH_PODS_MAX = 4, MESH_EXCHANGES_MAX = 400, MESH_DIALS_MAX = 256 };

struct pod {
    struct mesh *mesh;
    struct host *host;
    struct app app;
    struct sim_proxy proxy;
    bool meshed, listed;    /* listed: a part of the service, as the manifests say */
    int64_t withdrawn_ns;   /* when it ceased to be */
};

/* When the client's proxy began to connect to a pod's HTTP port. */
struct dials {
    int64_t at_ns[MESH_DIALS_MAX];
    unsigned count;
};

struct mesh {
    struct world world;
    struct host *control_host, *client_host;
    struct process *controller_process;
    struct sim_controller controller;
    struct sim_proxy control_proxy, client_proxy;
    struct app client;
    struct pod pods[MESH_PODS_MAX];
    unsigned pod_count;
    const char *policies;   /* manifests beside the pods'; "" */
    struct exchange exchanges[MESH_EXCHANGES_MAX];
    unsigned exchange_count;
    struct dials dials;
    int64_t disturbed_ns;   /* until when the control plane was cut off, or stopped, or not to be heard */
    bool cut_off;           /* and still is */
};

struct scenario {
    const char *name, *about;
    void (*run)(struct mesh *mesh);
};

extern const char MESH_DENY[]; /* nobody may talk to the service */

extern const struct scenario *const scenarios[]; /* ends with NULL */

/* `pods` of them, each with a proxy where its bit is set. Seed and tracing are those that mesh->world has already. */
void mesh_init(struct mesh *mesh, unsigned pods, unsigned meshed);
/* The seed says which pods have a proxy. */
void mesh_some_meshed(struct mesh *mesh);
/* Makes the applications and proxies; the controller too, unless `without_controller`. */
void mesh_start(struct mesh *mesh, bool without_controller);
/* Lets everything come to rest, checks that nothing is held, and takes it down. */
void mesh_end(struct mesh *mesh);

/* Ends it at once, where it has not ended, and starts another in its place. */
void mesh_restart_proxy(struct mesh *mesh, struct pod *pod);

/* The controller's view of the world as it should be now. */
void mesh_publish(struct mesh *mesh);
void mesh_list(struct mesh *mesh, unsigned pod, bool listed);
void mesh_start_controller(struct mesh *mesh);
void mesh_stop_controller(struct mesh *mesh);
/* Until then the proxies may know less than is true. */
void mesh_disturbed(struct mesh *mesh, int64_t until_ns);
void mesh_cut_controller(struct mesh *mesh, bool cut); /* from the client */

/* Proxies of pods that have drained meanwhile are gone at its end. */
void mesh_run(struct mesh *mesh, int64_t for_ns);
/* The client asks the service; more may be set before it runs on. NULL when there were too many. */
struct exchange *mesh_ask(struct mesh *mesh, enum exchange_kind kind, size_t size, uint16_t port);
struct exchange *mesh_ask_at(struct mesh *mesh, enum exchange_kind kind, size_t size, const char *addr, uint16_t port);
/* Runs until all exchanges have ended, at most so long; those that have not are a violation. */
void mesh_finish(struct mesh *mesh, int64_t within_ns);
/* Every exchange ended with an answer that is its own or a reason, and was served once at most. */
void mesh_check(struct mesh *mesh);
