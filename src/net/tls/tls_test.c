#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/tls/tls_fixture.h"
#include "net/tls/tls_internal.h"

#define SERVER "web.shop.serviceaccount.identity.linkerd.cluster.local"
#define CLIENT "cart.shop.serviceaccount.identity.linkerd.cluster.local"

static const struct san server_id = {SAN_DNS, {SERVER, sizeof(SERVER) - 1}};
static const struct san client_id = {SAN_DNS, {CLIENT, sizeof(CLIENT) - 1}};
static const struct san nobody = {SAN_NONE, {NULL, 0}};

struct fixture {
    struct tls_world world;
    struct authority authority;
    struct workload server, client;
    struct tls_context *server_ctx, *client_ctx;
    struct tls_end a, b; /* client, server */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    tls_world_init(&f->world);
    authority_init(&f->authority, "root");
    workload_init(&f->server, &f->authority, server_id);
    workload_init(&f->client, &f->authority, client_id);
    f->server_ctx = tls_world_context(&f->world, &f->server, server_id, &f->authority.anchors);
    f->client_ctx = tls_world_context(&f->world, &f->client, client_id, &f->authority.anchors);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    io_close(&f->a.stack, true);
    io_close(&f->b.stack, true);
    tls_context_unref(f->server_ctx);
    tls_context_unref(f->client_ctx);
    workload_release(&f->server);
    workload_release(&f->client);
    authority_release(&f->authority);
    tls_world_release(&f->world);
    free(f);
    return 0;
}

static struct tls_client to_server(void)
{
    return (struct tls_client){.server_name = server_id.name, .expected = server_id};
}

/* Both ends with these contexts; what the handshakes gave. */
static void shake_with(struct fixture *f, struct tls_context *client, struct tls_context *server, int *ret_client,
                       int *ret_server)
{
    struct tls_client options = to_server();

    tls_connect(&f->world, &f->a, &f->b);
    assert_int_equal(tls_push_client(&f->a.stack, client, &options), 0);
    assert_int_equal(tls_push_server(&f->b.stack, server, NULL, 0), 0);
    tls_shake(&f->world, &f->a, &f->b, ret_client, ret_server);
}

static void connect_pair(struct fixture *f)
{
    int c, s;

    shake_with(f, f->client_ctx, f->server_ctx, &c, &s);
    assert_int_equal(c, 0);
    assert_int_equal(s, 0);
}

static void exchange(struct fixture *f, struct tls_end *from, struct tls_end *to, size_t len)
{
    char *out = calloc(1, len), *in = calloc(1, len);
    size_t got = 0;

    for (size_t i = 0; i < len; i++)
        out[i] = (char)(i * 31 + i / 251);
    tls_write(&f->world, from, out, len);
    while (got < len) {
        ssize_t n = tls_read(&f->world, to, in + got, len - got);

        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_memory_equal(in, out, len);
    free(out);
    free(in);
}

static void test_mutual(void **state)
{
    struct fixture *f = *state;
    struct tls_peer peer;

    connect_pair(f);
    assert_true(tls_peer(&f->a.stack, &peer));
    assert_true(san_eq(peer.id, server_id));
    assert_string_equal(peer.version, "TLSv1.3");
    assert_string_equal(peer.cipher, "TLS_AES_128_GCM_SHA256");
    assert_int_equal(peer.alpn.len, 0);
    assert_true(tls_peer(&f->b.stack, &peer));
    assert_true(san_eq(peer.id, client_id));
    assert_null(tls_of(&f->a.stack)->ssl); /* the records are ours */
    assert_null(tls_of(&f->b.stack)->ssl);
    exchange(f, &f->a, &f->b, 5);
    exchange(f, &f->b, &f->a, 1);
    exchange(f, &f->a, &f->b, 100000);
    exchange(f, &f->b, &f->a, 16384);
    exchange(f, &f->b, &f->a, 16385);
    assert_int_equal(f->world.loop.pages.lent, 0); /* nothing is kept when drained */
}

static void test_no_client_certificate(void **state)
{
    struct fixture *f = *state;
    struct tls_context *anonymous = tls_world_context(&f->world, NULL, nobody, &f->authority.anchors);
    struct tls_peer peer;
    int c, s;

    shake_with(f, anonymous, f->server_ctx, &c, &s);
    assert_int_equal(c, 0);
    assert_int_equal(s, 0);
    assert_true(tls_peer(&f->b.stack, &peer));
    assert_int_equal(peer.id.kind, SAN_NONE);
    assert_true(tls_peer(&f->a.stack, &peer));
    assert_true(san_eq(peer.id, server_id));
    exchange(f, &f->a, &f->b, 10);
    assert_int_equal(tls_push_server(&f->a.stack, anonymous, NULL, 0), -ENOKEY);
    tls_context_unref(anonymous);
}

static void test_wrong_identity(void **state)
{
    struct fixture *f = *state;
    struct tls_client options = to_server();
    struct errmsg msg;
    struct tls_peer peer;
    int c, s;

    options.expected = client_id;
    tls_connect(&f->world, &f->a, &f->b);
    assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), 0);
    assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, NULL, 0), 0);
    tls_shake(&f->world, &f->a, &f->b, &c, &s);
    assert_int_equal(c, -EKEYREJECTED);
    assert_int_equal(tls_failure(&f->a.stack), TLS_IDENTITY_MISMATCH);
    tls_failure_text(&f->a.stack, &msg);
    assert_string_equal(msg.text, "the server is " SERVER ", expected " CLIENT);
    assert_false(tls_peer(&f->a.stack, &peer));
    assert_int_equal(s, -EPROTO); /* it has been told */
    assert_int_equal(tls_failure(&f->b.stack), TLS_PEER_REFUSED);
    assert_int_equal(tls_handshake(&f->a.stack), -EKEYREJECTED); /* still */
    assert_int_equal(io_read(&f->a.stack, &msg, 1), -EKEYREJECTED);
}

