/* The resolver over c-ares: its sockets are watched by our loop, its time-outs are a timer of ours. */
#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>

#include "base/duration.h"
#include "net/resolver.h"

enum {
    SOCKETS_MAX = 16,      /* that c-ares may use at once */
    SRV_TARGETS_MAX = 32,  /* of one answer; more are ignored */
    TRIES = 2,
    TRY_MS = 2000,
};

static const int64_t LEAST_TTL_NS = 5 * NS_PER_S;

struct dns;

struct dns_socket {
    struct watch watch;
    struct dns *dns;
    bool used;
};

struct dns {
    struct resolver resolver;
    ares_channel channel;
    struct dns_socket sockets[SOCKETS_MAX];
    struct task ready;
    struct timer timeout;
    int64_t min_ttl_ns, max_ttl_ns;
};

/* One lookup that c-ares runs for a query; c-ares calls back exactly once, perhaps after the query was cancelled. */
struct lookup {
    struct resolver_query *query; /* NULL: cancelled */
    struct lookup *sibling;       /* other lookups of the query */
    struct dns *dns;
    uint16_t port;
};

static void arm(struct dns *dns)
{
    struct timeval tv, *next = ares_timeout(dns->channel, NULL, &tv);

    if (next)
        timer_set(dns->resolver.loop, &dns->timeout,
                  dns->resolver.loop->now_ns + next->tv_sec * NS_PER_S + next->tv_usec * NS_PER_US);
    else
        timer_cancel(&dns->timeout);
}

/* c-ares reads its sockets until they are empty, so that asking it to look at each of them is right with edges. */
static void process(struct task *task)
{
    struct dns *dns = CONTAINER_OF(task, struct dns, ready);

    for (int i = 0; i < SOCKETS_MAX; i++)
        if (dns->sockets[i].used)
            ares_process_fd(dns->channel, dns->sockets[i].watch.fd, dns->sockets[i].watch.fd);
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm(dns);
}

static void timed_out(struct timer *timer)
{
    struct dns *dns = CONTAINER_OF(timer, struct dns, timeout);

    task_wake(dns->resolver.loop, &dns->ready);
}

static void socket_ready(struct watch *watch, unsigned what)
{
    struct dns_socket *socket = CONTAINER_OF(watch, struct dns_socket, watch);

    task_wake(socket->dns->resolver.loop, &socket->dns->ready);
}

/* c-ares opens and closes sockets by itself and tells here. */
static void socket_state(void *owner, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = owner;
    struct dns_socket *free_one = NULL;

    for (int i = 0; i < SOCKETS_MAX; i++) {
        struct dns_socket *socket = &dns->sockets[i];

        if (socket->used && socket->watch.fd == fd) {
            if (!readable && !writable) {
                watch_stop(dns->resolver.loop, &socket->watch);
                socket->used = false;
            }
            return;
        }
        if (!socket->used && !free_one)
            free_one = socket;
    }
    if (!free_one || (!readable && !writable))
        return;
    free_one->dns = dns;
    free_one->used = watch_start(dns->resolver.loop, &free_one->watch, fd, 0, socket_ready) == 0;
}

static void add_addr(struct dns *dns, struct resolver_query *query, struct ip ip, uint16_t port, int ttl_s)
{
    struct resolver_answer *answer = &query->answer;
    int64_t ttl_ns = ttl_s * NS_PER_S;

    if (answer->count >= RESOLVER_ADDRS_MAX)
        return;
    if (ttl_ns < dns->min_ttl_ns)
        ttl_ns = dns->min_ttl_ns;
    if (dns->max_ttl_ns && ttl_ns > dns->max_ttl_ns)
        ttl_ns = dns->max_ttl_ns;
    if (answer->count == 0 || ttl_ns < answer->ttl_ns)
        answer->ttl_ns = ttl_ns;
    answer->addrs[answer->count++] = (struct addr){ip, port};
}

static int error_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
        return -ENOENT;
    case ARES_ETIMEOUT:
        return -ETIMEDOUT;
    case ARES_ENOMEM:
        return -ENOMEM;
    default:
        return -EIO;
    }
}

/* Takes the lookup out of its query's list. */
static void unlink_lookup(struct lookup *lookup)
{
    struct lookup **at = (struct lookup **)&lookup->query->lookups;

    while (*at != lookup)
        at = &(*at)->sibling;
    *at = lookup->sibling;
}

/* One lookup has ended; the last one tells. An address from any of them makes the answer good. */
static void ended(struct lookup *lookup, int error)
{
    struct resolver_query *query = lookup->query;
    struct dns *dns = lookup->dns;

    if (query) {
        unlink_lookup(lookup);
        if (error && !query->answer.error)
            query->answer.error = error;
        if (--query->waiting == 0) {
            if (query->answer.count)
                query->answer.error = 0;
            else if (!query->answer.error)
                query->answer.error = -ENOENT;
            task_wake(dns->resolver.loop, &query->told);
        }
    }
    free(lookup);
}

static int read_v4(struct lookup *lookup, const unsigned char *reply, int len)
{
    struct ares_addrttl found[RESOLVER_ADDRS_MAX];
    int count = RESOLVER_ADDRS_MAX, status = ares_parse_a_reply(reply, len, NULL, found, &count);

    for (int i = 0; status == ARES_SUCCESS && i < count; i++) {
        struct ip ip = {.version = 4};

        memcpy(ip.bytes, &found[i].ipaddr, 4);
        add_addr(lookup->dns, lookup->query, ip, lookup->port, found[i].ttl);
    }
    return status;
}

