/*
 * Writes the EndpointSlices of ExternalWorkloads (kube/workload_slices.h says which) while this replica holds the lease
 * linkerd-destination-endpoint-write: a job of control/writer.h, looking at Services.
 *
 * A slice is changed and deleted on top of the resourceVersion that it was decided on. Where the server has another, it is read: the store
 * does not follow changes that say nothing, such as of managedFields. It is then written on top of that, if it is still ours.
 */
#pragma once

#include "control/writer.h"

extern const struct writer_job SLICE_JOB;
