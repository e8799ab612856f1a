/* What the plain filter adds to net/tls.h: credentials that are a name and nothing else. */
#pragma once

#include "net/tls.h"

struct tls_credentials *plain_credentials_new(const char *name);
