/* Log lines: filters, both forms, forged text, and a reader that does not read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/log.h"

struct world {
    struct log *log;
    int read_end, write_end;
    char text[65536]; /* all that was read */
};

static void open_log(struct world *w, enum log_format format, const char *filter)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    w->read_end = fds[0];
    w->write_end = fds[1];
    w->text[0] = '\0';
    assert_int_equal(log_new(sys_linux(), w->write_end, format, slice_str(filter), &w->log), 0);
}

/* Ends the log; what it wrote is in w->text. */
static const char *close_log(struct world *w)
{
    size_t len = 0;
    ssize_t n;

    log_free(w->log);
    close(w->write_end);
    while (len < sizeof(w->text) - 1 && (n = read(w->read_end, w->text + len, sizeof(w->text) - 1 - len)) > 0)
        len += (size_t)n;
    w->text[len] = '\0';
    close(w->read_end);
    return w->text;
}

static const struct {
    const char *filter, *target;
    enum log_level most; /* the most talkative level that is logged */
} filters[] = {
    {"warn", "inbound", LOG_WARN},
    {"WARN", "inbound", LOG_WARN},
    {"off", "inbound", LOG_OFF},
    {"", "inbound", LOG_OFF},
    {"warn,linkerd=info,hickory=error", "inbound", LOG_INFO},
    {"warn,linkerd=debug,[{headers}]=off,[{request}]=off", "inbound", LOG_DEBUG},
    {"info,inbound=trace", "inbound", LOG_TRACE},
    {"info,inbound=trace", "inbound::tls", LOG_TRACE},
    {"info,inbound=trace", "inboundish", LOG_INFO},
    {"info,inbound=trace", "outbound", LOG_INFO},
    {"inbound=debug,info", "inbound", LOG_DEBUG}, /* the order is nothing, */
    {"linkerd=off,inbound=debug", "inbound", LOG_DEBUG}, /* the longest is all */
    {"inbound", "inbound", LOG_TRACE},
    {"h2=debug", "inbound", LOG_OFF},
    {" info , inbound = debug", NULL, LOG_OFF}, /* no spaces inside */
    {"info,,debug", "inbound", LOG_DEBUG},
    {"linkerd_app=debug,warn", "inbound", LOG_DEBUG},
};

static void test_filters(void **state)
{
    struct world w;

    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        if (!filters[i].target)
            continue;
        open_log(&w, LOG_PLAIN, filters[i].filter);
        for (int level = LOG_ERROR; level <= LOG_TRACE; level++)
            if (log_enabled(w.log, (enum log_level)level, filters[i].target) != (level <= (int)filters[i].most))
                fail_msg("\"%s\" for %s at %s", filters[i].filter, filters[i].target, log_level_name((enum log_level)level));
        close_log(&w);
    }
}

static void test_bad_filters(void **state)
{
    static const char *const bad[] = {"inbound=loud", "=x", "inbound=", "in bound=info", "info,x=1=2"};
    struct world w;
    struct buffer text;
    struct log *log;
    char many[600];

    open_log(&w, LOG_PLAIN, "info");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(log_set_filter(w.log, slice_str(bad[i])), -EINVAL);
        assert_int_equal(log_new(sys_linux(), w.write_end, LOG_PLAIN, slice_str(bad[i]), &log), -EINVAL);
    }
    memset(many, 'a', sizeof(many));
    assert_int_equal(log_set_filter(w.log, slice_of(many, sizeof(many))), -EINVAL);
    assert_int_equal(log_set_filter(w.log, slice_of(many, 100)), -EINVAL); /* a target too long */
    buffer_init(&text, 1024);
    log_filter(w.log, &text); /* the old one stays */
    assert_int_equal(text.len, 4);
    assert_memory_equal(text.data, "info", 4);
    assert_int_equal(log_set_filter(w.log, SLICE_LIT("debug")), 0);
    assert_true(log_enabled(w.log, LOG_DEBUG, "inbound"));
    buffer_release(&text);
    close_log(&w);
}

static void test_plain(void **state)
{
    struct world w;
    const char *text;

    open_log(&w, LOG_PLAIN, "info");
    log_line(w.log, LOG_WARN, "inbound", "refused %d", 7);
    log_line(w.log, LOG_DEBUG, "inbound", "not this");
    log_line(w.log, LOG_INFO, "tls", "a\nforged line\r\x1b[2J");
    log_raw(w.log, SLICE_LIT("raw line"));
    text = close_log(&w);
    assert_int_equal(strspn(text, "0123456789-"), 10);
    assert_int_equal(text[10], 'T');
    assert_memory_equal(text + 26, "Z  WARN inbound: refused 7\n", 27);
    assert_non_null(strstr(text, "  INFO tls: a forged line  [2J\nraw line\n"));
    assert_null(strstr(text, "not this"));
}

