/*
 * What a process does so that running out of descriptors hurts those who use them
 * up, and nobody else. The last ones belong to what must go on (the connections to
 * the control plane, the admin port, files that are read again); then come those
 * for connections that accepted ones need; a listener stops first (acceptor.h).
 * The kernel gives the lowest free number, so a new descriptor tells how many are
 * in use: all below it.
 */
#pragma once

#include <stdbool.h>

#include "event/sys.h"

enum descriptor_use {
    DESCRIPTOR_ESSENTIAL, /* all */
    DESCRIPTOR_DIAL,      /* but LIMIT_DESCRIPTORS_KEPT, or a quarter where there are few */
    DESCRIPTOR_ACCEPT,    /* but LIMIT_DESCRIPTORS_DIALS more, or a quarter */
};

/*
 * Once, first in main(): a standard descriptor that is closed becomes /dev/null (else the next socket takes its number, and
 * what is printed is sent to a peer), and the soft limit of open files becomes the hard one.
 */
void descriptors_prepare(void);
/* Whether a descriptor with number `fd` (negative: the next that there would be) leaves to others what is theirs. */
bool descriptors_spare(struct sys *sys, int fd, enum descriptor_use use);
