#include "event/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/duration.h"

enum { DIRECTIVES_MAX = 32, TARGET_MAX = 48, LIMITED_MAX = 64, NOTE_MAX = 256, DRAIN_WAIT_S = 1 };

struct directive {
    char target[TARGET_MAX]; /* "": all */
    enum log_level level;
};

struct filter {
    struct directive items[DIRECTIVES_MAX];
    unsigned count;
    char text[512];
};

struct log {
    struct sys *sys;
    int fd;
    enum log_format format;
    pthread_mutex_t lock;
    pthread_cond_t more;
    pthread_t thread;
    char *queue; /* a ring of whole lines */
    size_t head, len;
    uint64_t dropped, dropped_told;
    bool stop;
    struct filter filter;
    _Atomic(enum log_level) most; /* of any directive: what is above is not even looked at */
    struct { const char *target; enum log_level level; int64_t last_ns; } limited[LIMITED_MAX];
};

static const char *const names[] = {"OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};

const char *log_level_name(enum log_level level)
{
    return names[level];
}

static int read_level(struct slice text, enum log_level *ret_level)
{
    for (int i = 0; i <= LOG_TRACE; i++)
        if (slice_eq_nocase(text, slice_str(names[i]))) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    return -EINVAL;
}

/* One of "level", "target=level", "target" (all of it), or a form with spans ("[{...}]=off"), which we have none of. */
static int read_directive(struct slice text, struct filter *filter)
{
    struct directive *directive = &filter->items[filter->count];
    size_t eq = slice_find(text, '=');
    struct slice target = slice_take(text, eq);
    enum log_level level = LOG_TRACE;

    if (text.len == 0)
        return 0;
    if (eq == text.len && read_level(text, &level) == 0)
        target = SLICE_LIT("");
    else if (eq < text.len && read_level(slice_skip(text, eq + 1), &level) < 0)
        return -EINVAL;
    if (filter->count >= DIRECTIVES_MAX || target.len >= TARGET_MAX || memchr(target.ptr ? target.ptr : "", ' ', target.len))
        return -EINVAL;
    if (target.len && target.ptr[0] == '[')
        return 0;
    snprintf(directive->target, sizeof(directive->target), "%.*s", SLICE_ARGS(target));
    directive->level = level;
    filter->count++;
    return 0;
}

static int read_filter(struct slice text, struct filter *ret_filter)
{
    struct slice rest = text, part;

    *ret_filter = (struct filter){0};
    if (text.len >= sizeof(ret_filter->text))
        return -EINVAL;
    while (slice_split(&rest, ',', &part))
        if (read_directive(slice_trim(part), ret_filter) < 0)
            return -EINVAL;
    snprintf(ret_filter->text, sizeof(ret_filter->text), "%.*s", SLICE_ARGS(text));
    return 0;
}

static enum log_level most_of(const struct filter *filter)
{
    enum log_level most = LOG_OFF;

    for (unsigned i = 0; i < filter->count; i++)
        if (filter->items[i].level > most)
            most = filter->items[i].level;
    return most;
}

static bool covers(const char *directive, const char *target)
{
    size_t len = strlen(directive);

    if (strncmp(directive, "linkerd", 7) == 0 && strncmp(target, "linkerd", 7) != 0)
        return true;
    return strncmp(directive, target, len) == 0 && (target[len] == '\0' || target[len] == ':' || len == 0);
}

/* Under the lock. The most special directive that covers the target decides. */
static enum log_level level_of(const struct filter *filter, const char *target)
{
    enum log_level level = LOG_OFF;
    size_t best = 0;
    bool any = false;

    for (unsigned i = 0; i < filter->count; i++) {
        const struct directive *directive = &filter->items[i];
        size_t len = strncmp(directive->target, "linkerd", 7) == 0 ? 1 : strlen(directive->target) * 2;

        if (!covers(directive->target, target) || (any && len < best))
            continue;
        any = true;
        best = len;
        level = directive->level;
    }
    return level;
}

/* --- the writer --- */

static void stamp(struct log *log, char out[40])
{
    int64_t wall = log->sys->ops->wall(log->sys);
    time_t seconds = (time_t)(wall / NS_PER_S);
    struct tm tm;
    char date[24];

    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 40, "%s.%06lldZ", date, (long long)(wall % NS_PER_S / NS_PER_US));
}

