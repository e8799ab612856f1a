#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/identity.h"
#include "base/arena.h"
#include "base/duration.h"
#include "control/identity/identity.h"
#include "net/grpc/grpc.h"
#include "net/x509/x509_csr.h"
#include "net/x509/x509_fixture.h"

#define NAME "web.shop.serviceaccount.identity.linkerd.cluster.local"

struct world {
    char directory[64];
    struct authority authority;
    struct x509_key *token_key, *proxy_key;
    struct token_validator *tokens;
    struct identity *identity;
    unsigned events[4];
    char event_text[512];
    /* The last answer. */
    unsigned answers;
    int status;
    char text[512];
    struct arena arena;
    struct certify_response response;
};

static void note_event(void *owner, enum identity_event event, const struct token_subject *subject, const char *text)
{
    struct world *w = owner;

    w->events[event]++;
    snprintf(w->event_text, sizeof(w->event_text), "%s", text);
    if (event == IDENTITY_ISSUED)
        assert_string_equal(subject->service_account, "web");
}

static void write_file(const struct world *w, const char *name, struct slice bytes)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", w->directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static void remove_files(const struct world *w)
{
    static const char *const names[] = {"tls.crt", "tls.key", "ca.crt", "crt.pem", "key.pem", "ca-bundle.crt"};
    char path[128];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", w->directory, names[i]);
        unlink(path);
    }
}

static void write_cert(const struct world *w, const char *name, const struct x509_cert *cert)
{
    struct buffer pem;

    buffer_init(&pem, 1 << 16);
    assert_int_equal(x509_cert_write_pem(cert, &pem), 0);
    write_file(w, name, buffer_slice(&pem));
    buffer_release(&pem);
}

static void write_key(const struct world *w, const char *name, const struct x509_key *key)
{
    struct buffer pem;

    buffer_init(&pem, 1 << 16);
    assert_int_equal(x509_key_write_pem(key, &pem), 0);
    write_file(w, name, buffer_slice(&pem));
    buffer_release(&pem);
}

