/* Internal to watch/: what the three kinds of watches share. */
#pragma once

#include "base/duration.h"
#include "proxy/watch/discovery.h"
#include "proxy/watch/streams.h"

/* A destination never heard of is told to be unavailable after this long, and the true answer whenever it comes. */
#define FIRST_ANSWER_NS (3 * NS_PER_S)

/* Begins every kind of watch. */
struct watch_base {
    struct list link; /* in streams->watches */
    struct streams *streams;
    struct watched *watched;
    void (*free)(struct watch_base *base);
};

int watch_port_start(struct streams *streams, struct watched *watched);
int watch_target_start(struct streams *streams, struct watched *watched);
int watch_endpoints_start(struct streams *streams, struct watched *watched);
