#include "codec/client_hello.h"

#include "base/limits.h"

enum {
    RECORD_HEAD = 5,
    RECORD_MAX = 16384, /* RFC 8446 section 5.1 */
    RECORD_HANDSHAKE = 22,
    HANDSHAKE_HEAD = 4,
    HANDSHAKE_CLIENT_HELLO = 1,
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_ALPN = 16,
};

/*
 * Reads handshake bytes across records without copying them together. `left`
 * bounds what may be read: the message, then a part of it. Reading beyond it
 * fails, for good; the bytes themselves are all there before reading begins.
 */
struct cursor {
    const unsigned char *at;
    size_t record; /* bytes to the end of this record */
    size_t left;
    bool failed;
};

static unsigned record_length(const unsigned char *head)
{
    return (unsigned)head[3] << 8 | head[4];
}

static unsigned read_byte(struct cursor *c)
{
    if (c->failed || c->left == 0) {
        c->failed = true;
        return 0;
    }
    if (c->record == 0) {
        c->record = record_length(c->at);
        c->at += RECORD_HEAD;
    }
    c->record--;
    c->left--;
    return *c->at++;
}

static unsigned read_number(struct cursor *c, int bytes)
{
    unsigned number = 0;

    while (bytes-- > 0)
        number = number << 8 | read_byte(c);
    return number;
}

static void skip(struct cursor *c, size_t count)
{
    while (count-- > 0 && !c->failed)
        read_byte(c);
}

/* A vector with a length of `bytes` bytes in front: the bound behind it, to be given to leave(). */
static size_t enter(struct cursor *c, int bytes)
{
    size_t len = read_number(c, bytes), outer = c->left;

    if (c->failed || len > outer) {
        c->failed = true;
        return 0;
    }
    c->left = len;
    return outer - len;
}

static void leave(struct cursor *c, size_t outer)
{
    skip(c, c->left);
    c->left = outer;
}

/* Whether `bytes` can still become a record that begins a ClientHello. */
static bool may_be_hello(struct slice bytes)
{
    const unsigned char *b = (const unsigned char *)bytes.ptr;

    if ((bytes.len >= 1 && b[0] != RECORD_HANDSHAKE) || (bytes.len >= 2 && b[1] != 3) || (bytes.len >= 3 && b[2] > 4))
        return false;
    if (bytes.len >= RECORD_HEAD && (record_length(b) == 0 || record_length(b) > RECORD_MAX))
        return false;
    return bytes.len <= RECORD_HEAD || b[RECORD_HEAD] == HANDSHAKE_CLIENT_HELLO;
}

/*
 * Walks the records until they hold the whole message. FOUND: *ret_message is its
 * length with its head.
 */
static enum client_hello_result find_message(struct slice bytes, size_t *ret_message)
{
    const unsigned char *b = (const unsigned char *)bytes.ptr;
    unsigned char head[HANDSHAKE_HEAD];
    size_t at = 0, have = 0, message = 0;

    while (bytes.len - at >= RECORD_HEAD) {
        size_t len = record_length(b + at), here = bytes.len - at - RECORD_HEAD;

        if (b[at] != RECORD_HANDSHAKE || b[at + 1] != 3 || len == 0 || len > RECORD_MAX)
            return CLIENT_HELLO_MALFORMED;
        if (here > len)
            here = len;
        for (size_t i = 0; i < here && have + i < HANDSHAKE_HEAD; i++)
            head[have + i] = b[at + RECORD_HEAD + i];
        have += here;
        if (have >= HANDSHAKE_HEAD)
            message = HANDSHAKE_HEAD + ((size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]);
        if (message > LIMIT_CLIENT_HELLO)
            return CLIENT_HELLO_MALFORMED;
        if (message && have >= message) {
            *ret_message = message;
            return CLIENT_HELLO_FOUND;
        }
        if (here < len)
            break;
        at += RECORD_HEAD + len;
    }
    return bytes.len < LIMIT_CLIENT_HELLO ? CLIENT_HELLO_MORE : CLIENT_HELLO_MALFORMED;
}

