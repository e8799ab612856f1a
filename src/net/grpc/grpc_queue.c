#include "net/grpc/grpc_queue.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "net/grpc/grpc_message.h"

struct grpc_queued {
    struct grpc_queued *next;
    struct grpc_message *message;
};

struct grpc_message *grpc_message_new(struct slice bytes)
{
    struct grpc_message *message = bytes.len <= LIMIT_GRPC_MESSAGE ? malloc(sizeof(*message) + GRPC_PREFIX + bytes.len) : NULL;

    if (!message)
        return NULL;
    message->refs = 1;
    message->len = GRPC_PREFIX + bytes.len;
    grpc_write_prefix(message->bytes, bytes.len);
    if (bytes.len)
        memcpy(message->bytes + GRPC_PREFIX, bytes.ptr, bytes.len);
    return message;
}

void grpc_message_unref(struct grpc_message *message)
{
    if (message && --message->refs == 0)
        free(message);
}

static int add_to_rest(struct grpc_queue *queue, struct grpc_message *message)
{
    struct grpc_queued *queued = malloc(sizeof(*queued));

    if (!queued)
        return -ENOMEM;
    *queued = (struct grpc_queued){NULL, message};
    if (queue->rest)
        queue->last->next = queued;
    else
        queue->rest = queued;
    queue->last = queued;
    return 0;
}

int grpc_queue_add(struct grpc_queue *queue, struct grpc_message *message)
{
    if (!queue->front)
        queue->front = message;
    else if (add_to_rest(queue, message) < 0)
        return -ENOMEM;
    message->refs++;
    queue->bytes += message->len;
    return 0;
}

struct slice grpc_queue_front(const struct grpc_queue *queue)
{
    return slice_skip(slice_of(queue->front->bytes, queue->front->len), queue->taken);
}

static void advance(struct grpc_queue *queue)
{
    struct grpc_queued *next = queue->rest;

    grpc_message_unref(queue->front);
    queue->front = NULL;
    queue->taken = 0;
    if (!next)
        return;
    queue->front = next->message;
    queue->rest = next->next;
    free(next);
}

void grpc_queue_drop(struct grpc_queue *queue, size_t n)
{
    queue->taken += n;
    queue->bytes -= n;
    if (queue->front && queue->taken == queue->front->len)
        advance(queue);
}

void grpc_queue_clear(struct grpc_queue *queue)
{
    while (queue->front)
        advance(queue);
    queue->bytes = 0;
}
