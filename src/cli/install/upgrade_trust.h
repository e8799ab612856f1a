/*
 * Whether proxies still trust one another when an upgrade changes anchors or issuer: those that run have certificates of the old issuer, those
 * that start get certificates of the new one, and each kind has anchors of its own.
 */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"
#include "cli/install/install_found.h"

/*
 * `values` are what the upgrade would make. 0 when they change nothing, or nothing breaks: the new anchors vouch for the issuer in force, and the
 * anchors of every injected pod vouch for the new issuer: those of its environment, or those that its proxy says it has
 * learnt since; and anchors are taken away only when no pod shows a certificate that leads to them. -EKEYREJECTED with a sentence; pods are listed on standard error.
 */
int upgrade_trust_check(const struct found *found, json_t *values, int64_t wall_ns, struct errmsg *msg);
