/*
 * Runs one program to its end: no shell, input from memory, both outputs
 * captured and bounded, a deadline after which it is killed. Blocks its caller;
 * for short-lived tools in programs that have no event loop.
 */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/slice.h"

struct command {
    const char *const *argv; /* ends with NULL; argv[0] is the path that is executed */
    struct slice input;      /* its standard input */
    int64_t timeout_ns;
};

struct command_result {
    int status;           /* exit status; 128 + number when a signal ended it */
    struct buffer output; /* standard output */
    struct buffer errors; /* standard error; what exceeds LIMIT_COMMAND_ERRORS is dropped */
};

/*
 * 0 when the program ran and ended, whatever its status. Else negative with a sentence: it could not be started
 * (-ENOENT, -EACCES ...), -ETIMEDOUT, or -ENOBUFS: it printed more than LIMIT_COMMAND_OUTPUT. The result is to be
 * released in every case.
 */
int command_run(const struct command *command, struct errmsg *msg, struct command_result *ret_result);
void command_result_release(struct command_result *result);

/*
 * Makes the programs that are run from now on keep CAP_NET_ADMIN and CAP_NET_RAW where this process has them but is
 * not root (file capabilities, a container): they are put among the ambient ones. Failure is harmless, so there is
 * no result: what needs them then says so.
 */
void command_keep_net_capabilities(void);
