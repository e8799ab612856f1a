#include "sim/net.h"

#include <assert.h>
#include <errno.h>

#include "base/duration.h"
#include "sim/net_internal.h"

static const int64_t SYN_RETRY_NS = 1 * NS_PER_S; /* as Linux's first */
static const int64_t RESEND_MIN_NS = 200 * NS_PER_MS, RESEND_MAX_NS = 2 * NS_PER_S;

static void *must_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    return memory;
}

struct net *net_new(struct world *world)
{
    struct net *net = must_alloc(sizeof(*net));

    net->world = world;
    list_init(&net->all);
    net->faults = (struct net_faults){.latency_min_ns = 100 * NS_PER_US, .latency_max_ns = 1 * NS_PER_MS,
                                      .segment_max = 16384, .buffer_max = (size_t)256 * 1024};
    return net;
}

struct net_faults *net_faults(struct net *net)
{
    return &net->faults;
}

void net_on_dial(struct net *net, net_dial_hook hook, void *owner)
{
    net->on_dial = hook;
    net->dial_owner = owner;
}

unsigned net_open(const struct process *process)
{
    return process->open;
}

/* --- sockets --- */

struct sock *sock_new(struct net *net, struct host *host, enum sock_state state)
{
    struct sock *sock = must_alloc(sizeof(*sock));

    *sock = (struct sock){.net = net, .host = host, .state = state, .fd = -1, .number = ++net->numbers};
    sock->buffer = (size_t)world_between(net->world, 1, (int64_t)net->faults.buffer_max);
    if (sock->buffer < 512)
        sock->buffer = 512;
    list_init(&sock->interests);
    list_init(&sock->wire);
    list_init(&sock->queue);
    list_init(&sock->waiting);
    list_push(&net->all, &sock->all);
    return sock;
}

static void drop_wire(struct sock *sock)
{
    struct list *link;

    while ((link = list_pop(&sock->wire)))
        free(CONTAINER_OF(link, struct segment, link));
    happening_cancel(sock->net->world, &sock->arrival);
}

static void sock_free(struct sock *sock)
{
    drop_wire(sock);
    list_remove(&sock->all);
    list_remove(&sock->waiting);
    free(sock->bytes);
    free(sock);
}

/* By its program; what waits to be accepted will have one. */
static bool is_left(const struct sock *sock)
{
    return sock->closed && !sock->queued;
}

/* Both programs have closed, and nothing is on the wire: nobody can know of it any more. */
static void free_if_over(struct sock *sock)
{
    struct sock *other = sock->other;

    if (!is_left(sock) || !list_empty(&sock->wire))
        return;
    if (other && (!is_left(other) || !list_empty(&other->wire)))
        return;
    if (other)
        sock_free(other);
    sock_free(sock);
}

void net_free(struct net *net)
{
    while (!list_empty(&net->all))
        sock_free(CONTAINER_OF(net->all.next, struct sock, all));
    free(net->fds);
    free(net);
}

/* --- readiness --- */

unsigned sock_ready(const struct sock *sock)
{
    unsigned what = 0;

    if (sock->state == SOCK_LISTENING)
        return list_empty(&sock->queue) ? 0 : SYS_READABLE;
    if (sock->state == SOCK_CONNECTING)
        return 0;
    if (sock->len || sock->ended)
        what |= SYS_READABLE;
    if (sock->shut || (sock->outstanding < sock->buffer && sock->buffer - sock->outstanding >= sock->buffer / 3))
        what |= SYS_WRITABLE;
    if (sock->ended)
        what |= SYS_HANGUP;
    if (sock->error)
        what |= SYS_READABLE | SYS_WRITABLE | SYS_HANGUP | SYS_BROKEN;
    return what;
}

static void tell(struct interest *interest)
{
    if (list_empty(&interest->ready))
        list_push(&interest->poll->ready, &interest->ready);
}

