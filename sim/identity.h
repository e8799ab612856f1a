/*
 * What proxies of a world prove themselves with. sim/run has tls_plain.c, where credentials are a name and nothing else;
 * sim/run-tls has identity.c, where an authority of the world's issues certificates and TLS is that of src/net/.
 */
#pragma once

#include "net/tls/tls.h"
#include "sim/world.h"

enum issuer { ISSUER_OF_MESH, ISSUER_UNKNOWN };

/* The caller's to unref. Without ciphers only the name counts. */
struct tls_credentials *identity_issue(struct world *world, const char *name, int64_t lifetime_ns, enum issuer issuer);
/* Before the world's end. */
void identity_release(struct world *world);