/* Expectations that must not be met by the server's certificate although they look alike. */
static void test_near_misses(void **state)
{
    static const struct san cases[] = {
        {SAN_DNS, SLICE_LIT("WEB.shop.serviceaccount.identity.linkerd.cluster.local")},
        {SAN_DNS, SLICE_LIT(SERVER ".")},
        {SAN_DNS, SLICE_LIT("shop.serviceaccount.identity.linkerd.cluster.local")},
        {SAN_DNS, SLICE_LIT(SERVER "\0.evil")},
        {SAN_DNS, SLICE_LIT("")},
        {SAN_URI, SLICE_LIT(SERVER)},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = *state;
        struct tls_client options = to_server();
        int c, s;

        options.expected = cases[i];
        tls_connect(&f->world, &f->a, &f->b);
        assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), 0);
        assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, NULL, 0), 0);
        tls_shake(&f->world, &f->a, &f->b, &c, &s);
        assert_int_equal(c, -EKEYREJECTED);
        assert_int_equal(tls_failure(&f->a.stack), TLS_IDENTITY_MISMATCH);
        io_close(&f->a.stack, true);
        io_close(&f->b.stack, true);
    }
}

static void test_nothing_expected(void **state)
{
    struct fixture *f = *state;
    struct tls_client options = {.server_name = server_id.name};

    tls_connect(&f->world, &f->a, &f->b);
    assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), -EINVAL);
    options.expected = (struct san){SAN_OTHER, server_id.name};
    assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), -EINVAL);
    options.expected = server_id;
    options.server_name = SLICE_LIT("nul\0inside");
    assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), -EINVAL);
    assert_string_equal(f->a.stack.top->ops->name, "fd"); /* nothing was pushed */
}

static void add_name(GENERAL_NAMES *names, int type, const char *bytes, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    ASN1_STRING_set(text, bytes, (int)len);
    GENERAL_NAME_set0_value(name, type, text);
    sk_GENERAL_NAME_push(names, name);
}

/* A server whose certificate carries these names (or the common name only), against the usual client. */
static void shake_odd_server(struct fixture *f, GENERAL_NAMES *names, int64_t from, int64_t to, const char *purpose,
                             int *ret_client)
{
    struct workload odd;
    SSL *peer;
    struct tls_client options = to_server();
    int fd = tls_connect_foreign(&f->world, &f->a), p;

    workload_init_odd(&odd, &f->authority, names, from, to, purpose);
    peer = tls_foreign(fd, &odd, &f->authority.anchors, true, TLS1_3_VERSION);
    assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), 0);
    tls_shake_foreign(&f->world, &f->a, peer, ret_client, &p);
    tls_foreign_free(peer);
    workload_release(&odd);
}

static void test_server_names(void **state)
{
    struct fixture *f = *state;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    int c;

    add_name(names, GEN_DNS, SERVER "\0.evil.example", sizeof(SERVER "\0.evil.example") - 1);
    add_name(names, GEN_URI, SERVER, sizeof(SERVER) - 1);
    add_name(names, GEN_EMAIL, SERVER, sizeof(SERVER) - 1);
    shake_odd_server(f, names, -FIXTURE_HOUR, FIXTURE_HOUR, "serverAuth", &c);
    assert_int_equal(c, -EKEYREJECTED);
    assert_int_equal(tls_failure(&f->a.stack), TLS_IDENTITY_MISMATCH);
    io_close(&f->a.stack, true);
    add_name(names, GEN_DNS, SERVER, sizeof(SERVER) - 1); /* the fourth name will do */
    shake_odd_server(f, names, -FIXTURE_HOUR, FIXTURE_HOUR, "serverAuth", &c);
    assert_int_equal(c, 0);
    io_close(&f->a.stack, true);
    shake_odd_server(f, names, -2 * FIXTURE_HOUR, -FIXTURE_HOUR, "serverAuth", &c);
    assert_int_equal(c, -EKEYREJECTED);
    assert_int_equal(tls_failure(&f->a.stack), TLS_EXPIRED);
    io_close(&f->a.stack, true);
    shake_odd_server(f, names, FIXTURE_HOUR, 2 * FIXTURE_HOUR, "serverAuth", &c);
    assert_int_equal(tls_failure(&f->a.stack), TLS_EXPIRED);
    io_close(&f->a.stack, true);
    shake_odd_server(f, names, -FIXTURE_HOUR, FIXTURE_HOUR, "clientAuth", &c);
    assert_int_equal(tls_failure(&f->a.stack), TLS_BAD_CERTIFICATE);
    io_close(&f->a.stack, true);
    shake_odd_server(f, NULL, -FIXTURE_HOUR, FIXTURE_HOUR, "serverAuth", &c);
    assert_int_equal(tls_failure(&f->a.stack), TLS_IDENTITY_MISMATCH);
    GENERAL_NAMES_free(names);
}

/* Our server and a foreign client that shows this. */
static void shake_foreign_client(struct fixture *f, const struct workload *shown, int version, int *ret_server,
                                 SSL **ret_peer)
{
    int fd = tls_connect_foreign(&f->world, &f->b), p;

    *ret_peer = tls_foreign(fd, shown, &f->authority.anchors, false, version);
    assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, NULL, 0), 0);
    tls_shake_foreign(&f->world, &f->b, *ret_peer, ret_server, &p);
    if (*ret_server == 0)
        assert_int_equal(p, 1);
}

