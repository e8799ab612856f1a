#include "proxy/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "event/log.h"
#include "net/unix_socket.h"
#include "proxy/takeover_message.h"

enum { ANSWER_SECONDS = 5 };

static struct log *log_of(const struct takeover *takeover)
{
    return takeover->proxy->log;
}

/* In the configuration's arena, where text ends with a NUL. */
static const char *path_of(const struct takeover *takeover)
{
    return takeover->proxy->config.takeover_socket.len ? takeover->proxy->config.takeover_socket.ptr : NULL;
}

static int say(const struct takeover *takeover, int fd, const struct takeover_message *message, const int *fds, unsigned count)
{
    char bytes[TAKEOVER_MESSAGE_MAX];

    return unix_send(fd, bytes, takeover_encode(message, &takeover->proxy->app_ports, bytes), fds, count);
}

/* The next message: 0, -ENODATA at the end, or another negative errno. `fds` may be NULL where none is expected. */
static int hear(const struct takeover *takeover, int fd, struct takeover_message *ret_message, int *fds, unsigned *ret_count)
{
    int unwanted[UNIX_DESCRIPTORS_MAX];
    char bytes[TAKEOVER_MESSAGE_MAX];
    unsigned count;
    ssize_t n = unix_receive(fd, bytes, sizeof(bytes), fds ? fds : unwanted, &count);

    while (!fds && n >= 0 && count)
        close(unwanted[--count]);
    if (ret_count)
        *ret_count = count;
    if (n <= 0)
        return n < 0 ? (int)n : -ENODATA;
    return takeover_decode(slice_of(bytes, (size_t)n), ret_message, &takeover->proxy->app_ports);
}

/* --- the successor's side --- */

static int refuse(const struct takeover *takeover, int r, const char *why)
{
    log_line(log_of(takeover), LOG_ERROR, "takeover", "cannot take over from the proxy at %s (CLINKERD_PROXY_TAKEOVER_SOCKET): %s",
             path_of(takeover), why);
    return r;
}

static int check_owner(const struct takeover *takeover, int fd)
{
    uid_t uid;
    int r = unix_peer(fd, &uid);

    if (r < 0)
        return refuse(takeover, r, strerror(-r));
    return uid == geteuid() ? 0 : refuse(takeover, -EPERM, "another user listens there");
}

static int receive_listeners(struct takeover *takeover, int fd, struct listeners *ret_inherited)
{
    struct takeover_message message;
    int fds[UNIX_DESCRIPTORS_MAX];
    unsigned count = 0;
    int r = hear(takeover, fd, &message, fds, &count);

    if (r == 0 && message.kind == TAKEOVER_REFUSED)
        r = refuse(takeover, -EPERM, message.text);
    else if (r < 0)
        refuse(takeover, r, r == -EAGAIN            ? "it does not answer"
                            : r == -EPROTONOSUPPORT ? "it speaks another version of the hand-over: restart it instead"
                                                    : strerror(-r));
    else if (message.kind != TAKEOVER_LISTENERS || count != message.listeners.count)
        r = refuse(takeover, -EPROTO, "its answer makes no sense");
    if (r < 0) {
        while (count)
            close(fds[--count]);
        return r;
    }
    *ret_inherited = message.listeners;
    for (unsigned i = 0; i < count; i++)
        ret_inherited->items[i].fd = fds[i];
    return 0;
}

int takeover_ask(struct takeover *takeover, struct listeners *ret_inherited)
{
    int fd, r;

    ret_inherited->count = 0;
    if (!path_of(takeover))
        return 0;
    r = unix_connect(path_of(takeover), ANSWER_SECONDS, &fd);
    if (r == -ENOENT || r == -ECONNREFUSED)
        return 0;
    if (r < 0)
        return refuse(takeover, r, strerror(-r));
    r = check_owner(takeover, fd);
    if (r == 0)
        r = receive_listeners(takeover, fd, ret_inherited);
    if (r < 0) {
        close(fd);
        return r;
    }
    log_line(log_of(takeover), LOG_INFO, "takeover", "the listeners are taken from the proxy at %s", path_of(takeover));
    takeover->predecessor.fd = fd;
    return 0;
}

static void predecessor_says(struct watch *watch, unsigned what);
static void successor_says(struct watch *watch, unsigned what);
static void successor_comes(struct watch *watch, unsigned what);
static void listen_for_successor(struct takeover *takeover);

static void predecessor_gone(struct takeover *takeover)
{
    watch_close(takeover->loop, &takeover->predecessor, false);
    takeover->events->begin_admin(takeover->owner);
    if (takeover->ready)
        listen_for_successor(takeover);
}

/* Whatever it says after READY, or its end before: it serves no more. */
static void hear_predecessor(struct takeover *takeover)
{
    struct takeover_message message;

    if (takeover->predecessor.fd >= 0 && hear(takeover, takeover->predecessor.fd, &message, NULL, NULL) != -EAGAIN)
        predecessor_gone(takeover);
}

int takeover_begin(struct takeover *takeover)
{
    int fd = takeover->predecessor.fd, r;

    if (fd < 0) {
        takeover->events->begin_admin(takeover->owner);
        return 0;
    }
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    r = watch_start(takeover->loop, &takeover->predecessor, fd, 0, predecessor_says);
    task_wake(takeover->loop, &takeover->work);
    return r;
}

/* --- the predecessor's side --- */

static void drop_successor(struct takeover *takeover)
{
    watch_close(takeover->loop, &takeover->successor, false);
}

