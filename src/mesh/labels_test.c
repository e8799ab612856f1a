#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/limits.h"
#include "mesh/labels.h"

#define S(text) {"" text, sizeof(text) - 1}
#define TARGET "target_addr=\"192.0.2.4:40000\",target_ip=\"192.0.2.4\",target_port=\"40000\""
#define SRV "srv_group=\"policy.linkerd.io\",srv_kind=\"server\",srv_name=\"testserver\",srv_port=\"40000\""
#define PARENT                                                                                              \
    "parent_group=\"core\",parent_kind=\"Service\",parent_namespace=\"myns\",parent_name=\"mysvc\","         \
    "parent_port=\"80\",parent_section_name=\"\""
#define ROUTE                                                                                               \
    "route_group=\"gateway.networking.k8s.io\",route_kind=\"HTTPRoute\",route_namespace=\"myns\","           \
    "route_name=\"r\""
#define BACKEND                                                                                             \
    "backend_group=\"core\",backend_kind=\"Service\",backend_namespace=\"myns\",backend_name=\"mysvc\","     \
    "backend_port=\"80\",backend_section_name=\"\""

static const struct metadata server = {.kind = METADATA_RESOURCE, .group = S("policy.linkerd.io"),
                                       .resource_kind = S("server"), .name = S("testserver")};
static const struct metadata fallback = {.kind = METADATA_DEFAULT, .name = S("all-unauthenticated"), .port = 7,
                                         .namespace = S("ignored")};
static const struct metadata service = {.kind = METADATA_RESOURCE, .resource_kind = S("Service"), .name = S("mysvc"),
                                        .namespace = S("myns"), .port = 80};
static const struct metadata route = {.kind = METADATA_RESOURCE, .group = S("gateway.networking.k8s.io"),
                                      .resource_kind = S("HTTPRoute"), .name = S("r"), .namespace = S("myns")};
static const struct tls_labels mesh = {.status = TLS_STATUS_MESH, .peer = S("foo.id.example.com")};
static const struct tls_labels plain = {.status = TLS_STATUS_NONE, .reason = NO_TLS_FROM_REMOTE};
static const struct tls_labels passed = {.status = TLS_STATUS_OPAQUE, .sni = S("a.b")};
static const struct tls_labels undiscovered = {.status = TLS_STATUS_NONE, .reason = NO_TLS_NOT_DISCOVERED};
static const struct tls_labels disabled = {.status = TLS_STATUS_DISABLED};

static struct addr target(void)
{
    return (struct addr){ip_v4(0xc0000204), 40000};
}

static int setup(void **state)
{
    struct buffer *buffer = calloc(1, sizeof(*buffer));

    buffer_init(buffer, LIMIT_METRIC_LABELS);
    *state = buffer;
    return 0;
}

static int teardown(void **state)
{
    buffer_release(*state);
    free(*state);
    return 0;
}

static void expect(struct buffer *labels, const char *text)
{
    assert_int_equal(buffer_error(labels), 0);
    buffer_add_byte(labels, '\0');
    assert_string_equal(labels->data, text);
    buffer_clear(labels);
}

static void inbound(void **state)
{
    struct buffer *b = *state;
    struct inbound_labels from = {.target = target(), .tls = &mesh, .server = &server};

    labels_inbound_src(b, &from);
    expect(b, "direction=\"inbound\",peer=\"src\"," TARGET ",tls=\"true\",client_id=\"foo.id.example.com\"," SRV);
    from.route = &fallback;
    from.authz = &fallback;
    from.tls = &plain;
    labels_inbound_http(b, &from);
    expect(b, "direction=\"inbound\"," TARGET ",tls=\"no_identity\",no_tls_reason=\"no_tls_from_remote\"," SRV
              ",route_group=\"\",route_kind=\"default\",route_name=\"all-unauthenticated\""
              ",authz_group=\"\",authz_kind=\"default\",authz_name=\"all-unauthenticated\"");
    from.authority = slice_str("web:80");
    from.authz = from.route = NULL;
    from.tls = &passed;
    labels_inbound_http(b, &from);
    expect(b, "direction=\"inbound\",authority=\"web:80\"," TARGET ",tls=\"opaque\",sni=\"a.b\"," SRV);
    labels_inbound_policy(b, &from);
    expect(b, TARGET "," SRV ",tls=\"opaque\",sni=\"a.b\"");
    from.authz = &server;
    labels_inbound_policy(b, &from);
    expect(b, TARGET "," SRV ",authz_group=\"policy.linkerd.io\",authz_kind=\"server\",authz_name=\"testserver\","
              "tls=\"opaque\",sni=\"a.b\"");
    labels_inbound_dst(b);
    expect(b, "direction=\"inbound\",peer=\"dst\",tls=\"no_identity\",no_tls_reason=\"loopback\"");
    labels_inbound_route(b, &server, 80, &fallback);
    expect(b, "parent_group=\"policy.linkerd.io\",parent_kind=\"server\",parent_name=\"testserver\",parent_port=\"80\","
              "route_group=\"\",route_kind=\"default\",route_name=\"all-unauthenticated\"");
}

