#include "codec/h2/h2_script.h"

#include <assert.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/h2/h2_frame.h"

static const char *const frame_names[] = {"DATA",         "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
                                          "PUSH_PROMISE", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION"};

static struct script *script_of(struct h2_conn *conn)
{
    return conn->owner;
}

/* --- events --- */

static void note_fields(struct buffer *log, const struct http_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        buffer_printf(log, " %.*s=%.*s%s", SLICE_ARGS(fields[i].name), SLICE_ARGS(fields[i].value),
                      fields[i].never_index ? "!" : "");
}

static struct arena *head_arena(struct h2_stream *stream)
{
    struct script *script = script_of(stream->conn);

    if (script->refuse)
        return NULL;
    script->streams[stream->id / 2 % 64] = stream;
    return &script->arena;
}

static void on_head(struct h2_stream *stream, struct http_head *head, bool end)
{
    struct script *script = script_of(stream->conn);

    buffer_printf(&script->log, "head %u", stream->id);
    if (head->status)
        buffer_printf(&script->log, " %u", head->status);
    else
        buffer_printf(&script->log, " %.*s %.*s://%.*s%.*s", SLICE_ARGS(head->method), SLICE_ARGS(head->scheme),
                      SLICE_ARGS(head->authority), SLICE_ARGS(head->path));
    note_fields(&script->log, head->fields, head->count);
    buffer_printf(&script->log, "%s\n", end ? " end" : "");
}

/* One line for a frame, in however many pieces it came. */
static void note_data(struct script *script, uint32_t id, struct slice bytes, bool end)
{
    struct buffer *log = &script->log;

    if (!script->data.len)
        script->data_line = log->len;
    buffer_add(&script->data, bytes);
    log->len = script->data_line;
    if (script->data.len > 32)
        buffer_printf(log, "data %u *%zu%s\n", id, script->data.len, end ? " end" : "");
    else
        buffer_printf(log, "data %u %.*s%s\n", id, SLICE_ARGS(buffer_slice(&script->data)), end ? " end" : "");
}

static void on_data(struct h2_stream *stream, struct slice bytes, bool end)
{
    struct script *script = script_of(stream->conn);

    if (!script->quiet)
        note_data(script, stream->id, bytes, end);
    if (!script->hold)
        h2_consume(stream, bytes.len);
}

static void on_trailers(struct h2_stream *stream, const struct http_field *fields, unsigned count)
{
    struct script *script = script_of(stream->conn);

    buffer_printf(&script->log, "trailers %u", stream->id);
    note_fields(&script->log, fields, count);
    buffer_add_lit(&script->log, "\n");
}

static void on_reset(struct h2_stream *stream, struct h2_reset_info why)
{
    static const char *const by[] = {"peer", "us", "connection"};
    struct script *script = script_of(stream->conn);

    buffer_printf(&script->log, "reset %u %s %s%s%s\n", stream->id, by[why.by], h2_error_name(why.code),
                  why.detail ? " " : "", why.detail ? why.detail : "");
}

static void on_writable(struct h2_stream *stream)
{
    struct script *script = script_of(stream->conn);

    if (!script->quiet)
        buffer_printf(&script->log, "writable %u\n", stream->id);
}

static void on_settings(struct h2_conn *conn)
{
    buffer_add_lit(&script_of(conn)->log, "settings\n");
}

static void on_goaway(struct h2_conn *conn, uint32_t last_id, uint32_t code)
{
    buffer_printf(&script_of(conn)->log, "goaway %u %s\n", last_id, h2_error_name(code));
}

static void on_ping_ack(struct h2_conn *conn, uint64_t payload)
{
    buffer_printf(&script_of(conn)->log, "pong %llu\n", (unsigned long long)payload);
}

static void on_refused(struct h2_conn *conn, unsigned status, uint32_t code, const char *detail)
{
    buffer_printf(&script_of(conn)->log, "refused %u %s\n", status, h2_error_name(code));
}

static const struct h2_events events = {head_arena,  on_head,     on_data,   on_trailers, on_reset,
                                        on_writable, on_settings, on_goaway, on_ping_ack, on_refused};

/* --- what comes out --- */

/* The fields stand behind the frame that completes their block. */
static void note_block(struct script *script, struct h2_frame frame, struct slice payload)
{
    struct slice block;
    nghttp2_nv nv;
    int flags;

    buffer_add(&script->block, payload);
    if (!(frame.flags & H2_FLAG_END_HEADERS))
        return;
    block = buffer_slice(&script->block);
    while (block.len) {
        ssize_t n = nghttp2_hd_inflate_hd2(script->inflater, &nv, &flags, (const uint8_t *)block.ptr, block.len, 1);

        if (n < 0) {
            buffer_add_lit(&script->log, " BAD-HPACK");
            break;
        }
        block = slice_skip(block, (size_t)n);
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            buffer_printf(&script->log, " %.*s=%.*s%s", (int)nv.namelen, nv.name, (int)nv.valuelen, nv.value,
                          nv.flags & NGHTTP2_NV_FLAG_NO_INDEX ? "!" : "");
    }
    nghttp2_hd_inflate_end_headers(script->inflater);
    buffer_clear(&script->block);
}

static void note_settings(struct script *script, struct slice payload)
{
    for (size_t at = 0; at + 6 <= payload.len; at += 6)
        buffer_printf(&script->log, " %u=%u", h2_get_u16(payload.ptr + at), h2_get_u32(payload.ptr + at + 2));
}

static void note_frame(struct script *script, struct h2_frame frame, struct slice payload)
{
    struct buffer *log = &script->log;

    if (script->quiet && (frame.type == H2_FRAME_WINDOW_UPDATE || frame.type == H2_FRAME_PING))
        return;
    buffer_printf(log, "out %s %u", frame_names[frame.type], frame.stream_id);
    switch (frame.type) {
    case H2_FRAME_DATA:
        if (payload.len > 32)
            buffer_printf(log, " *%zu", payload.len);
        else if (payload.len)
            buffer_printf(log, " %.*s", SLICE_ARGS(payload));
        break;
    case H2_FRAME_HEADERS:
    case H2_FRAME_CONTINUATION:
        note_block(script, frame, payload);
        break;
    case H2_FRAME_RST_STREAM:
        buffer_printf(log, " %s", h2_error_name(h2_get_u32(payload.ptr)));
        break;
    case H2_FRAME_GOAWAY:
        buffer_printf(log, " %u %s", h2_get_u32(payload.ptr), h2_error_name(h2_get_u32(payload.ptr + 4)));
        break;
    case H2_FRAME_WINDOW_UPDATE:
        buffer_printf(log, " %u", h2_get_u32(payload.ptr));
        break;
    case H2_FRAME_SETTINGS:
        note_settings(script, payload);
        break;
    default:
        break;
    }
    if (frame.type <= H2_FRAME_HEADERS && frame.flags & H2_FLAG_END_STREAM)
        buffer_add_lit(log, " es");
    if ((frame.type == H2_FRAME_SETTINGS || frame.type == H2_FRAME_PING) && frame.flags & H2_FLAG_ACK)
        buffer_add_lit(log, " ack");
    buffer_add_lit(log, "\n");
}

/* Writes down the frames in `out` and takes them away. */
static void note_out(struct script *script)
{
    size_t len = script->out.len, at = 0;
    char *bytes = malloc(len + 1);

    chain_copy(&script->out, bytes, len);
    chain_clear(&script->out);
    if (len >= 24 && memcmp(bytes, H2_PREFACE, 24) == 0)
        at = 24;
    while (at + H2_FRAME_HEADER <= len) {
        struct h2_frame frame = h2_frame_get(bytes + at);

        assert(at + H2_FRAME_HEADER + frame.length <= len);
        note_frame(script, frame, slice_of(bytes + at + H2_FRAME_HEADER, frame.length));
        at += H2_FRAME_HEADER + frame.length;
    }
    assert(at == len);
    free(bytes);
}

/* --- words --- */

static struct slice word(struct slice *line)
{
    struct slice part = SLICE_NULL;

    while (line->len && slice_split(line, ' ', &part) && !part.len)
        ;
    return part;
}

static uint32_t number(struct slice text)
{
    uint64_t value = 0;

    if (slice_u64(text, UINT32_MAX, &value) == 0)
        return (uint32_t)value;
    for (uint32_t code = 0; code <= H2_HTTP_1_1_REQUIRED; code++)
        if (slice_eq(text, slice_str(h2_error_name(code))))
            return code;
    fprintf(stderr, "not a number: %.*s\n", SLICE_ARGS(text));
    abort();
}

static int hex(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c >= 'A' ? c - 'A' + 10 : c - '0';
}

/* ~ is a space, %XX any byte, *N at the front N letters. */
static void add_text(struct buffer *to, struct slice text)
{
    if (text.len > 1 && text.ptr[0] == '*' && text.ptr[1] >= '0' && text.ptr[1] <= '9') {
        for (uint32_t n = number(slice_skip(text, 1)); n; n--)
            buffer_add_byte(to, 'x');
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '%') {
            buffer_add_byte(to, (char)(hex(text.ptr[i + 1]) << 4 | hex(text.ptr[i + 2])));
            i += 2;
        } else {
            buffer_add_byte(to, text.ptr[i] == '~' ? ' ' : text.ptr[i]);
        }
    }
}

