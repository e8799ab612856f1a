/*
 * A small HTTP/2 client on a plain socket, for trying the engine of codec/h2/h2.h alone against foreign servers:
 *
 *     h2-test-client PORT PATH COUNT STREAMS [BODY_BYTES]
 *
 * Sends COUNT requests to 127.0.0.1, STREAMS at a time, over one cleartext connection: GET, or POST with a body of so
 * many bytes. Prints how many answers of which status came, how many bytes of body and how many resets; ends with 1 if
 * not every request was answered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "codec/h2/h2.h"

struct exchange {
    struct run *run;
    struct arena arena;
    uint64_t left; /* of the body to send */
};

struct run {
    struct h2_conn h2;
    struct chain out;
    const char *path;
    uint64_t count, at_once, body;
    uint64_t begun, open, done, resets, bytes, trailers;
    uint64_t statuses[1000];
};

static struct arena *head_arena(struct h2_stream *stream)
{
    struct exchange *exchange = stream->user;

    return &exchange->arena;
}

static void finish(struct h2_stream *stream, bool reset)
{
    struct exchange *exchange = stream->user;
    struct run *run = exchange->run;

    run->open--;
    run->done += !reset;
    run->resets += reset;
    arena_release(&exchange->arena);
    free(exchange);
    h2_stream_release(stream);
}

static void on_head(struct h2_stream *stream, struct http_head *head, bool end)
{
    struct exchange *exchange = stream->user;

    exchange->run->statuses[head->status]++;
    if (end)
        finish(stream, false);
}

static void on_data(struct h2_stream *stream, struct slice bytes, bool end)
{
    struct exchange *exchange = stream->user;

    exchange->run->bytes += bytes.len;
    h2_consume(stream, bytes.len);
    if (end)
        finish(stream, false);
}

static void on_trailers(struct h2_stream *stream, const struct http_field *fields, unsigned count)
{
    struct exchange *exchange = stream->user;

    exchange->run->trailers++;
    finish(stream, false);
}

static void on_reset(struct h2_stream *stream, struct h2_reset_info why)
{
    fprintf(stderr, "stream %u: %s%s%s\n", stream->id, h2_error_name(why.code), why.detail ? ": " : "",
            why.detail ? why.detail : "");
    finish(stream, true);
}

static void send_body(struct h2_stream *stream)
{
    static const char filler[16384];
    struct exchange *exchange = stream->user;

    while (exchange->left) {
        size_t part = exchange->left < sizeof(filler) ? (size_t)exchange->left : sizeof(filler);
        ssize_t n = h2_data(stream, slice_of(filler, part), part == exchange->left);

        if (n <= 0)
            return;
        exchange->left -= (uint64_t)n;
    }
}

static const struct h2_events events = {.head_arena = head_arena,
                                        .on_head = on_head,
                                        .on_data = on_data,
                                        .on_trailers = on_trailers,
                                        .on_reset = on_reset,
                                        .on_writable = send_body};
static const struct h2_config config = {0};

static void begin(struct run *run)
{
    struct http_field fields[] = {{SLICE_LIT("Accept"), SLICE_LIT("*/*"), HTTP_TOKEN_OTHER, 0},
                                  {SLICE_LIT("user-agent"), SLICE_LIT("h2-test-client"), HTTP_TOKEN_USER_AGENT, 0}};
    struct http_head head = {.method = run->body ? SLICE_LIT("POST") : SLICE_LIT("GET"),
                             .scheme = SLICE_LIT("http"),
                             .authority = SLICE_LIT("localhost"),
                             .path = slice_str(run->path),
                             .fields = fields,
                             .count = 2};

    while (run->open < run->at_once && run->begun < run->count) {
        struct exchange *exchange = calloc(1, sizeof(*exchange));
        struct h2_stream *stream;

        exchange->run = run;
        exchange->left = run->body;
        arena_init(&exchange->arena, LIMIT_REQUEST_ARENA);
        if (h2_request(&run->h2, &head, !run->body, exchange, &stream) < 0) {
            free(exchange);
            return;
        }
        run->begun++;
        run->open++;
        send_body(stream);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* False when the connection has ended. */
static bool turn(struct run *run, int fd)
{
    static char bytes[65536];
    struct iovec iov[16];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ssize_t n = 0;

    begin(run);
    while (!chain_empty(&run->out) && (n = writev(fd, iov, chain_iovec(&run->out, iov, 16))) > 0) {
        chain_drop(&run->out, (size_t)n);
        h2_out_drained(&run->h2);
    }
    if (n < 0 && errno != EAGAIN)
        return false;
    if (!chain_empty(&run->out))
        wait.events |= POLLOUT;
    if (poll(&wait, 1, 10000) <= 0)
        return false;
    n = read(fd, bytes, sizeof(bytes));
    if (n == 0 || (n < 0 && errno != EAGAIN))
        return false;
    if (n > 0 && h2_input(&run->h2, slice_of(bytes, (size_t)n), now_ns()) < 0) {
        fprintf(stderr, "connection: %s: %s\n", h2_error_name(run->h2.error), run->h2.detail);
        return false;
    }
    return true;
}

static int connect_to(uint64_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        perror("connect");
        exit(1);
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void report(const struct run *run)
{
    for (unsigned status = 0; status < 1000; status++)
        if (run->statuses[status])
            printf("%u: %llu\n", status, (unsigned long long)run->statuses[status]);
    printf("done %llu, reset %llu, bytes %llu, with trailers %llu\n", (unsigned long long)run->done,
           (unsigned long long)run->resets, (unsigned long long)run->bytes, (unsigned long long)run->trailers);
}

int main(int argc, char **argv)
{
    struct page_pool pages;
    static struct run run;
    uint64_t port;
    int fd;

    if (argc < 5 || slice_u64(slice_str(argv[1]), UINT16_MAX, &port) < 0 ||
        slice_u64(slice_str(argv[3]), UINT32_MAX, &run.count) < 0 ||
        slice_u64(slice_str(argv[4]), 10000, &run.at_once) < 0 ||
        (argc > 5 && slice_u64(slice_str(argv[5]), UINT32_MAX, &run.body) < 0))
        return 2;
    run.path = argv[2];
    page_pool_init(&pages, 64, 1 << 16);
    chain_init(&run.out, &pages);
    fd = connect_to(port);
    if (h2_init(&run.h2, H2_CLIENT, &config, &events, &run, &run.out) < 0)
        return 1;
    while (run.done + run.resets < run.count && turn(&run, fd))
        ;
    h2_close(&run.h2);
    report(&run);
    h2_release(&run.h2);
    chain_clear(&run.out);
    page_pool_release(&pages);
    close(fd);
    return run.done == run.count ? 0 : 1;
}