static void test_json(void **state)
{
    struct world w;
    const char *text;

    open_log(&w, LOG_JSON, "info");
    log_line(w.log, LOG_ERROR, "inbound", "a \"quoted\"\nline \\ and \x01");
    text = close_log(&w);
    assert_memory_equal(text, "{\"timestamp\":\"", 14);
    assert_non_null(strstr(text, "\",\"level\":\"ERROR\",\"target\":\"inbound\",\"fields\":{\"message\":\"a \\\"quoted\\\"\\nline \\\\ and \\u0001\"}}\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
}

static void test_long_lines(void **state)
{
    struct world w;
    char *message = malloc(100000);

    memset(message, 'm', 99999);
    message[99999] = '\0';
    open_log(&w, LOG_PLAIN, "info");
    log_line(w.log, LOG_INFO, "inbound", "%s", message);
    log_raw(w.log, slice_of(message, 99999));
    assert_true(strlen(close_log(&w)) < LOG_LINE_MAX * 6);
    free(message);
}

static void test_limited(void **state)
{
    struct world w;
    const char *text, *at;
    int count = 0;

    open_log(&w, LOG_PLAIN, "info");
    for (int i = 0; i < 1000; i++)
        log_limited(w.log, LOG_WARN, "accept", "again");
    log_limited(w.log, LOG_INFO, "accept", "of another level");
    log_limited(w.log, LOG_WARN, "tls", "of another target");
    text = close_log(&w);
    for (at = text; (at = strstr(at, "again")); at++)
        count++;
    assert_in_range(count, 1, 10); /* one a second */
    assert_non_null(strstr(text, "of another level"));
    assert_non_null(strstr(text, "of another target"));
}

/* Nobody reads: logging never waits, what does not fit is counted, and told when reading goes on. */
static void test_blocked(void **state)
{
    enum { LINES = 5000, ROOM = 2 << 20 };
    struct world w;
    char *all = malloc(ROOM);
    size_t len = 0;
    const char *told = NULL;
    unsigned long long lost = 0, kept = 0;

    open_log(&w, LOG_PLAIN, "info");
    for (int i = 0; i < LINES; i++)
        log_line(w.log, LOG_INFO, "inbound", "a line of about a hundred bytes, with number %d, which nobody reads for now", i);
    assert_true(log_dropped(w.log) > 0);
    while (!told) { /* the writer tells after the last line that was kept */
        ssize_t n = read(w.read_end, all + len, ROOM - 1 - len);

        assert_true(n > 0);
        len += (size_t)n;
        all[len] = '\0';
        told = strstr(all, " log lines were lost");
    }
    while (told[-1] != ':')
        told--;
    lost = strtoull(told, NULL, 10);
    for (const char *at = all; (at = strstr(at, "which nobody reads")); at++)
        kept++;
    assert_int_equal(lost, log_dropped(w.log));
    assert_int_equal(kept + lost, LINES); /* each was written or counted */
    log_line(w.log, LOG_INFO, "inbound", "here again");
    assert_non_null(strstr(close_log(&w), "here again"));
    free(all);
}

/* A full disk: lines are lost and counted, and what comes when there is room again is written, after how many were lost. */
static void test_full(void **state)
{
    char name[] = "/tmp/clinkerd-log-XXXXXX", text[4096];
    int file = mkstemp(name), full = open("/dev/full", O_WRONLY), out = dup(full);
    struct log *log;
    ssize_t n;

    unlink(name);
    assert_true(file >= 0 && full >= 0);
    assert_int_equal(log_new(sys_linux(), out, LOG_JSON, SLICE_LIT("info"), &log), 0);
    for (int i = 0; i < 3; i++)
        log_line(log, LOG_INFO, "inbound", "lost");
    while (log_dropped(log) < 3)
        sched_yield();
    assert_int_equal(dup2(file, out), out);
    log_line(log, LOG_INFO, "inbound", "kept");
    log_free(log);
    n = pread(file, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_null(strstr(text, "\"lost\""));
    assert_non_null(strstr(text, "\"kept\"}}\n{\"timestamp\""));
    assert_non_null(strstr(text, "\"message\":\"3 log lines were lost because nobody read them\"}}\n"));
    close(file);
    close(full);
    close(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),    cmocka_unit_test(test_bad_filters), cmocka_unit_test(test_plain),
        cmocka_unit_test(test_json),       cmocka_unit_test(test_long_lines),  cmocka_unit_test(test_limited),
        cmocka_unit_test(test_blocked),    cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
