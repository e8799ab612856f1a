#include "sim/app.h"

#include <errno.h>

#include "base/duration.h"

enum { IN_MAX = 4 * 1024 * 1024, READ_EACH = 16384, PAGES = 1024 };

/* One connection of an application's. */
struct peer {
    struct list link;
    struct app *app;
    struct io_stack io;
    struct task work, disposal;
    struct timer timer;
    struct buffer in, out;
    bool connected, eof, want_end, sent_end, over;
    int error;
    struct app_server *server; /* of a server's */
    struct exchange *exchange; /* of a client's */
    size_t echoed;
    bool waiting, greeted, told;
    bool swallowed;            /* by a server that stalled: what it reads later begins in the middle */
    unsigned number;           /* of the request that is answered later */
    size_t size;
};

/* --- connections --- */

static void free_peer(struct peer *peer)
{
    list_remove(&peer->link);
    peer->app->peer_count--;
    task_cancel(&peer->work);
    task_cancel(&peer->disposal);
    timer_release(&peer->app->loop, &peer->timer);
    io_close(&peer->io, peer->error != 0);
    buffer_release(&peer->in);
    buffer_release(&peer->out);
    free(peer);
}

static void dispose(struct task *task)
{
    free_peer(CONTAINER_OF(task, struct peer, disposal));
}

static void end(struct peer *peer, int error)
{
    if (peer->over)
        return;
    peer->over = true;
    peer->error = error;
    dispose_wake(&peer->app->loop, &peer->disposal);
}

static void ready(struct io_stack *io)
{
    struct peer *peer = io->owner;

    task_wake(&peer->app->loop, &peer->work);
}

static void serve(struct peer *peer);
static void ask(struct peer *peer);
static void look_at_answer(struct peer *peer);

/* 0, or what broke the connection. */
static int move_bytes(struct peer *peer)
{
    while (peer->out.len) {
        struct iovec iov = {peer->out.data, peer->out.len};
        ssize_t n = io_writev(&peer->io, &iov, 1);

        if (n == -EAGAIN)
            break;
        if (n < 0)
            return (int)n;
        buffer_drop(&peer->out, (size_t)n);
    }
    if (peer->want_end && !peer->out.len && !peer->sent_end) {
        peer->sent_end = true;
        if (io_shutdown(&peer->io) < 0)
            return -EPIPE;
    }
    while (!peer->eof) {
        char *room = buffer_room(&peer->in, READ_EACH);
        ssize_t n = room ? io_read(&peer->io, room, READ_EACH) : -ENOBUFS;

        if (n == -EAGAIN)
            break;
        if (n < 0)
            return (int)n;
        buffer_grew(&peer->in, (size_t)n);
        peer->eof = n == 0;
    }
    return 0;
}

static int look_if_connected(struct peer *peer)
{
    struct sys *sys = &peer->app->process->sys;
    int r;

    if (!peer->io.writable)
        return -EAGAIN;
    r = sys->ops->connect_result(sys, peer->io.fd.watch.fd);
    peer->connected = r == 0;
    return r == -EINPROGRESS ? -EAGAIN : r;
}

static void broken(struct peer *peer, int error)
{
    if (peer->exchange) {
        look_at_answer(peer); /* what came before it counts */
        if (!peer->over) {
            peer->exchange->outcome = OUTCOME_BROKEN;
            snprintf(peer->exchange->error, sizeof(peer->exchange->error), "%s", strerror(-error));
        }
    }
    end(peer, error);
}

static void finish_exchange(struct peer *peer)
{
    struct exchange *exchange = peer->exchange;

    if (!peer->over || !exchange || exchange->ended)
        return;
    exchange->ended = true;
    exchange->ended_ns = peer->app->loop.now_ns;
    exchange->peer = NULL;
    world_note(peer->app->process->host->world, "exchange %u: outcome %d, status %u, %s", exchange->number, exchange->outcome,
               exchange->status, exchange->error);
}

