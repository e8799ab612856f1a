#include "codec/proc_tcp.h"

enum { STATE_LISTEN = 0x0a };

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A whole word of hexadecimal digits. */
static int read_hex(struct slice word, size_t digits, unsigned *ret_value)
{
    unsigned value = 0;

    if (word.len != digits)
        return -1;
    for (size_t i = 0; i < digits; i++) {
        int digit = hex(word.ptr[i]);

        if (digit < 0)
            return -1;
        value = value << 4 | (unsigned)digit;
    }
    *ret_value = value;
    return 0;
}

static struct slice next_word(struct slice *rest)
{
    struct slice word;

    while (rest->len && rest->ptr[0] == ' ')
        *rest = slice_skip(*rest, 1);
    word = slice_take(*rest, slice_find(*rest, ' '));
    *rest = slice_skip(*rest, word.len);
    return word;
}

enum proc_tcp proc_tcp_line(struct slice line, uint16_t *ret_port)
{
    struct slice rest = line, local;
    unsigned port, state;

    (void)next_word(&rest); /* the number of the line */
    local = next_word(&rest);
    (void)next_word(&rest); /* the remote side */
    if (read_hex(slice_skip(local, slice_find(local, ':') + 1), 4, &port) < 0 || read_hex(next_word(&rest), 2, &state) < 0)
        return PROC_TCP_NONE;
    *ret_port = (uint16_t)port;
    return state == STATE_LISTEN ? PROC_TCP_LISTENS : PROC_TCP_OTHER;
}
