#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "codec/client_hello.h"

#define L(text)                                                                                                        \
    {                                                                                                                  \
        "" text, sizeof(text) - 1                                                                                      \
    }
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void add_number(struct buffer *b, size_t number, int bytes)
{
    while (bytes-- > 0)
        buffer_add_byte(b, (char)(number >> (8 * bytes)));
}

static void add_vector(struct buffer *b, struct slice bytes, int length_bytes)
{
    add_number(b, bytes.len, length_bytes);
    buffer_add(b, bytes);
}

#define START                                                                                                          \
    "\x03\x03"                                                                                                         \
    "random random random random rand"
#define CIPHERS "\x00\x02\x13\x01"
#define NULL_COMPRESSION "\x01\x00"
#define PLAIN START "\x00" CIPHERS NULL_COMPRESSION

/* The body of a ClientHello with these extensions, into the handshake message in records of `record` payload bytes. */
static void build(struct buffer *out, struct slice body, struct slice extensions, size_t record)
{
    struct buffer message;

    buffer_init(&message, 100000);
    buffer_add_byte(&message, 1);
    add_number(&message, body.len + (extensions.ptr ? extensions.len + 2 : 0), 3);
    buffer_add(&message, body);
    if (extensions.ptr)
        add_vector(&message, extensions, 2);
    for (struct slice rest = buffer_slice(&message); rest.len; rest = slice_skip(rest, record)) {
        buffer_add_lit(out, "\x16\x03\x01");
        add_vector(out, slice_take(rest, record), 2);
    }
    assert_int_equal(buffer_error(&message) | buffer_error(out), 0);
    buffer_release(&message);
}

static enum client_hello_result parse(struct slice bytes, struct client_hello *ret_hello)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    enum client_hello_result r;

    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    r = client_hello_parse(slice_of(copy, bytes.len), ret_hello);
    free(copy);
    return r;
}

#define SNI(list) "\x00\x00" list
#define ALPN(list) "\x00\x10" list
#define HOST                                                                                                           \
    SNI("\x00\x0b\x00\x09\x00\x00\x06"                                                                                 \
        "ex.com")
#define TRANSPORT ALPN("\x00\x16\x00\x14\x13transport.l5d.io/v1")
#define MORE CLIENT_HELLO_MORE
#define FOUND CLIENT_HELLO_FOUND
#define BAD CLIENT_HELLO_MALFORMED

