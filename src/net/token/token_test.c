#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/token/token.h"
#include "net/token/token_internal.h"
#include "net/x509/x509_fixture.h"
#include "net/x509/x509_internal.h"

struct world {
    struct x509_key *key, *stranger;
    struct token_validator *keys;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct buffer pem;

    buffer_init(&pem, 1 << 16);
    assert_int_equal(x509_key_new(&w->key), 0);
    assert_int_equal(x509_key_new(&w->stranger), 0);
    assert_int_equal(x509_key_write_pem(w->key, &pem), 0);
    assert_int_equal(token_keys_new(buffer_slice(&pem), 30 * NS_PER_S, NULL, &w->keys), 0);
    buffer_release(&pem);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    w->keys->ops->free(w->keys);
    x509_key_unref(w->key);
    x509_key_unref(w->stranger);
    free(w);
    return 0;
}

static const struct token_claims usual = {
    .issuer = {"linkerd", 7},
    .namespace = {"shop", 4},
    .service_account = {"web", 3},
    .issued_wall_ns = FIXTURE_WALL,
    .expires_wall_ns = FIXTURE_WALL + 3600 * NS_PER_S,
};

static enum token_verdict check(struct world *w, struct slice token, int64_t wall_ns)
{
    struct token_subject subject;
    struct errmsg msg;

    return token_check(w->keys, token, SLICE_LIT(TOKEN_AUDIENCE), wall_ns, &msg, &subject);
}

static void test_round_trip(void **state)
{
    struct world *w = *state;
    struct token_subject subject;
    struct buffer token;
    struct errmsg msg;

    buffer_init(&token, LIMIT_TOKEN);
    assert_int_equal(token_sign(w->key, &usual, &msg, &token), 0);
    assert_int_equal(
        token_check(w->keys, buffer_slice(&token), SLICE_LIT(TOKEN_AUDIENCE), FIXTURE_WALL, &msg, &subject),
        TOKEN_VALID);
    assert_string_equal(subject.namespace, "shop");
    assert_string_equal(subject.service_account, "web");
    assert_int_equal(token_check(w->keys, buffer_slice(&token), SLICE_LIT("other"), FIXTURE_WALL, &msg, &subject),
                     TOKEN_NOT_AUTHENTICATED);
    buffer_add_byte(&token, '\n');
    assert_int_equal(check(w, buffer_slice(&token), FIXTURE_WALL), TOKEN_VALID);
    /* Half a minute of skew to either side, not more. */
    assert_int_equal(check(w, buffer_slice(&token), FIXTURE_WALL - 30 * NS_PER_S), TOKEN_VALID);
    assert_int_equal(check(w, buffer_slice(&token), FIXTURE_WALL - 31 * NS_PER_S), TOKEN_NOT_AUTHENTICATED);
    assert_int_equal(check(w, buffer_slice(&token), FIXTURE_WALL + 3629 * NS_PER_S), TOKEN_VALID);
    assert_int_equal(check(w, buffer_slice(&token), FIXTURE_WALL + 3630 * NS_PER_S), TOKEN_NOT_AUTHENTICATED);
    buffer_release(&token);
}

static void test_every_byte_counts(void **state)
{
    struct world *w = *state;
    struct buffer token;

    buffer_init(&token, LIMIT_TOKEN);
    assert_int_equal(token_sign(w->key, &usual, NULL, &token), 0);
    for (size_t i = 0; i < token.len; i++) {
        char kept = token.data[i];

        token.data[i] = kept == 'A' ? 'B' : 'A';
        assert_int_not_equal(check(w, buffer_slice(&token), FIXTURE_WALL), TOKEN_VALID);
        token.data[i] = kept;
        assert_int_not_equal(check(w, slice_of(token.data, i), FIXTURE_WALL), TOKEN_VALID);
    }
    assert_int_equal(check(w, buffer_slice(&token), FIXTURE_WALL), TOKEN_VALID);
    buffer_release(&token);
}

