/* From struct http_head to the fields of a header block, and the functions that send one. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/h2/h2_parts.h"

enum {
    FIELDS_MAX = LIMIT_HTTP_FIELDS + 64, /* pseudo fields, and what the owner added */
    LOWER_ROOM = 1024                    /* bytes of names on the stack that had to be put in lower case */
};

struct writing {
    struct hpack_field fields[FIELDS_MAX];
    size_t count;
    const struct http_field
        *connection; /* the Connection field if it names fields that are not ours to know, or NULL */
    char lower[LOWER_ROOM];
    size_t lowered; /* bytes used of `lower` */
    char *heap;     /* when that did not suffice: room for every name */
    size_t heap_used;
};

/* Only what is used is set: the arrays are large. */
static void writing_init(struct writing *out)
{
    out->count = out->lowered = out->heap_used = 0;
    out->connection = NULL;
    out->heap = NULL;
}

static void add(struct writing *out, struct slice name, struct slice value, bool never_index)
{
    out->fields[out->count++] = (struct hpack_field){.name = name, .value = value, .never_index = never_index};
}

static char *lower_room(struct writing *out, const struct http_field *fields, unsigned count, size_t len)
{
    size_t all = 0;
    char *room;

    if (!out->heap && LOWER_ROOM - out->lowered >= len) {
        room = out->lower + out->lowered;
        out->lowered += len;
        return room;
    }
    if (!out->heap) {
        for (unsigned i = 0; i < count; i++)
            all += fields[i].name.len;
        out->heap = malloc(all);
        if (!out->heap)
            return NULL;
    }
    room = out->heap + out->heap_used;
    out->heap_used += len;
    return room;
}

/* Names that a Connection field lists end with this hop (RFC 9110 section 7.6.1), except those that we know: no client
 * shall take fields out that the proxy put in, or that frame the message. */
static bool is_named_by(const struct http_field *connection, struct slice name)
{
    struct slice rest = connection->value, part;

    while (slice_split(&rest, ',', &part))
        if (slice_eq_nocase(slice_trim(part), name))
            return true;
    return false;
}

static bool is_sent(const struct writing *out, const struct http_field *field)
{
    if (field->token == HTTP_TOKEN_OTHER)
        return !out->connection || !is_named_by(out->connection, field->name);
    return field->token != HTTP_TOKEN_HOST && !http_token_is_hop(field->token);
}

/*
 * Names whose values differ from request to request. Each value would take a place in the tables of both ends and push
 * out what is worth having there: 250 ns a request and hop, and tables that are always full. Such a field is sent as
 * one that is never indexed, which keeps every hop behind from doing so as well.
 */
static bool is_unique(const struct http_field *field)
{
#define UNIQUE(text)                                                                                                   \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }
    static const struct slice names[] = {
        UNIQUE("traceparent"),     UNIQUE("x-request-id"),          UNIQUE("x-b3-traceid"),
        UNIQUE("x-b3-spanid"),     UNIQUE("x-b3-parentspanid"),     UNIQUE("uber-trace-id"),
        UNIQUE("x-amzn-trace-id"), UNIQUE("x-cloud-trace-context"), UNIQUE("x-correlation-id")};
#undef UNIQUE

    if (field->token == HTTP_TOKEN_GRPC_TIMEOUT)
        return true;
    if (field->token != HTTP_TOKEN_OTHER || field->name.len < 11)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (field->name.len == names[i].len && slice_eq_nocase(field->name, names[i]))
            return true;
    return false;
}

static bool te_has_trailers(struct slice value)
{
    struct slice part;

    while (slice_split(&value, ',', &part))
        if (slice_eq_nocase(slice_trim(part), SLICE_LIT("trailers")))
            return true;
    return false;
}

static int add_fields(struct writing *out, const struct http_field *fields, unsigned count)
{
    if (count > FIELDS_MAX - out->count)
        return -EMSGSIZE;
    for (unsigned i = 0; i < count; i++)
        if (fields[i].token == HTTP_TOKEN_CONNECTION)
            out->connection = &fields[i];
    for (unsigned i = 0; i < count; i++) {
        const struct http_field *field = &fields[i];
        struct slice name = http_token_name(field->token);

        if (field->token == HTTP_TOKEN_TE && te_has_trailers(field->value))
            add(out, name, SLICE_LIT("trailers"), false);
        if (!is_sent(out, field))
            continue;
        if (!name.len) /* else it is a constant, in lower case */
            name = field->name;
        if (name.ptr == field->name.ptr && slice_has_upper(name)) {
            char *lower = lower_room(out, fields, count, name.len);

            if (!lower)
                return -ENOMEM;
            slice_lower(name, lower);
            name.ptr = lower;
        }
        add(out, name, field->value, field->never_index || is_unique(field));
    }
    return 0;
}