static int read_v6(struct lookup *lookup, const unsigned char *reply, int len)
{
    struct ares_addr6ttl found[RESOLVER_ADDRS_MAX];
    int count = RESOLVER_ADDRS_MAX, status = ares_parse_aaaa_reply(reply, len, NULL, found, &count);

    for (int i = 0; status == ARES_SUCCESS && i < count; i++)
        add_addr(lookup->dns, lookup->query, ip_v6((const uint8_t *)&found[i].ip6addr), lookup->port, found[i].ttl);
    return status;
}

static void got_v4(void *owner, int status, int timeouts, unsigned char *reply, int len)
{
    struct lookup *lookup = owner;

    if (status == ARES_SUCCESS && lookup->query)
        status = read_v4(lookup, reply, len);
    ended(lookup, error_of(status));
}

static void got_v6(void *owner, int status, int timeouts, unsigned char *reply, int len)
{
    struct lookup *lookup = owner;

    if (status == ARES_SUCCESS && lookup->query)
        status = read_v6(lookup, reply, len);
    ended(lookup, error_of(status));
}

static int ask(struct dns *dns, struct resolver_query *query, const char *name, int type, uint16_t port,
               ares_callback got)
{
    struct lookup *lookup = malloc(sizeof(*lookup));

    if (!lookup)
        return -ENOMEM;
    *lookup = (struct lookup){query, query->lookups, dns, port};
    query->lookups = lookup;
    query->waiting++;
    ares_query(dns->channel, name, ns_c_in, type, got, lookup);
    return 0;
}

/* Asks for both families; an error only when neither could be asked. */
static int ask_addresses(struct dns *dns, struct resolver_query *query, const char *name, uint16_t port)
{
    int v4 = ask(dns, query, name, ns_t_a, port, got_v4);
    int v6 = ask(dns, query, name, ns_t_aaaa, port, got_v6);

    return v4 < 0 && v6 < 0 ? v4 : 0;
}

static void got_srv(void *owner, int status, int timeouts, unsigned char *reply, int len)
{
    struct lookup *lookup = owner;
    struct resolver_query *query = lookup->query;
    struct ares_srv_reply *targets = NULL;
    int asked = 0;

    if (!query) {
        ended(lookup, 0);
        return;
    }
    if (status == ARES_SUCCESS)
        status = ares_parse_srv_reply(reply, len, &targets);
    for (struct ares_srv_reply *srv = targets; srv && asked < SRV_TARGETS_MAX; srv = srv->next)
        if (srv->host[0] && ask_addresses(lookup->dns, query, srv->host, srv->port) == 0)
            asked++;
    query->answer.srv = asked > 0;
    if (targets)
        ares_free_data(targets);
    if (!asked) { /* no such records, which is usual: the name itself then */
        char *name = slice_dup(query->host);

        if (name)
            (void)ask_addresses(lookup->dns, query, name, query->port);
        free(name);
    }
    ended(lookup, 0);
}

static int dns_start(struct resolver *resolver, struct resolver_query *query)
{
    struct dns *dns = CONTAINER_OF(resolver, struct dns, resolver);
    char *name = slice_dup(query->host);
    int r;

    if (!name)
        return -ENOMEM;
    r = ask(dns, query, name, ns_t_srv, query->port, got_srv);
    free(name);
    arm(dns);
    return r;
}

static void dns_cancel(struct resolver *resolver, struct resolver_query *query)
{
    for (struct lookup *lookup = query->lookups; lookup; lookup = lookup->sibling)
        lookup->query = NULL;
    query->lookups = NULL;
}

static void dns_free(struct resolver *resolver)
{
    struct dns *dns = CONTAINER_OF(resolver, struct dns, resolver);

    ares_destroy(dns->channel);
    task_cancel(&dns->ready);
    timer_release(resolver->loop, &dns->timeout);
    free(dns);
}

static const struct resolver_ops dns_ops = {.start = dns_start, .cancel = dns_cancel, .free = dns_free};

int resolver_dns_new(struct loop *loop, int64_t min_ttl_ns, int64_t max_ttl_ns, struct resolver **ret_resolver)
{
    struct dns *dns = calloc(1, sizeof(*dns));
    struct ares_options options = {0};
    int r;

    if (!dns)
        return -ENOMEM;
    dns->resolver = (struct resolver){&dns_ops, loop};
    dns->min_ttl_ns = min_ttl_ns ? min_ttl_ns : LEAST_TTL_NS;
    dns->max_ttl_ns = max_ttl_ns;
    task_init(&dns->ready, process);
    for (int i = 0; i < SOCKETS_MAX; i++)
        dns->sockets[i].watch.fd = -1;
    r = timer_init(loop, &dns->timeout, timed_out);
    if (r < 0) {
        free(dns);
        return r;
    }
    options.sock_state_cb = socket_state;
    options.sock_state_cb_data = dns;
    options.timeout = TRY_MS;
    options.tries = TRIES;
    options.ndomains = 0;
    if (ares_init_options(&dns->channel, &options,
                          ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS) !=
        ARES_SUCCESS) {
        timer_release(loop, &dns->timeout);
        free(dns);
        return -EIO;
    }
    *ret_resolver = &dns->resolver;
    return 0;
}