static void give_listeners(struct takeover *takeover)
{
    struct takeover_message message = {.kind = TAKEOVER_LISTENERS, .listeners = *takeover->listeners};
    int fds[LISTENINGS_MAX], r;

    for (unsigned i = 0; i < message.listeners.count; i++)
        fds[i] = message.listeners.items[i].fd;
    r = say(takeover, takeover->successor.fd, &message, fds, message.listeners.count);
    if (r < 0) {
        log_line(log_of(takeover), LOG_WARN, "takeover", "cannot give the listeners to a successor: %s", strerror(-r));
        drop_successor(takeover);
        return;
    }
    log_line(log_of(takeover), LOG_INFO, "takeover", "a successor starts; accepting until it is ready");
}

static void leave(struct takeover *takeover)
{
    struct takeover_message message = {.kind = TAKEOVER_GONE};

    takeover->events->hand_over(takeover->owner);
    watch_close(takeover->loop, &takeover->listener, false);
    (void)say(takeover, takeover->successor.fd, &message, NULL, 0); /* or it sees the end of the connection */
    drop_successor(takeover);
}

static void tell_why(struct takeover *takeover, int fd, const char *why)
{
    struct takeover_message message = {.kind = TAKEOVER_REFUSED};

    memcpy(message.text, why, strnlen(why, sizeof(message.text) - 1));
    (void)say(takeover, fd, &message, NULL, 0);
    log_line(log_of(takeover), LOG_WARN, "takeover", "a successor is refused: %s", why);
}

static void hear_successor(struct takeover *takeover)
{
    struct takeover_message message;
    int r;

    while (takeover->successor.fd >= 0 &&
           (r = hear(takeover, takeover->successor.fd, &message, NULL, NULL)) != -EAGAIN) {
        if (r == 0 && message.kind == TAKEOVER_READY) {
            leave(takeover);
            return;
        }
        log_line(log_of(takeover), LOG_WARN, "takeover", "a successor ended before it was ready: serving on");
        drop_successor(takeover);
    }
}

static const char *objection(const struct takeover *takeover, int fd)
{
    uid_t uid;

    if (unix_peer(fd, &uid) < 0 || uid != geteuid())
        return "it runs as another user";
    return takeover->successor.fd >= 0 ? "another successor is starting" : NULL;
}

/* It says nothing before it was answered, so that a refusal is not lost in a reset. */
static void accept_successors(struct takeover *takeover)
{
    int fd;

    while (takeover->listener.fd >= 0 && unix_accept(takeover->listener.fd, &fd) == 0) {
        const char *why = objection(takeover, fd);

        if (why)
            tell_why(takeover, fd, why);
        if (why || watch_start(takeover->loop, &takeover->successor, fd, 0, successor_says) < 0)
            close(fd);
        else
            give_listeners(takeover);
    }
}

static void listen_for_successor(struct takeover *takeover)
{
    int fd, r;

    if (!path_of(takeover) || takeover->listener.fd >= 0)
        return;
    r = unix_listen(path_of(takeover), &fd);
    if (r == 0) {
        r = watch_start(takeover->loop, &takeover->listener, fd, 0, successor_comes);
        if (r < 0)
            close(fd);
    }
    if (r < 0)
        log_line(log_of(takeover), LOG_WARN, "takeover",
                 "no successor can take over from this proxy: cannot listen at %s (CLINKERD_PROXY_TAKEOVER_SOCKET): %s",
                 path_of(takeover), strerror(-r));
}

/* --- both --- */

static void work(struct task *task)
{
    struct takeover *takeover = CONTAINER_OF(task, struct takeover, work);

    hear_predecessor(takeover);
    accept_successors(takeover);
    hear_successor(takeover);
}

static void predecessor_says(struct watch *watch, unsigned what)
{
    struct takeover *takeover = CONTAINER_OF(watch, struct takeover, predecessor);

    task_wake(takeover->loop, &takeover->work);
}

static void successor_says(struct watch *watch, unsigned what)
{
    struct takeover *takeover = CONTAINER_OF(watch, struct takeover, successor);

    task_wake(takeover->loop, &takeover->work);
}

static void successor_comes(struct watch *watch, unsigned what)
{
    struct takeover *takeover = CONTAINER_OF(watch, struct takeover, listener);

    task_wake(takeover->loop, &takeover->work);
}

void takeover_init(struct takeover *takeover, struct proxy *proxy, struct loop *loop, struct listeners *listeners,
                  const struct takeover_events *events, void *owner)
{
    *takeover = (struct takeover){.proxy = proxy, .listeners = listeners, .events = events, .owner = owner};
    takeover->predecessor.fd = takeover->listener.fd = takeover->successor.fd = -1;
    task_init(&takeover->work, work);
    takeover->loop = loop;
}

void takeover_ready(struct takeover *takeover)
{
    struct takeover_message message = {.kind = TAKEOVER_READY};

    takeover->ready = true;
    if (takeover->predecessor.fd < 0)
        listen_for_successor(takeover);
    else
        (void)say(takeover, takeover->predecessor.fd, &message, NULL, 0); /* or it has gone, which is seen */
}

/* The path is the successor's once there is one. */
void takeover_release(struct takeover *takeover)
{
    if (!takeover->loop)
        return;
    if (takeover->listener.fd >= 0)
        unlink(path_of(takeover));
    watch_close(takeover->loop, &takeover->listener, false);
    watch_close(takeover->loop, &takeover->predecessor, false);
    watch_close(takeover->loop, &takeover->successor, false);
    task_cancel(&takeover->work);
}
