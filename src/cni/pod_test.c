#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cni/pod.h"

static json_t *read_json(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);

    assert_non_null(value);
    return value;
}

static void test_kinds(void **state)
{
    static const struct {
        const char *spec;
        enum pod_kind kind;
    } cases[] = {
        {"{\"containers\":[{\"name\":\"web\"}]}", POD_PLAIN},
        {"{\"containers\":[{\"name\":\"web\"},{\"name\":\"linkerd-proxy\"}]}", POD_MESHED},
        {"{\"containers\":[{\"name\":\"web\"}],\"initContainers\":[{\"name\":\"linkerd-proxy\"}]}", POD_MESHED},
        {"{\"containers\":[{\"name\":\"linkerd-proxy\"}],\"initContainers\":[{\"name\":\"linkerd-network-validator\"}]}", POD_MESHED},
        {"{\"containers\":[{\"name\":\"linkerd-proxy\"}],\"initContainers\":[{\"name\":\"a\"},{\"name\":\"linkerd-init\"}]}", POD_HAS_INIT},
        {"{\"containers\":[{\"name\":\"web\"}],\"initContainers\":[{\"name\":\"linkerd-init\"}]}", POD_PLAIN},
        {"{\"containers\":{\"name\":\"linkerd-proxy\"}}", POD_PLAIN},
        {"7", POD_PLAIN},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *pod = json_pack("{s:o}", "spec", json_loads(cases[i].spec, JSON_DECODE_ANY, NULL));

        assert_int_equal(pod_kind(pod), cases[i].kind);
        json_decref(pod);
    }
}

/* What the redirect is after the annotations; its arrays are on the heap, as a configuration's. */
static struct redirect overridden(const char *pod, const char *namespace, struct buffer *warnings)
{
    struct list_reading in = {"in", LIST_RANGES, warnings, NULL, 0}, out = {"out", LIST_RANGES, warnings, NULL, 0};
    struct redirect redirect = {.inbound_port = 4143, .outbound_port = 4140, .proxy_uid = 2102};
    json_t *pod_json = read_json(pod), *namespace_json = read_json(namespace);

    lists_add(&in, SLICE_LIT("4191,4190,25"));
    lists_add(&out, SLICE_LIT("26"));
    redirect.skip_inbound = in.items;
    redirect.skip_inbound_count = in.count;
    redirect.skip_outbound = out.items;
    redirect.skip_outbound_count = out.count;
    assert_int_equal(pod_override(pod_json, namespace_json, &redirect, warnings), 0);
    json_decref(pod_json);
    json_decref(namespace_json);
    return redirect;
}

#define ANNOTATED(inside) "{\"metadata\":{\"annotations\":{" inside "}},\"spec\":{\"containers\":[{\"name\":\"linkerd-proxy\"}]}}"
#define KEY(name, value) "\"config.linkerd.io/" name "\":\"" value "\""

static void test_nothing_said(void **state)
{
    struct buffer warnings;
    struct redirect redirect;

    buffer_init(&warnings, 4096);
    redirect = overridden(ANNOTATED(""), "{}", &warnings);
    assert_int_equal(redirect.skip_inbound_count, 3);
    assert_int_equal(redirect.skip_outbound_count, 1);
    assert_int_equal(redirect.proxy_uid, 2102);
    assert_int_equal(warnings.len, 0);
    redirect_release(&redirect);
    buffer_release(&warnings);
}

