#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cni/conf.h"
#include "cni/request.h"

static void test_as_linkerd_has_it(void **state)
{
    static const char text[] =
        "{\"cniVersion\":\"1.0.0\",\"name\":\"k8s-pod-network\",\"type\":\"linkerd-cni\",\"log_level\":\"debug\","
        "\"policy\":{\"type\":\"k8s\"},\"kubernetes\":{\"kubeconfig\":\"/k\"},\"runtimeConfig\":{\"x\":1},"
        "\"linkerd\":{\"incoming-proxy-port\":1,\"outgoing-proxy-port\":2,\"proxy-uid\":3,\"proxy-gid\":4,"
        "\"ports-to-redirect\":[80,\"443\"],\"inbound-ports-to-ignore\":[\"4191\",\"4190,4567-4568\",25],"
        "\"outbound-ports-to-ignore\":[\"\"],\"subnets-to-ignore\":[\"10.1.2.3/8\",\"fd00::/8\"],\"simulate\":true,"
        "\"use-wait-flag\":true,\"iptables-mode\":\"nft\",\"ipv6\":true},\"prevResult\":{\"ips\":[]}}";
    struct failure failure = {0};
    struct conf conf;

    assert_int_equal(conf_read(slice_str(text), &conf, &failure), 0);
    assert_string_equal(conf.version, "1.0.0");
    assert_string_equal(conf.kubeconfig, "/k");
    assert_int_equal(conf.log_level, JOURNAL_DEBUG);
    assert_int_equal(conf.redirect.inbound_port, 1);
    assert_int_equal(conf.redirect.outbound_port, 2);
    assert_int_equal(conf.redirect.proxy_uid, 3);
    assert_int_equal(conf.redirect.proxy_gid, 4);
    assert_int_equal(conf.redirect.inbound_only_count, 2);
    assert_int_equal(conf.redirect.inbound_only[1], 443);
    assert_int_equal(conf.redirect.skip_inbound_count, 4);
    assert_int_equal(conf.redirect.skip_inbound[2].last, 4568);
    assert_int_equal(conf.redirect.skip_outbound_count, 0);
    assert_int_equal(conf.redirect.skip_networks_count, 2);
    assert_int_equal(conf.mode, FIREWALL_NFT);
    assert_true(conf.simulate && conf.wait && conf.ipv6);
    assert_non_null(conf.prev_result);
    conf_release(&conf);
}

static void test_defaults(void **state)
{
    struct failure failure = {0};
    struct conf conf;

    assert_int_equal(conf_read(SLICE_LIT("{\"cniVersion\":\"0.3.0\",\"linkerd\":{\"proxy-gid\":-1,\"ports-to-redirect\":null}}"),
                               &conf, &failure), 0);
    assert_int_equal(conf.redirect.inbound_port, 4143);
    assert_int_equal(conf.redirect.outbound_port, 4140);
    assert_int_equal(conf.redirect.proxy_uid, 2102);
    assert_int_equal(conf.redirect.proxy_gid, 0);
    assert_int_equal(conf.mode, FIREWALL_LEGACY);
    assert_int_equal(conf.log_level, JOURNAL_INFO);
    assert_null(conf.kubeconfig);
    assert_null(conf.prev_result);
    assert_false(conf.ipv6 || conf.wait || conf.simulate);
    conf_release(&conf);
    assert_int_equal(conf_read(SLICE_LIT("{\"cniVersion\":\"1.1.0\",\"log-level\":\"warn\",\"linkerd\":{\"disable-ipv6\":false}}"), &conf,
                               &failure), 0);
    assert_true(conf.ipv6);
    assert_int_equal(conf.log_level, JOURNAL_WARN);
    conf_release(&conf);
}

#define LINKERD(inside) "{\"cniVersion\":\"1.0.0\",\"linkerd\":{" inside "}}"

