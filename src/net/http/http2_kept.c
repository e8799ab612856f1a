#include "net/http/http2_kept.h"

#include <assert.h>

#include "base/mutation.h"
#include "net/http/http2_internal.h"

/* Not where the bytes arrive: the stream to end may be in the middle of an event, or of another connection. */
static void shed(struct task *task)
{
    struct http2_kept *kept = CONTAINER_OF(task, struct http2_kept, shed);

    while (kept->bytes > kept->most && !list_empty(&kept->streams))
        http2_stream_shed(CONTAINER_OF(kept->streams.next, struct http2_stream, keeping));
}

void http2_kept_init(struct http2_kept *kept, struct loop *loop, size_t most)
{
    *kept = (struct http2_kept){.loop = loop, .most = most};
    list_init(&kept->streams);
    task_init(&kept->shed, shed);
}

void http2_kept_release(struct http2_kept *kept)
{
    assert(kept->bytes == 0);
    task_cancel(&kept->shed);
}

void http2_kept_add(struct http2_stream *s, size_t n)
{
    struct http2_kept *kept = s->conn->kept;

    if (!kept)
        return;
    if (!mutation("slow-readers-hold-the-connection"))
        h2_keep(s->h2, n);
    if (list_empty(&s->keeping))
        list_push(&kept->streams, &s->keeping);
    kept->bytes += n;
    if (kept->bytes > kept->most && !mutation("kept-without-limit"))
        task_wake(kept->loop, &kept->shed);
}

void http2_kept_taken(struct http2_stream *s, size_t n)
{
    struct http2_kept *kept = s->conn->kept;

    if (!kept || n == 0)
        return;
    kept->bytes -= n;
    list_remove(&s->keeping);
    list_push(&kept->streams, &s->keeping);
}

void http2_kept_forget(struct http2_stream *s, size_t n)
{
    if (!s->conn->kept)
        return;
    s->conn->kept->bytes -= n;
    list_remove(&s->keeping);
}