/* RFC 7541 section 5.1 and 5.2, without Huffman. */
static void add_string(struct buffer *to, struct slice text)
{
    struct buffer plain;
    size_t rest;

    buffer_init(&plain, 1 << 20);
    add_text(&plain, text);
    if (plain.len < 127) {
        buffer_add_byte(to, (char)plain.len);
    } else {
        buffer_add_byte(to, 127);
        for (rest = plain.len - 127; rest >= 128; rest /= 128)
            buffer_add_byte(to, (char)(rest % 128 + 128));
        buffer_add_byte(to, (char)rest);
    }
    buffer_add(to, buffer_slice(&plain));
    buffer_release(&plain);
}

static void add_literal(struct buffer *to, struct slice item)
{
    size_t equals = 1 + slice_find(slice_skip(item, 1), '=');
    bool index = item.ptr[0] == '+';

    buffer_add_byte(to, index ? 0x40 : item.ptr[0] == '!' ? 0x10 : 0x00);
    add_string(to, slice_skip(slice_take(item, equals), index || item.ptr[0] == '!'));
    add_string(to, slice_skip(item, equals + 1));
}

static void add_block(struct buffer *to, struct slice rest)
{
    struct slice item;

    while ((item = word(&rest)).len) {
        if (slice_eq(item, SLICE_LIT("GET")))
            add_block(to, SLICE_LIT(":method=GET :scheme=http :authority=a :path=/"));
        else if (slice_eq(item, SLICE_LIT("POST")))
            add_block(to, SLICE_LIT(":method=POST :scheme=http :authority=a :path=/"));
        else if (slice_eq(item, SLICE_LIT("200")))
            add_block(to, SLICE_LIT(":status=200"));
        else
            add_literal(to, item);
    }
}