static void test_stranger(void **state)
{
    struct world *w = *state;
    struct token_claims claims = usual;
    char thumbprint[TOKEN_THUMBPRINT + 1];
    struct buffer token;

    buffer_init(&token, LIMIT_TOKEN);
    assert_int_equal(token_sign(w->stranger, &usual, NULL, &token), 0);
    assert_int_equal(check(w, buffer_slice(&token), FIXTURE_WALL), TOKEN_NOT_AUTHENTICATED);
    buffer_clear(&token);
    assert_int_equal(token_thumbprint(w->key->pkey, thumbprint), 0);
    claims.key_id = slice_str(thumbprint); /* says that it is ours */
    assert_int_equal(token_sign(w->stranger, &claims, NULL, &token), 0);
    assert_int_equal(check(w, buffer_slice(&token), FIXTURE_WALL), TOKEN_NOT_AUTHENTICATED);
    buffer_clear(&token);
    claims.key_id = SLICE_LIT("free text"); /* ids that nobody knows do not exclude a key */
    assert_int_equal(token_sign(w->key, &claims, NULL, &token), 0);
    assert_int_equal(check(w, buffer_slice(&token), FIXTURE_WALL), TOKEN_VALID);
    buffer_release(&token);
}

/* Signs any header and claims with our own key. */
static void sign_raw(struct world *w, const char *header, const char *claims, struct buffer *token)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char der[80], raw[64];
    const unsigned char *at = der;
    size_t len = sizeof(der);
    ECDSA_SIG *sig;

    buffer_clear(token);
    token_base64_add(token, slice_str(header));
    buffer_add_byte(token, '.');
    token_base64_add(token, slice_str(claims));
    assert_int_equal(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, w->key->pkey), 1);
    assert_int_equal(EVP_DigestSign(md, der, &len, (unsigned char *)token->data, token->len), 1);
    sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32);
    buffer_add_byte(token, '.');
    token_base64_add(token, slice_of(raw, 64));
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(md);
}

#define GOOD_HEADER "{\"alg\":\"ES256\",\"typ\":\"JWT\"}"
#define TIMES "\"iat\":1700000000,\"exp\":1700003600"
#define AUD "\"aud\":[\"identity.l5d.io\"]"
#define SUB "\"sub\":\"system:serviceaccount:shop:web\""

