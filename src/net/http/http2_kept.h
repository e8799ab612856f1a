/*
 * What the HTTP/2 connections of one thread keep of bodies for which the other side is too slow, so that one who does
 * not read holds up nobody else.
 *
 * A connection's window is shared by its streams. If bytes counted against it until the slow side took them, sixteen
 * readers who stop (1 MiB by 64 KiB) would end everybody's answers between two proxies. So they are kept aside, in
 * the stream's buffer, and count against the stream's window alone, which bounds them for one stream. For all streams
 * of a thread they are bounded here: beyond `most` the streams are reset of which not a byte was taken for longest.
 */
#pragma once

#include <stddef.h>

#include "base/list.h"
#include "event/loop.h"

struct http2_kept {
    struct loop *loop;
    struct task shed;
    struct list streams; /* struct http2_stream; in front the one from which nothing was taken for longest */
    size_t bytes, most;
};

void http2_kept_init(struct http2_kept *kept, struct loop *loop, size_t most);
/* When no connection uses it any more. */
void http2_kept_release(struct http2_kept *kept);