static void outbound(void **state)
{
    struct buffer *b = *state;
    struct label of_set[] = {{S("namespace"), S("myns")}, {S("service"), S("mysvc")}};
    struct label own[] = {{S("namespace"), S("other")}, {S("pod"), S("web-1")}};
    struct labels set_labels = {of_set, 2};
    struct endpoint_info endpoint = {.labels = {own, 2}, .set_labels = &set_labels};

    labels_outbound_http(b, slice_str("web:80"), target(), &mesh, &endpoint);
    expect(b, "direction=\"outbound\",authority=\"web:80\"," TARGET ",tls=\"true\",server_id=\"foo.id.example.com\","
              "dst_service=\"mysvc\",dst_namespace=\"other\",dst_pod=\"web-1\"");
    labels_outbound_dst(b, SLICE_NULL, target(), &undiscovered, NULL);
    expect(b, "direction=\"outbound\",peer=\"dst\"," TARGET
              ",tls=\"no_identity\",no_tls_reason=\"not_provided_by_service_discovery\"");
    labels_outbound_src(b, target());
    expect(b, "direction=\"outbound\",peer=\"src\"," TARGET ",tls=\"no_identity\",no_tls_reason=\"loopback\"");
    labels_outbound_dst(b, SLICE_NULL, target(), &disabled, NULL);
    expect(b, "direction=\"outbound\",peer=\"dst\"," TARGET ",tls=\"disabled\"");
}

static void outbound_routes(void **state)
{
    struct buffer *b = *state;

    labels_outbound_route(b, &service, &route, slice_str("web.example"));
    expect(b, PARENT "," ROUTE ",hostname=\"web.example\"");
    labels_outbound_route(b, &service, &route, SLICE_NULL);
    expect(b, PARENT "," ROUTE);
    labels_outbound_backend(b, &service, &route, &service);
    expect(b, PARENT "," ROUTE "," BACKEND);
    labels_outbound_balancer(b, &service, &service, SLICE_NULL, SLICE_NULL);
    expect(b, PARENT "," BACKEND);
    labels_outbound_balancer(b, &service, &service, slice_str("l:1"), slice_str("c:2"));
    expect(b, PARENT "," BACKEND ",logical=\"l:1\",concrete=\"c:2\"");
    labels_resource(b, "parent", &fallback);
    expect(b, "parent_group=\"\",parent_kind=\"default\",parent_namespace=\"\",parent_name=\"all-unauthenticated\","
              "parent_port=\"\",parent_section_name=\"\"");
}

static void outcomes(void **state)
{
    struct buffer *b = *state;
    struct classification c = {.is_failure = true, .grpc_status = 14}, ok = {.grpc_status = GRPC_STATUS_NONE};

    labels_status(b, 503);
    labels_class(b, &c, SLICE_LIT(""));
    expect(b, "status_code=\"503\",classification=\"failure\",grpc_status=\"14\",error=\"\"");
    labels_class(b, &ok, SLICE_LIT(""));
    expect(b, "classification=\"success\",grpc_status=\"\",error=\"\"");
    labels_outbound_http_status(b, 200, REASON_NONE);
    expect(b, "http_status=\"200\",error=\"\"");
    labels_outbound_http_status(b, 504, REASON_FAILFAST);
    expect(b, "http_status=\"\",error=\"FAIL_FAST\"");
    labels_outbound_http_status(b, 301, REASON_REDIRECTED);
    expect(b, "http_status=\"301\",error=\"\"");
    labels_outbound_grpc_status(b, 7, REASON_NONE);
    expect(b, "grpc_status=\"PERMISSION_DENIED\",error=\"\"");
    labels_outbound_grpc_status(b, 4, REASON_REQUEST_TIMEOUT);
    expect(b, "grpc_status=\"\",error=\"REQUEST_TIMEOUT\"");
    labels_errno(b, 0);
    expect(b, "errno=\"\"");
    labels_errno(b, ECONNRESET);
    expect(b, "errno=\"ECONNRESET\"");
    labels_errno(b, 99999);
    expect(b, "errno=\"unknown\"");
}

static void errors(void **state)
{
    struct buffer *b = *state;
    struct addr to = target();

    assert_true(labels_inbound_error(b, REASON_CONNECT_REFUSED, to, &server));
    expect(b, "error=\"i/o\"," TARGET "," SRV);
    assert_true(labels_inbound_error(b, REASON_TLS_DETECT_TIMEOUT, to, NULL));
    expect(b, "error=\"tls detection timeout\"," TARGET);
    assert_false(labels_inbound_error(b, REASON_NOT_AUTHORIZED, to, &server));
    expect(b, "");
    assert_true(labels_outbound_error(b, REASON_LOAD_SHED, NULL));
    expect(b, "error=\"loadshed\"");
    assert_true(labels_outbound_error(b, REASON_CONNECT_FAILED, &to));
    expect(b, TARGET ",error=\"i/o\"");
    assert_false(labels_outbound_error(b, REASON_ROUTE_NOT_FOUND, NULL));
    expect(b, "");
}

static void profiles_and_control(void **state)
{
    struct buffer *b = *state;
    struct label items[] = {{S("route"), S("GET /a\"b")}};
    struct labels labels = {items, 1};

    labels_profile_route(b, DIRECTION_OUTBOUND, slice_str("web.ns.svc.cluster.local:80"), &labels);
    expect(b, "direction=\"outbound\",dst=\"web.ns.svc.cluster.local:80\",rt_route=\"GET /a\\\"b\"");
    labels_profile_route(b, DIRECTION_INBOUND, slice_str("d"), NULL);
    expect(b, "direction=\"inbound\",dst=\"d\"");
    labels_control(b, slice_str("linkerd-dst:8086"), &mesh);
    expect(b, "addr=\"linkerd-dst:8086\",tls=\"true\",server_id=\"foo.id.example.com\"");
}

static void too_long_is_an_error(void **state)
{
    struct buffer small;

    buffer_init(&small, 20);
    labels_target(&small, target());
    assert_int_equal(buffer_error(&small), -ENOBUFS);
    buffer_release(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inbound),         cmocka_unit_test(outbound),
        cmocka_unit_test(outbound_routes), cmocka_unit_test(outcomes),
        cmocka_unit_test(errors),          cmocka_unit_test(profiles_and_control),
        cmocka_unit_test(too_long_is_an_error),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
