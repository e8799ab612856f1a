/*
 * What the user gave, kept in the cluster: the Secret linkerd-config-overrides,
 * from which `linkerd upgrade` takes the values of an installation again. It is
 * a Secret because the issuer's key is among them. Printed behind the chart's objects; the chart itself does not
 * have it, since Helm keeps values of its own.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"

/* Appends the object. `values` are those of the user, not complete. 0, -ENOMEM or -ENOBUFS. */
int install_overrides(json_t *values, const char *namespace_, struct buffer *ret_text);
