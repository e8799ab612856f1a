#include "cli/obfuscate.h"

#include <errno.h>
#include <openssl/evp.h>

/* Labels with words of our own, and numbers. Sorted, for the eye alone. */
static const char *const plain[] = {
    "authz_kind", "backend_group", "backend_kind", "classification", "code", "direction", "endpoint_state", "errno", "error", "event_type", "grpc_status",
    "grpc_type", "http_status", "kind", "le", "no_tls_reason", "op", "parent_group", "parent_kind", "protocol", "quantile", "ratelimit_scope", "ready", "reason",
    "record_type", "result", "route_group", "route_kind", "session_protocol", "skip", "skip_reason", "srv_group", "srv_kind", "status", "status_code",
    "tls", "vendor", "version", "zone_locality",
};

static bool is_plain(struct slice name)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (slice_eq(name, slice_str(plain[i])))
            return true;
    return false;
}

static int add_digest(struct slice text, struct buffer *to)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (EVP_Digest(text.ptr, text.len, digest, &len, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    for (unsigned i = 0; i < len; i++)
        buffer_printf(to, "%02x", digest[i]);
    return 0;
}

/* Where the quoted text that begins here ends (its quote); the length where it does not. */
static size_t find_quote(struct slice text)
{
    size_t i = 0;

    while (i < text.len && text.ptr[i] != '"')
        i += text.ptr[i] == '\\' ? 2 : 1;
    return i < text.len ? i : text.len;
}

/* `name="value"` off the front. False: there is none. */
static bool take_label(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    size_t equals = slice_find(*rest, '='), end;
    struct slice value = slice_skip(*rest, equals + 2);

    if (equals + 1 >= rest->len || rest->ptr[equals + 1] != '"')
        return false;
    end = find_quote(value);
    if (end == value.len)
        return false;
    *ret_name = slice_trim(slice_take(*rest, equals));
    *ret_value = slice_take(value, end);
    *rest = slice_skip(value, end + 1);
    return true;
}

/* 1: the line is whole; 0: it is none. */
static int add_sample(struct slice line, struct buffer *to)
{
    size_t brace = slice_find(line, '{');
    struct slice rest = slice_skip(line, brace + 1), name, value;
    const char *between = "";

    if (brace == line.len) /* without labels */
        return slice_find(line, '"') == line.len && buffer_printf(to, "%.*s\n", SLICE_ARGS(line)) == 0;
    buffer_add(to, slice_take(line, brace + 1));
    while (rest.len && rest.ptr[0] != '}') {
        if (!take_label(&rest, &name, &value))
            return 0;
        buffer_printf(to, "%s%.*s=\"", between, SLICE_ARGS(name));
        if (is_plain(name) || !value.len)
            buffer_add(to, value);
        else if (add_digest(value, to) < 0)
            return -ENOMEM;
        buffer_add_byte(to, '"');
        between = ",";
        if (rest.len && rest.ptr[0] == ',')
            rest = slice_skip(rest, 1);
    }
    /* Exemplars (behind #) hold names too. */
    rest = slice_take(rest, slice_find(rest, '#'));
    buffer_printf(to, "%.*s\n", SLICE_ARGS(rest));
    return rest.len > 0;
}

int obfuscate(struct slice page, struct buffer *to)
{
    struct slice line;
    int r = 0;

    while (r >= 0 && slice_split(&page, '\n', &line)) {
        size_t begin = to->len;

        if (!line.len)
            continue;
        r = line.ptr[0] == '#' ? (buffer_printf(to, "%.*s\n", SLICE_ARGS(line)), 1) : add_sample(line, to);
        if (r == 0 && !buffer_error(to))
            to->len = begin;
    }
    return r < 0 ? r : buffer_error(to);
}