/* RFC 6066 section 3: a list of names, of which only one of type 0 is ever sent. */
static void read_server_name(struct cursor *c, struct client_hello *hello)
{
    size_t list = enter(c, 2);
    unsigned type = read_byte(c);
    size_t name = enter(c, 2), len = c->left;

    if (c->failed || type != 0 || len == 0 || len > sizeof(hello->server_name)) {
        c->failed = true;
        return;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned byte = read_byte(c);

        if (byte <= 0x20 || byte >= 0x7f) /* no NUL, no blank, no control byte reaches a label or a comparison */
            c->failed = true;
        hello->server_name[i] = (char)byte;
    }
    hello->server_name_len = (uint8_t)len;
    leave(c, name);
    if (c->left != 0)
        c->failed = true;
    leave(c, list);
}

static void read_alpn(struct cursor *c, struct client_hello *hello)
{
    struct slice transport = SLICE_LIT("transport.l5d.io/v1"), h2 = SLICE_LIT("h2");
    size_t list = enter(c, 2);

    while (c->left && !c->failed) {
        size_t outer = enter(c, 1), len = c->left;
        char name[32];

        if (len == 0)
            c->failed = true;
        for (size_t i = 0; i < len && len <= sizeof(name); i++)
            name[i] = (char)read_byte(c);
        hello->offers_transport |= len <= sizeof(name) && slice_eq(slice_of(name, len), transport);
        hello->offers_h2 |= len <= sizeof(name) && slice_eq(slice_of(name, len), h2);
        leave(c, outer);
    }
    leave(c, list);
}

static void read_extensions(struct cursor *c, struct client_hello *hello)
{
    bool have_name = false, have_alpn = false;

    while (c->left && !c->failed) {
        unsigned type = read_number(c, 2);
        size_t outer = enter(c, 2);
        bool *have = type == EXTENSION_SERVER_NAME ? &have_name : type == EXTENSION_ALPN ? &have_alpn : NULL;

        if (have && *have) /* RFC 8446 section 4.2 */
            c->failed = true;
        if (have)
            *have = true;
        if (have == &have_name && !c->failed)
            read_server_name(c, hello);
        else if (have == &have_alpn && !c->failed)
            read_alpn(c, hello);
        if (have && c->left != 0)
            c->failed = true;
        leave(c, outer);
    }
}

/* RFC 8446 section 4.1.2, whose form is that of every version from SSL 3.0 on. */
static void read_hello(struct cursor *c, struct client_hello *hello)
{
    size_t outer;
    unsigned major = read_number(c, 2) >> 8;

    if (major != 3)
        c->failed = true;
    skip(c, 32); /* random */
    outer = enter(c, 1);
    if (c->left > 32) /* session id */
        c->failed = true;
    leave(c, outer);
    outer = enter(c, 2);
    if (c->left < 2 || c->left % 2) /* cipher suites */
        c->failed = true;
    leave(c, outer);
    outer = enter(c, 1);
    if (c->left == 0) /* compression methods */
        c->failed = true;
    leave(c, outer);
    if (c->failed || c->left == 0)
        return; /* extensions may be missing altogether */
    outer = enter(c, 2);
    if (outer != 0)
        c->failed = true;
    read_extensions(c, hello);
}

enum client_hello_result client_hello_parse(struct slice bytes, struct client_hello *ret_hello)
{
    struct client_hello hello = {0};
    struct cursor c = {.at = (const unsigned char *)bytes.ptr};
    enum client_hello_result r;

    if (!may_be_hello(bytes))
        return CLIENT_HELLO_NOT_TLS;
    r = find_message(bytes, &c.left);
    if (r != CLIENT_HELLO_FOUND)
        return r;
    skip(&c, HANDSHAKE_HEAD);
    read_hello(&c, &hello);
    if (c.failed)
        return CLIENT_HELLO_MALFORMED;
    *ret_hello = hello;
    return CLIENT_HELLO_FOUND;
}
