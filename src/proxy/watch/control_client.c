#include "proxy/watch/control_client.h"

#include <errno.h>
#include <stdio.h>

#include "base/duration.h"
#include "event/log.h"
#include "net/http/http2_conn.h"
#include "proxy/watch/control_metrics.h"

static const int64_t CONNECT_TIMEOUT_NS = 3 * NS_PER_S;
static const int64_t PING_INTERVAL_NS = 10 * NS_PER_S;
static const int64_t PING_TIMEOUT_NS = 3 * NS_PER_S;
/* A connection that lasted so long, or brought a message that was understood, was no failure. */
static const int64_t PROVEN_NS = 10 * NS_PER_S;

static void begin(struct control_client *client);

/* --- the connection --- */

/*
 * A control plane that starts is found soon: pods beside it are not ready before, and their probes do not wait for long. Streams,
 * which may fail for reasons of their own, are asked for less often.
 */
static const struct backoff_config BACKOFF_CONNECT = {.min_ns = 100 * NS_PER_MS, .max_ns = 5 * NS_PER_S, .jitter = 0.1};

static void connection_lost(struct control_client *client)
{
    if (client->state == CONTROL_READY) {
        client->down_since_ns = client->loop->now_ns;
        if (client->down_since_ns - client->ready_since_ns >= PROVEN_NS)
            client->failures = 0;
    }
    control_metrics_down(client->metrics, client->name, client->loop->now_ns - client->down_since_ns);
    client->state = CONTROL_BACKOFF;
    timer_set(client->loop, &client->retry, client->loop->now_ns + backoff_delay(&BACKOFF_CONNECT, ++client->failures, &client->loop->rng));
}

static void retry_connection(struct timer *timer)
{
    struct control_client *client = CONTAINER_OF(timer, struct control_client, retry);

    client->state = CONTROL_IDLE;
    if (!list_empty(&client->waiting))
        begin(client);
}

static void start_call(struct control_stream *stream);

static void start_waiting(struct control_client *client)
{
    struct list *link;

    while (client->state == CONTROL_READY && (link = list_pop(&client->waiting)))
        start_call(CONTAINER_OF(link, struct control_stream, link));
}

/* Woken when the state of the HTTP/2 connection changed. */
static void work(struct task *task)
{
    struct control_client *client = CONTAINER_OF(task, struct control_client, work);

    start_waiting(client);
}

static void http_ended(struct task *task)
{
    struct control_client *client = CONTAINER_OF(task, struct control_client, ended);
    enum control_state state = client->state;

    if (state == CONTROL_READY)
        log_limited(client->log, LOG_INFO, client->name, "the connection to %s ended: %s", client->authority,
                    client->http->why.detail ? client->http->why.detail : "the other side closed it");
    http2_client_free(client->http);
    client->http = NULL;
    io_close(&client->io, false);
    if (state == CONTROL_CLOSING) {
        client->state = CONTROL_IDLE;
        if (!list_empty(&client->waiting))
            begin(client);
    } else if (state != CONTROL_IDLE) {
        connection_lost(client);
    }
}

static void on_state(struct http_client *http)
{
    struct control_client *client = http->owner;

    if (http->state == HTTP_CLIENT_CLOSED)
        dispose_wake(client->loop, &client->ended);
    else if (http->state == HTTP_CLIENT_READY)
        task_wake(client->loop, &client->work);
}

static const struct http_client_events http_events = {.on_state = on_state};

static void ready(struct io_stack *stack)
{
    http2_client_ready(((struct control_client *)stack->owner)->http);
}

static void dial_next(struct control_client *client);

static void dialled(struct dial *dial, bool ok)
{
    static const struct http_client_limits limits = {
        .stream_window = LIMIT_H2_CONNECTION_WINDOW,
        .connection_window = LIMIT_H2_CONNECTION_WINDOW,
        .ping_interval_ns = PING_INTERVAL_NS,
        .ping_timeout_ns = PING_TIMEOUT_NS,
        .ping_while_idle = true, /* else the first destination after a quiet time would meet a path that is dead */
    };
    struct control_client *client = CONTAINER_OF(dial, struct control_client, dial);
    char text[ADDR_TEXT_MAX];

    if (!ok) {
        log_line(client->log, LOG_WARN, client->name, "cannot connect to %s at %s: %s (%s)", client->authority,
                 addr_format(client->endpoint.addr, text), reason_name(dial->reason), strerror(-dial->error));
        dial_next(client);
        return;
    }
    if (http2_client_new(&client->io, &limits, &http_events, client, &client->http) < 0) {
        io_close(&client->io, true);
        connection_lost(client);
        return;
    }
    client->io.on_ready = ready;
    client->io.owner = client;
    client->state = CONTROL_READY;
    client->ready_since_ns = client->loop->now_ns;
    control_metrics_down(client->metrics, client->name, 0);
    log_line(client->log, LOG_INFO, client->name, "connected to %s at %s", client->authority,
             addr_format(client->endpoint.addr, text));
    http2_client_ready(client->http);
    start_waiting(client);
}

