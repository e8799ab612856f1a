#include "proxy/image/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/slice.h"

/* sysexits.h, as Linkerd's: nothing serves; the command line is wrong. */
enum { STATUS_USAGE = 64, STATUS_UNAVAILABLE = 69, ADMIN_PORT = 4191, STATUS_LINE_MIN = 12 };

static const int64_t ATTEMPT_NS = 1 * NS_PER_S, FIRST_PAUSE_NS = 10 * NS_PER_MS, NEVER_NS = INT64_MAX;

struct await {
    uint16_t port;
    int64_t timeout_ns; /* NEVER_NS: as long as it takes */
    int64_t backoff_ns; /* the longest pause between attempts */
    bool verbose;
};

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* --- one attempt --- */

static bool wait_for(int fd, short events, int64_t deadline_ns)
{
    struct pollfd one = {fd, events, 0};
    int64_t left = deadline_ns - now_ns();

    return left > 0 && poll(&one, 1, (int)(left / NS_PER_MS) + 1) > 0;
}

static bool connected(int fd, int family, uint16_t port, int64_t deadline_ns)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int error = 0, r;
    socklen_t len = sizeof(error);

    r = family == AF_INET ? connect(fd, (struct sockaddr *)&four, sizeof(four)) : connect(fd, (struct sockaddr *)&six, sizeof(six));
    if (r == 0)
        return true;
    return errno == EINPROGRESS && wait_for(fd, POLLOUT, deadline_ns) &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

/* "HTTP/1.1 200", whichever minor version. */
static bool says_ok(const char *head)
{
    return memcmp(head, "HTTP/1.", 7) == 0 && memcmp(head + 8, " 200", 4) == 0;
}

static bool answered_ok(int fd, int64_t deadline_ns)
{
    static const char request[] = "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char head[STATUS_LINE_MIN];
    size_t len = 0;

    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != sizeof(request) - 1)
        return false;
    while (len < sizeof(head) && wait_for(fd, POLLIN, deadline_ns)) {
        ssize_t n = recv(fd, head + len, sizeof(head) - len, 0);

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        len += n > 0 ? (size_t)n : 0;
    }
    return len == sizeof(head) && says_ok(head);
}

static bool is_ready(uint16_t port, int64_t deadline_ns)
{
    static const int families[] = {AF_INET, AF_INET6}; /* the admin port may listen on either */
    bool ready = false;

    for (int i = 0; i < 2 && !ready; i++) {
        int fd = socket(families[i], SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
            continue;
        ready = connected(fd, families[i], port, deadline_ns) && answered_ok(fd, deadline_ns);
        close(fd);
    }
    return ready;
}

/* --- many --- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void rest_for(int64_t ns)
{
    struct timespec span = {ns / NS_PER_S, ns % NS_PER_S};

    if (ns > 0)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL);
}

/* Pauses grow up to the backoff: a proxy is mostly ready within milliseconds. */
static int await_ready(const struct await *await)
{
    int64_t start = now_ns(), pause = FIRST_PAUSE_NS;
    int64_t deadline = await->timeout_ns > NEVER_NS - start ? NEVER_NS : start + await->timeout_ns;
    char span[DURATION_TEXT_MAX];

    while (!is_ready(await->port, earlier(deadline, now_ns() + ATTEMPT_NS))) {
        pause = earlier(pause, await->backoff_ns);
        if (now_ns() >= deadline) {
            fprintf(stderr, "linkerd-await: the proxy's /ready on port %u did not answer 200 within %s\n", await->port,
                    duration_format(await->timeout_ns, span));
            return STATUS_UNAVAILABLE;
        }
        if (await->verbose)
            fprintf(stderr, "linkerd-await: port %u is not ready yet\n", await->port);
        rest_for(earlier(pause, deadline - now_ns()));
        pause *= 2;
    }
    return 0;
}

/* --- the command line --- */

static int read_flag(const char *name, const char *value, struct await *await)
{
    uint64_t port;

    if (strcmp(name, "port") == 0 || strcmp(name, "p") == 0) {
        if (slice_u64(slice_str(value), UINT16_MAX, &port) < 0 || port == 0)
            return -EINVAL;
        await->port = (uint16_t)port;
        return 0;
    }
    if (strcmp(name, "timeout") == 0 || strcmp(name, "t") == 0)
        return duration_parse_go(slice_str(value), &await->timeout_ns) < 0 || await->timeout_ns < 0 ? -EINVAL : 0;
    if (strcmp(name, "backoff") == 0 || strcmp(name, "b") == 0)
        return duration_parse_go(slice_str(value), &await->backoff_ns) < 0 || await->backoff_ns <= 0 ? -EINVAL : 0;
    return -ENOENT;
}

/* --name=value, --name value, -n value. */
static int read_word(int argc, char *const argv[], int *at, struct await *await)
{
    const char *word = argv[*at] + (strncmp(argv[*at], "--", 2) == 0 ? 2 : 1);
    size_t len = strcspn(word, "=");
    char name[16];

    if (argv[*at][0] != '-' || len == 0 || len >= sizeof(name))
        return -ENOENT;
    memcpy(name, word, len);
    name[len] = '\0';
    if (strcmp(name, "verbose") == 0 || strcmp(name, "v") == 0) {
        await->verbose = true;
        return 0;
    }
    if (word[len] == '=')
        return read_flag(name, word + len + 1, await);
    return *at + 1 < argc ? read_flag(name, argv[++*at], await) : -EINVAL;
}

int image_await_main(int argc, char *const argv[])
{
    struct await await = {ADMIN_PORT, NEVER_NS, 1 * NS_PER_S, false};

    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        int r = read_word(argc, argv, &at, &await);

        if (r < 0) {
            fprintf(stderr, "linkerd-await: \"%s\" %s\nusage: linkerd-await [--port=4191] [--timeout=2m] [--backoff=1s] [--verbose]\n",
                    word, r == -EINVAL ? "has no value, or one that is not valid" : "is not expected");
            return STATUS_USAGE;
        }
    }
    return await_ready(&await);
}
