/*
 * What the proxy's identity is made of and finds in files: key and request in
 * IDENTITY_DIR (made in memory where they are not there), the token, and the trust
 * bundle that was learnt last. Reading and writing take a moment and block. Errors
 * name the variable, the file and the reason.
 */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"
#include "net/x509/x509.h"

struct config;

enum { IDENTITY_FILE_MAX = 64 * 1024 };

/* key.p8 when there is one; a broken one is an error, a missing one is made. */
int identity_files_key(const struct config *config, struct errmsg *msg, struct x509_key **ret_key);
/* csr.der, which must be for this key and our name, or one made now. Appends to the buffer. */
int identity_files_csr(const struct config *config, const struct x509_key *key, struct errmsg *msg, struct buffer *ret_csr);
/* The token as it is now, without the end of its line. Appends to the buffer; never empty. */
int identity_files_token(const struct config *config, struct errmsg *msg, struct buffer *ret_token);

/*
 * trust-bundle.pem: anchors learnt from the identity service, for the next start with an environment that is older than they are.
 * They count only for the environment that they were learnt under: an operator who gives another one is obeyed.
 * -ENOENT: there are none, or of another environment.
 */
int identity_files_bundle(const struct config *config, struct errmsg *msg, struct x509_bundle *ret_bundle);
int identity_files_keep_bundle(const struct config *config, const struct x509_bundle *bundle, struct errmsg *msg);