static void write_issuer(const struct world *w, const struct authority *authority)
{
    write_cert(w, "tls.crt", authority->issuer_cert);
    write_key(w, "tls.key", authority->issuer_key);
    write_cert(w, "ca.crt", authority->anchor);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct identity_options options;
    struct buffer pem;

    snprintf(w->directory, sizeof(w->directory), "/tmp/identity-test-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    authority_init(&w->authority, "root");
    assert_int_equal(x509_key_new(&w->token_key), 0);
    assert_int_equal(x509_key_new(&w->proxy_key), 0);
    buffer_init(&pem, 1 << 16);
    x509_key_write_pem(w->token_key, &pem);
    assert_int_equal(token_keys_new(buffer_slice(&pem), 0, NULL, &w->tokens), 0);
    buffer_release(&pem);
    options = (struct identity_options){
        .trust_domain = SLICE_LIT("cluster.local"),
        .control_namespace = SLICE_LIT("linkerd"),
        .validity = {24 * FIXTURE_HOUR, 20 * NS_PER_S},
        .validator = w->tokens,
        .on_event = note_event,
        .owner = w,
    };
    assert_int_equal(identity_new(&options, NULL, &w->identity), 0);
    arena_init(&w->arena, 1 << 20);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    identity_free(w->identity);
    w->tokens->ops->free(w->tokens);
    x509_key_unref(w->token_key);
    x509_key_unref(w->proxy_key);
    authority_release(&w->authority);
    arena_release(&w->arena);
    remove_files(w);
    assert_int_equal(rmdir(w->directory), 0);
    free(w);
    return 0;
}

static void load(struct world *w)
{
    struct errmsg msg = {""};

    write_issuer(w, &w->authority);
    if (identity_load(w->identity, w->directory, FIXTURE_WALL, &msg) != 1)
        fail_msg("%s", msg.text);
    assert_true(identity_is_ready(w->identity));
}

static void note_answer(void *owner, int status, const char *text, struct slice message)
{
    struct world *w = owner;

    w->answers++;
    w->status = status;
    snprintf(w->text, sizeof(w->text), "%s", text);
    if (status == GRPC_OK)
        assert_int_equal(certify_response_decode(message, &w->arena, NULL, &w->response), 0);
}

static void add_token(struct world *w, const char *account, int64_t issued, struct buffer *ret_token)
{
    struct token_claims claims = {.namespace = SLICE_LIT("shop"),
                                  .service_account = slice_str(account),
                                  .issued_wall_ns = issued,
                                  .expires_wall_ns = issued + FIXTURE_HOUR};

    assert_int_equal(token_sign(w->token_key, &claims, NULL, ret_token), 0);
}

/* Certify, with what is usual for each part that is .ptr NULL; the status. */
static int certify_at(struct world *w, struct slice name, struct slice token, struct slice csr, int64_t wall_ns)
{
    struct buffer own_token, own_csr, message;
    struct certify_request request;

    buffer_init(&own_token, 1 << 16);
    buffer_init(&own_csr, 1 << 16);
    buffer_init(&message, 1 << 16);
    add_token(w, "web", wall_ns, &own_token);
    assert_int_equal(x509_csr_new(w->proxy_key, (struct san){SAN_DNS, SLICE_LIT(NAME)}, &own_csr), 0);
    request = (struct certify_request){.identity = name.ptr ? name : SLICE_LIT(NAME),
                                       .token = token.ptr ? token : buffer_slice(&own_token),
                                       .csr = csr.ptr ? csr : buffer_slice(&own_csr)};
    assert_int_equal(certify_request_encode(&request, NULL, &message), 0);
    w->answers = 0;
    assert_null(identity_certify(w->identity, buffer_slice(&message), wall_ns, note_answer, w));
    assert_int_equal(w->answers, 1);
    buffer_release(&own_token);
    buffer_release(&own_csr);
    buffer_release(&message);
    return w->status;
}

static int certify(struct world *w, struct slice name, struct slice token, struct slice csr)
{
    return certify_at(w, name, token, csr, FIXTURE_WALL);
}

static void test_certify(void **state)
{
    struct world *w = *state;
    struct x509_cert *leaf, *issuer;
    struct x509_bundle chain = {0};
    enum x509_failure why;

    load(w);
    assert_int_equal(w->events[IDENTITY_ISSUER_UPDATED], 1);
    assert_int_equal(certify(w, SLICE_NULL, SLICE_NULL, SLICE_NULL), GRPC_OK);
    assert_int_equal(w->events[IDENTITY_ISSUED], 1);
    assert_non_null(strstr(w->event_text, "issued certificate for " NAME));
    assert_int_equal(x509_cert_read(w->response.leaf, NULL, &leaf), 0);
    assert_true(x509_cert_has_id(leaf, (struct san){SAN_DNS, SLICE_LIT(NAME)}));
    assert_true(x509_cert_has_key(leaf, w->proxy_key));
    assert_int_equal(w->response.valid_until_wall_ns, FIXTURE_WALL + 24 * FIXTURE_HOUR + 20 * NS_PER_S);
    assert_int_equal(w->response.intermediate_count, 1);
    assert_int_equal(x509_cert_read(w->response.intermediates[0], NULL, &issuer), 0);
    x509_bundle_add(&chain, leaf);
    x509_bundle_add(&chain, issuer);
    assert_int_equal(x509_verify(&chain, &w->authority.anchors, X509_FOR_SERVER, FIXTURE_WALL, NULL, &why), 0);
    x509_bundle_release(&chain);
    x509_cert_unref(leaf);
    x509_cert_unref(issuer);
}

/* Requests that break several rules at once: the first in the order of checks decides. */
static void test_order(void **state)
{
    struct world *w = *state;
    struct slice bad = SLICE_LIT("bad");
    struct buffer stale, other;

    assert_int_equal(certify(w, SLICE_LIT(""), bad, bad), GRPC_UNAVAILABLE);
    load(w);
    assert_int_equal(certify(w, SLICE_LIT(""), bad, bad), GRPC_INVALID_ARGUMENT);
    assert_string_equal(w->text, "missing identity");
    assert_int_equal(certify(w, SLICE_NULL, SLICE_LIT(""), bad), GRPC_INVALID_ARGUMENT);
    assert_string_equal(w->text, "missing token");
    assert_int_equal(certify(w, SLICE_NULL, bad, SLICE_LIT("")), GRPC_INVALID_ARGUMENT);
    assert_string_equal(w->text, "missing certificate signing request");
    assert_int_equal(certify(w, SLICE_LIT("other"), bad, bad), GRPC_INVALID_ARGUMENT);
    assert_int_equal(certify_at(w, SLICE_LIT("other"), bad, SLICE_NULL, FIXTURE_WALL + 1000 * 24 * FIXTURE_HOUR),
                     GRPC_UNKNOWN);
    assert_int_equal(w->events[IDENTITY_ISSUER_INVALID], 1);
    assert_int_equal(certify(w, SLICE_LIT("other"), bad, SLICE_NULL), GRPC_FAILED_PRECONDITION);
    assert_int_equal(certify(w, SLICE_NULL, bad, SLICE_NULL), GRPC_INVALID_ARGUMENT);
    buffer_init(&stale, 1 << 16);
    buffer_init(&other, 1 << 16);
    add_token(w, "cart", FIXTURE_WALL - 2 * FIXTURE_HOUR, &stale);
    add_token(w, "cart", FIXTURE_WALL, &other);
    assert_int_equal(certify(w, SLICE_NULL, buffer_slice(&stale), SLICE_NULL), GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(w->text, "could not be authenticated"));
    assert_int_equal(certify(w, SLICE_NULL, buffer_slice(&other), SLICE_NULL), GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(w->text, "found=cart.shop.serviceaccount.identity.linkerd.cluster.local"));
    assert_int_equal(w->events[IDENTITY_ISSUED], 0);
    buffer_release(&stale);
    buffer_release(&other);
}

static void test_other_keys(void **state)
{
    struct world *w = *state;
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    X509_REQ *req = X509_REQ_new();
    unsigned char *der = NULL;
    int len;

    load(w);
    X509_REQ_set_pubkey(req, rsa);
    X509_REQ_sign(req, rsa, EVP_sha256());
    len = i2d_X509_REQ(req, &der);
    assert_int_equal(certify(w, SLICE_NULL, SLICE_NULL, slice_of(der, (size_t)len)), GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(w->text, "ECDSA P-256"));
    OPENSSL_free(der);
    X509_REQ_free(req);
    EVP_PKEY_free(rsa);
}

static void test_not_a_message(void **state)
{
    struct world *w = *state;

    load(w);
    assert_null(identity_certify(w->identity, SLICE_LIT("\xff\xff\xff"), FIXTURE_WALL, note_answer, w));
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->status, GRPC_INVALID_ARGUMENT);
}