static void work(struct task *task)
{
    struct peer *peer = CONTAINER_OF(task, struct peer, work);
    int r = 0;

    if (peer->over)
        return;
    if (!peer->connected) {
        r = look_if_connected(peer);
        if (r == -EAGAIN)
            return;
        if (r == 0 && !peer->exchange->speak_after_ns)
            ask(peer);
    }
    if (r == 0)
        r = move_bytes(peer);
    if (r < 0)
        broken(peer, r);
    else if (peer->exchange)
        look_at_answer(peer);
    else
        serve(peer);
    if (!peer->over && peer->out.len && move_bytes(peer) < 0)
        broken(peer, -EPIPE);
    finish_exchange(peer);
}

static void on_timer(struct timer *timer);

static struct peer *new_peer(struct app *app, int fd)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    if (!peer || timer_init(&app->loop, &peer->timer, on_timer) < 0 || io_open(&peer->io, &app->loop, fd, ready) < 0)
        abort();
    peer->app = app;
    peer->io.owner = peer;
    task_init(&peer->work, work);
    task_init(&peer->disposal, dispose);
    buffer_init(&peer->in, IN_MAX);
    buffer_init(&peer->out, IN_MAX);
    list_push(&app->peers, &peer->link);
    app->peer_count++;
    return peer;
}

/* --- servers --- */

/* Each byte says whose it is. */
static char byte_of(unsigned number, size_t at)
{
    return (char)('a' + (number * 7 + at) % 26);
}

static void put_pattern(struct buffer *to, unsigned number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer_add_byte(to, byte_of(number, i));
}

static void answer(struct peer *peer)
{
    size_t size = peer->size;

    peer->waiting = false;
    buffer_printf(&peer->out, "HTTP/1.1 200 OK\r\nx-number: %u\r\ncontent-length: %zu\r\n\r\n", peer->number, size);
    if (peer->server->behaviour == SERVE_CUT) {
        put_pattern(&peer->out, peer->number, size / 2);
        peer->want_end = true;
        return;
    }
    put_pattern(&peer->out, peer->number, size);
}

/* The field's value, "" where there is none. `name` with ": " behind it; case does not count. */
static void field_of(struct slice head, const char *name, char *to, size_t size)
{
    struct slice line;

    *to = 0;
    while (slice_split(&head, '\n', &line))
        if (slice_eq_nocase(slice_take(line, strlen(name)), slice_str(name))) {
            line = slice_skip(line, strlen(name));
            snprintf(to, size, "%.*s", SLICE_ARGS(slice_take(line, slice_find(line, '\r'))));
            return;
        }
}

/* How many fields name a host: two servers would take two of them for different ones. */
static unsigned hosts_of(struct slice head)
{
    struct slice line;
    unsigned count = 0;

    while (slice_split(&head, '\n', &line))
        count += slice_eq_nocase(slice_take(line, 5), SLICE_LIT("host:"));
    return count;
}

/* "/number/size/delay". The length of the whole request, or 0 when it is not here yet. */
static size_t whole_request(struct peer *peer, unsigned *ret_number, size_t *ret_size, unsigned *ret_delay)
{
    struct slice in = buffer_slice(&peer->in), head;
    size_t end = slice_find_slice(in, SLICE_LIT("\r\n\r\n")), body;
    char text[256];

    if (end == in.len)
        return 0;
    head = slice_take(in, end + 2);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(slice_take(head, slice_find(head, '\r'))));
    if (sscanf(text, "%*s /%u/%zu/%u ", ret_number, ret_size, ret_delay) != 3 || hosts_of(head) != 1)
        return SIZE_MAX;
    field_of(head, "content-length: ", text, sizeof(text));
    body = strtoul(text, NULL, 10);
    return in.len >= end + 4 + body ? end + 4 + body : 0;
}

