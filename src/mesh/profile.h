/*
 * A service profile: the older way to describe a destination (routes by path
 * and method, traffic splits, retry budget), still how opaque ports and single
 * endpoints are told. A snapshot (mesh/snapshot.h); types only. Regular
 * expressions are text as the resource has them, without the anchors that the
 * matcher adds; see mesh/route_match.h for `regex`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "mesh/endpoint.h"
#include "mesh/metadata.h"
#include "mesh/route_match.h"
#include "mesh/snapshot.h"

enum request_condition_kind {
    REQUEST_ALL,    /* children; an empty list is true */
    REQUEST_ANY,    /* children; an empty list is false */
    REQUEST_NOT,    /* one child */
    REQUEST_PATH,   /* text is a regular expression */
    REQUEST_METHOD, /* text */
};

struct request_condition {
    enum request_condition_kind kind;
    struct request_condition *children;
    size_t count;
    struct slice text;
    struct regex *regex;
};

enum response_condition_kind { RESPONSE_ALL, RESPONSE_ANY, RESPONSE_NOT, RESPONSE_STATUS };

struct response_condition {
    enum response_condition_kind kind;
    struct response_condition *children;
    size_t count;
    uint16_t min, max; /* statuses, inclusive */
};

struct response_class {
    struct response_condition condition;
    bool is_failure;
};

struct profile_route {
    struct request_condition condition;
    struct response_class *classes; /* the first that matches decides */
    size_t class_count;
    struct labels labels;           /* rt_* in metrics; "route" is the name */
    bool is_retryable;
    int64_t timeout_ns;             /* 0: none */
};

struct retry_budget_config {
    double retry_ratio;
    uint32_t min_retries_per_second;
    int64_t ttl_ns;
};

struct weighted_dst {
    struct slice authority; /* what to ask the destination service for */
    uint32_t weight;
    struct metadata backend;
};

struct profile {
    struct snapshot snapshot;
    struct slice fully_qualified_name; /* without port; "" when no name is known */
    bool opaque_protocol;
    struct profile_route *routes; /* the first that matches decides */
    size_t route_count;
    bool has_retry_budget;
    struct retry_budget_config retry_budget;
    struct weighted_dst *overrides;
    size_t override_count;
    struct endpoint_info *endpoint; /* the target is this one endpoint; NULL otherwise */
    struct metadata parent, profile;
};

SNAPSHOT(profile);
