/*
 * What many calls are told, made once: calls that ask for the same thing share a
 * view. A view follows topics, short texts such as "Service default/web"; who
 * hears of a change touches its topics, and at the end of the turn each view that
 * was touched is made anew, once, and sends what differs. So the work that a
 * change makes is that of the views which it concerns. After many messages views
 * rest for a moment: changes that follow at once are told together.
 *
 *     views_init(&component->views, ...)
 *     a call begins:  views_get(key), which finds or makes its view; a new one follows what it depends on;
 *                     view_begin(view, call, first answer); or view_leave_unused(view)
 *     a change:       views_touch(views, "Service %.*s/%.*s", ...)
 *     kind->remake:   view_forget(view); view_follow(view, ...) what it depends on now; view_send() what differs
 *
 * A call whose peer does not read is ended with OK when its queue is full; its
 * proxy comes back and starts from what is then. The same becomes of a view that
 * ran out of memory. One thread: that of the loop.
 */
#pragma once

#include "base/map.h"
#include "event/loop.h"
#include "mesh/metrics.h"
#include "net/grpc/grpc.h"

struct views {
    struct loop *loop;
    struct map by_key;
    struct map topics;
    struct list dirty; /* views to be made anew this turn */
    struct task remake;
    struct timer rest;     /* set while dirty views wait for rest_until_ns */
    int64_t rest_until_ns; /* nothing is made anew before */
    size_t told;           /* messages since the last rest */
    size_t queue_bytes; /* of each call, besides its first answer */
    struct metric *remakes, *messages, *overflows; /* NULL: not counted */
};

struct view;

struct view_kind {
    size_t size; /* of the kind's own struct, which begins with its struct view */
    /* Something that it follows has changed. Not while it is being made anew already. */
    void (*remake)(struct view *view);
    /* Its last call has left; view_release() was not called yet. */
    void (*free)(struct view *view);
};

struct view {
    struct map_entry entry; /* in views->by_key */
    struct views *views;
    const struct view_kind *kind;
    struct list dirty_link;
    struct list calls;
    struct list interests;
    struct slice key; /* own memory */
    uint64_t said;    /* digest of the last message, for kinds that send one whole message at a time */
    bool busy;        /* being made anew: stays although its last call may leave */
    bool broken;      /* out of memory: its calls are ended at the end of the turn */
};

/* 0 or -ENOMEM; views_release() is right after both. */
int views_init(struct views *views, struct loop *loop, size_t queue_bytes);
/* The metric families, before the first shard: the first id or a negative errno. */
int views_register(struct metrics *metrics);
/* From now on counts what is done, as the component's. Without memory it does not. */
void views_count(struct views *views, struct metric_shard *shard, int families, const char *component);
/* No calls are left. */
void views_release(struct views *views);
/*
 * Finds the view of the key (0), which has told its calls of all that has changed, or makes one, all zero behind its struct view, which has a copy of the key (1). -EINVAL: the
 * key, as snprintf() said its length, did not fit in `size`; -ENOMEM.
 */
int views_get(struct views *views, const struct view_kind *kind, const char *key, int len, size_t size, struct view **ret_view);
/* For a call whose views_get() failed with `error`: finishes it. */
void views_refuse(struct grpc_server_call *call, int error);
/* For kind->free, before the memory goes. */
void view_release(struct view *view);
/* Ends all calls of all views with OK: the component shuts down, proxies find another. */
void views_end(struct views *views);

/* Gives up all topics, before they are named anew. */
void view_forget(struct view *view);
/* Without memory the view is broken. */
void view_follow(struct view *view, const char *topic, ...) __attribute__((format(printf, 2, 3)));
void view_break(struct view *view);
void views_touch(struct views *views, const char *topic, ...) __attribute__((format(printf, 2, 3)));
/* Only those of the topic's followers to which it applies. */
void views_touch_some(struct views *views, bool (*applies)(const struct view *view, const void *context), const void *context,
                      const char *topic, ...) __attribute__((format(printf, 4, 5)));

/*
 * The call hears what the view says from now on; `first` bytes of first answers, which the caller sends next, count extra.
 * 0, or -ENOMEM: the call was finished, and the view may be gone.
 */
int view_join(struct view *view, struct grpc_server_call *call, size_t first);
/* The same for a call of an owner, whatever that is to the kind (a hash), for view_end_of(). */
int view_join_of(struct view *view, struct grpc_server_call *call, size_t first, uint64_t owner);
/* The same for a view whose first answer says everything, which is sent too. */
void view_begin(struct view *view, struct grpc_server_call *call, struct slice answer);
/* A call that has joined ends; its view may be gone after. */
void view_end_call(struct grpc_server_call *call, int status, struct slice text);
/* Frees a view that no call joined. */
void view_leave_unused(struct view *view);
/* To all calls of the view. */
void view_send(struct view *view, struct slice message);
/* The same for a message that says everything: not sent when it is what was said last. */
void view_say(struct view *view, struct slice message);
/* The first answer of a view that had no calls yet: what view_say() compares with. */
void view_said(struct view *view, struct slice message);
/* Ends all calls of the view. It is freed at the end of the turn, or at once when it is not being made anew. */
void view_end(struct view *view, int status, struct slice text);
/* Ends only the calls of that owner. */
void view_end_of(struct view *view, uint64_t owner, int status);