static void test_client_names(void **state)
{
    struct fixture *f = *state;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    struct workload odd;
    struct tls_peer peer;
    SSL *foreign;
    int s;

    /* The first that is a name; one with a NUL in it is none. */
    add_name(names, GEN_DNS, CLIENT "\0.evil.example", sizeof(CLIENT "\0.evil.example") - 1);
    add_name(names, GEN_URI, "spiffe://a/b", 12);
    add_name(names, GEN_DNS, CLIENT, sizeof(CLIENT) - 1);
    workload_init_odd(&odd, &f->authority, names, -FIXTURE_HOUR, FIXTURE_HOUR, "clientAuth");
    shake_foreign_client(f, &odd, TLS1_3_VERSION, &s, &foreign);
    assert_int_equal(s, 0);
    assert_true(tls_peer(&f->b.stack, &peer));
    assert_true(san_eq(peer.id, (struct san){SAN_URI, SLICE_LIT("spiffe://a/b")}));
    workload_release(&odd);
    tls_foreign_free(foreign);
    io_close(&f->b.stack, true);
    /* Valid, but nobody in particular. */
    workload_init_odd(&odd, &f->authority, NULL, -FIXTURE_HOUR, FIXTURE_HOUR, "clientAuth");
    shake_foreign_client(f, &odd, TLS1_3_VERSION, &s, &foreign);
    assert_int_equal(s, 0);
    assert_true(tls_peer(&f->b.stack, &peer));
    assert_int_equal(peer.id.kind, SAN_NONE);
    workload_release(&odd);
    tls_foreign_free(foreign);
    io_close(&f->b.stack, true);
    GENERAL_NAMES_free(names);
}

/* What is shown must be valid: a bad chain is refused, it is not "no identity". */
static void test_bad_client_chains(void **state)
{
    struct fixture *f = *state;
    struct authority stranger;
    struct workload odd;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    SSL *foreign;
    int s;

    add_name(names, GEN_DNS, CLIENT, sizeof(CLIENT) - 1);
    authority_init(&stranger, "root"); /* by the same name, with another key */
    workload_init(&odd, &stranger, client_id);
    shake_foreign_client(f, &odd, TLS1_3_VERSION, &s, &foreign);
    assert_int_equal(s, -EKEYREJECTED);
    assert_int_equal(tls_failure(&f->b.stack), TLS_UNKNOWN_ISSUER);
    tls_foreign_free(foreign);
    io_close(&f->b.stack, true);
    workload_release(&odd);
    authority_release(&stranger);
    workload_init_odd(&odd, &f->authority, names, -2 * FIXTURE_HOUR, -FIXTURE_HOUR, "clientAuth");
    shake_foreign_client(f, &odd, TLS1_3_VERSION, &s, &foreign);
    assert_int_equal(tls_failure(&f->b.stack), TLS_EXPIRED);
    tls_foreign_free(foreign);
    io_close(&f->b.stack, true);
    workload_release(&odd);
    workload_init_odd(&odd, &f->authority, names, -FIXTURE_HOUR, FIXTURE_HOUR, "serverAuth");
    shake_foreign_client(f, &odd, TLS1_2_VERSION, &s, &foreign);
    assert_int_equal(tls_failure(&f->b.stack), TLS_BAD_CERTIFICATE);
    tls_foreign_free(foreign);
    workload_release(&odd);
    GENERAL_NAMES_free(names);
}

static void test_unknown_server(void **state)
{
    struct fixture *f = *state;
    struct authority stranger;
    struct tls_context *client;
    int c, s;

    authority_init(&stranger, "stranger");
    client = tls_world_context(&f->world, NULL, nobody, &stranger.anchors);
    shake_with(f, client, f->server_ctx, &c, &s);
    assert_int_equal(c, -EKEYREJECTED);
    assert_int_equal(tls_failure(&f->a.stack), TLS_UNKNOWN_ISSUER);
    assert_string_equal(tls_failure_name(tls_failure(&f->a.stack)), "unknown-issuer");
    tls_context_unref(client);
    authority_release(&stranger);
}

/* Rotation: each side has a certificate of another authority, and both believe both. */
static void test_two_anchors(void **state)
{
    struct fixture *f = *state;
    struct authority next;
    struct workload client;
    struct x509_bundle both = {0};
    struct tls_context *client_ctx, *server_ctx;
    struct tls_peer peer;
    int c, s;

    authority_init(&next, "next");
    x509_bundle_add(&both, f->authority.anchor);
    x509_bundle_add(&both, next.anchor);
    workload_init(&client, &next, client_id);
    client_ctx = tls_world_context(&f->world, &client, client_id, &both);
    server_ctx = tls_world_context(&f->world, &f->server, server_id, &both);
    shake_with(f, client_ctx, server_ctx, &c, &s);
    assert_int_equal(c, 0);
    assert_int_equal(s, 0);
    assert_true(tls_peer(&f->b.stack, &peer));
    assert_true(san_eq(peer.id, client_id));
    io_close(&f->a.stack, true);
    io_close(&f->b.stack, true);
    shake_with(f, client_ctx, f->server_ctx, &c, &s); /* the server does not know the new one yet */
    assert_int_equal(s, -EKEYREJECTED);
    tls_context_unref(client_ctx);
    tls_context_unref(server_ctx);
    x509_bundle_release(&both);
    workload_release(&client);
    authority_release(&next);
}

/* With TLS 1.3 a client is done before the server has looked at its certificate: the refusal comes as it reads. */
static void test_client_learns_refusal_later(void **state)
{
    struct fixture *f = *state;
    struct authority stranger;
    struct x509_bundle both = {0};
    struct workload odd;
    struct tls_context *client;
    struct errmsg msg;
    char byte;
    int c, s;

    authority_init(&stranger, "stranger");
    workload_init(&odd, &stranger, client_id);
    x509_bundle_add(&both, stranger.anchor);
    x509_bundle_add(&both, f->authority.anchor);
    client = tls_world_context(&f->world, &odd, client_id, &both);
    shake_with(f, client, f->server_ctx, &c, &s);
    assert_int_equal(s, -EKEYREJECTED);
    assert_int_equal(c, 0);
    assert_int_equal(tls_read(&f->world, &f->a, &byte, 1), -EPROTO);
    assert_int_equal(tls_failure(&f->a.stack), TLS_PEER_REFUSED);
    tls_failure_text(&f->a.stack, &msg);
    assert_non_null(strstr(msg.text, "unknown CA"));
    tls_context_unref(client);
    x509_bundle_release(&both);
    workload_release(&odd);
    authority_release(&stranger);
}

