#include "control/dns/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/duration.h"
#include "codec/dns.h"
#include "control/dns/zone.h"
#include "event/acceptor.h"

enum { DATAGRAMS_PER_TURN = 64, LENGTH = 2 };

static const int64_t IDLE_NS = 10 * NS_PER_S;

struct dns_server {
    struct controller *controller;
    struct watch udp;
    struct acceptor tcp;
    struct task more;    /* datagrams are left for the next round */
    struct list conns;   /* the one idle longest first */
    unsigned conn_count;
};

/* One question and its answer at a time: what comes behind waits in the socket. */
struct dns_conn {
    struct list link;
    struct dns_server *server;
    struct watch watch;
    struct timer idle;
    struct task work, disposal;
    uint8_t in[LENGTH + LIMIT_DNS_QUESTION];
    size_t in_len;
    uint8_t *out;        /* NULL: nothing to send */
    size_t out_len, out_at;
};

static struct loop *loop_of(struct dns_server *server)
{
    return &server->controller->loop;
}

/* --- UDP --- */

/* False when there was none. The control data says where it was sent to, and goes back with the answer. */
static bool answer_datagram(struct dns_server *server)
{
    char question[LIMIT_DNS_QUESTION], control[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
    uint8_t answer[ZONE_UDP_MAX];
    struct sockaddr_storage peer;
    struct iovec iov = {question, sizeof(question)};
    struct msghdr message = {.msg_name = &peer, .msg_namelen = sizeof(peer), .msg_iov = &iov, .msg_iovlen = 1,
                             .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(server->udp.fd, &message, 0);
    size_t len;

    if (n < 0)
        return errno == EINTR || errno == ECONNREFUSED;
    if (message.msg_flags & MSG_TRUNC)
        return true;
    len = zone_answer(server->controller, slice_of(question, (size_t)n), true, &loop_of(server)->rng, answer, sizeof(answer));
    if (!len)
        return true;
    iov = (struct iovec){answer, len};
    if (message.msg_flags & MSG_CTRUNC)
        message.msg_controllen = 0;
    message.msg_flags = 0;
    (void)!sendmsg(server->udp.fd, &message, 0); /* a full buffer loses it, as the network may; askers ask again */
    return true;
}

static void answer_datagrams(struct dns_server *server)
{
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++)
        if (!answer_datagram(server))
            return;
    task_wake(loop_of(server), &server->more);
}

static void on_more(struct task *task)
{
    answer_datagrams(CONTAINER_OF(task, struct dns_server, more));
}

static void on_datagram(struct watch *watch, unsigned what)
{
    struct dns_server *server = CONTAINER_OF(watch, struct dns_server, udp);

    task_wake(loop_of(server), &server->more);
}

static int open_udp(struct dns_server *server, struct addr addr)
{
    struct sockaddr_storage sa;
    unsigned len = addr_to_sockaddr(addr, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, off = 0, r;

    if (fd < 0)
        return -errno;
    if (sa.ss_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
    } else {
        setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
    }
    r = bind(fd, (struct sockaddr *)&sa, len) < 0 ? -errno : watch_start(loop_of(server), &server->udp, fd, 0, on_datagram);
    if (r < 0)
        close(fd);
    return r;
}

/* --- TCP --- */

static void free_conn(struct dns_conn *conn)
{
    struct loop *loop = loop_of(conn->server);

    watch_close(loop, &conn->watch, false);
    timer_release(loop, &conn->idle);
    task_cancel(&conn->work);
    task_cancel(&conn->disposal);
    list_remove(&conn->link);
    conn->server->conn_count--;
    free(conn->out);
    free(conn);
}

static void dispose(struct task *task)
{
    free_conn(CONTAINER_OF(task, struct dns_conn, disposal));
}

static void end(struct dns_conn *conn)
{
    dispose_wake(loop_of(conn->server), &conn->disposal);
}

static void on_idle(struct timer *timer)
{
    end(CONTAINER_OF(timer, struct dns_conn, idle));
}

/* 1: all is sent; 0: the peer is to read first; negative: the connection is broken. */
static int send_answer(struct dns_conn *conn)
{
    struct sys *sys = conn->server->controller->sys;

    while (conn->out) {
        struct iovec iov = {conn->out + conn->out_at, conn->out_len - conn->out_at};
        ssize_t n = sys->ops->writev(sys, conn->watch.fd, &iov, 1);

        if (n == -EAGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        conn->out_at += (size_t)n;
        if (conn->out_at < conn->out_len)
            continue;
        free(conn->out);
        conn->out = NULL;
    }
    return 1;
}

/* How many bytes the question has with its length in front; what is there already tells, as far as it does. */
static size_t question_len(const struct dns_conn *conn)
{
    return conn->in_len < LENGTH ? LENGTH : LENGTH + (size_t)(conn->in[0] << 8 | conn->in[1]);
}

/* 1: a question is whole; 0: more is to come; negative: the connection has ended. */
static int receive_question(struct dns_conn *conn)
{
    struct sys *sys = conn->server->controller->sys;

    while (conn->in_len < question_len(conn)) {
        size_t missing = question_len(conn) - conn->in_len;
        struct iovec iov = {conn->in + conn->in_len, missing};
        ssize_t n;

        if (question_len(conn) > sizeof(conn->in))
            return -EMSGSIZE;
        n = sys->ops->readv(sys, conn->watch.fd, &iov, 1);
        if (n == -EAGAIN)
            return 0;
        if (n <= 0)
            return n < 0 ? (int)n : -EPIPE;
        conn->in_len += (size_t)n;
    }
    return 1;
}

static int answer_question(struct dns_conn *conn)
{
    struct slice question = slice_of(conn->in + LENGTH, conn->in_len - LENGTH);
    uint8_t *out = malloc(LENGTH + ZONE_TCP_MAX), *fitting;
    size_t len;

    if (!out)
        return -ENOMEM;
    len = zone_answer(conn->server->controller, question, false, &loop_of(conn->server)->rng, out + LENGTH, ZONE_TCP_MAX);
    conn->in_len = 0;
    if (!len) {
        free(out);
        return -EBADMSG;
    }
    out[0] = (uint8_t)(len >> 8);
    out[1] = (uint8_t)len;
    fitting = realloc(out, LENGTH + len); /* an asker that does not read holds no more than its answer */
    conn->out = fitting ? fitting : out;
    conn->out_len = LENGTH + len;
    conn->out_at = 0;
    return 0;
}

static void work(struct task *task)
{
    struct dns_conn *conn = CONTAINER_OF(task, struct dns_conn, work);
    struct dns_server *server = conn->server;
    int r;

    while ((r = send_answer(conn)) > 0 && (r = receive_question(conn)) > 0) {
        list_remove(&conn->link);
        list_push(&server->conns, &conn->link);
        timer_set(loop_of(server), &conn->idle, loop_of(server)->now_ns + IDLE_NS);
        r = answer_question(conn);
        if (r < 0)
            break;
    }
    if (r < 0)
        end(conn);
}

static void on_ready(struct watch *watch, unsigned what)
{
    struct dns_conn *conn = CONTAINER_OF(watch, struct dns_conn, watch);

    task_wake(loop_of(conn->server), &conn->work);
}

/* It goes at the end of the turn; until then it is not chosen again. */
static void end_longest_idle(struct dns_server *server)
{
    struct dns_conn *conn = CONTAINER_OF(list_pop(&server->conns), struct dns_conn, link);

    list_push(&server->conns, &conn->link);
    end(conn);
}

static void accept_one(struct acceptor *acceptor, int fd, struct addr peer)
{
    struct dns_server *server = CONTAINER_OF(acceptor, struct dns_server, tcp);
    struct loop *loop = loop_of(server);
    struct dns_conn *conn = calloc(1, sizeof(*conn));

    if (server->conn_count >= LIMIT_DNS_CONNECTIONS)
        end_longest_idle(server);
    if (!conn || timer_init(loop, &conn->idle, on_idle) < 0) {
        free(conn);
        loop->sys->ops->close(loop->sys, fd, true);
        return;
    }
    conn->server = server;
    conn->watch.fd = -1;
    task_init(&conn->work, work);
    task_init(&conn->disposal, dispose);
    list_push(&server->conns, &conn->link);
    server->conn_count++;
    timer_set(loop, &conn->idle, loop->now_ns + IDLE_NS);
    if (watch_start(loop, &conn->watch, fd, 0, on_ready) < 0) {
        loop->sys->ops->close(loop->sys, fd, true);
        free_conn(conn);
    }
}

static int open_tcp(struct dns_server *server, struct addr addr)
{
    struct sys *sys = server->controller->sys;
    int fd = sys->ops->listen(sys, addr, 0), r;

    if (fd < 0)
        return fd;
    r = acceptor_start(&server->tcp, loop_of(server), fd, DESCRIPTOR_ESSENTIAL, accept_one);
    if (r < 0)
        sys->ops->close(sys, fd, false);
    return r;
}

/* --- the server --- */

int dns_server_new(struct controller *controller, struct addr addr, struct dns_server **ret_server)
{
    struct dns_server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return -ENOMEM;
    server->controller = controller;
    server->udp.fd = -1;
    list_init(&server->conns);
    task_init(&server->more, on_more);
    r = open_udp(server, addr);
    if (r == 0)
        r = open_tcp(server, addr);
    if (r < 0) {
        dns_server_free(server);
        return r;
    }
    *ret_server = server;
    return 0;
}

void dns_server_free(struct dns_server *server)
{
    if (!server)
        return;
    LIST_FOR_EACH (link, &server->conns)
        free_conn(CONTAINER_OF(link, struct dns_conn, link));
    watch_close(loop_of(server), &server->udp, false);
    acceptor_close(&server->tcp);
    task_cancel(&server->more);
    free(server);
}