static void serve_http(struct peer *peer)
{
    unsigned delay;
    size_t len;

    if (peer->waiting)
        return;
    if (peer->swallowed) {
        end(peer, -ECONNRESET);
        return;
    }
    len = whole_request(peer, &peer->number, &peer->size, &delay);
    if (len == SIZE_MAX) {
        world_fail(peer->app->process->host->world, "servers get what clients sent", "a request line that no client wrote, or not one host");
        end(peer, -EPROTO);
        return;
    }
    if (len == 0) {
        if (peer->eof && !peer->out.len)
            end(peer, 0);
        return;
    }
    buffer_drop(&peer->in, len);
    peer->app->on_request(peer->app->owner, peer->app, peer->number);
    peer->waiting = true;
    timer_set(&peer->app->loop, &peer->timer, peer->app->loop.now_ns + (int64_t)delay * NS_PER_MS);
}

static void serve(struct peer *peer)
{
    switch (peer->server->behaviour) {
    case SERVE_HTTP:
    case SERVE_CUT:
        serve_http(peer);
        break;
    case SERVE_GREETING:
    case SERVE_ECHO:
        buffer_add(&peer->out, buffer_slice(&peer->in));
        buffer_clear(&peer->in);
        peer->want_end = peer->eof;
        break;
    case SERVE_STALL:
        peer->swallowed |= peer->in.len > 0;
        buffer_clear(&peer->in);
        if (peer->eof)
            end(peer, 0);
        return;
    case SERVE_RESET:
        if (peer->in.len || peer->eof)
            end(peer, -ECONNRESET);
        return;
    }
    if (peer->sent_end && peer->eof && !peer->out.len)
        end(peer, 0);
    else if (peer->want_end && !peer->out.len && !peer->sent_end && !peer->over) /* with bytes left, room for them wakes it */
        task_wake(&peer->app->loop, &peer->work);
}

static void on_connection(struct watch *watch, unsigned what)
{
    struct app_server *server = CONTAINER_OF(watch, struct app_server, watch);
    struct sys *sys = &server->app->process->sys;
    struct addr from;
    int fd;

    while ((fd = sys->ops->accept(sys, watch->fd, &from)) >= 0) {
        struct peer *peer = new_peer(server->app, fd);

        peer->server = server;
        peer->connected = true;
        if (server->behaviour == SERVE_GREETING) {
            buffer_add_lit(&peer->out, "220 hello\r\n");
            task_wake(&server->app->loop, &peer->work);
        }
    }
}

void app_serve(struct app *app, uint16_t port, enum behaviour behaviour)
{
    struct app_server *server = &app->servers[app->server_count++];
    struct addr addr = {ip_v4(0), port};
    int fd = app->process->sys.ops->listen(&app->process->sys, addr, 0);

    *server = (struct app_server){.app = app, .port = port, .behaviour = behaviour, .watch.fd = -1};
    if (fd < 0 || watch_start(&app->loop, &server->watch, fd, SYS_SHARED, on_connection) < 0)
        abort();
}

static struct app_server *find_server(struct app *app, uint16_t port)
{
    for (unsigned i = 0; i < app->server_count; i++)
        if (app->servers[i].port == port)
            return &app->servers[i];
    return NULL;
}

void app_refuse(struct app *app, uint16_t port)
{
    watch_close(&app->loop, &find_server(app, port)->watch, false);
}

void app_behave(struct app *app, uint16_t port, enum behaviour behaviour)
{
    struct app_server *server = find_server(app, port);
    struct addr addr = {ip_v4(0), port};

    server->behaviour = behaviour;
    if (server->watch.fd < 0 && watch_start(&app->loop, &server->watch, app->process->sys.ops->listen(&app->process->sys, addr, 0),
                                            SYS_SHARED, on_connection) < 0)
        abort();
}

void app_drop(struct app *app)
{
    LIST_FOR_EACH (link, &app->peers) {
        struct peer *peer = CONTAINER_OF(link, struct peer, link);

        if (!peer->server)
            continue;
        end(peer, -ECONNRESET);
        task_wake(&app->loop, &peer->work); /* a turn, at whose end it is freed */
    }
}

