#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "net/tls/tls_fixture.h"
#include "net/tls/tls_web.h"
#include "net/x509/x509_internal.h"

static struct tls_world world;
static struct authority authority, stranger;
static struct buffer anchors;

static int setup(void **state)
{
    tls_world_init(&world);
    authority_init(&authority, "root.example");
    authority_init(&stranger, "stranger.example");
    buffer_init(&anchors, 1 << 16);
    assert_int_equal(x509_cert_write_pem(authority.anchor, &anchors), 0);
    return 0;
}

static int teardown(void **state)
{
    buffer_release(&anchors);
    authority_release(&authority);
    authority_release(&stranger);
    tls_world_release(&world);
    return 0;
}

static GENERAL_NAMES *names_of(const char *text)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    GENERAL_NAMES *names;

    X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, text);
    assert_non_null(extension);
    names = X509V3_EXT_d2i(extension);
    X509_EXTENSION_free(extension);
    return names;
}

static void server_init(struct workload *server, const struct authority *by, const char *names)
{
    GENERAL_NAMES *list = names_of(names);

    workload_init_odd(server, by, list, -FIXTURE_HOUR, FIXTURE_HOUR, "serverAuth,clientAuth");
    GENERAL_NAMES_free(list);
}

static struct tls_context *context_of(const struct tls_web *options)
{
    struct tls_context *context;
    struct errmsg msg = {""};

    if (tls_web_context_new(&world.sys, options, &msg, &context) < 0)
        fail_msg("%s", msg.text);
    return context;
}

/* Shakes hands with a server of OpenSSL's. The client's result; the reason of a failure in *msg. */
static int shake(struct tls_context *context, const struct workload *server, const char *host, int max_version,
                 enum tls_failure *ret_failure, struct errmsg *msg)
{
    static const struct slice alpn[] = {{"h2", 2}, {"http/1.1", 8}};
    struct tls_end end;
    int fd = tls_connect_foreign(&world, &end), r, peer_r;
    SSL *peer = tls_foreign(fd, server, &authority.anchors, true, max_version);
    char bytes[8];

    assert_int_equal(tls_push_web(&end.stack, context, slice_str(host), alpn, 2), 0);
    tls_shake_foreign(&world, &end, peer, &r, &peer_r);
    *ret_failure = tls_failure(&end.stack);
    tls_failure_text(&end.stack, msg);
    if (r == 0) {
        assert_int_equal(SSL_write(peer, "hello", 5), 5);
        assert_int_equal(tls_read(&world, &end, bytes, sizeof(bytes)), 5);
    }
    io_close(&end.stack, true);
    tls_settle(&world);
    tls_foreign_free(peer);
    return r;
}

static void test_names(void **state)
{
    static const struct {
        const char *names, *host;
        enum tls_failure failure;
    } cases[] = {
        {"DNS:kubernetes.default.svc", "kubernetes.default.svc", TLS_OK},
        {"DNS:kubernetes.default.svc", "KUBERNETES.default.svc", TLS_OK},
        {"DNS:kubernetes.default.svc", "kubernetes.default.svc.", TLS_OK},
        {"DNS:kubernetes.default.svc", "kubernetes.default", TLS_IDENTITY_MISMATCH},
        {"DNS:*.example.com", "api.example.com", TLS_OK},
        {"DNS:*.example.com", "a.b.example.com", TLS_IDENTITY_MISMATCH},
        {"DNS:*.example.com", "example.com", TLS_IDENTITY_MISMATCH},
        {"DNS:a*.example.com", "api.example.com", TLS_IDENTITY_MISMATCH},
        {"IP:10.96.0.1", "10.96.0.1", TLS_OK},
        {"IP:10.96.0.1", "10.96.0.2", TLS_IDENTITY_MISMATCH},
        {"DNS:10.96.0.1", "10.96.0.1", TLS_IDENTITY_MISMATCH},
        {"IP:fd00::1", "fd00::1", TLS_OK},
        {"DNS:x.example,IP:10.0.0.1", "10.0.0.1", TLS_OK},
        {"URI:https://api.example", "api.example", TLS_IDENTITY_MISMATCH},
    };
    struct tls_context *context = context_of(&(struct tls_web){.anchors = buffer_slice(&anchors)});

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct workload server;
            struct errmsg msg;
            enum tls_failure failure;
            int r;

            server_init(&server, &authority, cases[i].names);
            r = shake(context, &server, cases[i].host, version, &failure, &msg);
            if (failure != cases[i].failure || (r == 0) != (failure == TLS_OK))
                fail_msg("%s for %s: %s", cases[i].names, cases[i].host, msg.text);
            if (r < 0)
                assert_non_null(strstr(msg.text, cases[i].host));
            workload_release(&server);
        }
    tls_context_unref(context);
}