/* What is said of lines that were lost, in the form of the others; the lock is held. 0: nothing to say. */
static size_t note_dropped(struct log *log, char *line, size_t size)
{
    unsigned long long lost = log->dropped - log->dropped_told;
    char when[40];
    int len;

    if (lost == 0)
        return 0;
    stamp(log, when);
    len = log->format == LOG_JSON
              ? snprintf(line, size, "{\"timestamp\":\"%s\",\"level\":\"WARN\",\"target\":\"log\",\"fields\":{\"message\":"
                                     "\"%llu log lines were lost because nobody read them\"}}\n", when, lost)
              : snprintf(line, size, "%s  WARN log: %llu log lines were lost because nobody read them\n", when, lost);
    return (size_t)len;
}

static size_t take(struct log *log, char *out, size_t size)
{
    size_t first = LOG_QUEUE_BYTES - log->head, n = log->len < size ? log->len : size;

    if (first > n)
        first = n;
    memcpy(out, log->queue + log->head, first);
    memcpy(out + first, log->queue, n - first);
    log->head = (log->head + n) % LOG_QUEUE_BYTES;
    log->len -= n;
    return n;
}

/* Descriptors of a terminal or pipe may be non-blocking because of who shares them: the wait is done here. */
static bool wait_for_room(int fd)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    return poll(&room, 1, -1) >= 0 || errno == EINTR;
}

/* How many bytes were written; fewer when it is closed or the disk is full: the rest is lost, the program goes on. */
static size_t write_all(int fd, const char *bytes, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write(fd, bytes + done, len - done);

        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || (errno != EINTR && (errno != EAGAIN || !wait_for_room(fd))))
            break;
    }
    return done;
}

/* Lines with a byte that was not written. */
static uint64_t lines_of(const char *bytes, size_t len)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    return lines;
}

/* Takes a chunk of the queue and writes it; the lock is held, but while it writes. */
static void write_chunk(struct log *log)
{
    char chunk[8192];
    size_t n = take(log, chunk, sizeof(chunk) - NOTE_MAX), note = log->len == 0 ? note_dropped(log, chunk + n, NOTE_MAX) : 0, done;
    uint64_t told = log->dropped;

    pthread_mutex_unlock(&log->lock);
    done = write_all(log->fd, chunk, n + note);
    pthread_mutex_lock(&log->lock);
    if (done < n)
        log->dropped += lines_of(chunk + done, n - done);
    if (note && done == n + note)
        log->dropped_told = told;
}

