/*
 * What the components of the control plane share: one process runs one of them
 * or, as `all`, those that a mesh without Kubernetes needs, on one loop.
 *
 *     source (a directory) -> store -> destination, policy -> gRPC subscribers
 *                                 \-> dns
 *     issuer directory, token validator -> identity
 *
 * Single-threaded but for the log. A component begins with x_new(controller, ...)
 * and gives a gRPC service to listen for; it follows the store by subscription.
 */
#pragma once

#include "base/ip.h"
#include "event/log.h"
#include "event/loop.h"
#include "kube/store.h"
#include "mesh/metrics.h"

enum { CONTROLLER_NETWORKS_MAX = 64 };

/* Flags, named as those of Linkerd's components; docs/controller.md. Text lives as long as the process. */
struct controller_options {
    struct slice source;                /* --source DIR */
    struct slice cluster_domain;        /* --cluster-domain: cluster.local */
    struct slice trust_domain;          /* --identity-trust-domain: the cluster domain */
    struct slice namespace_;            /* --controller-namespace: linkerd */
    struct cidr cluster_networks[CONTROLLER_NETWORKS_MAX]; /* --cluster-networks */
    size_t cluster_network_count;
    struct cidr probe_networks[CONTROLLER_NETWORKS_MAX];   /* --probe-networks */
    size_t probe_network_count;
    int default_policy;                 /* --default-policy: enum kube_access_policy */
    struct kube_port_range *opaque_ports; /* --default-opaque-ports */
    size_t opaque_port_count;
    struct slice egress_namespace;      /* --global-egress-network-namespace: linkerd-egress */
    bool h2_upgrade;                    /* --enable-h2-upgrade: true */
    bool ipv6;                          /* --enable-ipv6: true: of a pod with both families the IPv6 address counts */
    bool transport_header;              /* --outbound-transport-mode=transport-header (else transparent) */
    bool allow_l5d_headers;             /* --allow-l5d-request-headers */
    unsigned queue_capacity;            /* --stream-queue-capacity: LIMIT_SUBSCRIBER_QUEUE */
};

struct controller {
    struct controller_options options;
    struct sys *sys;
    struct loop loop;
    struct log *log;
    struct store *store;
    struct metrics metrics;
    struct metric_shard *shard;
    int grpc_families; /* control/grpc_meter.h */
    int view_families; /* control/views.h */
    int webhook_families; /* control/webhook/certificate.h */
    int writer_families; /* control/writer.h */
};
