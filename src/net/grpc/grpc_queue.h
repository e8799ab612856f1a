/*
 * Messages on their way out: each is made once, prefix included, and waits in as many queues as there are calls that are
 * sent it. A thousand calls whose connection is slow then cost a thousand entries of a queue and one message, not a
 * thousand copies. For grpc_server.c, and its test; others see grpc.h.
 *
 * One thread: references are not counted atomically.
 */
#pragma once

#include "net/grpc/grpc.h"

struct grpc_message {
    unsigned refs;
    size_t len; /* with the prefix */
    uint8_t bytes[];
};

struct grpc_queued;

struct grpc_queue {
    struct grpc_message *front; /* NULL: the queue is empty. Here, so that a message that was begun always has its place */
    size_t taken;               /* bytes of the front that were passed on */
    struct grpc_queued *rest, *last;
    size_t bytes;               /* to be passed on */
};

static inline bool grpc_queue_empty(const struct grpc_queue *queue) { return !queue->front; }
/* Behind all others, with a reference of its own. 0, or -ENOMEM, which an empty queue never says. */
int grpc_queue_add(struct grpc_queue *queue, struct grpc_message *message);
/* What is to be passed on of the first message; not of an empty queue. */
struct slice grpc_queue_front(const struct grpc_queue *queue);
/* So many bytes of it were. */
void grpc_queue_drop(struct grpc_queue *queue, size_t n);
void grpc_queue_clear(struct grpc_queue *queue);