static void *writer(void *arg)
{
    struct log *log = arg;

    pthread_mutex_lock(&log->lock);
    for (;;) {
        while (log->len == 0 && !log->stop)
            pthread_cond_wait(&log->more, &log->lock);
        if (log->len == 0)
            break;
        write_chunk(log);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

/* --- making lines --- */

static void enqueue(struct log *log, const char *line, size_t len)
{
    size_t at, first;

    pthread_mutex_lock(&log->lock);
    if (len > LOG_QUEUE_BYTES - log->len) {
        log->dropped++;
        pthread_mutex_unlock(&log->lock);
        return;
    }
    at = (log->head + log->len) % LOG_QUEUE_BYTES;
    first = LOG_QUEUE_BYTES - at < len ? LOG_QUEUE_BYTES - at : len;
    memcpy(log->queue + at, line, first);
    memcpy(log->queue, line + first, len - first);
    log->len += len;
    pthread_cond_signal(&log->more);
    pthread_mutex_unlock(&log->lock);
}

/* Control bytes of a message would let a peer forge lines. */
static void harmless(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

static void vline(struct log *log, enum log_level level, const char *target, const char *format, va_list args)
{
    char message[LOG_LINE_MAX], when[40];
    struct buffer line;

    vsnprintf(message, sizeof(message), format, args);
    stamp(log, when);
    buffer_init(&line, (size_t)LOG_LINE_MAX * 7);
    if (log->format == LOG_JSON) {
        buffer_printf(&line, "{\"timestamp\":\"%s\",\"level\":\"%s\",\"target\":\"%s\",\"fields\":{\"message\":", when,
                      names[level], target);
        buffer_add_json(&line, slice_str(message));
        buffer_add_lit(&line, "}}\n");
    } else {
        harmless(message);
        buffer_printf(&line, "%s %5s %s: %s\n", when, names[level], target, message);
    }
    if (!buffer_error(&line))
        enqueue(log, line.data, line.len);
    buffer_release(&line);
}

bool log_enabled(const struct log *log, enum log_level level, const char *target)
{
    struct log *writable = (struct log *)(uintptr_t)log;
    bool enabled;

    if (level > atomic_load_explicit(&log->most, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&writable->lock);
    enabled = level <= level_of(&log->filter, target);
    pthread_mutex_unlock(&writable->lock);
    return enabled;
}

void log_line(struct log *log, enum log_level level, const char *target, const char *format, ...)
{
    va_list args;

    if (!log_enabled(log, level, target))
        return;
    va_start(args, format);
    vline(log, level, target, format, args);
    va_end(args);
}

/* True at most once a second for each pair; pairs beyond the table are not limited. */
static bool due(struct log *log, enum log_level level, const char *target)
{
    int64_t now = log->sys->ops->now(log->sys);
    bool yes = true;

    pthread_mutex_lock(&log->lock);
    for (int i = 0; i < LIMITED_MAX; i++) {
        if (log->limited[i].target && (log->limited[i].level != level || strcmp(log->limited[i].target, target) != 0))
            continue;
        yes = !log->limited[i].target || now - log->limited[i].last_ns >= NS_PER_S;
        if (yes) {
            log->limited[i].target = target;
            log->limited[i].level = level;
            log->limited[i].last_ns = now;
        }
        break;
    }
    pthread_mutex_unlock(&log->lock);
    return yes;
}

void log_limited(struct log *log, enum log_level level, const char *target, const char *format, ...)
{
    va_list args;

    if (!log_enabled(log, level, target) || !due(log, level, target))
        return;
    va_start(args, format);
    vline(log, level, target, format, args);
    va_end(args);
}

void log_raw(struct log *log, struct slice line)
{
    char copy[LOG_LINE_MAX * 4];
    size_t len = line.len < sizeof(copy) - 1 ? line.len : sizeof(copy) - 1;

    memcpy(copy, line.ptr, len);
    copy[len] = '\n';
    enqueue(log, copy, len + 1);
}

uint64_t log_dropped(const struct log *log)
{
    struct log *writable = (struct log *)(uintptr_t)log;
    uint64_t dropped;

    pthread_mutex_lock(&writable->lock);
    dropped = log->dropped;
    pthread_mutex_unlock(&writable->lock);
    return dropped;
}

int log_set_filter(struct log *log, struct slice text)
{
    struct filter filter;
    int r = read_filter(text, &filter);

    if (r < 0)
        return r;
    pthread_mutex_lock(&log->lock);
    log->filter = filter;
    atomic_store_explicit(&log->most, most_of(&filter), memory_order_relaxed);
    pthread_mutex_unlock(&log->lock);
    return 0;
}

void log_filter(struct log *log, struct buffer *ret_text)
{
    pthread_mutex_lock(&log->lock);
    buffer_add(ret_text, slice_str(log->filter.text));
    pthread_mutex_unlock(&log->lock);
}

int log_new(struct sys *sys, int fd, enum log_format format, struct slice filter, struct log **ret_log)
{
    struct log *log = calloc(1, sizeof(*log));
    sigset_t all, before;
    int r;

    if (!log)
        return -ENOMEM;
    log->sys = sys;
    log->fd = fd;
    log->format = format;
    log->queue = malloc(LOG_QUEUE_BYTES);
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->more, NULL);
    r = log->queue ? log_set_filter(log, filter) : -ENOMEM;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the loop's thread */
    if (r == 0)
        r = -pthread_create(&log->thread, NULL, writer, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0) {
        free(log->queue);
        free(log);
        return r;
    }
    pthread_setname_np(log->thread, "log");
    *ret_log = log;
    return 0;
}

void log_free(struct log *log)
{
    struct timespec until;

    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    log->stop = true;
    pthread_cond_signal(&log->more);
    pthread_mutex_unlock(&log->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DRAIN_WAIT_S;
    if (pthread_timedjoin_np(log->thread, NULL, &until) != 0)
        return; /* the reader is stuck: the process ends without the thread, which still uses the memory */
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->more);
    free(log->queue);
    free(log);
}
