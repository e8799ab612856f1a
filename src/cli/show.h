/* A certificate as text for people: `linkerd certs show` and `linkerd identity`. */
#pragma once

#include "base/buffer.h"
#include "net/x509/x509.h"

/* Subject, names, issuer, algorithm, validity with days left, serial and fingerprint, a line each. */
int cert_show(const struct x509_cert *cert, int64_t wall_ns, struct buffer *out);
/* The same as one JSON object. */
int cert_show_json(const struct x509_cert *cert, int64_t wall_ns, struct buffer *out);
/* "expired N days ago", "not valid yet" or "N days left". */
const char *cert_days(const struct x509_cert *cert, int64_t wall_ns, char out[48]);
