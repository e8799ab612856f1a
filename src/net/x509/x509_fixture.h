/* For tests: a small authority with an anchor, an issuer and leaves, at a fixed wall clock. Failures end the test. */
#pragma once

#include "net/x509/x509.h"
#include "net/x509/x509_issuer.h"

#define FIXTURE_WALL (INT64_C(1700000000) * 1000000000) /* 2023-11-14T22:13:20Z */
#define FIXTURE_HOUR (INT64_C(3600) * 1000000000)

struct authority {
    struct x509_key *anchor_key, *issuer_key;
    struct x509_cert *anchor, *issuer_cert;
    struct x509_bundle anchors;
    struct x509_issuer *issuer;
};

void authority_init(struct authority *authority, const char *name);
void authority_release(struct authority *authority);

/* A workload's key and chain (leaf, issuer). */
struct workload {
    struct x509_key *key;
    struct x509_bundle chain;
};

void workload_init(struct workload *workload, const struct authority *authority, struct san name);
/*
 * A leaf made by hand: `names` is a GENERAL_NAMES of OpenSSL's (or NULL), times relative to FIXTURE_WALL; purpose as
 * for openssl's extendedKeyUsage.
 */
void workload_init_odd(struct workload *workload, const struct authority *authority, void *names, int64_t from_ns,
                       int64_t to_ns, const char *purpose);
void workload_release(struct workload *workload);
