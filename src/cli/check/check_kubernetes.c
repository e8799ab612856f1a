/* What `linkerd check` says of the cluster itself: that it answers, and is new enough. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "cli/check/check_cluster.h"
#include "cli/check/check_objects.h"
#include "cli/cluster/pods.h"

enum { MINOR_LEAST = 29 };

static const int64_t ATTEMPT_NS = 10 * NS_PER_S;

static int test_client(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    return kube_open(&cluster->options->kube, ATTEMPT_NS, why, &cluster->kube);
}

static int test_answers(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    return cluster_get(cluster, why, &cluster->version, "/version");
}

const struct cluster_row check_api_rows[] = {
    {"k8s-api", "the cluster's address and credentials are known", ROW_FATAL, test_client},
    {"k8s-api", "the Kubernetes API answers", ROW_FATAL, test_answers},
};

/* "29", or "29+" of those who build their own. */
static int test_version(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct slice major = slice_str(json_text(cluster->version, "major")), minor = slice_str(json_text(cluster->version, "minor"));
    uint64_t first, second;

    while (minor.len && (minor.ptr[minor.len - 1] < '0' || minor.ptr[minor.len - 1] > '9'))
        minor.len--;
    if (slice_u64(major, 1000, &first) < 0 || slice_u64(minor, 1000, &second) < 0)
        return errmsg_set(why, -EPROTO, "the API server does not tell its version");
    if (first > 1 || (first == 1 && second >= MINOR_LEAST))
        return 0;
    return errmsg_set(why, -EBADMSG, "the API server is of version %s, and 1.%d is needed", json_text(cluster->version, "gitVersion"), MINOR_LEAST);
}

const struct cluster_row check_version_rows[] = {
    {"k8s-version", "Kubernetes is 1.29 or newer", 0, test_version},
};

/* Before the installation they may be missing: `install --crds` brings them then. */
static int test_gateway(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    static const struct definition {
        const char *name, *versions;
    } definitions[] = {{"httproutes.gateway.networking.k8s.io", "|v1|v1beta1|"}, {"grpcroutes.gateway.networking.k8s.io", "|v1|v1alpha2|"}};
    struct culprits culprits = {0};
    unsigned missing = 0;
    int r = 0;

    for (size_t i = 0; i < 2 && (r == 0 || r == -ENOENT); i++) {
        json_t *definition;

        r = cluster_get(cluster, why, &definition, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", definitions[i].name);
        if (r == 0) {
            if (!definition_serves(definition, definitions[i].versions))
                culprits_add(&culprits, "%s is there, but serves none of the versions that are understood", definitions[i].name);
            json_decref(definition);
        } else if (r == -ENOENT) {
            missing++;
            culprits_add(&culprits, "%s is not there", definitions[i].name);
        }
    }
    if (r < 0 && r != -ENOENT)
        return r;
    if (missing == 2 && cluster->options->pre)
        return ROW_SKIP;
    return culprits_end(&culprits, "", why);
}

const struct cluster_row check_gateway_rows[] = {
    {"gateway-api-crd", "the routes of the Gateway API are defined", ROW_FATAL, test_gateway},
};
