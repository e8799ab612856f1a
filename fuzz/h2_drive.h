/*
 * What the two fuzzers of the HTTP/2 engine share. The input is a sequence of frames, as on the wire. A frame of
 * type 0xf0 and above is not for the engine: it is something that the owner does on the frame's stream, with the flags
 * as its choice, and its payload as data to send. The first byte of all chooses the size of the pieces that the engine
 * gets, and whether the peer reads what we send.
 *
 * Checked on the way: all that the engine sends is whole frames, and no byte of the connection's window is lost.
 */
#pragma once

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "codec/h2/h2.h"
#include "codec/h2/h2_frame.h"

enum { SLOTS = 32 };

enum action {
    DO_RESPOND = 0xf0,
    DO_DATA,
    DO_TRAILERS,
    DO_RESET,
    DO_CONSUME,
    DO_RELEASE,
    DO_TRIM,
    DO_NOTICE,
    DO_GOAWAY,
    DO_REQUEST,
    DO_TIME,
    DO_DRAIN
};

struct drive {
    struct h2_conn conn;
    struct h2_config config;
    struct page_pool pages;
    struct chain out;
    struct arena arena;
    struct h2_stream *streams[SLOTS];
    int64_t now_ns;
    size_t piece;
    bool deaf, hold;
};

static struct h2_stream **slot_of(struct drive *drive, uint32_t id)
{
    return &drive->streams[id / 2 % SLOTS];
}

static struct arena *drive_head_arena(struct h2_stream *stream)
{
    struct drive *drive = stream->conn->owner;
    struct h2_stream **slot = slot_of(drive, stream->id);

    if (*slot && *slot != stream)
        return NULL;
    *slot = stream;
    return &drive->arena;
}

static void look_at(struct slice bytes)
{
    unsigned char sum = 0;

    for (size_t i = 0; i < bytes.len; i++)
        sum = (unsigned char)(sum + (unsigned char)bytes.ptr[i]);
    if (bytes.len)
        assert(sum == sum);
}

static void look_at_fields(const struct http_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        look_at(fields[i].name);
        look_at(fields[i].value);
        assert(memchr(fields[i].value.ptr, '\n', fields[i].value.len) == NULL || !fields[i].value.len);
        assert(fields[i].name.len && fields[i].name.ptr[0] != ':');
    }
}

static void drive_on_head(struct h2_stream *stream, struct http_head *head, bool end)
{
    assert(head->count <= head->room);
    if (stream->conn->role == H2_SERVER) {
        assert(head->method.len && !head->status);
        look_at(head->method);
        look_at(head->scheme);
        look_at(head->authority);
        look_at(head->path);
    } else {
        assert(head->status >= 100 && head->status != 101 && !(end && head->status < 200));
    }
    look_at_fields(head->fields, head->count);
}

static void drive_on_data(struct h2_stream *stream, struct slice bytes, bool end)
{
    struct drive *drive = stream->conn->owner;

    assert(bytes.len || end);
    look_at(bytes);
    if (!drive->hold)
        h2_consume(stream, bytes.len);
}

static void drive_on_trailers(struct h2_stream *stream, const struct http_field *fields, unsigned count)
{
    look_at_fields(fields, count);
}

static void drive_release(struct drive *drive, struct h2_stream *stream)
{
    *slot_of(drive, stream->id) = NULL;
    h2_stream_release(stream);
}

static void drive_on_reset(struct h2_stream *stream, struct h2_reset_info why)
{
    assert(h2_closed(stream));
    if (stream->id & 2)
        drive_release(stream->conn->owner, stream);
}

static void drive_on_writable(struct h2_stream *stream)
{
    h2_data(stream, SLICE_LIT("more"), stream->id & 4);
}

static const struct h2_events drive_events = {.head_arena = drive_head_arena,
                                              .on_head = drive_on_head,
                                              .on_data = drive_on_data,
                                              .on_trailers = drive_on_trailers,
                                              .on_reset = drive_on_reset,
                                              .on_writable = drive_on_writable};

/* Takes the frames out and checks their form. */
static void drive_drain(struct drive *drive)
{
    size_t len = drive->out.len, at = 0;
    char *bytes = malloc(len + 1);

    chain_copy(&drive->out, bytes, len);
    chain_clear(&drive->out);
    if (len >= 24 && memcmp(bytes, H2_PREFACE, 24) == 0)
        at = 24;
    while (at < len) {
        struct h2_frame frame;

        assert(len - at >= H2_FRAME_HEADER);
        frame = h2_frame_get(bytes + at);
        assert(frame.type <= H2_FRAME_CONTINUATION && frame.length <= len - at - H2_FRAME_HEADER);
        at += H2_FRAME_HEADER + frame.length;
    }
    free(bytes);
    h2_out_drained(&drive->conn);
}

static void drive_check_window(const struct drive *drive)
{
    const struct h2_conn *conn = &drive->conn;
    int64_t whole = conn->recv_window + (int64_t)conn->uncredited;

    if (conn->failed)
        return;
    for (unsigned i = 0; i < SLOTS; i++)
        if (drive->streams[i])
            whole += drive->streams[i]->held;
    if (conn->reading == H2_READ_PAD)
        whole += conn->frame.length;
    else if (conn->reading == H2_READ_DATA)
        whole += conn->left;
    assert(whole == LIMIT_H2_CONNECTION_WINDOW);
    assert(conn->recv_window >= 0);
}

