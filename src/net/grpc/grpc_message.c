#include "net/grpc/grpc_message.h"

#include <errno.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/grpc/grpc.h"

void grpc_reader_init(struct grpc_reader *reader)
{
    *reader = (struct grpc_reader){0};
    buffer_init(&reader->message, LIMIT_GRPC_MESSAGE);
}

void grpc_reader_release(struct grpc_reader *reader)
{
    buffer_release(&reader->message);
}

bool grpc_reader_is_idle(const struct grpc_reader *reader)
{
    return reader->prefix_len == 0;
}

static size_t message_length(const struct grpc_reader *reader)
{
    const uint8_t *p = reader->prefix;

    return (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
}

/* 0 when the prefix is whole and acceptable, 1 when bytes are missing. */
static int read_prefix(struct grpc_reader *reader, struct slice *bytes)
{
    if (reader->prefix_len == 0)
        buffer_clear(&reader->message); /* the message given last */
    while (reader->prefix_len < GRPC_PREFIX && bytes->len) {
        reader->prefix[reader->prefix_len++] = (uint8_t)*bytes->ptr;
        *bytes = slice_skip(*bytes, 1);
    }
    if (reader->prefix_len < GRPC_PREFIX)
        return 1;
    if (reader->prefix[0] != 0)
        return reader->prefix[0] == 1 ? -EOPNOTSUPP : -EPROTO;
    return message_length(reader) > LIMIT_GRPC_MESSAGE ? -EMSGSIZE : 0;
}

int grpc_read(struct grpc_reader *reader, struct slice *bytes, struct slice *ret_message)
{
    int r = read_prefix(reader, bytes);
    size_t missing;

    if (r != 0)
        return r < 0 ? r : 0;
    missing = message_length(reader) - reader->message.len;
    if (bytes->len < missing) {
        /* Grows with what arrives, not with what was announced. */
        if (buffer_add(&reader->message, *bytes) < 0)
            return -ENOMEM;
        *bytes = slice_skip(*bytes, bytes->len);
        return 0;
    }
    reader->prefix_len = 0;
    if (reader->message.len == 0) {
        *ret_message = slice_take(*bytes, missing); /* whole in one piece: no copy */
    } else {
        if (buffer_add(&reader->message, slice_take(*bytes, missing)) < 0)
            return -ENOMEM;
        *ret_message = buffer_slice(&reader->message);
    }
    *bytes = slice_skip(*bytes, missing);
    return 1;
}

void grpc_reader_trim(struct grpc_reader *reader)
{
    if (grpc_reader_is_idle(reader))
        buffer_release(&reader->message);
}

void grpc_write_prefix(uint8_t prefix[GRPC_PREFIX], size_t message_len)
{
    prefix[0] = 0;
    prefix[1] = (uint8_t)(message_len >> 24);
    prefix[2] = (uint8_t)(message_len >> 16);
    prefix[3] = (uint8_t)(message_len >> 8);
    prefix[4] = (uint8_t)message_len;
}

static bool stands_for_itself(char c)
{
    return c >= ' ' && c <= '~' && c != '%';
}

struct slice grpc_text_encode(struct arena *arena, struct slice text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, text.len * 3);
    size_t n = 0;

    if (!out)
        return SLICE_NULL;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (stands_for_itself((char)c)) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[c >> 4];
        out[n++] = hex[c & 15];
    }
    return slice_of(out, n);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct slice grpc_text_decode(struct arena *arena, struct slice text)
{
    char *out = arena_alloc(arena, text.len);
    size_t n = 0;

    if (!out)
        return SLICE_NULL;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '%' && i + 2 < text.len && hex_digit(text.ptr[i + 1]) >= 0 &&
            hex_digit(text.ptr[i + 2]) >= 0) {
            out[n++] = (char)(hex_digit(text.ptr[i + 1]) << 4 | hex_digit(text.ptr[i + 2]));
            i += 2;
        } else {
            out[n++] = text.ptr[i];
        }
    }
    return slice_of(out, n);
}

/* Smallest first: the first whose number fits eight digits is used. */
static const struct {
    char letter;
    int64_t ns;
} units[] = {
    {'n', 1}, {'u', NS_PER_US}, {'m', NS_PER_MS}, {'S', NS_PER_S}, {'M', 60 * NS_PER_S}, {'H', 3600 * NS_PER_S},
};
enum { UNITS = sizeof(units) / sizeof(units[0]), TIMEOUT_MAX = 99999999 };

struct slice grpc_timeout_format(int64_t ns, char out[GRPC_TIMEOUT_TEXT])
{
    for (size_t i = 0; i < UNITS; i++) {
        int64_t count = ns / units[i].ns + (ns % units[i].ns != 0);

        if (count > TIMEOUT_MAX)
            continue;
        return slice_of(out, (size_t)snprintf(out, GRPC_TIMEOUT_TEXT, "%lld%c", (long long)count, units[i].letter));
    }
    return SLICE_LIT("99999999H");
}

int grpc_timeout_parse(struct slice text, int64_t *ret_ns)
{
    uint64_t count;

    if (text.len < 2 || text.len > 9)
        return -EINVAL;
    if (slice_u64(slice_take(text, text.len - 1), TIMEOUT_MAX, &count) < 0)
        return -EINVAL;
    for (size_t i = 0; i < UNITS; i++) {
        if (units[i].letter != text.ptr[text.len - 1])
            continue;
        *ret_ns = (int64_t)count > INT64_MAX / units[i].ns ? INT64_MAX : (int64_t)count * units[i].ns;
        return 0;
    }
    return -EINVAL;
}

int grpc_status_of_http(unsigned http_status)
{
    switch (http_status) {
    case 400: return GRPC_INTERNAL;
    case 401: return GRPC_UNAUTHENTICATED;
    case 403: return GRPC_PERMISSION_DENIED;
    case 404: return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504: return GRPC_UNAVAILABLE;
    default: return GRPC_UNKNOWN;
    }
}

/* RFC 9113 section 7 to gRPC, as PROTOCOL-HTTP2 says. */
int grpc_status_of_reset(uint32_t h2_code)
{
    switch (h2_code) {
    case 7: return GRPC_UNAVAILABLE;         /* REFUSED_STREAM */
    case 8: return GRPC_CANCELLED;           /* CANCEL */
    case 11: return GRPC_RESOURCE_EXHAUSTED; /* ENHANCE_YOUR_CALM */
    case 12: return GRPC_PERMISSION_DENIED;  /* INADEQUATE_SECURITY */
    default: return GRPC_INTERNAL;
    }
}

const char *grpc_code_name(int status)
{
    static const char *const names[] = {
        "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
        "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
        "Internal", "Unavailable", "DataLoss", "Unauthenticated",
    };

    return status >= 0 && status <= GRPC_UNAUTHENTICATED ? names[status] : "Unknown";
}