/* Something happened to the socket: an edge. Of those who share a listener one is told. */
void sock_happened(struct sock *sock)
{
    unsigned count = 0, chosen;

    LIST_FOR_EACH (link, &sock->interests)
        count++;
    if (!count)
        return;
    chosen = (unsigned)rng_below(&sock->net->world->rng, count);
    LIST_FOR_EACH (link, &sock->interests) {
        struct interest *interest = CONTAINER_OF(link, struct interest, link);

        if (!interest->shared || chosen-- == 0)
            tell(interest);
    }
}

/* --- the wire --- */

static bool is_cut(const struct sock *sock)
{
    const struct net *net = sock->net;

    return net->cut[sock->host->index][sock->to->index];
}

static int64_t latency(struct sock *sock)
{
    struct net *net = sock->net;

    if (sock->host == sock->to)
        return world_between(net->world, 2, 30) * NS_PER_US;
    return world_between(net->world, net->faults.latency_min_ns, net->faults.latency_max_ns);
}

static void arrive(struct happening *happening);

static void arm(struct sock *sock)
{
    struct segment *first = CONTAINER_OF(sock->wire.next, struct segment, link);

    if (!list_empty(&sock->wire) && !sock->arrival.entry.place)
        happening_set(sock->net->world, &sock->arrival, first->at_ns, arrive);
}

struct segment *wire_put(struct sock *sock, enum segment_kind kind, const void *bytes, size_t len)
{
    struct segment *segment = must_alloc(sizeof(*segment) + (kind == SEGMENT_BYTES ? len : 0));

    segment->kind = kind;
    segment->len = len;
    segment->at_ns = sock->net->world->now_ns + latency(sock);
    if (segment->at_ns < sock->last_ns)
        segment->at_ns = sock->last_ns;
    sock->last_ns = segment->at_ns;
    if (kind == SEGMENT_BYTES)
        memcpy(segment->bytes, bytes, len);
    list_push(&sock->wire, &segment->link);
    arm(sock);
    return segment;
}

/* The reader took bytes: the writer hears of the room. */
void wire_put_room(struct sock *sock, size_t len)
{
    struct segment *last = CONTAINER_OF(sock->wire.prev, struct segment, link);

    if (!list_empty(&sock->wire) && last->kind == SEGMENT_ROOM)
        last->len += len;
    else
        wire_put(sock, SEGMENT_ROOM, NULL, len);
}

/* An abort loses what has not left the host; the seed says how much that is. */
void wire_lose_some(struct sock *sock)
{
    while (!list_empty(&sock->wire) && !world_one_in(sock->net->world, 3)) {
        struct segment *last = CONTAINER_OF(sock->wire.prev, struct segment, link);

        if (last->kind != SEGMENT_BYTES && last->kind != SEGMENT_END)
            return;
        list_remove(&last->link);
        free(last);
    }
    if (list_empty(&sock->wire))
        happening_cancel(sock->net->world, &sock->arrival);
}

static void receive_reset(struct sock *sock)
{
    if (is_left(sock) || sock->dead) {
        sock->dead = true;
        return;
    }
    sock->error = sock->state == SOCK_CONNECTING ? ECONNREFUSED : sock->ended && !sock->shut ? EPIPE : ECONNRESET;
    sock->state = SOCK_OPEN;
    sock->ended = sock->shut = sock->dead = true;
    drop_wire(sock);
    sock_happened(sock);
}

static void receive_bytes(struct sock *sock, const struct segment *segment)
{
    if (is_left(sock)) { /* nobody will read them */
        wire_put(sock, SEGMENT_RESET, NULL, 0);
        sock->dead = true;
        return;
    }
    if (sock->len + segment->len > sock->size) {
        sock->size = (sock->len + segment->len) * 2;
        sock->bytes = realloc(sock->bytes, sock->size);
        if (!sock->bytes)
            abort();
    }
    memcpy(sock->bytes + sock->len, segment->bytes, segment->len);
    sock->len += segment->len;
    sock_happened(sock);
}

static void receive_room(struct sock *sock, size_t len)
{
    sock->outstanding -= len;
    if (!sock->no_room || !(sock_ready(sock) & SYS_WRITABLE))
        return;
    sock->no_room = false;
    sock_happened(sock);
}