static const struct {
    const char *text;
    enum cni_code code;
    const char *said; /* in the sentence or the details */
} refused[] = {
    {"", CNI_DECODE, "not a JSON object"},
    {"[]", CNI_DECODE, "not a JSON object"},
    {"{\"cniVersion\":\"1.0.0\"", CNI_DECODE, "not a JSON object"},
    {"{\"cniVersion\":\"1.0.0\",\"a\":\"\\u0000\"}", CNI_DECODE, "not a JSON object"},
    {"{\"cniVersion\":\"1.0.0\"} x", CNI_DECODE, "not a JSON object"},
    {"{}", CNI_VERSION, "cniVersion \"\""},
    {"{\"cniVersion\":1}", CNI_VERSION, "not supported"},
    {"{\"cniVersion\":\"0.2.0\"}", CNI_VERSION, "0.2.0"},
    {"{\"cniVersion\":\"1.0.0\",\"linkerd\":[]}", CNI_CONFIG, "linkerd: expected an object"},
    {"{\"cniVersion\":\"1.0.0\",\"kubernetes\":{\"kubeconfig\":1}}", CNI_CONFIG, "kubeconfig: expected a text"},
    {"{\"cniVersion\":\"1.0.0\",\"prevResult\":7}", CNI_CONFIG, "prevResult: expected an object"},
    {"{\"cniVersion\":\"1.0.0\",\"log_level\":\"loud\"}", CNI_CONFIG, "log_level: \"loud\""},
    {LINKERD("\"incoming-proxy-port\":0"), CNI_CONFIG, "incoming-proxy-port: expected a number, 1 to 65535"},
    {LINKERD("\"incoming-proxy-port\":\"4143\""), CNI_CONFIG, "incoming-proxy-port"},
    {LINKERD("\"outgoing-proxy-port\":65536"), CNI_CONFIG, "outgoing-proxy-port"},
    {LINKERD("\"proxy-uid\":4294967295"), CNI_CONFIG, "proxy-uid"},
    {LINKERD("\"proxy-uid\":1e3"), CNI_CONFIG, "proxy-uid"},
    {LINKERD("\"ports-to-redirect\":[0]"), CNI_CONFIG, "ports-to-redirect: \"0\" is not a port"},
    {LINKERD("\"ports-to-redirect\":[\"1-2\"]"), CNI_CONFIG, "ports-to-redirect"},
    {LINKERD("\"inbound-ports-to-ignore\":[-1]"), CNI_CONFIG, "\"-1\" is not a port"},
    {LINKERD("\"inbound-ports-to-ignore\":[\"9-8\"]"), CNI_CONFIG, "\"9-8\" is not a port"},
    {LINKERD("\"inbound-ports-to-ignore\":[\"80 -j ACCEPT\"]"), CNI_CONFIG, "80 -j ACCEPT"},
    {LINKERD("\"inbound-ports-to-ignore\":[[1]]"), CNI_CONFIG, "expected numbers and texts"},
    {LINKERD("\"outbound-ports-to-ignore\":{}"), CNI_CONFIG, "outbound-ports-to-ignore: expected a list"},
    {LINKERD("\"subnets-to-ignore\":[\"10.0.0.1\"]"), CNI_CONFIG, "is not a network"},
    {LINKERD("\"subnets-to-ignore\":[\"10.0.0.0/33\"]"), CNI_CONFIG, "is not a network"},
    {LINKERD("\"iptables-mode\":\"ebpf\""), CNI_CONFIG, "iptables-mode: \"ebpf\""},
    {LINKERD("\"ipv6\":\"yes\""), CNI_CONFIG, "ipv6: expected true or false"},
    {LINKERD("\"simulate\":0,\"use-wait-flag\":0"), CNI_CONFIG, "simulate: expected true or false;use-wait-flag: expected"},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct failure failure = {0};
        struct conf conf;

        assert_int_equal(conf_read(slice_str(refused[i].text), &conf, &failure), -1);
        if (failure.code != refused[i].code ||
            (!strstr(failure.msg.text, refused[i].said) && !strstr(failure.details.text, refused[i].said)))
            fail_msg("%s\ngives %d: %s\n%s", refused[i].text, failure.code, failure.msg.text, failure.details.text);
        assert_true(failure.details.text[0]);
        conf_release(&conf);
    }
}