static void add_u32(struct buffer *to, uint32_t value)
{
    char bytes[4];

    h2_set_u32(bytes, value);
    buffer_add(to, slice_of(bytes, 4));
}

static void add_settings(struct buffer *to, struct slice rest)
{
    struct slice item, id;
    char bytes[6];

    while ((item = word(&rest)).len) {
        slice_split(&item, '=', &id);
        h2_set_u16(bytes, number(id));
        h2_set_u32(bytes + 2, number(item));
        buffer_add(to, slice_of(bytes, 6));
    }
}

/* --- commands --- */

static void give(struct script *script, struct slice bytes)
{
    while (bytes.len && !script->conn.failed) {
        struct slice part = slice_take(bytes, script->cut ? script->cut : bytes.len);

        h2_input(&script->conn, part, script->now_ns);
        bytes = slice_skip(bytes, part.len);
    }
}

static uint8_t type_of(struct slice name)
{
    for (size_t type = 0; type < sizeof(frame_names) / sizeof(frame_names[0]); type++)
        if (slice_eq(name, slice_str(frame_names[type])))
            return (uint8_t)type;
    return (uint8_t)number(name);
}

static void add_payload(struct buffer *to, uint8_t type, struct slice rest)
{
    struct slice item;

    if (type == H2_FRAME_HEADERS || type == H2_FRAME_CONTINUATION)
        add_block(to, rest);
    else if (type == H2_FRAME_SETTINGS)
        add_settings(to, rest);
    else if (type == H2_FRAME_PRIORITY) {
        add_u32(to, number(word(&rest)));
        buffer_add_byte(to, 7);
    } else if (type == H2_FRAME_DATA || type > H2_FRAME_CONTINUATION)
        add_text(to, word(&rest));
    else
        while ((item = word(&rest)).len)
            add_u32(to, number(item));
}

