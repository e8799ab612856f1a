#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kube/access/base64.h"
#include "kube/access/kubeconfig.h"

#define CLUSTER(name, more) "clusters: [{name: " name ", cluster: {server: 'https://10.0.0.1:6443'" more "}}]\n"
#define CONTEXT(name, cluster, user) "contexts: [{name: " name ", context: {cluster: " cluster ", user: " user "}}]\n"

#define assert_slice(slice, text) assert_string_equal(str(slice), (text))

static const char *str(struct slice s)
{
    static char text[4][512];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(text[turn], sizeof(text[turn]), "%.*s", SLICE_ARGS(s));
    return text[turn];
}

/* Up to two files, "/a/one" and "two". */
static int choose(const char *one, const char *two, const char *context, struct kube_access *access, struct errmsg *msg)
{
    struct kubeconfig *config;
    int r;

    msg->text[0] = '\0';
    assert_int_equal(kubeconfig_new(&config), 0);
    r = kubeconfig_add(config, SLICE_LIT("/a/one"), slice_str(one), msg);
    if (r == 0 && two)
        r = kubeconfig_add(config, SLICE_LIT("two"), slice_str(two), msg);
    if (r == 0)
        r = kubeconfig_choose(config, slice_str(context), access, msg);
    kubeconfig_free(config);
    return r;
}

static void test_everything(void **state)
{
    struct kube_access access;
    struct errmsg msg;

    assert_int_equal(choose("current-context: dev\n"
                            "clusters: [{name: c, cluster: {server: 'https://api.example:7443/k8s/', certificate-authority: ca.crt, tls-server-name: kubernetes}}]\n"
                            "users: [{name: u, user: {token: abc, client-certificate: /abs/u.crt, client-key: keys/u.key}}]\n"
                            "contexts: [{name: dev, context: {cluster: c, user: u, namespace: shop}}]\n", NULL, "", &access, &msg), 0);
    assert_slice(access.host, "api.example");
    assert_int_equal(access.port, 7443);
    assert_true(access.tls && !access.insecure);
    assert_slice(access.authority, "api.example:7443");
    assert_slice(access.prefix, "/k8s");
    assert_slice(access.tls_server_name, "kubernetes");
    assert_slice(access.ca_file, "/a/ca.crt");
    assert_slice(access.certificate_file, "/abs/u.crt");
    assert_slice(access.key_file, "/a/keys/u.key");
    assert_slice(access.token, "abc");
    assert_slice(access.namespace_, "shop");
    assert_slice(access.origin, "context \"dev\" of /a/one");
    kube_access_release(&access);
}

static void test_data(void **state)
{
    struct kube_access access;
    struct errmsg msg;

    assert_int_equal(choose("current-context: x\nclusters: [{name: c, cluster: {server: 'https://[fd00::1]', certificate-authority-data: Y2E=, certificate-authority: other}}]\n"
                            "users: [{name: u, user: {client-certificate-data: 'Y2VydA==', client-key-data: a2V5, username: me, password: 'p:w'}}]\n"
                            CONTEXT("x", "c", "u"), NULL, "", &access, &msg), 0);
    assert_slice(access.host, "fd00::1");
    assert_int_equal(access.port, 443);
    assert_slice(access.authority, "[fd00::1]");
    assert_slice(access.ca_pem, "ca");
    assert_slice(access.certificate_pem, "cert");
    assert_slice(access.key_pem, "key");
    struct buffer value;
    buffer_init(&value, 1000);
    assert_int_equal(kube_access_authorization(&access, &value, &msg), 0);
    assert_slice(buffer_slice(&value), "Basic bWU6cDp3");
    buffer_release(&value);
    kube_access_release(&access);
}

/* Entries of the first file count whole; the second adds what the first lacks. */
static void test_merged(void **state)
{
    struct kube_access access;
    struct errmsg msg;

    assert_int_equal(choose(CLUSTER("c", ""), "current-context: x\nclusters: [{name: c, cluster: {server: 'https://other:1', tls-server-name: y}}]\n"
                            "users: [{name: u, user: {tokenFile: t}}]\n" CONTEXT("x", "c", "u"), "", &access, &msg), 0);
    assert_slice(access.server, "https://10.0.0.1:6443");
    assert_int_equal(access.tls_server_name.len, 0);
    assert_slice(access.token_file, "t"); /* the second file's folder is where we run */
    assert_slice(access.origin, "context \"x\" of /a/one:two");
    kube_access_release(&access);
    assert_int_equal(choose("current-context: ''\n", "current-context: x\n" CLUSTER("c", "") CONTEXT("x", "c", "''"), "", &access, &msg), 0);
    kube_access_release(&access);
}

