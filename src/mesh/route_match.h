/*
 * What a route of a policy matches, inbound and outbound alike: types only; the
 * matching is in mesh/route.h. Regular expressions are text; whoever
 * publishes a snapshot compiles them first into `regex` (NULL as decoded) and
 * gives their release to the snapshot's arena.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct regex; /* mesh's compiled form */

enum host_match_kind {
    HOST_EXACT,  /* the whole name */
    HOST_SUFFIX, /* "*.example.com": `name` is "example.com" */
};

/* An authority's host, or the name in a client hello (TLS routes). */
struct host_match {
    enum host_match_kind kind;
    struct slice name; /* as written, no "*." in front; with a dot behind it only names with one match */
};

enum path_match_kind { PATH_ANY, PATH_EXACT, PATH_PREFIX, PATH_REGEX };

struct path_match {
    enum path_match_kind kind;
    struct slice text;
    struct regex *regex;
};

enum value_match_kind { VALUE_EXACT, VALUE_REGEX };

struct value_match {
    enum value_match_kind kind;
    struct slice text;
    struct regex *regex;
};

/* A header field or a query parameter by name (header names in lower case) and value. */
struct named_match {
    struct slice name;
    struct value_match value;
};

/* All parts must match; an empty one matches everything. */
struct http_route_match {
    struct path_match path;
    struct named_match *headers;
    size_t header_count;
    struct named_match *queries;
    size_t query_count;
    struct slice method; /* "" for any */
};

struct grpc_route_match {
    struct slice service; /* "package.Service"; "" for any */
    struct slice method;  /* "" for any */
    struct named_match *headers;
    size_t header_count;
};