/* --- clients --- */

#define HALF_LINE "HELO you"

static void ask(struct peer *peer)
{
    const struct exchange *exchange = peer->exchange;
    size_t body = exchange->kind == EXCHANGE_POST ? exchange->size : 0;

    peer->told = true;
    switch (exchange->kind) {
    case EXCHANGE_GET:
    case EXCHANGE_POST:
        buffer_printf(&peer->out, "%s /%u/%zu/%u HTTP/1.1\r\nhost: web.shop.svc.cluster.local\r\n", exchange->kind == EXCHANGE_POST ? "POST" : "GET", exchange->number,
                      exchange->size, exchange->delay_ms);
        if (exchange->kind == EXCHANGE_POST)
            buffer_printf(&peer->out, "content-length: %zu\r\n", body);
        buffer_add_lit(&peer->out, "\r\n");
        put_pattern(&peer->out, exchange->number, body);
        break;
    case EXCHANGE_BYTES:
        buffer_add_byte(&peer->out, 1); /* no letter: never HTTP */
        put_pattern(&peer->out, exchange->number, exchange->size);
        peer->want_end = !exchange->hold;
        break;
    case EXCHANGE_GREETING:
        break;
    case EXCHANGE_HALF_LINE:
        buffer_add_lit(&peer->out, HALF_LINE);
        break;
    case EXCHANGE_HALF_HEAD:
        buffer_add_lit(&peer->out, "GET / HTTP/1.1\r\nhost: ");
        break;
    }
}

static bool is_pattern(struct slice bytes, unsigned number)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.ptr[i] != byte_of(number, i))
            return false;
    return true;
}

static void conclude(struct peer *peer, enum outcome outcome, const char *why)
{
    peer->exchange->outcome = outcome;
    if (why)
        snprintf(peer->exchange->error, sizeof(peer->exchange->error), "%s", why);
    end(peer, outcome == OUTCOME_ANSWERED ? 0 : -EPROTO);
}

static void look_at_response(struct peer *peer)
{
    struct exchange *exchange = peer->exchange;
    struct slice in = buffer_slice(&peer->in), head, body;
    size_t end_of_head = slice_find_slice(in, SLICE_LIT("\r\n\r\n")), length;
    char text[32];

    if (end_of_head == in.len) {
        if (peer->eof)
            conclude(peer, OUTCOME_BROKEN, "ended without a response");
        return;
    }
    head = slice_take(in, end_of_head + 2);
    body = slice_skip(in, end_of_head + 4);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(slice_take(in, 31)));
    if (sscanf(text, "HTTP/1.1 %u", &exchange->status) != 1) {
        conclude(peer, OUTCOME_WRONG, "no HTTP response");
        return;
    }
    field_of(head, "content-length: ", text, sizeof(text));
    length = strtoul(text, NULL, 10);
    if (body.len < length) {
        if (peer->eof)
            conclude(peer, OUTCOME_BROKEN, "ended in the middle of the response");
        return;
    }
    field_of(head, "l5d-proxy-error: ", exchange->error, sizeof(exchange->error));
    if (exchange->status == 200) {
        field_of(head, "x-number: ", text, sizeof(text));
        if (strtoul(text, NULL, 10) != exchange->number || length != exchange->size || !is_pattern(body, exchange->number)) {
            conclude(peer, OUTCOME_WRONG, "the answer to another request");
            return;
        }
    }
    conclude(peer, OUTCOME_ANSWERED, NULL);
}

static void look_at_echo(struct peer *peer)
{
    const struct exchange *exchange = peer->exchange;
    struct slice in = buffer_slice(&peer->in);

    if (in.len > exchange->size + 1 || (in.len && in.ptr[0] != 1) || !is_pattern(slice_skip(in, 1), exchange->number))
        conclude(peer, OUTCOME_WRONG, "other bytes than were sent");
    else if (peer->eof)
        conclude(peer, in.len == exchange->size + 1 ? OUTCOME_ANSWERED : OUTCOME_BROKEN, in.len == exchange->size + 1 ? NULL : "ended early");
}