static void test_both_forms(void **state)
{
    struct world *w = *state;

    write_cert(w, "crt.pem", w->authority.issuer_cert);
    write_key(w, "key.pem", w->authority.issuer_key);
    write_cert(w, "ca-bundle.crt", w->authority.anchor);
    assert_int_equal(identity_load(w->identity, w->directory, FIXTURE_WALL, NULL), 1);
    assert_int_equal(certify(w, SLICE_NULL, SLICE_NULL, SLICE_NULL), GRPC_OK);
    assert_int_equal(identity_issuer_not_after(w->identity), x509_cert_not_after(w->authority.issuer_cert));
    assert_int_equal(identity_anchors(w->identity)->count, 1);
}

static void test_reload(void **state)
{
    struct world *w = *state;
    struct authority next;
    struct x509_cert *leaf;
    struct errmsg msg;

    load(w);
    assert_int_equal(identity_load(w->identity, w->directory, FIXTURE_WALL, &msg), 0); /* nothing new */
    assert_int_equal(w->events[IDENTITY_ISSUER_UPDATED], 1);
    authority_init(&next, "next");
    write_key(w, "tls.key", next.issuer_key); /* halfway: the key of the next with the certificate of the last */
    assert_int_equal(identity_load(w->identity, w->directory, FIXTURE_WALL, &msg), -EKEYREJECTED);
    assert_non_null(strstr(msg.text, "does not belong"));
    assert_int_equal(w->events[IDENTITY_UPDATE_SKIPPED], 1);
    assert_int_equal(certify(w, SLICE_NULL, SLICE_NULL, SLICE_NULL), GRPC_OK); /* the last good one */
    write_issuer(w, &next);
    assert_int_equal(identity_load(w->identity, w->directory, FIXTURE_WALL, &msg), 1);
    assert_int_equal(w->events[IDENTITY_ISSUER_UPDATED], 2);
    assert_int_equal(certify(w, SLICE_NULL, SLICE_NULL, SLICE_NULL), GRPC_OK);
    assert_true(slice_eq(w->response.intermediates[0], x509_cert_der(next.issuer_cert)));
    assert_int_equal(x509_cert_read(w->response.leaf, NULL, &leaf), 0);
    x509_cert_unref(leaf);
    write_file(w, "tls.crt", SLICE_LIT("not PEM"));
    assert_int_equal(identity_load(w->identity, w->directory, FIXTURE_WALL, &msg), -EINVAL);
    assert_non_null(strstr(msg.text, "tls.crt: there is no CERTIFICATE block"));
    assert_int_equal(identity_load(w->identity, "/nonexistent", FIXTURE_WALL, &msg), -ENOENT);
    assert_int_equal(certify(w, SLICE_NULL, SLICE_NULL, SLICE_NULL), GRPC_OK);
    authority_release(&next);
}

