/*
 * `linkerd-controller heartbeat`: tells one address, and only one that an
 * operator named, how large this mesh is: a GET whose parameters are those of Linkerd's
 * heartbeat. A program of its own that runs once; without -address it says so and ends.
 *
 *     source, version            "heartbeat", ours
 *     uuid, install-time         of the ConfigMap linkerd-config
 *     k8s-version                of the API server
 *     ext-NAME=1                 for each namespace labelled linkerd.io/extension
 *     service-profile-count
 *     total-rps, meshed-pods, proxy-injector-injections, max-mem-CONTAINER, p95-cpu-CONTAINER   from Prometheus, where one answers
 *
 * What cannot be found out is left out, and said. docs/controller.md has the flags.
 */
#pragma once

/* The arguments behind `heartbeat`. The status of the process. */
int heartbeat_main(int argc, char *const argv[]);