static void test_strangers(void **state)
{
    struct tls_context *context = context_of(&(struct tls_web){.anchors = buffer_slice(&anchors)});
    struct tls_context *insecure = context_of(&(struct tls_web){.insecure = true});
    struct tls_context *of_system = context_of(&(struct tls_web){0});
    struct workload server;
    enum tls_failure failure;
    struct errmsg msg;

    server_init(&server, &stranger, "DNS:api.example");
    assert_true(shake(context, &server, "api.example", TLS1_3_VERSION, &failure, &msg) < 0);
    assert_int_equal(failure, TLS_UNKNOWN_ISSUER);
    assert_true(shake(of_system, &server, "api.example", TLS1_3_VERSION, &failure, &msg) < 0);
    assert_int_equal(failure, TLS_UNKNOWN_ISSUER);
    assert_int_equal(shake(insecure, &server, "other.example", TLS1_3_VERSION, &failure, &msg), 0);
    workload_release(&server);
    tls_context_unref(context);
    tls_context_unref(insecure);
    tls_context_unref(of_system);
}

/* API servers made by kubeadm have RSA keys, and so have their administrators. */
static void test_rsa(void **state)
{
    struct tls_context *context;
    struct x509_key rsa = {.pkey = EVP_RSA_gen(2048)};
    struct workload server;
    struct buffer certificate;
    enum tls_failure failure;
    struct errmsg msg = {""};
    BIO *bio = BIO_new(BIO_s_mem());
    X509 *x509;
    char *key;
    long key_len;

    server_init(&server, &authority, "DNS:api.example");
    x509 = server.chain.certs[0]->x509; /* the same names under an RSA key */
    assert_int_equal(X509_set_pubkey(x509, rsa.pkey), 1);
    assert_true(X509_sign(x509, authority.issuer_key->pkey, EVP_sha256()) > 0);
    x509_key_unref(server.key);
    refcount_init(&rsa.refs);
    server.key = &rsa;
    assert_int_equal(PEM_write_bio_PrivateKey(bio, rsa.pkey, NULL, NULL, 0, NULL, NULL), 1);
    key_len = BIO_get_mem_data(bio, &key);
    buffer_init(&certificate, 1 << 16);
    PEM_write_bio_X509(bio, x509);
    buffer_add(&certificate, slice_of(key, (size_t)BIO_get_mem_data(bio, &key)));
    assert_int_equal(x509_cert_write_pem(authority.issuer_cert, &certificate), 0);
    context = context_of(&(struct tls_web){
        .anchors = buffer_slice(&anchors),
        .certificate = slice_skip(buffer_slice(&certificate), (size_t)key_len),
        .key = slice_take(buffer_slice(&certificate), (size_t)key_len),
    });
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
        if (shake(context, &server, "api.example", version, &failure, &msg) < 0)
            fail_msg("%s", msg.text);
    tls_context_unref(context);
    buffer_release(&certificate);
    BIO_free(bio);
    server.key = NULL;
    workload_release(&server);
    EVP_PKEY_free(rsa.pkey);
}

/* --- as a server --- */

/* Shakes hands with a client of OpenSSL's, which shows its own certificate if it is asked. */
static void shake_as_server(struct tls_context *context, const struct workload *client, int max_version)
{
    static const struct slice alpn[] = {{"h2", 2}, {"http/1.1", 8}};
    static const unsigned char offer[] = "\x08http/1.1";
    struct tls_end end;
    int fd = tls_connect_foreign(&world, &end), r, peer_r;
    SSL *peer = tls_foreign(fd, client, &authority.anchors, false, max_version);
    struct tls_peer who;
    struct errmsg msg;
    char bytes[8];

    assert_int_equal(SSL_set_alpn_protos(peer, offer, sizeof(offer) - 1), 0);
    assert_int_equal(tls_push_web_server(&end.stack, context, alpn, 2), 0);
    tls_shake_foreign(&world, &end, peer, &r, &peer_r);
    tls_failure_text(&end.stack, &msg);
    if (r < 0 || peer_r != 1)
        fail_msg("%s", msg.text);
    assert_true(tls_peer(&end.stack, &who));
    assert_int_equal(who.id.kind, SAN_NONE);
    assert_true(slice_eq(who.alpn, SLICE_LIT("http/1.1")));
    assert_int_equal(SSL_write(peer, "hello", 5), 5);
    assert_int_equal(tls_read(&world, &end, bytes, sizeof(bytes)), 5);
    io_close(&end.stack, true);
    tls_settle(&world);
    tls_foreign_free(peer);
}