static void drive_request(struct drive *drive, uint8_t choice, struct slice payload)
{
    static const char *const methods[] = {"GET", "POST", "HEAD", "CONNECT"};
    struct http_field fields[] = {{SLICE_LIT("X-Any"), payload, HTTP_TOKEN_OTHER, choice & 1},
                                  {SLICE_LIT("connection"), slice_take(payload, 10), HTTP_TOKEN_CONNECTION, 0}};
    struct http_head head = {.method = slice_str(methods[choice & 3]),
                             .authority = SLICE_LIT("a"),
                             .path = SLICE_LIT("/"),
                             .fields = fields,
                             .count = choice & 4 ? 2 : 0};
    struct h2_stream *stream;

    if (*slot_of(drive, drive->conn.next_id) || drive->conn.role == H2_SERVER)
        return;
    if (h2_request(&drive->conn, &head, choice & 8, NULL, &stream) == 0)
        *slot_of(drive, stream->id) = stream;
}

static void drive_on_stream(struct drive *drive, enum action action, uint8_t choice, struct h2_stream *stream,
                            struct slice payload)
{
    struct http_field fields[] = {{SLICE_LIT("Content-Type"), slice_take(payload, 100), HTTP_TOKEN_CONTENT_TYPE, 0}};
    struct http_head head = {.status = choice & 2 ? 200 : 103, .fields = fields, .count = choice & 4 ? 1 : 0};

    switch (action) {
    case DO_RESPOND:
        if (drive->conn.role == H2_SERVER)
            h2_respond(stream, &head, choice & 1 && choice & 2);
        break;
    case DO_DATA:
        h2_data(stream, payload, choice & 1);
        break;
    case DO_TRAILERS:
        h2_trailers(stream, fields, choice & 1);
        break;
    case DO_RESET:
        h2_reset(stream, choice);
        break;
    case DO_CONSUME:
        h2_consume(stream, choice < 128 ? stream->held : stream->held / 2);
        break;
    default:
        drive_release(drive, stream);
    }
}

static void drive_act(struct drive *drive, struct h2_frame frame, struct slice payload)
{
    struct h2_stream *stream = *slot_of(drive, frame.stream_id);

    switch ((enum action)frame.type) {
    case DO_TRIM:
        h2_trim(&drive->conn);
        break;
    case DO_NOTICE:
        h2_goaway_notice(&drive->conn);
        break;
    case DO_GOAWAY:
        h2_goaway(&drive->conn, H2_NO_ERROR);
        break;
    case DO_REQUEST:
        drive_request(drive, frame.flags, payload);
        break;
    case DO_TIME:
        drive->now_ns += frame.flags * INT64_C(1000000000);
        break;
    case DO_DRAIN:
        drive_drain(drive);
        break;
    default:
        if (stream)
            drive_on_stream(drive, (enum action)frame.type, frame.flags, stream, payload);
    }
}

static void drive_feed(struct drive *drive, struct slice bytes)
{
    while (bytes.len) {
        struct slice part = slice_take(bytes, drive->piece);

        h2_input(&drive->conn, part, drive->now_ns);
        bytes = slice_skip(bytes, part.len);
        drive_check_window(drive);
    }
    if (!drive->deaf)
        drive_drain(drive);
}

static void drive_frames(struct drive *drive, struct slice input)
{
    while (input.len >= H2_FRAME_HEADER) {
        struct h2_frame frame = h2_frame_get(input.ptr);
        struct slice whole = slice_take(input, (size_t)frame.length + H2_FRAME_HEADER);

        if (frame.type >= DO_RESPOND)
            drive_act(drive, frame, slice_skip(whole, H2_FRAME_HEADER));
        else
            drive_feed(drive, whole);
        input = slice_skip(input, whole.len);
    }
    drive_feed(drive, input);
}

static void drive_run(enum h2_role role, struct slice input)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 3, 9, 10, 100, 1000, SIZE_MAX};
    struct drive drive = {.config = {.max_streams = 8, .max_header_list = 4096}};
    uint8_t choice = (uint8_t)input.ptr[0];

    drive.piece = pieces[choice & 7];
    drive.deaf = choice & 8;
    drive.hold = choice & 16;
    page_pool_init(&drive.pages, 4, 64);
    chain_init(&drive.out, &drive.pages);
    arena_init(&drive.arena, 1 << 20);
    if (h2_init(&drive.conn, role, &drive.config, &drive_events, &drive, &drive.out) < 0)
        abort();
    if (role == H2_SERVER && !(choice & 32))
        h2_input(&drive.conn, SLICE_LIT(H2_PREFACE), 0);
    if (!(choice & 64))
        h2_input(&drive.conn, SLICE_LIT("\0\0\0\4\0\0\0\0\0"), 0);
    drive_frames(&drive, slice_skip(input, 1));
    if (choice & 128)
        h2_close(&drive.conn);
    h2_release(&drive.conn);
    chain_clear(&drive.out);
    page_pool_release(&drive.pages);
    arena_release(&drive.arena);
}
