#include "netfilter/lists.h"

#include <stdlib.h>

#include "base/limits.h"

static const struct {
    const char *expected;
    size_t size;
} kinds[] = {
    [LIST_PORTS] = {"a port (1 to 65535)", sizeof(uint16_t)},
    [LIST_RANGES] = {"a port (0 to 65535) or a range such as 8000-8010", sizeof(struct port_range)},
    [LIST_NETWORKS] = {"a network such as 10.0.0.0/8", sizeof(struct cidr)},
};

/* A place at the end of the array, or NULL after having complained. */
static void *grow(struct list_reading *reading)
{
    size_t size = kinds[reading->kind].size;
    void *items;

    if (reading->count == LIMIT_PORT_LIST) {
        if (buffer_error(reading->problems) == 0)
            buffer_printf(reading->problems, "%s: more than %d entries\n", reading->name, LIMIT_PORT_LIST);
        return NULL;
    }
    items = realloc(reading->items, (reading->count + 1) * size);
    if (!items) {
        buffer_printf(reading->problems, "%s: no memory left\n", reading->name);
        return NULL;
    }
    reading->items = items;
    return (char *)items + reading->count++ * size;
}

static bool add_range(struct list_reading *reading, struct slice item)
{
    struct port_range range, *place;

    if (port_range_parse(item, &range) < 0)
        return false;
    if ((place = grow(reading)) != NULL)
        *place = range;
    return true;
}

static bool add_port(struct list_reading *reading, struct slice item)
{
    struct port_range range;
    uint16_t *place;

    if (port_range_parse(item, &range) < 0 || range.first != range.last || range.first == 0)
        return false;
    if ((place = grow(reading)) != NULL)
        *place = range.first;
    return true;
}

static bool add_network(struct list_reading *reading, struct slice item)
{
    struct cidr net, *place;

    if (slice_find(item, '/') == item.len || cidr_parse(item, &net) < 0)
        return false;
    if ((place = grow(reading)) != NULL)
        *place = net;
    return true;
}

static bool add(struct list_reading *reading, struct slice item)
{
    switch (reading->kind) {
    case LIST_PORTS: return add_port(reading, item);
    case LIST_RANGES: return add_range(reading, item);
    case LIST_NETWORKS: return add_network(reading, item);
    }
    return false;
}

void lists_add(struct list_reading *reading, struct slice list)
{
    struct slice item;

    while (slice_split(&list, ',', &item)) {
        item = slice_trim(item);
        if (item.len && !add(reading, item))
            buffer_printf(reading->problems, "%s: \"%.*s\" is not %s\n", reading->name, SLICE_ARGS(item),
                          kinds[reading->kind].expected);
    }
}

void redirect_take_lists(struct redirect *redirect, const struct list_reading *inbound_only, const struct list_reading *skip_inbound,
                         const struct list_reading *skip_outbound, const struct list_reading *skip_networks)
{
    redirect->inbound_only = inbound_only->items;
    redirect->inbound_only_count = inbound_only->count;
    redirect->skip_inbound = skip_inbound->items;
    redirect->skip_inbound_count = skip_inbound->count;
    redirect->skip_outbound = skip_outbound->items;
    redirect->skip_outbound_count = skip_outbound->count;
    redirect->skip_networks = skip_networks->items;
    redirect->skip_networks_count = skip_networks->count;
}

void redirect_release(struct redirect *redirect)
{
    free((void *)redirect->inbound_only);
    free((void *)redirect->skip_inbound);
    free((void *)redirect->skip_outbound);
    free((void *)redirect->skip_networks);
    *redirect = (struct redirect){0};
}