static void test_credentials(void **state)
{
    struct fixture *f = *state;
    struct authority stranger;
    struct tls_credentials *credentials;
    struct x509_bundle none = {0};
    struct errmsg msg;

    authority_init(&stranger, "stranger");
    assert_int_equal(tls_credentials_new(f->server.key, &f->server.chain, client_id, &f->authority.anchors,
                                         FIXTURE_WALL, &msg, &credentials),
                     -EKEYREJECTED);
    assert_non_null(strstr(msg.text, "does not carry the name " CLIENT));
    assert_int_equal(tls_credentials_new(f->client.key, &f->server.chain, server_id, &f->authority.anchors,
                                         FIXTURE_WALL, &msg, &credentials),
                     -EKEYREJECTED);
    assert_non_null(strstr(msg.text, "does not belong to the key"));
    assert_int_equal(tls_credentials_new(f->server.key, &f->server.chain, server_id, &stranger.anchors, FIXTURE_WALL,
                                         &msg, &credentials),
                     -EKEYREJECTED);
    assert_int_equal(tls_credentials_new(f->server.key, &f->server.chain, server_id, &f->authority.anchors,
                                         FIXTURE_WALL + 48 * FIXTURE_HOUR, &msg, &credentials),
                     -EKEYREJECTED);
    assert_non_null(strstr(msg.text, "expired"));
    assert_int_equal(
        tls_credentials_new(f->server.key, &none, server_id, &f->authority.anchors, FIXTURE_WALL, &msg, &credentials),
        -EINVAL);
    assert_int_equal(
        tls_credentials_new(f->server.key, &f->server.chain, server_id, &none, FIXTURE_WALL, &msg, &credentials),
        -EINVAL);
    assert_non_null(strstr(msg.text, "no trust anchor"));
    authority_release(&stranger);
}

static void test_time_of_the_worker(void **state)
{
    struct fixture *f = *state;
    int c, s;

    f->world.wall_ns += 48 * FIXTURE_HOUR; /* the certificates have run out since the contexts were made */
    shake_with(f, f->client_ctx, f->server_ctx, &c, &s);
    assert_int_equal(c, -EKEYREJECTED);
    assert_int_equal(tls_failure(&f->a.stack), TLS_EXPIRED);
}

static void test_alpn(void **state)
{
    static const struct slice h2[] = {SLICE_LIT("h2")}, many[] = {SLICE_LIT("transport.l5d.io/v1"), SLICE_LIT("h2")};
    static const struct {
        const struct slice *client, *server;
        size_t clients, servers;
        const char *chosen; /* NULL: refused */
    } cases[] = {
        {many, many, 2, 2, "transport.l5d.io/v1"},
        {h2, many, 1, 2, "h2"},
        {many, h2, 2, 1, "h2"},
        {many, NULL, 2, 0, ""},
        {NULL, many, 0, 2, ""},
        {many, h2, 1, 1, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = *state;
        struct tls_client options = to_server();
        struct tls_peer peer;
        int c, s;

        options.alpn = cases[i].client;
        options.alpn_count = cases[i].clients;
        tls_connect(&f->world, &f->a, &f->b);
        assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), 0);
        assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, cases[i].server, cases[i].servers), 0);
        tls_shake(&f->world, &f->a, &f->b, &c, &s);
        if (cases[i].chosen) {
            assert_int_equal(c, 0);
            assert_int_equal(s, 0);
            assert_true(tls_peer(&f->a.stack, &peer));
            assert_true(slice_eq(peer.alpn, slice_str(cases[i].chosen)));
            assert_true(san_eq(peer.id, server_id));
            assert_true(tls_peer(&f->b.stack, &peer));
            assert_true(slice_eq(peer.alpn, slice_str(cases[i].chosen)));
            assert_true(san_eq(peer.id, client_id));
        } else {
            assert_int_equal(tls_failure(&f->a.stack), TLS_NO_COMMON_PROTOCOL);
            assert_int_equal(tls_failure(&f->b.stack), TLS_NO_COMMON_PROTOCOL);
        }
        io_close(&f->a.stack, true);
        io_close(&f->b.stack, true);
    }
}

static void test_half_close(void **state)
{
    struct fixture *f = *state;
    struct iovec iov = {(void *)"x", 1};
    char byte;

    connect_pair(f);
    tls_write(&f->world, &f->a, "last words", 10);
    assert_int_equal(io_shutdown(&f->a.stack), 0);
    assert_int_equal(io_shutdown(&f->a.stack), 0); /* again does no harm */
    assert_int_equal(io_writev(&f->a.stack, &iov, 1), -EPIPE);
    tls_settle(&f->world);
    for (int i = 0; i < 10; i++)
        assert_int_equal(tls_read(&f->world, &f->b, &byte, 1), 1);
    assert_int_equal(tls_read(&f->world, &f->b, &byte, 1), 0);
    assert_int_equal(tls_read(&f->world, &f->b, &byte, 1), 0);
    assert_false(io_pending(&f->b.stack) && io_read(&f->b.stack, &byte, 1) > 0);
    exchange(f, &f->b, &f->a, 40000); /* the other way goes on */
    assert_int_equal(io_shutdown(&f->b.stack), 0);
    tls_settle(&f->world);
    assert_int_equal(tls_read(&f->world, &f->a, &byte, 1), 0);
}

/* The end that comes in one piece with the last bytes is there to be read, and only until it was read. */
static void test_end_behind_bytes(void **state)
{
    struct fixture *f = *state;
    char bytes[64];

    connect_pair(f);
    tls_write(&f->world, &f->a, "last words", 10);
    assert_int_equal(io_shutdown(&f->a.stack), 0);
    tls_settle(&f->world);
    assert_int_equal(tls_read(&f->world, &f->b, bytes, sizeof(bytes)), 10);
    assert_true(io_pending(&f->b.stack));
    assert_int_equal(io_read(&f->b.stack, bytes, sizeof(bytes)), 0);
    assert_false(io_pending(&f->b.stack));
}