static void add_request_line(struct writing *out, const struct http_head *head)
{
    bool connect = slice_eq(head->method, SLICE_LIT("CONNECT"));

    add(out, SLICE_LIT(":method"), head->method, false);
    if (!connect)
        add(out, SLICE_LIT(":scheme"), head->scheme.len ? head->scheme : SLICE_LIT("http"), false);
    if (head->authority.len)
        add(out, SLICE_LIT(":authority"), head->authority, false);
    if (!connect)
        add(out, SLICE_LIT(":path"), head->path.len ? head->path : SLICE_LIT("/"), false);
}

static struct slice status_text(unsigned status, char to[3])
{
    to[0] = (char)('0' + status / 100 % 10);
    to[1] = (char)('0' + status / 10 % 10);
    to[2] = (char)('0' + status % 10);
    return slice_of(to, 3);
}

/* A whole head: a request line or a status, then the fields. */
static int put_head(struct h2_conn *conn, uint32_t id, const struct http_head *head, bool end)
{
    struct writing out;
    char status[3];
    int r;

    writing_init(&out);
    if (conn->role == H2_CLIENT)
        add_request_line(&out, head);
    else
        add(&out, SLICE_LIT(":status"), status_text(head->status, status), false);
    r = add_fields(&out, head->fields, head->count);
    if (r == 0)
        r = h2_put_headers(conn, id, end, out.fields, out.count);
    free(out.heap);
    return r;
}

int h2_put_refusal(struct h2_conn *conn, uint32_t id, unsigned status)
{
    struct http_head head = {.status = (uint16_t)status};
    int r = put_head(conn, id, &head, true);

    return r == -EMSGSIZE ? 0 : r; /* the peer takes no head at all: then none is sent */
}

bool h2_can_open(const struct h2_conn *conn)
{
    return !conn->failed && !conn->goaway_seen && !conn->goaway_sent && conn->next_id <= H2_ID_MAX &&
           conn->open_streams < conn->peer.max_streams;
}

int h2_request(struct h2_conn *conn, const struct http_head *head, bool end, void *user, struct h2_stream **ret_stream)
{
    struct h2_stream *stream;
    int r;

    assert(conn->role == H2_CLIENT);
    if (conn->failed || conn->goaway_seen || conn->goaway_sent || conn->next_id > H2_ID_MAX)
        return -EPIPE;
    if (!h2_can_open(conn))
        return -EAGAIN;
    stream = h2_stream_open(conn, conn->next_id);
    if (!stream)
        return -ENOMEM;
    r = put_head(conn, stream->id, head, end);
    if (r < 0) {
        h2_stream_close(stream); /* frees it: nobody knows it */
        return r;
    }
    conn->next_id += 2;
    stream->user = user;
    stream->announced = true;
    stream->head_only = slice_eq(head->method, SLICE_LIT("HEAD"));
    stream->tunnel = slice_eq(head->method, SLICE_LIT("CONNECT"));
    stream->send = end ? H2_HALF_ENDED : H2_HALF_BODY;
    h2_guard_credit(conn, 4);
    *ret_stream = stream;
    return 0;
}

int h2_respond(struct h2_stream *stream, const struct http_head *head, bool end)
{
    bool interim = head->status < 200;
    int r;

    assert(stream->conn->role == H2_SERVER && !(interim && end));
    if (!stream->open || stream->send != H2_HALF_HEAD || stream->conn->failed)
        return -EPIPE;
    r = put_head(stream->conn, stream->id, head, end);
    if (r < 0 || interim)
        return r;
    stream->send = H2_HALF_BODY;
    if (end)
        h2_stream_end_send(stream);
    return 0;
}

int h2_trailers(struct h2_stream *stream, const struct http_field *fields, unsigned count)
{
    struct writing out;
    int r;

    if (!stream->open || stream->send != H2_HALF_BODY || stream->conn->failed)
        return -EPIPE;
    writing_init(&out);
    r = add_fields(&out, fields, count);
    if (r == 0 && out.count == 0)
        r = h2_put(stream->conn, H2_FRAME_DATA, H2_FLAG_END_STREAM, stream->id, SLICE_NULL);
    else if (r == 0)
        r = h2_put_headers(stream->conn, stream->id, true, out.fields, out.count);
    free(out.heap);
    if (r == 0)
        h2_stream_end_send(stream);
    return r;
}