static void dial_next(struct control_client *client)
{
    struct dial_options options = {
        .endpoint = &client->endpoint,
        .session = DIAL_HTTP2,
        .timeout_ns = CONNECT_TIMEOUT_NS,
        .tls = *client->tls,
    };

    while (client->tried < client->answer.count) {
        struct addr addr = client->answer.addrs[(client->next_addr + client->tried++) % client->answer.count];
        int r;

        client->endpoint = (struct endpoint_info){.addr = addr};
        if (client->addr->identity.len) {
            struct san id = san_parse(client->addr->identity);

            client->endpoint.identity_kind = id.kind == SAN_URI ? IDENTITY_URI : IDENTITY_DNS;
            client->endpoint.identity = client->addr->identity;
        }
        r = dial_start(&client->dial, client->loop, &client->io, &options, dialled);
        if (r == 0) {
            client->state = CONTROL_CONNECTING;
            return;
        }
        log_line(client->log, LOG_WARN, client->name, "cannot connect to %s: %s", client->authority, strerror(-r));
    }
    connection_lost(client);
}

static void resolved(struct resolver_query *query, const struct resolver_answer *answer)
{
    struct control_client *client = CONTAINER_OF(query, struct control_client, query);

    control_metrics_resolved(client->metrics, client->name, answer);
    if (answer->error) {
        log_line(client->log, LOG_WARN, client->name, "cannot resolve %.*s: %s", SLICE_ARGS(client->addr->host),
                 strerror(-answer->error));
        connection_lost(client);
        return;
    }
    client->answer = *answer;
    client->next_addr = (unsigned)rng_below(&client->loop->rng, answer->count);
    client->tried = 0;
    dial_next(client);
}

static void begin(struct control_client *client)
{
    if (client->state != CONTROL_IDLE)
        return;
    client->state = CONTROL_RESOLVING;
    if (resolver_start(client->resolver, &client->query, client->addr->host, client->addr->port, resolved) < 0)
        connection_lost(client);
}

int control_client_init(struct control_client *client, const char *name, const struct control_addr *addr,
                        const struct config *config, struct loop *loop, struct log *log, struct resolver *resolver,
                        struct tls_context **tls, struct control_metrics *metrics)
{
    *client = (struct control_client){
        .name = name, .addr = addr, .config = config, .loop = loop, .log = log, .resolver = resolver, .tls = tls,
        .metrics = metrics, .down_since_ns = loop->now_ns,
    };
    client->io.fd.watch.fd = -1;
    list_init(&client->waiting);
    task_init(&client->work, work);
    task_init(&client->ended, http_ended);
    snprintf(client->authority, sizeof(client->authority), "%.*s:%u", SLICE_ARGS(addr->host), (unsigned)addr->port);
    return timer_init(loop, &client->retry, retry_connection);
}

void control_client_release(struct control_client *client)
{
    if (!client->loop)
        return;
    client->state = CONTROL_IDLE;
    resolver_cancel(&client->query);
    dial_release(&client->dial);
    task_cancel(&client->work);
    task_cancel(&client->ended);
    if (client->http)
        http2_client_free(client->http);
    client->http = NULL;
    io_close(&client->io, false);
    timer_release(client->loop, &client->retry);
}

void control_client_renew(struct control_client *client)
{
    if (client->state != CONTROL_READY || !client->addr->identity.len || client->http->streams)
        return;
    client->state = CONTROL_CLOSING;
    http2_client_drain(client->http); /* says goodbye */
    dispose_wake(client->loop, &client->ended);
}

/* --- streams --- */

static void wait_for_client(struct control_stream *stream)
{
    if (list_empty(&stream->link))
        list_push(&stream->client->waiting, &stream->link);
    begin(stream->client);
}

