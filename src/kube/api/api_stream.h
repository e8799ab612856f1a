/*
 * What an API server answers, decoded as it arrives: a list item by item, a
 * watch event by event, never a tree of the whole. JSON, read by yajl.
 *
 *     api_stream_new(&handler, API_LIST, &stream)
 *     api_stream_feed(stream, bytes)     each time some have come
 *     api_stream_end(stream)             the answer is over: was it whole?
 *
 * A list is {"apiVersion":, "kind": "PodList", "metadata": {...}, "items": [...]}; a watch is one
 * {"type":, "object":} after the other. A Status in place of either (410 inside a 200, an error) is told as such.
 * Items of a list name no kind of their own: theirs is the request's, which the caller knows.
 *
 * `metadata.managedFields` is left out of the objects: nobody here reads it, and it is up to half of the bytes.
 * A NUL in a text becomes U+FFFD, so that texts stay free of it (codec/yaml/yaml.h).
 *
 * Bounded: one object by LIMIT_API_OBJECT bytes of memory, LIMIT_API_TEXT for each text, LIMIT_YAML_DEPTH and
 * LIMIT_YAML_NODES. What is beyond is
 * -ENOBUFS and ends the stream: an API server does not store such objects.
 *
 * Pure; one thread at a time.
 */
#pragma once

#include "base/errmsg.h"
#include "base/slice.h"
#include "codec/yaml/yaml.h"

enum api_shape { API_LIST, API_WATCH };

enum api_event {
    API_ITEM,     /* of a list */
    API_ADDED,    /* of a watch, as the three below */
    API_MODIFIED,
    API_DELETED,
    API_BOOKMARK, /* only metadata.resourceVersion counts (and the annotation k8s.io/initial-events-end) */
    API_STATUS    /* the server's error, an object of kind Status: code, reason, message */
};

struct api_handler {
    /* The object lives until the callback returns. A watch's unknown types are not told. */
    void (*event)(struct api_handler *handler, enum api_event event, const struct yaml_node *object);
};

/* Of a list, once it has ended; empty where the server said nothing. Lives as long as the stream. */
struct api_list_end {
    struct slice resource_version;
    struct slice continue_; /* more is to be asked for with this */
};

struct api_stream;

/* 0 or -ENOMEM. */
int api_stream_new(struct api_handler *handler, enum api_shape shape, struct api_stream **ret_stream);
/* NULL is allowed. Not inside the callback. */
void api_stream_free(struct api_stream *stream);
/*
 * 0; -EINVAL (not what an API server says), -ENOBUFS (beyond a limit) or -ENOMEM: then *ret_msg says what, and the stream is
 * of no more use. Whatever was told before that stands.
 */
int api_stream_feed(struct api_stream *stream, struct slice bytes, struct errmsg *ret_msg);
/* 0 when the list is whole, or the watch ended between events; -ENODATA otherwise. */
int api_stream_end(struct api_stream *stream);
struct api_list_end api_stream_list_end(const struct api_stream *stream);
