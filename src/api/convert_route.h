/*
 * Internal to api/: what routes match and which filters they have, both ways,
 * for inbound and outbound policies. Conventions are those of api/convert.h.
 */
#pragma once

#include "api/convert.h"
#include "grpc_route.pb-c.h"
#include "http_route.pb-c.h"
#include "http_types.pb-c.h"
#include "mesh/route_filter.h"
#include "mesh/route_match.h"
#include "tls_route.pb-c.h"

int take_host(struct decoder *d, const HttpRoute__HostMatch *from, struct host_match *ret);
int take_sni(struct decoder *d, const TlsRoute__SniMatch *from, struct host_match *ret);
int take_method(struct decoder *d, const HttpTypes__HttpMethod *from, struct slice *ret);
int take_http_match(struct decoder *d, const HttpRoute__HttpRouteMatch *from, struct http_route_match *ret);
int take_grpc_match(struct decoder *d, const GrpcRoute__GrpcRouteMatch *from, struct grpc_route_match *ret);

int take_http_failure(struct decoder *d, const HttpRoute__HttpFailureInjector *from, struct filter *ret);
int take_grpc_failure(struct decoder *d, const GrpcRoute__GrpcFailureInjector *from, struct filter *ret);
int take_request_headers(struct decoder *d, const HttpRoute__RequestHeaderModifier *from, struct filter *ret);
int take_response_headers(struct decoder *d, const HttpRoute__ResponseHeaderModifier *from, struct filter *ret);
int take_redirect(struct decoder *d, const HttpRoute__RequestRedirect *from, struct filter *ret);

HttpRoute__HostMatch *give_host(struct encoder *e, const struct host_match *host);
TlsRoute__SniMatch *give_sni(struct encoder *e, const struct host_match *host);
/* NULL for "". */
HttpTypes__HttpMethod *give_method(struct encoder *e, struct slice method);
HttpRoute__HttpRouteMatch *give_http_match(struct encoder *e, const struct http_route_match *match);
GrpcRoute__GrpcRouteMatch *give_grpc_match(struct encoder *e, const struct grpc_route_match *match);

HttpRoute__HttpFailureInjector *give_http_failure(struct encoder *e, const struct injected_failure *failure);
GrpcRoute__GrpcFailureInjector *give_grpc_failure(struct encoder *e, const struct injected_failure *failure);
HttpRoute__RequestHeaderModifier *give_request_headers(struct encoder *e, const struct header_modifier *headers);
HttpRoute__ResponseHeaderModifier *give_response_headers(struct encoder *e, const struct header_modifier *headers);
HttpRoute__RequestRedirect *give_redirect(struct encoder *e, const struct redirect *redirect);

/* The names behind the numbers of http_types.HttpMethod.Registered. */
enum { METHOD_COUNT = 9 };
extern const char *const registered_methods[METHOD_COUNT];
