/*
 * The process linkerd-controller: everything that it is made of, and the parts of its life, each in a file of its own.
 *
 *     main.c        the command line, what is common, start and stop
 *     components.c  what --help calls components: destination, identity, policy, the webhooks
 *     sources.c     the directory or the API server that they know everything from
 *     serving.c     ports, /ready, the admin port
 *     draining.c    SIGTERM, and until when
 *
 * All of it runs in the loop's thread. Functions that return int: 0 or a negative errno, and the log says why.
 */
#pragma once

#include "control/admin.h"
#include "control/cluster.h"
#include "control/destination/destination.h"
#include "control/dns/server.h"
#include "control/identity/service.h"
#include "control/injector/service.h"
#include "control/policy/policy.h"
#include "control/settings.h"
#include "control/validate/service.h"
#include "control/webhook/own_certificate.h"
#include "control/webhook/webhook.h"
#include "control/writer.h"
#include "event/signals.h"
#include "kube/directory/derive.h"
#include "kube/directory/directory_watch.h"
#include "net/grpc/grpc_listener.h"

enum { EXIT_USAGE = 64, EXIT_START = 71, LISTENERS = 3, SERVICES = 2 };

struct listening {
    const struct grpc_service *services[SERVICES];
    struct grpc_listener *listener;
};

struct program {
    struct controller controller;
    struct settings settings;
    struct signals signals;
    struct reporter reporter;
    struct derive *derive;
    struct directory *directory;
    struct directory_watch *watch;
    struct cluster *cluster;
    struct subscriber synced;      /* of a cluster: ports are opened when all has come */
    int status;                    /* of the process */
    struct destination *destination;
    struct policy *policy;
    struct writer *status_writer; /* of policy in a cluster */
    struct writer *slice_writer;  /* of destination in a cluster */
    struct identity_service *identity;
    struct token_validator *reviewer; /* of identity in a cluster */
    int ttl_family;
    struct injector_service *injector;
    int injector_family;
    struct validate_service *validator;
    int validator_family;
    struct webhook_certificate *certificate; /* of the webhook */
    struct own_certificate *own_certificate; /* where we make it */
    struct webhook *webhook;
    struct listening listening[LISTENERS];
    unsigned listening_count;
    struct dns_server *dns;
    struct admin *admin;
    struct timer grace, drained;
    bool draining, webhook_drains;
};

int program_enter_cluster(struct program *program); /* what everything that asks the API server needs */
int program_start_components(struct program *program);
/* The names of the validator that is asked for: sp-validator, or a part of the policy component, which has an address for it then. */
const struct own_certificate_setup *program_validator_names(const struct program *program);

/* Components have subscribed; from here on they hear of everything. */
int program_follow_source(struct program *program);

int program_open_admin(struct program *program);
int program_open_ports(struct program *program);
const char *program_readiness(struct program *program); /* for the log */
/* Of program->synced: all that the cluster has at the beginning is known; from now on answers are true, and ports are opened. */
void program_on_synced(struct subscriber *subscriber);

/* Timers, and signals that begin to drain; before everything that is drained. */
int program_await_end(struct program *program);
void program_forget_end(struct program *program);
