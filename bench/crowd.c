/*
 * A crowd of subscribers for the bench: many connections to Destination, with streams that stay. It knows just enough of
 * HTTP/2 and of the proxy API to say when the last of its streams heard of an address, and takes little of the machine that
 * it shares with what is measured: one thread, no memory of what it need not compare.
 *
 *     crowd HOST PORT NODES SERVICES NAMESPACES [NAME CERTIFICATE ANCHORS]    (the last three: mutual TLS)
 *
 * Subscriber i comes from node-(i mod NODES). Its first stream watches the service that all watch, front.front, and its second
 * svc-S.ns-N, one of SERVICES in NAMESPACES. Commands on standard input, answers on standard output, times in nanoseconds of
 * CLOCK_MONOTONIC:
 *
 *     connect N           until there are N subscribers and each stream has its first answer
 *                         -> connected N FIRST LAST P50 MAX    (moments; nanoseconds from asking to the answer)
 *     await +A|-A         -> awaiting +A; later, when each stream of front has been told of the address (added or removed):
 *                         -> reached +A FIRST LAST
 *     state A,B,...       which streams of front know just these addresses
 *                         -> state SAME OTHER
 *     counts              -> counts MESSAGES BYTES ENDED       (since the beginning; streams that were ended are opened again)
 *
 * Ends with its standard input, or with a sentence and 1 when a peer does what it must not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { STREAMS = 2, FRAME_HEAD = 9, PIECE = 256 * 1024, AWAITED_MAX = 4096, WINDOW = 1 << 30, AT_ONCE = 64 };
enum { F_DATA = 0, F_HEADERS = 1, F_RESET = 3, F_SETTINGS = 4, F_PING = 6, F_GOAWAY = 7, F_WINDOW = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct bytes {
    uint8_t *data;
    size_t len, size;
};

struct stream {
    uint32_t id;
    bool front, answered;
    int64_t asked_ns, first_ns;
    struct bytes message; /* gRPC, with its head, as far as it has come */
    uint32_t *known;      /* IPv4 addresses; of front only */
    size_t known_count, known_size;
};

struct subscriber {
    int fd;
    SSL *ssl;
    size_t number;
    struct bytes in;
    uint32_t next_id;
    struct stream streams[STREAMS];
};

/* An address that all streams of front are to hear of. */
struct awaited {
    bool removed;
    uint32_t address;
    size_t heard;
    int64_t first_ns, last_ns;
};

