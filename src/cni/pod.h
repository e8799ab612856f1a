/*
 * What a pod, as the API server has it, means for its rules. Pure.
 *
 * The rules are those that linkerd-init would make in this pod: the pod's annotations count first, then those of its
 * namespace, then the configuration. Of the user that is exempt, what the proxy's container runs as counts before all.
 */
#pragma once

#include <jansson.h>

#include "netfilter/lists.h"

enum pod_kind {
    POD_MESHED,   /* has a proxy and needs rules */
    POD_PLAIN,    /* has no proxy */
    POD_HAS_INIT  /* linkerd-init makes its rules */
};

enum pod_kind pod_kind(const json_t *pod);
/* Whether it is a component of the control plane, which talks to the API server without a proxy between. */
bool pod_is_control_plane(const json_t *pod);
/*
 * Changes the redirect (its arrays are replaced, so they must be on the heap) as the annotations say. A value that cannot
 * be read is left out as the injector leaves it out, with a line in *warnings. 0 or -ENOMEM.
 */
int pod_override(const json_t *pod, const json_t *namespace, struct redirect *redirect, struct buffer *warnings);
/* Outgoing ports of the Service "kubernetes" that are skipped too; NULL: 443 and 6443. 0 or -ENOMEM. */
int pod_skip_api_server(const json_t *service, struct redirect *redirect);