static void receive(struct sock *sock, const struct segment *segment)
{
    if (sock->dead)
        return;
    switch (segment->kind) {
    case SEGMENT_OPEN: /* of a listener: see arrive_open() */
        break;
    case SEGMENT_OPENED:
        sock->state = SOCK_OPEN;
        sock_happened(sock);
        break;
    case SEGMENT_BYTES:
        receive_bytes(sock, segment);
        break;
    case SEGMENT_END:
        sock->ended = true;
        sock_happened(sock);
        break;
    case SEGMENT_ROOM:
        receive_room(sock, segment->len);
        break;
    case SEGMENT_RESET:
        receive_reset(sock);
        break;
    }
}

static struct sock *find_listener(struct net *net, struct host *host, struct addr addr)
{
    LIST_FOR_EACH (link, &net->all) {
        struct sock *sock = CONTAINER_OF(link, struct sock, all);

        if (sock->state == SOCK_LISTENING && sock->host == host && sock->local.port == addr.port &&
            (ip_is_unspecified(sock->local.ip) || ip_eq(sock->local.ip, addr.ip)))
            return sock;
    }
    return NULL;
}

static bool is_skipped(const struct host *host, uint16_t port)
{
    for (const uint16_t *skip = host->skip_inbound; *skip; skip++)
        if (*skip == port)
            return true;
    return false;
}

/* PREROUTING: what comes from another host goes to the proxy's inbound port. */
static struct addr after_redirection(const struct sock *sock)
{
    struct addr addr = sock->remote;

    if (sock->host != sock->to && sock->to->inbound_port && !is_skipped(sock->to, addr.port))
        addr.port = sock->to->inbound_port;
    return addr;
}

static int listener_queue(const struct sock *listener)
{
    int count = 0;

    LIST_FOR_EACH (link, &listener->queue)
        count++;
    return count;
}

static void refuse(struct sock *sock)
{
    sock->refused = true; /* the answer travels back: see arrive() */
    sock->retry_ns = 0;
    happening_set(sock->net->world, &sock->arrival, sock->net->world->now_ns + latency(sock), arrive);
}

/* The first packet of a connection. False: it is dropped, and sent again later. */
static bool arrive_open(struct sock *sock)
{
    struct net *net = sock->net;
    struct addr addr = after_redirection(sock);
    struct sock *listener = find_listener(net, sock->to, addr), *other;

    if (!listener) {
        refuse(sock);
        return true;
    }
    if (listener_queue(listener) >= listener->backlog)
        return false;
    other = sock_new(net, sock->to, SOCK_OPEN);
    other->to = sock->host;
    other->other = sock;
    sock->other = other;
    other->local = addr;
    other->remote = sock->local;
    other->original = sock->original.port ? sock->original : sock->remote;
    other->closed = true; /* until a program accepts it; close() of the listener resets it */
    other->queued = true;
    list_push(&listener->queue, &other->waiting);
    wire_put(other, SEGMENT_OPENED, NULL, 0);
    sock_happened(listener);
    return true;
}

static void again_later(struct sock *sock, int64_t in_ns)
{
    happening_set(sock->net->world, &sock->arrival, sock->net->world->now_ns + in_ns, arrive);
}

static void resend(struct sock *sock)
{
    sock->retry_ns = sock->retry_ns ? sock->retry_ns * 2 : RESEND_MIN_NS;
    if (sock->retry_ns > RESEND_MAX_NS)
        sock->retry_ns = RESEND_MAX_NS;
    again_later(sock, sock->retry_ns);
}

static bool is_chance_of_reset(struct sock *sock, const struct segment *segment)
{
    return segment->kind == SEGMENT_BYTES && sock->host != sock->to && world_one_in(sock->net->world, sock->net->faults.reset_one_in);
}

static void break_off(struct sock *sock)
{
    struct sock *other = sock->other;

    receive_reset(sock);
    if (other)
        receive_reset(other);
    drop_wire(sock);
    if (other)
        drop_wire(other);
}

