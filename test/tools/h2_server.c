/*
 * A small HTTP/2 server on plain sockets, for trying the engine of codec/h2/h2.h
 * alone against foreign clients (h2spec, curl, nghttp, h2load):
 *
 *     h2-test-server PORT        cleartext with prior knowledge, on 127.0.0.1
 *
 * GET /N answers with N bytes; a request with a body gets it back as it comes; anything else a line of text.
 * Ends at SIGTERM. One thread and poll(2): a tool, not a program of the mesh.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "codec/h2/h2.h"

enum { CONNS_MAX = 256 };

struct client {
    int fd;
    struct h2_conn h2;
    struct chain out;
    bool over; /* to be closed when `out` was written */
};

struct exchange {
    struct arena arena;
    bool echo, ended; /* the body goes back; it has ended */
    bool answered;
    struct buffer body; /* echo: what was not sent yet */
    size_t left;        /* else: bytes still to send */
};

static struct page_pool pages;
static struct client *clients[CONNS_MAX];
static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    stop = 1;
}

static struct arena *head_arena(struct h2_stream *stream)
{
    struct exchange *exchange = stream->user;

    if (!exchange) {
        exchange = calloc(1, sizeof(*exchange));
        if (!exchange)
            return NULL;
        arena_init(&exchange->arena, LIMIT_REQUEST_ARENA);
        buffer_init(&exchange->body, 1 << 20);
        stream->user = exchange;
    }
    return &exchange->arena;
}

static void finish(struct h2_stream *stream)
{
    struct exchange *exchange = stream->user;

    arena_release(&exchange->arena);
    buffer_release(&exchange->body);
    free(exchange);
    h2_stream_release(stream);
}

static void send_more(struct h2_stream *stream)
{
    static const char filler[16384];
    struct exchange *exchange = stream->user;

    if (exchange->echo) {
        ssize_t n = h2_data(stream, buffer_slice(&exchange->body), exchange->ended);

        if (n > 0) {
            buffer_drop(&exchange->body, (size_t)n);
            h2_consume(stream, (size_t)n);
        }
    } else {
        while (exchange->left) {
            size_t part = exchange->left < sizeof(filler) ? exchange->left : sizeof(filler);
            ssize_t n = h2_data(stream, slice_of(filler, part), part == exchange->left);

            if (n <= 0)
                return;
            exchange->left -= (size_t)n;
        }
    }
    if (h2_closed(stream))
        finish(stream);
}

static void answer(struct h2_stream *stream, const struct http_head *request)
{
    struct exchange *exchange = stream->user;
    struct http_field fields[] = {{SLICE_LIT("content-type"), SLICE_LIT("text/plain"), HTTP_TOKEN_CONTENT_TYPE, 0},
                                  {SLICE_LIT("server"), SLICE_LIT("h2-test-server"), HTTP_TOKEN_OTHER, 0}};
    struct http_head head = {.status = 200, .fields = fields, .count = 2};
    uint64_t size = 0;

    if (!exchange->echo && slice_u64(slice_skip(request->path, 1), 1 << 30, &size) < 0)
        size = 64;
    exchange->left = (size_t)size;
    if (slice_eq(request->method, SLICE_LIT("HEAD")))
        exchange->left = 0;
    h2_respond(stream, &head, !exchange->echo && !exchange->left);
    if (h2_closed(stream))
        finish(stream);
    else
        send_more(stream);
}

static void on_head(struct h2_stream *stream, struct http_head *head, bool end)
{
    struct exchange *exchange = stream->user;

    exchange->echo = !end;
    answer(stream, head);
}

static void on_data(struct h2_stream *stream, struct slice bytes, bool end)
{
    struct exchange *exchange = stream->user;

    exchange->ended = end;
    if (buffer_add(&exchange->body, bytes) < 0)
        h2_reset(stream, H2_INTERNAL_ERROR);
    send_more(stream);
}

static void on_trailers(struct h2_stream *stream, const struct http_field *fields, unsigned count)
{
    on_data(stream, SLICE_NULL, true);
}

static void on_reset(struct h2_stream *stream, struct h2_reset_info why)
{
    finish(stream);
}

static const struct h2_events events = {head_arena, on_head, on_data, on_trailers, on_reset,
                                        send_more,  NULL,    NULL,    NULL,        NULL};
static const struct h2_config config = {.max_streams = 100};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void client_free(struct client *client)
{
    h2_close(&client->h2);
    h2_release(&client->h2);
    chain_clear(&client->out);
    close(client->fd);
    free(client);
}

/* False when the connection is gone. */
static bool flush_out(struct client *client)
{
    while (!chain_empty(&client->out)) {
        struct iovec iov[16];
        ssize_t n = writev(client->fd, iov, chain_iovec(&client->out, iov, 16));

        if (n < 0)
            return errno == EAGAIN;
        chain_drop(&client->out, (size_t)n);
        if (h2_out_drained(&client->h2) < 0)
            client->over = true;
    }
    return !client->over;
}

static bool serve(struct client *client)
{
    static char bytes[65536];

    for (;;) {
        ssize_t n = read(client->fd, bytes, sizeof(bytes));

        if (n < 0)
            return errno == EAGAIN && flush_out(client);
        if (n == 0)
            return false;
        if (h2_input(&client->h2, slice_of(bytes, (size_t)n), now_ns()) < 0) {
            fprintf(stderr, "%s: %s\n", h2_error_name(client->h2.error), client->h2.detail);
            client->over = true;
            flush_out(client);
            shutdown(client->fd, SHUT_WR);
            return false;
        }
        if (n < (ssize_t)sizeof(bytes))
            return flush_out(client);
    }
}

static void take_client(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (int i = 0; i < CONNS_MAX; i++)
        if (!clients[i]) {
            struct client *client = calloc(1, sizeof(*client));

            client->fd = fd;
            chain_init(&client->out, &pages);
            h2_init(&client->h2, H2_SERVER, &config, &events, client, &client->out);
            clients[i] = client;
            return;
        }
    close(fd);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 128) < 0) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static void turn(int listener)
{
    struct pollfd polls[CONNS_MAX + 1];
    int at[CONNS_MAX + 1], count = 1;

    polls[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (int i = 0; i < CONNS_MAX; i++)
        if (clients[i]) {
            at[count] = i;
            polls[count++] = (struct pollfd){.fd = clients[i]->fd,
                                             .events = (short)(POLLIN | (chain_empty(&clients[i]->out) ? 0 : POLLOUT))};
        }
    if (poll(polls, (nfds_t)count, -1) < 0)
        return;
    for (int k = 1; k < count; k++) {
        struct client *client = clients[at[k]];

        if (polls[k].revents && (!(flush_out(client)) || !serve(client))) {
            client_free(client);
            clients[at[k]] = NULL;
        }
    }
    if (polls[0].revents)
        take_client(listener);
}

int main(int argc, char **argv)
{
    uint64_t port;
    int listener;

    if (argc != 2 || slice_u64(slice_str(argv[1]), UINT16_MAX, &port) < 0)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    page_pool_init(&pages, 64, 1 << 16);
    listener = listen_on((uint16_t)port);
    while (!stop)
        turn(listener);
    for (int i = 0; i < CONNS_MAX; i++)
        if (clients[i])
            client_free(clients[i]);
    close(listener);
    page_pool_release(&pages);
    return 0;
}
