/*
 * The files of the charts as they are in a program, made by scripts/embed-chart. A program links one of the two that the build makes: all
 * files (the CLI), or only those of linkerd-control-plane that define what others include (the injector).
 */
#pragma once

#include <stddef.h>

struct chart_file {
    const char *name; /* "linkerd-crds/values.yaml" */
    size_t len;
    const char *text; /* NUL behind it */
};

extern const struct chart_file chart_files[];
extern const size_t chart_files_count;
