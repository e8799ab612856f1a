#include "proxy/admin/connections.h"

#include <pthread.h>

#include "base/duration.h"
#include "net/http/http_stream.h"
#include "proxy/conn.h"
#include "proxy/request/request.h"
#include "proxy/worker.h"

enum { LINES_MAX = 10000, REQUESTS_MAX = 100, PATH_MAX_SHOWN = 80 };

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

/* What a client says, for a page of lines: no query, which may hold secrets, nothing that is not plain, and not much. */
static void add_text(struct buffer *out, struct slice text, size_t max)
{
    text = slice_take(text, slice_find(text, '?'));
    for (size_t i = 0; i < text.len && i < max; i++)
        buffer_add_byte(out, text.ptr[i] > ' ' && text.ptr[i] < 0x7f ? text.ptr[i] : '.');
    if (text.len > max)
        buffer_add_lit(out, "...");
}

static void one_request(const struct request *request, int64_t now_ns, struct buffer *out)
{
    char age[DURATION_TEXT_MAX];

    buffer_printf(out, "  request %-10s %-10s %3u %10llu %10llu ", duration_format(now_ns - request->since_ns, age),
                  walker_step(&request->walker), request->status, (unsigned long long)request->moved[0],
                  (unsigned long long)request->moved[1]);
    if (request->head) {
        add_text(out, request->head->method, 16);
        buffer_add_byte(out, ' ');
        add_text(out, request->head->path, PATH_MAX_SHOWN);
    }
    buffer_add_byte(out, '\n');
}

/* Returns how many lines they took. */
static unsigned its_requests(const struct conn *conn, int64_t now_ns, struct buffer *out)
{
    unsigned lines = 0;

    LIST_FOR_EACH (link, &conn->requests) {
        if (lines++ == REQUESTS_MAX) {
            buffer_add_lit(out, "  request ...\n");
            break;
        }
        one_request(CONTAINER_OF(link, struct request, link), now_ns, out);
    }
    return lines;
}

static void answer(struct task *task)
{
    struct question *question = CONTAINER_OF(task, struct question, task);
    struct worker *worker = question->worker;
    unsigned lines = 0, shown = 0;

    LIST_FOR_EACH (link, &worker->conns) {
        const struct conn *conn = CONTAINER_OF(link, struct conn, link);

        if (lines >= LINES_MAX) {
            buffer_printf(&question->text, "... %u more\n", worker->conn_count - shown);
            break;
        }
        one_line(conn, worker->loop->now_ns, &question->text);
        lines += 1 + its_requests(conn, worker->loop->now_ns, &question->text);
        shown++;
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
    buffer_printf(out, "  request %-10s %-10s %3s %10s %10s %s\n", "AGE", "STEP", "", "SENT", "RECEIVED", "METHOD PATH");
    if (atomic_load_explicit(&proxy->drain, memory_order_relaxed) == DRAIN_NOW)
        return; /* the workers answer no more */
    for (unsigned i = 0; i < proxy->workers_running; i++)
        ask(&proxy->workers[i], out);
}