static void test_acting_for_another(void **state)
{
    const char *group = "ops";
    struct kube_access access;
    struct errmsg msg;

    assert_int_equal(choose(CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {token: t, as: ann, as-groups: [dev, 'system:masters']}}]\n", NULL, "x", &access, &msg), 0);
    assert_slice(access.as, "ann");
    assert_int_equal(access.as_group_count, 2);
    assert_slice(access.as_groups[1], "system:masters");
    assert_int_equal(kube_access_impersonate(&access, SLICE_LIT("bob"), NULL, 0, &msg), 0);
    assert_slice(access.as, "bob");
    assert_int_equal(access.as_group_count, 2);
    assert_int_equal(kube_access_impersonate(&access, SLICE_LIT(""), &group, 1, &msg), 0);
    assert_int_equal(access.as_group_count, 1);
    assert_slice(access.as_groups[0], "ops");
    kube_access_release(&access);
}

static void test_whoever(void **state)
{
    struct kube_access access;
    struct errmsg msg;

    assert_int_equal(choose(CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {as: ann, as-uid: '7', as-user-extra: {example.org/Scopes: [a, 'b c']}}}]\n", NULL, "x",
                            &access, &msg), 0);
    assert_slice(access.as_uid, "7");
    assert_int_equal(access.as_extra_count, 2);
    assert_slice(access.as_extras[0].name, "impersonate-extra-example.org%2Fscopes");
    assert_slice(access.as_extras[1].name, "impersonate-extra-example.org%2Fscopes");
    assert_slice(access.as_extras[1].value, "b c");
    kube_access_release(&access);
}

static void test_plugin(void **state)
{
    struct kube_access access;
    struct errmsg msg;

    assert_int_equal(choose(CLUSTER("c", ", extensions: [{name: other, extension: 1}, {name: client.authentication.k8s.io/exec, extension: {a: [1, 0x10, on, null, 'x\"', 1.5]}}]")
                            CONTEXT("x", "c", "u") "users: [{name: u, user: {exec: {command: bin/login, apiVersion: client.authentication.k8s.io/v1, args: [get, '-'], "
                            "env: [{name: A, value: b=c}, {name: B}], interactiveMode: Never, provideClusterInfo: true, installHint: Get it}}}]\n", NULL, "x", &access, &msg), 0);
    assert_slice(access.exec.command, "/a/bin/login"); /* beside the kubeconfig */
    assert_slice(access.exec.version, "client.authentication.k8s.io/v1");
    assert_int_equal(access.exec.argument_count, 2);
    assert_slice(access.exec.arguments[1], "-");
    assert_int_equal(access.exec.variable_count, 2);
    assert_slice(access.exec.variables[0], "A=b=c");
    assert_slice(access.exec.variables[1], "B=");
    assert_int_equal(access.exec.interactive, EXEC_NEVER);
    assert_true(access.exec.provide_cluster);
    assert_slice(access.exec.cluster_config, "{\"a\":[1,16,true,null,\"x\\\"\",1.5]}");
    assert_slice(access.exec.install_hint, "Get it");
    assert_non_null(access.plugin);
    kube_access_release(&access);
    assert_int_equal(choose(CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {exec: {command: login, apiVersion: client.authentication.k8s.io/v1beta1}}}]\n", NULL, "x",
                            &access, &msg), 0);
    assert_slice(access.exec.command, "login");
    assert_int_equal(access.exec.interactive, EXEC_IF_AVAILABLE);
    kube_access_release(&access);
}

static void test_proxy(void **state)
{
    struct kube_access access;
    struct errmsg msg;

    assert_int_equal(choose(CLUSTER("c", ", proxy-url: 'socks5://me:pw@proxy:1081'") CONTEXT("x", "c", "''"), NULL, "x", &access, &msg), 0);
    assert_int_equal(access.proxy.kind, TUNNEL_SOCKS5);
    assert_slice(access.proxy.host, "proxy");
    assert_slice(access.proxy.password, "pw");
    assert_slice(access.proxy_url, "socks5://me:pw@proxy:1081");
    kube_access_release(&access);
}

