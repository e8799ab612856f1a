/* What several categories look up in objects of the cluster. */
#pragma once

#include <jansson.h>

#include "cli/check/check_cluster.h"

/* A definition is in force and serves one of "|v1|v1beta1|". */
bool definition_serves(const json_t *definition, const char *versions);
/* Names among which %s is the namespace of the control plane; a sentence for each that is not at `path`/NAME. */
struct expected {
    const char *path; /* with %s for the namespace where it is one */
    const char *names[16];
    const char *heartbeat; /* one more, unless heartbeats are disabled; or NULL */
};
/* A test: row->about is the struct above. */
int test_expected(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why);
/* A test: all definitions of the mesh's own kinds are in force. */
int test_definitions(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why);
/* The names of those definitions, up to a NULL. */
extern const char *const mesh_definitions[];