static void test_bounded(void **state)
{
    size_t size = LIMIT_CNI_CONFIG + 1;
    char *text = malloc(size);
    struct failure failure = {0};
    struct conf conf;

    assert_non_null(text);
    memset(text, ' ', size);
    assert_int_equal(conf_read(slice_of(text, size), &conf, &failure), -1);
    assert_int_equal(failure.code, CNI_DECODE);
    conf_release(&conf);
    memset(text, '[', size - 1);
    assert_int_equal(conf_read(slice_of(text, size - 1), &conf, &failure), -1);
    assert_int_equal(failure.code, CNI_DECODE);
    conf_release(&conf);
    free(text);
}

/* --- the environment --- */

static const char *variable(const void *owner, const char *name)
{
    const char *const *pairs = owner;

    for (; pairs[0]; pairs += 2)
        if (strcmp(pairs[0], name) == 0)
            return pairs[1];
    return NULL;
}

#define ENVIRONMENT(...) ((const char *const[]){__VA_ARGS__, NULL})
#define POD "CNI_CONTAINERID", "c", "CNI_NETNS", "/n", "CNI_IFNAME", "eth0"

static void test_request(void **state)
{
    struct failure failure = {0};
    struct request request;

    assert_int_equal(request_read(variable, ENVIRONMENT("CNI_COMMAND", "ADD", POD, "CNI_ARGS",
                                                        "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0.a;X"),
                                  &request, &failure), 0);
    assert_int_equal(request.command, CNI_ADD);
    assert_string_equal(request.namespace, "ns");
    assert_string_equal(request.pod, "web-0.a");
    assert_int_equal(request_read(variable, ENVIRONMENT("CNI_COMMAND", "ADD", POD), &request, &failure), 0);
    assert_string_equal(request.pod, "");
    assert_int_equal(request_read(variable, ENVIRONMENT("CNI_COMMAND", "STATUS"), &request, &failure), 0);
    assert_int_equal(request_read(variable, ENVIRONMENT("CNI_COMMAND", "DEL", "CNI_CONTAINERID", "c", "CNI_IFNAME", "e", "CNI_ARGS",
                                                        "K8S_POD_NAME=../x"), &request, &failure), 0);
}

static void test_request_refused(void **state)
{
    const struct {
        const char *const *environment;
        const char *said;
    } cases[] = {
        {ENVIRONMENT("X", "Y"), "CNI_COMMAND is not set"},
        {ENVIRONMENT("CNI_COMMAND", "add"), "\"add\""},
        {ENVIRONMENT("CNI_COMMAND", "ADD", "CNI_NETNS", "/n", "CNI_IFNAME", "e"), "CNI_CONTAINERID"},
        {ENVIRONMENT("CNI_COMMAND", "CHECK", "CNI_CONTAINERID", "c", "CNI_IFNAME", "e"), "CNI_NETNS"},
        {ENVIRONMENT("CNI_COMMAND", "ADD", "CNI_CONTAINERID", "c", "CNI_NETNS", "/n", "CNI_IFNAME", ""), "CNI_IFNAME"},
        {ENVIRONMENT("CNI_COMMAND", "ADD", POD, "CNI_ARGS", "K8S_POD_NAME=a/../b"), "K8S_POD_NAME"},
        {ENVIRONMENT("CNI_COMMAND", "ADD", POD, "CNI_ARGS", "K8S_POD_NAMESPACE=.."), "K8S_POD_NAMESPACE"},
        {ENVIRONMENT("CNI_COMMAND", "ADD", POD, "CNI_ARGS", "K8S_POD_NAME=a%2e?x"), "no name"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct failure failure = {0};
        struct request request;

        assert_int_equal(request_read(variable, cases[i].environment, &request, &failure), -1);
        assert_int_equal(failure.code, CNI_ENVIRONMENT);
        if (!strstr(failure.msg.text, cases[i].said))
            fail_msg("%zu: %s", i, failure.msg.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_linkerd_has_it), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_refused),           cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_request),           cmocka_unit_test(test_request_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
