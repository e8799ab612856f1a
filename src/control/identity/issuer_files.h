/*
 * The issuer's directory, in either form that secrets are mounted in:
 *
 *     kubernetes.io/tls   tls.crt  tls.key  ca.crt
 *     linkerd.io/tls      crt.pem  key.pem  (ca.crt or ca-bundle.crt, where there is one)
 *
 * The certificate file begins with the issuer's own; intermediates may follow.
 * Keys are PKCS#8 or SEC1. Reading takes a moment and blocks; nothing is checked
 * beyond that each file parses.
 */
#pragma once

#include "base/errmsg.h"
#include "net/x509/x509.h"

struct issuer_files {
    struct x509_key *key;
    struct x509_bundle chain;
    struct x509_bundle anchors; /* empty when the directory has none */
};

/*
 * 0; -ENOENT when neither form is there; -ENOTSUP for keys that are not ECDSA P-256; or why a file cannot be read. The
 * message names the file.
 */
int issuer_files_read(const char *directory, struct errmsg *msg, struct issuer_files *ret_files);
void issuer_files_release(struct issuer_files *files);
