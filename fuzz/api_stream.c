/* Answers of an API server: the first byte chooses list or watch and the size of the steps; whatever comes, decoding ends within its limits. */
#include <assert.h>
#include <stdint.h>

#include "base/list.h"
#include "kube/api/api_stream.h"

static size_t weigh(const struct yaml_node *node)
{
    size_t weight = 1;

    for (const struct yaml_item *item = node->items; item; item = item->next)
        weight += weigh(item->value);
    assert(weight == node->weight);
    return weight;
}

static void on_event(struct api_handler *handler, enum api_event event, const struct yaml_node *object)
{
    weigh(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct api_handler handler = {on_event};
    struct api_stream *stream;
    struct errmsg msg;
    struct slice rest;
    size_t step;

    if (!size || api_stream_new(&handler, data[0] & 1 ? API_WATCH : API_LIST, &stream) < 0)
        return 0;
    step = (size_t)(data[0] >> 1) + 1;
    for (rest = slice_of((const char *)data + 1, size - 1); rest.len; rest = slice_skip(rest, step))
        if (api_stream_feed(stream, slice_take(rest, step), &msg) < 0)
            break;
    (void)api_stream_end(stream);
    api_stream_free(stream);
    return 0;
}
