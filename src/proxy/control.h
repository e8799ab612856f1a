/*
 * The control thread, which is the process's first: it starts what the proxy
 * consists of, runs the loop of discovery, policy, identity and the admin port,
 * and takes everything back in order at the end.
 *
 *     control_new() -> control_start() -> control_run() ... -> control_free()
 */
#pragma once

#include "proxy/config.h"

enum {
    EXIT_CONFIG = 64, /* as Linkerd's proxy: the environment is wrong */
    EXIT_START = 71,  /* the system refused something at the start */
};

struct control;

/* Takes `config` over, also when it fails. The descriptor for logs stays the caller's. 0, EXIT_CONFIG or EXIT_START. */
int control_new(struct sys *sys, struct config *config, int log_fd, struct control **ret_control);
/* Opens the ports and begins to ask for a certificate. 0, EXIT_CONFIG or EXIT_START; the log says why. */
int control_start(struct control *control);
/* Until the proxy has ended. 0, or EXIT_START when it could not begin to serve. */
int control_run(struct control *control);
void control_free(struct control *control); /* at any time after control_new(); NULL is allowed */
