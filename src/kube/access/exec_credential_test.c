#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/duration.h"
#include "kube/access/exec_credential.h"

#define V1 "client.authentication.k8s.io/v1"
#define HEAD "\"kind\": \"ExecCredential\", \"apiVersion\": \"" V1 "\", "

static void test_info(void **state)
{
    const struct exec_cluster whole = {SLICE_LIT("https://api:6443"), SLICE_LIT("kubernetes"), SLICE_LIT("PEM"), SLICE_LIT("socks5://p"), SLICE_LIT("{\"a\":1}"), false};
    const struct exec_cluster plain = {.server = SLICE_LIT("https://\"x"), .insecure = true};
    struct buffer text;

    buffer_init(&text, 4096);
    assert_int_equal(exec_info_write(SLICE_LIT(V1), false, NULL, &text), 0);
    buffer_add_byte(&text, '\0');
    assert_string_equal(text.data, "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"spec\":{\"interactive\":false}}");
    buffer_clear(&text);
    assert_int_equal(exec_info_write(SLICE_LIT(V1), true, &whole, &text), 0);
    buffer_add_byte(&text, '\0');
    assert_string_equal(text.data, "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"spec\":{\"interactive\":true,\"cluster\":{\"server\":\"https://api:6443\","
                                   "\"tls-server-name\":\"kubernetes\",\"certificate-authority-data\":\"UEVN\",\"proxy-url\":\"socks5://p\",\"config\":{\"a\":1}}}}");
    buffer_clear(&text);
    assert_int_equal(exec_info_write(SLICE_LIT(V1), true, &plain, &text), 0);
    buffer_add_byte(&text, '\0');
    assert_non_null(strstr(text.data, "\"cluster\":{\"server\":\"https://\\\"x\",\"insecure-skip-tls-verify\":true}"));
    buffer_release(&text);
}

static int read(const char *text, struct arena *arena, struct exec_credential *credential, struct errmsg *msg)
{
    return exec_credential_read(arena, slice_str(text), SLICE_LIT(V1), credential, msg);
}

static void test_read(void **state)
{
    struct exec_credential credential;
    struct errmsg msg = {""};
    struct arena arena;

    arena_init(&arena, 1 << 20);
    assert_int_equal(read("{" HEAD "\"status\": {\"token\": \"t\", \"expirationTimestamp\": \"1970-01-01T00:01:00Z\"}}", &arena, &credential, &msg), 0);
    assert_true(slice_eq(credential.token, SLICE_LIT("t")));
    assert_int_equal(credential.expires_ns, 60 * NS_PER_S);
    assert_int_equal(read("{" HEAD "\"spec\": {}, \"status\": {\"clientCertificateData\": \"c\", \"clientKeyData\": \"k\", \"expirationTimestamp\": null}}\n", &arena,
                          &credential, &msg), 0);
    assert_true(slice_eq(credential.certificate_pem, SLICE_LIT("c")) && slice_eq(credential.key_pem, SLICE_LIT("k")) && !credential.token.len);
    assert_true(credential.expires_ns == INT64_MAX);
    arena_release(&arena);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "found nothing"},
        {"Please log in", "line 1: it is no JSON"},
        {"[]", "expected an ExecCredential object, found a list"},
        {"{}", "kind: expected ExecCredential, found \"\""},
        {"{\"kind\": \"ExecCredential\", \"apiVersion\": \"" V1 "beta1\"}", "expected " V1 ", as the kubeconfig says, found \"" V1 "beta1\""},
        {"{" HEAD "\"status\": {}}", "expected a token"},
        {"{" HEAD "\"status\": {\"token\": 7}}", "token: expected a text"},
        {"{" HEAD "\"status\": {\"token\": \"\"}}", "expected a token"},
        {"{" HEAD "\"status\": {\"clientCertificateData\": \"secret\"}}", "one of them is missing"},
        {"{" HEAD "\"status\": {\"token\": \"secret\", \"expirationTimestamp\": \"tomorrow\"}}", "expirationTimestamp: expected a time"},
        {"{" HEAD "\"status\": {\"token\": \"secret\"}", "it is no JSON"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct exec_credential credential;
        struct errmsg msg = {""};
        struct arena arena;

        arena_init(&arena, 1 << 20);
        assert_int_equal(read(cases[i].text, &arena, &credential, &msg), -EINVAL);
        if (!strstr(msg.text, cases[i].says) || strstr(msg.text, "secret"))
            fail_msg("%zu: %s", i, msg.text);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_info), cmocka_unit_test(test_read), cmocka_unit_test(test_refused)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