static void test_pod_before_namespace(void **state)
{
    struct buffer warnings;
    struct redirect redirect;

    buffer_init(&warnings, 4096);
    redirect = overridden(ANNOTATED(KEY("skip-inbound-ports", "80,8000-8010") "," KEY("proxy-uid", "77") "," KEY("admin-port", "9191")),
                          ANNOTATED(KEY("skip-inbound-ports", "1") "," KEY("skip-outbound-ports", "2,3") "," KEY("proxy-gid", "78") ","
                                    KEY("inbound-port", "5143") "," KEY("outbound-port", "5140") "," KEY("skip-subnets", "10.0.0.0/8")),
                          &warnings);
    assert_int_equal(redirect.skip_inbound_count, 4); /* the two, and the proxy's own */
    assert_int_equal(redirect.skip_inbound[1].last, 8010);
    assert_int_equal(redirect.skip_inbound[2].first, 4190);
    assert_int_equal(redirect.skip_inbound[3].first, 9191);
    assert_int_equal(redirect.skip_outbound_count, 2);
    assert_int_equal(redirect.skip_networks_count, 1);
    assert_int_equal(redirect.proxy_uid, 77);
    assert_int_equal(redirect.proxy_gid, 78);
    assert_int_equal(redirect.inbound_port, 5143);
    assert_int_equal(redirect.outbound_port, 5140);
    assert_int_equal(warnings.len, 0);
    redirect_release(&redirect);
    buffer_release(&warnings);
}

static void test_bad_values_are_left_out(void **state)
{
    struct buffer warnings;
    struct redirect redirect;

    buffer_init(&warnings, 4096);
    redirect = overridden(ANNOTATED(KEY("skip-inbound-ports", "80,http") "," KEY("skip-outbound-ports", "70000") ","
                                    KEY("skip-subnets", "10.0.0.1") "," KEY("proxy-uid", "root") "," KEY("inbound-port", "0")), "{}", &warnings);
    assert_int_equal(redirect.skip_inbound_count, 3);
    assert_int_equal(redirect.skip_outbound[0].first, 26);
    assert_int_equal(redirect.skip_networks_count, 0);
    assert_int_equal(redirect.proxy_uid, 2102);
    assert_int_equal(redirect.inbound_port, 4143);
    assert_int_equal(buffer_add_byte(&warnings, '\0'), 0);
    assert_non_null(strstr(warnings.data, "skip-inbound-ports: \"http\""));
    assert_non_null(strstr(warnings.data, "proxy-uid: \"root\""));
    redirect_release(&redirect);
    buffer_release(&warnings);
}

/* What the container really runs as is what must be exempt, or its traffic goes round in circles. */
static void test_user_of_the_container(void **state)
{
    struct buffer warnings;
    struct redirect redirect;

    buffer_init(&warnings, 4096);
    redirect = overridden("{\"metadata\":{\"annotations\":{" KEY("proxy-uid", "77") "}},\"spec\":{\"initContainers\":"
                          "[{\"name\":\"linkerd-proxy\",\"securityContext\":{\"runAsUser\":1234}}]}}", "{}", &warnings);
    assert_int_equal(redirect.proxy_uid, 1234);
    redirect_release(&redirect);
    buffer_release(&warnings);
}

static void test_control_plane(void **state)
{
    json_t *pod = read_json("{\"metadata\":{\"labels\":{\"linkerd.io/control-plane-component\":\"identity\"}}}"), *plain = read_json("{}");
    json_t *service = read_json("{\"spec\":{\"ports\":[{\"port\":443,\"targetPort\":16443},{\"port\":7,\"targetPort\":\"named\"}]}}");
    struct redirect redirect = {0};

    assert_true(pod_is_control_plane(pod));
    assert_false(pod_is_control_plane(plain));
    assert_int_equal(pod_skip_api_server(service, &redirect), 0);
    assert_int_equal(redirect.skip_outbound_count, 3);
    assert_int_equal(redirect.skip_outbound[1].first, 16443);
    redirect_release(&redirect);
    assert_int_equal(pod_skip_api_server(NULL, &redirect), 0);
    assert_int_equal(redirect.skip_outbound_count, 2);
    assert_int_equal(redirect.skip_outbound[1].first, 6443);
    redirect_release(&redirect);
    json_decref(pod);
    json_decref(plain);
    json_decref(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_nothing_said),
        cmocka_unit_test(test_pod_before_namespace),
        cmocka_unit_test(test_bad_values_are_left_out),
        cmocka_unit_test(test_user_of_the_container),
        cmocka_unit_test(test_control_plane),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
