/* What inject and uninject tell of the objects they saw, in Linkerd's form, on standard error. */
#pragma once

#include <stdbool.h>

#include "cli/inject/inject_object.h"

void inject_print(const struct manifest_reports *reports, bool verbose, struct buffer *out);
void uninject_print(const struct manifest_reports *reports, struct buffer *out);
