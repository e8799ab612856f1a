/*
 * `linkerd check`, of one machine or of a cluster (check_cluster.h): a list of categories, each a function that adds the rows that
 * apply. A row is one sentence that is true when all is well, and when it is not,
 * what was found and where to read about it (docs/checks.md#anchor).
 */
#pragma once

#include <stdio.h>

#include "base/errmsg.h"
#include "cli/cluster/kube_flags.h"
#include "cli/flags.h"

enum check_result { CHECK_OK, CHECK_WARNING, CHECK_ERROR };
enum check_format { CHECK_TABLE, CHECK_JSON, CHECK_SHORT };

struct check_options {
    const char *output;
    int64_t wait_ns;
    /* of one machine */
    const char *source, *api_addr, *policy_addr, *identity_addr, *admin_addr, *anchors, *issuer;
    struct words proxies;
    /* of a cluster */
    struct kube_flags kube;
    bool pre, crds, proxy, cni_enabled, multicluster;
    const char *namespace_, *linkerd_namespace, *cni_namespace, *expected_version, *cli_version;
};

struct checks {
    const struct check_options *options;
    int64_t deadline_ns; /* monotonic; until then what may come is asked again */
    /* printing */
    FILE *out;
    enum check_format format;
    bool colour;
    const char *category; /* of the rows that come */
    bool titled;          /* its title was printed */
    unsigned categories, rows;
    bool failed;          /* an error was among them */
};

struct check_row {
    const char *anchor;
    enum check_result result;
    struct errmsg what;  /* the sentence that should be true */
    struct errmsg error; /* why it is not; "" for CHECK_OK */
};

/* Prints it in its category. */
void checks_add(struct checks *checks, const struct check_row *row);
void checks_begin(struct checks *checks, const char *category);
/* The end of all, and the exit status. */
int checks_end(struct checks *checks);

/* The categories of one machine. */
void check_kernel(struct checks *checks);
void check_privileges(struct checks *checks);
void check_identity(struct checks *checks);
void check_source(struct checks *checks);
void check_control_plane(struct checks *checks);
void check_proxies(struct checks *checks);
void check_proxy_certificates(struct checks *checks);
void check_versions(struct checks *checks);

/* Decisions apart from where the numbers come from. */
enum check_result check_conntrack_room(uint64_t used, uint64_t max, struct errmsg *msg);
enum check_result check_file_limit(uint64_t limit, struct errmsg *msg);
