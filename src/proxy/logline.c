#include "proxy/logline.h"

#include <stdio.h>
#include <time.h>

#include "base/duration.h"
#include "proxy/conn.h"
#include "proxy/request/request.h"

enum { ACCESS_LINE_MAX = 6 * 1024 };

static const char *error_text(int error)
{
    return error ? strerror(-error) : "";
}

void log_conn_end(const struct conn *conn)
{
    char peer[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
    enum log_level level = conn->reason == REASON_CLIENT_GONE || conn->reason == REASON_CONNECTION_LOST ? LOG_DEBUG : LOG_INFO;

    if (conn->reason == REASON_NONE)
        return;
    log_limited(conn->worker->proxy->log, level, direction_name(conn->direction),
                "connection from %s to %s ended in step %s: %s%s%s (client %.*s)", addr_format(conn->peer, peer),
                addr_format(conn->dst, dst), conn->walker.path[conn->walker.at].name, reason_name(conn->reason),
                conn->error ? ": " : "", error_text(conn->error), SLICE_ARGS(conn->client_id.name));
}

static void timestamp(struct sys *sys, char out[40])
{
    int64_t wall = sys->ops->wall(sys);
    time_t seconds = (time_t)(wall / NS_PER_S);
    struct tm tm;
    char date[24];

    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 40, "%s.%09lldZ", date, (long long)(wall % NS_PER_S));
}

static const char *version_name(uint8_t version)
{
    static const char *const names[] = {"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"};

    return names[version];
}

static struct slice user_agent(const struct http_head *head)
{
    const struct http_field *field = http_find(head, HTTP_TOKEN_USER_AGENT);

    return field ? field->value : SLICE_NULL;
}

/* Quotes and control bytes in what a client sent cannot break a line of the apache form. */
static void add_quoted(struct buffer *line, struct slice text)
{
    buffer_add_byte(line, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c == '"' || c == '\\')
            buffer_printf(line, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            buffer_printf(line, "\\x%02x", c);
        else
            buffer_add_byte(line, (char)c);
    }
    buffer_add_byte(line, '"');
}

static void apache_line(const struct request *request, int64_t took_ns, struct buffer *line)
{
    const struct conn *conn = request->conn;
    const struct http_head *head = request->head;
    char peer[ADDR_TEXT_MAX], when[40];
    struct buffer first;

    timestamp(conn->worker->proxy->sys, when);
    buffer_init(&first, ACCESS_LINE_MAX);
    buffer_printf(&first, "%.*s %.*s%.*s %s", SLICE_ARGS(head->method), SLICE_ARGS(head->authority), SLICE_ARGS(head->path),
                  version_name(request->version));
    buffer_printf(line, "%s %.*s - [%s] ", addr_format(conn->peer, peer),
                  SLICE_ARGS(conn->client_id.name.len ? conn->client_id.name : SLICE_LIT("-")), when);
    add_quoted(line, buffer_slice(&first));
    buffer_printf(line, " %u - \"\" ", request->status);
    buffer_release(&first);
    add_quoted(line, user_agent(head));
    buffer_printf(line, " %lld", (long long)took_ns);
}

static void json_text(struct buffer *line, const char *name, struct slice value)
{
    buffer_printf(line, "\"%s\":", name);
    buffer_add_json(line, value);
    buffer_add_byte(line, ',');
}

static void json_line(const struct request *request, int64_t took_ns, struct buffer *line)
{
    const struct conn *conn = request->conn;
    const struct http_head *head = request->head;
    char peer[ADDR_TEXT_MAX], when[40];

    timestamp(conn->worker->proxy->sys, when);
    buffer_add_byte(line, '{');
    json_text(line, "timestamp", slice_str(when));
    json_text(line, "client.addr", slice_str(addr_format(conn->peer, peer)));
    json_text(line, "client.id", conn->client_id.name);
    json_text(line, "method", head->method);
    json_text(line, "host", head->authority);
    json_text(line, "uri", head->path);
    json_text(line, "version", slice_str(version_name(request->version)));
    json_text(line, "user_agent", user_agent(head));
    if (request->reason != REASON_NONE)
        json_text(line, "reason", slice_str(reason_name(request->reason)));
    buffer_printf(line, "\"status\":%u,\"total_ns\":%lld}", request->status, (long long)took_ns);
}

static void access_line(const struct request *request)
{
    const struct worker *worker = request->worker;
    int64_t took_ns = worker->loop->now_ns - request->since_ns;
    struct buffer line;

    buffer_init(&line, ACCESS_LINE_MAX);
    (worker->proxy->config.access_log == ACCESS_LOG_JSON ? json_line : apache_line)(request, took_ns, &line);
    if (!buffer_error(&line))
        log_raw(worker->proxy->log, buffer_slice(&line));
    buffer_release(&line);
}

void log_request(const struct request *request)
{
    const struct conn *conn = request->conn;
    char peer[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];

    if (!request->head)
        return;
    if (request->reason != REASON_NONE && request->reason != REASON_CLIENT_GONE)
        log_limited(conn->worker->proxy->log, LOG_INFO, direction_name(conn->direction),
                    "request from %s to %s (%.*s%.*s) failed in step %s: %s%s%s (client %.*s)", addr_format(conn->peer, peer),
                    addr_format(conn->dst, dst), SLICE_ARGS(request->head->authority),
                    SLICE_ARGS(slice_take(request->head->path, 100)), request->walker.path[request->walker.at].name,
                    reason_name(request->reason), request->error ? ": " : "", error_text(request->error),
                    SLICE_ARGS(conn->client_id.name));
    if (conn->direction == DIRECTION_INBOUND && conn->worker->proxy->config.access_log != ACCESS_LOG_OFF)
        access_line(request);
}
