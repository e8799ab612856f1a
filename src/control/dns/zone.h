/*
 * Answers for the cluster domain, from the store, as Kubernetes' DNS gives them:
 *
 *     SERVICE.NAMESPACE.svc.DOMAIN              its addresses; of a headless Service those of its ready endpoints
 *     INSTANCE.SERVICE.NAMESPACE.svc.DOMAIN     one endpoint by hostname or by address ("10-1-0-1"), headless only
 *     _PORT._PROTOCOL.SERVICE.NAMESPACE.svc...  SRV of a named port
 *
 * A Service of type ExternalName is a CNAME. Names in the domain that are not
 * there are NXDOMAIN, names without records of the type NOERROR with nothing but
 * the SOA, names of other domains REFUSED, so that a resolver asks elsewhere.
 * Pure: bytes in, bytes out.
 */
#pragma once

#include "control/controller.h"

enum { ZONE_UDP_MAX = 1232, ZONE_TCP_MAX = 65535 }; /* bytes of an answer; RFC 9715 for the first */

/*
 * The answer to one message: its length in `room`, which has `size` bytes (at least 512), or 0 when nothing is to be
 * answered. `udp`: no larger than the asker takes. `rng` chooses the order of addresses.
 */
size_t zone_answer(const struct controller *controller, struct slice message, bool udp, struct rng *rng, uint8_t *room, size_t size);