static void test_truncation(void **state)
{
    struct fixture *f = *state;
    char bytes[16];

    connect_pair(f);
    tls_write(&f->world, &f->a, "cut off", 7);
    assert_int_equal(shutdown(f->a.stack.fd.watch.fd, SHUT_WR), 0); /* FIN without close_notify */
    tls_settle(&f->world);
    assert_int_equal(tls_read(&f->world, &f->b, bytes, 16), 7);
    assert_true(io_pending(&f->b.stack));
    assert_int_equal(tls_read(&f->world, &f->b, bytes, 16), -ECONNABORTED);
    assert_int_equal(tls_read(&f->world, &f->b, bytes, 16), -ECONNABORTED);
}

/* Takes what `from` has sent off the wire and gives `to` these bytes instead. */
static size_t intercept(struct fixture *f, struct tls_end *from, char *wire, size_t size)
{
    struct iovec iov = {(void *)"hello", 5};
    ssize_t n;

    assert_int_equal(io_writev(&from->stack, &iov, 1), 5);
    assert_int_equal(io_flush(&from->stack), 0);
    n = recv(f->b.stack.fd.watch.fd, wire, size, MSG_DONTWAIT); /* stolen before the server looks */
    assert_true(n > 0);
    return (size_t)n;
}

static void test_any_bit_flipped(void **state)
{
    struct fixture *f = *state;

    for (size_t at = 0; at < 5 + 5 + 1 + 16; at++) {
        char wire[256], byte;
        size_t len;
        ssize_t n;

        connect_pair(f);
        len = intercept(f, &f->a, wire, sizeof(wire));
        assert_int_equal(len, 27);
        wire[at] ^= 0x10;
        assert_int_equal(send(f->a.stack.fd.watch.fd, wire, len, 0), len);
        shutdown(f->a.stack.fd.watch.fd, SHUT_WR);
        tls_settle(&f->world);
        n = tls_read(&f->world, &f->b, &byte, 1);
        if (at == 3 || at == 4) /* the length grew: it never becomes whole; or it is over the limit */
            assert_true(n == -ECONNABORTED || n == -EBADMSG);
        else
            assert_int_equal(n, -EBADMSG);
        if (n == -EBADMSG) /* and the sender is told why */
            assert_int_equal(tls_read(&f->world, &f->a, &byte, 1), -EPROTO);
        io_close(&f->a.stack, true);
        io_close(&f->b.stack, true);
    }
}

static void test_replay(void **state)
{
    struct fixture *f = *state;
    char wire[256], bytes[16];
    size_t len;

    connect_pair(f);
    len = intercept(f, &f->a, wire, sizeof(wire));
    send(f->a.stack.fd.watch.fd, wire, len, 0);
    send(f->a.stack.fd.watch.fd, wire, len, 0);
    tls_settle(&f->world);
    assert_int_equal(tls_read(&f->world, &f->b, bytes, 5), 5);
    assert_int_equal(tls_read(&f->world, &f->b, bytes, 5), -EBADMSG);
}

static void test_truncated_record(void **state)
{
    struct fixture *f = *state;
    char wire[256], byte;
    size_t len;

    connect_pair(f);
    len = intercept(f, &f->a, wire, sizeof(wire));
    for (size_t i = 0; i + 1 < len; i++) { /* one byte at a time gives nothing, and nothing is pending */
        send(f->a.stack.fd.watch.fd, wire + i, 1, 0);
        assert_int_equal(tls_read(&f->world, &f->b, &byte, 1), -EAGAIN);
        assert_false(io_pending(&f->b.stack));
    }
    shutdown(f->a.stack.fd.watch.fd, SHUT_WR);
    tls_settle(&f->world);
    assert_int_equal(tls_read(&f->world, &f->b, &byte, 1), -ECONNABORTED);
}

/* Everything from the first byte of the handshake on in single bytes, in both directions. */
static void test_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    struct tls_client options = to_server();
    struct tls_end client_wire, server_wire; /* the other ends of two pairs, with bytes carried between by hand */
    int c = -EAGAIN, s = -EAGAIN;
    char byte;

    tls_connect(&f->world, &f->a, &client_wire);
    tls_connect(&f->world, &f->b, &server_wire);
    assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), 0);
    assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, NULL, 0), 0);
    for (int i = 0; i < 20000 && (c == -EAGAIN || s == -EAGAIN); i++) {
        if (c == -EAGAIN)
            c = tls_handshake(&f->a.stack);
        if (s == -EAGAIN)
            s = tls_handshake(&f->b.stack);
        tls_settle(&f->world);
        if (io_read(&client_wire.stack, &byte, 1) == 1)
            tls_write(&f->world, &server_wire, &byte, 1);
        if (io_read(&server_wire.stack, &byte, 1) == 1)
            tls_write(&f->world, &client_wire, &byte, 1);
    }
    assert_int_equal(c, 0);
    assert_int_equal(s, 0);
    tls_write(&f->world, &f->a, "hello", 5);
    for (int i = 0; i < 27; i++) {
        char out[5];

        assert_int_equal(io_read(&f->b.stack, out, 5), -EAGAIN);
        assert_int_equal(io_read(&client_wire.stack, &byte, 1), 1);
        tls_write(&f->world, &server_wire, &byte, 1);
    }
    for (const char *expected = "hello"; *expected; expected++) { /* and read byte by byte */
        assert_int_equal(io_read(&f->b.stack, &byte, 1), 1);
        assert_int_equal(byte, *expected);
    }
    assert_int_equal(io_read(&f->b.stack, &byte, 1), -EAGAIN);
    io_close(&client_wire.stack, true);
    io_close(&server_wire.stack, true);
}

