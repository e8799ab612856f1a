#include "codec/websocket.h"

#include <errno.h>

enum state {
    BASE,    /* the first two bytes of a header */
    LENGTH,  /* those of a long length */
    DATA,    /* `left` bytes of a message */
    CONTROL, /* `left` bytes of a control frame */
    FAILED,
};

static ssize_t refuse(struct websocket_reader *reader, const char *why)
{
    reader->state = FAILED;
    reader->refusal = why;
    return -EPROTO;
}

static bool is_control(uint8_t opcode)
{
    return opcode & 8;
}

static const char *wrong_in_base(const struct websocket_reader *reader, uint8_t first, uint8_t second)
{
    uint8_t opcode = first & 0x0f;

    if (first & 0x70)
        return "reserved bits are set, and no extension was agreed on";
    if (second & 0x80)
        return "a frame is masked, as no server's are";
    if (opcode > WEBSOCKET_PONG || (opcode > WEBSOCKET_BINARY && opcode < WEBSOCKET_CLOSE))
        return "a frame is of no known kind";
    if (is_control(opcode))
        return !(first & 0x80) || second > WEBSOCKET_CONTROL_MAX ? "a control frame is long, or in pieces" : NULL;
    if ((opcode == WEBSOCKET_CONTINUATION) != reader->in_message)
        return reader->in_message ? "a message begins before the last one ended" : "a message goes on that never began";
    return NULL;
}

static void begin_payload(struct websocket_reader *reader, uint64_t len)
{
    reader->left = len;
    reader->held = 0;
    reader->state = is_control(reader->opcode) ? CONTROL : DATA;
    if (reader->state == DATA && reader->opcode != WEBSOCKET_CONTINUATION) {
        reader->in_message = true;
        reader->begun = false;
    }
}

static void tell_control(struct websocket_reader *reader, struct websocket_event *event)
{
    reader->state = BASE;
    *event = (struct websocket_event){WEBSOCKET_CONTROL, reader->opcode, .bytes = slice_of(reader->bytes, reader->held)};
    reader->held = 0;
}

static void tell_data(struct websocket_reader *reader, struct slice bytes, struct websocket_event *event)
{
    *event = (struct websocket_event){WEBSOCKET_DATA, WEBSOCKET_BINARY, !reader->begun, reader->final && reader->left == 0, bytes};
    reader->begun = true;
    if (reader->left == 0)
        reader->state = BASE;
    if (event->ends)
        reader->in_message = false;
}

/* A frame without payload ends with its header. */
static void end_header(struct websocket_reader *reader, struct websocket_event *event)
{
    if (reader->left == 0 && reader->state == CONTROL)
        tell_control(reader, event);
    else if (reader->left == 0)
        tell_data(reader, SLICE_NULL, event);
}

static ssize_t end_base(struct websocket_reader *reader, struct websocket_event *event)
{
    uint8_t first = (uint8_t)reader->bytes[0], second = (uint8_t)reader->bytes[1];
    const char *wrong = wrong_in_base(reader, first, second);

    if (wrong)
        return refuse(reader, wrong);
    reader->opcode = first & 0x0f;
    reader->final = first & 0x80;
    reader->held = 0;
    if (second >= 126) {
        reader->state = LENGTH;
        reader->left = second == 126 ? 2 : 8;
        return 0;
    }
    begin_payload(reader, second);
    end_header(reader, event);
    return 0;
}

static ssize_t end_length(struct websocket_reader *reader, struct websocket_event *event)
{
    uint64_t len = 0;

    for (uint8_t i = 0; i < reader->held; i++)
        len = len << 8 | (uint8_t)reader->bytes[i];
    if (len < (reader->held == 2 ? 126 : 65536) || len > INT64_MAX)
        return refuse(reader, "a length is not in its shortest form, or too large");
    begin_payload(reader, len);
    end_header(reader, event);
    return 0;
}

/* Collects until `want` bytes are held. */
static size_t hold(struct websocket_reader *reader, struct slice in, uint64_t want)
{
    struct slice taken = slice_take(in, (size_t)want);

    memcpy(reader->bytes + reader->held, taken.ptr, taken.len);
    reader->held += (uint8_t)taken.len;
    return taken.len;
}

ssize_t websocket_feed(struct websocket_reader *reader, struct slice in, struct websocket_event *ret_event)
{
    size_t n = 0;
    ssize_t r = 0;

    *ret_event = (struct websocket_event){WEBSOCKET_MORE};
    if (reader->state == FAILED)
        return -EPROTO;
    if (in.len == 0)
        return 0;
    switch ((enum state)reader->state) {
    case BASE:
        n = hold(reader, in, 2u - reader->held);
        r = reader->held == 2 ? end_base(reader, ret_event) : 0;
        break;
    case LENGTH:
        n = hold(reader, in, reader->left);
        reader->left -= n;
        r = reader->left == 0 ? end_length(reader, ret_event) : 0;
        break;
    case CONTROL:
        n = hold(reader, in, reader->left);
        reader->left -= n;
        if (reader->left == 0)
            tell_control(reader, ret_event);
        break;
    case DATA:
        n = in.len < reader->left ? in.len : (size_t)reader->left;
        reader->left -= n;
        tell_data(reader, slice_take(in, n), ret_event);
        break;
    case FAILED:
        break;
    }
    return r < 0 ? r : (ssize_t)n;
}

size_t websocket_header(uint8_t opcode, uint64_t len, const uint8_t mask[4], char out[WEBSOCKET_HEADER_MAX])
{
    size_t n = 2, size = len > 65535 ? 8 : len > WEBSOCKET_CONTROL_MAX ? 2 : 0;

    out[0] = (char)(0x80 | opcode);
    out[1] = (char)(0x80 | (size == 8 ? 127 : size == 2 ? 126 : len));
    for (size_t i = size; i > 0; i--)
        out[n++] = (char)(len >> (8 * (i - 1)));
    memcpy(out + n, mask, 4);
    return n + 4;
}

void websocket_mask(const uint8_t mask[4], uint64_t offset, char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(bytes[i] ^ mask[(offset + i) % 4]);
}