static void look_at_greeting(struct peer *peer)
{
    if (peer->in.len >= 11)
        conclude(peer, slice_eq(buffer_slice(&peer->in), SLICE_LIT("220 hello\r\n")) ? OUTCOME_ANSWERED : OUTCOME_WRONG, NULL);
    else if (peer->eof)
        conclude(peer, OUTCOME_BROKEN, "ended without a greeting");
}

static void look_at_half_line(struct peer *peer)
{
    if (peer->in.len >= sizeof(HALF_LINE) - 1)
        conclude(peer, slice_eq(buffer_slice(&peer->in), SLICE_LIT(HALF_LINE)) ? OUTCOME_ANSWERED : OUTCOME_WRONG, NULL);
    else if (peer->eof)
        conclude(peer, OUTCOME_BROKEN, "ended early");
}

static void look_at_answer(struct peer *peer)
{
    struct exchange *exchange = peer->exchange;

    if (peer->in.len && !exchange->first_byte_ns)
        exchange->first_byte_ns = peer->app->loop.now_ns;
    if (exchange->kind == EXCHANGE_BYTES)
        look_at_echo(peer);
    else if (exchange->kind == EXCHANGE_GREETING)
        look_at_greeting(peer);
    else if (exchange->kind == EXCHANGE_HALF_LINE)
        look_at_half_line(peer);
    else
        look_at_response(peer);
}

/* A server answers after its delay; a client speaks after its own. */
static void on_timer(struct timer *timer)
{
    struct peer *peer = CONTAINER_OF(timer, struct peer, timer);

    if (peer->server)
        answer(peer);
    else if (!peer->connected)
        timer_set(&peer->app->loop, timer, peer->app->loop.now_ns + 1 * NS_PER_MS);
    else
        ask(peer);
    task_wake(&peer->app->loop, &peer->work);
}

void exchange_start(struct app *app, struct exchange *exchange, struct addr addr)
{
    struct world *world = app->process->host->world;
    int fd = app->process->sys.ops->connect(&app->process->sys, addr);
    struct peer *peer;

    if (fd < 0)
        abort();
    peer = new_peer(app, fd);
    peer->exchange = exchange;
    exchange->peer = peer;
    exchange->began_ns = world->now_ns;
    world_note(world, "exchange %u begins: kind %d", exchange->number, exchange->kind);
}

void exchange_speak_later(struct exchange *exchange, int64_t after_ns)
{
    exchange->speak_after_ns = after_ns;
    timer_set(&exchange->peer->app->loop, &exchange->peer->timer, exchange->began_ns + after_ns);
}

void exchange_abandon(struct exchange *exchange)
{
    struct peer *peer = exchange->peer;

    if (!peer || peer->over)
        return;
    exchange->outcome = OUTCOME_BROKEN;
    snprintf(exchange->error, sizeof(exchange->error), "abandoned");
    end(peer, world_one_in(peer->app->process->host->world, 2) ? -ECANCELED : 0);
    finish_exchange(peer);
    task_wake(&peer->app->loop, &peer->work); /* a turn, at whose end it is freed */
}

/* --- the application --- */

void app_start(struct app *app, struct host *host, const char *name)
{
    *app = (struct app){.process = host_process(host, name, false)};
    list_init(&app->peers);
    if (loop_init(&app->loop, &app->process->sys, PAGES) < 0)
        abort();
    world_add_loop(host->world, &app->turned, &app->loop, name);
}

void app_stop(struct app *app)
{
    LIST_FOR_EACH (link, &app->peers)
        free_peer(CONTAINER_OF(link, struct peer, link));
    for (unsigned i = 0; i < app->server_count; i++)
        watch_close(&app->loop, &app->servers[i].watch, false);
    world_remove_loop(&app->turned);
    loop_release(&app->loop);
}
