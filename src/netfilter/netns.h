/* Entering a network namespace by its file, such as /run/netns/NAME or /proc/PID/ns/net. */
#pragma once

#include "base/errmsg.h"

/* Moves the calling thread, and what it starts, there. 0, or negative with a sentence. */
int netns_enter(const char *path, struct errmsg *msg);