static void test_blocked_peer(void **state)
{
    struct fixture *f = *state;
    size_t len = 4 << 20, sent = 0, got = 0;
    char *out = malloc(len), *in = malloc(len);

    for (size_t i = 0; i < len; i++)
        out[i] = (char)(i * 7 + i / 509);
    connect_pair(f);
    while (got < len) {
        ssize_t n;

        while (sent < len) { /* until it blocks */
            struct iovec iov[3] = {{out + sent, (len - sent) / 3},
                                   {NULL, 0},
                                   {out + sent + (len - sent) / 3, len - sent - (len - sent) / 3}};

            n = io_writev(&f->a.stack, iov, 3);
            if (n == -EAGAIN)
                break;
            assert_true(n > 0);
            sent += (size_t)n;
            assert_true(tls_of(&f->a.stack)->out.len <= LIMIT_TLS_OUT + LIMIT_BUFFER_PAGE);
        }
        assert_true(io_flush(&f->a.stack) == 0 || sent > got);
        tls_settle(&f->world);
        n = tls_read(&f->world, &f->b, in + got, len - got < 50000 ? len - got : 50000);
        assert_true(n > 0);
        got += (size_t)n;
        tls_settle(&f->world);
    }
    assert_memory_equal(in, out, len);
    assert_int_equal(f->world.loop.pages.lent, 0);
    free(out);
    free(in);
}

static void test_garbage(void **state)
{
    static const struct slice cases[] = {
        SLICE_LIT("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        SLICE_LIT("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"),
        SLICE_LIT("\x17\x03\x03\x00\x20"
                  "0123456789abcdef0123456789abcdef"),
        SLICE_LIT("\x16\x03\x01\xff\xff"),
        SLICE_LIT("\0\0\0\0\0\0\0\0"),
        SLICE_LIT("\x15\x03\x03\x00\x02\x02\x28"),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = *state;
        int fd = tls_connect_foreign(&f->world, &f->b), r = -EAGAIN;

        assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, NULL, 0), 0);
        assert_int_equal(send(fd, cases[i].ptr, cases[i].len, 0), cases[i].len);
        shutdown(fd, SHUT_WR);
        tls_settle(&f->world);
        for (int turns = 0; turns < 10 && r == -EAGAIN; turns++) {
            r = tls_handshake(&f->b.stack);
            tls_settle(&f->world);
        }
        assert_true(r < 0 && r != -EAGAIN);
        assert_int_not_equal(tls_failure(&f->b.stack), TLS_OK);
        io_close(&f->b.stack, true);
        close(fd);
    }
}

static void test_peer_leaves(void **state)
{
    struct fixture *f = *state;
    struct tls_client options = to_server();
    int fd = tls_connect_foreign(&f->world, &f->a);

    assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), 0);
    assert_int_equal(tls_handshake(&f->a.stack), -EAGAIN);
    close(fd);
    tls_settle(&f->world);
    assert_true(tls_handshake(&f->a.stack) < 0);
    assert_int_equal(tls_failure(&f->a.stack), TLS_PEER_CLOSED);
}

/* A client hello that never ends is cut off by bytes. */
static void test_endless_handshake(void **state)
{
    static char flood[16384];
    struct fixture *f = *state;
    int fd = tls_connect_foreign(&f->world, &f->b), r = -EAGAIN;

    assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, NULL, 0), 0);
    send(fd, "\x16\x03\x01\x40\x00\x01\xff\xff\xff", 9, 0);
    for (int i = 0; i < 1000 && r == -EAGAIN; i++) {
        (void)send(fd, flood, sizeof(flood), MSG_DONTWAIT);
        tls_settle(&f->world);
        r = tls_handshake(&f->b.stack);
    }
    assert_int_equal(r, -EBADMSG);
    assert_int_equal(tls_failure(&f->b.stack), TLS_PROTOCOL_ERROR);
    close(fd);
}

/* --- OpenSSL's own records as the peer --- */

static void foreign_server(struct fixture *f, int version, SSL **ret_peer)
{
    struct tls_client options = to_server();
    int fd = tls_connect_foreign(&f->world, &f->a), e, p;

    *ret_peer = tls_foreign(fd, &f->server, &f->authority.anchors, true, version);
    assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), 0);
    tls_shake_foreign(&f->world, &f->a, *ret_peer, &e, &p);
    assert_int_equal(e, 0);
    assert_int_equal(p, 1);
}

/* Bytes both ways, in sizes around the limits of a record. */
static void converse(struct fixture *f, struct tls_end *end, SSL *peer)
{
    static const size_t sizes[] = {1, 100, 16340, 16361, 16362, 16363, 16384, 16385, 40000};
    char *out = malloc(40000), *in = malloc(40000);

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t done = 0, n;

        memset(out, 'a' + (int)i, sizes[i]);
        tls_write(&f->world, end, out, sizes[i]);
        while (done < sizes[i]) {
            assert_int_equal(SSL_read_ex(peer, in + done, sizes[i] - done, &n), 1);
            done += n;
        }
        assert_memory_equal(in, out, sizes[i]);
        assert_int_equal(SSL_write_ex(peer, out, sizes[i], &n), 1);
        for (done = 0; done < sizes[i];) {
            ssize_t got = tls_read(&f->world, end, in + done, sizes[i] - done);

            assert_true(got > 0);
            done += (size_t)got;
        }
        assert_memory_equal(in, out, sizes[i]);
    }
    free(out);
    free(in);
}

static void test_foreign_server(void **state)
{
    struct fixture *f = *state;
    SSL *peer;

    foreign_server(f, TLS1_3_VERSION, &peer); /* it sends two session tickets, which are passed over */
    converse(f, &f->a, peer);
    assert_int_equal(f->world.loop.pages.lent, 0);
    tls_foreign_free(peer);
}

static void test_foreign_client(void **state)
{
    struct fixture *f = *state;
    SSL *peer;
    int s;

    shake_foreign_client(f, &f->client, TLS1_3_VERSION, &s, &peer);
    assert_int_equal(s, 0);
    converse(f, &f->b, peer);
    tls_foreign_free(peer);
}

