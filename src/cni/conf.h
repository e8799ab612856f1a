/*
 * The configuration that a runtime gives on standard input: one JSON object,
 * whose keys are Linkerd's. Pure.
 *
 *     {"cniVersion": "1.0.0", "name": "k8s-pod-network", "type": "linkerd-cni", "log_level": "info",
 *      "kubernetes": {"kubeconfig": "/etc/cni/net.d/ZZZ-linkerd-cni-kubeconfig"},
 *      "linkerd": {"incoming-proxy-port": 4143, "outgoing-proxy-port": 4140, "proxy-uid": 2102, "proxy-gid": -1,
 *                  "ports-to-redirect": [], "inbound-ports-to-ignore": ["4191", "4190"],
 *                  "outbound-ports-to-ignore": ["443"], "subnets-to-ignore": ["10.0.0.0/8"], "simulate": false,
 *                  "use-wait-flag": false, "iptables-mode": "nft", "ipv6": true},
 *      "prevResult": {...}}
 *
 * Lists take numbers and texts; log-level is log_level, and disable-ipv6 the opposite of ipv6. Keys that are not ours, such
 * as policy or runtimeConfig, are passed over: the specification lets runtimes add some. Values of the wrong kind are
 * refused, all of them at once.
 */
#pragma once

#include <jansson.h>

#include "cni/failure.h"
#include "netfilter/journal.h"
#include "netfilter/lists.h"
#include "netfilter/tools.h"

struct conf {
    json_t *root;
    const char *version;        /* of the specification, one that conf_versions() has */
    const char *kubeconfig;     /* NULL: not given */
    const json_t *prev_result;  /* NULL: we are the first of the chain */
    enum journal_level log_level;
    struct redirect redirect;
    enum firewall_mode mode;
    bool ipv6, wait, simulate;
};

/* NULL behind the last, oldest first. */
const char *const *conf_versions(void);
/* 0: known, and its place in that list; -EINVAL. */
int conf_version_find(const char *version, int *ret_place);

/* 0, or -1 with the failure. The conf is to be released in every case. */
int conf_read(struct slice text, struct conf *ret_conf, struct failure *failure);
void conf_release(struct conf *conf);