static const struct {
    struct slice body, extensions;
    enum client_hello_result is;
    const char *server_name;
    bool transport, h2;
} cases[] = {
    {L(PLAIN), {NULL, 0}, FOUND, "", false, false},
    {L(PLAIN), L(""), FOUND, "", false, false},
    {L(PLAIN), L(HOST), FOUND, "ex.com", false, false},
    {L(PLAIN), L(TRANSPORT HOST), FOUND, "ex.com", true, false},
    {L(PLAIN), L("\x00\x2b\x00\x03\x02\x03\x04" HOST "\x00\x17\x00\x00" TRANSPORT), FOUND, "ex.com", true, false},
    {L(PLAIN), L(ALPN("\x00\x0e\x00\x0c\x02h2\x08http/1.1")), FOUND, "", false, true},
    {L(PLAIN), L(ALPN("\x00\x16\x00\x14\x13transport.l5d.io/v2")), FOUND, "", false, false},
    {L(PLAIN), L(ALPN("\x00\x17\x00\x15\x14transport.l5d.io/v1x")), FOUND, "", false, false},
    {L(START "\x20"
             "0123456789abcdef0123456789abcdef" CIPHERS NULL_COMPRESSION),
     L(HOST), FOUND, "ex.com", false, false},
    /* broken */
    {L(START "\x21"
             "0123456789abcdef0123456789abcdefX" CIPHERS NULL_COMPRESSION),
     L(HOST), BAD, "", false, false},
    {L("\x02\x03"
       "random random random random rand\x00" CIPHERS NULL_COMPRESSION),
     L(""), BAD, "", false, false},
    {L(START "\x00\x00\x00" NULL_COMPRESSION), L(""), BAD, "", false, false},
    {L(START "\x00\x00\x03\x13\x01\x13" NULL_COMPRESSION), L(""), BAD, "", false, false},
    {L(START "\x00" CIPHERS "\x00"), L(""), BAD, "", false, false},
    {L(START "\x00" CIPHERS), {NULL, 0}, BAD, "", false, false},
    {L(START), {NULL, 0}, BAD, "", false, false},
    {L("\x03\x03"), {NULL, 0}, BAD, "", false, false},
    {L(""), {NULL, 0}, BAD, "", false, false},
    {L(PLAIN "\x00\x01"), {NULL, 0}, BAD, "", false, false},  /* extensions longer than there is */
    {L(PLAIN "\x00\x00X"), {NULL, 0}, BAD, "", false, false}, /* and shorter */
    {L(PLAIN "\x00"), {NULL, 0}, BAD, "", false, false},
    {L(PLAIN), L("\x00\x17\x00"), BAD, "", false, false},
    {L(PLAIN),
     L("\x00\x17\x00\x05"
       "1234"),
     BAD, "", false, false},
    {L(PLAIN), L(HOST HOST), BAD, "", false, false},
    {L(PLAIN), L(TRANSPORT TRANSPORT), BAD, "", false, false},
    {L(PLAIN), L(SNI("\x00\x00")), BAD, "", false, false},
    {L(PLAIN), L(SNI("\x00\x02\x00\x00")), BAD, "", false, false},
    {L(PLAIN), L(SNI("\x00\x05\x00\x03\x00\x00\x00")), BAD, "", false, false}, /* empty name */
    {L(PLAIN),
     L(SNI("\x00\x0b\x00\x09\x01\x00\x06"
           "ex.com")),
     BAD, "", false, false}, /* type */
    {L(PLAIN),
     L(SNI("\x00\x0b\x00\x09\x00\x00\x07"
           "ex.com")),
     BAD, "", false, false},
    {L(PLAIN),
     L(SNI("\x00\x0b\x00\x09\x00\x00\x05"
           "ex.com")),
     BAD, "", false, false},
    {L(PLAIN),
     L(SNI("\x00\x0b\x00\x08\x00\x00\x06"
           "ex.com")),
     BAD, "", false, false},
    {L(PLAIN),
     L(SNI("\x00\x0b\x00\x0a\x00\x00\x06"
           "ex.com")),
     BAD, "", false, false},
    {L(PLAIN),
     L(SNI("\x00\x0b\x00\x09\x00\x00\x06"
           "ex\0com")),
     BAD, "", false, false},
    {L(PLAIN),
     L(SNI("\x00\x0b\x00\x09\x00\x00\x06"
           "ex com")),
     BAD, "", false, false},
    {L(PLAIN),
     L(SNI("\x00\x0b\x00\x09\x00\x00\x06"
           "ex\xffx.m")),
     BAD, "", false, false},
    {L(PLAIN), L(ALPN("\x00\x03\x00\x01\x00")), BAD, "", false, false},
    {L(PLAIN), L(ALPN("\x00\x05\x00\x03\x03h2")), BAD, "", false, false},
    {L(PLAIN), L(ALPN("\x00\x06\x00\x03\x02h2x")), BAD, "", false, false},
};

static void hellos(void **state)
{
    static const size_t records[] = {16384, 100, 7, 3, 1};

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t j = 0; j < COUNT(records); j++) {
            struct client_hello hello = {0};
            struct buffer bytes;
            enum client_hello_result is;

            buffer_init(&bytes, 100000);
            build(&bytes, cases[i].body, cases[i].extensions, records[j]);
            is = parse(buffer_slice(&bytes), &hello);
            if (is != cases[i].is)
                fail_msg("case %zu: %d", i, is);
            assert_true(slice_eq(client_hello_server_name(&hello), slice_str(cases[i].server_name)));
            assert_int_equal(hello.offers_transport, cases[i].transport);
            assert_int_equal(hello.offers_h2, cases[i].h2);
            for (size_t len = 0; len < bytes.len; len++)
                assert_int_equal(parse(slice_take(buffer_slice(&bytes), len), &hello), CLIENT_HELLO_MORE);
            buffer_add_lit(&bytes, "early data");
            assert_int_equal(parse(buffer_slice(&bytes), &hello), cases[i].is);
            buffer_release(&bytes);
        }
}

