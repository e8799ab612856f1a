/*
 * Writes the status of routes, rate limits and egress networks, while this
 * replica holds the lease policy-controller-write: a job of control/writer.h. An object whose status differs from what the store knows of it is
 * read, and patched on top of what was read.
 */
#pragma once

#include "control/writer.h"

extern const struct writer_job STATUS_JOB;