static void test_refused(void **state)
{
    static const struct {
        const char *one, *context, *says;
    } cases[] = {
        {"", "", "no current-context"},
        {"current-context: x\n", "", "/a/one: there is no context \"x\""},
        {CONTEXT("x", "c", "u"), "x", "there is no cluster \"c\""},
        {CLUSTER("c", "") CONTEXT("x", "c", "u"), "x", "there is no user \"u\""},
        {CLUSTER("c", "") CONTEXT("x", "c", "u"), "y", "there is no context \"y\""},
        {"clusters: [{name: c}]\n" CONTEXT("x", "c", "u"), "x", "the cluster \"c\" has no server"},
        {"clusters: [{name: c, cluster: {server: 10}}]\n" CONTEXT("x", "c", "u"), "x", "/a/one:1: server: expected a text, found a number"},
        {"clusters: [{name: c, cluster: {server: 'ftp://x'}}]\n" CONTEXT("x", "c", "u"), "x", "expected https://HOST:PORT"},
        {"clusters: [{name: c, cluster: {server: 'https://x:0'}}]\n" CONTEXT("x", "c", "u"), "x", "expected https://HOST:PORT"},
        {"clusters: [{name: c, cluster: {server: 'https://u@x'}}]\n" CONTEXT("x", "c", "u"), "x", "expected https://HOST:PORT"},
        {"clusters: [{name: c, cluster: {server: 'https://[1.2.3.4]'}}]\n" CONTEXT("x", "c", "u"), "x", "expected https://HOST:PORT"},
        {"clusters: [{name: c, cluster: {server: 'https://x/?a'}}]\n" CONTEXT("x", "c", "u"), "x", "expected https://HOST:PORT"},
        {CLUSTER("c", ", proxy-url: 'ftp://me:secret@p'") CONTEXT("x", "c", "u"), "x", "/a/one:1: proxy-url: expected http://HOST:PORT"},
        {CLUSTER("c", ", certificate-authority-data: 'Y2E'") CONTEXT("x", "c", "u"), "x", "certificate-authority-data: it is not base64"},
        {CLUSTER("c", ", insecure-skip-tls-verify: 'true'") CONTEXT("x", "c", "u"), "x", "expected true or false"},
        {CLUSTER("c", ", insecure-skip-tls-verify: true, certificate-authority: x") CONTEXT("x", "c", "u"), "x", "contradicts the certificate authority"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {exec: {command: aws}}}]", "x", "exec: apiVersion: expected client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1, found \"\""},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {exec: {command: aws, apiVersion: client.authentication.k8s.io/v1alpha1}}}]", "x", "found \"client.authentication.k8s.io/v1alpha1\""},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}}}]", "x", "exec: interactiveMode: expected Never, IfAvailable or Always"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {exec: {command: aws, apiVersion: client.authentication.k8s.io/v1, interactiveMode: never}}}]", "x", "found \"never\""},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1}}}]", "x", "exec: it has no command"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {exec: {command: aws, apiVersion: client.authentication.k8s.io/v1beta1, args: x}}}]", "x", "exec: args: expected a list"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {exec: {command: aws, apiVersion: client.authentication.k8s.io/v1beta1, env: [{value: x}]}}}]", "x", "exec: env: expected a name and a value"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {exec: aws}}]", "x", "exec: expected a map, found a text"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {auth-provider: {name: gcp}}}]", "x", "auth-provider: Kubernetes 1.26 took these plug-ins (\"gcp\") out"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {as-uid: '0'}}]", "x", "a uid to act for, but no user"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {as-user-extra: {a: [b]}}}]", "x", "attributes to act for, but no user"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {as: a, as-user-extra: [b]}}]", "x", "as-user-extra: expected a map of lists"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {as: a, as-user-extra: {b: c}}}]", "x", "as-user-extra: expected a list"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {as-groups: [a]}}]", "x", "groups to act for, but no user"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {as: a, as-groups: a}}]", "x", "as-groups: expected a list"},
        {CLUSTER("c", "") CONTEXT("x", "c", "u") "users: [{name: u, user: {as: \"a\\nb\"}}]", "x", "control character"},
        {"users: {}", "x", "/a/one:1: users: expected a list"},
        {"contexts: [{context: {}}]", "x", "an element of contexts has no name"},
        {"- a", "x", "expected a kubeconfig"},
        {"a: [", "x", "/a/one:1"},
    };
    struct kube_access access;
    struct errmsg msg;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(choose(cases[i].one, NULL, cases[i].context, &access, &msg) < 0);
        if (!strstr(msg.text, cases[i].says))
            fail_msg("%zu: %s", i, msg.text);
    }
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[300];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_in_a_pod(void **state)
{
    char folder[] = "/tmp/kubeconfig_test.XXXXXX", path[300];
    struct kube_access access;
    struct errmsg msg = {""};
    struct buffer value;

    assert_non_null(mkdtemp(folder));
    write_file(folder, "namespace", "linkerd\n");
    write_file(folder, "token", "one\n");
    assert_int_equal(kube_access_in_pod(NULL, NULL, folder, &access, &msg), -ENOENT);
    assert_int_equal(kube_access_in_pod("fd00::1", "443", folder, &access, &msg), 0);
    assert_slice(access.server, "https://[fd00::1]:443");
    kube_access_release(&access);
    assert_int_equal(kube_access_in_pod("10.96.0.1", "443", folder, &access, &msg), 0);
    assert_slice(access.server, "https://10.96.0.1:443");
    assert_slice(access.namespace_, "linkerd");
    buffer_init(&value, 1000);
    assert_int_equal(kube_access_authorization(&access, &value, &msg), 0);
    assert_slice(buffer_slice(&value), "Bearer one");
    write_file(folder, "token", "two"); /* it rotates while we run */
    buffer_clear(&value);
    assert_int_equal(kube_access_authorization(&access, &value, &msg), 0);
    assert_slice(buffer_slice(&value), "Bearer two");
    write_file(folder, "token", "two words");
    assert_int_equal(kube_access_authorization(&access, &value, &msg), -EINVAL);
    assert_non_null(strstr(msg.text, "/token holds no token"));
    buffer_release(&value);
    kube_access_release(&access);
    for (const char *const *name = (const char *const[]){"namespace", "token", NULL}; *name; name++) {
        snprintf(path, sizeof(path), "%s/%s", folder, *name);
        unlink(path);
    }
    rmdir(folder);
}

