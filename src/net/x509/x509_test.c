#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/x509/x509_csr.h"
#include "net/x509/x509_fixture.h"
#include "net/x509/x509_internal.h"

#define NAME "web.shop.serviceaccount.identity.linkerd.cluster.local"

static struct san dns(const char *name)
{
    return (struct san){SAN_DNS, slice_str(name)};
}

static void test_names(void **state)
{
    static const struct {
        struct slice name;
        enum san_kind kind;
    } cases[] = {
        {SLICE_LIT(NAME), SAN_DNS},
        {SLICE_LIT("a"), SAN_DNS},
        {SLICE_LIT("with_underscore.b"), SAN_DNS},
        {SLICE_LIT("UPPER.case"), SAN_DNS},
        {SLICE_LIT("spiffe://cluster.local/ns/shop/sa/web"), SAN_URI},
        {SLICE_LIT("urn:x"), SAN_URI},
        {SLICE_LIT(""), SAN_NONE},
        {SLICE_LIT("."), SAN_NONE},
        {SLICE_LIT("trailing.dot."), SAN_NONE},
        {SLICE_LIT(".leading.dot"), SAN_NONE},
        {SLICE_LIT("two..dots"), SAN_NONE},
        {SLICE_LIT("*.wild.card"), SAN_NONE},
        {SLICE_LIT("-dash.first"), SAN_NONE},
        {SLICE_LIT("dash-.last"), SAN_NONE},
        {SLICE_LIT("10.1.2.3"), SAN_NONE},
        {SLICE_LIT("nul\0.inside"), SAN_NONE},
        {SLICE_LIT("sp ace"), SAN_NONE},
        {SLICE_LIT("b\xc3\xbc"
                   "cher.example"),
         SAN_NONE},
        {SLICE_LIT("spiffe://nul\0"), SAN_NONE},
        {SLICE_LIT("spiffe://sp ace"), SAN_NONE},
        {SLICE_LIT("://no-scheme"), SAN_NONE},
        {SLICE_LIT("1a:scheme-begins-with-a-letter"), SAN_NONE},
        {SLICE_LIT("scheme-only:"), SAN_NONE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct san san = san_parse(cases[i].name);

        if (san.kind != cases[i].kind)
            fail_msg("%.*s: kind %d", SLICE_ARGS(cases[i].name), san.kind);
    }
    assert_true(san_eq(dns(NAME), dns(NAME)));
    assert_false(san_eq(dns("a"), (struct san){SAN_URI, SLICE_LIT("a")}));
    assert_false(san_eq(dns("a"), dns("A")));
    assert_false(san_eq((struct san){SAN_NONE, SLICE_NULL}, (struct san){SAN_NONE, SLICE_NULL}));
    assert_false(san_eq((struct san){SAN_OTHER, SLICE_LIT("a")}, (struct san){SAN_OTHER, SLICE_LIT("a")}));
}

static void test_long_names(void **state)
{
    char text[LIMIT_IDENTITY + 1];

    memset(text, 'a', sizeof(text));
    assert_false(san_is_dns(slice_of(text, 64))); /* one label has at most 63 */
    for (size_t i = 63; i < sizeof(text); i += 64)
        text[i] = '.';
    assert_true(san_is_dns(slice_of(text, 253)));
    assert_false(san_is_dns(slice_of(text, 254)));
    text[1] = ':';
    assert_true(san_is_uri(slice_of(text, LIMIT_IDENTITY)));
    assert_false(san_is_uri(slice_of(text, LIMIT_IDENTITY + 1)));
}

static void test_key_forms(void **state)
{
    struct x509_key *key, *again;
    struct buffer der, pem;
    unsigned char *sec1 = NULL;
    int len;

    assert_int_equal(x509_key_new(&key), 0);
    buffer_init(&der, 4096);
    buffer_init(&pem, 4096);
    assert_int_equal(x509_key_write(key, &der), 0);
    assert_int_equal(x509_key_read(buffer_slice(&der), NULL, &again), 0);
    assert_int_equal(EVP_PKEY_eq(key->pkey, again->pkey), 1);
    x509_key_unref(again);
    assert_int_equal(x509_key_write_pem(key, &pem), 0);
    assert_int_equal(x509_key_read(buffer_slice(&pem), NULL, &again), 0);
    assert_int_equal(EVP_PKEY_eq(key->pkey, again->pkey), 1);
    x509_key_unref(again);
    len = i2d_PrivateKey(key->pkey, &sec1); /* SEC1, what `step` writes */
    assert_true(len > 0);
    assert_int_equal(x509_key_read(slice_of(sec1, (size_t)len), NULL, &again), 0);
    x509_key_unref(again);
    buffer_clear(&pem);
    buffer_add_lit(&pem, "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n");
    assert_int_equal(pem_encode(SLICE_LIT("EC PRIVATE KEY"), slice_of(sec1, (size_t)len), &pem), 0);
    assert_int_equal(x509_key_read(buffer_slice(&pem), NULL, &again), 0);
    assert_int_equal(EVP_PKEY_eq(key->pkey, again->pkey), 1);
    x509_key_unref(again);
    /* Cut anywhere, and with something behind it, it is no key. */
    for (size_t cut = 0; cut < der.len; cut++)
        assert_int_equal(x509_key_read(slice_of(der.data, cut), NULL, &again), -EINVAL);
    buffer_add_byte(&der, 0);
    assert_int_equal(x509_key_read(buffer_slice(&der), NULL, &again), -EINVAL);
    OPENSSL_free(sec1);
    buffer_release(&der);
    buffer_release(&pem);
    x509_key_unref(key);
}

static void refuse_key(EVP_PKEY *pkey, const char *kind)
{
    struct x509_key *key;
    struct errmsg msg;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len;

    assert_non_null(pkey);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    len = BIO_get_mem_data(bio, &text);
    assert_int_equal(x509_key_read(slice_of(text, (size_t)len), &msg, &key), -ENOTSUP);
    assert_non_null(strstr(msg.text, "ECDSA P-256"));
    assert_non_null(strstr(msg.text, kind));
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

static void test_key_kinds(void **state)
{
    struct x509_key *key;
    struct errmsg msg;

    refuse_key(EVP_EC_gen("P-384"), "P-384");
    refuse_key(EVP_RSA_gen(2048), "RSA 2048");
    refuse_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "Ed25519");
    assert_int_equal(x509_key_read(SLICE_LIT("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                                             "-----END ENCRYPTED PRIVATE KEY-----\n"),
                                   &msg, &key),
                     -ENOTSUP);
    assert_non_null(strstr(msg.text, "encrypted"));
    assert_int_equal(x509_key_read(SLICE_LIT(""), &msg, &key), -EINVAL);
}

static void test_bundle(void **state)
{
    struct authority one, two;
    struct x509_bundle bundle;
    struct buffer pem;
    struct errmsg msg;

    authority_init(&one, "one");
    authority_init(&two, "two");
    buffer_init(&pem, 1 << 20);
    buffer_add_lit(&pem, "\xef\xbb\xbf# trust anchors of the test\r\n\r\n");
    x509_cert_write_pem(one.anchor, &pem);
    buffer_add_lit(&pem, "\nsubject: two\n");
    x509_cert_write_pem(two.anchor, &pem);
    buffer_add_lit(&pem, "\n\n  \n");
    assert_int_equal(x509_bundle_read(buffer_slice(&pem), &msg, &bundle), 0);
    assert_int_equal(bundle.count, 2);
    assert_true(slice_eq(x509_cert_der(bundle.certs[1]), x509_cert_der(two.anchor)));
    x509_bundle_release(&bundle);
    buffer_add_lit(&pem, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_int_equal(x509_bundle_read(buffer_slice(&pem), &msg, &bundle), -EINVAL);
    assert_non_null(strstr(msg.text, "PEM block 3 (line "));
    buffer_release(&pem);
    authority_release(&one);
    authority_release(&two);
}

static void test_bad_bundles(void **state)
{
    static const struct {
        const char *pem, *expected;
    } cases[] = {
        {"", "no CERTIFICATE block"},
        {"some text\n", "no CERTIFICATE block"},
        {"-----BEGIN CERTIFICATE-----\n", "no END line"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n", "no END line"},
        {"-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "no END line"},
        {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "not valid base64"},
        {"-----BEGIN CERTIFICATE-----\nAA=A\n-----END CERTIFICATE-----\n", "not valid base64"},
        {"-----BEGIN CERTIFICATE-----\nA===\n-----END CERTIFICATE-----\n", "not valid base64"},
        {"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n", "not valid base64"},
        {"-----BEGIN CERTIFICATE-----\nA!AA\n-----END CERTIFICATE-----\n", "not valid base64"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate"},
        {"\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
         "PEM block 1 (line 2): it is a PRIVATE KEY"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct x509_bundle bundle;
        struct errmsg msg = {""};

        assert_int_equal(x509_bundle_read(slice_str(cases[i].pem), &msg, &bundle), -EINVAL);
        if (!strstr(msg.text, cases[i].expected))
            fail_msg("case %zu: %s", i, msg.text);
    }
}

static void test_csr(void **state)
{
    struct x509_key *key, *other;
    struct x509_csr *csr;
    struct buffer der;
    struct errmsg msg;

    assert_int_equal(x509_key_new(&key), 0);
    assert_int_equal(x509_key_new(&other), 0);
    buffer_init(&der, 4096);
    assert_int_equal(x509_csr_new(key, dns(NAME), &der), 0);
    assert_int_equal(x509_csr_read(buffer_slice(&der), &msg, &csr), 0);
    assert_int_equal(x509_csr_check(csr, SLICE_LIT(NAME), &msg), 0);
    assert_int_equal(x509_csr_check(csr, SLICE_LIT(NAME "x"), &msg), -EPERM);
    assert_int_equal(x509_csr_check(csr, SLICE_LIT(""), &msg), -EPERM);
    assert_true(x509_csr_is_for(csr, key, dns(NAME)));
    assert_false(x509_csr_is_for(csr, other, dns(NAME)));
    assert_false(x509_csr_is_for(csr, key, dns("b")));
    x509_csr_free(csr);
    for (size_t cut = 0; cut < der.len; cut++)
        assert_int_equal(x509_csr_read(slice_of(der.data, cut), &msg, &csr), -EINVAL);
    der.data[der.len - 1] ^= 1; /* its signature */
    assert_int_equal(x509_csr_read(buffer_slice(&der), &msg, &csr), -EINVAL);
    buffer_release(&der);
    x509_key_unref(key);
    x509_key_unref(other);
}

/* A request as a stranger may make it: any names, any common name. */
static void make_csr(struct x509_key *key, const char *cn, const char *names, struct buffer *ret_der)
{
    X509_REQ *req = X509_REQ_new();
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    unsigned char *der = NULL;
    int len;

    X509_REQ_set_pubkey(req, key->pkey);
    if (cn)
        X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1,
                                   -1, 0);
    if (names) {
        sk_X509_EXTENSION_push(extensions, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names));
        assert_int_equal(X509_REQ_add_extensions(req, extensions), 1);
    }
    assert_true(X509_REQ_sign(req, key->pkey, EVP_sha256()) > 0);
    len = i2d_X509_REQ(req, &der);
    assert_true(len > 0);
    buffer_add(ret_der, slice_of(der, (size_t)len));
    OPENSSL_free(der);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(req);
}

static void test_csr_rules(void **state)
{
    static const struct {
        const char *cn, *names, *expected; /* NULL: accepted */
    } cases[] = {
        {NULL, "DNS:a.b", NULL},
        {"a.b", "DNS:a.b", NULL},
        {"other", "DNS:a.b", "common name"},
        {"a.b", NULL, "exactly one DNS name"},
        {NULL, "DNS:a.b,DNS:a.b", "exactly one DNS name"},
        {NULL, "DNS:a.b,DNS:c.d", "exactly one DNS name"},
        {NULL, "DNS:c.d", "not the requested identity"},
        {NULL, "DNS:a.b.", "malformed"},
        {NULL, "DNS:a.b,email:x@y", "not a DNS name"},
        {NULL, "DNS:a.b,IP:10.0.0.1", "not a DNS name"},
        {NULL, "DNS:a.b,URI:spiffe://x/y", "not a DNS name"},
        {NULL, "DNS:a.b,RID:1.2.3", "not a DNS name"},
        {NULL, "URI:spiffe://x/y", "not a DNS name"},
    };
    struct x509_key *key;

    assert_int_equal(x509_key_new(&key), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer der;
        struct x509_csr *csr;
        struct errmsg msg = {""};
        int r;

        buffer_init(&der, 4096);
        make_csr(key, cases[i].cn, cases[i].names, &der);
        assert_int_equal(x509_csr_read(buffer_slice(&der), &msg, &csr), 0);
        r = x509_csr_check(csr, SLICE_LIT("a.b"), &msg);
        if (r != (cases[i].expected ? -EPERM : 0) || (cases[i].expected && !strstr(msg.text, cases[i].expected)))
            fail_msg("case %zu: %d %s", i, r, msg.text);
        x509_csr_free(csr);
        buffer_release(&der);
    }
    x509_key_unref(key);
}

static void test_issue(void **state)
{
    struct authority a;
    struct workload w;
    struct x509_cert *leaf;
    struct san san;
    struct buffer text;
    enum x509_failure why;
    struct errmsg msg;

    authority_init(&a, "root.linkerd.cluster.local");
    workload_init(&w, &a, dns(NAME));
    leaf = w.chain.certs[0];
    assert_true(x509_cert_san(leaf, 0, &san));
    assert_true(san_eq(san, dns(NAME)));
    assert_false(x509_cert_san(leaf, 1, &san));
    assert_true(x509_cert_has_id(leaf, dns(NAME)));
    assert_false(x509_cert_is_ca(leaf));
    assert_true(x509_cert_is_ca(a.issuer_cert));
    assert_true(x509_cert_has_key(leaf, w.key));
    assert_false(x509_cert_has_key(leaf, a.issuer_key));
    assert_int_equal(x509_cert_not_before(leaf), FIXTURE_WALL - 20 * NS_PER_S);
    assert_int_equal(x509_cert_not_after(leaf), FIXTURE_WALL + 24 * FIXTURE_HOUR + 20 * NS_PER_S);
    assert_int_equal(x509_cert_days_left(leaf, FIXTURE_WALL), 1);
    assert_int_equal(x509_cert_days_left(leaf, FIXTURE_WALL + 24 * FIXTURE_HOUR), 0);
    assert_int_equal(x509_cert_days_left(leaf, FIXTURE_WALL + 25 * FIXTURE_HOUR), -1);
    buffer_init(&text, 1024);
    x509_cert_subject(leaf, &text);
    assert_true(slice_eq(buffer_slice(&text), SLICE_LIT("CN=" NAME)));
    buffer_clear(&text);
    x509_cert_algorithm(leaf, &text);
    assert_true(slice_eq(buffer_slice(&text), SLICE_LIT("ECDSA P-256")));
    buffer_release(&text);
    assert_int_equal(x509_verify(&w.chain, &a.anchors, X509_FOR_SERVER, FIXTURE_WALL, &msg, &why), 0);
    assert_int_equal(x509_verify(&w.chain, &a.anchors, X509_FOR_CLIENT, FIXTURE_WALL, &msg, &why), 0);
    workload_release(&w);
    authority_release(&a);
}

static void test_verify(void **state)
{
    struct authority a, b;
    struct workload w, odd;
    struct x509_bundle both = {0}, alone = {0}, none = {0};
    enum x509_failure why;
    struct errmsg msg;

    authority_init(&a, "a");
    authority_init(&b, "b");
    workload_init(&w, &a, dns(NAME));
    assert_int_equal(x509_verify(&w.chain, &b.anchors, X509_FOR_SERVER, FIXTURE_WALL, &msg, &why), -EKEYREJECTED);
    assert_int_equal(why, X509_UNKNOWN_ISSUER);
    assert_int_equal(x509_verify(&w.chain, &none, X509_FOR_SERVER, FIXTURE_WALL, &msg, &why), -EKEYREJECTED);
    assert_int_equal(why, X509_UNKNOWN_ISSUER);
    x509_bundle_add(&both, b.anchor);
    x509_bundle_add(&both, a.anchor);
    assert_int_equal(x509_verify(&w.chain, &both, X509_FOR_SERVER, FIXTURE_WALL, &msg, &why), 0);
    /* An intermediate as the only anchor. */
    x509_bundle_release(&both);
    x509_bundle_add(&both, a.issuer_cert);
    assert_int_equal(x509_verify(&w.chain, &both, X509_FOR_SERVER, FIXTURE_WALL, &msg, &why), 0);
    /* Without the issuer's certificate the anchor is out of reach. */
    x509_bundle_add(&alone, w.chain.certs[0]);
    assert_int_equal(x509_verify(&alone, &a.anchors, X509_FOR_SERVER, FIXTURE_WALL, &msg, &why), -EKEYREJECTED);
    assert_int_equal(why, X509_UNKNOWN_ISSUER);
    /* Time. */
    assert_int_equal(x509_verify(&w.chain, &a.anchors, X509_FOR_SERVER, FIXTURE_WALL + 25 * FIXTURE_HOUR, &msg, &why),
                     -EKEYREJECTED);
    assert_int_equal(why, X509_EXPIRED);
    assert_int_equal(x509_verify(&w.chain, &a.anchors, X509_FOR_SERVER, FIXTURE_WALL - FIXTURE_HOUR, &msg, &why),
                     -EKEYREJECTED);
    assert_int_equal(why, X509_EXPIRED);
    /* Purpose. */
    workload_init_odd(&odd, &a, NULL, -FIXTURE_HOUR, FIXTURE_HOUR, "codeSigning");
    assert_int_equal(x509_verify(&odd.chain, &a.anchors, X509_FOR_SERVER, FIXTURE_WALL, &msg, &why), -EKEYREJECTED);
    assert_int_equal(why, X509_BAD_CERTIFICATE);
    workload_release(&odd);
    workload_init_odd(&odd, &a, NULL, -FIXTURE_HOUR, FIXTURE_HOUR, "serverAuth");
    assert_int_equal(x509_verify(&odd.chain, &a.anchors, X509_FOR_CLIENT, FIXTURE_WALL, &msg, &why), -EKEYREJECTED);
    assert_int_equal(x509_verify(&odd.chain, &a.anchors, X509_FOR_SERVER, FIXTURE_WALL, &msg, &why), 0);
    workload_release(&odd);
    x509_bundle_release(&both);
    x509_bundle_release(&alone);
    workload_release(&w);
    authority_release(&a);
    authority_release(&b);
}

/* A leaf does not become an issuer, whatever it signs. */
static void test_leaf_as_issuer(void **state)
{
    struct authority a;
    struct workload w;
    struct x509_bundle chain = {0};
    struct x509_issuer *issuer;
    struct errmsg msg;

    authority_init(&a, "a");
    workload_init(&w, &a, dns(NAME));
    x509_bundle_add(&chain, w.chain.certs[0]);
    assert_int_equal(x509_issuer_new(w.key, &chain, &a.anchors, FIXTURE_WALL, &msg, &issuer), -EKEYREJECTED);
    assert_non_null(strstr(msg.text, "not that of a CA"));
    assert_int_equal(x509_issuer_new(a.anchor_key, &w.chain, &a.anchors, FIXTURE_WALL, &msg, &issuer), -EKEYREJECTED);
    assert_non_null(strstr(msg.text, "does not belong"));
    x509_bundle_release(&chain);
    x509_bundle_add(&chain, a.issuer_cert);
    assert_int_equal(
        x509_issuer_new(a.issuer_key, &chain, &a.anchors, FIXTURE_WALL + 1000 * 24 * FIXTURE_HOUR, &msg, &issuer),
        -EKEYREJECTED);
    assert_non_null(strstr(msg.text, "expired"));
    x509_bundle_release(&chain);
    workload_release(&w);
    authority_release(&a);
}

/* The anchor signs leaves itself (one certificate in all), and no leaf outlives the chain. */
static void test_anchor_as_issuer(void **state)
{
    static const struct x509_validity hour = {FIXTURE_HOUR, 0}, day = {24 * FIXTURE_HOUR, 0};
    struct x509_key *key, *leaf_key;
    struct x509_cert *anchor, *leaf;
    struct x509_bundle bundle = {0}, chain = {0};
    struct x509_issuer *issuer;
    struct x509_csr *csr;
    struct buffer der;
    enum x509_failure why;
    struct errmsg msg;

    assert_int_equal(x509_key_new(&key), 0);
    assert_int_equal(x509_key_new(&leaf_key), 0);
    assert_int_equal(x509_make_anchor(key, SLICE_LIT("root"), FIXTURE_WALL, &hour, &msg, &anchor), 0);
    x509_bundle_add(&bundle, anchor);
    assert_int_equal(x509_issuer_new(key, &bundle, &bundle, FIXTURE_WALL, &msg, &issuer), 0);
    assert_int_equal(x509_issuer_not_after(issuer), FIXTURE_WALL + FIXTURE_HOUR);
    buffer_init(&der, 4096);
    assert_int_equal(x509_csr_new(leaf_key, dns(NAME), &der), 0);
    assert_int_equal(x509_csr_read(buffer_slice(&der), &msg, &csr), 0);
    assert_int_equal(x509_issue(issuer, csr, dns(NAME), FIXTURE_WALL, &day, &msg, &leaf), 0);
    assert_int_equal(x509_cert_not_after(leaf), FIXTURE_WALL + FIXTURE_HOUR);
    x509_bundle_add(&chain, leaf);
    assert_int_equal(x509_verify(&chain, &bundle, X509_FOR_SERVER, FIXTURE_WALL, &msg, &why), 0);
    x509_cert_unref(leaf);
    assert_int_equal(x509_issue(issuer, csr, dns(NAME), FIXTURE_WALL + 2 * FIXTURE_HOUR, &day, &msg, &leaf),
                     -EKEYREJECTED);
    assert_int_equal(x509_issuer_check(issuer, FIXTURE_WALL + 2 * FIXTURE_HOUR, &msg), -EKEYREJECTED);
    x509_csr_free(csr);
    buffer_release(&der);
    x509_issuer_free(issuer);
    x509_bundle_release(&bundle);
    x509_bundle_release(&chain);
    x509_cert_unref(anchor);
    x509_key_unref(key);
    x509_key_unref(leaf_key);
}

/* Names longer than a common name may be: the subject is empty and the names are critical. */
static void test_long_identity(void **state)
{
    static const char *name = "a-service-account-with-a-rather-long-name.a-namespace-with-one-too.serviceaccount."
                              "identity.linkerd.cluster.local";
    struct authority a;
    struct workload w;
    enum x509_failure why;
    struct errmsg msg;

    authority_init(&a, "a");
    workload_init(&w, &a, dns(name));
    assert_true(x509_cert_has_id(w.chain.certs[0], dns(name)));
    assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(w.chain.certs[0]->x509)), 0);
    assert_int_equal(x509_verify(&w.chain, &a.anchors, X509_FOR_SERVER, FIXTURE_WALL, &msg, &why), 0);
    workload_release(&w);
    workload_init(&w, &a, (struct san){SAN_URI, SLICE_LIT("spiffe://cluster.local/ns/shop/sa/web")});
    assert_int_equal(x509_cert_first_id(w.chain.certs[0]).kind, SAN_URI);
    workload_release(&w);
    authority_release(&a);
}

static void add_name(GENERAL_NAMES *names, int type, const void *bytes, int len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    ASN1_STRING_set(text, bytes, len);
    GENERAL_NAME_set0_value(name, type, text);
    sk_GENERAL_NAME_push(names, name);
}

/* Which of a certificate's names is its identity, and that a NUL hides nothing. */
static void test_first_id(void **state)
{
    struct authority a;
    struct workload w;
    GENERAL_NAMES *names = GENERAL_NAMES_new();

    authority_init(&a, "a");
    add_name(names, GEN_EMAIL, "x@y.z", 5);
    add_name(names, GEN_DNS, "good.id\0.evil.example", 21);
    add_name(names, GEN_DNS, "dot.at.the.end.", 15);
    add_name(names, GEN_URI, "spiffe://a/b", 12);
    add_name(names, GEN_DNS, NAME, sizeof(NAME) - 1);
    workload_init_odd(&w, &a, names, -FIXTURE_HOUR, FIXTURE_HOUR, "serverAuth,clientAuth");
    assert_true(san_eq(x509_cert_first_id(w.chain.certs[0]), (struct san){SAN_URI, SLICE_LIT("spiffe://a/b")}));
    assert_true(x509_cert_has_id(w.chain.certs[0], dns(NAME)));
    assert_false(x509_cert_has_id(w.chain.certs[0], dns("good.id")));
    assert_false(x509_cert_has_id(w.chain.certs[0], (struct san){SAN_DNS, SLICE_LIT("good.id\0.evil.example")}));
    assert_false(x509_cert_has_id(w.chain.certs[0], dns("dot.at.the.end")));
    assert_false(x509_cert_has_id(w.chain.certs[0], (struct san){SAN_DNS, SLICE_LIT("x@y.z")}));
    workload_release(&w);
    workload_init_odd(&w, &a, NULL, -FIXTURE_HOUR, FIXTURE_HOUR, "serverAuth");
    assert_int_equal(x509_cert_first_id(w.chain.certs[0]).kind, SAN_NONE);
    workload_release(&w);
    GENERAL_NAMES_free(names);
    authority_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_key_forms),
        cmocka_unit_test(test_key_kinds),
        cmocka_unit_test(test_bundle),
        cmocka_unit_test(test_bad_bundles),
        cmocka_unit_test(test_csr),
        cmocka_unit_test(test_csr_rules),
        cmocka_unit_test(test_issue),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_leaf_as_issuer),
        cmocka_unit_test(test_anchor_as_issuer),
        cmocka_unit_test(test_long_identity),
        cmocka_unit_test(test_first_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
