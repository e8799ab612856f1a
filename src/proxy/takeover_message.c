#include "proxy/takeover_message.h"

#include <errno.h>
#include <string.h>

#include "base/slice.h"

static const char magic[8] = {'C', 'L', 'K', 'D', 'T', 'A', 'K', 'E'};

enum { HEAD = 16, ITEM = 20, PORTS = 65536 / 8 };

static void put16(char *to, uint16_t value)
{
    memcpy(to, &value, sizeof(value));
}

static uint16_t get16(const char *from)
{
    uint16_t value;

    memcpy(&value, from, sizeof(value));
    return value;
}

static void put_item(char *to, const struct listening *item)
{
    to[0] = (char)item->role;
    to[1] = (char)item->addr.ip.version;
    put16(to + 2, item->addr.port);
    memcpy(to + 4, item->addr.ip.bytes, 16);
}

static int get_item(const char *from, struct listening *item)
{
    *item = (struct listening){.fd = -1, .role = (enum listener_role)(unsigned char)from[0]};
    item->addr.ip.version = (uint8_t)from[1];
    item->addr.port = get16(from + 2);
    memcpy(item->addr.ip.bytes, from + 4, 16);
    return (unsigned)item->role < LISTENER_ROLES && (item->addr.ip.version == 4 || item->addr.ip.version == 6) ? 0 : -EPROTO;
}

static void put_ports(char *to, const struct app_ports *ports)
{
    memset(to, 0, PORTS);
    for (unsigned port = 0; port < 65536; port++)
        if (app_ports_have(ports, (uint16_t)port))
            to[port / 8] = (char)(to[port / 8] | 1 << port % 8);
}

static void get_ports(const char *from, struct app_ports *ports)
{
    for (unsigned port = 0; port < 65536; port++)
        if (from[port / 8] & 1 << port % 8)
            app_ports_use(ports, (uint16_t)port);
}

size_t takeover_encode(const struct takeover_message *message, const struct app_ports *ports, char out[TAKEOVER_MESSAGE_MAX])
{
    char *at = out + HEAD;
    unsigned count = message->kind == TAKEOVER_LISTENERS ? message->listeners.count : 0;

    memset(out, 0, HEAD);
    memcpy(out, magic, sizeof(magic));
    put16(out + 8, TAKEOVER_VERSION);
    put16(out + 10, (uint16_t)message->kind);
    put16(out + 12, (uint16_t)count);
    for (unsigned i = 0; i < count; i++, at += ITEM)
        put_item(at, &message->listeners.items[i]);
    if (message->kind == TAKEOVER_LISTENERS) {
        put_ports(at, ports);
        at += PORTS;
    } else if (message->kind == TAKEOVER_REFUSED) {
        size_t len = strnlen(message->text, TAKEOVER_TEXT_MAX - 1);

        memcpy(at, message->text, len);
        at += len;
    }
    return (size_t)(at - out);
}

static int get_listeners(struct slice rest, unsigned count, struct listeners *listeners, struct app_ports *ports)
{
    if (count > LISTENINGS_MAX || rest.len != (size_t)count * ITEM + PORTS)
        return -EPROTO;
    for (unsigned i = 0; i < count; i++)
        if (get_item(rest.ptr + (size_t)i * ITEM, &listeners->items[i]) < 0)
            return -EPROTO;
    listeners->count = count;
    get_ports(rest.ptr + (size_t)count * ITEM, ports);
    return 0;
}

int takeover_decode(struct slice bytes, struct takeover_message *ret_message, struct app_ports *ports)
{
    struct slice rest;

    memset(ret_message, 0, sizeof(*ret_message));
    if (bytes.len < HEAD || memcmp(bytes.ptr, magic, sizeof(magic)) != 0)
        return -EPROTO;
    if (get16(bytes.ptr + 8) != TAKEOVER_VERSION)
        return -EPROTONOSUPPORT;
    rest = slice_skip(bytes, HEAD);
    ret_message->kind = (enum takeover_kind)get16(bytes.ptr + 10);
    switch (ret_message->kind) {
    case TAKEOVER_LISTENERS:
        return get_listeners(rest, get16(bytes.ptr + 12), &ret_message->listeners, ports);
    case TAKEOVER_REFUSED:
        if (rest.len >= TAKEOVER_TEXT_MAX || slice_find(rest, '\0') < rest.len)
            return -EPROTO;
        memcpy(ret_message->text, rest.ptr, rest.len);
        return 0;
    case TAKEOVER_READY:
    case TAKEOVER_GONE:
        return rest.len ? -EPROTO : 0;
    }
    return -EPROTO;
}
