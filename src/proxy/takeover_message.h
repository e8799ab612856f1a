/*
 * What a proxy and its successor say to one another (takeover.h): one message each,
 * of a fixed form, so that binaries of different ages understand at least that they
 * do not.
 *
 *     "CLKDTAKE"  version (2)  kind (2)  count (2)  0 (2)
 *     LISTENERS:  count times  role (1)  4 or 6 (1)  port (2)  address (16); one bit for each port of the application (8192)
 *     REFUSED:    text
 *
 * Numbers are those of the machine, which both share. The descriptors travel beside it, in the order of the items.
 */
#pragma once

#include <sys/types.h>

#include "proxy/app_ports.h"
#include "proxy/listeners.h"

enum { TAKEOVER_VERSION = 1, TAKEOVER_TEXT_MAX = 256, TAKEOVER_MESSAGE_MAX = 16 + LISTENINGS_MAX * 20 + 65536 / 8 };

enum takeover_kind { TAKEOVER_LISTENERS = 1, TAKEOVER_READY, TAKEOVER_GONE, TAKEOVER_REFUSED };

struct takeover_message {
    enum takeover_kind kind;
    struct listeners listeners; /* without descriptors */
    char text[TAKEOVER_TEXT_MAX];
};

/* The length. `ports` goes with TAKEOVER_LISTENERS. */
size_t takeover_encode(const struct takeover_message *message, const struct app_ports *ports, char out[TAKEOVER_MESSAGE_MAX]);
/* 0; -EPROTO: no such message; -EPROTONOSUPPORT: of another version. Ports are added to `ports`. */
int takeover_decode(struct slice bytes, struct takeover_message *ret_message, struct app_ports *ports);
