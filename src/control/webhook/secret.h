/* A pair (control/webhook/pair.h) as a Secret of type kubernetes.io/tls: tls.crt, tls.key, and ca.crt with the authorities. Pure. */
#pragma once

#include "control/webhook/pair.h"

/* What cannot be read of the pair is empty. -EINVAL when the text is no Secret; -ENOMEM. */
int secret_read(struct slice json, struct webhook_pair *ret_pair, struct buffer *ret_version);
/* `version` is that of what is replaced, empty for a new one. `owner` is the component: "proxy-injector". 0, -ENOBUFS or -ENOMEM. */
int secret_write(const struct webhook_pair *pair, struct slice namespace_, const char *name, const char *owner, struct slice version,
                 struct buffer *ret_json);
