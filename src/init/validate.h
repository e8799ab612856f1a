/*
 * The proof that outgoing connections are redirected: listen where the proxy
 * would, connect to an address that leads nowhere, and expect to meet oneself.
 *
 *     us --SYN--> [fd00::1]:20001      no such host
 *        the OUTPUT rules turn it round
 *     us <------- listener on [::]:4140
 *     the listener sends a random token; the connecting side must read that
 *     token, the accepted side must have been meant for [fd00::1]:20001
 *
 * Nothing but the redirection can make this succeed: a host that answers does
 * not know the token, and a connection that reached the listener by itself was
 * meant for the listener's own address. Written over struct sys.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "base/ip.h"
#include "event/sys.h"

enum { VALIDATE_TOKEN = 64 }; /* bytes */

/* What happened on one attempt, with how far it came. */
enum validate_result {
    VALIDATE_OK,
    VALIDATE_NO_ROUTE,     /* the connection could not even be tried */
    VALIDATE_REFUSED,      /* something refused it: redirected to another port, or not at all */
    VALIDATE_TIMEOUT,      /* no answer: not redirected */
    VALIDATE_STRANGER,     /* connected to something that is not us */
    VALIDATE_NOT_REDIRECTED, /* reached us without redirection */
    VALIDATE_LISTEN,       /* the listening address cannot be had */
    VALIDATE_SYSTEM        /* something else failed */
};

/*
 * Tries one connection until `timeout_ns` from now. VALIDATE_OK, or else msg says what is missing and what to do.
 * Blocks.
 */
enum validate_result validate_redirect(struct sys *sys, struct addr listen, struct addr connect, int64_t timeout_ns,
                                       struct errmsg *msg);

/* The program linkerd2-network-validator: its exit status. */
int validate_main(int argc, char *const argv[]);