static void test_signed_by_us_but_odd(void **state)
{
    static const struct {
        const char *header, *claims;
        enum token_verdict verdict;
    } cases[] = {
        {GOOD_HEADER, "{" TIMES "," AUD "," SUB "}", TOKEN_VALID},
        {GOOD_HEADER, "{" TIMES ",\"aud\":\"identity.l5d.io\"," SUB "}", TOKEN_VALID},
        {GOOD_HEADER, "{" TIMES ",\"aud\":[\"x\",1,\"identity.l5d.io\"]," SUB "}", TOKEN_VALID},
        {GOOD_HEADER, "{" TIMES "," AUD "," SUB ",\"nbf\":1700000031}", TOKEN_NOT_AUTHENTICATED},
        {GOOD_HEADER, "{" TIMES "," AUD "," SUB ",\"nbf\":\"x\"}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES ",\"aud\":[]," SUB "}", TOKEN_NOT_AUTHENTICATED},
        {GOOD_HEADER, "{" TIMES ",\"aud\":[\"identity.l5d.io\\u0000\"]," SUB "}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES ",\"aud\":{\"identity.l5d.io\":1}," SUB "}", TOKEN_NOT_AUTHENTICATED},
        {GOOD_HEADER, "{" TIMES "," SUB "}", TOKEN_NOT_AUTHENTICATED},
        {GOOD_HEADER, "{" TIMES "," AUD "}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{\"iat\":1700000000," AUD "," SUB "}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{\"exp\":1700003600," AUD "," SUB "}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{\"iat\":1700000000,\"exp\":1e99," AUD "," SUB "}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{\"iat\":1700000000,\"exp\":9223372036854775807," AUD "," SUB "}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{\"iat\":-1,\"exp\":1700003600," AUD "," SUB "}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{\"iat\":1700000000,\"exp\":\"1700003600\"," AUD "," SUB "}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES "," AUD "," SUB ",\"exp\":9999999999}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES "," AUD ",\"sub\":\"system:serviceaccount:shop\"}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES "," AUD ",\"sub\":\"system:serviceaccount:shop:web:x\"}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES "," AUD ",\"sub\":\"system:serviceaccount:shop:we.b\"}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES "," AUD ",\"sub\":\"system:serviceaccount::web\"}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES "," AUD ",\"sub\":\"system:serviceaccount:shop:-web\"}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES "," AUD ",\"sub\":\"system:node:shop:web\"}", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES "," AUD ",\"sub\":[\"x\"]}", TOKEN_MALFORMED},
        {GOOD_HEADER, "[]", TOKEN_MALFORMED},
        {GOOD_HEADER, "", TOKEN_MALFORMED},
        {GOOD_HEADER, "{" TIMES "," AUD "," SUB "} x", TOKEN_MALFORMED},
        {"{\"alg\":\"none\"}", "{" TIMES "," AUD "," SUB "}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\"}", "{" TIMES "," AUD "," SUB "}", TOKEN_MALFORMED},
        {"{\"alg\":\"es256\"}", "{" TIMES "," AUD "," SUB "}", TOKEN_MALFORMED},
        {"{\"alg\":[\"ES256\"]}", "{" TIMES "," AUD "," SUB "}", TOKEN_MALFORMED},
        {"{\"alg\":\"ES256\",\"alg\":\"none\"}", "{" TIMES "," AUD "," SUB "}", TOKEN_MALFORMED},
        {"{\"alg\":\"ES256\",\"crit\":[\"exp\"]}", "{" TIMES "," AUD "," SUB "}", TOKEN_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":7}", "{" TIMES "," AUD "," SUB "}", TOKEN_MALFORMED},
        {"{}", "{" TIMES "," AUD "," SUB "}", TOKEN_MALFORMED},
    };
    struct world *w = *state;
    struct buffer token;

    buffer_init(&token, LIMIT_TOKEN);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum token_verdict verdict;

        sign_raw(w, cases[i].header, cases[i].claims, &token);
        verdict = check(w, buffer_slice(&token), FIXTURE_WALL);
        if (verdict != cases[i].verdict)
            fail_msg("case %zu: %d", i, verdict);
    }
    buffer_release(&token);
}

static void test_forms(void **state)
{
    static const char *const cases[] = {"", ".", "..", "...", "a.b.c", "a.b.c.d", "\n", "eyJ9.eyJ9.", "=.=.="};
    struct world *w = *state;
    char *big = malloc(LIMIT_TOKEN + 1);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(check(w, slice_str(cases[i]), FIXTURE_WALL), TOKEN_MALFORMED);
    memset(big, 'A', LIMIT_TOKEN + 1);
    assert_int_equal(check(w, slice_of(big, LIMIT_TOKEN + 1), FIXTURE_WALL), TOKEN_MALFORMED);
    big[100] = big[LIMIT_TOKEN - 100] = '.';
    assert_int_equal(check(w, slice_of(big, LIMIT_TOKEN), FIXTURE_WALL), TOKEN_MALFORMED);
    free(big);
}

static void test_base64(void **state)
{
    static const struct {
        const char *text;
        int len; /* -1: refused */
    } cases[] = {{"", 0},     {"AA", 1},    {"AAA", 2},   {"AAAA", 3},  {"-_-_", 3},  {"A", -1},    {"AB", -1},
                 {"AAB", -1}, {"AA==", -1}, {"A+AA", -1}, {"A/AA", -1}, {"AA A", -1}, {"AAAAA", -1}};
    unsigned char bytes[256], back[256];
    struct buffer text;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ssize_t n = token_base64_read(slice_str(cases[i].text), back, sizeof(back));

        if (n != (cases[i].len < 0 ? -EINVAL : cases[i].len))
            fail_msg("%s: %zd", cases[i].text, n);
    }
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    buffer_init(&text, 1024);
    for (size_t len = 0; len <= 256; len++) {
        buffer_clear(&text);
        token_base64_add(&text, slice_of(bytes, len));
        assert_int_equal(token_base64_read(buffer_slice(&text), back, sizeof(back)), len);
        assert_memory_equal(back, bytes, len);
        if (len)
            assert_int_equal(token_base64_read(buffer_slice(&text), back, len - 1), -EINVAL);
    }
    buffer_release(&text);
}