static void others(void **state)
{
    static const struct {
        struct slice bytes;
        enum client_hello_result is;
    } first[] = {
        {L(""), CLIENT_HELLO_MORE},
        {L("\x16"), CLIENT_HELLO_MORE},
        {L("\x16\x03\x03\xff\xff"), CLIENT_HELLO_NOT_TLS}, /* record too long */
        {L("\x16\x03\x03\x00\x00"), CLIENT_HELLO_NOT_TLS}, /* empty record */
        {L("\x16\x03\x01\x00\x05\x01"), CLIENT_HELLO_MORE},
        {L("\x16\x03\x01\x00\x05\x02"), CLIENT_HELLO_NOT_TLS}, /* ServerHello */
        {L("\x16\x03\x05"), CLIENT_HELLO_NOT_TLS},
        {L("\x16\x02"), CLIENT_HELLO_NOT_TLS},
        {L("\x17\x03\x03"), CLIENT_HELLO_NOT_TLS},
        {L("GET / HTTP/1.1\r\n"), CLIENT_HELLO_NOT_TLS},
        {L("\x80\x2e\x01\x03\x01"), CLIENT_HELLO_NOT_TLS},                   /* SSL 2.0 */
        {L("\x16\x03\x01\x00\x04\x01\x00\x40\x00"), CLIENT_HELLO_MALFORMED}, /* 16388 bytes */
        {L("\x16\x03\x01\x00\x04\x01\x00\x3f\xfc"), CLIENT_HELLO_MORE},
        {L("\x16\x03\x01\x00\x01\x01\x15\x03\x01\x00\x02\x02\x28"), CLIENT_HELLO_MALFORMED}, /* an alert in between */
        {L("\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x00"), CLIENT_HELLO_MALFORMED},
    };
    struct client_hello hello;

    for (size_t i = 0; i < COUNT(first); i++) {
        enum client_hello_result is = parse(first[i].bytes, &hello);

        if (is != first[i].is)
            fail_msg("case %zu: %d", i, is);
    }
}

/* Records of one byte cannot make us wait for more than the limit. */
static void limit(void **state)
{
    struct client_hello hello;
    struct buffer bytes;

    buffer_init(&bytes, 200000);
    buffer_add_lit(&bytes, "\x16\x03\x01\x00\x04\x01\x00\x3f\x00");
    while (bytes.len < LIMIT_CLIENT_HELLO)
        buffer_add_lit(&bytes, "\x16\x03\x01\x00\x01x");
    assert_int_equal(parse(slice_take(buffer_slice(&bytes), LIMIT_CLIENT_HELLO - 1), &hello), CLIENT_HELLO_MORE);
    assert_int_equal(parse(slice_take(buffer_slice(&bytes), LIMIT_CLIENT_HELLO), &hello), CLIENT_HELLO_MALFORMED);
    buffer_release(&bytes);
}

/* What OpenSSL sends, in TLS 1.3 and 1.2. */
static void real_client(void **state)
{
    static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};

    for (size_t i = 0; i < COUNT(versions); i++) {
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        SSL *ssl = SSL_new(context);
        BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
        struct client_hello hello;
        char *bytes;
        long len;

        SSL_set_max_proto_version(ssl, versions[i]);
        SSL_set_bio(ssl, in, out);
        SSL_set_tlsext_host_name(ssl, "web.ns.serviceaccount.identity.linkerd.cluster.local");
        SSL_set_alpn_protos(ssl, (const unsigned char *)"\x13transport.l5d.io/v1\x02h2", 23);
        assert_true(SSL_connect(ssl) < 0);
        len = BIO_get_mem_data(out, &bytes);
        assert_int_equal(parse(slice_of(bytes, (size_t)len), &hello), CLIENT_HELLO_FOUND);
        assert_true(slice_eq(client_hello_server_name(&hello),
                             SLICE_LIT("web.ns.serviceaccount.identity.linkerd.cluster.local")));
        assert_true(hello.offers_transport && hello.offers_h2);
        SSL_free(ssl);
        SSL_CTX_free(context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos),
        cmocka_unit_test(others),
        cmocka_unit_test(limit),
        cmocka_unit_test(real_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