static void in_frame(struct script *script, struct slice line)
{
    struct h2_frame frame = {.type = type_of(word(&line))};
    struct buffer payload, bytes;
    struct slice before, option;
    uint32_t pad = 0;
    char header[H2_FRAME_HEADER];

    buffer_init(&payload, 1 << 24);
    buffer_init(&bytes, 1 << 24);
    frame.stream_id = number(word(&line));
    for (before = line; (option = word(&line)).len; before = line) {
        if (slice_eq(option, SLICE_LIT("es")) || slice_eq(option, SLICE_LIT("ack")))
            frame.flags |= H2_FLAG_END_STREAM;
        else if (slice_eq(option, SLICE_LIT("eh")))
            frame.flags |= H2_FLAG_END_HEADERS;
        else if (slice_starts(option, SLICE_LIT("pad="))) {
            frame.flags |= H2_FLAG_PADDED;
            pad = number(slice_skip(option, 4));
            buffer_add_byte(&payload, (char)pad);
        } else if (slice_starts(option, SLICE_LIT("prio="))) {
            frame.flags |= H2_FLAG_PRIORITY;
            add_u32(&payload, number(slice_skip(option, 5)));
            buffer_add_byte(&payload, 7);
        } else
            break;
    }
    add_payload(&payload, frame.type, before);
    for (; pad; pad--)
        buffer_add_byte(&payload, '0');
    frame.length = (uint32_t)payload.len;
    h2_frame_set(header, frame);
    buffer_add(&bytes, slice_of(header, sizeof(header)));
    buffer_add(&bytes, buffer_slice(&payload));
    give(script, buffer_slice(&bytes));
    buffer_release(&bytes);
    buffer_release(&payload);
}

static void in_raw(struct script *script, struct slice line)
{
    struct buffer bytes;

    buffer_init(&bytes, 1 << 20);
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] != ' ') {
            buffer_add_byte(&bytes, (char)(hex(line.ptr[i]) << 4 | hex(line.ptr[i + 1])));
            i++;
        }
    give(script, buffer_slice(&bytes));
    buffer_release(&bytes);
}

static unsigned to_fields(struct script *script, struct slice line, struct http_field *fields, bool *ret_end)
{
    struct slice item, name;
    unsigned count = 0;

    *ret_end = false;
    while ((item = word(&line)).len) {
        struct buffer value;

        if (slice_eq(item, SLICE_LIT("end"))) {
            *ret_end = true;
            continue;
        }
        slice_split(&item, '=', &name);
        buffer_init(&value, 1 << 20);
        add_text(&value, item);
        fields[count++] = (struct http_field){.name = name,
                                              .value = arena_dup(&script->arena, buffer_slice(&value)),
                                              .token = (uint8_t)http_token_of(name)};
        buffer_release(&value);
    }
    return count;
}

static void note_result(struct script *script, const char *what, long result)
{
    if (result < 0)
        buffer_printf(&script->log, "%s: %s\n", what, strerrorname_np((int)-result));
    else if (result > 0)
        buffer_printf(&script->log, "%s: %ld\n", what, result);
}

static void do_request(struct script *script, struct slice line)
{
    struct http_field fields[200];
    struct http_head head = {.scheme = SLICE_LIT("http"), .authority = SLICE_LIT("a"), .fields = fields};
    struct h2_stream *stream;
    bool end;
    int r;

    head.method = word(&line);
    head.path = word(&line);
    head.count = (uint16_t)to_fields(script, line, fields, &end);
    r = h2_request(&script->conn, &head, end, NULL, &stream);
    note_result(script, "request", r);
    if (r == 0)
        script->streams[stream->id / 2 % 64] = stream;
}

static void do_data(struct script *script, struct h2_stream *stream, struct slice line)
{
    struct buffer text;

    buffer_init(&text, 1 << 24);
    add_text(&text, word(&line));
    if (buffer_slice(&text).len == 1 && text.data[0] == '-')
        buffer_clear(&text);
    note_result(script, "taken", h2_data(stream, buffer_slice(&text), slice_eq(word(&line), SLICE_LIT("end"))));
    buffer_release(&text);
}