static void test_bad_claims(void **state)
{
    static const char *const names[] = {
        "", "a.b", "A", "-a", "a-", "a:b", "a b", "0123456789012345678901234567890123456789012345678901234567890123"};
    struct world *w = *state;
    struct buffer token;
    struct errmsg msg;

    buffer_init(&token, LIMIT_TOKEN);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct token_claims claims = usual;

        claims.namespace = slice_str(names[i]);
        assert_int_equal(token_sign(w->key, &claims, &msg, &token), -EINVAL);
        claims = usual;
        claims.service_account = slice_str(names[i]);
        assert_int_equal(token_sign(w->key, &claims, &msg, &token), -EINVAL);
    }
    assert_int_equal(token.len, 0);
    buffer_release(&token);
}

static void test_keys(void **state)
{
    struct world *w = *state;
    struct token_validator *keys;
    struct authority a;
    struct buffer pem, token;
    struct token_subject subject;
    struct errmsg msg;
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(w->key->pkey, &der);

    /* A certificate, a public key: all may stand in one file. */
    authority_init(&a, "a");
    buffer_init(&pem, 1 << 16);
    buffer_init(&token, LIMIT_TOKEN);
    x509_cert_write_pem(a.issuer_cert, &pem);
    pem_encode(SLICE_LIT("PUBLIC KEY"), slice_of(der, (size_t)len), &pem);
    assert_int_equal(token_keys_new(buffer_slice(&pem), 0, &msg, &keys), 0);
    token_sign(w->key, &usual, NULL, &token);
    assert_int_equal(token_check(keys, buffer_slice(&token), SLICE_LIT(TOKEN_AUDIENCE), FIXTURE_WALL, &msg, &subject),
                     TOKEN_VALID);
    buffer_clear(&token);
    token_sign(a.issuer_key, &usual, NULL, &token);
    assert_int_equal(token_check(keys, buffer_slice(&token), SLICE_LIT(TOKEN_AUDIENCE), FIXTURE_WALL, &msg, &subject),
                     TOKEN_VALID);
    keys->ops->free(keys);
    buffer_add_lit(&pem, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    assert_int_equal(token_keys_new(buffer_slice(&pem), 0, &msg, &keys), -EINVAL);
    assert_int_equal(token_keys_new(SLICE_LIT("nothing"), 0, &msg, &keys), -EINVAL);
    OPENSSL_free(der);
    buffer_release(&pem);
    buffer_release(&token);
    authority_release(&a);
}

struct told {
    int times;
    enum token_verdict verdict;
    struct token_subject subject;
    char why[128];
};

static void note(void *owner, enum token_verdict verdict, const struct token_subject *subject, const char *why)
{
    struct told *told = owner;

    told->times++;
    told->verdict = verdict;
    if (subject)
        told->subject = *subject;
    snprintf(told->why, sizeof(told->why), "%s", why);
}

static void test_validator(void **state)
{
    struct world *w = *state;
    struct told told = {0};
    struct buffer token;

    buffer_init(&token, LIMIT_TOKEN);
    token_sign(w->key, &usual, NULL, &token);
    assert_null(w->keys->ops->validate(w->keys, buffer_slice(&token), FIXTURE_WALL, note, &told));
    assert_int_equal(told.times, 1);
    assert_int_equal(told.verdict, TOKEN_VALID);
    assert_string_equal(told.subject.service_account, "web");
    assert_string_equal(told.why, "");
    assert_null(w->keys->ops->validate(w->keys, SLICE_LIT("x"), FIXTURE_WALL, note, &told));
    assert_int_equal(told.times, 2);
    assert_int_equal(told.verdict, TOKEN_MALFORMED);
    assert_string_not_equal(told.why, "");
    buffer_release(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_stranger),   cmocka_unit_test(test_signed_by_us_but_odd),
        cmocka_unit_test(test_forms),      cmocka_unit_test(test_base64),
        cmocka_unit_test(test_bad_claims), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_validator),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
