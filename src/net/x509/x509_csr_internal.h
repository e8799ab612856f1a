/* What making requests and making certificates share. Nobody else includes this. */
#pragma once

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "net/x509/x509_csr.h"

struct x509_csr {
    X509_REQ *req;
    GENERAL_NAMES *names; /* NULL: none */
};

/* One name as the extension wants it (GENERAL_NAMES_free), or NULL. */
GENERAL_NAMES *x509_names_of(struct san name);
/* 1: set; 0: left out, since it is empty or longer than a common name may be; -ENOMEM. */
int x509_set_common_name(X509_NAME *subject, struct slice name);