static void test_version_12(void **state)
{
    struct fixture *f = *state;
    struct tls_peer who;
    SSL *peer;
    char byte;
    int s;

    foreign_server(f, TLS1_2_VERSION, &peer);
    assert_true(tls_peer(&f->a.stack, &who));
    assert_string_equal(who.version, "TLSv1.2");
    assert_string_equal(who.cipher, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    assert_true(san_eq(who.id, server_id));
    converse(f, &f->a, peer);
    assert_int_equal(io_read(&f->a.stack, &byte, 1), -EAGAIN);
    assert_false(io_pending(&f->a.stack));
    SSL_shutdown(peer);
    tls_settle(&f->world);
    assert_int_equal(tls_read(&f->world, &f->a, &byte, 1), 0);
    assert_int_equal(io_shutdown(&f->a.stack), 0);
    assert_int_equal(SSL_shutdown(peer), 1);
    tls_foreign_free(peer);
    shake_foreign_client(f, &f->client, TLS1_2_VERSION, &s, &peer);
    assert_int_equal(s, 0);
    assert_true(tls_peer(&f->b.stack, &who));
    assert_true(san_eq(who.id, client_id));
    converse(f, &f->b, peer);
    shutdown(SSL_get_fd(peer), SHUT_WR);
    tls_settle(&f->world);
    assert_int_equal(tls_read(&f->world, &f->b, &byte, 1), -ECONNABORTED);
    tls_foreign_free(peer);
}

static void test_version_11(void **state)
{
    struct fixture *f = *state;
    struct tls_client options = to_server();
    int fd = tls_connect_foreign(&f->world, &f->b), e, p;
    SSL *peer = tls_foreign(fd, &f->client, &f->authority.anchors, false, TLS1_1_VERSION);

    (void)options;
    SSL_set_min_proto_version(peer, TLS1_VERSION);
    SSL_set_security_level(peer, 0);
    assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, NULL, 0), 0);
    tls_shake_foreign(&f->world, &f->b, peer, &e, &p);
    assert_true(e < 0);
    assert_int_equal(tls_failure(&f->b.stack), TLS_PROTOCOL_ERROR);
    tls_foreign_free(peer);
}

static void test_suites(void **state)
{
    static const char *const names[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                        "TLS_CHACHA20_POLY1305_SHA256"};

    for (size_t i = 0; i < 3; i++) {
        struct fixture *f = *state;
        struct tls_client options = to_server();
        struct tls_peer who;
        int fd = tls_connect_foreign(&f->world, &f->a), e, p;
        SSL *peer = tls_foreign(fd, &f->server, &f->authority.anchors, true, TLS1_3_VERSION);

        assert_int_equal(SSL_set_ciphersuites(peer, names[i]), 1);
        assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), 0);
        tls_shake_foreign(&f->world, &f->a, peer, &e, &p);
        assert_int_equal(e, 0);
        assert_true(tls_peer(&f->a.stack, &who));
        assert_string_equal(who.cipher, names[i]);
        assert_null(tls_of(&f->a.stack)->ssl);
        converse(f, &f->a, peer);
        assert_int_equal(SSL_key_update(peer, SSL_KEY_UPDATE_REQUESTED), 1);
        converse(f, &f->a, peer);
        converse(f, &f->a, peer);
        tls_foreign_free(peer);
        io_close(&f->a.stack, true);
    }
}

/* The peer changes its keys, and asks for ours to change, many times, with data between. */
static void test_key_updates(void **state)
{
    struct fixture *f = *state;
    SSL *peer;
    int s;

    shake_foreign_client(f, &f->client, TLS1_3_VERSION, &s, &peer);
    for (int i = 0; i < 100; i++) {
        size_t n;
        char bytes[8];

        assert_int_equal(SSL_key_update(peer, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_write_ex(peer, "ping", 4, &n), 1);
        assert_int_equal(tls_read(&f->world, &f->b, bytes, 8), 4);
        assert_memory_equal(bytes, "ping", 4);
        tls_write(&f->world, &f->b, "pong", 4);
        assert_int_equal(SSL_read_ex(peer, bytes, 8, &n), 1);
        assert_memory_equal(bytes, "pong", 4);
    }
    assert_int_equal(f->world.loop.pages.lent, 0);
    tls_foreign_free(peer);
}

/* The answer to a request for new keys goes out even if nobody writes. */
static void test_key_update_flood(void **state)
{
    struct fixture *f = *state;
    SSL *peer;
    char byte;
    int s;

    shake_foreign_client(f, &f->client, TLS1_3_VERSION, &s, &peer);
    for (int i = 0; i <= LIMIT_TLS_IDLE_RECORDS; i++) {
        assert_int_equal(SSL_key_update(peer, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(peer), 1);
    }
    tls_settle(&f->world);
    assert_int_equal(tls_read(&f->world, &f->b, &byte, 1), -EBADMSG);
    tls_foreign_free(peer);
}

/* Our own change of keys, after as many records as one key may protect. */
static void test_rekey(void **state)
{
    struct fixture *f = *state;
    SSL *peer;

    foreign_server(f, TLS1_3_VERSION, &peer);
    converse(f, &f->a, peer);
    /* As if that many records had been sent: both sides must count alike, so the peer gets there by hand as well. */
    assert_int_equal(tls_rekey(tls_of(&f->a.stack)), 0);
    assert_int_equal(tls_of(&f->a.stack)->tx.sequence, 0);
    converse(f, &f->a, peer);
    tls_foreign_free(peer);
}

static void test_rekey_by_itself(void **state)
{
    struct fixture *f = *state;

    connect_pair(f);
    tls_of(&f->a.stack)->tx.sequence = TLS_REKEY_RECORDS;
    tls_of(&f->b.stack)->rx.sequence = TLS_REKEY_RECORDS;
    exchange(f, &f->a, &f->b, 10);
    assert_int_equal(tls_of(&f->a.stack)->tx.sequence, 1);
    assert_int_equal(tls_of(&f->b.stack)->rx.sequence, 1);
    exchange(f, &f->a, &f->b, 100000);
    exchange(f, &f->b, &f->a, 100000);
}

static void test_padding(void **state)
{
    struct fixture *f = *state;
    SSL *peer;
    int s;

    shake_foreign_client(f, &f->client, TLS1_3_VERSION, &s, &peer);
    SSL_set_block_padding(peer, 512);
    converse(f, &f->b, peer);
    SSL_set_block_padding(peer, 16384);
    converse(f, &f->b, peer);
    tls_foreign_free(peer);
}

static void test_foreign_close(void **state)
{
    struct fixture *f = *state;
    SSL *peer;
    char byte;
    size_t n;
    int s;

    shake_foreign_client(f, &f->client, TLS1_3_VERSION, &s, &peer);
    assert_int_equal(SSL_shutdown(peer), 0);
    tls_settle(&f->world);
    assert_int_equal(tls_read(&f->world, &f->b, &byte, 1), 0);
    tls_write(&f->world, &f->b, "still here", 10);
    assert_int_equal(io_shutdown(&f->b.stack), 0);
    assert_int_equal(SSL_read_ex(peer, &byte, 1, &n), 1);
    tls_foreign_free(peer);
}

/* Renegotiation in 1.2 is refused, and the connection lives. */
static void test_renegotiation(void **state)
{
    struct fixture *f = *state;
    SSL *peer;
    char byte;
    int s;

    shake_foreign_client(f, &f->client, TLS1_2_VERSION, &s, &peer);
    assert_int_equal(s, 0);
    SSL_renegotiate(peer);
    SSL_do_handshake(peer);
    tls_settle(&f->world);
    assert_true(tls_read(&f->world, &f->b, &byte, 1) < 0);
    tls_foreign_free(peer);
}

/* First bytes that were read for detection come back below TLS. */
static void test_prefix_below(void **state)
{
    struct fixture *f = *state;
    struct tls_client options = to_server();
    struct chain peeked;
    char bytes[512];
    ssize_t n;
    int c, s;

    tls_connect(&f->world, &f->a, &f->b);
    assert_int_equal(tls_push_client(&f->a.stack, f->client_ctx, &options), 0);
    assert_int_equal(tls_handshake(&f->a.stack), -EAGAIN);
    tls_settle(&f->world);
    n = io_read(&f->b.stack, bytes, sizeof(bytes));
    assert_true(n > 100);
    chain_init(&peeked, &f->world.loop.pages);
    assert_int_equal(chain_add(&peeked, slice_of(bytes, (size_t)n)), 0);
    assert_int_equal(io_push_prefix(&f->b.stack, &peeked), 0);
    assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, NULL, 0), 0);
    tls_shake(&f->world, &f->a, &f->b, &c, &s);
    assert_int_equal(c, 0);
    assert_int_equal(s, 0);
    assert_int_equal(io_push_preamble(&f->a.stack, SLICE_LIT("header ")), 0);
    tls_write(&f->world, &f->a, "body", 4);
    assert_int_equal(tls_read(&f->world, &f->b, bytes, sizeof(bytes)), 11);
    assert_memory_equal(bytes, "header body", 11);
    assert_int_equal(tls_of(&f->a.stack)->tx.sequence, 1); /* in one record */
}

