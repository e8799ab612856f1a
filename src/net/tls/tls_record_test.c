#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls/tls_record.h"

static void from_hex(const char *text, uint8_t *to)
{
    for (; *text; text += 2) {
        char byte[3] = {text[0], text[1], 0};

        *to++ = (uint8_t)strtoul(byte, NULL, 16);
    }
}

/* RFC 8448 section 3: {client} application_traffic_secret_0, its key and iv, and the first record under it. */
static void test_rfc_8448(void **state)
{
    static const char *secret_text = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
    static const char *record_text =
        "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd5"
        "4a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
    uint8_t secret[32], expected[72], made[72], content[50], back[64], type;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    struct tls_keys tx, rx;
    struct iovec iov = {content, sizeof(content)}, body = {made + 5, 67};
    struct tls_sealed sealed = {.pieces = &body, .len = 67};

    from_hex(secret_text, secret);
    from_hex(record_text, expected);
    for (unsigned i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t)i;
    assert_int_equal(tls_keys_init(&tx, tls_suite_find(0x1301), cipher, secret, true), 0);
    assert_int_equal(tls_keys_init(&rx, tls_suite_find(0x1301), cipher, secret, false), 0);
    assert_int_equal(tls_seal(&tx, TLS_DATA, &iov, 1, sizeof(content), made), 0);
    assert_memory_equal(made, expected, sizeof(expected));
    memcpy(sealed.header, made, 5);
    assert_int_equal(tls_open(&rx, &sealed, back, &type), 50);
    assert_int_equal(type, TLS_DATA);
    assert_memory_equal(back, content, 50);
    tls_keys_release(&tx);
    tls_keys_release(&rx);
    EVP_CIPHER_free(cipher);
}

/* Any suite, any size, cut into pieces anywhere, over a change of keys. */
static void test_pieces(void **state)
{
    static uint8_t content[TLS_CONTENT_MAX], wire[TLS_CONTENT_MAX + TLS_OVERHEAD], back[TLS_CONTENT_MAX];
    static const size_t sizes[] = {0, 1, 15, 16, 17, 1000, TLS_CONTENT_MAX};
    uint8_t secret[TLS_SECRET_MAX];

    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t)(i * 13);
    memset(secret, 7, sizeof(secret));
    for (unsigned s = 0; s < TLS_SUITES; s++) {
        const struct tls_suite *suite = tls_suite_at(s);
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, suite->cipher_name, NULL);
        struct tls_keys tx, rx;

        assert_non_null(cipher);
        assert_int_equal(tls_keys_init(&tx, suite, cipher, secret, true), 0);
        assert_int_equal(tls_keys_init(&rx, suite, cipher, secret, false), 0);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            size_t len = sizes[i], body = len + 1 + TLS_TAG;

            for (size_t cut = 0; cut <= body; cut += body / 13 + 1) {
                struct iovec from[3] = {{content, len / 3}, {NULL, 0}, {content + len / 3, len - len / 3}};
                struct iovec pieces[3] = {{wire + 5, cut}, {NULL, 0}, {wire + 5 + cut, body - cut}};
                struct tls_sealed sealed = {.pieces = pieces, .len = body};
                uint8_t type;

                assert_int_equal(tls_seal(&tx, TLS_HANDSHAKE, from, 3, len, wire), 0);
                memcpy(sealed.header, wire, 5);
                assert_int_equal(tls_open(&rx, &sealed, back, &type), len);
                assert_int_equal(type, TLS_HANDSHAKE);
                assert_memory_equal(back, content, len);
            }
            assert_int_equal(tls_keys_update(&tx), 0);
            assert_int_equal(tls_keys_update(&rx), 0);
        }
        tls_keys_release(&tx);
        tls_keys_release(&rx);
        EVP_CIPHER_free(cipher);
    }
}

static void test_only_zeros(void **state)
{
    uint8_t secret[32] = {1}, wire[64], back[64], type;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    struct iovec iov = {(void *)"\0\0\0", 3}, body = {wire + 5, 20};
    struct tls_sealed sealed = {.pieces = &body, .len = 20};
    struct tls_keys tx, rx;

    assert_int_equal(tls_keys_init(&tx, tls_suite_find(0x1301), cipher, secret, true), 0);
    assert_int_equal(tls_keys_init(&rx, tls_suite_find(0x1301), cipher, secret, false), 0);
    assert_int_equal(tls_seal(&tx, 0, &iov, 1, 3, wire), 0);
    memcpy(sealed.header, wire, 5);
    assert_int_equal(tls_open(&rx, &sealed, back, &type), -EPROTO);
    assert_int_equal(tls_open(&rx, &sealed, back, &type), -EBADMSG); /* its number has passed */
    assert_null(tls_suite_find(0x1304));
    tls_keys_release(&tx);
    tls_keys_release(&tx); /* twice does no harm */
    tls_keys_release(&rx);
    EVP_CIPHER_free(cipher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_8448),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_only_zeros),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