static void test_as_server(void **state)
{
    struct workload own, foreign;
    struct buffer certificate, key;
    struct tls_context *context;

    server_init(&own, &authority, "DNS:linkerd-proxy-injector.linkerd.svc");
    server_init(&foreign, &stranger, "DNS:client.example");
    buffer_init(&certificate, 1 << 16);
    buffer_init(&key, 1 << 16);
    for (size_t i = 0; i < own.chain.count; i++)
        assert_int_equal(x509_cert_write_pem(own.chain.certs[i], &certificate), 0);
    assert_int_equal(x509_key_write_pem(own.key, &key), 0);
    context = context_of(&(struct tls_web){.certificate = buffer_slice(&certificate), .key = buffer_slice(&key), .insecure = true});
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        shake_as_server(context, NULL, version);
        shake_as_server(context, &foreign, version);
    }
    tls_context_unref(context);
    buffer_release(&certificate);
    buffer_release(&key);
    workload_release(&own);
    workload_release(&foreign);
}

static void test_refused_options(void **state)
{
    struct workload workload;
    struct buffer certificate, key, other_key;
    struct x509_key *other;
    struct tls_context *context;
    struct errmsg msg = {""};

    workload_init(&workload, &authority, san_parse(SLICE_LIT("admin.example")));
    buffer_init(&certificate, 1 << 16);
    buffer_init(&key, 1 << 16);
    buffer_init(&other_key, 1 << 16);
    assert_int_equal(x509_cert_write_pem(workload.chain.certs[0], &certificate), 0);
    assert_int_equal(x509_key_write_pem(workload.key, &key), 0);
    assert_int_equal(x509_key_new(&other), 0);
    assert_int_equal(x509_key_write_pem(other, &other_key), 0);
    {
        const struct {
            struct tls_web options;
            const char *says;
        } cases[] = {
            {{.anchors = SLICE_LIT("nothing")}, "the certificate authority: there is no CERTIFICATE block"},
            {{.certificate = buffer_slice(&certificate)}, "needs its key"},
            {{.key = buffer_slice(&key)}, "a key its certificate"},
            {{.certificate = buffer_slice(&certificate), .key = SLICE_LIT("x")}, "the key cannot be read"},
            {{.certificate = buffer_slice(&certificate), .key = buffer_slice(&other_key)}, "does not belong"},
            {{.certificate = buffer_slice(&key), .key = buffer_slice(&key)}, "the certificate: PEM block 1"},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            assert_true(tls_web_context_new(&world.sys, &cases[i].options, &msg, &context) < 0);
            if (!strstr(msg.text, cases[i].says))
                fail_msg("%s", msg.text);
        }
    }
    x509_key_unref(other);
    buffer_release(&certificate);
    buffer_release(&key);
    buffer_release(&other_key);
    workload_release(&workload);
}

/* Neither kind of context stands in for the other. */
static void test_apart_from_the_mesh(void **state)
{
    struct tls_context *web = context_of(&(struct tls_web){.insecure = true});
    struct tls_context *mesh = tls_world_context(&world, NULL, (struct san){SAN_NONE, SLICE_NULL}, &authority.anchors);
    const struct tls_client client = {.expected = {SAN_DNS, SLICE_LIT("a.example")}};
    struct tls_end a, b;

    tls_connect(&world, &a, &b);
    assert_int_equal(tls_push_client(&a.stack, web, &client), -EINVAL);
    assert_int_equal(tls_push_inspector(&a.stack, web, SLICE_LIT("a.example")), -EINVAL);
    assert_int_equal(tls_push_server(&a.stack, web, NULL, 0), -EINVAL);
    assert_int_equal(tls_push_web(&a.stack, mesh, SLICE_LIT("a.example"), NULL, 0), -EINVAL);
    assert_int_equal(tls_push_web(&a.stack, web, SLICE_LIT(""), NULL, 0), -EINVAL);
    assert_int_equal(tls_push_web_server(&a.stack, mesh, NULL, 0), -EINVAL);
    assert_int_equal(tls_push_web_server(&a.stack, web, NULL, 0), -ENOKEY);
    io_close(&a.stack, true);
    io_close(&b.stack, true);
    tls_context_unref(web);
    tls_context_unref(mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rsa, setup, teardown),
        cmocka_unit_test_setup_teardown(test_as_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_apart_from_the_mesh, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
