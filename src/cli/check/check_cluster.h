/*
 * `linkerd check` of a cluster: tables of rows, each with a test of its own. A row's sentence is true when all is well; its anchor is a
 * section of docs/checks.md.
 *
 * A test returns 0, ROW_SKIP when the row does not apply here (it is not shown then), or a negative errno and why not.
 * Questions are asked anew by each test, so that a row which is tried again sees what has changed meanwhile.
 */
#pragma once

#include <jansson.h>

#include "cli/check/check.h"
#include "cli/cluster/kube.h"
#include "net/x509/x509.h"

struct cluster {
    struct checks *checks;
    const struct check_options *options;
    const char *namespace_;     /* of the control plane */
    struct kube *kube;
    json_t *version;            /* what the API server says of itself */
    json_t *values;             /* of the installation; NULL until its ConfigMap was read */
    struct x509_bundle anchors, issuer;
};

enum { ROW_FATAL = 1, /* nothing behind it makes sense when it fails */ ROW_WARNS = 2, /* not an error */ ROW_RETRIES = 4 /* until --wait is over */ };
enum { ROW_SKIP = 1 };

struct cluster_row {
    const char *anchor, *what;
    unsigned flags;
    int (*test)(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why);
    const void *about; /* the test's own */
};

enum { MODE_PRE = 1, MODE_CRDS = 2, MODE_DEFAULT = 4, MODE_PROXY = 8, MODE_INSTALLED = MODE_DEFAULT | MODE_PROXY, MODE_ALL = 15 };

struct cluster_category {
    const char *name;
    unsigned modes;
    const struct cluster_row *rows;
    size_t count;
};

#define ROWS(array) array, sizeof(array) / sizeof((array)[0])

extern const struct cluster_row check_api_rows[2], check_version_rows[1], check_gateway_rows[1], check_pre_rows[11], check_global_rows[5];
extern const struct cluster_row check_crd_rows[1], check_existence_rows[8], check_config_rows[8], check_cni_rows[6];
extern const struct cluster_row check_trust_rows[8], check_webhook_rows[6], check_trust_proxy_rows[3];
extern const struct cluster_row check_cli_version_rows[1], check_control_version_rows[3], check_control_proxy_rows[3];
extern const struct cluster_row check_data_rows[8], check_injection_rows[2], check_ha_rows[3], check_extension_rows[1];

/* All categories of the mode; the exit status comes from checks_end(). */
void check_cluster(struct checks *checks);

/* --- for the tests of rows --- */

/* GET and lists, with the path in the form of printf. */
int cluster_get(struct cluster *cluster, struct errmsg *msg, json_t **ret_object, const char *path, ...) __attribute__((format(printf, 4, 5)));
int cluster_each(struct cluster *cluster, kube_each *each, void *owner, struct errmsg *msg, const char *path, ...)
    __attribute__((format(printf, 5, 6)));
/* A text among the values of the installation, or "". */
const char *cluster_value(const struct cluster *cluster, const char *path);
bool cluster_value_is(const struct cluster *cluster, const char *path); /* it is true */
/* Selects the pods of the data plane, those of the control plane. */
#define SELECT_MESHED "linkerd.io%%2Fcontrol-plane-ns%%3D%s,!linkerd.io%%2Fcontrol-plane-component"
#define SELECT_CONTROL "linkerd.io%2Fcontrol-plane-component,linkerd.io%2Fcontrol-plane-component!%3Dheartbeat"
#define SELECT_CONTROL_FORMAT "linkerd.io%%2Fcontrol-plane-component,linkerd.io%%2Fcontrol-plane-component!%%3Dheartbeat"

/* A test, of check_opaque.c. */
int test_opaque_ports(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why);

/* Those that a row complains of: the first few are named, the rest counted. */
struct culprits {
    unsigned count;
    char text[400];
};
void culprits_add(struct culprits *culprits, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* 0 when there are none; else -EBADMSG, and `what` with their names behind it. */
int culprits_end(const struct culprits *culprits, const char *what, struct errmsg *why);