static void try_later(struct control_stream *stream)
{
    timer_set(stream->client->loop, &stream->retry,
              stream->client->loop->now_ns + backoff_delay(&BACKOFF_OUTBOUND, ++stream->failures, &stream->client->loop->rng));
}

/* The next moment at which a running call is given up: no first answer, silence, or age. Loopback knows no such limits. */
static void arm_limits(struct control_stream *stream)
{
    const struct config *config = stream->client->config;
    int64_t at = INT64_MAX;

    if (!ip_is_loopback(stream->client->endpoint.addr.ip)) {
        if (!stream->answered && config->stream_initial_timeout_ns)
            at = stream->started_ns + config->stream_initial_timeout_ns;
        if (stream->answered && config->stream_idle_timeout_ns)
            at = stream->last_message_ns + config->stream_idle_timeout_ns;
        if (config->stream_lifetime_ns && stream->started_ns + config->stream_lifetime_ns < at)
            at = stream->started_ns + config->stream_lifetime_ns;
    }
    if (at == INT64_MAX)
        timer_cancel(&stream->retry);
    else
        timer_set(stream->client->loop, &stream->retry, at);
}

static void on_message(struct grpc_call *call, struct slice message)
{
    struct control_stream *stream = grpc_call_owner(call);
    int r;

    stream->answered = true;
    stream->last_message_ns = stream->client->loop->now_ns;
    r = stream->events->on_message(stream, message);
    if (stream->call != call) /* the owner stopped, or began again */
        return;
    if (r < 0) {
        stream->call = NULL;
        grpc_call_cancel(call);
        try_later(stream);
        return;
    }
    stream->failures = stream->client->failures = 0;
    arm_limits(stream);
}

static void on_end(struct grpc_call *call, int status, struct slice text)
{
    struct control_stream *stream = grpc_call_owner(call);

    control_metrics_ended(stream->client->metrics, stream->client->authority, &stream->client->endpoint, status,
                          stream->client->loop->now_ns - stream->started_ns);
    stream->call = NULL;
    timer_cancel(&stream->retry);
    stream->running = stream->events->on_end(stream, status, text);
    if (stream->running)
        try_later(stream);
}

static const struct grpc_call_events call_events = {.on_message = on_message, .on_end = on_end};

static void start_call(struct control_stream *stream)
{
    struct control_client *client = stream->client;
    int r = grpc_call_start(client->http, client->loop, slice_str(client->authority), stream->path, stream->request, 0,
                            &call_events, stream, &stream->call);

    if (r == 0) {
        stream->answered = false;
        stream->started_ns = client->loop->now_ns;
        control_metrics_started(client->metrics, client->authority, &client->endpoint);
        arm_limits(stream);
        return;
    }
    stream->call = NULL;
    stream->running = stream->events->on_end(stream, GRPC_UNAVAILABLE, SLICE_LIT("no connection to the service"));
    if (stream->running)
        try_later(stream);
}

static void timer_fired(struct timer *timer)
{
    struct control_stream *stream = CONTAINER_OF(timer, struct control_stream, retry);

    if (stream->call) { /* a limit of the running call: a fresh one shows whether the service still answers */
        grpc_call_cancel(stream->call);
        stream->call = NULL;
    }
    if (stream->client->state == CONTROL_READY && list_empty(&stream->link))
        start_call(stream);
    else
        wait_for_client(stream);
}

int control_stream_start(struct control_stream *stream, struct control_client *client, struct slice path,
                         struct slice request, const struct control_stream_events *events, void *owner)
{
    *stream = (struct control_stream){.client = client, .path = path, .request = request, .events = events,
                                      .owner = owner, .running = true};
    list_init(&stream->link);
    if (timer_init(client->loop, &stream->retry, timer_fired) < 0) {
        stream->client = NULL;
        return -ENOMEM;
    }
    client->wanted++;
    wait_for_client(stream);
    if (client->state == CONTROL_READY)
        task_wake(client->loop, &client->work);
    return 0;
}

void control_stream_stop(struct control_stream *stream)
{
    if (!stream->client)
        return;
    if (stream->call)
        grpc_call_cancel(stream->call);
    stream->call = NULL;
    list_remove(&stream->link);
    timer_release(stream->client->loop, &stream->retry);
    stream->client->wanted--;
    stream->client = NULL;
}

void control_stream_again(struct control_stream *stream)
{
    if (stream->call)
        grpc_call_cancel(stream->call);
    stream->call = NULL;
    stream->running = true;
    timer_set(stream->client->loop, &stream->retry, stream->client->loop->now_ns);
}