static void test_files(void **state)
{
    char folder[] = "/tmp/kubeconfig_test.XXXXXX", list[900];
    struct kube_access access;
    struct errmsg msg = {""};

    assert_non_null(mkdtemp(folder));
    snprintf(list, sizeof(list), "%s/none:%s/config::%s/none2", folder, folder, folder);
    assert_int_equal(kubeconfig_load(list, SLICE_LIT(""), &access, &msg), -ENOENT);
    assert_non_null(strstr(msg.text, "there is no kubeconfig file"));
    write_file(folder, "config", "current-context: x\n" CLUSTER("c", ", certificate-authority: ca") CONTEXT("x", "c", "''"));
    assert_int_equal(kubeconfig_load(list, SLICE_LIT(""), &access, &msg), 0);
    assert_true(slice_starts(access.ca_file, slice_str(folder)) && slice_ends(access.ca_file, SLICE_LIT("/ca")));
    kube_access_release(&access);
    snprintf(list, sizeof(list), "%s/config", folder);
    unlink(list);
    rmdir(folder);
}

static void test_base64(void **state)
{
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } cases[] = {
        {"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"}, {"Zm9v\nYg==\n", "foob"}, {"+/+/", "\xfb\xff\xbf"},
        {"Zg=", NULL}, {"Zg", NULL}, {"Zg===", NULL}, {"Z", NULL}, {"Zh==", NULL}, {"Zm9=", NULL}, {"Zm=8", NULL}, {"Zm9v=", NULL}, {"Zm 9v", NULL},
        {"Zm9-", NULL}, {"====", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena;
        struct slice bytes;
        struct buffer text;
        int r;

        arena_init(&arena, 1 << 16);
        r = base64_read(&arena, slice_str(cases[i].text), &bytes);
        assert_int_equal(r, cases[i].bytes ? 0 : -EINVAL);
        if (r == 0) {
            assert_slice(bytes, cases[i].bytes);
            buffer_init(&text, 1000);
            base64_add(&text, bytes);
            if (!strchr(cases[i].text, '\n'))
                assert_slice(buffer_slice(&text), cases[i].text);
            buffer_release(&text);
        }
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything), cmocka_unit_test(test_data),  cmocka_unit_test(test_merged), cmocka_unit_test(test_refused), cmocka_unit_test(test_acting_for_another),
        cmocka_unit_test(test_whoever), cmocka_unit_test(test_plugin), cmocka_unit_test(test_proxy), cmocka_unit_test(test_in_a_pod),   cmocka_unit_test(test_files), cmocka_unit_test(test_base64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
