/*
 * Where a command finds the control plane: --api-addr as given, or the Pod that
 * runs it as the directory of --source says, or else this machine.
 */
#pragma once

#include <stdint.h>

#include "base/errmsg.h"
#include "cli/ask.h"

enum { DESTINATION_PORT = 8086, POLICY_PORT = 8090, IDENTITY_PORT = 8080, CONTROLLER_ADMIN_PORT = 9990 };

struct control_plane_flags {
    const char *api_addr, *source; /* "" where not given */
};

/* The two rows of a command's table of flags; `text` says what is asked. */
#define CONTROL_PLANE_FLAGS(type, member, text)                                                                        \
    {"api-addr", 0, FLAG_TEXT, offsetof(type, member.api_addr), .value = "HOST:PORT", .help = (text)},                 \
    {"source", 0, FLAG_TEXT, offsetof(type, member.source), .value = "DIR",                                            \
     .help = "The directory of resources that the control plane reads: its Pod there is asked, instead of --api-addr"}

/*
 * ask_open() there, for a service that listens on `port`. Errors of its own: the directory cannot be read, or names no control
 * plane, or more than one; both flags are given.
 */
int control_plane_open(const struct control_plane_flags *flags, uint16_t port, int64_t timeout_ns, struct errmsg *msg,
                       struct ask **ret_ask);

enum { CONTROL_PLANE_ADDRESS_MAX = 300 };
/*
 * Where a service of it listens, for the one of several addresses that was not given: on the host of --api-addr; or at the Pod
 * that the directory names, unless that is this machine; or else on loopback. A directory that cannot be read is as none: it is
 * complained of elsewhere.
 */
void control_plane_address(const struct control_plane_flags *flags, uint16_t port, char ret_text[CONTROL_PLANE_ADDRESS_MAX]);