static void test_bad_directories(void **state)
{
    struct world *w = *state;
    struct authority stranger;
    struct errmsg msg;
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len;

    assert_int_equal(identity_load(w->identity, w->directory, FIXTURE_WALL, &msg), -ENOENT);
    assert_non_null(strstr(msg.text, "neither tls.crt nor crt.pem"));
    write_cert(w, "tls.crt", w->authority.issuer_cert);
    assert_int_equal(identity_load(w->identity, w->directory, FIXTURE_WALL, &msg), -ENOENT);
    assert_non_null(strstr(msg.text, "tls.key is missing"));
    write_key(w, "tls.key", w->authority.issuer_key);
    assert_int_equal(identity_load(w->identity, w->directory, FIXTURE_WALL, &msg), -EINVAL);
    assert_non_null(strstr(msg.text, "no trust anchor"));
    authority_init(&stranger, "stranger");
    write_cert(w, "ca.crt", stranger.anchor);
    assert_int_equal(identity_load(w->identity, w->directory, FIXTURE_WALL, &msg), -EKEYREJECTED);
    assert_non_null(strstr(msg.text, "does not reach a trust anchor"));
    authority_release(&stranger);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, rsa, NULL, NULL, 0, NULL, NULL), 1);
    len = BIO_get_mem_data(bio, &text);
    write_file(w, "tls.key", slice_of(text, (size_t)len));
    assert_int_equal(identity_load(w->identity, w->directory, FIXTURE_WALL, &msg), -ENOTSUP);
    assert_non_null(strstr(msg.text, "tls.key: the key must be ECDSA P-256, this one is RSA 2048"));
    assert_false(identity_is_ready(w->identity));
    assert_int_equal(w->events[IDENTITY_UPDATE_SKIPPED], 0); /* there is nothing that stays in force */
    BIO_free(bio);
    EVP_PKEY_free(rsa);
}