struct crowd {
    struct sockaddr_in peer;
    size_t nodes, services, namespaces;
    SSL_CTX *tls;
    const char *name;
    struct subscriber *all;
    size_t count, wanted, answered;
    struct awaited awaited[AWAITED_MAX];
    size_t awaited_count;
    uint64_t messages, message_bytes, ended;
    int epoll;
    int64_t now_ns; /* when what is being read came */
    struct bytes lines;
};

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("crowd: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void append(struct bytes *to, const void *data, size_t len)
{
    if (to->len + len > to->size) {
        to->size = (to->len + len) * 2;
        to->data = realloc(to->data, to->size);
        if (!to->data)
            die("no memory");
    }
    memcpy(to->data + to->len, data, len);
    to->len += len;
}

static void drop(struct bytes *from, size_t len)
{
    memmove(from->data, from->data + len, from->len - len);
    from->len -= len;
    if (!from->len) { /* an idle subscriber holds nothing */
        free(from->data);
        *from = (struct bytes){NULL, 0, 0};
    }
}

/* ---- writing; small, and always taken at once ---- */

static void put(struct subscriber *s, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len) {
        ssize_t n = s->ssl ? SSL_write(s->ssl, at, (int)len) : send(s->fd, at, len, MSG_NOSIGNAL);

        if (n <= 0 && !(errno == EAGAIN || errno == EINTR))
            die("subscriber %zu cannot write", s->number);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

static void frame(struct bytes *out, int kind, int flags, uint32_t id, const void *payload, size_t len)
{
    uint8_t head[FRAME_HEAD] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)kind, (uint8_t)flags,
                                (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

    append(out, head, sizeof(head));
    append(out, payload, len);
}

/* RFC 7541, 6.2.2: not indexed, with an indexed name (up to 14) or a new one; all lengths below 127. */
static void literal(struct bytes *out, int index, const char *name, const char *value)
{
    append(out, &(uint8_t){(uint8_t)index}, 1);
    if (!index) {
        append(out, &(uint8_t){(uint8_t)strlen(name)}, 1);
        append(out, name, strlen(name));
    }
    append(out, &(uint8_t){(uint8_t)strlen(value)}, 1);
    append(out, value, strlen(value));
}

static void text_field(struct bytes *out, int number, const char *text)
{
    append(out, (uint8_t[]){(uint8_t)(number << 3 | 2), (uint8_t)strlen(text)}, 2);
    append(out, text, strlen(text));
}

static void ask(struct crowd *crowd, struct subscriber *s, struct stream *stream, struct bytes *out)
{
    struct bytes head = {NULL, 0, 0}, body = {NULL, 0, 0};
    char path[80], token[100];
    size_t service = s->number % crowd->services;

    snprintf(path, sizeof(path), "svc-%zu.ns-%zu.svc.cluster.local:80", service, service % crowd->namespaces);
    snprintf(token, sizeof(token), "{\"ns\":\"ns-%zu\",\"nodeName\":\"node-%zu\",\"pod\":\"client-%zu\"}", s->number % crowd->namespaces,
             s->number % crowd->nodes, s->number);
    text_field(&body, 2, stream->front ? "front.front.svc.cluster.local:80" : path);
    text_field(&body, 3, token);
    append(&head, "\x83\x86", 2); /* POST, http */
    literal(&head, 4, NULL, "/io.linkerd.proxy.destination.Destination/Get");
    literal(&head, 1, NULL, crowd->name);
    literal(&head, 0, "te", "trailers");
    literal(&head, 0, "content-type", "application/grpc");
    stream->id = s->next_id;
    s->next_id += 2;
    stream->asked_ns = now();
    frame(out, F_HEADERS, END_HEADERS, stream->id, head.data, head.len);
    head.len = 0;
    append(&head, (uint8_t[]){0, 0, 0, 0, (uint8_t)body.len}, 5);
    append(&head, body.data, body.len);
    frame(out, F_DATA, END_STREAM, stream->id, head.data, head.len);
    free(head.data);
    free(body.data);
}

/* ---- what is heard ---- */

static void hear(struct crowd *crowd, bool removed, uint32_t address)
{
    for (size_t i = 0; i < crowd->awaited_count; i++) {
        struct awaited *awaited = &crowd->awaited[i];
        struct in_addr in = {htonl(address)};

        if (awaited->address != address || awaited->removed != removed)
            continue;
        if (!awaited->heard++)
            awaited->first_ns = crowd->now_ns;
        awaited->last_ns = crowd->now_ns;
        if (awaited->heard < crowd->count)
            return;
        printf("reached %c%s %lld %lld\n", removed ? '-' : '+', inet_ntoa(in), (long long)awaited->first_ns, (long long)awaited->last_ns);
        *awaited = crowd->awaited[--crowd->awaited_count];
        return;
    }
}

static size_t place(const struct stream *stream, uint32_t address)
{
    size_t at = 0;

    while (at < stream->known_count && stream->known[at] != address)
        at++;
    return at;
}

static void learn(struct crowd *crowd, struct stream *stream, bool removed, uint32_t address)
{
    size_t at = place(stream, address);
    bool known = at < stream->known_count;

    if (removed && known) {
        stream->known[at] = stream->known[--stream->known_count];
        hear(crowd, true, address);
    } else if (!removed && !known) {
        if (stream->known_count == stream->known_size) {
            stream->known_size = stream->known_size ? stream->known_size * 2 : 8;
            stream->known = realloc(stream->known, stream->known_size * sizeof(*stream->known));
            if (!stream->known)
                die("no memory");
        }
        stream->known[stream->known_count++] = address;
        hear(crowd, false, address);
    }
}

struct reader {
    const uint8_t *at, *end;
};

static uint64_t varint(struct reader *r)
{
    uint64_t value = 0;

    for (int shift = 0; r->at < r->end && shift < 64; shift += 7) {
        uint8_t byte = *r->at++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    return value;
}

/* The next field; what is inside, or its number. False at the end. */
static bool field(struct reader *r, unsigned *ret_number, struct reader *ret_inside, uint64_t *ret_value)
{
    uint64_t tag, len = 0;

    if (r->at >= r->end)
        return false;
    tag = varint(r);
    *ret_number = (unsigned)(tag >> 3);
    *ret_inside = (struct reader){r->at, r->at};
    switch (tag & 7) {
    case 0: *ret_value = varint(r); return true;
    case 1: len = 8; break;
    case 2: len = varint(r); break;
    case 5: len = 4; break;
    default: die("a message that is no protobuf");
    }
    if (len > (uint64_t)(r->end - r->at))
        die("a field that is longer than its message");
    *ret_inside = (struct reader){r->at, r->at + len};
    if ((tag & 7) == 5)
        *ret_value = (uint64_t)r->at[0] | (uint64_t)r->at[1] << 8 | (uint64_t)r->at[2] << 16 | (uint64_t)r->at[3] << 24;
    r->at += len;
    return true;
}

/* Of a TcpAddress the IPv4 address. */
static uint32_t address_in(struct reader tcp)
{
    struct reader ip, value;
    uint64_t number = 0;
    unsigned tag;

    while (field(&tcp, &tag, &ip, &number))
        if (tag == 1)
            while (field(&ip, &tag, &value, &number))
                if (tag == 1)
                    return (uint32_t)number;
    return 0;
}

static void read_message(struct crowd *crowd, struct stream *stream, struct reader message)
{
    struct reader set, entry, inside;
    unsigned kind, tag, inner;
    uint64_t number;

    crowd->messages++;
    crowd->message_bytes += (size_t)(message.end - message.at);
    if (!stream->answered) {
        stream->answered = true;
        stream->first_ns = crowd->now_ns;
        crowd->answered++;
    }
    if (!stream->front)
        return;
    while (field(&message, &kind, &set, &number))
        while (kind <= 2 && field(&set, &tag, &entry, &number)) {
            if (tag != 1)
                continue;
            if (kind == 2)
                learn(crowd, stream, true, address_in(entry));
            else
                while (field(&entry, &inner, &inside, &number))
                    if (inner == 1)
                        learn(crowd, stream, false, address_in(inside));
        }
}

static void read_data(struct crowd *crowd, struct stream *stream, const uint8_t *data, size_t len)
{
    append(&stream->message, data, len);
    while (stream->message.len >= 5) {
        const uint8_t *head = stream->message.data;
        size_t size = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];

        if (stream->message.len < 5 + size)
            break;
        read_message(crowd, stream, (struct reader){head + 5, head + 5 + size});
        drop(&stream->message, 5 + size);
    }
}

/* ---- reading ---- */

static struct stream *find_stream(struct subscriber *s, uint32_t id)
{
    for (int i = 0; i < STREAMS; i++)
        if (s->streams[i].id == id)
            return &s->streams[i];
    return NULL;
}

/* The stream was ended: it knows nothing any more, and asks again. */
static void ask_again(struct crowd *crowd, struct subscriber *s, struct stream *stream)
{
    struct bytes out = {NULL, 0, 0};

    crowd->ended++;
    crowd->answered -= stream->answered;
    stream->answered = false;
    stream->known_count = 0;
    drop(&stream->message, stream->message.len);
    ask(crowd, s, stream, &out);
    put(s, out.data, out.len);
    free(out.data);
}

static void acknowledge(struct subscriber *s, int kind, const void *payload, size_t len)
{
    struct bytes out = {NULL, 0, 0};

    frame(&out, kind, ACK, 0, payload, len);
    put(s, out.data, out.len);
    free(out.data);
}

static void read_frame(struct crowd *crowd, struct subscriber *s, const uint8_t *head, const uint8_t *payload, size_t len)
{
    uint32_t id = (uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
    struct stream *stream = find_stream(s, id);
    int kind = head[3], flags = head[4];

    if (kind == F_DATA && stream)
        read_data(crowd, stream, payload, len);
    else if (kind == F_SETTINGS && !(flags & ACK))
        acknowledge(s, F_SETTINGS, "", 0);
    else if (kind == F_PING && !(flags & ACK))
        acknowledge(s, F_PING, payload, len);
    else if (kind == F_GOAWAY)
        die("subscriber %zu was sent away", s->number);
    if (stream && ((kind == F_RESET) || ((kind == F_HEADERS || kind == F_DATA) && (flags & END_STREAM))))
        ask_again(crowd, s, stream);
}

static void read_frames(struct crowd *crowd, struct subscriber *s)
{
    size_t at = 0;

    while (s->in.len - at >= FRAME_HEAD) {
        const uint8_t *head = s->in.data + at;
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];

        if (s->in.len - at < FRAME_HEAD + len)
            break;
        read_frame(crowd, s, head, head + FRAME_HEAD, len);
        at += FRAME_HEAD + len;
    }
    if (at)
        drop(&s->in, at);
}

static void read_some(struct crowd *crowd, struct subscriber *s)
{
    static uint8_t piece[PIECE];

    for (;;) {
        ssize_t n = s->ssl ? SSL_read(s->ssl, piece, sizeof(piece)) : recv(s->fd, piece, sizeof(piece), 0);

        if (n <= 0) {
            if (s->ssl ? SSL_get_error(s->ssl, (int)n) == SSL_ERROR_WANT_READ : n < 0 && errno == EAGAIN)
                return;
            die("subscriber %zu was closed", s->number);
        }
        crowd->now_ns = now();
        append(&s->in, piece, (size_t)n);
        read_frames(crowd, s);
        if (!s->ssl && n < (ssize_t)sizeof(piece))
            return;
    }
}

/* ---- connecting ---- */

static void secure(struct crowd *crowd, struct subscriber *s)
{
    s->ssl = SSL_new(crowd->tls);
    if (!s->ssl || !SSL_set_fd(s->ssl, s->fd) || !SSL_set_tlsext_host_name(s->ssl, crowd->name) || SSL_connect(s->ssl) != 1) {
        ERR_print_errors_fp(stderr);
        die("subscriber %zu: TLS failed", s->number);
    }
}

static void greet(struct bytes *out)
{
    uint8_t window[6] = {0, 4, WINDOW >> 24, (WINDOW >> 16) & 0xff, (WINDOW >> 8) & 0xff, WINDOW & 0xff};

    append(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    frame(out, F_SETTINGS, 0, 0, window, sizeof(window));
    frame(out, F_WINDOW, 0, 0, window + 2, 4);
}

static void open_one(struct crowd *crowd)
{
    struct subscriber *s = &crowd->all[crowd->count];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    struct bytes out = {NULL, 0, 0};

    *s = (struct subscriber){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .number = crowd->count, .next_id = 1};
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&crowd->peer, sizeof(crowd->peer)) < 0)
        die("subscriber %zu cannot connect: %s", s->number, strerror(errno));
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (crowd->tls)
        secure(crowd, s);
    greet(&out);
    for (int i = 0; i < STREAMS; i++) {
        s->streams[i].front = i == 0;
        ask(crowd, s, &s->streams[i], &out);
    }
    put(s, out.data, out.len);
    free(out.data);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, s->fd, &event);
    crowd->count++;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static void tell_connected(struct crowd *crowd, size_t from)
{
    size_t count = 0;
    int64_t *took = calloc((crowd->count - from) * STREAMS + 1, sizeof(*took)), first = INT64_MAX, last = 0;

    if (!took)
        die("no memory");
    for (size_t i = from; i < crowd->count; i++)
        for (int j = 0; j < STREAMS; j++) {
            const struct stream *stream = &crowd->all[i].streams[j];

            took[count++] = stream->first_ns - stream->asked_ns;
            first = stream->first_ns < first ? stream->first_ns : first;
            last = stream->first_ns > last ? stream->first_ns : last;
        }
    qsort(took, count, sizeof(*took), by_value);
    printf("connected %zu %lld %lld %lld %lld\n", crowd->count, (long long)first, (long long)last,
           count ? (long long)took[count / 2] : 0, count ? (long long)took[count - 1] : 0);
    free(took);
}

static void turn(struct crowd *crowd, int timeout_ms);

/* A few at a time: what is measured is how long an answer takes, not a queue of connections. */
static void connect_up_to(struct crowd *crowd, size_t wanted)
{
    size_t from = crowd->count;

    crowd->all = crowd->all ? crowd->all : calloc(65536, sizeof(*crowd->all));
    if (!crowd->all || wanted > 65536)
        die("too many subscribers");
    while (crowd->count < wanted || crowd->answered < crowd->count * STREAMS) {
        for (int i = 0; i < AT_ONCE && crowd->count < wanted && crowd->count * STREAMS < crowd->answered + (size_t)AT_ONCE * STREAMS; i++)
            open_one(crowd);
        turn(crowd, 1000);
    }
    tell_connected(crowd, from);
}

/* ---- commands ---- */

static void await(struct crowd *crowd, const char *text)
{
    struct in_addr in;

    if (crowd->awaited_count == AWAITED_MAX || (text[0] != '+' && text[0] != '-') || !inet_aton(text + 1, &in))
        die("cannot await %s", text);
    crowd->awaited[crowd->awaited_count++] = (struct awaited){.removed = text[0] == '-', .address = ntohl(in.s_addr)};
    printf("awaiting %s\n", text);
}

static void tell_state(struct crowd *crowd, char *text)
{
    struct stream wanted = {0};
    size_t same = 0;

    for (char *rest = text, *one; (one = strsep(&rest, ","));) {
        struct in_addr in;

        if (!inet_aton(one, &in))
            die("no address: %s", one);
        learn(crowd, &wanted, false, ntohl(in.s_addr));
    }
    for (size_t i = 0; i < crowd->count; i++) {
        const struct stream *stream = &crowd->all[i].streams[0];
        size_t found = 0;

        for (size_t j = 0; j < stream->known_count; j++)
            found += place(&wanted, stream->known[j]) < wanted.known_count;
        same += found == wanted.known_count && stream->known_count == wanted.known_count;
    }
    free(wanted.known);
    printf("state %zu %zu\n", same, crowd->count - same);
}

static void obey(struct crowd *crowd, char *line)
{
    char *rest = line, *word = strsep(&rest, " ");

    if (!strcmp(word, "connect") && rest)
        connect_up_to(crowd, (size_t)strtoul(rest, NULL, 10));
    else if (!strcmp(word, "await") && rest)
        await(crowd, rest);
    else if (!strcmp(word, "state") && rest)
        tell_state(crowd, rest);
    else if (!strcmp(word, "counts"))
        printf("counts %llu %llu %llu\n", (unsigned long long)crowd->messages, (unsigned long long)crowd->message_bytes,
               (unsigned long long)crowd->ended);
    else
        die("unknown command: %s", word);
}

static void read_commands(struct crowd *crowd)
{
    char piece[65536], *end;
    ssize_t n = read(STDIN_FILENO, piece, sizeof(piece));

    if (n <= 0)
        exit(0);
    append(&crowd->lines, piece, (size_t)n);
    while (crowd->lines.len && (end = memchr(crowd->lines.data, '\n', crowd->lines.len))) {
        size_t len = (size_t)((uint8_t *)end - crowd->lines.data);
        char *line = strndup((char *)crowd->lines.data, len);

        if (!line)
            die("no memory");
        drop(&crowd->lines, len + 1); /* before it runs: connecting reads on */
        obey(crowd, line);
        free(line);
    }
}

static void turn(struct crowd *crowd, int timeout_ms)
{
    struct epoll_event events[256];
    int count = epoll_wait(crowd->epoll, events, 256, timeout_ms);

    for (int i = 0; i < count; i++)
        if (events[i].data.ptr)
            read_some(crowd, events[i].data.ptr);
    fflush(stdout);
}

static SSL_CTX *tls_context(const char *certificate, const char *anchors)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

    if (!tls || SSL_CTX_use_certificate_chain_file(tls, certificate) != 1 || SSL_CTX_use_PrivateKey_file(tls, certificate, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(tls, anchors, NULL) != 1 || SSL_CTX_set_alpn_protos(tls, (const uint8_t *)"\x02h2", 3) != 0)
        die("%s or %s cannot be used", certificate, anchors);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    return tls;
}

int main(int argc, char **argv)
{
    static struct crowd crowd;
    struct epoll_event event = {.events = EPOLLIN};

    if (argc != 6 && argc != 9)
        die("usage: crowd HOST PORT NODES SERVICES NAMESPACES [NAME CERTIFICATE ANCHORS]");
    crowd.peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10))};
    crowd.nodes = strtoul(argv[3], NULL, 10);
    crowd.services = strtoul(argv[4], NULL, 10);
    crowd.namespaces = strtoul(argv[5], NULL, 10);
    crowd.name = argc == 9 ? argv[6] : "destination";
    if (!inet_aton(argv[1], &crowd.peer.sin_addr) || !crowd.nodes || !crowd.services || !crowd.namespaces)
        die("HOST is an IPv4 address, the numbers are above 0");
    if (argc == 9)
        crowd.tls = tls_context(argv[7], argv[8]);
    crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(crowd.epoll, events, 256, -1);
        bool command = false;

        for (int i = 0; i < count; i++)
            if (events[i].data.ptr)
                read_some(&crowd, events[i].data.ptr);
            else
                command = true;
        if (command)
            read_commands(&crowd);
        fflush(stdout);
    }
}
