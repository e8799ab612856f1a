#include "proxy/admin/connections.h"

#include <pthread.h>

#include "base/duration.h"
#include "proxy/conn.h"
#include "net/http_stream.h"
#include "proxy/worker.h"

enum { LINES_MAX = 10000 };

/* What the admin asks of one worker; lives on the admin's stack while it waits. */
struct question {
    struct task task;
    struct waker waker;
    struct worker *worker;
    struct buffer text;
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
};

static const char *session_name(enum session session)
{
    static const char *const names[] = {"-", "http/1", "http/2", "opaque"};

    return names[session];
}

static void one_line(const struct conn *conn, int64_t now_ns, struct buffer *out)
{
    char peer[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX], age[DURATION_TEXT_MAX];

    buffer_printf(out, "%-8s %-24s %-24s %-10s %-8s %-18s %6u %.*s\n", conn->direction == DIRECTION_INBOUND ? "inbound" : "outbound",
                  addr_format(conn->peer, peer), addr_format(conn->dst, dst), duration_format(now_ns - conn->since_ns, age),
                  session_name(conn->session), walker_step(&conn->walker), conn->http ? conn->http->streams : 0,
                  SLICE_ARGS(conn->client_id.name));
}

static void answer(struct task *task)
{
    struct question *question = CONTAINER_OF(task, struct question, task);
    struct worker *worker = question->worker;
    unsigned lines = 0;

    LIST_FOR_EACH (link, &worker->conns) {
        if (lines++ == LINES_MAX) {
            buffer_printf(&question->text, "... %u more\n", worker->conn_count - LINES_MAX);
            break;
        }
        one_line(CONTAINER_OF(link, struct conn, link), worker->loop->now_ns, &question->text);
    }
    waker_release(&question->waker);
    pthread_mutex_lock(&question->lock);
    question->done = true;
    pthread_cond_signal(&question->done_cond);
    pthread_mutex_unlock(&question->lock);
}

static void ask(struct worker *worker, struct buffer *out)
{
    struct question question = {.worker = worker};

    buffer_init(&question.text, 4 * 1024 * 1024);
    pthread_mutex_init(&question.lock, NULL);
    pthread_cond_init(&question.done_cond, NULL);
    task_init(&question.task, answer);
    waker_init(&question.waker, worker->loop, &question.task);
    waker_wake(&question.waker);
    pthread_mutex_lock(&question.lock);
    while (!question.done)
        pthread_cond_wait(&question.done_cond, &question.lock);
    pthread_mutex_unlock(&question.lock);
    buffer_add(out, buffer_slice(&question.text));
    buffer_release(&question.text);
    pthread_cond_destroy(&question.done_cond);
    pthread_mutex_destroy(&question.lock);
}

void connections_page(struct proxy *proxy, struct buffer *out)
{
    buffer_printf(out, "%-8s %-24s %-24s %-10s %-8s %-18s %6s %s\n", "SIDE", "PEER", "DESTINATION", "AGE", "PROTOCOL", "STEP",
                  "OPEN", "CLIENT");
    if (atomic_load_explicit(&proxy->drain, memory_order_relaxed) == DRAIN_NOW)
        return; /* the workers answer no more */
    for (unsigned i = 0; i < proxy->workers_running; i++)
        ask(&proxy->workers[i], out);
}
