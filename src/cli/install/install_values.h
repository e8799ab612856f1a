/*
 * The values of an installation as its user gives them: flags, high availability,
 * files and --set, the later over the earlier, and all of them over what
 * `values` holds already (an earlier installation's, at an upgrade).
 */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"
#include "cli/install/install_flags.h"

/* Of the definitions' chart (flags->crds) there are only files and --set. -EINVAL, -ENOENT, ... with a sentence. */
int install_values_given(const struct install_flags *flags, json_t *values, struct errmsg *msg);
/* Names that values of the chart had in Linkerd 2.8 become ours, and are told on standard error in the command's name. -ENOMEM. */
int install_values_renamed(const char *chart, json_t *values, const char *command, struct errmsg *msg);
