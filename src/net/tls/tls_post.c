/*
 * What arrives beside application data once the handshake is done: alerts, and
 * the handshake messages that may come later (RFC 8446 sections 4.6 and 6).
 */
#include <errno.h>

#include "base/limits.h"
#include "net/tls/tls_internal.h"

enum { NEW_SESSION_TICKET = 4, KEY_UPDATE = 24 };

int tls_seal_record(struct tls *tls, uint8_t type, const struct iovec *from, int count, size_t len)
{
    size_t room;
    char *to = chain_room(&tls->out, len + TLS_OVERHEAD, &room);
    int r;

    if (!to)
        return -ENOMEM;
    r = tls_seal(&tls->tx, type, from, count, len, (uint8_t *)to);
    chain_grew(&tls->out, r < 0 ? 0 : len + TLS_OVERHEAD);
    return r;
}

static int seal_bytes(struct tls *tls, uint8_t type, const uint8_t *bytes, size_t len)
{
    struct iovec iov = {(void *)bytes, len};

    return tls_seal_record(tls, type, &iov, 1, len);
}

int tls_send_alert(struct tls *tls, uint8_t description)
{
    const uint8_t alert[2] = {description == ALERT_CLOSE_NOTIFY ? 1 : 2, description};

    return seal_bytes(tls, TLS_ALERT, alert, sizeof(alert));
}

int tls_abort(struct tls *tls, uint8_t description, int error)
{
    if (!tls->error && !tls->write_ended && tls_send_alert(tls, description) == 0)
        (void)tls_flush_out(tls);
    tls->write_ended = true;
    return tls_fail(tls, error);
}

int tls_rekey(struct tls *tls)
{
    static const uint8_t message[5] = {KEY_UPDATE, 0, 0, 1, 0}; /* update_not_requested */
    int r = seal_bytes(tls, TLS_HANDSHAKE, message, sizeof(message));

    return r < 0 ? r : tls_keys_update(&tls->tx);
}

static int take_alert(struct tls *tls, const uint8_t *bytes, size_t len)
{
    char text[64];

    if (len != 2)
        return tls_abort(tls, ALERT_DECODE_ERROR, -EBADMSG);
    if (bytes[1] == ALERT_CLOSE_NOTIFY) {
        tls->read_ended = true;
        chain_clear(&tls->in); /* nothing counts behind it */
        return 1;
    }
    if (bytes[1] == ALERT_USER_CANCELED)
        return 0; /* close_notify follows */
    snprintf(text, sizeof(text), "the peer sent alert %d (%s)", bytes[1], SSL_alert_desc_string_long(bytes[1]));
    tls->failure = TLS_PEER_REFUSED;
    tls->failure_text = slice_dup(slice_str(text));
    tls->write_ended = true;
    return tls_fail(tls, -EPROTO);
}

static int take_key_update(struct tls *tls, uint8_t request, bool last)
{
    if (request > 1)
        return tls_abort(tls, ALERT_ILLEGAL_PARAMETER, -EBADMSG);
    if (!last) /* the rest of the record would be under keys that are no more */
        return tls_abort(tls, ALERT_UNEXPECTED_MESSAGE, -EBADMSG);
    if (tls_keys_update(&tls->rx) < 0)
        return tls_abort(tls, ALERT_INTERNAL_ERROR, -ENOMEM);
    if (request && !tls->write_ended) {
        if (tls_rekey(tls) < 0)
            return tls_abort(tls, ALERT_INTERNAL_ERROR, -ENOMEM);
        (void)tls_flush_out(tls); /* nobody may be about to write */
    }
    return 0;
}

/* The header of a message is whole: may it come now, and as long as it says? */
static int begin_message(struct tls *tls)
{
    const uint8_t *head = tls->message_head;

    tls->message_left = (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    if (head[0] == KEY_UPDATE)
        return tls->message_left == 1 ? 0 : tls_abort(tls, ALERT_DECODE_ERROR, -EBADMSG);
    if (head[0] != NEW_SESSION_TICKET || tls->server)
        return tls_abort(tls, ALERT_UNEXPECTED_MESSAGE, -EBADMSG);
    /* Tickets are not used. */
    return tls->message_left <= LIMIT_TLS_HANDSHAKE ? 0 : tls_abort(tls, ALERT_DECODE_ERROR, -EBADMSG);
}

static int take_handshake(struct tls *tls, const uint8_t *at, size_t len)
{
    int r = 0;

    if (len == 0)
        return tls_abort(tls, ALERT_UNEXPECTED_MESSAGE, -EBADMSG);
    while (len && r == 0) {
        size_t part = 1;

        if (tls->head_len < sizeof(tls->message_head)) {
            tls->message_head[tls->head_len++] = *at;
            if (tls->head_len == sizeof(tls->message_head))
                r = begin_message(tls);
        } else if (tls->message_head[0] == KEY_UPDATE) {
            r = take_key_update(tls, *at, len == 1);
            tls->message_left = 0;
        } else {
            part = tls->message_left < len ? tls->message_left : len;
            tls->message_left -= (uint32_t)part;
        }
        if (tls->head_len == sizeof(tls->message_head) && tls->message_left == 0)
            tls->head_len = 0;
        at += part;
        len -= part;
    }
    return r;
}

int tls_take_control(struct tls *tls, uint8_t type, const uint8_t *bytes, size_t len)
{
    switch (type) {
    case TLS_ALERT:
        return take_alert(tls, bytes, len);
    case TLS_HANDSHAKE:
        return take_handshake(tls, bytes, len);
    default:
        return tls_abort(tls, ALERT_UNEXPECTED_MESSAGE, -EBADMSG);
    }
}