static void do_on_stream(struct script *script, struct slice what, struct slice line)
{
    uint32_t id = number(word(&line));
    struct h2_stream *stream = script->streams[id / 2 % 64];
    struct http_field fields[200];
    struct http_head head = {.fields = fields};
    unsigned count;
    bool end;

    assert(stream && stream->id == id);
    if (slice_eq(what, SLICE_LIT("respond"))) {
        head.status = (uint16_t)number(word(&line));
        head.count = (uint16_t)to_fields(script, line, fields, &end);
        note_result(script, "respond", h2_respond(stream, &head, end));
    } else if (slice_eq(what, SLICE_LIT("trailers"))) {
        count = to_fields(script, line, fields, &end);
        note_result(script, "trailers", h2_trailers(stream, fields, count));
    } else if (slice_eq(what, SLICE_LIT("data"))) {
        do_data(script, stream, line);
    } else if (slice_eq(what, SLICE_LIT("reset"))) {
        h2_reset(stream, number(word(&line)));
    } else if (slice_eq(what, SLICE_LIT("consume"))) {
        h2_consume(stream, number(word(&line)));
    } else if (slice_eq(what, SLICE_LIT("keep"))) {
        h2_keep(stream, number(word(&line)));
    } else if (slice_eq(what, SLICE_LIT("blocked"))) {
        buffer_printf(&script->log, "blocked %d\n", h2_blocked(stream));
    } else if (slice_eq(what, SLICE_LIT("release"))) {
        h2_stream_release(stream);
        script->streams[id / 2 % 64] = NULL;
    } else {
        abort();
    }
}

static void do_line(struct script *script, struct slice line)
{
    struct slice what = word(&line);

    if (slice_eq(what, SLICE_LIT("request")))
        do_request(script, line);
    else if (slice_eq(what, SLICE_LIT("ping")))
        note_result(script, "ping", h2_ping(&script->conn, 77));
    else if (slice_eq(what, SLICE_LIT("notice")))
        note_result(script, "notice", h2_goaway_notice(&script->conn));
    else if (slice_eq(what, SLICE_LIT("goaway")))
        note_result(script, "goaway", h2_goaway(&script->conn, H2_NO_ERROR));
    else if (slice_eq(what, SLICE_LIT("close")))
        h2_close(&script->conn);
    else if (slice_eq(what, SLICE_LIT("trim")))
        h2_trim(&script->conn);
    else if (slice_eq(what, SLICE_LIT("drain"))) {
        note_out(script);
        h2_out_drained(&script->conn);
    } else if (slice_eq(what, SLICE_LIT("time")))
        script->now_ns += number(word(&line)) * INT64_C(1000000000);
    else
        do_on_stream(script, what, line);
}

static void run_line(struct script *script, struct slice line)
{
    struct slice what = word(&line);

    buffer_clear(&script->data);
    if (slice_eq(what, SLICE_LIT("in")))
        in_frame(script, line);
    else if (slice_eq(what, SLICE_LIT("raw")))
        in_raw(script, line);
    else if (slice_eq(what, SLICE_LIT("do")))
        do_line(script, line);
    else if (what.len)
        abort();
}

const char *script_run(struct script *script, const char *lines)
{
    struct slice rest = slice_str(lines), line;
    bool failed = script->conn.failed != 0;

    buffer_clear(&script->log);
    while (slice_split(&rest, '\n', &line)) {
        run_line(script, line);
        if (!script->deaf)
            note_out(script);
    }
    if (script->conn.failed && script->conn.failed != -EPIPE && !failed)
        buffer_printf(&script->log, "failed %s %s\n", h2_error_name(script->conn.error), script->conn.detail);
    buffer_add_byte(&script->log, '\0');
    assert(!buffer_error(&script->log));
    return script->log.data;
}

void script_init(struct script *script, enum h2_role role)
{
    *script = (struct script){0};
    page_pool_init(&script->pages, 4, 10000);
    chain_init(&script->out, &script->pages);
    arena_init(&script->arena, 64 << 20);
    buffer_init(&script->log, 16 << 20);
    buffer_init(&script->data, 1 << 24);
    buffer_init(&script->block, 1 << 24);
    nghttp2_hd_inflate_new(&script->inflater);
    if (h2_init(&script->conn, role, &script->config, &events, script, &script->out) < 0)
        abort();
    if (role == H2_SERVER)
        h2_input(&script->conn, SLICE_LIT(H2_PREFACE), 0);
    script_run(script, "in SETTINGS 0\nin SETTINGS 0 ack");
}

void script_release(struct script *script)
{
    h2_close(&script->conn);
    h2_release(&script->conn);
    nghttp2_hd_inflate_del(script->inflater);
    chain_clear(&script->out);
    page_pool_release(&script->pages);
    arena_release(&script->arena);
    buffer_release(&script->log);
    buffer_release(&script->data);
    buffer_release(&script->block);
}