/* A validator that takes its time, and may never answer. */
struct slow {
    struct token_validator validator;
    token_done *done;
    void *owner;
    unsigned cancelled;
};

static void *slow_validate(struct token_validator *validator, struct slice token, int64_t wall_ns, token_done *done,
                           void *owner)
{
    struct slow *slow = CONTAINER_OF(validator, struct slow, validator);

    slow->done = done;
    slow->owner = owner;
    return slow;
}

static void slow_cancel(struct token_validator *validator, void *handle)
{
    struct slow *slow = handle;

    slow->cancelled++;
}

static void slow_free(struct token_validator *validator)
{
}

static void test_slow_validator(void **state)
{
    static const struct token_validator_ops ops = {slow_validate, slow_cancel, slow_free};
    static const struct token_subject subject = {"shop", "web"};
    struct world *w = *state;
    struct slow slow = {.validator.ops = &ops};
    struct identity_options options = {.trust_domain = SLICE_LIT("cluster.local"),
                                       .control_namespace = SLICE_LIT("linkerd"),
                                       .validity = {24 * FIXTURE_HOUR, 0},
                                       .validator = &slow.validator,
                                       .anchors = &w->authority.anchors};
    struct certify_request request = {.identity = SLICE_LIT(NAME), .token = SLICE_LIT("opaque")};
    struct identity_request *running;
    struct identity *identity;
    struct buffer csr, message;

    buffer_init(&csr, 1 << 16);
    buffer_init(&message, 1 << 16);
    x509_csr_new(w->proxy_key, (struct san){SAN_DNS, SLICE_LIT(NAME)}, &csr);
    request.csr = buffer_slice(&csr);
    certify_request_encode(&request, NULL, &message);
    assert_int_equal(identity_new(&options, NULL, &identity), 0);
    write_issuer(w, &w->authority);
    assert_int_equal(identity_load(identity, w->directory, FIXTURE_WALL, NULL), 1);
    running = identity_certify(identity, buffer_slice(&message), FIXTURE_WALL, note_answer, w);
    assert_non_null(running);
    memset(message.data, 0, message.len); /* nothing of it is needed any more */
    assert_int_equal(w->answers, 0);
    slow.done(slow.owner, TOKEN_VALID, &subject, "");
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->status, GRPC_OK);
    buffer_clear(&message);
    certify_request_encode(&request, NULL, &message);
    running = identity_certify(identity, buffer_slice(&message), FIXTURE_WALL, note_answer, w);
    slow.done(slow.owner, TOKEN_UNAVAILABLE, NULL, "the API server does not answer");
    assert_int_equal(w->status, GRPC_INTERNAL);
    running = identity_certify(identity, buffer_slice(&message), FIXTURE_WALL, note_answer, w);
    identity_cancel(running);
    assert_int_equal(slow.cancelled, 1);
    assert_int_equal(w->answers, 2);
    identity_free(identity);
    buffer_release(&csr);
    buffer_release(&message);
}

static void test_options(void **state)
{
    struct world *w = *state;
    struct identity_options options = {
        .trust_domain = SLICE_LIT("cluster.local."), .control_namespace = SLICE_LIT("linkerd"), .validator = w->tokens};
    struct identity *identity;
    struct errmsg msg;

    assert_int_equal(identity_new(&options, &msg, &identity), -EINVAL);
    options.trust_domain = SLICE_LIT("cluster.local");
    options.control_namespace = SLICE_LIT("");
    assert_int_equal(identity_new(&options, &msg, &identity), -EINVAL);
    assert_string_equal(identity_event_name(IDENTITY_ISSUER_INVALID), "IssuerValidationFailed");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_certify),         TEST(test_order),          TEST(test_other_keys),
        TEST(test_not_a_message),   TEST(test_both_forms),     TEST(test_reload),
        TEST(test_bad_directories), TEST(test_slow_validator), TEST(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