/* The first segment on the socket's wire reaches the other side. */
static void arrive(struct happening *happening)
{
    struct sock *sock = CONTAINER_OF(happening, struct sock, arrival);
    struct segment *segment = CONTAINER_OF(sock->wire.next, struct segment, link);

    if (sock->refused) {
        sock->refused = false;
        receive_reset(sock);
        drop_wire(sock);
        free_if_over(sock);
        return;
    }
    if (list_empty(&sock->wire))
        return;
    if (sock->mute) {
        drop_wire(sock);
        free_if_over(sock);
        return;
    }
    if (!sock->to || is_cut(sock)) {
        resend(sock);
        return;
    }
    sock->retry_ns = 0;
    if (segment->kind == SEGMENT_OPEN) {
        if (!arrive_open(sock)) {
            again_later(sock, SYN_RETRY_NS);
            return;
        }
        if (sock->refused)
            return;
    } else if (is_chance_of_reset(sock, segment)) {
        world_note(sock->net->world, "reset by the network: %u", sock->number);
        break_off(sock);
        free_if_over(sock);
        return;
    }
    list_remove(&segment->link);
    if (sock->other)
        receive(sock->other, segment);
    free(segment);
    arm(sock);
    free_if_over(sock);
}

/* A program's end of it. */
void sock_close(struct sock *sock, bool abort_it)
{
    bool was_connecting = sock->state == SOCK_CONNECTING;

    sock->closed = true;
    if (was_connecting && !sock->other) {
        sock->refused = false;
        drop_wire(sock); /* nobody has heard of it */
    } else if (sock->dead) {
        ;
    } else if (abort_it || sock->len || was_connecting) {
        wire_lose_some(sock);
        wire_put(sock, SEGMENT_RESET, NULL, 0);
        sock->dead = true;
    } else if (!sock->shut) {
        wire_put(sock, SEGMENT_END, NULL, 0);
    }
    sock->shut = true;
    free_if_over(sock);
}

void listener_close(struct sock *listener)
{
    struct list *link;

    while ((link = list_pop(&listener->queue))) {
        struct sock *sock = CONTAINER_OF(link, struct sock, waiting);

        sock->queued = false;
        sock_close(sock, true);
    }
    listener->state = SOCK_OPEN; /* is found by nobody */
    sock_free(listener);
}

/* --- faults --- */

void net_cut(struct net *net, struct host *a, struct host *b)
{
    world_note(net->world, "cut %s %s", a->name, b->name);
    net->cut[a->index][b->index] = net->cut[b->index][a->index] = true;
}

void net_heal(struct net *net, struct host *a, struct host *b)
{
    world_note(net->world, "heal %s %s", a->name, b->name);
    net->cut[a->index][b->index] = net->cut[b->index][a->index] = false;
}

void net_heal_all(struct net *net)
{
    world_note(net->world, "heal all");
    memset(net->cut, 0, sizeof(net->cut));
}

void net_reset(struct net *net, struct host *host)
{
    world_note(net->world, "reset all of %s", host->name);
    LIST_FOR_EACH (link, &net->all) {
        struct sock *sock = CONTAINER_OF(link, struct sock, all);

        if (sock->host == host && sock->to != host && sock->other && !sock->dead)
            break_off(sock);
    }
}

void net_give_up(struct net *net)
{
    LIST_FOR_EACH (link, &net->all) {
        struct sock *sock = CONTAINER_OF(link, struct sock, all);

        if (!sock->mute || sock->dead)
            continue;
        receive_reset(sock);
        if (sock->error)
            sock->error = ETIMEDOUT;
    }
}

void net_mute(struct net *net, struct host *host)
{
    world_note(net->world, "mute all of %s", host->name);
    LIST_FOR_EACH (link, &net->all) {
        struct sock *sock = CONTAINER_OF(link, struct sock, all);

        if (sock->host == host && sock->to != host && sock->other)
            sock->mute = sock->other->mute = true;
    }
}