static void test_inspector(void **state)
{
    struct fixture *f = *state;
    struct x509_bundle none = {0}; /* whom we believe plays no part */
    struct tls_context *anonymous = tls_world_context(&f->world, NULL, nobody, &none);
    struct tls_client options = to_server();
    int c, s;

    tls_connect(&f->world, &f->a, &f->b);
    assert_int_equal(tls_push_inspector(&f->a.stack, anonymous, server_id.name), 0);
    assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, NULL, 0), 0);
    assert_null(tls_shown(&f->a.stack));
    tls_shake(&f->world, &f->a, &f->b, &c, &s);
    assert_int_equal(c, -EKEYREJECTED);
    assert_int_equal(s, -EPROTO);
    assert_non_null(tls_shown(&f->a.stack));
    assert_true(x509_bundle_eq(tls_shown(&f->a.stack), &f->server.chain));
    assert_null(tls_shown(&f->b.stack));
    io_close(&f->a.stack, true);
    io_close(&f->b.stack, true);
    tls_connect(&f->world, &f->a, &f->b); /* and who believes nobody believes nobody */
    assert_int_equal(tls_push_client(&f->a.stack, anonymous, &options), 0);
    assert_int_equal(tls_push_server(&f->b.stack, f->server_ctx, NULL, 0), 0);
    tls_shake(&f->world, &f->a, &f->b, &c, &s);
    assert_int_equal(tls_failure(&f->a.stack), TLS_UNKNOWN_ISSUER);
    tls_context_unref(anonymous);
}

static void test_out_of_pages(void **state)
{
    struct fixture *f = *state;
    struct iovec iov = {(void *)"hello", 5};
    size_t max = f->world.loop.pages.max_pages;

    connect_pair(f);
    f->world.loop.pages.max_pages = 0;
    assert_int_equal(io_writev(&f->a.stack, &iov, 1), -ENOMEM);
    f->world.loop.pages.max_pages = max;
    assert_int_equal(io_writev(&f->a.stack, &iov, 1), -ENOMEM);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_mutual),
        TEST(test_no_client_certificate),
        TEST(test_wrong_identity),
        TEST(test_near_misses),
        TEST(test_nothing_expected),
        TEST(test_server_names),
        TEST(test_client_names),
        TEST(test_bad_client_chains),
        TEST(test_unknown_server),
        TEST(test_two_anchors),
        TEST(test_client_learns_refusal_later),
        TEST(test_credentials),
        TEST(test_time_of_the_worker),
        TEST(test_alpn),
        TEST(test_half_close), TEST(test_end_behind_bytes),
        TEST(test_truncation),
        TEST(test_any_bit_flipped),
        TEST(test_replay),
        TEST(test_truncated_record),
        TEST(test_byte_by_byte),
        TEST(test_blocked_peer),
        TEST(test_garbage),
        TEST(test_peer_leaves),
        TEST(test_endless_handshake),
        TEST(test_foreign_server),
        TEST(test_foreign_client),
        TEST(test_version_12),
        TEST(test_version_11),
        TEST(test_suites),
        TEST(test_key_updates),
        TEST(test_key_update_flood),
        TEST(test_rekey),
        TEST(test_rekey_by_itself),
        TEST(test_padding),
        TEST(test_foreign_close),
        TEST(test_renegotiation),
        TEST(test_prefix_below),
        TEST(test_inspector),
        TEST(test_out_of_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
