/*
 * The listening sockets of the process: inbound, outbound, admin. Opened here, or
 * taken from the proxy that ran before (takeover.h); watched by the workers and by
 * the admin port; closed here.
 */
#pragma once

#include "base/ip.h"
#include "event/sys.h"

struct config;
struct log;

enum listener_role { LISTENER_INBOUND, LISTENER_OUTBOUND, LISTENER_ADMIN, LISTENER_ROLES };

struct listening {
    int fd; /* -1: closed, or given away */
    enum listener_role role;
    struct addr addr; /* as configured */
};

enum { LISTENINGS_MAX = 4 }; /* inbound, outbound for each family, admin */

struct listeners {
    struct listening items[LISTENINGS_MAX];
    unsigned count;
};

/*
 * Opens what the configuration names; sockets in `inherited` (NULL: none) with the same role and address are moved out of
 * it instead. A negative errno after a line in the log that names the variable; then those opened are closed.
 */
int listeners_open(struct listeners *listeners, const struct config *config, struct sys *sys, struct log *log,
                   struct listeners *inherited);
/* A duplicate of the admin port's descriptor, which is the caller's, or a negative errno. */
int listeners_admin(const struct listeners *listeners);
/* Nobody watches them any more. Allowed twice. */
void listeners_close(struct listeners *listeners, struct sys *sys);
